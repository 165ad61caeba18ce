//! How long requests and their stages take, as histograms.

use std::{
    fmt::{self, Write},
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{family::Family, histogram::Histogram},
    registry::Registry,
};

/// Seconds. From a cached check to beyond the longest deadline of 5 s, which is a bound itself.
const BUCKETS: [f64; 17] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 8.0,
];

/// A part of an order's way; the one label of `orderflow_edge_stage_seconds`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Stage {
    /// From the head to the whole body. Not of batches, whose bodies are read while their orders are worked on.
    Read,
    /// Parsing, checking and encoding one order.
    Check,
    /// From handing a record over to its delivery report.
    Publish,
}

impl EncodeLabelValue for Stage {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(match self {
            Self::Read => "read",
            Self::Check => "check",
            Self::Publish => "publish",
        })
    }
}

#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
struct ByStage {
    stage: Stage,
}

/// The histograms, each held itself, so that an order looks none of them up.
#[derive(Debug)]
pub(super) struct Stages {
    read: Histogram,
    check: Histogram,
    publish: Histogram,
    request: Histogram,
}

impl Stages {
    pub(super) fn new(edge: &mut Registry) -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS);
        let stages = Family::<ByStage, Histogram>::new_with_constructor(histogram);
        let of = |stage| stages.get_or_create(&ByStage { stage }).clone();
        let (read, check, publish) = (of(Stage::Read), of(Stage::Check), of(Stage::Publish));
        let request = histogram();
        edge.register("stage_seconds", "Seconds that orders spend in a stage of their way", stages);
        let help = "Seconds from a request's head to its answer, or to the end of its client's patience; no batches";
        edge.register("request_seconds", help, request.clone());
        Self { read, check, publish, request }
    }

    pub(super) fn took(&self, stage: Stage, time: Duration) {
        let histogram = match stage {
            Stage::Read => &self.read,
            Stage::Check => &self.check,
            Stage::Publish => &self.publish,
        };
        histogram.observe(time.as_secs_f64());
    }

    pub(super) fn request(&self, time: Duration) {
        self.request.observe(time.as_secs_f64());
    }
}
