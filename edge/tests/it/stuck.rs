//! A broker that is there and stores nothing: too few replicas in sync, or a full disk. The first orders wait their time;
//! from then on each is answered at once, the edge is not ready, and it comes back by itself.

use std::time::{Duration, Instant};

use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::world::{World, get, order, post, until};

/// More than are asked for in the test's time.
const ENOUGH: usize = 5000;

async fn is_told_at_once_and_comes_back(error: RDKafkaRespErr, is_surely_not_stored: bool) {
    let world = World::ready().await;
    assert_eq!(world.post(&order("before")).await.status, 202);
    world.kafka.request_errors(RDKafkaApiKey::Produce, &vec![error; ENOUGH]);
    let begun = Instant::now();
    let first = world.post(&order("first")).await;
    let told = if is_surely_not_stored { (503, "no") } else { (504, "possibly") };
    let first = (first.status, first.json()["persisted"].as_str().unwrap().to_owned());
    assert_eq!((first.0, first.1.as_str()), told);
    assert!(Duration::from_secs(4) < begun.elapsed(), "its time was waited for: {:?}", begun.elapsed());

    until("the edge is not ready and says why", async || {
        let ready = get(world.app.admin_address, "/readyz").await;
        ready.status == 503 && ready.json()["conditions"][0]["reason"].to_string().contains("replicas")
    })
    .await;
    let mut refused = 0;
    for number in 0..20 {
        let begun = Instant::now();
        // Whoever is the try in this second does not wait for long either.
        let id = format!("refused-{number}");
        let answer = world.post_with(&order(&id), &[("x-deadline-ms", "300")]).await;
        let told = answer.json()["detail"].as_str().unwrap().contains("replicas");
        if told {
            let verdict = answer.verdict();
            assert_eq!(verdict, (503, "no".to_owned(), "safe".to_owned()), "{answer:?}");
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
            refused += 1;
        }
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    }
    assert!(10 < refused, "{refused} were told at once");

    world.kafka.clear_request_errors(RDKafkaApiKey::Produce);
    let address = world.app.address;
    until("orders are taken again", async || post(address, &order("back"), &[]).await.status == 202).await;
    world.until_ready().await;
    assert_eq!(world.post(&order("after")).await.status, 202);
    let told = |key: &str| key.starts_with("refused") || (first.1 == "no" && key == "first");
    let tries = world.stored().into_iter().filter(|stored| told(&stored.key)).count();
    assert!(tries <= 20 - refused, "no means no");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_stores_nothing_is_told_at_once_and_comes_back_by_itself() {
    use RDKafkaRespErr::{
        RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR as DISK, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS as REPLICAS,
        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND as APPENDED,
    };
    tokio::join!(
        is_told_at_once_and_comes_back(REPLICAS, true),
        is_told_at_once_and_comes_back(DISK, true),
        is_told_at_once_and_comes_back(APPENDED, false),
    );
}
