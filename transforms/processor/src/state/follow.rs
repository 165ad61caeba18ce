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
use service_kit::kafka::Brokers;
use service_kit::kafka::refusal::way_out;

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
pub fn both(brokers: &Brokers, client_id: &str, catalog: &Arc<Catalog>, tasks: &Tasks) {
    for topic in [topics::TRANSFORMS_MODULES, topics::TRANSFORMS_CONFIG] {
        let (brokers, client_id) = (brokers.clone(), client_id.to_owned());
        let (catalog, owned) = (Arc::clone(catalog), tasks.clone());
        tasks.spawn_blocking(move || follow(&brokers, &client_id, topic, &catalog, &owned));
    }
}

/// Follows `topic` into the catalog until the process stops. Blocks.
fn follow(brokers: &Brokers, client_id: &str, topic: &'static str, catalog: &Arc<Catalog>, tasks: &Tasks) {
    while !tasks.is_stopping() {
        match read(brokers, client_id, topic, catalog, tasks) {
            Ok(()) => return,
            Err(reason) => {
                if catalog.hindrance().unread(topic, &reason) {
                    tracing::info!(kafka.topic = topic, reason, "state topic cannot be read yet");
                }
                std::thread::sleep(LOOK_PAUSE);
            }
        }
    }
}

/// Reads on and on; an error, in words, where that cannot be begun.
fn read(
    brokers: &Brokers,
    client_id: &str,
    topic: &'static str,
    catalog: &Arc<Catalog>,
    tasks: &Tasks,
) -> Result<(), String> {
    let config = client::state_consumer(brokers, &format!("{client_id}-{topic}"));
    let consumer = BaseConsumer::from_config_and_context(&config, Log::default()).map_err(|error| error.to_string())?;
    while !exists(consumer.client(), topic).map_err(|error| client::last_words(&consumer, &error))? {
        catalog.hindrance().clear(topic);
        if tasks.is_stopping() {
            return Ok(());
        }
        std::thread::sleep(LOOK_PAUSE);
    }
    catalog.heard();
    from_the_beginning(&consumer, topic).map_err(|error| error.to_string())?;
    let mut asked = Instant::now();
    while !tasks.is_stopping() {
        // An idle consumer does not notice in a way that it tells when its broker comes back, so it is asked.
        if asked.elapsed() >= ASK_PAUSE {
            match exists(consumer.client(), topic) {
                Ok(_) => catalog.heard(),
                Err(error) => catalog.hindrance().away(consumer.context().words(&error)),
            }
            asked = Instant::now();
        }
        match consumer.poll(POLL_WAIT) {
            None => {}
            Some(Ok(message)) => {
                catalog.apply(topic, message.offset(), message.key().unwrap_or_default(), message.payload());
            }
            Some(Err(KafkaError::PartitionEOF(_))) => {
                catalog.caught_up(topic);
                catalog.hindrance().clear(topic);
            }
            Some(Err(error)) => report(&error, topic, catalog),
        }
    }
    Ok(())
}

fn from_the_beginning(consumer: &BaseConsumer<Log>, topic: &str) -> KafkaResult<()> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning)?;
    consumer.assign(&list)
}

/// The client gets over what it can by itself, and there is no more to a state topic than reading on. A right that is
/// missing it waits for as well, but somebody must hear of it.
fn report(error: &KafkaError, topic: &'static str, catalog: &Catalog) {
    let words = error.to_string();
    match way_out(&words) {
        Some(way) if catalog.hindrance().unread(topic, &format!("{words}; {way}")) => {
            tracing::warn!(kafka.topic = topic, error = words, "state topic cannot be read");
        }
        Some(_) | None => tracing::debug!(kafka.topic = topic, error = words, "state topic reports"),
    }
}

/// Whether a topic is there.
///
/// # Errors
/// When the broker does not answer, or does not let us see it.
pub fn exists(client: &Client<Log>, topic: &str) -> KafkaResult<bool> {
    Ok(0 < client::partitions(client, topic, METADATA_TIMEOUT)?)
}
