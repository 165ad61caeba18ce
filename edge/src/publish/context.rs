//! What librdkafka calls back: delivery reports, errors, logs. It runs on the one polling thread that settles all
//! orders, so nothing here waits.

use std::{sync::Arc, time::Instant};

use rdkafka::{
    ClientContext, Message,
    bindings::{rd_kafka_message_status, rd_kafka_msg_status_t as Status},
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::BorrowedMessage,
    producer::{DeliveryResult, ProducerContext},
};
use service_kit::kafka::refusal;
use tokio::sync::oneshot;

use super::{
    Admission, Broker, Place, Placed,
    age::{Age, Ages, OLD},
    statistics::Newest,
    stuck,
    witness::{Witness, loss},
};
use crate::metrics::Metrics;

/// What librdkafka says about one message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Report {
    /// Whether it is in the topic.
    pub persistence: Persistence,
    /// Why not, if it failed.
    pub error: Option<RDKafkaErrorCode>,
}

/// Whether a message is in the topic.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Persistence {
    /// Surely not.
    NotStored,
    /// Nobody knows.
    InDoubt,
    /// Surely: the broker said where.
    Stored(Placed),
}

/// What travels with a message through librdkafka.
#[derive(Debug)]
pub(super) struct Delivery {
    reply: oneshot::Sender<Report>,
    /// Given back when the message is settled, not when its client stops waiting.
    place: Place,
    admission: Arc<Admission>,
    begun: Instant,
    _age: Age,
}

impl Delivery {
    pub(super) fn new(
        reply: oneshot::Sender<Report>,
        place: Place,
        admission: &Arc<Admission>,
        (begun, age): (Instant, Age),
    ) -> Self {
        Self { reply, place, admission: Arc::clone(admission), begun, _age: age }
    }
}

/// The callbacks of one producer.
pub(super) struct Context {
    witness: Arc<Witness>,
    metrics: Metrics,
    statistics: Newest,
    ages: Arc<Ages>,
}

impl Context {
    pub(super) fn new(broker: &Arc<Broker>, metrics: &Metrics, statistics: &Newest) -> Self {
        Self::with(Arc::new(Witness::new(broker)), metrics, statistics)
    }

    /// For a producer that goes on in place of this one, as the same user: what either says of the broker counts.
    pub(super) fn successor(&self) -> Self {
        Self::with(Arc::clone(&self.witness), &self.metrics, &self.statistics)
    }

    fn with(witness: Arc<Witness>, metrics: &Metrics, statistics: &Newest) -> Self {
        let ages = Arc::new(Ages::new(Instant::now()));
        Self { witness, metrics: metrics.clone(), statistics: statistics.clone(), ages }
    }

    /// Its producer is in use, and the other's is not any more. A successor's witness spoke before and goes on.
    pub(super) fn take_over_from(&self, old: &Self) {
        if !Arc::ptr_eq(&self.witness, &old.witness) {
            self.witness.begin();
        }
    }

    /// The orders that the producer has in hand.
    pub(super) fn ages(&self) -> &Arc<Ages> {
        &self.ages
    }

    /// What the producer says of the broker.
    pub(super) fn witness(&self) -> &Arc<Witness> {
        &self.witness
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Delivery>;

    fn delivery(&self, result: &DeliveryResult<'_>, delivery: Box<Delivery>) {
        let (message, error) = match result {
            Ok(message) => (message, None),
            Err((error, message)) => (message, error.rdkafka_error_code()),
        };
        let persistence = persistence(message);
        let Delivery { reply, place, admission, begun, _age } = *delivery;
        let now = Instant::now();
        let took = now.saturating_duration_since(begun);
        self.metrics.settled(persistence, took);
        match persistence {
            Persistence::Stored(_) => {
                admission.acknowledged(now, place);
                self.ages.stored(now);
                self.witness.stored();
            }
            Persistence::NotStored | Persistence::InDoubt => {
                drop(place);
                match (error.and_then(loss), error) {
                    (Some(reason), _) => self.witness.lose_topic(reason),
                    // A young one was taken back because another was old.
                    (None, Some(code)) if stuck::is_sign(code) && OLD <= took => self.witness.given_up(begun),
                    (None, _) => self.witness.ask_for_supervisor(),
                }
            }
        }
        // Nobody may be waiting any more: the client hung up or its deadline passed.
        let _ = reply.send(Report { persistence, error });
    }
}

/// What librdkafka says, but for one thing: when a later request of a partition is acknowledged it takes those before it
/// for stored, whatever became of them (`rd_kafka_dr_implicit_ack`). That is wrong where the broker did not know the
/// producer yet: it takes any first sequence number, and what it refused a moment earlier, because it had just started
/// and did not lead the partition, is nowhere. Nobody told such a message's offset.
fn persistence(message: &BorrowedMessage<'_>) -> Persistence {
    // SAFETY: `message` borrows a message of the event that is being handled, so the pointer is valid here.
    match unsafe { rd_kafka_message_status(message.ptr()) } {
        Status::RD_KAFKA_MSG_STATUS_NOT_PERSISTED => Persistence::NotStored,
        Status::RD_KAFKA_MSG_STATUS_PERSISTED if 0 <= message.offset() => {
            Persistence::Stored(Placed { partition: message.partition(), offset: message.offset() })
        }
        Status::RD_KAFKA_MSG_STATUS_PERSISTED | Status::RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED => Persistence::InDoubt,
    }
}

impl ClientContext for Context {
    /// The crate calls this twice for each error; both calls say the same, which does no harm.
    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) => self.witness.lost("no broker can be reached"),
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL) => {
                tracing::debug!(kafka.error = %error, kafka.reason = reason, "a broker does not take us");
                self.witness.refused(refusal::cause(reason));
            }
            // Told by the supervisor if the producer is in use: one that was replaced breaks when its rest is taken back.
            Some(RDKafkaErrorCode::Fatal) => {
                tracing::debug!(kafka.reason = reason, "producer broke");
                self.witness.ask_for_supervisor();
            }
            _ => tracing::debug!(kafka.error = %error, kafka.reason = reason, "kafka client error"),
        }
    }

    /// While a broker is away librdkafka logs each attempt; what we know of it is logged once, by `broker`.
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "FAIL"
            && let Some(cause) = refusal::cause_in_log(message)
        {
            self.witness.refused(cause);
        }
        tracing::debug!(target: "librdkafka", level = ?level, facility, "{message}");
    }

    /// The crate would parse all of it here and log it.
    fn stats_raw(&self, statistics: &[u8]) {
        self.statistics.send_replace(statistics.to_vec());
    }
}
