//! How many records wait before each pipeline, for the metrics. Kafka is asked beside the loop: a slot that stands still
//! would not say. What a pipeline was last given counts, whoever runs it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::KafkaResult;
use service_kit::Tasks;

use super::manager::Site;
use super::spec;
use crate::kafka::offsets::{Offsets, Position};
use crate::metrics::Lag;
use crate::state::catalog::{Catalog, Stored};

/// Between two looks. Each asks for two offsets of every partition.
const EVERY: Duration = Duration::from_secs(10);

/// Looks until the process stops.
pub async fn watch(site: Site, catalog: Arc<Catalog>, lag: Lag, tasks: Tasks) {
    while !tasks.is_stopping() {
        let topics = topics(&catalog);
        lag.keep(|pipeline| topics.contains_key(pipeline));
        for (pipeline, topics) in topics {
            let asked = (site.clone(), pipeline.clone());
            let found = tasks.spawn_blocking(move || waiting(&asked.0, &asked.1, &topics)).await;
            // A lag that nobody knows is no lag of before.
            match found {
                Ok(Ok(records)) => lag.set(&pipeline, Some(records)),
                Ok(Err(error)) => {
                    tracing::debug!(pipeline, error = %error, "lag is not known");
                    lag.set(&pipeline, None);
                }
                Err(error) => tracing::warn!(pipeline, error = %error, "asking for the lag ended early"),
            }
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = tasks.stopping() => {}
        }
    }
}

/// The topics that each pipeline reads.
fn topics(catalog: &Catalog) -> BTreeMap<String, Vec<String>> {
    let read = |(name, stored): (String, Result<Arc<Stored>, String>)| {
        let topics = spec::parse(&name, &stored.ok()?.config).ok()?.topics;
        Some((name, topics))
    };
    catalog.pipelines().into_iter().filter_map(read).collect()
}

fn waiting(site: &Site, pipeline: &str, topics: &[String]) -> KafkaResult<i64> {
    let offsets = Offsets::of(&site.brokers, &format!("{}-lag", site.client_id), pipeline)?;
    Ok(offsets.positions(topics)?.iter().map(Position::lag).sum())
}
