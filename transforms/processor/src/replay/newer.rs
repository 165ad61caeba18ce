//! Whether an order was received again since: an older one must not go over it in a store that keeps no versions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::letter::{Address, Letter};
use super::{CLIENT, PATIENCE};
use crate::kafka::{Input, client};

/// All that was received since is looked through within this.
const TIME: Duration = Duration::from_secs(60);

/// Where a later version of the letter's order lies, if there is one. A record that comes while this looks lies behind what
/// is sent afterwards, and wins by itself. Blocks.
///
/// # Errors
/// When the broker does not answer, or there is more than can be read in a minute.
pub(super) fn newer(kafka: &str, letter: &Letter) -> anyhow::Result<Option<Address>> {
    let (topic, partition) = (&letter.input.topic, letter.input.partition);
    let (_, version) = letter.input.received();
    let Some(key) = &letter.input.key else { return Ok(None) };
    let consumer: BaseConsumer<client::Log> =
        client::reader(kafka, CLIENT).create_with_context(client::Log).context("cannot make a Kafka consumer")?;
    let unreachable = || format!("cannot read {topic} at {kafka}; is Kafka up?");
    let (low, end) = consumer.fetch_watermarks(topic, partition, PATIENCE).with_context(unreachable)?;
    let mut next = low.max(version + 1);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(next))?;
    consumer.assign(&list)?;
    let until = Instant::now() + TIME;
    while next < end {
        if until < Instant::now() {
            bail!(
                "{topic}/{partition} was searched for a later version of the order up to offset {next} of {end} in {} s; \
                 `connectors dead-letters replay` searches longer",
                TIME.as_secs()
            );
        }
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            // What is left are markers of transactions.
            Some(Err(KafkaError::PartitionEOF(_))) => break,
            Some(Err(error)) => return Err(error).with_context(unreachable),
            Some(Ok(message)) => {
                next = message.offset() + 1;
                if message.key() != Some(key) {
                    continue;
                }
                let record = Input::copy(&message, Arc::clone(topic));
                if version < record.received().1 {
                    return Ok(Some(Address { topic: topic.to_string(), partition, offset: record.offset }));
                }
            }
        }
    }
    Ok(None)
}
