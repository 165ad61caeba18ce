//! Kafka or the registry in trouble: the answer is still true, it comes in time, and the edge comes back by itself.

use std::time::{Duration, Instant};

use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use schemas::names::topics;
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinHandle};

use crate::world::{Answer, PARTITIONS, Stored, World, get, order, request, until};

const QUEUE: &str = "orderflow_edge_queue_orders";
const REPLACED: &str = "orderflow_edge_producer_replacements_total";

fn verdict(status: u16, persisted: &str, retry: &str) -> (u16, String, String) {
    (status, persisted.to_owned(), retry.to_owned())
}

/// The partition of an order that is posted now.
async fn partition_of(world: &World, order_id: &str) -> i32 {
    let answer = world.post(&order(order_id)).await;
    i32::try_from(answer.json()["partition"].as_i64().unwrap_or_else(|| panic!("{answer:?}"))).unwrap()
}

/// The id of an order that is in another partition.
async fn id_beside(world: &World, partition: i32) -> String {
    let mut number = 0;
    loop {
        let id = format!("beside-{number}");
        if partition_of(world, &id).await != partition {
            return id;
        }
        number += 1;
    }
}

/// An order that was sent, perhaps, and got no answer: it is in the topic once and was told so, or not at all. (Requests
/// are sent one at a time, and one of the edge's own questions may have been in front of it.)
fn is_told_truly(answer: &Answer, customer: &str, stored: &[Stored]) {
    let times = stored.iter().filter(|stored| stored.order.customer == customer).count();
    let told = match times {
        0 => verdict(503, "no", "safe"),
        _ => verdict(504, "possibly", "with-same-order-id"),
    };
    assert_eq!((times <= 1, answer.verdict()), (true, told), "{customer} is in the topic {times} times: {answer:?}");
}

/// Posts beside the test. Orders of one id are in one partition's queue; the customer tells them apart.
fn post_beside(world: &World, order_id: &str, customer: &str) -> JoinHandle<Option<Answer>> {
    let (address, body) = (world.app.address, order(order_id).replace("john_doe", customer));
    world.tasks.spawn(async move { crate::world::post(address, &body, &[]).await })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_broker_means_possibly_and_the_order_does_arrive() {
    let world = World::ready().await;
    world.kafka.broker_round_trip_time(-1, Duration::from_secs(1)).unwrap();
    let begun = Instant::now();
    let answer = world.post_with(&order("slow"), &[("x-deadline-ms", "200")]).await;
    let took = begun.elapsed();
    assert_eq!(answer.verdict(), verdict(504, "possibly", "with-same-order-id"), "{answer:?}");
    assert!(took < Duration::from_millis(900), "{took:?}");
    world.kafka.broker_round_trip_time(-1, Duration::ZERO).unwrap();
    world.until_stored("slow").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_known_to_be_down_means_no_at_once_and_comes_back() {
    let world = World::ready().await;
    world.kafka.broker_down(-1).unwrap();
    until("the edge is not ready", async || get(world.app.admin_address, "/readyz").await.status == 503).await;
    until("orders are refused at once", async || {
        let begun = Instant::now();
        let answer = world.post_with(&order("early"), &[("x-deadline-ms", "200")]).await;
        answer.status == 503 && begun.elapsed() < Duration::from_millis(150)
    })
    .await;
    let answer = world.post(&order("down")).await;
    assert_eq!(answer.verdict(), verdict(503, "no", "safe"), "{answer:?}");
    let pause: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3).contains(&pause), "{answer:?}");

    world.kafka.broker_up(-1).unwrap();
    let begun = Instant::now();
    until("orders are taken again", async || world.post(&order("back")).await.status == 202).await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    world.until_ready().await;
    assert!(world.stored().iter().all(|stored| stored.key != "down"), "no means no");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_in_hand_while_the_broker_goes_away_is_answered_truthfully() {
    let world = World::ready().await;
    world.kafka.broker_down(-1).unwrap();
    // At once, within the grace: it is handed over, waits, and is given up without having been sent.
    let begun = Instant::now();
    let answer = world.post(&order("waits")).await;
    let took = begun.elapsed();
    assert_eq!(answer.verdict(), verdict(503, "no", "safe"), "{answer:?}");
    assert!((Duration::from_secs(4)..Duration::from_secs(5)).contains(&took), "{took:?}");
    world.kafka.broker_up(-1).unwrap();
    until("orders are taken again", async || world.post(&order("back")).await.status == 202).await;
    assert!(world.stored().iter().all(|stored| stored.key != "waits"), "no means no");
}

/// The mock takes what it knows already for something new, as a broker does that is sent it with another epoch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_was_sent_without_an_answer_is_not_sent_again_when_one_before_it_is_given_up() {
    let world = World::that_loses_leaders().await;
    let partition = partition_of(&world, "waits").await;
    let beside = id_beside(&world, partition).await;
    world.kafka.partition_leader(topics::ORDERS_RECEIVED, partition, None).unwrap();
    let (begun, first) = (Instant::now(), post_beside(&world, "waits", "first"));
    tokio::time::sleep(Duration::from_millis(2400)).await;
    world.kafka.broker_round_trip_time(-1, Duration::from_secs(20)).unwrap();
    let second = post_beside(&world, &beside, "second");
    tokio::time::sleep(Duration::from_millis(400)).await;
    world.kafka.broker_down(-1).unwrap();
    world.kafka.broker_round_trip_time(-1, Duration::ZERO).unwrap();
    let answer = first.await.unwrap().unwrap();
    assert_eq!(answer.verdict(), verdict(503, "no", "safe"), "{answer:?}");
    let took = begun.elapsed();
    // librdkafka itself looks once a second for what is too old.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    world.kafka.partition_leader(topics::ORDERS_RECEIVED, partition, Some(1)).unwrap();
    world.kafka.broker_up(-1).unwrap();
    let answer = second.await.unwrap().unwrap();
    until("orders are taken again", async || world.post(&order("back")).await.status == 202).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let stored = world.stored();
    is_told_truly(&answer, "second", &stored);
    assert!(stored.iter().all(|stored| stored.order.customer != "first"), "no means no");
    assert!((Duration::from_millis(4400)..Duration::from_secs(5)).contains(&took), "{took:?}");
    assert_eq!(world.metric(REPLACED).await, 1.0);
}

