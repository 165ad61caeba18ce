//! What the producer's own thread does: it logs, and keeps what only the delivery reports tell. A record that could not be
//! delivered makes the commit fail with "requires abort", so nobody has to count reports; but they say that doing the
//! transaction again will not help, and that a record is held to be stored by conclusion only.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;

use super::client;

/// A record of ours that the broker takes never, however often it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The topic that does not take it.
    pub topic: String,
    /// The broker's words.
    pub text: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} refuses a record for good: {}", self.topic, self.text)
    }
}

#[derive(Default)]
pub(super) struct Reports {
    refusal: Mutex<Option<Refusal>>,
    doubt: AtomicBool,
}

impl Reports {
    /// What was refused since the last call; the first one, since the client gives up the rest of the transaction then.
    pub(super) fn take(&self) -> Option<Refusal> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether a record since the last call has no offset. When a later request of a partition is acknowledged, librdkafka
    /// takes those before it for stored (`rd_kafka_dr_implicit_ack`); but a broker that does not know the producer yet
    /// takes any first sequence number, and may just have refused the earlier one.
    pub(super) fn take_doubt(&self) -> bool {
        self.doubt.swap(false, Ordering::SeqCst)
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(error = %error, reason, "producer reports");
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, report: &DeliveryResult<'_>, (): ()) {
        let (error, message) = match report {
            Ok(message) => {
                if message.offset() < 0 {
                    self.doubt.store(true, Ordering::SeqCst);
                }
                return;
            }
            Err(failed) => failed,
        };
        tracing::debug!(error = %error, "a record of this transaction was not delivered");
        if error.rdkafka_error_code().is_some_and(is_for_good) {
            let refusal = Refusal { topic: message.topic().to_owned(), text: error.to_string() };
            self.refusal.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(refusal);
        }
    }
}

/// Whether it is the record's own fault. A missing permission is not: it would be everybody's, and somebody may grant it.
fn is_for_good(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::MessageBatchTooLarge
            | RDKafkaErrorCode::InvalidRecord
            | RDKafkaErrorCode::InvalidTimestamp
    )
}
