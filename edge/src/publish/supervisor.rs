//! Looks after the producer: asks the broker for the topic's metadata at start, every second, and ten times a second
//! while something is wrong; replaces a producer that broke for good. Does not publish.

use std::{sync::Arc, time::Duration};

use rdkafka::{error::KafkaError, producer::Producer};
use service_kit::Tasks;

use super::{Kafka, Publisher, settings};

const ROUND_WHILE_UP: Duration = Duration::from_secs(1);
const ROUND_WHILE_DOWN: Duration = Duration::from_millis(100);
const PROBE_TIME: Duration = Duration::from_secs(1);

/// Runs until the service stops.
pub async fn supervise(publisher: Arc<Publisher>, tasks: Tasks) {
    while !tasks.is_stopping() {
        if let Some((code, reason)) = publisher.kafka().client().fatal_error() {
            tracing::error!(kafka.error = ?code, kafka.reason = reason, "producer broke, replacing it");
            replace(&publisher, &tasks);
        }
        probe(&publisher, &tasks).await;
        let pause = if publisher.broker.is_up().is_ok() { ROUND_WHILE_UP } else { ROUND_WHILE_DOWN };
        let _ = tasks.until_stop(tokio::time::timeout(pause, look_again(&publisher))).await;
    }
}

/// Something failed; but not more often than the shorter round, however much fails.
async fn look_again(publisher: &Publisher) {
    publisher.broker.attention().await;
    tokio::time::sleep(ROUND_WHILE_DOWN).await;
}

async fn probe(publisher: &Arc<Publisher>, tasks: &Tasks) {
    let (kafka, topic) = (publisher.kafka(), publisher.topic);
    match tasks.spawn_blocking(move || ask(&kafka, topic)).await {
        Ok(Ok(())) => publisher.broker.seen(),
        Ok(Err(reason)) => publisher.broker.lost(&reason),
        Err(_) => {} // the runtime ends
    }
}

/// Whether a broker answers, and has the topic with a leader for each partition.
fn ask(kafka: &Kafka, topic: &str) -> Result<(), String> {
    let metadata = kafka.client().fetch_metadata(Some(topic), PROBE_TIME).map_err(|error| describe(&error))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let found = found.filter(|found| !found.partitions().is_empty() && found.error().is_none());
    let found = found.ok_or_else(|| format!("topic {topic} is not there; `connectors apply` makes it"))?;
    match found.partitions().iter().find(|partition| partition.leader() < 0) {
        Some(partition) => Err(format!("partition {} of topic {topic} has no leader", partition.id())),
        None => Ok(()),
    }
}

fn describe(error: &KafkaError) -> String {
    match error.rdkafka_error_code() {
        Some(code) => format!("no broker answers ({code:?})"),
        None => "no broker answers".to_owned(),
    }
}

/// The old producer keeps what it was given until that is settled; only then is it dropped, which purges the rest.
fn replace(publisher: &Arc<Publisher>, tasks: &Tasks) {
    match publisher.replace() {
        Ok(old) => {
            publisher.broker.forgotten("the producer broke and was replaced");
            tasks.spawn_blocking(move || {
                let _ = old.flush(settings::MESSAGE_TIMEOUT);
            });
        }
        Err(error) => {
            tracing::error!(error = %error, "cannot make a new producer, trying again");
            publisher.broker.forgotten("the producer broke and could not be replaced yet");
        }
    }
}
