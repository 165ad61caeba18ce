//! How many records wait before each pipeline.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Pipeline;

/// The metric, where only what is known stands.
#[derive(Debug, Clone, Default)]
pub struct Lag {
    records: Family<Pipeline, Gauge>,
    /// The pipelines that have a value: a family does not list its own.
    known: Arc<Mutex<Vec<String>>>,
}

impl Lag {
    pub(super) fn name(&self, registry: &mut Registry) {
        let help = "records that wait before a pipeline, as Kafka has it; absent while that is not known. Every process \
                    says the same of a pipeline, so take the highest, not the sum";
        registry.register("lag_records", help, self.records.clone());
    }

    /// What is known of a pipeline now.
    pub fn set(&self, pipeline: &str, records: Option<i64>) {
        let label = Pipeline { pipeline: pipeline.to_owned() };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|known| known != pipeline);
        if let Some(records) = records {
            self.records.get_or_create(&label).set(records);
            known.push(pipeline.to_owned());
        } else {
            self.records.remove(&label);
        }
    }

    /// Forgets pipelines that are not there any more.
    pub fn keep(&self, is_there: impl Fn(&str) -> bool) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        known.iter().filter(|pipeline| !is_there(pipeline)).for_each(|pipeline| self.set(pipeline, None));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_any_more_is_not_told() {
        let (lag, mut registry) = (Lag::default(), Registry::default());
        lag.name(&mut registry);
        let told = || {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            text.lines().filter(|line| line.starts_with("lag_records{")).map(str::to_owned).collect::<Vec<_>>()
        };
        for (pipeline, records) in [("a", Some(7)), ("b", Some(1)), ("c", Some(0)), ("b", None)] {
            lag.set(pipeline, records);
        }
        let mut both = told();
        both.sort_unstable();
        assert_eq!(both, ["lag_records{pipeline=\"a\"} 7", "lag_records{pipeline=\"c\"} 0"]);
        lag.keep(|pipeline| pipeline == "c");
        assert_eq!(told(), ["lag_records{pipeline=\"c\"} 0"]);
    }
}
