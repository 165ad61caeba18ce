//! Hands records to Kafka and tells the truth about what became of each: stored, not stored, or in doubt.
//!
//! librdkafka is asked for the persistence of every message; nothing is guessed. A record that was handed over is
//! neither recalled nor forgotten when its client hangs up: the delivery report settles it. Does not know HTTP.

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{BaseRecord, Producer, ThreadedProducer},
};
use service_kit::Tasks;
use tokio::sync::oneshot;

mod admission;
mod age;
mod broker;
mod context;
mod drain_rate;
pub mod pause;
mod permission;
mod permits;
mod promises;
pub mod security;
pub mod settings;
mod statistics;
mod stuck;
mod supervisor;
mod witness;

pub use admission::{Admission, Place, Terms};
pub use age::give_up_the_old;
pub use broker::{Away, Broker};
pub use context::{Persistence, Report};
use drain_rate::{DrainRate, Mark};
pub use permits::{Full, Permit, Permits, Share};
pub use security::Security;
pub use statistics::{BrokerStatistics, Statistics, TopicStatistics, Window};
pub use supervisor::supervise;

use crate::metrics::Metrics;
use context::{Context, Delivery};
use statistics::Newest;
use witness::{Witness, loss};

/// What is published: one order.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The order id; decides the partition.
    pub key: &'a [u8],
    /// Framed Avro.
    pub value: &'a [u8],
    /// Record headers.
    pub headers: &'a [(&'static str, &'a [u8])],
}

/// A record that is surely in the topic.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Placed {
    /// The partition.
    pub partition: i32,
    /// The offset; unknown when the broker answered a repeated send with "already there".
    pub offset: Option<i64>,
}

/// Why a record is not surely in the topic.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Surely not in the topic: nothing was handed over, or librdkafka says so.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The topic refuses records of this size; surely not in it.
    #[error("the topic refuses a record of {0} bytes")]
    TooLarge(usize),
    /// May be in the topic now, or later.
    #[error("{0}")]
    InDoubt(InDoubt),
}

/// Why nothing is accepted now.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unavailable {
    /// No broker can be reached, or the topic is not there.
    #[error("Kafka cannot take orders now: {0}")]
    Broker(Away),
    /// As many orders wait for the broker as we let wait.
    #[error("as many orders wait for the broker as may wait")]
    QueueFull {
        /// When its client may come back.
        pause: Duration,
    },
    /// The broker would not have acknowledged it in time.
    #[error(
        "the broker is behind by {wait:.1?}, too much for the deadline of {deadline:?}; send it again, or allow it more time"
    )]
    Late {
        /// How long orders wait now.
        wait: Duration,
        /// The client's.
        deadline: Duration,
        /// When its client may come back.
        pause: Duration,
    },
    /// As many orders of this client wait for the broker as may be one client's.
    #[error("as many orders of this key wait for the broker as leave room for those of others")]
    ShareTaken {
        /// When its client may come back.
        pause: Duration,
    },
    /// librdkafka gave the message up without having sent it.
    #[error("the broker did not take the order in time ({0})")]
    NotSent(String),
    /// The schema registry has not told the schema's id yet.
    #[error("the schema registry has not told the id of the schema yet")]
    Schema,
}

/// Why it is not known whether a record is in the topic.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InDoubt {
    /// The deadline passed with the record in flight.
    #[error("the broker has not answered within {0:?}; the order may be stored or may yet be")]
    Deadline(Duration),
    /// The broker's answer was lost or says nothing.
    #[error("the broker was sent the order and did not confirm it ({0})")]
    Unconfirmed(String),
}

/// A record that was handed over and is not settled yet.
#[derive(Debug)]
#[must_use = "a record that was handed over is in doubt until it is settled"]
pub struct InFlight {
    report: oneshot::Receiver<Report>,
    size: usize,
    begun: Instant,
}

type Kafka = ThreadedProducer<Context>;

/// At the end it is looked this often whether all is settled.
const FLUSH_ROUND: Duration = Duration::from_millis(10);

/// The producer, which is replaced when it breaks for good.
pub struct Publisher {
    kafka: RwLock<Arc<Kafka>>,
    servers: String,
    security: Mutex<Security>,
    client_id: String,
    topic: &'static str,
    broker: Arc<Broker>,
    admission: Arc<Admission>,
    metrics: Metrics,
    statistics: Newest,
}

