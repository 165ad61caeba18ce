//! The committed offsets of a pipeline's group as an operator sees and sets them. Never joins the group: Kafka takes
//! offsets from outside only while nobody is in it, which is what keeps a running slot's position its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaErrorCode as Code;
use service_kit::kafka::Brokers;

use super::client::{self, Log};
use super::consumer_context;
use super::positions::Place;

/// How long Kafka may take for one question.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);
/// A slot that has ended stays in its group until its session is over, since it may come back.
const EMPTY_TIMEOUT: Duration = Duration::from_secs(client::SESSION_TIMEOUT.as_secs() + 6);
/// Between two tries to set offsets.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// Where a group stands in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The partition.
    pub place: Place,
    /// The next offset that the group will read; `None` before its first commit.
    pub committed: Option<i64>,
    /// What the log has, the end exclusive.
    pub log: (i64, i64),
}

impl Position {
    /// Offsets that are still to be read.
    #[must_use]
    pub fn lag(&self) -> i64 {
        0.max(self.log.1 - self.committed.unwrap_or(self.log.0))
    }
}

/// Why offsets were not set.
#[derive(Debug, thiserror::Error)]
pub enum NotSet {
    /// Kafka says that the group has members.
    #[error(
        "the group still has members after {0:?}: another process runs this pipeline and has not stopped yet",
        EMPTY_TIMEOUT
    )]
    Members,
    /// Kafka does not say whether it has taken them.
    #[error("no answer within {0:?}; they may be set all the same")]
    Late(Duration),
    /// Anything else.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
}

/// A group seen from outside. All calls block, each for a bounded time.
pub struct Offsets {
    /// Shared with the commit that is under way.
    consumer: Arc<BaseConsumer<Log>>,
}

impl Offsets {
    /// For a group. Does not connect yet.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn of(brokers: &Brokers, client_id: &str, group: &str) -> KafkaResult<Self> {
        let config = client::outsider(brokers, client_id, group);
        Ok(Self { consumer: Arc::new(BaseConsumer::from_config_and_context(&config, Log::default())?) })
    }

    /// The cluster's id.
    #[must_use]
    pub fn cluster_id(&self) -> Option<String> {
        self.consumer.client().fetch_cluster_id(ASK_TIMEOUT)
    }

    /// Where the group stands in each partition of these topics. A topic that is not there has none.
    ///
    /// # Errors
    /// When Kafka does not answer.
    pub fn positions(&self, topics: &[String]) -> KafkaResult<Vec<Position>> {
        let mut asked = TopicPartitionList::new();
        for topic in topics {
            let metadata = self.consumer.fetch_metadata(Some(topic), ASK_TIMEOUT)?;
            let found = metadata.topics().iter().find(|found| found.name() == topic.as_str());
            for partition in found.map(rdkafka::metadata::MetadataTopic::partitions).unwrap_or_default() {
                asked.add_partition(topic, partition.id());
            }
        }
        if asked.count() == 0 {
            return Ok(Vec::new());
        }
        let committed = self.consumer.committed_offsets(asked, ASK_TIMEOUT)?;
        let position = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| -> KafkaResult<Position> {
            element.error()?;
            let place = Place { topic: Arc::from(element.topic()), partition: element.partition() };
            let log = self.consumer.fetch_watermarks(&place.topic, place.partition, ASK_TIMEOUT)?;
            let committed = match element.offset() {
                Offset::Offset(at) => Some(at),
                Offset::Invalid | Offset::Beginning | Offset::End | Offset::Stored | Offset::OffsetTail(_) => None,
            };
            Ok(Position { place, committed, log })
        };
        committed.elements().iter().map(position).collect()
    }

    /// Sets the group's offsets; waits until nobody is in the group any more.
    ///
    /// # Errors
    /// [`NotSet`]; then none of them is set, unless it is late.
    pub fn set(&self, next: &BTreeMap<Place, i64>) -> Result<(), NotSet> {
        let list = consumer_context::list(next)?;
        let until = Instant::now() + EMPTY_TIMEOUT;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.commit(&list, left.max(ASK_TIMEOUT))? {
                Ok(()) => return Ok(()),
                Err(error) if !has_members(&error) => return Err(error.into()),
                Err(_) if until <= Instant::now() => return Err(NotSet::Members),
                Err(_) => std::thread::sleep(RETRY_PAUSE),
            }
        }
    }

    /// What Kafka says to a commit. librdkafka gives it no end where a broker hangs, and closes no consumer before: so it
    /// has a thread of its own, which is the last to have the client then.
    fn commit(&self, list: &TopicPartitionList, time: Duration) -> Result<KafkaResult<()>, NotSet> {
        let (told, answer) = mpsc::sync_channel(1);
        let (consumer, list) = (Arc::clone(&self.consumer), list.clone());
        let commit = move || {
            // Perhaps nobody waits any more.
            let _ = told.send(consumer.commit(&list, CommitMode::Sync));
        };
        if let Err(error) = std::thread::Builder::new().name("commit".to_owned()).spawn(commit) {
            tracing::warn!(error = %error, "a thread cannot be started");
        }
        match answer.recv_timeout(time) {
            Ok(said) => Ok(said),
            Err(RecvTimeoutError::Timeout) => Err(NotSet::Late(time)),
            // There is no thread.
            Err(RecvTimeoutError::Disconnected) => Err(KafkaError::Canceled.into()),
        }
    }
}

/// How Kafka says to a committer from outside that others are in the group.
fn has_members(error: &KafkaError) -> bool {
    let members = [Code::UnknownMemberId, Code::IllegalGeneration, Code::RebalanceInProgress, Code::FencedInstanceId];
    error.rdkafka_error_code().is_some_and(|code| members.contains(&code))
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;

    use super::*;

    #[test]
    fn a_commit_that_no_broker_answers_is_told_as_late_and_nobody_waits_for_its_client() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("in", 1, 1).unwrap();
        let offsets = Offsets::of(&cluster.bootstrap_servers().into(), "test", "g").unwrap();
        let next = BTreeMap::from([(Place { topic: Arc::from("in"), partition: 0 }, 0)]);
        // So it knows the way.
        offsets.set(&next).unwrap();
        cluster.broker_round_trip_time(1, Duration::from_secs(3)).unwrap();
        let (client, begun, time) = (Arc::downgrade(&offsets.consumer), Instant::now(), Duration::from_millis(500));
        let late = offsets.commit(&consumer_context::list(&next).unwrap(), time).unwrap_err();
        assert!(matches!(late, NotSet::Late(told) if told == time), "{late}");
        drop(offsets);
        assert!(begun.elapsed() < time * 4, "{:?}", begun.elapsed());
        // It goes with the answer.
        while 0 < client.strong_count() {
            assert!(begun.elapsed() < EMPTY_TIMEOUT, "it is there for ever");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn the_lag_of_a_partition_that_was_never_read_is_its_log() {
        let at = |committed, log| Position { place: Place { topic: Arc::from("t"), partition: 0 }, committed, log };
        for (committed, log, lag) in
            [(None, (3, 10), 7), (Some(4), (3, 10), 6), (Some(10), (3, 10), 0), (Some(12), (3, 10), 0)]
        {
            assert_eq!(at(committed, log).lag(), lag, "{committed:?} in {log:?}");
        }
    }
}
