//! Reads records of one partition, newest first in growing pieces, under a bound of records and time, and says how far it
//! came. Committed records only; in no group, nothing committed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode as Code};
use rdkafka::message::BorrowedMessage;
use rdkafka::metadata::MetadataTopic;
use rdkafka::{Message, Offset, TopicPartitionList};
use service_kit::kafka::Brokers;
use service_kit::near;

use super::KafkaError;
use super::client::{self, Consumer};
use super::record::{Address, Record};

/// How long Kafka may take for one question.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The newest piece; each further one is so many times as large.
const FIRST_PIECE: i64 = 20_000;
const GROWTH: i64 = 8;
/// Wanted records that lie no farther apart are read together with what is between them.
const NEAR: i64 = 2_000;
/// So many found records of a partition are kept, the newest; the rest is counted.
const KEPT: usize = 200;

/// How far a search goes.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Offsets of a partition, counted from its end.
    pub records: i64,
    /// The whole search ends here.
    pub until: Instant,
    /// What is older than this is not looked at.
    pub since_ms: Option<i64>,
}

/// What a search came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// What was found, the oldest first.
    pub records: Vec<Record>,
    /// So many more were found, older than these.
    pub more: usize,
    /// All was looked at from this offset on.
    pub from: i64,
    /// The first offset that the topic still has.
    pub low: i64,
    /// The last stable offset.
    pub end: i64,
    /// The time of the oldest record that was looked at.
    pub oldest_ms: Option<i64>,
}

impl Found {
    /// Everything that the partition ever held was looked at.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.from <= self.low && self.low == 0
    }
}

/// A reader of topics. All calls block; each has a time limit.
pub struct Scanner {
    consumer: Consumer,
    brokers: Brokers,
}

impl Scanner {
    /// Sees committed records only.
    ///
    /// # Errors
    /// [`KafkaError::Client`] where the client cannot be made.
    pub fn new(brokers: &Brokers) -> Result<Self, KafkaError> {
        Self::with(brokers, "read_committed")
    }

    /// Sees records of open transactions, too, among them one's own.
    ///
    /// # Errors
    /// [`KafkaError::Client`] where the client cannot be made.
    pub fn of_everything(brokers: &Brokers) -> Result<Self, KafkaError> {
        Self::with(brokers, "read_uncommitted")
    }

    fn with(brokers: &Brokers, isolation: &str) -> Result<Self, KafkaError> {
        let mut config = client::config(brokers, "connectors-scan");
        config
            // It is in no group; librdkafka wants a name all the same.
            .set("group.id", "connectors-scan")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error")
            .set("allow.auto.create.topics", "false")
            .set("isolation.level", isolation)
            .set("queued.max.messages.kbytes", "16384")
            // An answer at the end of a partition waits so long for more.
            .set("fetch.wait.max.ms", "50")
            .set("reconnect.backoff.max.ms", "2000");
        Ok(Self { consumer: client::consumer(&config, brokers)?, brokers: brokers.clone() })
    }

    /// How many partitions a topic has; none where there is no such topic.
    ///
    /// # Errors
    /// [`KafkaError`].
    pub fn partitions(&self, topic: &str) -> Result<i32, KafkaError> {
        match self.topics()?.get(topic).copied().unwrap_or(0) {
            0 => client::not_hidden(&self.consumer, &self.brokers, topic, TIMEOUT).map(|()| 0),
            partitions => Ok(partitions),
        }
    }

    /// That there is no such topic, and which one may be meant.
    ///
    /// # Errors
    /// [`KafkaError`].
    pub fn no_topic(&self, topic: &str) -> Result<KafkaError, KafkaError> {
        let all = self.topics()?;
        let near = near::suggest(topic, all.keys().map(String::as_str)).map(str::to_owned);
        Ok(KafkaError::NoTopic { servers: self.brokers.to_string(), topic: topic.to_owned(), near })
    }

    /// How many partitions each topic has. All are listed, since asking for one by name may make it.
    fn topics(&self) -> Result<BTreeMap<String, i32>, KafkaError> {
        let metadata = self.consumer.fetch_metadata(None, TIMEOUT).map_err(|e| self.failed(e))?;
        let count = |found: &MetadataTopic| i32::try_from(found.partitions().len()).unwrap_or(i32::MAX);
        let seen = metadata.topics().iter().filter(|found| client::seen(found).is_ok());
        Ok(seen.map(|found| (found.name().to_owned(), count(found))).collect())
    }

