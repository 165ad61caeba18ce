//! Whether an order was received again since: an older one must not go over it in a store that keeps no versions.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use service_kit::kafka::Brokers;

use super::letter::{Address, Letter};
use super::records::{Reading, read_from};
use crate::kafka::Input;

/// All that was received since is looked through within this.
const TIME: Duration = Duration::from_secs(60);

/// Where a later version of the letter's order lies, if there is one. A record that comes while this looks lies behind what
/// is sent afterwards, and wins by itself. Blocks.
///
/// # Errors
/// When the broker does not answer, or there is more than can be read in a minute.
pub(super) fn newer(kafka: &Brokers, letter: &Letter) -> anyhow::Result<Option<Address>> {
    let (topic, partition) = (&letter.input.topic, letter.input.partition);
    let (_, version) = letter.input.received();
    let Some(key) = &letter.input.key else { return Ok(None) };
    let (consumer, Range { start, end }) = Reading::by_command(kafka).open(topic, partition)?;
    let mut next = start.max(version + 1);
    read_from(&consumer, topic, partition, next)?;
    let until = Instant::now() + TIME;
    while next < end {
        if until < Instant::now() {
            bail!(
                "{topic}/{partition} was searched for a later version of the order up to offset {next} of {end} in {} s; \
                 `connectors dead-letters replay --time-limit` searches for as long as you say",
                TIME.as_secs()
            );
        }
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            // What is left are markers of transactions.
            Some(Err(KafkaError::PartitionEOF(_))) => break,
            Some(Err(error)) => bail!("cannot read {topic}: {error}"),
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
