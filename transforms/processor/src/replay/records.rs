//! Records that are there, read only: in no group, nothing committed. Everything here blocks, for a bounded time.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use service_kit::kafka::Brokers;
use service_kit::kafka::refusal::with_way_out;

use super::letter::Address;
use super::{CLIENT, PATIENCE};
use crate::kafka::{Input, client};

/// Between two looks whether anybody still waits.
const POLL: Duration = Duration::from_millis(100);

/// Why something is not told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Untold {
    /// It is not there, or not any more.
    #[error("{0}")]
    Gone(String),
    /// It may be, a little later.
    #[error("{0}")]
    Later(String),
}

/// Who reads.
pub(super) struct Reading<'r> {
    pub(super) kafka: &'r Brokers,
    pub(super) client_id: &'r str,
    /// The broker must answer within this, and then send the record within as much.
    pub(super) time: Duration,
    /// Whether nobody waits for it any more.
    pub(super) is_over: &'r dyn Fn() -> bool,
}

impl<'r> Reading<'r> {
    /// For a command, which somebody waits for.
    pub(super) fn by_command(kafka: &'r Brokers) -> Self {
        Self { kafka, client_id: CLIENT, time: PATIENCE, is_over: &|| false }
    }

    /// Who reads one partition, and the offsets that are there now.
    pub(super) fn open(&self, topic: &str, partition: i32) -> Result<(BaseConsumer<client::Log>, Range<i64>), Untold> {
        let consumer = self.consumer("read_committed")?;
        match consumer.fetch_watermarks(topic, partition, self.time) {
            Ok((low, high)) => Ok((consumer, low..high)),
            Err(error) => {
                let words = client::last_words(&consumer, &error);
                let kafka = self.kafka;
                let words = format!("cannot read {topic} at {kafka}; is Kafka up, and is there such a topic?: {words}");
                Err(if is_absent(&error) { Untold::Gone(words) } else { Untold::Later(words) })
            }
        }
    }

    /// Who reads records of open transactions, too, among them one's own.
    pub(super) fn of_everything(&self) -> Result<BaseConsumer<client::Log>, Untold> {
        self.consumer("read_uncommitted")
    }

    fn consumer(&self, isolation: &str) -> Result<BaseConsumer<client::Log>, Untold> {
        let unmade = |error: KafkaError| Untold::Later(format!("cannot make a Kafka consumer: {error}"));
        let mut config = client::reader(self.kafka, self.client_id);
        config.set("isolation.level", isolation);
        config.create_with_context(client::Log::default()).map_err(unmade)
    }

    /// What lies at an address, if it is committed.
    pub(super) fn one(&self, at: &Address) -> Result<Input, Untold> {
        let Address { topic, partition, offset } = at;
        let (consumer, Range { start, end }) = self.open(topic, *partition)?;
        if !(start..end).contains(offset) {
            let words = format!("partition {partition} of {topic} has the offsets {start} to {end}");
            return Err(Untold::Gone(words));
        }
        let unread =
            |error: &KafkaError| Untold::Later(format!("cannot read {topic}: {}", with_way_out(error.to_string())));
        read_from(&consumer, topic, *partition, *offset).map_err(|error| unread(&error))?;
        let none =
            || Untold::Gone(format!("no committed record lies at {at}; a consumer shows which offsets have one"));
        let until = Instant::now() + self.time;
        while Instant::now() < until && !(self.is_over)() {
            match consumer.poll(POLL) {
                None => {}
                Some(Err(KafkaError::PartitionEOF(_))) => return Err(none()),
                Some(Err(error)) => return Err(unread(&error)),
                Some(Ok(message)) if message.offset() != *offset => return Err(none()),
                Some(Ok(message)) => return Ok(Input::copy(&message, Arc::from(topic.as_str()))),
            }
        }
        Err(Untold::Later(format!("the broker did not send {at} in {} s", self.time.as_secs())))
    }
}

/// Gives what lies at these offsets of a partition to `each`, the oldest first, until that breaks or the time is over. All
/// before the offset that it answers was given.
pub(super) fn each(
    consumer: &BaseConsumer<client::Log>,
    (topic, partition): (&str, i32),
    Range { start, end }: Range<i64>,
    time: Duration,
    mut each: impl FnMut(&BorrowedMessage<'_>) -> ControlFlow<()>,
) -> anyhow::Result<i64> {
    let unread = |error: &KafkaError| anyhow!("cannot read {topic}: {}", consumer.context().words(error));
    let (mut next, until) = (start, Instant::now() + time);
    if next < end {
        read_from(consumer, topic, partition, next).map_err(|error| unread(&error))?;
    }
    while next < end && Instant::now() < until {
        match consumer.poll(POLL) {
            None => {}
            // What is left are markers of transactions.
            Some(Err(KafkaError::PartitionEOF(_))) => next = end,
            Some(Err(error)) => return Err(unread(&error)),
            Some(Ok(message)) if end <= message.offset() => next = end,
            Some(Ok(message)) => {
                next = message.offset() + 1;
                if each(&message).is_break() {
                    break;
                }
            }
        }
    }
    Ok(next)
}

/// From now on a poll gives what lies at `offset` and behind it.
fn read_from(consumer: &BaseConsumer<client::Log>, topic: &str, partition: i32, offset: i64) -> KafkaResult<()> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(offset))?;
    consumer.assign(&list)
}

/// The broker answered, and has no such topic or partition.
fn is_absent(error: &KafkaError) -> bool {
    let codes = [Code::UnknownPartition, Code::UnknownTopic, Code::UnknownTopicOrPartition];
    error.rdkafka_error_code().is_some_and(|code| codes.contains(&code))
}
