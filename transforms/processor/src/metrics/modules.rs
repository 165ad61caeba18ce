//! What is measured of modules, and what they count themselves. A module's label has its version and digest in it, so a
//! long life could see many: each family has a bound.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use transform_host::{Metric, Usage};

/// Series of modules' own counters in a process. A chain has few names, but each new chain may bring others.
const MAX_COUNTERS: usize = 1_000;
/// Modules of pipelines that are measured in a process.
const MAX_MODULES: usize = 200;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct Named {
    module: String,
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct Of {
    pipeline: String,
    module: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Rejected {
    pipeline: String,
    module: String,
    kind: &'static str,
}

/// What is known of modules.
#[derive(Debug, Clone)]
pub struct ModuleMetrics {
    counters: Family<Named, Counter>,
    call_seconds: Family<Of, Histogram, fn() -> Histogram>,
    records: Family<Of, Counter>,
    dropped: Family<Of, Counter>,
    rejected: Family<Rejected, Counter>,
    memory: Family<Of, Gauge>,
    names: Known<Named>,
    modules: Known<Of>,
}

/// The series that there are.
type Known<T> = Arc<Mutex<BTreeSet<T>>>;

impl Default for ModuleMetrics {
    fn default() -> Self {
        let seconds: fn() -> Histogram = || Histogram::new(exponential_buckets(0.00002, 2.0, 15));
        Self {
            counters: Family::default(),
            call_seconds: Family::new_with_constructor(seconds),
            records: Family::default(),
            dropped: Family::default(),
            rejected: Family::default(),
            memory: Family::default(),
            names: Known::default(),
            modules: Known::default(),
        }
    }
}

impl ModuleMetrics {
    pub(super) fn name(&self, registry: &mut Registry) {
        registry.register("module_counter", "what modules count themselves", self.counters.clone());
        registry.register("module_call_seconds", "time of a module's calls", self.call_seconds.clone());
        registry.register("module_records", "records that a module judged", self.records.clone());
        registry.register("module_dropped", "records that a module dropped on purpose", self.dropped.clone());
        registry.register(
            "module_rejected",
            "records that a module rejected (kind rejected) or failed on",
            self.rejected.clone(),
        );
        registry.register("module_memory_bytes", "the most that an instance took", self.memory.clone());
    }

    /// Adds what a module counted.
    pub fn count(&self, Metric { module, name, by }: Metric) {
        let series = Named { module, name };
        if admitted(&self.names, &series, MAX_COUNTERS) {
            self.counters.get_or_create_owned(&series).inc_by(by);
        }
    }

    /// Adds what a module of a pipeline did.
    pub fn used(&self, pipeline: &str, usage: &Usage) {
        let of = Of { pipeline: pipeline.to_owned(), module: usage.module.clone() };
        if usage.calls.is_empty() || !admitted(&self.modules, &of, MAX_MODULES) {
            return;
        }
        let seconds = self.call_seconds.get_or_create_owned(&of);
        usage.calls.iter().for_each(|time| seconds.observe(time.as_secs_f64()));
        self.records.get_or_create_owned(&of).inc_by(usage.records);
        self.dropped.get_or_create_owned(&of).inc_by(usage.dropped);
        self.memory.get_or_create_owned(&of).set(i64::try_from(usage.memory_bytes).unwrap_or(i64::MAX));
        let Of { pipeline, module } = of;
        for (kind, count) in &usage.rejected {
            let series = Rejected { pipeline: pipeline.clone(), module: module.clone(), kind: kind.name() };
            self.rejected.get_or_create_owned(&series).inc_by(*count);
        }
    }

    /// What the modules of a pipeline take is not told any more.
    pub(super) fn forget(&self, pipeline: &str) {
        let known = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        for of in known.iter().filter(|of| of.pipeline == pipeline) {
            self.memory.remove(of);
        }
    }
}

/// Whether a series is there or has room.
fn admitted<T: Ord + Clone>(known: &Known<T>, series: &T, most: usize) -> bool {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    known.contains(series) || (known.len() < most && known.insert(series.clone()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use transform_host::FaultKind;

    use super::*;

    fn text(of: impl FnOnce(&ModuleMetrics)) -> String {
        let (mut registry, metrics) = (Registry::default(), ModuleMetrics::default());
        metrics.name(&mut registry);
        of(&metrics);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn what_modules_count_is_exported_up_to_a_bound() {
        let text = text(|modules| {
            for name in (0..2 * MAX_COUNTERS).map(|number| format!("n{number}")) {
                modules.count(Metric { module: "clean@1.0.0".to_owned(), name, by: 1 });
            }
            modules.count(Metric { module: "clean@1.0.0".to_owned(), name: "n0".to_owned(), by: 6 });
        });
        let series = text.lines().filter(|line| line.starts_with("module_counter_total{"));
        assert_eq!(series.count(), MAX_COUNTERS);
        assert!(text.contains(r#"module_counter_total{module="clean@1.0.0",name="n0"} 7"#), "{text}");
    }

    #[test]
    fn what_modules_do_is_exported_by_pipeline_and_module_up_to_a_bound() {
        let usage = |module: String| Usage {
            module,
            calls: vec![Duration::from_micros(100), Duration::from_micros(300)],
            records: 7,
            dropped: 2,
            rejected: vec![(FaultKind::Rejected, 1), (FaultKind::Trap, 3)],
            memory_bytes: 1 << 20,
        };
        let text = text(|modules| {
            modules.used("p", &Usage { module: "idle".to_owned(), ..Usage::default() });
            for module in (0..2 * MAX_MODULES).map(|number| format!("m{number}")) {
                modules.used("p", &usage(module));
            }
            modules.used("p", &usage("m0".to_owned()));
        });
        let series = text.lines().filter(|line| line.starts_with("module_records_total{"));
        assert_eq!(series.count(), MAX_MODULES);
        for line in [
            r#"module_records_total{pipeline="p",module="m0"} 14"#,
            r#"module_dropped_total{pipeline="p",module="m0"} 4"#,
            r#"module_rejected_total{pipeline="p",module="m0",kind="rejected"} 2"#,
            r#"module_rejected_total{pipeline="p",module="m0",kind="trap"} 6"#,
            r#"module_call_seconds_count{pipeline="p",module="m0"} 4"#,
            r#"module_memory_bytes{pipeline="p",module="m0"} 1048576"#,
        ] {
            assert!(text.contains(line), "no {line} in:\n{text}");
        }
        assert!(!text.contains("idle"), "{text}");
    }
}