    /// The first offset that a partition still has, and its end.
    ///
    /// # Errors
    /// [`KafkaError`].
    pub fn watermarks(&self, topic: &str, partition: i32) -> Result<(i64, i64), KafkaError> {
        match self.consumer.fetch_watermarks(topic, partition, TIMEOUT) {
            Err(cause) if cause.rdkafka_error_code() == Some(Code::UnknownPartition) => {
                Err(match self.partitions(topic)? {
                    0 => self.no_topic(topic)?,
                    partitions if partition < partitions => self.failed(cause),
                    partitions => KafkaError::NoPartition { topic: topic.to_owned(), partition, partitions },
                })
            }
            told => told.map_err(|cause| self.failed(cause)),
        }
    }

    /// The wanted records of a partition, looked for from its end backwards.
    ///
    /// # Errors
    /// [`KafkaError`].
    pub fn find(
        &self,
        topic: &str,
        partition: i32,
        bounds: Bounds,
        wanted: impl Fn(&BorrowedMessage<'_>) -> bool,
    ) -> Result<Found, KafkaError> {
        let (low, end) = self.watermarks(topic, partition)?;
        let since = bounds.since_ms.map(|since| self.at_time(topic, partition, since)).transpose()?.flatten();
        let floor = low.max(end.saturating_sub(bounds.records)).max(since.unwrap_or(low)).min(end);
        let mut found = Found { from: end, low, end, ..Found::default() };
        let mut piece = FIRST_PIECE;
        while floor < found.from {
            let from = floor.max(found.from.saturating_sub(piece));
            let (mut records, mut more, mut oldest) = (Vec::new(), 0, None);
            let whole = self.read(topic, partition, from..found.from, bounds.until, |message| {
                oldest = oldest.or(message.timestamp().to_millis());
                if wanted(message) {
                    records.push(Record::of(message));
                }
                // The oldest are the first to go, in steps, so that it costs little.
                if 2 * KEPT < records.len() {
                    more += records.drain(..KEPT).count();
                }
                ControlFlow::Continue(())
            })?;
            if !whole {
                break;
            }
            records.append(&mut found.records);
            let spare = records.len().saturating_sub(KEPT);
            found.more += more + records.drain(..spare).count();
            found.records = records;
            found.oldest_ms = oldest.or(found.oldest_ms);
            found.from = from;
            piece = piece.saturating_mul(GROWTH);
        }
        Ok(found)
    }

    /// The record at an address, or nothing where no committed one lies there.
    ///
    /// # Errors
    /// [`KafkaError`]; also where Kafka does not send it in time.
    pub fn one(&self, at: &Address) -> Result<Option<Record>, KafkaError> {
        let (low, end) = self.watermarks(&at.topic, at.partition)?;
        if !(low..end).contains(&at.offset) {
            return Ok(None);
        }
        let mut found = None;
        let range = at.offset..at.offset + 1;
        let whole = self.read(&at.topic, at.partition, range, Instant::now() + 2 * TIMEOUT, |message| {
            found = Some(Record::of(message));
            ControlFlow::Break(())
        })?;
        if whole { Ok(found) } else { Err(KafkaError::Late { topic: at.topic.clone(), partition: at.partition }) }
    }

    /// The first of the wanted records of a partition, and those that lie close behind one another, in one pass: at most
    /// so many, and what goes over so many bytes of values is the last.
    ///
    /// # Errors
    /// [`KafkaError`]; also where one of them is gone, or Kafka does not send them in time.
    pub fn wanted(
        &self,
        topic: &str,
        partition: i32,
        wanted: &BTreeSet<i64>,
        (records, bytes): (usize, usize),
    ) -> Result<Vec<Record>, KafkaError> {
        let near = stretch(wanted, records);
        let (Some(first), Some(last)) = (near.first(), near.last()) else { return Ok(Vec::new()) };
        let (mut found, mut size) = (Vec::new(), 0);
        let until = Instant::now() + 4 * TIMEOUT;
        let whole = self.read(topic, partition, *first..last + 1, until, |message| {
            if near.contains(&message.offset()) {
                size += message.payload_len();
                found.push(Record::of(message));
            }
            if size < bytes { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        if !whole {
            return Err(KafkaError::Late { topic: topic.to_owned(), partition });
        }
        let seen: BTreeSet<i64> = found.iter().map(|record| record.at.offset).collect();
        let end = if size < bytes { *last } else { seen.last().copied().unwrap_or(*first) };
        match near.range(..=end).find(|offset| !seen.contains(offset)) {
            Some(offset) => Err(KafkaError::Gone(Address::new(topic, partition, *offset))),
            None => Ok(found),
        }
    }

    /// Gives each record of a range to `each`, in order; false where the time was over first.
    ///
    /// # Errors
    /// [`KafkaError`].
    pub fn read(
        &self,
        topic: &str,
        partition: i32,
        range: std::ops::Range<i64>,
        until: Instant,
        mut each: impl FnMut(&BorrowedMessage<'_>) -> ControlFlow<()>,
    ) -> Result<bool, KafkaError> {
        if range.is_empty() {
            return Ok(true);
        }
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(range.start)).map_err(|e| self.failed(e))?;
        self.consumer.assign(&list).map_err(|e| self.failed(e))?;
        let read = loop {
            if until <= Instant::now() {
                break Ok(false);
            }
            match self.consumer.poll(Duration::from_millis(100)) {
                None => {}
                // Behind the last record there may be markers of transactions only.
                Some(Err(ClientError::PartitionEOF(_))) => break Ok(true),
                Some(Err(err)) => break Err(self.failed(err)),
                Some(Ok(message)) if range.end <= message.offset() => break Ok(true),
                Some(Ok(message)) => {
                    let last = message.offset() + 1 == range.end;
                    if each(&message).is_break() || last {
                        break Ok(true);
                    }
                }
            }
        };
        self.consumer.unassign().map_err(|e| self.failed(e))?;
        read
    }

    /// The first offset whose record is as new as this; nothing where Kafka does not tell.
    ///
    /// # Errors
    /// [`KafkaError`].
    pub fn at_time(&self, topic: &str, partition: i32, since_ms: i64) -> Result<Option<i64>, KafkaError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(since_ms)).map_err(|e| self.failed(e))?;
        let found = self.consumer.offsets_for_times(list, TIMEOUT).map_err(|e| self.failed(e))?;
        Ok(found.elements().first().and_then(|element| match element.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }))
    }

    fn failed(&self, cause: ClientError) -> KafkaError {
        client::failed(&self.consumer, &self.brokers, cause)
    }
}

/// Offsets that are read in one pass, from the first on.
fn stretch(wanted: &BTreeSet<i64>, most: usize) -> BTreeSet<i64> {
    let mut near = BTreeSet::new();
    for offset in wanted.iter().take(most) {
        if near.last().is_some_and(|last| NEAR < offset - last) {
            break;
        }
        near.insert(*offset);
    }
    near
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;

    use super::*;

    #[test]
    fn what_lies_close_together_is_read_in_one_pass() {
        let all = BTreeSet::from([3, 4, 4 + NEAR, 5 + 2 * NEAR, 6 + 2 * NEAR]);
        assert_eq!(stretch(&all, 10), BTreeSet::from([3, 4, 4 + NEAR]));
        assert_eq!(stretch(&all, 2), BTreeSet::from([3, 4]));
        assert_eq!(stretch(&BTreeSet::new(), 10), BTreeSet::new());
    }

    #[test]
    fn a_topic_that_we_may_not_see_is_not_one_that_is_not_there() {
        use rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED as REFUSED;
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("hidden", 3, 1).unwrap();
        cluster.topic_error("hidden", REFUSED).unwrap();
        let scanner = Scanner::new(&cluster.bootstrap_servers().into()).unwrap();
        assert_eq!(scanner.partitions("absent").unwrap(), 0);
        let told = scanner.partitions("hidden").unwrap_err().to_string();
        assert!(told.contains("topic hidden") && told.contains("edge/KAFKA.md"), "{told}");
    }

    #[test]
    fn an_address_that_cannot_be_is_told_with_what_there_is() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("orders.dead-letter", 3, 1).unwrap();
        let scanner = Scanner::new(&cluster.bootstrap_servers().into()).unwrap();
        let told = |topic, partition| scanner.watermarks(topic, partition).unwrap_err().to_string();
        assert_eq!(told("orders.dead-letter", 3), "orders.dead-letter has no partition 3: its partitions are 0 to 2");
        let no_topic = told("orders.dead-lettr", 0);
        assert!(no_topic.ends_with(" has no topic orders.dead-lettr; did you mean orders.dead-letter?"), "{no_topic}");
        assert!(!scanner.no_topic("else").unwrap().to_string().contains("mean"));
    }
}