/// A refusal for good leaves a gap in librdkafka's numbers. It would number all anew that it has, also what a broker stored
/// whose answer was lost; so it breaks, and what it has is told at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_was_sent_without_an_answer_is_not_sent_again_when_another_is_refused_for_good() {
    let world = World::that_loses_leaders().await;
    let partition = partition_of(&world, "one-key").await;
    let beside = id_beside(&world, partition).await;
    world.kafka.broker_round_trip_time(-1, Duration::from_secs(20)).unwrap();
    let unanswered = post_beside(&world, "one-key", "unanswered");
    until("it is handed over", async || world.metric(QUEUE).await == 1.0).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.kafka.broker_down(-1).unwrap();
    world.kafka.broker_round_trip_time(-1, Duration::ZERO).unwrap();
    world.kafka.partition_leader(topics::ORDERS_RECEIVED, partition, None).unwrap();
    until("the edge is not ready", async || get(world.app.admin_address, "/readyz").await.status == 503).await;
    world.kafka.broker_up(-1).unwrap();
    world.until_ready().await;
    let unsent = post_beside(&world, "one-key", "unsent");
    until("both wait for a leader", async || world.metric(QUEUE).await == 2.0).await;

    world.kafka.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_POLICY_VIOLATION]);
    let begun = Instant::now();
    let refused = world.post(&order(&beside)).await;
    assert_eq!(refused.verdict(), verdict(503, "no", "safe"), "{refused:?}");
    world.kafka.partition_leader(topics::ORDERS_RECEIVED, partition, Some(1)).unwrap();
    let (unanswered, unsent) = (unanswered.await.unwrap().unwrap(), unsent.await.unwrap().unwrap());
    let took = begun.elapsed();
    assert_eq!(unsent.verdict(), verdict(503, "no", "safe"), "{unsent:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    until("orders are taken again", async || world.post(&order("back")).await.status == 202).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let stored = world.stored();
    is_told_truly(&unanswered, "unanswered", &stored);
    assert!(stored.iter().all(|stored| stored.order.customer != "unsent"), "no means no");
    // Twice where all of that took so long that an order grew old.
    assert!(1.0 <= world.metric(REPLACED).await);
}

