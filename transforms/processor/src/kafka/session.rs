//! One consumer and one transactional producer under one identity, and the three things a slot does with them:
//! gather a batch, write a batch's outputs and offsets in one transaction, go back after a failure.
//!
//! No transaction is open while the consumer polls. So a rebalance, which runs inside a poll, never meets one: what
//! was gathered from partitions that went away is dropped, and nothing of it was written.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};

use super::positions::{self, Gap, Place};
use super::producer_context::{Refusal, Reports};
use super::rebalance::Rebalances;
use super::{Call, Fault, Identity, Input, Outgoing, Signal, client, native};

/// A batch is full at so many records,
const BATCH_RECORDS: usize = 5_000;
/// or at so many bytes,
const BATCH_BYTES: usize = 16 * 1024 * 1024;
/// or so long after its first record.
const BATCH_TIME: Duration = Duration::from_millis(20);
/// A transactional call, with its retries, may take half the transaction's time-out.
const CALL_DEADLINE: Duration = Duration::from_secs(5);
/// How long one `init_transactions` waits before it is resumed.
const INIT_STEP: Duration = Duration::from_secs(2);
/// Between two tries of a call.
const RETRY_PAUSE: Duration = Duration::from_millis(5);
/// A consumer that cannot be closed in this time never will.
const CLOSE_DEADLINE: Duration = Duration::from_secs(4);

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
    // Dropped in this order: the consumer first.
    consumer: BaseConsumer<Rebalances>,
    producer: ThreadedProducer<Reports>,
    topics: HashMap<String, Arc<str>>,
    /// The last thing that a poll reported and that the client deals with by itself.
    pub news: Option<Fault>,
}

// === impl Session ===

impl Session {
    /// Makes both clients; [`Session::settle`] comes next.
    ///
    /// # Errors
    /// When a client cannot be made.
    pub fn open(brokers: &str, identity: &Identity, topics: &[String], accepted: Vec<Gap>) -> Result<Self, Fault> {
        let opening = |error: KafkaError| Fault::of(Call::Open, &error);
        let producer = client::producer(brokers, identity);
        let producer: ThreadedProducer<Reports> =
            ThreadedProducer::from_config_and_context(&producer, Reports::default()).map_err(opening)?;
        let consumer = client::consumer(brokers, identity);
        let consumer = BaseConsumer::from_config_and_context(&consumer, Rebalances::new(accepted)).map_err(opening)?;
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        consumer.subscribe(&names).map_err(opening)?;
        let topics = topics.iter().map(|topic| (topic.clone(), Arc::from(topic.as_str()))).collect();
        Ok(Self { consumer, producer, topics, news: None })
    }

    /// Settles what an earlier holder of the identity left open. The consumer joins the group meanwhile; it is polled,
    /// and so looks up committed offsets, only after that.
    ///
    /// # Errors
    /// When the broker does not settle the identity in time. The session is of no use then, and must be closed.
    pub fn settle(&self) -> Result<(), Fault> {
        until(Instant::now() + client::TRANSACTION_TIMEOUT, |_| {
            self.producer.init_transactions(INIT_STEP).map_err(|error| Fault::of(Call::Init, &error))
        })
    }

    /// Gathers a batch: waits up to `wait` for a first record, then takes what is there until the batch is full or
    /// the input is drained.
    ///
    /// # Errors
    /// When the consumer is of no use any more or the assignment could not be resolved.
    pub fn gather(&mut self, wait: Duration, batch: &mut Vec<Input>) -> Result<Gathered, Fault> {
        batch.clear();
        let consumer = &self.consumer;
        let mut epoch = consumer.context().lock().epoch;
        let mut started: Option<Instant> = None;
        let mut bytes = 0;
        while batch.len() < BATCH_RECORDS && bytes < BATCH_BYTES {
            let wait = match started {
                None => wait,
                Some(at) if at.elapsed() < BATCH_TIME => Duration::ZERO,
                Some(_) => break,
            };
            let polled = consumer.poll(wait);
            let current = consumer.context().check()?;
            if current != epoch {
                (epoch, bytes, started) = (current, 0, None);
                batch.clear();
            }
            match polled {
                None => break,
                Some(Ok(message)) => {
                    if let Some(input) = self.taken(consumer, &message) {
                        started.get_or_insert_with(Instant::now);
                        bytes += input.size();
                        batch.push(input);
                    }
                }
                Some(Err(error)) => {
                    let fault = poll_fault(consumer, &error);
                    if fault.action() != super::Action::Retry {
                        return Err(fault);
                    }
                    tracing::debug!(error = %error, "consumer reports");
                    self.news = Some(fault);
                    break;
                }
            }
        }
        Ok(if batch.is_empty() { Gathered::Nothing } else { Gathered::Batch })
    }

