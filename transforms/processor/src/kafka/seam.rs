//! What the loop asks of Kafka and of time. [`super::Cluster`] answers with librdkafka and the machine's clock; the
//! simulation of `tests/it/simulation` answers with a broker in memory, virtual time, and every fault at any call.
//! Whatever decides stands above this seam, whatever only calls stands below it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::positions::Place;
use super::rebalance::Rebalances;
use super::{Fault, Identity, Input, Outgoing, Refusal};
use crate::control::Control;

/// Positions by partition: the next offset to read of each.
pub type Offsets = BTreeMap<Place, i64>;

/// Time, as a slot sees it.
pub trait Clock {
    /// Now.
    fn now(&self) -> Instant;

    /// Lets time pass.
    fn sleep(&self, time: Duration);

    /// Waits, but not longer than until somebody changes something in `control`.
    fn wait(&self, control: &Control, time: Duration);
}

/// A cluster, as a slot sees it.
pub trait Kafka: Clock + Send + Sync {
    /// Makes a consumer of these topics and a producer under one identity; `rebalances` is told of partitions that come
    /// and go.
    ///
    /// # Errors
    /// When a client cannot be made.
    fn open(
        &self,
        identity: &Identity,
        topics: &[String],
        rebalances: Arc<Rebalances>,
    ) -> Result<Box<dyn Clients>, Fault>;

    /// The ids of the group's members. One that died stays among them until its session is over.
    ///
    /// # Errors
    /// When the broker does not answer.
    fn members(&self, identity: &Identity) -> Result<Vec<String>, Fault>;

    /// Does something that nobody waits for.
    fn beside(&self, errand: Box<dyn FnOnce() + Send>);
}

/// One consumer and one transactional producer, each call as librdkafka has it.
#[expect(clippy::missing_errors_doc, reason = "every call fails as Kafka's own does; `Fault::action` says what then")]
pub trait Clients: Send {
    /// Settles what an earlier holder of the identity left open, and fences it. May be resumed after a time-out.
    fn init_transactions(&self, timeout: Duration) -> Result<(), Fault>;

    /// The next record, if one comes in time. Partitions come and go inside of this call and of no other.
    fn poll(&self, timeout: Duration) -> Option<Result<Input, Fault>>;

    /// Whether the group took the partitions without asking, and the next poll will say so.
    fn assignment_lost(&self) -> bool;

    /// Begins a transaction.
    fn begin_transaction(&self) -> Result<(), Fault>;

    /// Hands a record to the producer, which delivers it until the commit.
    fn produce(&self, output: &Outgoing) -> Result<(), Fault>;

    /// Adds the offsets to the transaction, with the group's metadata of this moment.
    fn send_offsets(&self, next: &Offsets, timeout: Duration) -> Result<(), Fault>;

    /// Delivers what was produced and commits.
    fn commit_transaction(&self, timeout: Duration) -> Result<(), Fault>;

    /// Aborts.
    fn abort_transaction(&self, timeout: Duration) -> Result<(), Fault>;

    /// What the broker refused for good since the last call; the first one.
    fn refusal(&self) -> Option<Refusal>;

    /// Goes to these positions.
    fn seek(&self, next: &Offsets, timeout: Duration) -> Result<(), Fault>;

    /// Stops or resumes fetching from all partitions that are assigned now.
    fn pause(&self, paused: bool) -> Result<(), Fault>;

    /// How the group calls this member; `None` before it has a name.
    fn member_id(&self) -> Option<String>;

    /// Closes the consumer, then the producer; `false` when that does not end.
    fn close(self: Box<Self>) -> bool;
}

/// What is asked of the consumer while partitions come and go.
#[expect(clippy::missing_errors_doc, reason = "every call fails as Kafka's own does")]
pub trait Member {
    /// Whether partitions come and go one by one (cooperative-sticky, KIP-848) or all at once (range, roundrobin).
    fn is_incremental(&self) -> bool;

    /// Whether the group took the partitions without asking.
    fn is_lost(&self) -> bool;

    /// The committed offsets; waits for those that a transaction still holds back.
    fn committed(&self, places: &[Place]) -> Result<Vec<(Place, Option<i64>)>, Fault>;

    /// What the log has of this partition, the end exclusive.
    fn log(&self, place: &Place) -> Result<(i64, i64), Fault>;

    /// Commits offsets, outside of any transaction.
    fn commit(&self, next: &Offsets) -> Result<(), Fault>;

    /// Reads these from now on, beside the others where partitions come one by one. They begin running: the client
    /// keeps a pause over rebalances, even for a partition that went away and came back.
    fn assign(&self, next: &Offsets) -> Result<(), Fault>;

    /// Reads these no more.
    fn unassign(&self, places: &[Place]) -> Result<(), Fault>;
}
