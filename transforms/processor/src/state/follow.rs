//! Reads a state topic from its beginning and on, for as long as the process runs. Waits for a topic that is not there
//! yet: only the deploy step makes topics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::client::Client;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use schemas::names::topics;
use service_kit::Tasks;

use super::catalog::Catalog;
use crate::kafka::client::{self, Log};

/// A stop is noticed within this time.
const POLL_WAIT: Duration = Duration::from_millis(100);
/// Between two looks for a topic.
const LOOK_PAUSE: Duration = Duration::from_millis(500);
/// How often the broker is asked whether it is there.
const ASK_PAUSE: Duration = Duration::from_secs(3);
const METADATA_TIMEOUT: Duration = Duration::from_secs(2);

/// Follows both state topics into the catalog, each on a thread of `tasks`.
pub fn both(brokers: &str, client_id: &str, catalog: &Arc<Catalog>, tasks: &Tasks) {
    for topic in [topics::TRANSFORMS_MODULES, topics::TRANSFORMS_CONFIG] {
        let (brokers, client_id) = (brokers.to_owned(), client_id.to_owned());
        let (catalog, owned) = (Arc::clone(catalog), tasks.clone());
        tasks.spawn_blocking(move || follow(&brokers, &client_id, topic, &catalog, &owned));
    }
}

/// Follows `topic` into the catalog until the process stops. Blocks.
fn follow(brokers: &str, client_id: &str, topic: &'static str, catalog: &Arc<Catalog>, tasks: &Tasks) {
    while !tasks.is_stopping() {
        match read(brokers, client_id, topic, catalog, tasks) {
            Ok(()) => return,
            Err(error) => {
                tracing::debug!(kafka.topic = topic, error = %error, "state topic cannot be read yet");
                std::thread::sleep(LOOK_PAUSE);
            }
        }
    }
}

fn read(brokers: &str, client_id: &str, topic: &'static str, catalog: &Arc<Catalog>, tasks: &Tasks) -> KafkaResult<()> {
    let config = client::state_consumer(brokers, &format!("{client_id}-{topic}"));
    let consumer: BaseConsumer<Log> = BaseConsumer::from_config_and_context(&config, Log)?;
    while !exists(consumer.client(), topic)? {
        if tasks.is_stopping() {
            return Ok(());
        }
        std::thread::sleep(LOOK_PAUSE);
    }
    catalog.heard();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning)?;
    consumer.assign(&list)?;
    let mut asked = Instant::now();
    while !tasks.is_stopping() {
        // An idle consumer does not notice in a way that it tells when its broker comes back, so it is asked.
        if asked.elapsed() >= ASK_PAUSE {
            if exists(consumer.client(), topic).is_ok() {
                catalog.heard();
            }
            asked = Instant::now();
        }
        match consumer.poll(POLL_WAIT) {
            None => {}
            Some(Ok(message)) => {
                catalog.apply(topic, message.offset(), message.key().unwrap_or_default(), message.payload());
            }
            Some(Err(KafkaError::PartitionEOF(_))) => catalog.caught_up(topic),
            // The client gets over what it can by itself, and there is no more to a state topic than reading on.
            Some(Err(error)) => tracing::debug!(kafka.topic = topic, error = %error, "state topic reports"),
        }
    }
    Ok(())
}

/// Whether a topic is there.
///
/// # Errors
/// When the broker does not answer.
pub fn exists(client: &Client<Log>, topic: &str) -> KafkaResult<bool> {
    let metadata = client.fetch_metadata(Some(topic), METADATA_TIMEOUT)?;
    Ok(metadata
        .topics()
        .iter()
        .any(|found| found.name() == topic && found.error().is_none() && !found.partitions().is_empty()))
}
