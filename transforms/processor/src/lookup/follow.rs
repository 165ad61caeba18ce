//! Reads the topic of a table: from the beginning to the end, then on. Starts over when the topic is not what it was
//! (deleted and made again, more partitions), or when the table became too large; until it is right again nothing can
//! be looked up, and the pipelines that need it wait.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use service_kit::kafka::Brokers;
use service_kit::kafka::refusal::with_way_out;

use super::Followed;
use super::table::{Full, Snapshot, Table};
use crate::kafka::client::{self, Log};
use crate::pipeline::spec::Lookup;

/// A stop is noticed within this time.
const POLL_WAIT: Duration = Duration::from_millis(100);
/// What was read is shown to the slots after so many records, or when there are no more for now.
const SHOWN_RECORDS: usize = 1_000;
/// Between two tries.
const TRY_PAUSE: Duration = Duration::from_millis(500);
/// Before a table that was too large is read again: somebody has to change something first.
const FULL_PAUSE: Duration = Duration::from_secs(10);
/// How often the partitions are counted.
const COUNT_PAUSE: Duration = Duration::from_secs(30);
const METADATA_TIMEOUT: Duration = Duration::from_secs(3);

/// Why reading ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("topic {topic} cannot be read: {cause}")]
    Kafka { topic: String, cause: KafkaError },
    #[error("topic {0} is not there; make it, compacted, and write the table to it")]
    NoTopic(String),
    #[error("topic {topic} has {full}")]
    Full { topic: String, full: Full },
    #[error("topic {0} could not be read in time")]
    Slow(String),
    #[error("topic {0} is another one than before, or has more partitions; it is read again")]
    Changed(String),
}

impl Ended {
    /// With what to do about a right that is missing.
    fn in_words(&self) -> String {
        with_way_out(self.to_string())
    }
}

/// Follows the table's topic until `over` says so. Blocks.
pub(super) fn follow(brokers: &Brokers, client_id: &str, table: &Arc<Followed>, over: &dyn Fn() -> bool) {
    while !over() {
        let ended = Reading::open(brokers, client_id, &table.lookup).and_then(|reading| reading.follow(table, over));
        let Err(ended) = ended else { return };
        let pause = if matches!(ended, Ended::Full { .. }) { FULL_PAUSE } else { TRY_PAUSE };
        table.refuse(ended.in_words());
        let until = Instant::now() + pause;
        while Instant::now() < until && !over() {
            std::thread::sleep(POLL_WAIT);
        }
    }
}

/// The table as it was when each partition had been read up to these offsets, as far as compaction left it. Blocks.
///
/// # Errors
/// When it cannot be read in this time.
pub fn until(
    brokers: &Brokers,
    client_id: &str,
    lookup: &Lookup,
    next: &BTreeMap<i32, i64>,
    time: Duration,
) -> Result<Arc<Snapshot>, String> {
    let reading = Reading::open(brokers, client_id, lookup).map_err(|ended| ended.in_words())?;
    reading.until(next, Instant::now() + time).map_err(|ended| ended.in_words())
}

/// Of these keys, those whose first record in the topic lies at or behind `next` of its partition: where it lies. Blocks.
///
/// # Errors
/// When the topic cannot be read in this time.
pub fn newer(
    brokers: &Brokers,
    client_id: &str,
    lookup: &Lookup,
    (next, keys): (&BTreeMap<i32, i64>, &BTreeSet<Vec<u8>>),
    time: Duration,
) -> Result<Vec<(i32, i64)>, String> {
    let reading = Reading::open(brokers, client_id, lookup).map_err(|ended| ended.in_words())?;
    let firsts = reading.firsts(keys, Instant::now() + time).map_err(|ended| ended.in_words())?;
    let is_newer = |(partition, offset): &(i32, i64)| next.get(partition).is_none_or(|next| offset >= next);
    Ok(firsts.into_values().filter(is_newer).collect())
}

/// A consumer at some place of the topic, and what it has read so far.
struct Reading {
    topic: String,
    consumer: BaseConsumer<Log>,
    partitions: usize,
    table: Table,
    read: usize,
    /// Partitions whose end was reached.
    ended: BTreeSet<i32>,
}

/// What a poll brought.
enum Polled {
    Nothing,
    Record,
}

