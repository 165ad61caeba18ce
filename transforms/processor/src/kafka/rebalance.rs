//! What happens when the group gives or takes partitions: positions are resolved, gaps are left out, and the session
//! is told by a new epoch. The callback runs inside a poll, on the slot's own thread, with no transaction open.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;

use super::positions::{self, Gap, Place};
use super::{Call, Fault, Signal, client};

/// What the rebalance callback did.
#[derive(Default)]
pub(super) struct Assignment {
    /// Counts assignments, so that a batch notices that it is of an earlier one.
    pub(super) epoch: u64,
    pub(super) next: BTreeMap<Place, i64>,
    pub(super) gaps: Vec<Gap>,
    trouble: Option<Fault>,
    /// Whether the group gave us partitions at all; with more slots than partitions some stand by.
    pub(super) joined: bool,
}

pub(super) struct Rebalances {
    accepted: Vec<Gap>,
    assignment: Mutex<Assignment>,
    closing: AtomicBool,
}

// === impl Rebalances ===

impl Rebalances {
    /// Positions before the first assignment; these gaps are passed over.
    pub(super) fn new(accepted: Vec<Gap>) -> Self {
        Self { accepted, assignment: Mutex::default(), closing: AtomicBool::new(false) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Assignment> {
        self.assignment.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on an assignment is refused: the consumer is being closed, which must be quick, and to resolve positions
    /// takes as long as the broker does.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    /// The epoch, or what went wrong in the callback.
    pub(super) fn check(&self) -> Result<u64, Fault> {
        let mut assignment = self.lock();
        assignment.trouble.take().map_or(Ok(assignment.epoch), Err)
    }
}

impl ClientContext for Rebalances {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(error = %error, reason, "consumer reports");
    }
}

impl ConsumerContext for Rebalances {
    /// Runs inside a poll, on the slot's own thread.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, kind: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let mut assignment = Assignment { epoch: self.lock().epoch + 1, ..Assignment::default() };
        let done = if kind != RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            tracing::debug!(lost = consumer.assignment_lost(), "partitions were taken");
            consumer.unassign()
        } else if self.closing.load(Ordering::SeqCst) {
            consumer.assign(&TopicPartitionList::new())
        } else {
            assignment.joined = true;
            let start = positions::resolve(consumer, partitions, &self.accepted);
            let list = start.and_then(|start| {
                assignment.gaps = start.gaps;
                let list = positions::list(&start.next)?;
                assignment.next = start.next;
                Ok(list)
            });
            match list {
                // The client keeps a pause over rebalances, even for a partition that went away and came back. Whoever
                // pauses does so again after each assignment, so every assignment begins running.
                Ok(list) => consumer.assign(&list).and_then(|()| consumer.resume(&list)),
                // The rebalance must be completed all the same; the slot then starts over.
                Err(error) => consumer.assign(&TopicPartitionList::new()).and(Err(error)),
            }
        };
        if let Err(error) = done {
            assignment.trouble =
                Some(Fault::found(Call::Poll, Signal::Fatal, format!("cannot resolve the assignment: {error}")));
        }
        *self.lock() = assignment;
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use rdkafka::config::FromClientConfigAndContext;

    use super::*;
    use crate::kafka::Identity;

    #[test]
    fn a_consumer_that_closes_refuses_an_assignment_at_once() {
        // Nobody listens there: to resolve a position would take until its time-out.
        let config = client::consumer("127.0.0.1:1", &Identity::new("p", "test", 0));
        let consumer = BaseConsumer::from_config_and_context(&config, Rebalances::new(Vec::new())).unwrap();
        let rebalances = consumer.context();
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition("in", 0);
        rebalances.close();
        let started = Instant::now();
        rebalances.rebalance(&consumer, RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS, &mut partitions);
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
        assert_eq!(rebalances.check(), Ok(1), "and that is no trouble");
        assert!(!rebalances.lock().joined);
    }
}
