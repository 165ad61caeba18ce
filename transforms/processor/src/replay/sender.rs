//! Writes records in one transaction. Who opens a second sender of the same name takes over: the first can commit no more.

use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use service_kit::kafka::Brokers;

use super::CLIENT;
use crate::kafka::{Outgoing, client};

/// How long Kafka may take for one step of a transaction.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Longer than the client's own time-out, so that its answer is heard.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(12);

/// A transactional producer. All calls block.
pub(super) struct Sender {
    producer: ThreadedProducer<Reports>,
}

struct Reports(client::Log);

type Report = Result<i64, KafkaError>;

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<mpsc::Sender<Report>>;

    fn delivery(&self, report: &DeliveryResult<'_>, waiting: Self::DeliveryOpaque) {
        let told = match report {
            // librdkafka concludes from a later answer that the broker has it, which may be wrong: see `kafka`'s reports.
            Ok(message) if message.offset() < 0 => Err(KafkaError::MessageProduction(Code::RequestTimedOut)),
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(error.clone()),
        };
        // Whoever waited may have gone; the transaction is then not committed.
        let _ = waiting.send(told);
    }
}

impl Sender {
    /// A sender of this name; an earlier one of the same name is shut out, and what it left open is undone.
    pub(super) fn new(kafka: &Brokers, name: &str) -> anyhow::Result<Self> {
        let mut config = client::state_producer(kafka, CLIENT);
        config
            .set("transactional.id", name)
            // Whoever reads the topic waits so long for one that died within.
            .set("transaction.timeout.ms", "20000")
            // As a slot's: the default of 100 ms makes short transactions slow.
            .set("retry.backoff.ms", "5");
        let reports = Reports(client::Log::default());
        let producer = ThreadedProducer::from_config_and_context(&config, reports);
        let sender = Self { producer: producer.context("cannot make a Kafka producer")? };
        let begun = sender.producer.init_transactions(TIMEOUT);
        begun.map_err(|error| sender.failed(&format!("cannot begin as {name}"), &error))?;
        Ok(sender)
    }

    /// Begins a transaction.
    pub(super) fn begin(&self) -> anyhow::Result<()> {
        self.producer.begin_transaction().map_err(|error| self.failed("cannot begin a transaction", &error))
    }

    /// Writes a record into this partition, in the open transaction; gives its offset. After an error the transaction is to
    /// be aborted.
    pub(super) fn send(&self, record: &Outgoing, partition: i32) -> anyhow::Result<i64> {
        let topic = &record.topic;
        let (told, delivered) = mpsc::channel();
        let mut headers = OwnedHeaders::new();
        for (name, value) in &record.headers {
            let key = std::str::from_utf8(name);
            let key = key.context("the name of a header is no text, and would not be written as it was")?;
            headers = headers.insert(Header { key, value: value.as_deref() });
        }
        let mut written: BaseRecord<'_, [u8], [u8], _> =
            BaseRecord::with_opaque_to(topic, Box::new(told)).partition(partition).headers(headers);
        (written.key, written.payload, written.timestamp) =
            (record.key.as_deref(), record.value.as_deref(), record.timestamp_ms);
        let failed = |error: &KafkaError| self.failed(&format!("cannot write to {topic}"), error);
        self.producer.send(written).map_err(|(error, _)| failed(&error))?;
        match delivered.recv_timeout(DELIVERY_TIMEOUT) {
            Ok(report) => report.map_err(|error| failed(&error)),
            Err(_) => Err(anyhow!("cannot write to {topic}: the broker did not answer in time")),
        }
    }

    /// Commits the open transaction; after an error it may be committed all the same.
    pub(super) fn commit(&self) -> anyhow::Result<()> {
        self.producer.commit_transaction(TIMEOUT).map_err(|error| self.failed("cannot commit", &error))
    }

    /// Undoes the open transaction.
    pub(super) fn abort(&self) -> anyhow::Result<()> {
        self.producer.abort_transaction(TIMEOUT).map_err(|error| self.failed("cannot abort", &error))
    }

    fn failed(&self, what: &str, error: &KafkaError) -> anyhow::Error {
        anyhow!("{what}: {}", self.producer.context().0.words(error))
    }
}
