//! What all clients share: where Kafka is, who we are to it, and why it does not take us if it does not.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode as Code};
use rdkafka::metadata::MetadataTopic;
use service_kit::kafka::{Brokers, Heard};
use tracing::debug;

use super::KafkaError;

/// More than this a client is not told while it connects.
pub(crate) const WAITING: usize = 64;

/// `session.timeout.ms`: how long a member of a group may say nothing, and how long a commit waits for the group's
/// coordinator. Brokers take no less by default.
pub(crate) const SESSION: &str = "6000";

/// A consumer that keeps what it is told beside the answers to its questions.
pub(crate) type Consumer = BaseConsumer<Ear>;

/// Keeps why the brokers do not take a client. What librdkafka logs is for who looks for it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ear(Heard);

impl ClientContext for Ear {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.logged(facility, message);
        debug!(target: "librdkafka", level = ?level, facility, "{message}");
    }

    fn error(&self, error: ClientError, reason: &str) {
        if matches!(error.rdkafka_error_code(), Some(Code::Authentication | Code::SSL)) {
            self.0.refused(reason);
        }
        debug!(error = %error, reason, "kafka client reports");
    }
}

impl ConsumerContext for Ear {}

/// The settings that every client begins with.
pub(crate) fn config(brokers: &Brokers, client_id: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (name, value) in brokers.properties() {
        config.set(name, value);
    }
    // That a broker hangs up at once, as one does that speaks TLS, is told in a line of this level only.
    config.set_log_level(RDKafkaLogLevel::Info).set("client.id", client_id);
    config
}

/// A consumer of these settings, which are some of [`config`]. Does not connect yet.
///
/// # Errors
/// [`KafkaError::Client`] where it cannot be made.
pub(crate) fn consumer(config: &ClientConfig, brokers: &Brokers) -> Result<Consumer, KafkaError> {
    let made = config.create_with_context(Ear::default());
    made.map_err(|cause| KafkaError::Client { servers: brokers.to_string(), cause })
}

/// Why a question of this consumer failed. What it was told beside may still wait there; it is not to be read from after
/// this without being assigned anew, since a record that waits is thrown away.
pub(crate) fn failed(consumer: &Consumer, brokers: &Brokers, cause: ClientError) -> KafkaError {
    if is_unanswered(&cause) {
        for _ in 0..WAITING {
            let _ = consumer.poll(Duration::ZERO);
        }
    }
    heard(consumer.context(), brokers, cause)
}

/// The same for a client that has a thread to hear for it.
pub(crate) fn heard(ear: &Ear, brokers: &Brokers, cause: ClientError) -> KafkaError {
    let servers = brokers.to_string();
    match ear.0.why() {
        Some(why) if is_unanswered(&cause) => KafkaError::Refused { servers, why },
        Some(_) | None => KafkaError::Client { servers, cause },
    }
}

/// A topic that we may not see is not one that is not there.
///
/// # Errors
/// [`KafkaError::Topic`] where we may not.
pub(crate) fn seen(found: &MetadataTopic) -> Result<&MetadataTopic, KafkaError> {
    match found.error().map(Code::from) {
        Some(code @ Code::TopicAuthorizationFailed) => Err(KafkaError::Topic { topic: found.name().to_owned(), code }),
        Some(_) | None => Ok(found),
    }
}

/// The same of one that is in no list: asked for by its name it is refused. Only by a consumer that makes no topics.
///
/// # Errors
/// [`KafkaError`].
pub(crate) fn not_hidden(
    consumer: &Consumer,
    brokers: &Brokers,
    topic: &str,
    time: Duration,
) -> Result<(), KafkaError> {
    let asked = consumer.fetch_metadata(Some(topic), time);
    let metadata = asked.map_err(|cause| failed(consumer, brokers, cause))?;
    metadata.topics().iter().try_for_each(|found| seen(found).map(drop))
}

/// Nobody answered, which may be since nobody takes us.
fn is_unanswered(cause: &ClientError) -> bool {
    matches!(
        cause.rdkafka_error_code(),
        Some(
            Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::OperationTimedOut
                | Code::RequestTimedOut
                | Code::MessageTimedOut
                | Code::Resolve
                | Code::Authentication
                | Code::SSL
        )
    )
}
