//! A real cluster: the calls of the seam, made with librdkafka. Decides nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use service_kit::kafka::Brokers;
use service_kit::waits;

use super::client::{Log, Protocol};
use super::consumer_context::{Following, list};
use super::producer_context::{Refusal, Reports};
use super::rebalance::Rebalances;
use super::seam::{Clients, Clock, Kafka, Offsets};
use super::{Call, Fault, Identity, Input, Outgoing, Signal, client, native};
use crate::control::Control;

/// How long the broker may take to list a group.
const LIST_TIMEOUT: Duration = Duration::from_secs(3);
/// What a commit has at least.
const LAST_TRY: Duration = Duration::from_millis(5);
/// A consumer that cannot be closed in this time never will.
const CLOSE_DEADLINE: Duration = Duration::from_secs(4);

/// Brokers somewhere, and the machine's own clock.
#[derive(Debug, Clone)]
pub struct Cluster {
    brokers: Brokers,
    protocol: Protocol,
}

/// The clients of one slot.
struct Pair {
    // Dropped in this order: the consumer first.
    consumer: BaseConsumer<Following>,
    producer: ThreadedProducer<Reports>,
    topics: HashMap<String, Arc<str>>,
}

// === impl Cluster ===

impl Cluster {
    /// The cluster of these brokers, with the group protocol that we ship.
    #[must_use]
    pub fn new(brokers: impl Into<Brokers>) -> Self {
        Self { brokers: brokers.into(), protocol: Protocol::default() }
    }

    /// The same with another group protocol.
    #[must_use]
    pub fn with_protocol(self, protocol: Protocol) -> Self {
        Self { protocol, ..self }
    }
}

impl Clock for Cluster {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }

    fn wait(&self, control: &Control, time: Duration) {
        control.wait(time);
    }
}

impl Kafka for Cluster {
    fn open(
        &self,
        identity: &Identity,
        topics: &[String],
        rebalances: Arc<Rebalances>,
    ) -> Result<Box<dyn Clients>, Fault> {
        let opening = |error: KafkaError| Fault::of(Call::Open, &error);
        let producer = client::producer(&self.brokers, identity);
        let producer: ThreadedProducer<Reports> =
            ThreadedProducer::from_config_and_context(&producer, Reports::default()).map_err(opening)?;
        let consumer = client::consumer(&self.brokers, identity, self.protocol);
        let consumer = BaseConsumer::from_config_and_context(&consumer, Following(rebalances)).map_err(opening)?;
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        consumer.subscribe(&names).map_err(opening)?;
        let topics = topics.iter().map(|topic| (topic.clone(), Arc::from(topic.as_str()))).collect();
        Ok(Box::new(Pair { consumer, producer, topics }))
    }

    fn members(&self, identity: &Identity) -> Result<Vec<String>, Fault> {
        let failed = |error: KafkaError| Fault::of(Call::Members, &error);
        let inspector = client::inspector(&self.brokers, identity.slot());
        let inspector = BaseConsumer::from_config_and_context(&inspector, Log::default()).map_err(failed)?;
        let groups = inspector.fetch_group_list(Some(identity.group()), LIST_TIMEOUT).map_err(failed)?;
        Ok(groups.groups().iter().flat_map(|group| group.members()).map(|member| member.id().to_owned()).collect())
    }

    fn beside(&self, errand: Box<dyn FnOnce() + Send>) {
        if let Err(error) = std::thread::Builder::new().name("errand".to_owned()).spawn(errand) {
            tracing::debug!(error = %error, "a thread cannot be started");
        }
    }
}

// === impl Pair ===

impl Pair {
    fn named(&self, call: Call, next: &Offsets) -> Result<TopicPartitionList, Fault> {
        list(next).map_err(|error| Fault::of(call, &error))
    }

    /// Waits for a connection. The first goes to the bootstrap address and is given up when the broker has said its
    /// name; a question for the coordinator that was on its way then is asked again only after half a second. What does
    /// not succeed here is told by the call that follows.
    fn connect(&self, timeout: Duration) {
        let topic = self.topics.keys().next().map(String::as_str);
        let ask = || self.producer.client().fetch_metadata(topic, timeout / 4);
        if let Err(error) = ask().and_then(|_| ask()) {
            tracing::debug!(error = %error, "the producer has no connection yet");
        }
    }

