//! One consumer and one transactional producer under one identity, and the three things a slot does with them:
//! gather a batch, write a batch's outputs and offsets in one transaction, go back after a failure.
//!
//! No transaction is open while the consumer polls. So a rebalance, which runs inside a poll, never meets one: what
//! was gathered from partitions that went away is dropped, and nothing of it was written.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::positions::{Gap, Place};
use super::producer_context::Refusal;
use super::rebalance::Rebalances;
use super::seam::{Clients, Clock, Kafka, Offsets};
use super::{Action, Call, Fault, Identity, Input, Outgoing, Signal, client};

/// A batch is full at so many records,
const BATCH_RECORDS: usize = 5_000;
/// or at so many bytes,
const BATCH_BYTES: usize = 16 * 1024 * 1024;
/// or so long after its first record, unless the pipeline has a longer interval.
const BATCH_TIME: Duration = Duration::from_millis(20);
/// After a commit the broker writes its markers, one a partition, and refuses the next transaction until then
/// (CONCURRENT_TRANSACTIONS). librdkafka asks again 20 ms later, so it is shorter to wait for that than to be refused.
const FINISH_TIME: Duration = Duration::from_millis(5);
/// A transactional call may take so long with its retries: less than the transaction may last.
const CALL_DEADLINE: Duration = Duration::from_secs(5);
/// How long one `init_transactions` waits before it is resumed.
const INIT_STEP: Duration = Duration::from_secs(2);
/// Between two tries of a call.
const RETRY_PAUSE: Duration = Duration::from_millis(5);

/// What a gathering brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gathered {
    /// Nothing to do now.
    Nothing,
    /// The batch has records.
    Batch,
}

/// The clients of one slot.
pub struct Session {
    clients: Box<dyn Clients>,
    rebalances: Arc<Rebalances>,
    kafka: Arc<dyn Kafka>,
    /// When the last transaction began.
    began: Option<Instant>,
    /// When it was committed.
    committed: Option<Instant>,
    /// The last thing that a poll reported and that the client deals with by itself.
    pub news: Option<Fault>,
}

// === impl Session ===

impl Session {
    /// Makes both clients; [`Session::settle`] comes next.
    ///
    /// # Errors
    /// When a client cannot be made.
    pub fn open(
        kafka: &Arc<dyn Kafka>,
        identity: &Identity,
        topics: &[String],
        accepted: Vec<Gap>,
    ) -> Result<Self, Fault> {
        let rebalances = Arc::new(Rebalances::new(accepted));
        let clients = kafka.open(identity, topics, Arc::clone(&rebalances))?;
        Ok(Self { clients, rebalances, kafka: Arc::clone(kafka), began: None, committed: None, news: None })
    }

    /// Settles what an earlier holder of the identity left open; `false` when it is `over` before that. The consumer joins
    /// the group meanwhile; it is polled, and so looks up committed offsets, only after that.
    ///
    /// # Errors
    /// When the broker does not settle the identity in time. Then, as when it is over, the session must be closed.
    pub fn settle(&self, over: &dyn Fn() -> bool) -> Result<bool, Fault> {
        self.until(self.kafka.now() + client::TRANSACTION_TIMEOUT, |_| match over() {
            true => Ok(false),
            false => self.clients.init_transactions(INIT_STEP).map(|()| true),
        })
    }

    /// Gathers a batch: waits up to `wait` for a first record, then takes what is there until the batch is full or
    /// the input is drained; but what would begin a transaction sooner than `interval` after the one before goes on
    /// being gathered until then, or until `over` says that somebody waits.
    ///
    /// # Errors
    /// When the consumer is of no use any more or the assignment could not be resolved.
    pub fn gather(
        &mut self,
        wait: Duration,
        (interval, over): (Duration, &dyn Fn() -> bool),
        batch: &mut Vec<Input>,
    ) -> Result<Gathered, Fault> {
        batch.clear();
        let mut epoch = self.rebalances.lock().epoch;
        let mut started: Option<Instant> = None;
        let mut bytes = 0;
        while batch.len() < BATCH_RECORDS && bytes < BATCH_BYTES {
            let rest = match started {
                None => wait,
                Some(at) if self.kafka.now().duration_since(at) < BATCH_TIME.max(interval) => self.rest(interval),
                Some(_) => break,
            };
            if started.is_some() && FINISH_TIME < rest && over() {
                break;
            }
            let polled = self.clients.poll(rest.min(wait));
            let current = self.rebalances.check()?;
            if current != epoch {
                self.rebalances.lock().keep(batch, epoch);
                epoch = current;
                bytes = batch.iter().map(Input::size).sum();
                started = started.filter(|_| !batch.is_empty());
            }
            match polled {
                None if wait < rest => {}
                None => break,
                Some(Ok(input)) => {
                    if self.rebalances.lock().wants(&input) {
                        started.get_or_insert_with(|| self.kafka.now());
                        bytes += input.size();
                        batch.push(input);
                    }
                }
                Some(Err(fault)) => {
                    if fault.action() != Action::Retry {
                        return Err(fault);
                    }
                    tracing::debug!(error = %fault, "consumer reports");
                    self.news = Some(fault);
                    break;
                }
            }
        }
        Ok(if batch.is_empty() { Gathered::Nothing } else { Gathered::Batch })
    }

