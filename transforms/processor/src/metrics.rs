//! The metrics of this command and their names. Labels are the pipeline and the slot, never anything from a record; what
//! modules count has their own names, of which there are not many.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::logs::GuestLogs;
use crate::pipeline::spec::MAX_TASKS;
use crate::work::Tally;

mod lag;
mod modules;
mod swaps;

pub use lag::Lag;
pub use modules::ModuleMetrics;
pub use swaps::SwapMetrics;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Pipeline {
    pipeline: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Slot {
    pipeline: String,
    slot: u32,
}

impl Slot {
    fn of(pipeline: &str, slot: usize) -> Self {
        Self { pipeline: pipeline.to_owned(), slot: u32::try_from(slot).unwrap_or(u32::MAX) }
    }
}

type Histograms = Family<Pipeline, Histogram, fn() -> Histogram>;

/// All metrics of the process.
#[derive(Clone)]
pub struct Metrics {
    records_in: Family<Pipeline, Counter>,
    records_out: Family<Pipeline, Counter>,
    dead_letters: Family<Pipeline, Counter>,
    dropped: Family<Pipeline, Counter>,
    transactions: Family<Pipeline, Counter>,
    aborts: Family<Pipeline, Counter>,
    rebuilds: Family<Pipeline, Counter>,
    held: Family<Pipeline, Counter>,
    commit_seconds: Histograms,
    batch_records: Histograms,
    open: Family<Slot, Gauge>,
    modules: ModuleMetrics,
    swaps: swaps::Families,
    lag: Lag,
}

/// The metrics of one slot, with its labels resolved once.
#[derive(Clone)]
pub struct SlotMetrics {
    records_in: Counter,
    records_out: Counter,
    dead_letters: Counter,
    dropped: Counter,
    transactions: Counter,
    aborts: Counter,
    rebuilds: Counter,
    held: Counter,
    commit_seconds: Histogram,
    batch_records: Histogram,
    open: Gauge,
    swaps: SwapMetrics,
}

impl Metrics {
    /// Registers everything.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let seconds: fn() -> Histogram = || Histogram::new(exponential_buckets(0.0005, 2.0, 16));
        let records: fn() -> Histogram = || Histogram::new(exponential_buckets(1.0, 4.0, 7));
        let metrics = Self {
            records_in: Family::default(),
            records_out: Family::default(),
            dead_letters: Family::default(),
            dropped: Family::default(),
            transactions: Family::default(),
            aborts: Family::default(),
            rebuilds: Family::default(),
            held: Family::default(),
            commit_seconds: Family::new_with_constructor(seconds),
            batch_records: Family::new_with_constructor(records),
            open: Family::default(),
            modules: ModuleMetrics::default(),
            swaps: swaps::Families::default(),
            lag: Lag::default(),
        };
        metrics.name(registry.sub_registry_with_prefix("transforms"));
        metrics
    }

    fn name(&self, registry: &mut Registry) {
        registry.register("records_in", "records read and committed", self.records_in.clone());
        registry.register("records_out", "records written to the output topic", self.records_out.clone());
        registry.register("dead_letters", "records that no transform would take", self.dead_letters.clone());
        registry.register("records_dropped", "records that a module dropped on purpose", self.dropped.clone());
        registry.register("transactions", "transactions committed", self.transactions.clone());
        registry.register("transactions_aborted", "transactions given up and done again", self.aborts.clone());
        registry.register("rebuilds", "Kafka clients made anew", self.rebuilds.clone());
        registry.register("batches_held", "batches held back, such as while the registry is away", self.held.clone());
        registry.register("commit_seconds", "time of offsets and commit of a transaction", self.commit_seconds.clone());
        registry.register("batch_records", "records of a transaction", self.batch_records.clone());
        registry.register("transaction_open_records", "records in the open transaction of a slot", self.open.clone());
        self.modules.name(registry);
        self.swaps.name(registry);
        self.lag.name(registry);
    }

    /// What is counted of a pipeline's versions.
    #[must_use]
    pub fn swaps(&self, pipeline: &str) -> SwapMetrics {
        self.swaps.of(pipeline)
    }

    /// How many records wait before each pipeline.
    #[must_use]
    pub fn lag(&self) -> Lag {
        self.lag.clone()
    }

    /// What modules count.
    #[must_use]
    pub fn modules(&self) -> ModuleMetrics {
        self.modules.clone()
    }

    /// The metrics of one slot.
    #[must_use]
    pub fn slot(&self, pipeline: &str, slot: usize) -> SlotMetrics {
        let by_pipeline = Pipeline { pipeline: pipeline.to_owned() };
        SlotMetrics {
            records_in: self.records_in.get_or_create_owned(&by_pipeline),
            records_out: self.records_out.get_or_create_owned(&by_pipeline),
            dead_letters: self.dead_letters.get_or_create_owned(&by_pipeline),
            dropped: self.dropped.get_or_create_owned(&by_pipeline),
            transactions: self.transactions.get_or_create_owned(&by_pipeline),
            aborts: self.aborts.get_or_create_owned(&by_pipeline),
            rebuilds: self.rebuilds.get_or_create_owned(&by_pipeline),
            held: self.held.get_or_create_owned(&by_pipeline),
            commit_seconds: self.commit_seconds.get_or_create_owned(&by_pipeline),
            batch_records: self.batch_records.get_or_create_owned(&by_pipeline),
            open: self.open.get_or_create_owned(&Slot::of(pipeline, slot)),
            swaps: self.swaps(pipeline),
        }
    }

    /// A pipeline is not there any more: how it stands is not told of it; what was counted is.
    pub fn forget(&self, pipeline: &str) {
        for slot in 0..MAX_TASKS {
            self.open.remove(&Slot::of(pipeline, slot));
        }
        self.modules.forget(pipeline);
        self.swaps.forget(pipeline);
    }
}