    /// The message as an input; `None` for one that the present assignment does not want.
    fn taken(&self, consumer: &BaseConsumer<Rebalances>, message: &BorrowedMessage<'_>) -> Option<Input> {
        let topic = self.topics.get(message.topic())?;
        let assignment = consumer.context().lock();
        let place = Place { topic: Arc::clone(topic), partition: message.partition() };
        let wanted = assignment.next.get(&place).is_some_and(|next| *next <= message.offset());
        wanted.then(|| Input::copy(message, Arc::clone(topic)))
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
        let consumer = &self.consumer;
        // What an earlier transaction left behind says nothing of this one.
        self.refusal();
        self.producer.begin_transaction().map_err(|error| Fault::of(Call::Begin, &error))?;
        opened(batch.len());
        let deadline = Instant::now() + CALL_DEADLINE;
        for output in outputs {
            produce(&self.producer, output, deadline)?;
        }
        let next = after(batch);
        let offsets = positions::list(&next).map_err(|error| Fault::of(Call::SendOffsets, &error))?;
        if consumer.assignment_lost() {
            return Err(Fault::found(Call::SendOffsets, Signal::RequiresAbort, "the assignment was lost"));
        }
        let committing = Instant::now();
        until(committing + CALL_DEADLINE, |left| {
            // Taken now and never kept: it changes with every rebalance, and it is what fences a stale member.
            let group = consumer
                .group_metadata()
                .ok_or_else(|| Fault::found(Call::SendOffsets, Signal::Fatal, "the consumer has no group metadata"))?;
            let sent = self.producer.send_offsets_to_transaction(&offsets, &group, left);
            sent.map_err(|error| Fault::of(Call::SendOffsets, &error))
        })?;
        until(Instant::now() + CALL_DEADLINE, |left| {
            native::commit_transaction(&self.producer, left)
                .map_err(|failure| Fault::of_failure(Call::Commit, &failure))
        })?;
        opened(0);
        consumer.context().lock().next.extend(next);
        Ok(committing.elapsed())
    }

    /// Aborts the open transaction.
    ///
    /// # Errors
    /// When that is not certain; then the producer must go.
    pub fn abort(&mut self) -> Result<(), Fault> {
        until(Instant::now() + CALL_DEADLINE, |left| {
            self.producer.abort_transaction(left).map_err(|error| Fault::of(Call::Abort, &error))
        })
    }

    /// What the broker refused for good in the transaction that was aborted just now.
    pub fn refusal(&self) -> Option<Refusal> {
        self.producer.context().take()
    }

    /// Goes back to the committed offsets.
    ///
    /// # Errors
    /// When the consumer cannot; then it must go.
    pub fn rewind(&mut self) -> Result<(), Fault> {
        let consumer = &self.consumer;
        let list = positions::list(&consumer.context().lock().next).map_err(|error| Fault::of(Call::Seek, &error))?;
        if list.count() == 0 {
            return Ok(());
        }
        let sought = consumer.seek_partitions(list, CALL_DEADLINE).map_err(|error| Fault::of(Call::Seek, &error))?;
        for element in sought.elements() {
            element.error().map_err(|error| Fault::of(Call::Seek, &error))?;
        }
        Ok(())
    }

    /// Stops or resumes fetching; the membership of the group stays either way.
    ///
    /// # Errors
    /// When the consumer cannot.
    pub fn pause(&mut self, paused: bool) -> Result<(), Fault> {
        let consumer = &self.consumer;
        let list = consumer.assignment().map_err(|error| Fault::of(Call::Seek, &error))?;
        let done = if paused { consumer.pause(&list) } else { consumer.resume(&list) };
        done.map_err(|error| Fault::of(Call::Seek, &error))
    }

