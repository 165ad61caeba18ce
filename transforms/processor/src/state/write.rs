//! Writes one record to a state topic and waits until the broker has it.

use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DeliveryResult, ProducerContext, ThreadedProducer};
use tokio::sync::oneshot;

use crate::kafka::client::{self, Log};

/// Longer than the client's own time-out, so that its answer is heard.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(12);

/// Writes state.
pub struct Writer {
    producer: ThreadedProducer<Reports>,
}

/// Why a write is not known to have been made.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to {topic}: {cause}")]
pub struct NotWritten {
    topic: &'static str,
    cause: String,
}

struct Reports;

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        Log.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Log.error(error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<oneshot::Sender<Result<i64, String>>>;

    fn delivery(&self, report: &DeliveryResult<'_>, waiting: Self::DeliveryOpaque) {
        let told = match report {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(error.to_string()),
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
    pub fn new(brokers: &str, client_id: &str) -> KafkaResult<Self> {
        let config = client::state_producer(brokers, client_id);
        Ok(Self { producer: ThreadedProducer::from_config_and_context(&config, Reports)? })
    }

    /// Writes `value` (`None` deletes) under `key`; gives the record's offset.
    ///
    /// # Errors
    /// When the broker did not say that it has the record.
    pub async fn put(&self, topic: &'static str, key: &str, value: Option<&[u8]>) -> Result<i64, NotWritten> {
        let failed = |cause: String| NotWritten { topic, cause };
        let (told, delivered) = oneshot::channel();
        let mut record: BaseRecord<'_, str, [u8], _> =
            BaseRecord::with_opaque_to(topic, Box::new(told)).key(key).partition(0);
        record.payload = value;
        self.producer.send(record).map_err(|(error, _)| failed(error.to_string()))?;
        match tokio::time::timeout(DELIVERY_TIMEOUT, delivered).await {
            Ok(Ok(told)) => told.map_err(failed),
            Ok(Err(_)) | Err(_) => Err(failed("the broker did not answer in time".to_owned())),
        }
    }
}