/// Counts where it happens, read when somebody asks.
#[derive(Debug)]
struct LostLines(GuestLogs);

impl Collector for LostLines {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let counter = ConstCounter::new(self.0.lost());
        let help = "lines of modules that had no room on their way to the topic transforms.logs";
        counter.encode(encoder.encode_descriptor("transforms_log_lines_lost", help, None, counter.metric_type())?)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a batch has at most thousands of records")]
fn float(records: usize) -> f64 {
    records as f64
}

impl SlotMetrics {
    /// A transaction was opened with so many records, or settled (0).
    pub fn opened(&self, records: usize) {
        self.open.set(i64::try_from(records).unwrap_or(i64::MAX));
    }

    /// A transaction was committed.
    pub fn committed(&self, tally: Tally, commit: Duration) {
        self.records_in.inc_by(tally.done as u64);
        self.records_out.inc_by(tally.out);
        self.dead_letters.inc_by(tally.dead);
        self.dropped.inc_by(tally.dropped);
        self.transactions.inc();
        self.commit_seconds.observe(commit.as_secs_f64());
        self.batch_records.observe(float(tally.done));
    }

    /// A transaction was aborted.
    pub fn aborted(&self) {
        self.aborts.inc();
    }

    /// The clients of a slot are made anew.
    pub fn rebuilt(&self) {
        self.rebuilds.inc();
    }

    /// The slot does other work from now on; so long it stood still for that.
    pub fn swapped(&self, stall: Duration) {
        self.swaps.swapped(stall);
    }

    /// A batch was held back.
    pub fn held(&self) {
        self.held.inc();
    }
}

/// A registry with all metrics in it, and the metrics.
#[must_use]
pub fn registry() -> (Arc<Registry>, Metrics) {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    (Arc::new(registry), metrics)
}

/// As [`registry`], and the lines of modules that were lost.
#[must_use]
pub fn registry_with(logs: &GuestLogs) -> (Arc<Registry>, Metrics) {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    registry.register_collector(Box::new(LostLines(logs.clone())));
    (Arc::new(registry), metrics)
}

#[cfg(test)]
mod tests {
    use service_kit::listing;
    use transform_host::{FaultKind, Metric, Usage};

    use super::*;
    use crate::logs;