impl Publisher {
    /// A producer for one topic. It connects in the background: see [`supervise`].
    ///
    /// # Errors
    /// When librdkafka refuses the settings.
    pub fn new(
        servers: &str,
        security: Security,
        instance: &str,
        topic: &'static str,
        metrics: Metrics,
    ) -> Result<Self, KafkaError> {
        let (broker, statistics) = (Arc::new(Broker::new()), Newest::default());
        let client_id = format!("edge-{instance}");
        let kafka = settings::create(servers, &security, &client_id, Context::new(&broker, &metrics, &statistics))?;
        let admission = Arc::new(Admission::new(Instant::now()));
        metrics.watch_queue(&admission);
        Ok(Self {
            kafka: RwLock::new(Arc::new(kafka)),
            servers: servers.to_owned(),
            security: Mutex::new(security),
            client_id,
            topic,
            broker,
            admission,
            metrics,
            statistics,
        })
    }

    /// What is known about the broker.
    #[must_use]
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// Shows what librdkafka counts, until the service stops.
    pub fn show_statistics(&self, tasks: Tasks) -> impl Future<Output = ()> + Send + use<> {
        statistics::show(self.statistics.subscribe(), self.metrics.clone(), tasks)
    }

    /// The topic that is written to.
    #[must_use]
    pub fn topic(&self) -> &'static str {
        self.topic
    }

    /// Hands a record to librdkafka, which copies it. Never blocks and never waits. What happens to the record from here
    /// on does not depend on what the caller does with the answer. Whoever waits for it does so for `deadline`; `share` is
    /// what its client holds of the queue, if clients are told apart.
    ///
    /// # Errors
    /// See [`PublishError`]; then the record is surely not in the topic.
    pub fn send(
        &self,
        record: Record<'_>,
        deadline: Duration,
        share: Option<&Arc<Share>>,
    ) -> Result<InFlight, PublishError> {
        self.broker.lets_in().map_err(Unavailable::Broker)?;
        let (size, now) = (record.value.len(), Instant::now());
        let terms = Terms { order_id: record.key, size: record.key.len() + size, deadline, share };
        let place = self.admission.admit(now, &terms)?;
        let (reply, report) = oneshot::channel();
        let kafka = self.kafka();
        let age = kafka.context().ages().begin(now);
        let delivery = Box::new(Delivery::new(reply, place, &self.admission, (now, age)));
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
        for (key, value) in record.headers {
            headers = headers.insert(Header { key, value: Some(*value) });
        }
        let message =
            BaseRecord::with_opaque_to(self.topic, delivery).key(record.key).payload(record.value).headers(headers);
        let witness = kafka.context().witness();
        witness.used();
        match kafka.send(message) {
            Ok(()) => Ok(InFlight { report, size, begun: now }),
            Err((error, _)) => Err(self.refused(&error, witness, now, &terms, size)),
        }
    }

    /// librdkafka did not take the message, so it is surely not in the topic.
    fn refused(
        &self,
        error: &KafkaError,
        witness: &Witness,
        now: Instant,
        terms: &Terms<'_>,
        size: usize,
    ) -> PublishError {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::QueueFull) => self.admission.full(now, terms).into(),
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => PublishError::TooLarge(size),
            Some(RDKafkaErrorCode::Fatal) => {
                self.broker.ask_for_supervisor();
                Unavailable::Broker(Away::new("the producer broke and is being replaced", Duration::ZERO)).into()
            }
            code => match code.and_then(loss) {
                Some(reason) => {
                    witness.lose_topic(reason);
                    Unavailable::Broker(Away::new(reason, Duration::ZERO)).into()
                }
                None => Unavailable::NotSent(describe(code)).into(),
            },
        }
    }

    /// Waits until everything that was handed over is settled, at most for `limit`. Blocks; for the end of the process.
    ///
    /// # Errors
    /// How many orders were not settled.
    pub fn flush(&self, limit: Duration) -> Result<(), usize> {
        let end = Instant::now() + limit;
        loop {
            // Not the whole time at once: it may be replaced meanwhile, and those before it have orders too.
            let left = end.saturating_duration_since(Instant::now());
            let _ = self.kafka().flush(left.min(FLUSH_ROUND));
            match self.admission.permits().taken().0 {
                0 => return Ok(()),
                open if left.is_zero() => return Err(open),
                _ => std::thread::sleep(left.min(FLUSH_ROUND)),
            }
        }
    }

    fn kafka(&self) -> Arc<Kafka> {
        Arc::clone(&self.kafka.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Goes on as somebody else, or with a newer certificate: the next order is handed to a new producer, and what the
    /// old one was given it settles. Says whether anything changed. Blocks for as long as a producer takes to be made.
    ///
    /// # Errors
    /// When librdkafka refuses the settings; then everything stays as it was.
    pub fn secure(&self, security: Security) -> Result<bool, KafkaError> {
        let mut known = self.security.lock().unwrap_or_else(PoisonError::into_inner);
        if *known == security {
            return Ok(false);
        }
        let old = self.replace_as(&security)?;
        *known = security;
        drop(known);
        age::retire(old);
        self.broker.ask_for_supervisor();
        Ok(true)
    }

    /// A new producer in place of a broken one, unless that was replaced already. The old one is given back; its
    /// messages are still to be settled.
    fn replace(&self, broken: &Arc<Kafka>) -> Result<Option<Arc<Kafka>>, KafkaError> {
        // Held to the end: else this would undo what `secure` does meanwhile.
        let security = self.security.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(broken, &self.kafka()) {
            return Ok(None);
        }
        self.replace_as(&security).map(Some)
    }

    /// The same for one that works: all that is known of the broker holds.
    fn succeed(&self, old: &Arc<Kafka>) -> Result<Option<Arc<Kafka>>, KafkaError> {
        let security = self.security.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(old, &self.kafka()) {
            return Ok(None);
        }
        self.put_in_use(&security, old.context().successor(), |_| ()).map(Some)
    }

    /// Only with the lock on `security`.
    fn replace_as(&self, security: &Security) -> Result<Arc<Kafka>, KafkaError> {
        let context = Context::new(&self.broker, &self.metrics, &self.statistics);
        self.put_in_use(security, context, Witness::begin)
    }

    fn put_in_use(
        &self,
        security: &Security,
        context: Context,
        begin: impl FnOnce(&Witness),
    ) -> Result<Arc<Kafka>, KafkaError> {
        let fresh = settings::create(&self.servers, security, &self.client_id, context)?;
        self.metrics.producer_replaced();
        let mut kafka = self.kafka.write().unwrap_or_else(PoisonError::into_inner);
        begin(fresh.context().witness());
        Ok(std::mem::replace(&mut kafka, Arc::new(fresh)))
    }
}

impl Unavailable {
    /// How long a client should wait before it sends the order again.
    #[must_use]
    pub fn pause(&self) -> Duration {
        match self {
            Self::Broker(away) => away.pause,
            Self::QueueFull { pause } | Self::Late { pause, .. } | Self::ShareTaken { pause } => *pause,
            Self::NotSent(_) | Self::Schema => pause::while_away(Duration::ZERO),
        }
    }
}

impl InFlight {
    /// When it was handed over.
    #[must_use]
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// Waits for the delivery report, at most for `deadline` from the handing over.
    ///
    /// # Errors
    /// See [`PublishError`]; each says whether the record may be in the topic.
    pub async fn settled(mut self, deadline: Duration) -> Result<Placed, PublishError> {
        self.settled_by(self.begun + deadline, deadline).await
    }

    /// The same by a point in time, `deadline` after the record was handed over. A report that has come counts, however
    /// late it is asked for. What was not waited for to its end can be waited for again.
    ///
    /// # Errors
    /// As [`InFlight::settled`].
    pub async fn settled_by(&mut self, end: Instant, deadline: Duration) -> Result<Placed, PublishError> {
        match tokio::time::timeout_at(end.into(), &mut self.report).await {
            Ok(Ok(report)) => settle(report, self.size),
            Ok(Err(_)) => Err(no_report()),
            Err(_) => Err(PublishError::InDoubt(InDoubt::Deadline(deadline))),
        }
    }

    /// What is known now; `None` while there is no report. Once told it is not told again.
    pub fn settled_now(&mut self) -> Option<Result<Placed, PublishError>> {
        match self.report.try_recv() {
            Ok(report) => Some(settle(report, self.size)),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => Some(Err(no_report())),
        }
    }
}

/// The producer went without a report; it gives one for every message, so this is a doubt, not a loss.
fn no_report() -> PublishError {
    PublishError::InDoubt(InDoubt::Unconfirmed("the producer ended".to_owned()))
}

/// What a delivery report means for the client.
fn settle(report: Report, size: usize) -> Result<Placed, PublishError> {
    match (report.persistence, report.error) {
        (Persistence::Stored, _) => Ok(report.placed),
        (Persistence::NotStored, Some(RDKafkaErrorCode::MessageSizeTooLarge)) => Err(PublishError::TooLarge(size)),
        (Persistence::NotStored, error) => Err(Unavailable::NotSent(describe(error)).into()),
        (Persistence::InDoubt, error) => Err(PublishError::InDoubt(InDoubt::Unconfirmed(describe(error)))),
    }
}

fn describe(code: Option<RDKafkaErrorCode>) -> String {
    match code {
        Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight) => "it was given up".to_owned(),
        Some(code) => format!("{code:?}"),
        None => "no error code".to_owned(),
    }
}

#[cfg(test)]
mod tests;
