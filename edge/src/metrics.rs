//! The edge's metrics and their names. Every label has a fixed set of values; nothing of a request becomes a label.

use std::{
    fmt::{self, Write},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64},
    },
    time::Duration,
};

use crate::{
    keys::Limit,
    publish::{Admission, Persistence},
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, EncodeMetric, LabelValueEncoder},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

/// How a request ended; the one label of `orderflow_edge_requests`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Outcome {
    /// 202
    Accepted,
    /// 400
    Malformed,
    /// 404 or 405
    NotServed,
    /// 413
    TooLarge,
    /// 415
    Unsupported,
    /// 422
    Invalid,
    /// 401
    Unauthorized,
    /// 403
    Forbidden,
    /// 429
    OverQuota,
    /// 503
    Unavailable,
    /// 504
    InDoubt,
    /// 500
    Panicked,
    /// The client hung up before its answer; a record that was handed over is still settled.
    ClientGone,
}

/// How a batch ended; the one label of `orderflow_edge_batches`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum BatchEnd {
    /// Each of its orders has a receipt.
    Complete,
    /// It was not taken to its end; the last receipt says why.
    CutShort,
    /// The client hung up before it had all receipts; records that were handed over are still settled.
    ClientGone,
    /// A fault of ours, or the end of a drain's time.
    Broken,
}

/// What became of a message; the one label of `orderflow_edge_messages`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Settled {
    Stored,
    NotStored,
    InDoubt,
}

impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(match self {
            Self::Accepted => "accepted",
            Self::Malformed => "malformed",
            Self::NotServed => "not_served",
            Self::TooLarge => "too_large",
            Self::Unsupported => "unsupported",
            Self::Invalid => "invalid",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::OverQuota => "over_quota",
            Self::Unavailable => "unavailable",
            Self::InDoubt => "in_doubt",
            Self::Panicked => "panicked",
            Self::ClientGone => "client_gone",
        })
    }
}

impl EncodeLabelValue for BatchEnd {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(match self {
            Self::Complete => "complete",
            Self::CutShort => "cut_short",
            Self::ClientGone => "client_gone",
            Self::Broken => "broken",
        })
    }
}

impl EncodeLabelValue for Limit {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        write!(encoder, "{self}")
    }
}

impl EncodeLabelValue for Settled {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(match self {
            Self::Stored => "yes",
            Self::NotStored => "no",
            Self::InDoubt => "possibly",
        })
    }
}

#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
struct ByOutcome {
    outcome: Outcome,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
struct ByEnd {
    ended: BatchEnd,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
struct ByLimit {
    limit: Limit,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
struct ByPersistence {
    persisted: Settled,
}

/// The edge's metrics. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<All>);

#[derive(Debug)]
struct All {
    requests: Family<ByOutcome, Counter>,
    batches: Family<ByEnd, Counter>,
    over_quota: Family<ByLimit, Counter>,
    in_flight: Gauge<i64, AtomicI64>,
    messages: Family<ByPersistence, Counter>,
    publish_seconds: Histogram,
    replaced: Counter<u64, AtomicU64>,
    queue: Mutex<Option<Arc<Admission>>>,
}

/// Counts one request while it lives.
#[derive(Debug)]
pub struct Request<'a> {
    metrics: &'a Metrics,
    outcome: Option<Outcome>,
}

/// Counts one batch while it lives; its orders are counted one by one, with [`Metrics::ended`].
#[derive(Debug)]
pub struct Batch {
    metrics: Metrics,
    ended: BatchEnd,
}

impl Metrics {
    /// Registers all metrics.
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let all = Arc::new(All {
            requests: Family::default(),
            batches: Family::default(),
            over_quota: Family::default(),
            in_flight: Gauge::default(),
            messages: Family::default(),
            // 0.25 ms to 8 s, so that the deadline of 5 s lies within.
            publish_seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 16)),
            replaced: Counter::default(),
            queue: Mutex::default(),
        });
        let edge = registry.sub_registry_with_prefix("orderflow_edge");
        let requests = "Requests by how they ended; each order of a batch counts as one";
        edge.register("requests", requests, all.requests.clone());
        edge.register("batches", "Batches from which orders were taken, by how they ended", all.batches.clone());
        let over_quota = "Requests over a quota of their key, by the quota; each order of a batch counts as one";
        edge.register("over_quota", over_quota, all.over_quota.clone());
        edge.register("in_flight_requests", "Requests that are being worked on", all.in_flight.clone());
        edge.register("messages", "Messages by what became of them", all.messages.clone());
        edge.register("publish_seconds", "From handing a message over to its report", all.publish_seconds.clone());
        edge.register("producer_replacements", "Producers that broke and were replaced", all.replaced.clone());
        edge.register_collector(Box::new(Queue(Arc::clone(&all))));
        Self(all)
    }

    /// A request begins; it ends when the guard is dropped.
    #[must_use]
    pub fn request(&self) -> Request<'_> {
        self.0.in_flight.inc();
        Request { metrics: self, outcome: Some(Outcome::ClientGone) }
    }

    /// A batch begins; it ends when the guard is dropped.
    #[must_use]
    pub fn batch(&self) -> Batch {
        self.0.in_flight.inc();
        Batch { metrics: self.clone(), ended: BatchEnd::Broken }
    }

    /// Counts a request that ended in a way its guard could not see.
    pub fn ended(&self, outcome: Outcome) {
        self.0.requests.get_or_create(&ByOutcome { outcome }).inc();
    }

    /// A request exceeded a quota of its key.
    pub fn over_quota(&self, limit: Limit) {
        self.0.over_quota.get_or_create(&ByLimit { limit }).inc();
    }

    /// A message was settled after this long.
    pub fn settled(&self, persistence: Persistence, after: Duration) {
        let persisted = match persistence {
            Persistence::Stored => Settled::Stored,
            Persistence::NotStored => Settled::NotStored,
            Persistence::InDoubt => Settled::InDoubt,
        };
        self.0.messages.get_or_create(&ByPersistence { persisted }).inc();
        self.0.publish_seconds.observe(after.as_secs_f64());
    }

    /// A producer was replaced.
    pub fn producer_replaced(&self) {
        self.0.replaced.inc();
    }

    /// Shows how much waits here, and how fast that goes.
    pub fn watch_queue(&self, queue: &Arc<Admission>) {
        *self.0.queue.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(queue));
    }
}

