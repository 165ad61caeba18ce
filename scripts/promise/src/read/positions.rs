//! One group's way through one topic, followed with one client: cheap enough to be asked many times a second.

use std::collections::BTreeMap;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use schemas::names::topics;

use super::kafka::{CALL, Isolation, Kafka};
use super::{ReadError, SINK_GROUPS, TRANSFORMS_GROUP};

/// Offsets by partition.
pub type Offsets = BTreeMap<i32, i64>;

/// What must move for an order to be stored: the transforms on the input, each sink on the output.
///
/// # Errors
/// As [`Positions::new`].
pub fn path(kafka: &Kafka) -> Result<Vec<Positions>, ReadError> {
    let sinks = SINK_GROUPS.map(|(_, group)| (group, topics::ORDER_PLACED));
    let groups = [(TRANSFORMS_GROUP, topics::ORDERS_RECEIVED)].into_iter().chain(sinks);
    groups.map(|(group, topic)| Positions::new(kafka, group, topic, Isolation::Committed)).collect()
}

/// Follows a group. Joins nothing, commits nothing.
pub struct Positions {
    kafka: Kafka,
    consumer: BaseConsumer,
    group: String,
    topic: &'static str,
    isolation: Isolation,
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
        Ok(Self { kafka: kafka.clone(), consumer, group: group.to_owned(), topic, isolation, partitions })
    }

    /// The group's name.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.group
    }

    /// How many partitions the topic has.
    #[must_use]
    pub fn partitions(&self) -> i32 {
        i32::try_from(self.partitions.count()).unwrap_or(i32::MAX)
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

    /// Offsets between the two: the group's lag, with the markers of transactions, which are no records. Up to `look_at`
    /// offsets are looked at one by one, and then only records count.
    ///
    /// # Errors
    /// When Kafka cannot be asked.
    pub fn lag(&self, look_at: usize) -> Result<usize, ReadError> {
        let (committed, ends) = (self.committed()?, self.ends()?);
        let offsets: i64 = ends.iter().map(|(partition, end)| end - committed.get(partition).unwrap_or(&0)).sum();
        let offsets = usize::try_from(offsets).unwrap_or_default(); // a commit may lie behind the end of a moment ago
        if look_at < offsets {
            return Ok(offsets);
        }
        self.records(&committed, &ends)
    }

    /// Records between these offsets, without the markers of transactions.
    ///
    /// # Errors
    /// When Kafka cannot be asked.
    pub fn records(&self, from: &Offsets, to: &Offsets) -> Result<usize, ReadError> {
        Ok(self.kafka.between(self.topic, from, to, self.isolation)?.len())
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