    fn poll_fault(&self, error: &KafkaError) -> Fault {
        // A fatal error's own code stands elsewhere; it is what tells a fenced member.
        match self.consumer.client().fatal_error() {
            Some((code, text)) => Fault::of_failure(
                Call::Poll,
                &native::Failure { code, fatal: true, retriable: false, requires_abort: false, text },
            ),
            None => Fault::of(Call::Poll, error),
        }
    }
}

impl Clients for Pair {
    fn init_transactions(&self, timeout: Duration) -> Result<(), Fault> {
        self.connect(timeout);
        of(Call::Init, self.producer.init_transactions(timeout))
    }

    fn poll(&self, timeout: Duration) -> Option<Result<Input, Fault>> {
        match self.consumer.poll(timeout)? {
            // Of a topic that we did not subscribe to there cannot be anything.
            Ok(message) => self.topics.get(message.topic()).map(|topic| Ok(Input::copy(&message, Arc::clone(topic)))),
            Err(error) => Some(Err(self.poll_fault(&error))),
        }
    }

    fn assignment_lost(&self) -> bool {
        self.consumer.assignment_lost()
    }

    fn begin_transaction(&self) -> Result<(), Fault> {
        // What an earlier transaction left behind says nothing of this one.
        self.producer.context().take_doubt();
        of(Call::Begin, self.producer.begin_transaction())
    }

    fn produce(&self, output: &Outgoing) -> Result<(), Fault> {
        let mut record: BaseRecord<'_, [u8], [u8]> =
            BaseRecord::to(&output.topic).headers(native::owned_headers(&output.headers));
        record.key = output.key.as_deref();
        record.payload = output.value.as_deref();
        record.timestamp = output.timestamp_ms;
        self.producer.send(record).map_err(|(error, _)| Fault::of(Call::Produce, &error))
    }

    fn send_offsets(&self, next: &Offsets, timeout: Duration) -> Result<(), Fault> {
        let offsets = self.named(Call::SendOffsets, next)?;
        // Taken now and never kept: it changes with every rebalance, and it is what fences a stale member.
        let group = self
            .consumer
            .group_metadata()
            .ok_or_else(|| Fault::found(Call::SendOffsets, Signal::Fatal, "the consumer has no group metadata"))?;
        // What ends so is indefinite, as [`Fault`] has it: this producer is not used again.
        let sent = waits::at_most(timeout, || self.producer.send_offsets_to_transaction(&offsets, &group, timeout));
        of(Call::SendOffsets, sent)
    }

    fn commit_transaction(&self, timeout: Duration) -> Result<(), Fault> {
        let failed = |signal, text| Err(Fault::found(Call::Commit, signal, text));
        let begun = Instant::now();
        if !native::flush(&self.producer, timeout) {
            return failed(Signal::Retriable, "the broker has not answered for all records in time");
        }
        if self.producer.context().take_doubt() {
            return failed(Signal::RequiresAbort, "the broker did not say that it has every record");
        }
        // Never zero: what is delivered deserves one try.
        let left = timeout.saturating_sub(begun.elapsed()).max(LAST_TRY);
        native::commit_transaction(&self.producer, left).map_err(|failure| Fault::of_failure(Call::Commit, &failure))
    }

    fn abort_transaction(&self, timeout: Duration) -> Result<(), Fault> {
        of(Call::Abort, self.producer.abort_transaction(timeout))
    }

    fn refusal(&self) -> Option<Refusal> {
        self.producer.context().take()
    }

    fn seek(&self, next: &Offsets, timeout: Duration) -> Result<(), Fault> {
        let sought = of(Call::Seek, self.consumer.seek_partitions(self.named(Call::Seek, next)?, timeout))?;
        sought.elements().iter().try_for_each(|element| of(Call::Seek, element.error()))
    }

    fn pause(&self, paused: bool) -> Result<(), Fault> {
        let list = of(Call::Seek, self.consumer.assignment())?;
        of(Call::Seek, if paused { self.consumer.pause(&list) } else { self.consumer.resume(&list) })
    }

    fn member_id(&self) -> Option<String> {
        native::member_id(&self.consumer)
    }

