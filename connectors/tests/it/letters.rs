//! The dead letters among the metrics of `serve`, against librdkafka's mock cluster.

use std::sync::Arc;
use std::time::{Duration, Instant};

use connectors::connect::Connect;
use connectors::serve::letters;
use connectors::serve::metrics::Metrics;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use rdkafka::types::RDKafkaRespErr::{
    RD_KAFKA_RESP_ERR_NO_ERROR as ALLOWED, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED as REFUSED,
};
use schemas::names::topics::{ORDERS_DEAD_LETTER, ORDERS_RECEIVED};
use service_kit::Tasks;

use crate::house::{House, received};

const PATIENCE: Duration = Duration::from_secs(60);

fn shown(metrics: &Metrics) -> Vec<String> {
    let (mut numbers, mut text) = (Registry::default(), String::new());
    metrics.register(&mut numbers);
    encode(&mut text, &numbers).unwrap();
    let mut lines: Vec<String> = text.lines().filter(|line| line.contains("topic=")).map(str::to_owned).collect();
    lines.sort();
    lines
}

async fn until(metrics: &Metrics, wanted: &[&str]) {
    let until = Instant::now() + PATIENCE;
    while shown(metrics) != wanted {
        assert!(Instant::now() < until, "{wanted:?} did not come about: {:?}", shown(metrics));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn transforms(house: &House) -> Connect {
    Connect::new(&house.url()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_in_a_topic_that_only_a_pipeline_names_are_shown_as_well() {
    let house = House::new().await;
    house.topic("team.bad");
    house.letter("team.bad", "o", &received("o"), (ORDERS_RECEIVED, 0), &[]);
    house.held.lock().unwrap().pipeline = vec![("errors.deadletterqueue.topic.name", "team.bad")];
    let (metrics, tasks) = (Arc::new(Metrics::default()), Tasks::new());
    let every = Duration::from_millis(50);
    tasks.spawn(letters::watch(house.kafka(), transforms(&house), Arc::clone(&metrics), every, tasks.clone()));
    let three = [
        r#"orderflow_connectors_dead_letters{topic="order_placed.elasticsearch.dead-letter"} 0"#,
        r#"orderflow_connectors_dead_letters{topic="order_placed.postgres.dead-letter"} 0"#,
        r#"orderflow_connectors_dead_letters{topic="orders.dead-letter"} 0"#,
    ];
    let own = r#"orderflow_connectors_dead_letters{topic="team.bad"} 1"#;
    until(&metrics, &[&three[..], &[own]].concat()).await;
    // One that may not be read has no number, and the others keep theirs.
    house.answer_for("team.bad", REFUSED);
    until(&metrics, &three).await;
    tasks.drain(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_that_wait_are_shown_and_nothing_is_while_they_cannot_be_counted() {
    let house = House::new().await;
    house.letter(ORDERS_DEAD_LETTER, "o", &received("o"), (ORDERS_RECEIVED, 0), &[]);
    let (metrics, tasks) = (Arc::new(Metrics::default()), Tasks::new());
    let every = Duration::from_millis(50);
    tasks.spawn(letters::watch(house.kafka(), transforms(&house), Arc::clone(&metrics), every, tasks.clone()));
    let one = [
        r#"orderflow_connectors_dead_letters{topic="order_placed.elasticsearch.dead-letter"} 0"#,
        r#"orderflow_connectors_dead_letters{topic="order_placed.postgres.dead-letter"} 0"#,
        r#"orderflow_connectors_dead_letters{topic="orders.dead-letter"} 1"#,
    ];
    until(&metrics, &one).await;
    house.answer_for(ORDERS_DEAD_LETTER, REFUSED);
    until(&metrics, &[]).await;
    house.answer_for(ORDERS_DEAD_LETTER, ALLOWED);
    until(&metrics, &one).await;
    tasks.drain(PATIENCE).await;
}
