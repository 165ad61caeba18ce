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
mod durability;
mod error;
mod in_flight;
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
pub use durability::Durability;
pub use error::{InDoubt, PublishError, Unavailable};
pub use in_flight::InFlight;
use in_flight::describe;
pub use permits::{Full, Permit, Permits, Share};
pub use service_kit::kafka::Security;
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
    /// The offset.
    pub offset: i64,
}

type Kafka = ThreadedProducer<Context>;

/// At the end it is looked this often whether all is settled.
const FLUSH_ROUND: Duration = Duration::from_millis(10);

/// The producer, which is replaced when it breaks for good, when it goes on as somebody else, and when an order in it is too
/// old.
pub struct Publisher {
    kafka: RwLock<Arc<Kafka>>,
    servers: String,
    security: Mutex<Security>,
    client_id: String,
    topic: &'static str,
    broker: Arc<Broker>,
    durability: Mutex<Option<Durability>>,
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
            durability: Mutex::default(),
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

    /// What the topic's replicas were when it was last seen; `None` before that.
    #[must_use]
    pub fn durability(&self) -> Option<Durability> {
        *self.durability.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self, durability: Durability) {
        *self.durability.lock().unwrap_or_else(PoisonError::into_inner) = Some(durability);
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
            Ok(()) => Ok(InFlight::new(report, size, now)),
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
        let old = self.put_in_use(&security, self.fresh_context())?;
        *known = security;
        drop(known);
        age::retire(old);
        self.broker.ask_for_supervisor();
        Ok(true)
    }

    /// A new producer in place of this one, unless that was replaced already. The old one is given back; its messages
    /// are still to be settled.
    fn replace(&self, old: &Arc<Kafka>, context: Context) -> Result<Option<Arc<Kafka>>, KafkaError> {
        // Held to the end: else this would undo what `secure` does meanwhile.
        let security = self.security.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(old, &self.kafka()) {
            return Ok(None);
        }
        self.put_in_use(&security, context).map(Some)
    }

    /// For a producer that knows nothing of the broker yet.
    fn fresh_context(&self) -> Context {
        Context::new(&self.broker, &self.metrics, &self.statistics)
    }

    /// Only with the lock on `security`.
    fn put_in_use(&self, security: &Security, context: Context) -> Result<Arc<Kafka>, KafkaError> {
        let fresh = settings::create(&self.servers, security, &self.client_id, context)?;
        self.metrics.producer_replaced();
        let mut kafka = self.kafka.write().unwrap_or_else(PoisonError::into_inner);
        fresh.context().take_over_from(kafka.context());
        Ok(std::mem::replace(&mut kafka, Arc::new(fresh)))
    }
}

#[cfg(test)]
mod tests;
