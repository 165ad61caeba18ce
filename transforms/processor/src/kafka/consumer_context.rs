//! What a real consumer does while partitions come and go: the calls of [`Member`]. Decides nothing.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};

use super::positions::Place;
use super::rebalance::{Change, Rebalances};
use super::seam::{Member, Offsets};
use super::{Call, Fault, client};

/// How long a broker may take for an answer.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);
/// The same for committed offsets, which the transaction of a dead process holds back until it has timed out. A part of
/// that is over when the group gives up the process; and to give up here and join anew would take longer than to wait.
const PENDING_TIMEOUT: Duration = Duration::from_secs(client::TRANSACTION_TIMEOUT.as_secs() - 2);

/// Tells the session's side of it what the group does.
pub(super) struct Following(pub(super) Arc<Rebalances>);

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
        self.0.change(consumer, change, &places);
    }
}

impl<C: ConsumerContext> Member for BaseConsumer<C> {
    fn is_incremental(&self) -> bool {
        matches!(self.rebalance_protocol(), RebalanceProtocol::Cooperative)
    }

    fn is_lost(&self) -> bool {
        self.assignment_lost()
    }

    fn committed(&self, places: &[Place]) -> Result<Vec<(Place, Option<i64>)>, Fault> {
        let asked = || {
            let mut list = TopicPartitionList::with_capacity(places.len());
            for place in places {
                list.add_partition(&place.topic, place.partition);
            }
            // Waits for offsets that a transaction of a dead process still holds back.
            let committed = self.committed_offsets(list, PENDING_TIMEOUT)?;
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
        called(asked())
    }

    fn log(&self, place: &Place) -> Result<(i64, i64), Fault> {
        called(self.fetch_watermarks(&place.topic, place.partition, ASK_TIMEOUT))
    }

    fn commit(&self, next: &Offsets) -> Result<(), Fault> {
        called(list(next).and_then(|list| Consumer::commit(self, &list, CommitMode::Sync)))
    }

    fn assign(&self, next: &Offsets) -> Result<(), Fault> {
        let assigned = list(next).and_then(|list| {
            if self.is_incremental() {
                self.incremental_assign(&list)?;
            } else {
                Consumer::assign(self, &list)?;
            }
            self.resume(&list)
        });
        called(assigned)
    }

    fn unassign(&self, places: &[Place]) -> Result<(), Fault> {
        if !self.is_incremental() {
            return called(Consumer::unassign(self));
        }
        let mut list = TopicPartitionList::with_capacity(places.len());
        for place in places {
            list.add_partition(&place.topic, place.partition);
        }
        called(self.incremental_unassign(&list))
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

fn called<T>(result: KafkaResult<T>) -> Result<T, Fault> {
    result.map_err(|error| Fault::of(Call::Assign, &error))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use rdkafka::config::FromClientConfigAndContext;

    use super::*;
    use crate::kafka::Identity;
    use crate::kafka::client::Protocol;

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
