//! Writes one record outside of a transaction and waits until the broker has it. Who writes what follows from what is stored
//! does so in its turn.

use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DeliveryResult, ProducerContext, ThreadedProducer};
use service_kit::kafka::Brokers;
use service_kit::kafka::refusal::with_way_out;
use tokio::sync::{Mutex, MutexGuard, oneshot};

use crate::kafka::client;

/// Longer than the client's own time-out, so that its answer is heard.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(12);

/// Writes state.
pub struct Writer {
    producer: ThreadedProducer<Reports>,
    turn: Mutex<()>,
}

/// While it is held, nobody else of this process writes what follows from what is stored.
pub type Turn<'w> = MutexGuard<'w, ()>;

/// Why a write is not known to have been made.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to {topic}: {cause}")]
pub struct NotWritten {
    topic: String,
    cause: String,
}

struct Reports;

/// Who waits for the report on a record.
type Waiting = Box<oneshot::Sender<Result<i64, String>>>;

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(error = %error, reason, "kafka client reports");
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Waiting;

    fn delivery(&self, report: &DeliveryResult<'_>, waiting: Self::DeliveryOpaque) {
        let told = match report {
            // librdkafka concludes from a later answer that the broker has it, which may be wrong: see `kafka`'s reports.
            Ok(message) if message.offset() < 0 => Err("the broker confirmed a later record, not this one".to_owned()),
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(with_way_out(error.to_string())),
        };
        // Whoever waited may have gone; the record is written all the same.
        let _ = waiting.send(told);
    }
}

impl Writer {
    /// A writer.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn new(brokers: &Brokers, client_id: &str) -> KafkaResult<Self> {
        let config = client::state_producer(brokers, client_id);
        let producer = ThreadedProducer::from_config_and_context(&config, Reports)?;
        Ok(Self { producer, turn: Mutex::default() })
    }

    /// Waits for the turn to read what is stored and to write what follows from it: of two who read the same, the second
    /// would undo what the first wrote. Nothing long is done in it. Other processes have turns of their own.
    pub async fn turn(&self) -> Turn<'_> {
        self.turn.lock().await
    }

    /// Writes `value` (`None` deletes) under `key`; gives the record's offset.
    ///
    /// # Errors
    /// When the broker did not say that it has the record.
    pub async fn put(&self, topic: &'static str, key: &str, value: Option<&[u8]>) -> Result<i64, NotWritten> {
        let (told, delivered) = oneshot::channel();
        let mut record: BaseRecord<'_, str, [u8], _> =
            BaseRecord::with_opaque_to(topic, Box::new(told)).key(key).partition(0);
        record.payload = value;
        let failed = |cause: String| NotWritten { topic: topic.to_owned(), cause };
        if let Err((error, _)) = self.producer.send(record) {
            return Err(failed(error.to_string()));
        }
        match tokio::time::timeout(DELIVERY_TIMEOUT, delivered).await {
            Ok(Ok(told)) => told.map_err(failed),
            Ok(Err(_)) | Err(_) => Err(failed("the broker did not answer in time".to_owned())),
        }
    }
}