/// As a broker does that has just started: it does not lead the partition when the first request comes and does a moment
/// later. It takes any first number from a producer that it does not know, so a second one sent with the first would be
/// stored in its place, and librdkafka would call both stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_a_broker_does_not_take_yet_is_stored_before_a_later_one() {
    let world = World::ready().await;
    let post = |customer| post_beside(&world, "one-key", customer);
    world.kafka.broker_round_trip_time(-1, Duration::from_millis(200)).unwrap();
    world.kafka.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION]);
    let first = post("first");
    tokio::time::sleep(Duration::from_millis(100)).await;
    let second = post("second");
    for answer in [first, second] {
        let answer = answer.await.unwrap().unwrap();
        assert_eq!(answer.status, 202, "{answer:?}");
    }
    world.kafka.broker_round_trip_time(-1, Duration::ZERO).unwrap();
    let stored: Vec<String> = world.stored().into_iter().map(|stored| stored.order.customer).collect();
    assert_eq!(stored, ["first", "second"]);
}

/// librdkafka calls it stored when a broker says that it knows its number; where it is, or whether, nobody tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_stored_only_if_the_broker_says_where() {
    let world = World::ready().await;
    world.kafka.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER]);
    let answer = world.post(&order("nowhere")).await;
    assert_eq!(answer.verdict(), verdict(504, "possibly", "with-same-order-id"), "{answer:?}");
    assert_eq!(world.post(&order("somewhere")).await.status, 202);
    assert!(world.stored().iter().all(|stored| stored.key != "nowhere"), "that is what makes the doubt right");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_outage_is_only_a_pause() {
    let world = World::ready().await;
    world.kafka.broker_down(-1).unwrap();
    let address = world.app.address;
    let waiting = world.tasks.spawn(async move { crate::world::post(address, &order("pause"), &[]).await });
    until("the order waits for the broker", async || world.metric("orderflow_edge_queue_orders").await == 1.0).await;
    world.kafka.broker_up(-1).unwrap();
    let answer = waiting.await.unwrap().unwrap();
    assert_eq!(answer.status, 202, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_hangs_up_cancels_nothing() {
    let world = World::ready().await;
    world.kafka.broker_round_trip_time(-1, Duration::from_secs(1)).unwrap();
    let mut stream = TcpStream::connect(world.app.address).await.unwrap();
    stream.write_all(request(&order("gone"), &[]).as_bytes()).await.unwrap();
    until("the order is handed over", async || world.metric("orderflow_edge_queue_orders").await == 1.0).await;
    drop(stream);
    let gone = r#"orderflow_edge_requests_total{outcome="client_gone"}"#;
    until("the edge has seen it leave", async || world.metric(gone).await == 1.0).await;
    // It was slow for the client's sake; the reader would need a second for each of its questions.
    world.kafka.broker_round_trip_time(-1, Duration::ZERO).unwrap();
    world.until_stored("gone").await;
    until("the share of the queue is given back", async || world.metric("orderflow_edge_queue_orders").await == 0.0)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_topic_the_edge_waits_and_says_so() {
    let world = World::started(false).await;
    let reason = |body: serde_json::Value| body["conditions"][0]["reason"].as_str().unwrap_or_default().to_owned();
    until("readiness names the topic", async || {
        reason(get(world.app.admin_address, "/readyz").await.json()).contains("topic orders.received is not there")
    })
    .await;
    assert_eq!(world.post(&order("a")).await.verdict(), verdict(503, "no", "safe"));
    world.kafka.create_topic(topics::ORDERS_RECEIVED, PARTITIONS, 1).unwrap();
    world.until_ready().await;
    assert_eq!(world.post(&order("a")).await.status, 202);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_registry_is_asked_until_it_answers_and_then_never_again() {
    let world = World::started_without_registry().await;
    until("the registry was asked twice", async || 2 <= world.registry.asked()).await;
    until("kafka is known", async || {
        get(world.app.admin_address, "/readyz").await.json()["conditions"][0]["met"] == true
    })
    .await;
    assert_eq!(world.post(&order("a")).await.verdict(), verdict(503, "no", "safe"));
    world.registry.fail(false);
    world.until_ready().await;
    let asked = world.registry.asked();
    world.registry.fail(true);
    for _ in 0..5 {
        assert_eq!(world.post(&order("a")).await.status, 202);
    }
    assert_eq!(world.registry.asked(), asked, "later outages have no effect");
}