    fn close(self: Box<Self>) -> bool {
        let (done, closed) = std::sync::mpsc::sync_channel::<()>(1);
        let closer = std::thread::Builder::new().name("close".to_owned()).spawn(move || {
            drop(self);
            drop(done);
        });
        // The sender is dropped when the clients are gone.
        closer.is_err() || closed.recv_timeout(CLOSE_DEADLINE) == Err(std::sync::mpsc::RecvTimeoutError::Disconnected)
    }
}

fn of<T>(call: Call, result: KafkaResult<T>) -> Result<T, Fault> {
    result.map_err(|error| Fault::of(call, &error))
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::DefaultProducerContext;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    use super::*;
    use crate::kafka::Action;
    use crate::kafka::positions::Place;

    const PATIENCE: Duration = Duration::from_secs(20);
    /// Longer than a producer lingers: so two records are two requests, both on their way.
    const AWAY: Duration = Duration::from_millis(300);

    fn clients(cluster: &MockCluster<'static, DefaultProducerContext>) -> Box<dyn Clients> {
        for topic in ["in", "out"] {
            cluster.create_topic(topic, 1, 1).unwrap();
        }
        let identity = Identity::new("p", "test", 0);
        let rebalances = Arc::new(Rebalances::new(Vec::new()));
        let clients = Cluster::new(cluster.bootstrap_servers()).open(&identity, &["in".to_owned()], rebalances);
        let clients = clients.unwrap_or_else(|fault| panic!("{fault}"));
        clients.init_transactions(PATIENCE).unwrap();
        clients
    }

    fn produce(clients: &dyn Clients) {
        let (topic, value) = (Arc::from("out"), Some(b"x".to_vec()));
        clients.produce(&Outgoing { topic, key: None, value, timestamp_ms: None, headers: Vec::new() }).unwrap();
        std::thread::sleep(AWAY / 3);
    }

    /// A transaction of three records. Of the second the broker says that it came too late, or nothing wrong; of the third
    /// then that it is there already, which librdkafka takes for an answer for both.
    fn three(cluster: &MockCluster<'static, DefaultProducerContext>, clients: &dyn Clients, vouched: bool) {
        clients.begin_transaction().unwrap();
        // So that the next two go at once: the partition is in the transaction.
        produce(clients);
        std::thread::sleep(AWAY);
        cluster.broker_round_trip_time(1, AWAY).unwrap();
        if vouched {
            let errors = [
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER,
            ];
            cluster.request_errors(RDKafkaApiKey::Produce, &errors);
        }
        produce(clients);
        produce(clients);
        std::thread::sleep(AWAY * 2);
        cluster.broker_round_trip_time(1, Duration::ZERO).unwrap();
    }

    #[test]
    fn offsets_whose_coordinator_nobody_finds_any_more_are_given_up_and_the_clients_close() {
        let cluster = MockCluster::new(1).unwrap();
        let clients = clients(&cluster);
        let next = Offsets::from([(Place { topic: Arc::from("in"), partition: 0 }, 1)]);
        clients.begin_transaction().unwrap();
        produce(&*clients);
        // As a broker that begins anew answers. The producer asks three times; its consumer may ask as well.
        let nobody = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE; 10];
        cluster.request_errors(RDKafkaApiKey::FindCoordinator, &nobody);
        let (asked, timeout) = (Instant::now(), Duration::from_secs(2));
        let fault = clients.send_offsets(&next, timeout).unwrap_err();
        assert!((timeout..timeout * 2).contains(&asked.elapsed()), "{:?}: {fault}", asked.elapsed());
        assert_eq!(fault.action(), Action::Rebuild, "{fault}");
        assert!(clients.close(), "it did not end");
    }

    #[test]
    fn a_record_that_only_a_later_answer_vouches_for_is_not_committed() {
        let cluster = MockCluster::new(1).unwrap();
        let clients = clients(&cluster);
        for vouched in [false, true] {
            three(&cluster, &*clients, vouched);
            let committed = clients.commit_transaction(PATIENCE);
            assert_eq!(committed.is_err(), vouched, "{:?}", committed.map_err(|fault| fault.to_string()));
        }
        clients.abort_transaction(PATIENCE).unwrap();
    }
}