    #[test]
    fn what_a_slot_does_is_counted_under_its_pipeline_and_what_stands_open_under_itself() {
        let (registry, metrics) = registry();
        let (slot, other, second) = (metrics.slot("p", 1), metrics.slot("q", 0), metrics.slot("p", 0));
        slot.opened(7);
        second.opened(9);
        second.opened(0);
        slot.committed(Tally { done: 7, out: 4, dead: 2, dropped: 1 }, Duration::from_millis(250));
        second.committed(Tally { done: 3, out: 3, ..Tally::default() }, Duration::from_millis(250));
        other.aborted();
        for _ in 0..2 {
            slot.rebuilt();
        }
        for _ in 0..3 {
            slot.held();
        }
        slot.swapped(Duration::from_millis(500));
        let swaps = metrics.swaps("p");
        for _ in 0..4 {
            swaps.rolled_back();
        }
        for _ in 0..5 {
            swaps.tripped();
        }
        swaps.stands(false, true);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let lines = [
            r#"records_in_total{pipeline="p"} 10"#,
            r#"records_out_total{pipeline="p"} 7"#,
            r#"dead_letters_total{pipeline="p"} 2"#,
            r#"records_dropped_total{pipeline="p"} 1"#,
            r#"transactions_total{pipeline="p"} 2"#,
            r#"transactions_aborted_total{pipeline="p"} 0"#,
            r#"transactions_aborted_total{pipeline="q"} 1"#,
            r#"rebuilds_total{pipeline="p"} 2"#,
            r#"batches_held_total{pipeline="p"} 3"#,
            r#"commit_seconds_sum{pipeline="p"} 0.5"#,
            r#"batch_records_sum{pipeline="p"} 10.0"#,
            r#"transaction_open_records{pipeline="p",slot="1"} 7"#,
            r#"transaction_open_records{pipeline="p",slot="0"} 0"#,
            r#"swaps_total{pipeline="p"} 1"#,
            r#"swap_stall_seconds_sum{pipeline="p"} 0.5"#,
            r#"rollbacks_total{pipeline="p"} 4"#,
            r#"breaker_trips_total{pipeline="p"} 5"#,
            r#"degraded{pipeline="p"} 0"#,
            r#"parked{pipeline="p"} 1"#,
        ];
        let told = |line: &&str| text.lines().any(|told| told.strip_prefix("transforms_") == Some(*line));
        let missing: Vec<&str> = lines.into_iter().filter(|line| !told(line)).collect();
        assert!(missing.is_empty(), "{missing:?} are not in:\n{text}");
    }

    #[test]
    fn of_a_pipeline_that_is_not_there_only_what_was_counted_is_told() {
        let (registry, metrics) = registry();
        for pipeline in ["p", "q"] {
            metrics.slot(pipeline, 1).opened(7);
            metrics.swaps(pipeline).stands(true, true);
            let (module, calls) = ("m".to_owned(), vec![Duration::ZERO]);
            metrics.modules().used(pipeline, &Usage { module, calls, memory_bytes: 9, ..Usage::default() });
        }
        metrics.forget("p");
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let told =
            |metric: &str, pipeline: &str| text.contains(&format!("transforms_{metric}{{pipeline=\"{pipeline}\""));
        for gauge in ["degraded", "parked", "transaction_open_records", "module_memory_bytes"] {
            assert_eq!([told(gauge, "p"), told(gauge, "q")], [false, true], "{gauge}");
        }
        assert!(told("transactions_total", "p") && told("module_records_total", "p"), "{text}");
    }

    #[test]
    fn the_page_has_each_metric_and_no_other() {
        let (registry, metrics) = registry_with(&logs::channel("here").0);
        // A family is shown once it has a member.
        let _ = metrics.slot("p", 0);
        metrics.lag().set("p", Some(0));
        let modules = metrics.modules();
        modules.count(Metric { module: "m".to_owned(), name: "seen".to_owned(), by: 1 });
        let calls = vec![Duration::ZERO];
        let rejected = vec![(FaultKind::Trap, 1)];
        modules.used("p", &Usage { module: "m".to_owned(), calls, rejected, ..Usage::default() });
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let page = listing::of_page(include_str!("../../METRICS.md"));
        assert_eq!(page, listing::of_scrape(&text), "left: METRICS.md, right: the code");
    }

    #[test]
    fn lines_that_were_lost_are_exported() {
        let (registry, _) = registry_with(&logs::channel("here").0);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains("transforms_log_lines_lost_total 0"), "{text}");
    }
}
