//! What is counted of a pipeline's versions.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::{Histograms, Pipeline};

/// The metrics of all pipelines.
#[derive(Clone)]
pub(super) struct Families {
    swaps: Family<Pipeline, Counter>,
    stall_seconds: Histograms,
    rollbacks: Family<Pipeline, Counter>,
    trips: Family<Pipeline, Counter>,
    degraded: Family<Pipeline, Gauge>,
    parked: Family<Pipeline, Gauge>,
}

/// Those of one pipeline.
#[derive(Clone)]
pub struct SwapMetrics {
    swaps: Counter,
    stall_seconds: Histogram,
    rollbacks: Counter,
    trips: Counter,
    degraded: Gauge,
    parked: Gauge,
}

impl Default for Families {
    fn default() -> Self {
        // From 50 µs to 1.6 s.
        let seconds: fn() -> Histogram = || Histogram::new(exponential_buckets(0.000_05, 2.0, 16));
        Self {
            swaps: Family::default(),
            stall_seconds: Family::new_with_constructor(seconds),
            rollbacks: Family::default(),
            trips: Family::default(),
            degraded: Family::default(),
            parked: Family::default(),
        }
    }
}

impl Families {
    pub(super) fn name(&self, registry: &mut Registry) {
        registry.register("swaps", "slots that took over another version of their pipeline", self.swaps.clone());
        let stall = "time that a slot stood still between two transactions to take over another version";
        registry.register("swap_stall_seconds", stall, self.stall_seconds.clone());
        registry.register("rollbacks", "versions that this process sent back", self.rollbacks.clone());
        registry.register("breaker_trips", "times that the breaker of this process tripped", self.trips.clone());
        registry.register("degraded", "1 while another version runs than the config says", self.degraded.clone());
        registry.register("parked", "1 while the breaker holds the pipeline's flow", self.parked.clone());
    }

    pub(super) fn of(&self, pipeline: &str) -> SwapMetrics {
        let label = Pipeline { pipeline: pipeline.to_owned() };
        SwapMetrics {
            swaps: self.swaps.get_or_create_owned(&label),
            stall_seconds: self.stall_seconds.get_or_create_owned(&label),
            rollbacks: self.rollbacks.get_or_create_owned(&label),
            trips: self.trips.get_or_create_owned(&label),
            degraded: self.degraded.get_or_create_owned(&label),
            parked: self.parked.get_or_create_owned(&label),
        }
    }

    /// How a pipeline stands is not told any more.
    pub(super) fn forget(&self, pipeline: &str) {
        let label = Pipeline { pipeline: pipeline.to_owned() };
        self.degraded.remove(&label);
        self.parked.remove(&label);
    }
}

impl SwapMetrics {
    pub(super) fn swapped(&self, stall: Duration) {
        self.swaps.inc();
        self.stall_seconds.observe(stall.as_secs_f64());
    }

    /// A version was sent back.
    pub fn rolled_back(&self) {
        self.rollbacks.inc();
    }

    /// The breaker tripped.
    pub fn tripped(&self) {
        self.trips.inc();
    }

    /// How the pipeline stands.
    pub fn stands(&self, degraded: bool, parked: bool) {
        self.degraded.set(degraded.into());
        self.parked.set(parked.into());
    }
}
