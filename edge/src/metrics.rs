//! The edge's metrics and their names. Every label has a fixed set of values; nothing of a request becomes a label.

use std::{
    fmt::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64},
    },
    time::{Duration, Instant},
};

use service_kit::http::Connections;

use crate::{
    keys::Limit,
    publish::{Admission, Permits, Persistence, Statistics},
};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

mod fill;
mod kafka;
mod stages;

use fill::{Fill, Shown};
use kafka::Kafka;
pub use stages::Stage;
use stages::Stages;

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

/// The slug of the problem's type: `Refusal` has a fixed set of them.
#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
struct ByReason {
    reason: &'static str,
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
    refusals: Family<ByReason, Counter>,
    stages: Stages,
    replaced: Counter<u64, AtomicU64>,
    fill: Fill,
    kafka: Kafka,
}

/// Counts one request while it lives.
#[derive(Debug)]
pub struct Request<'a> {
    metrics: &'a Metrics,
    outcome: Option<Outcome>,
    begun: Instant,
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
        let edge = registry.sub_registry_with_prefix("orderflow_edge");
        let all = Arc::new(All {
            requests: Family::default(),
            batches: Family::default(),
            over_quota: Family::default(),
            in_flight: Gauge::default(),
            messages: Family::default(),
            refusals: Family::default(),
            stages: Stages::new(edge),
            replaced: Counter::default(),
            fill: Fill::default(),
            kafka: Kafka::default(),
        });
        let requests = "Requests by how they ended; each order of a batch counts as one";
        edge.register("requests", requests, all.requests.clone());
        edge.register("batches", "Batches from which orders were taken, by how they ended", all.batches.clone());
        let over_quota = "Requests over a quota of their key, by the quota; each order of a batch counts as one";
        edge.register("over_quota", over_quota, all.over_quota.clone());
        edge.register("in_flight_requests", "Requests that are being worked on", all.in_flight.clone());
        edge.register("messages", "Messages by what became of them", all.messages.clone());
        let refusals = "Orders, requests and batches that were refused, by the type of the problem they were answered";
        edge.register("refusals", refusals, all.refusals.clone());
        edge.register(
            "producer_replacements",
            "Producers that broke, or had an order that was not stored in its time, and were replaced",
            all.replaced.clone(),
        );
        let metrics = Self(all);
        edge.register_collector(Box::new(Shown(metrics.clone())));
        metrics
    }

    /// A request begins; it ends when the guard is dropped.
    #[must_use]
    pub fn request(&self) -> Request<'_> {
        self.0.in_flight.inc();
        Request { metrics: self, outcome: Some(Outcome::ClientGone), begun: Instant::now() }
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

    /// An answer, or a line of one, was a problem of this kind.
    pub fn refused(&self, reason: &'static str) {
        self.0.refusals.get_or_create(&ByReason { reason }).inc();
    }

    /// An order was in this stage for so long.
    pub fn took(&self, stage: Stage, time: Duration) {
        self.0.stages.took(stage, time);
    }

    /// A request exceeded a quota of its key.
    pub fn over_quota(&self, limit: Limit) {
        self.0.over_quota.get_or_create(&ByLimit { limit }).inc();
    }

    /// A message was settled after this long.
    pub fn settled(&self, persistence: Persistence, after: Duration) {
        let persisted = match persistence {
            Persistence::Stored(_) => Settled::Stored,
            Persistence::NotStored => Settled::NotStored,
            Persistence::InDoubt => Settled::InDoubt,
        };
        self.0.messages.get_or_create(&ByPersistence { persisted }).inc();
        self.took(Stage::Publish, after);
    }

    /// A producer was replaced.
    pub fn producer_replaced(&self) {
        self.0.replaced.inc();
    }

    /// What librdkafka has counted.
    pub fn kafka(&self, statistics: Statistics) {
        self.0.kafka.set(statistics);
    }

    /// Shows how much waits here, and how fast that goes.
    pub fn watch_queue(&self, queue: &Arc<Admission>) {
        self.0.fill.watch_queue(Arc::clone(queue));
    }

    /// Shows how much of this budget for bodies is taken.
    pub fn watch_bodies(&self, permits: &Permits) {
        self.0.fill.watch_bodies(permits.clone());
    }

    /// Shows how many connections are open.
    pub fn watch_connections(&self, connections: &Connections) {
        self.0.fill.watch_connections(connections.clone());
    }
}

impl Request<'_> {
    /// When its head was complete.
    #[must_use]
    pub fn begun(&self) -> Instant {
        self.begun
    }

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
            self.metrics.0.stages.request(self.begun.elapsed());
        }
        self.metrics.0.in_flight.dec();
    }
}

#[cfg(test)]
mod tests;
