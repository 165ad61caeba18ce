//! What a real consumer does while partitions come and go: the calls of [`Member`]. Decides nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::{RDKafkaErrorCode as Code, RDKafkaRespErr};
use rdkafka::{Offset, TopicPartitionList};
use service_kit::waits;

use super::positions::Place;
use super::rebalance::{Change, Rebalances};
use super::seam::{Member, Offsets};
use super::{Call, Fault, client};

/// How long brokers may take for all that is asked when partitions come: as long as for a call of a transaction, since who
/// stops a slot waits for that and for its close. The most of it is for committed offsets, which the transaction of a dead
/// process holds back until it has timed out. A part of that is over when the group gives up the process; and to give up
/// here and join anew would take longer than to wait.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(client::TRANSACTION_TIMEOUT.as_secs() - 2);

/// Tells the session's side of it what the group does.
pub(super) struct Following(pub(super) Arc<Rebalances>);

/// A consumer while partitions come and go; all that it is asked then has one time.
struct Asked<'a, C: ConsumerContext> {
    consumer: &'a BaseConsumer<C>,
    begun: Instant,
    limit: Duration,
}

impl ClientContext for Following {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(error = %error, reason, "consumer reports");
    }
}

impl ConsumerContext for Following {
    /// Runs inside a poll, on the slot's own thread.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, kind: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let change = if kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            Change::Assigned
        } else {
            Change::Revoked
        };
        let elements = partitions.elements();
        let place = |topic: &str, partition| Place { topic: Arc::from(topic), partition };
        let places: Vec<Place> = elements.iter().map(|element| place(element.topic(), element.partition())).collect();
        self.0.change(&Asked::new(consumer, RESOLVE_TIMEOUT), change, &places);
    }
}

impl<'a, C: ConsumerContext> Asked<'a, C> {
    fn new(consumer: &'a BaseConsumer<C>, limit: Duration) -> Self {
        Self { consumer, begun: Instant::now(), limit }
    }

    fn left(&self) -> Duration {
        self.limit.saturating_sub(self.begun.elapsed())
    }

    /// What it said; a time-out names the time that all of it has.
    fn said<T>(&self, result: KafkaResult<T>) -> Result<T, Fault> {
        result.map_err(|error| {
            let fault = Fault::of(Call::Assign, &error);
            match error.rdkafka_error_code() {
                Some(Code::OperationTimedOut) => {
                    let text = format!("{}; all that is asked then may take {:?}", fault.text, self.limit);
                    Fault { text, ..fault }
                }
                Some(_) | None => fault,
            }
        })
    }
}

impl<C: ConsumerContext> Member for Asked<'_, C> {
    fn is_incremental(&self) -> bool {
        matches!(self.consumer.rebalance_protocol(), RebalanceProtocol::Cooperative)
    }

    fn is_lost(&self) -> bool {
        self.consumer.assignment_lost()
    }

    fn committed(&self, places: &[Place]) -> Result<Vec<(Place, Option<i64>)>, Fault> {
        let asked = || {
            let mut list = TopicPartitionList::with_capacity(places.len());
            for place in places {
                list.add_partition(&place.topic, place.partition);
            }
            // Waits for offsets that a transaction of a dead process still holds back.
            let committed = self.consumer.committed_offsets(list, self.left())?;
            let offset = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
                element.error()?;
                let place = Place { topic: Arc::from(element.topic()), partition: element.partition() };
                Ok(match element.offset() {
                    Offset::Offset(at) => (place, Some(at)),
                    Offset::Invalid | Offset::Beginning | Offset::End | Offset::Stored | Offset::OffsetTail(_) => {
                        (place, None)
                    }
                })
            };
            committed.elements().iter().map(offset).collect()
        };
        self.said(asked())
    }

    fn log(&self, place: &Place) -> Result<(i64, i64), Fault> {
        self.said(self.consumer.fetch_watermarks(&place.topic, place.partition, self.left()))
    }

    fn commit(&self, next: &Offsets) -> Result<(), Fault> {
        // librdkafka's own wait has no end. It throws away an answer that comes after ours. But it closes no consumer with
        // a commit under way: where a broker hangs in one, the process ends, as with any client that does not close.
        let committed =
            list(next).and_then(|list| waits::at_most(self.left(), || self.consumer.commit(&list, CommitMode::Sync)));
        self.said(committed)
    }

    fn assign(&self, next: &Offsets) -> Result<(), Fault> {
        let assigned = list(next).and_then(|list| {
            if self.is_incremental() {
                self.consumer.incremental_assign(&list)?;
            } else {
                self.consumer.assign(&list)?;
            }
            self.consumer.resume(&list)
        });
        self.said(assigned)
    }

    fn unassign(&self, places: &[Place]) -> Result<(), Fault> {
        if !self.is_incremental() {
            return self.said(self.consumer.unassign());
        }
        let mut list = TopicPartitionList::with_capacity(places.len());
        for place in places {
            list.add_partition(&place.topic, place.partition);
        }
        self.said(self.consumer.incremental_unassign(&list))
    }
}