impl Reading {
    fn open(brokers: &Brokers, client_id: &str, lookup: &Lookup) -> Result<Self, Ended> {
        let topic = lookup.topic.clone();
        let failed = |cause| Ended::Kafka { topic: topic.clone(), cause };
        let config = client::state_consumer(brokers, &format!("{client_id}-lookup-{topic}"));
        let consumer: BaseConsumer<Log> =
            BaseConsumer::from_config_and_context(&config, Log::default()).map_err(failed)?;
        let partitions = partitions(&consumer, &topic).map_err(failed)?;
        if partitions == 0 {
            return Err(Ended::NoTopic(topic));
        }
        let mut list = TopicPartitionList::with_capacity(partitions);
        for partition in 0..i32::try_from(partitions).unwrap_or(i32::MAX) {
            list.add_partition_offset(&topic, partition, Offset::Beginning).map_err(failed)?;
        }
        consumer.assign(&list).map_err(failed)?;
        let table = Table::new(lookup.max_bytes, lookup.max_entries);
        Ok(Self { topic, consumer, partitions, table, read: 0, ended: BTreeSet::new() })
    }

    fn follow(mut self, table: &Followed, over: &dyn Fn() -> bool) -> Result<(), Ended> {
        let (mut unseen, mut shown, mut counted) = (0, false, Instant::now());
        while !over() {
            let polled = self.poll(POLL_WAIT, &BTreeMap::new())?;
            unseen += usize::from(matches!(polled, Polled::Record));
            let all = self.ended.len() >= self.partitions;
            let news = unseen >= SHOWN_RECORDS || (unseen > 0 && matches!(polled, Polled::Nothing));
            if all && (!shown || news) {
                table.publish(self.table.snapshot());
                if !std::mem::replace(&mut shown, true) {
                    tracing::info!(kafka.topic = self.topic, records = self.read, "lookup table is read");
                }
                unseen = 0;
            }
            if !shown {
                table.loading(self.read);
            }
            if counted.elapsed() >= COUNT_PAUSE {
                // A broker that is away says nothing of the topic; the table stays as it was.
                if partitions(&self.consumer, &self.topic).is_ok_and(|now| now != self.partitions) {
                    return Err(Ended::Changed(self.topic));
                }
                counted = Instant::now();
            }
        }
        Ok(())
    }

    fn until(mut self, next: &BTreeMap<i32, i64>, deadline: Instant) -> Result<Arc<Snapshot>, Ended> {
        let there = |reading: &Self| {
            next.iter().all(|(partition, next)| {
                reading.ended.contains(partition) || reading.table.next(*partition).is_some_and(|at| at >= *next)
            })
        };
        while !there(&self) {
            if Instant::now() >= deadline {
                return Err(Ended::Slow(self.topic));
            }
            self.poll(POLL_WAIT, next)?;
        }
        Ok(self.table.snapshot())
    }

    /// Where each of these keys stands first, up to the end of each partition.
    fn firsts(mut self, keys: &BTreeSet<Vec<u8>>, deadline: Instant) -> Result<BTreeMap<Vec<u8>, (i32, i64)>, Ended> {
        let mut firsts = BTreeMap::new();
        while self.ended.len() < self.partitions {
            if Instant::now() >= deadline {
                return Err(Ended::Slow(self.topic));
            }
            match self.consumer.poll(POLL_WAIT) {
                Some(Ok(message)) => {
                    if let Some(key) = message.key().and_then(|key| keys.get(key)) {
                        firsts.entry(key.clone()).or_insert((message.partition(), message.offset()));
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    self.ended.insert(partition);
                }
                // The client gets over what it can by itself.
                Some(Err(error)) => {
                    tracing::debug!(kafka.topic = self.topic, error = %error, "lookup topic reports");
                }
                None => {}
            }
        }
        Ok(firsts)
    }

    /// Takes in the next record, unless it is at or behind `end` of its partition.
    fn poll(&mut self, wait: Duration, end: &BTreeMap<i32, i64>) -> Result<Polled, Ended> {
        match self.consumer.poll(wait) {
            None => Ok(Polled::Nothing),
            Some(Ok(message)) => {
                let (partition, offset) = (message.partition(), message.offset());
                if end.get(&partition).is_some_and(|end| offset >= *end) {
                    self.ended.insert(partition);
                    return Ok(Polled::Record);
                }
                if self.table.next(partition).is_some_and(|next| offset < next) {
                    return Err(Ended::Changed(self.topic.clone()));
                }
                let taken = self.table.take(message.key(), message.payload(), (partition, offset));
                taken.map_err(|full| Ended::Full { topic: self.topic.clone(), full })?;
                self.read += 1;
                Ok(Polled::Record)
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                self.ended.insert(partition);
                Ok(Polled::Nothing)
            }
            // The client gets over what it can by itself.
            Some(Err(error)) => {
                tracing::debug!(kafka.topic = self.topic, error = %error, "lookup topic reports");
                Ok(Polled::Nothing)
            }
        }
    }
}

fn partitions(consumer: &BaseConsumer<Log>, topic: &str) -> KafkaResult<usize> {
    client::partitions(consumer.client(), topic, METADATA_TIMEOUT)
}
