//! One group's way through one topic, followed with one client: cheap enough to be asked many times a second.

use std::collections::BTreeMap;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::ReadError;
use super::kafka::{CALL, Isolation, Kafka};

/// Offsets by partition.
pub type Offsets = BTreeMap<i32, i64>;

/// Follows a group. Joins nothing, commits nothing.
pub struct Positions {
    kafka: Kafka,
    consumer: BaseConsumer,
    group: String,
    topic: &'static str,
    partitions: TopicPartitionList,
}

impl Positions {
    /// `group` on `topic`; the ends are those that `isolation` shows.
    ///
    /// # Errors
    /// When Kafka cannot be asked which partitions there are.
    pub fn new(kafka: &Kafka, group: &str, topic: &'static str, isolation: Isolation) -> Result<Self, ReadError> {
        let consumer = kafka.consumer(group, isolation)?;
        let mut partitions = TopicPartitionList::new();
        for partition in kafka.partitions(&consumer, topic)? {
            partitions.add_partition(topic, partition);
        }
        Ok(Self { kafka: kafka.clone(), consumer, group: group.to_owned(), topic, partitions })
    }

    /// The group's name.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The offsets that the group has committed; a partition without one is not there.
    ///
    /// # Errors
    /// When Kafka does not answer for every partition.
    pub fn committed(&self) -> Result<Offsets, ReadError> {
        let fail = self.kafka.failed(format!("the offsets of group {}", self.group));
        offsets(&self.consumer.committed_offsets(self.partitions.clone(), CALL).map_err(&fail)?).map_err(fail)
    }

    /// The end of each partition: behind its last record, or before the first transaction that is still open.
    ///
    /// # Errors
    /// When Kafka does not answer for every partition.
    pub fn ends(&self) -> Result<Offsets, ReadError> {
        let fail = self.kafka.failed(format!("the ends of {}", self.topic));
        let mut ends = self.partitions.clone();
        ends.set_all_offsets(Offset::End).map_err(&fail)?;
        offsets(&self.consumer.offsets_for_times(ends, CALL).map_err(&fail)?).map_err(fail)
    }

    /// Offsets between the two: the group's lag, with the markers of transactions, which are no records.
    ///
    /// # Errors
    /// When Kafka cannot be asked.
    pub fn behind(&self) -> Result<i64, ReadError> {
        let (committed, ends) = (self.committed()?, self.ends()?);
        Ok(ends.iter().map(|(partition, end)| end - committed.get(partition).unwrap_or(&0)).sum())
    }
}

fn offsets(list: &TopicPartitionList) -> Result<Offsets, rdkafka::error::KafkaError> {
    let mut offsets = Offsets::new();
    for element in list.elements() {
        element.error()?;
        if let Offset::Offset(offset) = element.offset() {
            offsets.insert(element.partition(), offset);
        }
    }
    Ok(offsets)
}