/// The positions as the client takes them.
pub(super) fn list(next: &Offsets) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(next.len());
    for (place, at) in next {
        list.add_partition_offset(&place.topic, place.partition, Offset::Offset(*at))?;
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use rdkafka::config::FromClientConfigAndContext;
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::DefaultProducerContext;

    use super::*;
    use crate::kafka::client::{Log, Protocol};
    use crate::kafka::{Action, Identity, positions};

    const PATIENCE: Duration = Duration::from_secs(20);

    fn places(partitions: i32) -> Vec<Place> {
        (0..partitions).map(|partition| Place { topic: Arc::from("in"), partition }).collect()
    }

    /// Brokers that take so long for each answer from now on, and a client that has found its way to them before.
    fn slow(partitions: i32, takes: Duration) -> (MockCluster<'static, DefaultProducerContext>, BaseConsumer<Log>) {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("in", partitions, 1).unwrap();
        let config = client::outsider(&cluster.bootstrap_servers().into(), "test", "g");
        let consumer = BaseConsumer::from_config_and_context(&config, Log::default()).unwrap();
        positions::resolve(&Asked::new(&consumer, PATIENCE), &places(1), &[]).unwrap();
        cluster.broker_round_trip_time(1, takes).unwrap();
        (cluster, consumer)
    }

    #[test]
    fn all_that_is_asked_when_partitions_come_has_one_time() {
        // Each answer comes in time, and all of them take four seconds.
        let (_cluster, consumer) = slow(12, Duration::from_millis(300));
        let limit = Duration::from_secs(1);
        let member = Asked::new(&consumer, limit);
        let fault = positions::resolve(&member, &places(12), &[]).unwrap_err();
        assert!(member.begun.elapsed() < limit * 3, "{:?}: {fault}", member.begun.elapsed());
        assert!(fault.text.ends_with("may take 1s"), "{fault}");
    }

    #[test]
    fn a_commit_that_no_broker_answers_is_a_time_out_and_no_success() {
        let (_cluster, consumer) = slow(1, Duration::from_secs(3));
        let limit = Duration::from_millis(500);
        let member = Asked::new(&consumer, limit);
        let fault = member.commit(&places(1).into_iter().map(|place| (place, 0)).collect()).unwrap_err();
        assert!(member.begun.elapsed() < limit * 4, "{:?}: {fault}", member.begun.elapsed());
        assert!(fault.text.ends_with("may take 500ms"), "{fault}");
        assert_eq!(fault.action(), Action::Rebuild, "{fault}");
    }

    #[test]
    fn a_consumer_that_closes_refuses_an_assignment_at_once() {
        // Nobody listens there: to resolve a position would take until its time-out.
        let config = client::consumer(&"127.0.0.1:1".into(), &Identity::new("p", "test", 0), Protocol::default());
        let rebalances = Arc::new(Rebalances::new(Vec::new()));
        let consumer = BaseConsumer::from_config_and_context(&config, Following(Arc::clone(&rebalances))).unwrap();
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition("in", 0);
        rebalances.close();
        let started = Instant::now();
        let kind = RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        consumer.context().rebalance(&consumer, kind, &mut partitions);
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
        assert_eq!(rebalances.check(), Ok(1), "and that is no trouble");
        assert!(!rebalances.lock().joined);
    }
}
