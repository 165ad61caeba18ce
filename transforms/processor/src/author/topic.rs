//! The newest records of a topic, read only: in no group, nothing committed, nothing made.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use schemas::registry::{Error, Registry};
use service_kit::kafka::Brokers;

use super::orders::Orders;
use crate::kafka::{Input, client};
use crate::record::writers::Source;

/// A broker that has not answered by now will not.
const ASK: Duration = Duration::from_secs(10);
/// Reading is over by now, with what is there.
const READ: Duration = Duration::from_secs(30);
/// What is kept in memory.
const MAX_BYTES: usize = 256 << 20;
const CLIENT: &str = "transforms-author";

/// Where a topic is.
#[derive(Debug, Clone, Copy)]
pub struct Address<'a> {
    /// The brokers, and who we are to them.
    pub kafka: &'a Brokers,
    /// The schema registry.
    pub registry: &'a str,
    /// The topic.
    pub topic: &'a str,
}

/// The newest `last` committed records of a topic, by their time, and a way to their schemas.
///
/// # Errors
/// When the broker does not answer, or there is no such topic or nothing in it.
pub fn newest(from: Address<'_>, last: usize) -> anyhow::Result<Orders> {
    let consumer: BaseConsumer<client::Log> = client::reader(from.kafka, CLIENT)
        .create_with_context(client::Log::default())
        .context("cannot make a Kafka consumer")?;
    let ends = assign(&consumer, from, last)?;
    let mut inputs = read(&consumer, from.topic, ends)?;
    let newer = |input: &Input| (input.timestamp_ms, input.partition, input.offset);
    inputs.sort_by_key(newer);
    inputs.drain(..inputs.len().saturating_sub(last));
    ensure!(!inputs.is_empty(), "topic {} has no records; post an order first, or use --input FILE", from.topic);
    let registry = Registry::new(from.registry).context("cannot make a client for the schema registry")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(Orders::Records { inputs, source: Arc::new(ById { registry, runtime }) })
}

/// Assigns the last records of each partition; answers where each partition with something in it ends.
fn assign(consumer: &BaseConsumer<client::Log>, from: Address<'_>, last: usize) -> anyhow::Result<BTreeMap<i32, i64>> {
    let unreachable = || format!("cannot reach Kafka at {}; is it up? --kafka names another", from.kafka);
    let told = |error: KafkaError| anyhow::Error::msg(client::last_words(consumer, &error));
    let partitions = client::partitions(consumer.client(), from.topic, ASK).map_err(told).with_context(unreachable)?;
    ensure!(0 < partitions, "there is no topic {} at {}; --from-topic names it", from.topic, from.kafka);
    let (mut list, mut ends) = (TopicPartitionList::new(), BTreeMap::new());
    let last = i64::try_from(last).unwrap_or(i64::MAX);
    for partition in 0..i32::try_from(partitions)? {
        let asked = consumer.fetch_watermarks(from.topic, partition, ASK);
        let (low, high) = asked.map_err(told).with_context(unreachable)?;
        if low < high {
            list.add_partition_offset(from.topic, partition, Offset::Offset(low.max(high.saturating_sub(last))))?;
            ends.insert(partition, high);
        }
    }
    consumer.assign(&list)?;
    Ok(ends)
}

/// Reads each partition to the end that it had.
fn read(consumer: &BaseConsumer<client::Log>, topic: &str, mut ends: BTreeMap<i32, i64>) -> anyhow::Result<Vec<Input>> {
    let name: Arc<str> = Arc::from(topic);
    let (mut inputs, mut bytes) = (Vec::new(), 0_usize);
    let until = Instant::now() + READ;
    while !ends.is_empty() {
        ensure!(Instant::now() < until, "reading {topic} took longer than {} s; use a smaller --last", READ.as_secs());
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                ends.remove(&partition);
            }
            Some(Err(error)) => bail!("cannot read {topic}: {}", consumer.context().words(&error)),
            Some(Ok(message)) => {
                let input = Input::copy(&message, Arc::clone(&name));
                let end = ends.get(&input.partition).copied().unwrap_or(0);
                if input.offset + 1 >= end {
                    ends.remove(&input.partition);
                }
                // What came while this was read is left to the next time.
                if input.offset < end {
                    bytes = bytes.saturating_add(input.size());
                    inputs.push(input);
                }
                ensure!(bytes <= MAX_BYTES, "the records of {topic} are above {MAX_BYTES} bytes; use a smaller --last");
            }
        }
    }
    Ok(inputs)
}

/// The registry, asked by id. A look at orders decides nothing, so a "no" is believed.
struct ById {
    registry: Registry,
    runtime: tokio::runtime::Runtime,
}

impl Source for ById {
    fn schema(&self, id: u32) -> Result<Option<String>, String> {
        match self.runtime.block_on(self.registry.by_id(id)) {
            Ok(registered) => Ok(Some(registered.schema.clone())),
            Err(Error::UnknownId(_)) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }
}
