//! A broker that is there and refuses: each answer is true, readiness goes by evidence, and all comes back by itself.

use std::time::{Duration, Instant};

use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr as Error};
use schemas::names::topics;

use crate::world::{Answer, World, get, order, until};

const PRODUCE: RDKafkaApiKey = RDKafkaApiKey::Produce;
const REPLACED: &str = "orderflow_edge_producer_replacements_total";
/// More than are asked for in a test.
const ALWAYS: usize = 10_000;

fn is(answer: &Answer, status: u16, persisted: &str) {
    assert_eq!((answer.status, answer.json()["persisted"].as_str()), (status, Some(persisted)), "{answer:?}");
}

async fn reason(world: &World) -> String {
    let report = get(world.app.admin_address, "/readyz").await.json();
    report["conditions"][0]["reason"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_broker_is_away_every_order_is_refused_at_once_and_none_is_stored() {
    let world = World::ready().await;
    world.kafka.broker_down(-1).unwrap();
    until("orders are refused at once", async || {
        world.post_with(&order("early"), &[("x-deadline-ms", "200")]).await.status == 503
    })
    .await;
    let (mut no, mut at_once) = (0, 0);
    for number in 0..300 {
        let begun = Instant::now();
        let answer = world.post(&order(&format!("away-{number}"))).await;
        no += usize::from(answer.status == 503 && answer.json()["persisted"] == "no");
        at_once += usize::from(begun.elapsed() < Duration::from_secs(1));
        assert!(number < at_once + 3, "three of {number} were not refused at once");
    }
    assert!(297 <= no && 297 <= at_once, "{no} refused, {at_once} at once, of 300");
    world.kafka.broker_up(-1).unwrap();
    world.until_ready().await;
    is(&world.post(&order("back")).await, 202, "yes");
    assert!(world.stored().iter().all(|stored| !stored.key.starts_with("away")), "no means no");
}

/// An order that is larger than several together may be, so it went alone.
fn large(order_id: &str) -> String {
    let item = format!(r#"{{"sku":"{}","quantity":1000000,"unitPrice":99999999.99}}"#, "\u{1f600}".repeat(64));
    let items = vec![item; 500].join(",");
    format!(r#"{{"orderId":"{order_id}","amount":1,"customer":"c","items":[{items}]}}"#)
}

/// Each of them breaks the producer, and another takes over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_broker_refuses_for_good_is_refused_at_once_and_the_next_order_is_taken() {
    let world = World::ready().await;
    let cases = [
        (Error::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, large("refused"), 413),
        // It may have been one of several that were too large together.
        (Error::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, order("refused"), 503),
        (Error::RD_KAFKA_RESP_ERR_POLICY_VIOLATION, order("refused"), 503),
        (Error::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, order("refused"), 503),
        (Error::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, order("refused"), 503),
    ];
    for (error, body, status) in &cases {
        world.kafka.request_errors(PRODUCE, &[*error]);
        let begun = Instant::now();
        is(&world.post(body).await, *status, "no");
        until("the next is taken", async || world.post(&order("next")).await.status == 202).await;
        assert!(begun.elapsed() < Duration::from_secs(3), "{error:?} took {:?}", begun.elapsed());
    }
    assert!(world.stored().iter().all(|stored| stored.key == "next"), "no means no");
    assert_eq!(world.metric(REPLACED).await, 5.0, "one for each");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_and_missing_replicas_are_waited_for_and_then_refused() {
    let suffer = async |error: Error| {
        let world = World::ready().await;
        world.kafka.request_errors(PRODUCE, &[error, error]);
        is(&world.post(&order("patient")).await, 202, "yes");
        world.kafka.request_errors(PRODUCE, &[error; ALWAYS]);
        let begun = Instant::now();
        is(&world.post(&order("refused")).await, 503, "no");
        assert!((4..6).contains(&begun.elapsed().as_secs()), "{error:?} took {:?}", begun.elapsed());
        world.kafka.clear_request_errors(PRODUCE);
        until("orders are taken again", async || world.post(&order("back")).await.status == 202).await;
        world.until_ready().await;
        assert!(world.stored().iter().all(|stored| stored.key != "refused"), "{error:?}: no means no");
    };
    tokio::join!(
        suffer(Error::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR),
        suffer(Error::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_may_not_be_seen_is_named_and_comes_back() {
    let world = World::ready().await;
    is(&world.post(&order("before")).await, 202, "yes");
    world.kafka.topic_error(topics::ORDERS_RECEIVED, Error::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED).unwrap();
    until("readiness names the right", async || reason(&world).await.contains("grant Write and Describe")).await;
    until("orders are refused", async || world.post(&order("hidden")).await.status == 503).await;
    is(&world.post(&order("hidden")).await, 503, "no");
    assert_eq!(world.metric(REPLACED).await, 0.0, "not before it is back");
    world.kafka.topic_error(topics::ORDERS_RECEIVED, Error::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    world.until_ready().await;
    is(&world.post(&order("seen")).await, 202, "yes");
    assert_eq!(world.metric(REPLACED).await, 1.0, "librdkafka mixes up its numbers when partitions come back");
}

/// When its numbers and the broker's do not agree librdkafka breaks for good; the edge makes another producer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_that_broke_is_replaced_and_orders_are_answered_meanwhile() {
    let world = World::ready().await;
    is(&world.post(&order("before")).await, 202, "yes");
    world.kafka.request_errors(PRODUCE, &[Error::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER]);
    // The broker would say the same of an order that it has.
    is(&world.post(&order("doubted")).await, 504, "possibly");
    until("the producer was replaced", async || {
        let answer = world.post(&order("meanwhile")).await;
        assert!([202, 503].contains(&answer.status), "{answer:?}");
        1.0 <= world.metric(REPLACED).await
    })
    .await;
    until("orders are taken again", async || world.post(&order("after")).await.status == 202).await;
    world.until_ready().await;
}
