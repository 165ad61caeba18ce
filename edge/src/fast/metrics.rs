//! Which way orders take. Each label has a fixed set of values.

use std::fmt::{self, Write};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// The one label of `orderflow_edge_verdicts`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Path {
    Fast,
    Full,
}

impl EncodeLabelValue for Path {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(match self {
            Self::Fast => "fast",
            Self::Full => "full",
        })
    }
}

#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
struct ByPath {
    path: Path,
}

/// Counts verdicts on orders by the way that came to them.
#[derive(Clone, Debug)]
pub struct Verdicts {
    fast: Counter,
    full: Counter,
}

impl Verdicts {
    /// Registers the metrics; `is_on` says whether the fast path is used at all.
    #[must_use]
    pub fn new(registry: &mut Registry, is_on: bool) -> Self {
        let verdicts = Family::<ByPath, Counter>::default();
        let edge = registry.sub_registry_with_prefix("orderflow_edge");
        let way = Gauge::<i64>::default();
        way.set(is_on.into());
        edge.register("fast_path", "1 if the order schema has a fast path, 0 if each order takes the full way", way);
        edge.register("verdicts", "Verdicts on orders by the way that came to them", verdicts.clone());
        let counter = |path| verdicts.get_or_create_owned(&ByPath { path });
        Self { fast: counter(Path::Fast), full: counter(Path::Full) }
    }

    /// The fast path took an order.
    pub fn fast(&self) {
        self.fast.inc();
    }

    /// The full way took or refused an order.
    pub fn full(&self) {
        self.full.inc();
    }
}