    /// How long no transaction need begin yet: until the interval is over, and the broker has probably finished the one
    /// before. More records may come meanwhile.
    fn rest(&self, interval: Duration) -> Duration {
        let until = self.began.map(|at| at + interval).max(self.committed.map(|at| at + FINISH_TIME));
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(self.kafka.now()))
    }

    /// Writes the outputs and the offsets after the batch in one transaction, and says how long sending the offsets
    /// and the commit took. `opened` is told the number of records when the transaction is open, and 0 when it is
    /// committed.
    ///
    /// # Errors
    /// [`Fault::action`] says what to do; nothing of the batch is visible unless the fault is indefinite.
    pub fn transact(
        &mut self,
        batch: &[Input],
        outputs: &[Outgoing],
        opened: &dyn Fn(usize),
    ) -> Result<Duration, Fault> {
        // What an earlier transaction left behind says nothing of this one.
        self.clients.refusal();
        self.clients.begin_transaction()?;
        self.began = Some(self.kafka.now());
        opened(batch.len());
        let deadline = self.kafka.now() + CALL_DEADLINE;
        for output in outputs {
            self.until(deadline, |_| self.clients.produce(output))?;
        }
        let next = after(batch);
        if self.clients.assignment_lost() {
            return Err(Fault::found(Call::SendOffsets, Signal::RequiresAbort, "the assignment was lost"));
        }
        let committing = self.kafka.now();
        self.until(committing + CALL_DEADLINE, |left| self.clients.send_offsets(&next, left))?;
        self.until(self.kafka.now() + CALL_DEADLINE, |left| self.clients.commit_transaction(left))?;
        opened(0);
        self.rebalances.lock().next.extend(next);
        self.committed = Some(self.kafka.now());
        Ok(self.kafka.now().duration_since(committing))
    }

    /// Aborts the open transaction.
    ///
    /// # Errors
    /// When that is not certain; then the producer must go.
    pub fn abort(&mut self) -> Result<(), Fault> {
        // What was given up is done again at once.
        self.began = None;
        self.until(self.kafka.now() + CALL_DEADLINE, |left| self.clients.abort_transaction(left))
    }

    /// What the broker refused for good in the transaction that was aborted just now.
    pub fn refusal(&self) -> Option<Refusal> {
        self.clients.refusal()
    }

    /// Goes back to the committed offsets.
    ///
    /// # Errors
    /// When the consumer cannot; then it must go.
    pub fn rewind(&mut self) -> Result<(), Fault> {
        let next = self.rebalances.lock().next.clone();
        if next.is_empty() { Ok(()) } else { self.clients.seek(&next, CALL_DEADLINE) }
    }

    /// Stops or resumes fetching; the membership of the group stays either way.
    ///
    /// # Errors
    /// When the consumer cannot.
    pub fn pause(&mut self, paused: bool) -> Result<(), Fault> {
        self.clients.pause(paused)
    }

    /// What is assigned, and which of it is stopped at a gap. `None` before the group has answered.
    #[must_use]
    pub fn assigned(&self) -> Option<(Vec<Place>, Vec<Gap>)> {
        let assignment = self.rebalances.lock();
        assignment.joined.then(|| (assignment.next.keys().cloned().collect(), assignment.gaps.clone()))
    }

    /// How the group calls this member.
    #[must_use]
    pub fn member_id(&self) -> Option<String> {
        self.clients.member_id()
    }

    /// How often partitions were assigned or taken.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.rebalances.lock().epoch
    }

    /// Closes the consumer, then the producer. Closing is known to hang; `false` says that it did, and the process
    /// should end.
    #[must_use]
    pub fn close(self) -> bool {
        self.rebalances.close();
        self.clients.close()
    }

    fn until<T>(&self, deadline: Instant, call: impl FnMut(Duration) -> Result<T, Fault>) -> Result<T, Fault> {
        until(&*self.kafka, deadline, call)
    }
}

/// The offsets after a batch: one past the last record of each partition.
pub(crate) fn after(batch: &[Input]) -> Offsets {
    batch.iter().map(|input| (input.place(), input.offset + 1)).collect()
}

/// Makes a call until it succeeds, fails for good or its time is up.
fn until<T, C: Clock + ?Sized>(
    clock: &C,
    deadline: Instant,
    mut call: impl FnMut(Duration) -> Result<T, Fault>,
) -> Result<T, Fault> {
    loop {
        let left = deadline.saturating_duration_since(clock.now());
        match call(left.max(RETRY_PAUSE)) {
            Err(fault) if fault.action() == Action::Retry => {
                if deadline <= clock.now() {
                    return Err(fault.given_up());
                }
                clock.sleep(RETRY_PAUSE);
            }
            settled => return settled,
        }
    }
}

#[cfg(test)]
mod tests;
