//! A mock broker, a slot that copies records, and a reader of what was committed.
//!
//! The mock broker answers TxnOffsetCommit and keeps no offset from it: a group that starts again reads from its start,
//! and no lag goes down. What must hold over a restart is tested by the simulation and on the real servers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use schemas::order::{Order, Timestamp};
use schemas::{codec, framing};
use transforms::control::Control;
use transforms::kafka::client::Protocol;
use transforms::kafka::{Cluster, Identity, Input, Outgoing};
use transforms::metrics::{self, SlotMetrics};
use transforms::slot::Slot;
use transforms::status::Status;
use transforms::work::{Factory, Hold, NoWork, Tally, Work};

pub(crate) const INPUT: &str = "in";
pub(crate) const OUTPUT: &str = "out";
pub(crate) const PARTITIONS: i32 = 4;
/// Longer than any time-out in the loop; a test that needs it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Mock {
    pub(crate) cluster: MockCluster<'static, DefaultProducerContext>,
    pub(crate) brokers: String,
    /// How the slots share the partitions.
    pub(crate) protocol: Protocol,
}

impl Mock {
    pub(crate) fn start() -> Self {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(INPUT, PARTITIONS, 1).unwrap();
        cluster.create_topic(OUTPUT, PARTITIONS, 1).unwrap();
        let brokers = cluster.bootstrap_servers();
        Self { cluster, brokers, protocol: Protocol::default() }
    }

    /// Writes records `from..to`, each with its number as key and value.
    pub(crate) fn write(&self, numbers: std::ops::Range<u64>) {
        self.write_with(None, numbers);
    }

    /// Writes records `from..to` into one partition, each with its number as value.
    pub(crate) fn write_under(&self, key: &str, numbers: std::ops::Range<u64>) {
        self.write_with(Some(key), numbers);
    }

    fn write_with(&self, key: Option<&str>, numbers: std::ops::Range<u64>) {
        let producer: ThreadedProducer<_> =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).set("linger.ms", "0").create().unwrap();
        for number in numbers {
            let text = number.to_string();
            let key = key.unwrap_or(&text);
            producer.send(BaseRecord::to(INPUT).key(key).payload(&text)).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }

    /// Commits an offset of a partition of the input, as somebody who is not in the group.
    pub(crate) fn commit(&self, group: &str, partition: i32, offset: i64) {
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).set("group.id", group).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(INPUT, partition, Offset::Offset(offset)).unwrap();
        consumer.commit(&list, CommitMode::Sync).unwrap();
    }

    /// Every committed record of the output, by number, with how often it is there.
    pub(crate) fn read(&self, expected: usize) -> BTreeMap<u64, usize> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", "reader")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            list.add_partition_offset(OUTPUT, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        let mut seen = BTreeMap::new();
        let mut ended = BTreeSet::new();
        let until = Instant::now() + PATIENCE;
        // Reads on past the expected number to the end of every partition, so that a doubled record is seen.
        while Instant::now() < until && (seen.len() < expected || ended.len() < PARTITIONS as usize) {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    let number = std::str::from_utf8(message.payload().unwrap()).unwrap().parse().unwrap();
                    *seen.entry(number).or_default() += 1;
                    ended.remove(&message.partition());
                    assert!(message.headers().is_none_or(|headers| headers.count() < 2));
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    ended.insert(partition);
                }
                Some(Err(_)) | None => {}
            }
        }
        seen
    }
}

/// Stands at the start of four partitions of a topic, and sees what is committed.
pub(crate) fn from_start(brokers: &str, topic: &str) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "reader")
        .set("isolation.level", "read_committed")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..4 {
        list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    consumer
}

/// A small order as the edge writes it, framed with this schema's id.
pub(crate) fn framed_order(schema: u32, id: &str, customer: &str) -> Vec<u8> {
    let order = Order {
        order_id: id.parse().unwrap(),
        amount: "1.00".parse().unwrap(),
        customer: customer.to_owned(),
        currency: None,
        items: Vec::new(),
        email: None,
        country: None,
        channel: None,
        created_at: Timestamp(1),
        received_at: Timestamp(2),
    };
    let mut value = framing::header(schema).to_vec();
    codec::encode(&order, &mut value);
    value
}

/// Copies each record to the output.
pub(crate) struct Copy;

impl Work for Copy {
    fn apply(&mut self, batch: &[Input], out: &mut Vec<Outgoing>) -> Result<Tally, Hold> {
        out.extend(batch.iter().map(|input| Outgoing {
            topic: Arc::from(OUTPUT),
            key: input.key.clone(),
            value: input.value.clone(),
            timestamp_ms: input.timestamp_ms,
            headers: input.headers.clone(),
        }));
        Ok(Tally { done: batch.len(), out: batch.len() as u64, ..Tally::default() })
    }

    fn divert(&mut self, input: &Input, _: &str, out: &mut Vec<Outgoing>) -> Result<Tally, Hold> {
        self.apply(std::slice::from_ref(input), out)?;
        Ok(Tally { done: 1, dead: 1, ..Tally::default() })
    }
}

pub(crate) struct Make<F>(pub(crate) F);

impl<F: Fn() -> Box<dyn Work> + Send + Sync> Factory for Make<F> {
    fn make(&self) -> Result<Box<dyn Work>, NoWork> {
        Ok((self.0)())
    }
}

pub(crate) struct Running {
    pub(crate) control: Arc<Control>,
    pub(crate) status: Arc<Status>,
    pub(crate) registry: Arc<prometheus_client::registry::Registry>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    pub(crate) fn copying(mock: &Mock, instance: &str) -> Self {
        Self::start(mock, instance, Arc::new(Make(|| -> Box<dyn Work> { Box::new(Copy) })))
    }

    pub(crate) fn start(mock: &Mock, instance: &str, factory: Arc<dyn Factory>) -> Self {
        Self::start_in(mock, instance, factory, Slot::run)
    }

    /// The same, with something around the slot's run in its thread.
    pub(crate) fn start_in(
        mock: &Mock,
        instance: &str,
        factory: Arc<dyn Factory>,
        run: impl FnOnce(Slot) + Send + 'static,
    ) -> Self {
        let (registry, metrics) = metrics::registry();
        let control = Arc::new(Control::new(factory, false, Arc::new(|what: &str| panic!("{what}"))));
        let status = Arc::new(Status::default());
        let slot = slot(mock, instance, &control, &status, metrics.slot("copy", 0));
        let thread = std::thread::spawn(move || run(slot));
        Self { control, status, registry, thread: Some(thread) }
    }

    pub(crate) fn until(&self, what: &str, holds: impl Fn(&Status) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !holds(&self.status) {
            assert!(Instant::now() < until, "{what} did not happen; the slot says {:?}", self.status.report());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn metric(&self, name: &str) -> f64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.control.stop();
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking(), "the slot panicked");
    }
}

fn slot(mock: &Mock, instance: &str, control: &Arc<Control>, status: &Arc<Status>, metrics: SlotMetrics) -> Slot {
    Slot {
        kafka: Arc::new(Cluster::new(mock.brokers.as_str()).with_protocol(mock.protocol)),
        identity: Identity::new("copy", instance, 0),
        topics: vec![INPUT.to_owned()],
        control: Arc::clone(control),
        status: Arc::clone(status),
        metrics,
    }
}