    /// What is assigned, and which of it is stopped at a gap. `None` before the group has answered.
    #[must_use]
    pub fn assigned(&self) -> Option<(Vec<Place>, Vec<Gap>)> {
        let assignment = self.consumer.context().lock();
        assignment.joined.then(|| (assignment.next.keys().cloned().collect(), assignment.gaps.clone()))
    }

    /// How the group calls this member.
    #[must_use]
    pub fn member_id(&self) -> Option<String> {
        native::member_id(&self.consumer)
    }

    /// How often partitions were assigned or taken.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.consumer.context().lock().epoch
    }

    /// Closes the consumer, then the producer. Closing is known to hang; `false` says that it did, and the process
    /// should end.
    #[must_use]
    pub fn close(self) -> bool {
        self.consumer.context().close();
        let (done, closed) = std::sync::mpsc::sync_channel::<()>(1);
        let closer = std::thread::Builder::new().name("close".to_owned()).spawn(move || {
            drop(self);
            drop(done);
        });
        // The sender is dropped when the clients are gone.
        closer.is_err() || closed.recv_timeout(CLOSE_DEADLINE) == Err(std::sync::mpsc::RecvTimeoutError::Disconnected)
    }
}

/// The offsets after a batch: one past the last record of each partition.
pub(crate) fn after(batch: &[Input]) -> BTreeMap<Place, i64> {
    let mut next = BTreeMap::new();
    for input in batch {
        next.insert(Place { topic: Arc::clone(&input.topic), partition: input.partition }, input.offset + 1);
    }
    next
}

fn produce(producer: &ThreadedProducer<Reports>, output: &Outgoing, deadline: Instant) -> Result<(), Fault> {
    let mut record: BaseRecord<'_, [u8], [u8]> =
        BaseRecord::to(&output.topic).headers(native::owned_headers(&output.headers));
    record.key = output.key.as_deref();
    record.payload = output.value.as_deref();
    record.timestamp = output.timestamp_ms;
    let mut record = Some(record);
    until(deadline, |_| match record.take() {
        None => Ok(()),
        Some(full) => producer.send(full).map_err(|(error, back)| {
            record = Some(back);
            Fault::of(Call::Produce, &error)
        }),
    })
}

/// Makes a call until it succeeds, fails for good or its time is up.
fn until<T>(deadline: Instant, mut call: impl FnMut(Duration) -> Result<T, Fault>) -> Result<T, Fault> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match call(left.max(RETRY_PAUSE)) {
            Err(fault) if fault.action() == super::Action::Retry => {
                if deadline <= Instant::now() {
                    return Err(fault.given_up());
                }
                std::thread::sleep(RETRY_PAUSE);
            }
            settled => return settled,
        }
    }
}

fn poll_fault(consumer: &BaseConsumer<Rebalances>, error: &KafkaError) -> Fault {
    let fault = Fault::of(Call::Poll, error);
    // A fatal error's own code stands elsewhere; it is what tells a fenced member.
    match consumer.client().fatal_error() {
        Some((code, text)) => Fault::of_failure(
            Call::Poll,
            &native::Failure { code, fatal: true, retriable: false, requires_abort: false, text },
        ),
        None => fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_after_a_batch_is_one_past_the_last_record() {
        let input = |partition, offset| Input {
            topic: Arc::from("t"),
            partition,
            offset,
            timestamp_ms: None,
            key: None,
            value: None,
            headers: Vec::new(),
        };
        let next = after(&[input(0, 5), input(1, 2), input(0, 8)]);
        let place = |partition| Place { topic: Arc::from("t"), partition };
        assert_eq!(next, BTreeMap::from([(place(0), 9), (place(1), 3)]));
    }

    #[test]
    fn a_call_that_stays_retriable_ends_as_indefinite() {
        let retriable = || Fault::found(Call::Commit, Signal::Retriable, "busy");
        let mut calls = 0;
        let ended: Result<(), Fault> = until(Instant::now() + Duration::from_millis(30), |_| {
            calls += 1;
            Err(retriable())
        });
        assert_eq!(ended.unwrap_err().signal, Signal::Indefinite);
        assert!(calls > 1);
        let mut once = Some(retriable());
        assert_eq!(until(Instant::now() + CALL_DEADLINE, |_| once.take().map_or(Ok(7), Err)), Ok(7));
    }
}
