//! Kafka: whole topics, committed offsets, and what a group has not yet read.
//!
//! Assigns partitions by hand and commits nothing, so that no group of anybody is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::ReadError;
use super::positions::Offsets;
use crate::row::Version;
use crate::world::Headers;

/// How long one call may take.
pub(super) const CALL: Duration = Duration::from_secs(20);
/// How long a whole topic may take.
const TOPIC: Duration = Duration::from_secs(180);

/// Which records are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// What was committed.
    Committed,
    /// Also what was aborted, or is still open.
    Uncommitted,
}

/// A record, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Partition and offset.
    pub at: Version,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The headers, in order.
    pub headers: Headers,
}

impl Record {
    /// The last header of this name, as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let (_, value) = self.headers.iter().rev().find(|(header, _)| header == name)?;
        Some(String::from_utf8_lossy(value.as_deref()?).into_owned())
    }

    fn of(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().map(|headers| {
            headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
        });
        Self {
            at: Version { partition: message.partition(), offset: message.offset() },
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers.unwrap_or_default(),
        }
    }
}

/// A Kafka to read from.
#[derive(Debug, Clone)]
pub struct Kafka {
    servers: String,
}

impl Kafka {
    /// The cluster behind these bootstrap servers.
    #[must_use]
    pub fn new(servers: &str) -> Self {
        Self { servers: servers.to_owned() }
    }

    /// Every record of `topic` up to its end as it is now.
    ///
    /// # Errors
    /// When the topic is not there or does not end in time.
    pub fn topic(&self, topic: &str, isolation: Isolation) -> Result<Vec<Record>, ReadError> {
        let consumer = self.consumer("promise-checker", isolation)?;
        let starts =
            self.partitions(&consumer, topic)?.into_iter().map(|partition| (partition, Offset::Beginning)).collect();
        let mut records = Vec::new();
        self.drain(&consumer, topic, &starts, |message| records.push(Record::of(message)))?;
        records.sort_by_key(|record| record.at);
        Ok(records)
    }

    /// The records from `starts` (the beginning, where there is none) up to and without `ends`, seen in this isolation.
    ///
    /// # Errors
    /// When the topic cannot be read to its end.
    pub fn between(
        &self,
        topic: &str,
        starts: &Offsets,
        ends: &Offsets,
        isolation: Isolation,
    ) -> Result<Vec<Record>, ReadError> {
        let consumer = self.consumer("promise-checker", isolation)?;
        let start = |partition| starts.get(partition).map_or(Offset::Beginning, |offset| Offset::Offset(*offset));
        let starts = ends.keys().map(|partition| (*partition, start(partition))).collect();
        let mut records = Vec::new();
        self.drain(&consumer, topic, &starts, |message| {
            if ends.get(&message.partition()).is_some_and(|end| message.offset() < *end) {
                records.push(Record::of(message));
            }
        })?;
        Ok(records)
    }

    pub(super) fn consumer(&self, group: &str, isolation: Isolation) -> Result<BaseConsumer, ReadError> {
        ClientConfig::new()
            .set("bootstrap.servers", &self.servers)
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error")
            .set("fetch.wait.max.ms", "50")
            .set("fetch.message.max.bytes", "4194304")
            .set(
                "isolation.level",
                if isolation == Isolation::Committed { "read_committed" } else { "read_uncommitted" },
            )
            .create()
            .map_err(self.failed("a consumer".to_owned()))
    }

    pub(super) fn partitions(&self, consumer: &BaseConsumer, topic: &str) -> Result<BTreeSet<i32>, ReadError> {
        let fail = self.failed(format!("topic {topic}"));
        let metadata = consumer.fetch_metadata(Some(topic), CALL).map_err(&fail)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let partitions: BTreeSet<i32> =
            found.map(|found| found.partitions().iter().map(|partition| partition.id()).collect()).unwrap_or_default();
        if partitions.is_empty() {
            return Err(fail(KafkaError::MetadataFetch(rdkafka::types::RDKafkaErrorCode::UnknownTopicOrPartition)));
        }
        Ok(partitions)
    }

    /// Hands every record from `starts` to the end of each partition to `take`.
    fn drain(
        &self,
        consumer: &BaseConsumer,
        topic: &str,
        starts: &BTreeMap<i32, Offset>,
        mut take: impl FnMut(&BorrowedMessage<'_>),
    ) -> Result<(), ReadError> {
        let fail = self.failed(format!("topic {topic}"));
        let mut list = TopicPartitionList::new();
        for (partition, offset) in starts {
            list.add_partition_offset(topic, *partition, *offset).map_err(&fail)?;
        }
        consumer.assign(&list).map_err(&fail)?;
        let mut open: BTreeSet<i32> = starts.keys().copied().collect();
        let deadline = Instant::now() + TOPIC;
        while !open.is_empty() {
            if Instant::now() > deadline {
                return Err(ReadError::Deadline { what: format!("topic {topic}, partitions {open:?}"), limit: TOPIC });
            }
            match consumer.poll(Duration::from_millis(200)) {
                None => {}
                Some(Ok(message)) => take(&message),
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    open.remove(&partition);
                }
                // A broker that is away for a moment is asked again until the deadline.
                Some(Err(error)) if transient(&error) => {}
                Some(Err(error)) => return Err(fail(error)),
            }
        }
        Ok(())
    }

    pub(super) fn failed(&self, what: String) -> impl Fn(KafkaError) -> ReadError {
        let servers = self.servers.clone();
        move |source| ReadError::Kafka { what: what.clone(), servers: servers.clone(), source: Box::new(source) }
    }
}

fn transient(error: &KafkaError) -> bool {
    use rdkafka::types::RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(Code::BrokerTransportFailure | Code::AllBrokersDown | Code::OperationTimedOut | Code::Resolve)
    )
}