impl Request<'_> {
    /// How the request ended.
    pub fn end(mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }

    /// The request was a batch, which is counted on its own.
    pub fn goes_on(mut self) {
        self.outcome = None;
    }
}

impl Batch {
    /// How the batch ended.
    pub fn end(mut self, ended: BatchEnd) {
        self.ended = ended;
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.metrics.0.batches.get_or_create(&ByEnd { ended: self.ended }).inc();
        self.metrics.0.in_flight.dec();
        if std::thread::panicking() {
            self.metrics.ended(Outcome::Panicked);
        }
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        // A panic is counted where it is caught, with its answer.
        if let Some(outcome) = self.outcome
            && !std::thread::panicking()
        {
            self.metrics.ended(outcome);
        }
        self.metrics.0.in_flight.dec();
    }
}

/// What waits for the broker, read when asked.
#[derive(Debug)]
struct Queue(Arc<All>);

impl Collector for Queue {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (orders, bytes) = queue.as_ref().map_or((0, 0), |queue| queue.waiting());
        let drain = queue.map_or(0, |queue| queue.orders_per_second().round() as usize);
        for (name, help, value) in [
            ("queue_orders", "Orders that wait for the broker", orders),
            ("queue_bytes", "Bytes that wait for the broker", bytes),
            ("drain_orders_per_second", "Orders that the broker acknowledges when there are enough of them", drain),
        ] {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::publish::Terms;

    #[test]
    fn a_request_that_is_dropped_counts_as_a_client_that_left() {
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        drop(metrics.request());
        metrics.request().end(Outcome::Accepted);
        metrics.request().goes_on();
        metrics.batch().end(BatchEnd::CutShort);
        let open = metrics.request();
        metrics.settled(Persistence::Stored, Duration::from_millis(3));
        let queue = Arc::new(Admission::new(Instant::now()));
        let deadline = Duration::from_secs(5);
        let _taken = queue.admit(Instant::now(), &Terms { order_id: b"a", size: 7, deadline, share: None }).unwrap();
        metrics.watch_queue(&queue);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            r#"orderflow_edge_requests_total{outcome="client_gone"} 1"#,
            r#"orderflow_edge_requests_total{outcome="accepted"} 1"#,
            r#"orderflow_edge_batches_total{ended="cut_short"} 1"#,
            "orderflow_edge_in_flight_requests 1",
            r#"orderflow_edge_messages_total{persisted="yes"} 1"#,
            "orderflow_edge_publish_seconds_count 1",
            "orderflow_edge_queue_orders 1",
            "orderflow_edge_queue_bytes 7",
            "orderflow_edge_drain_orders_per_second 0",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        drop(open);
    }
}
