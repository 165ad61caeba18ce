//! Writes records in transactions of its own, one small one after the other. Who opens a second sender of the same name
//! takes over: the first can commit no more.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use service_kit::kafka::Brokers;
use service_kit::waits;

use super::KafkaError;
use super::client::{self, Consumer, Ear};
use super::lag::Spot;
use super::record::Headers;

/// How long Kafka may take for one step of a transaction.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Longer than the client's own time-out, so that its answer is heard.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(12);

/// A transactional producer.
pub struct Sender {
    producer: ThreadedProducer<Reports>,
    brokers: Brokers,
}

/// A record that is to be written into a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The time that it shall have.
    pub timestamp_ms: Option<i64>,
    /// The headers.
    pub headers: Headers,
}

#[derive(Default)]
struct Reports(Ear);

type Report = Result<i64, ClientError>;

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }

    fn error(&self, error: ClientError, reason: &str) {
        self.0.error(error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<mpsc::Sender<Report>>;

    fn delivery(&self, report: &DeliveryResult<'_>, waiting: Self::DeliveryOpaque) {
        let told = match report {
            // librdkafka concludes from a later answer that the broker has it. A broker that does not know the producer
            // yet takes any first sequence number, and may have refused what came before: its own answer is missing.
            Ok(message) if message.offset() < 0 => Err(ClientError::MessageProduction(Code::RequestTimedOut)),
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(error.clone()),
        };
        // Whoever waited may have gone; the transaction is then not committed.
        let _ = waiting.send(told);
    }
}

impl Sender {
    /// A sender of this name; an earlier one of the same name is shut out, and what it left open is undone.
    ///
    /// # Errors
    /// [`KafkaError`].
    pub fn new(brokers: &Brokers, name: &str) -> Result<Self, KafkaError> {
        let mut config = client::config(brokers, name);
        config
            .set("transactional.id", name)
            .set("transaction.timeout.ms", "20000")
            .set("message.timeout.ms", "10000")
            .set("linger.ms", "0")
            // As transforms': the default of 100 ms makes short transactions slow.
            .set("retry.backoff.ms", "5")
            .set("message.max.bytes", "4259840")
            .set("reconnect.backoff.max.ms", "2000");
        let producer = ThreadedProducer::from_config_and_context(&config, Reports::default())
            .map_err(|cause| KafkaError::Client { servers: brokers.to_string(), cause })?;
        let sender = Self { producer, brokers: brokers.clone() };
        sender.producer.init_transactions(TIMEOUT).map_err(|e| sender.failed(e))?;
        Ok(sender)
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// [`KafkaError`].
    pub fn begin(&self) -> Result<(), KafkaError> {
        self.producer.begin_transaction().map_err(|e| self.failed(e))
    }

    /// Writes a record in the open transaction; answers its offset.
    ///
    /// # Errors
    /// [`KafkaError`]; the transaction is then to be aborted.
    pub fn send(&self, outgoing: &Outgoing) -> Result<i64, KafkaError> {
        self.delivered(&self.enqueue(outgoing)?)
    }

    /// Writes records in the open transaction, side by side; answers their offsets.
    ///
    /// # Errors
    /// [`KafkaError`]; the transaction is then to be aborted.
    pub fn send_all(&self, all: &[Outgoing]) -> Result<Vec<i64>, KafkaError> {
        let waiting = all.iter().map(|outgoing| self.enqueue(outgoing)).collect::<Result<Vec<_>, _>>()?;
        waiting.iter().map(|delivered| self.delivered(delivered)).collect()
    }

    /// Commits a group's next offsets with the open transaction. Kafka takes them from outside of the group while it has
    /// members, too, and these would read on from where they are: whoever calls this sees that it has none.
    ///
    /// # Errors
    /// [`KafkaError`]; the sender is then of no use any more, not even to abort: what was begun may still be under way.
    pub(crate) fn offsets(&self, group: &Consumer, next: &BTreeMap<Spot, i64>) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        for ((topic, partition), offset) in next {
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset)).map_err(|e| self.failed(e))?;
        }
        let named = group.group_metadata().ok_or(KafkaError::Cut)?;
        // Which of the two ends first is all the same: either says that the time is over, and the sender is used no more.
        let sent = waits::at_most(TIMEOUT, || self.producer.send_offsets_to_transaction(&list, &named, TIMEOUT));
        sent.map_err(|e| self.failed(e))
    }

    /// Commits the open transaction.
    ///
    /// # Errors
    /// [`KafkaError`]; it may have been committed all the same.
    pub fn commit(&self) -> Result<(), KafkaError> {
        self.producer.commit_transaction(TIMEOUT).map_err(|e| self.failed(e))
    }

    /// Undoes the open transaction.
    ///
    /// # Errors
    /// [`KafkaError`].
    pub fn abort(&self) -> Result<(), KafkaError> {
        self.producer.abort_transaction(TIMEOUT).map_err(|e| self.failed(e))
    }

    fn enqueue(&self, outgoing: &Outgoing) -> Result<mpsc::Receiver<Report>, KafkaError> {
        let (told, delivered) = mpsc::channel();
        let mut headers = OwnedHeaders::new();
        for (name, value) in &outgoing.headers {
            let key = std::str::from_utf8(name).map_err(|_| KafkaError::Header { topic: outgoing.topic.clone() })?;
            headers = headers.insert(Header { key, value: value.as_deref() });
        }
        let mut record: BaseRecord<'_, [u8], [u8], _> =
            BaseRecord::with_opaque_to(&outgoing.topic, Box::new(told)).partition(outgoing.partition).headers(headers);
        (record.key, record.payload, record.timestamp) =
            (outgoing.key.as_deref(), outgoing.value.as_deref(), outgoing.timestamp_ms);
        self.producer.send(record).map_err(|(cause, _)| self.failed(cause))?;
        Ok(delivered)
    }

    fn delivered(&self, waiting: &mpsc::Receiver<Report>) -> Result<i64, KafkaError> {
        match waiting.recv_timeout(DELIVERY_TIMEOUT) {
            Ok(report) => report.map_err(|e| self.failed(e)),
            Err(_) => Err(KafkaError::Cut),
        }
    }

    fn failed(&self, cause: ClientError) -> KafkaError {
        client::heard(&self.producer.context().0, &self.brokers, cause)
    }
}
