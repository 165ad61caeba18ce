//! Modules and pipelines as they lie in their topics, for a command that needs no running process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use schemas::names::topics;
use service_kit::Tasks;
use service_kit::kafka::Brokers;
use transform_host::Engine;

use crate::state::catalog::Catalog;
use crate::state::follow;

/// All modules are read within this.
const TIME: Duration = Duration::from_secs(30);

/// Reads both state topics to their ends, and goes on reading until `tasks` stop.
///
/// # Errors
/// When that takes too long: the broker is away, or the topics are.
pub async fn state(kafka: &Brokers, engine: &Arc<Engine>, tasks: &Tasks) -> anyhow::Result<Arc<Catalog>> {
    let catalog = Arc::new(Catalog::new(Arc::clone(engine)));
    follow::both(kafka, super::CLIENT, &catalog, tasks);
    let until = Instant::now() + TIME;
    while !catalog.is_complete() {
        if Instant::now() > until {
            let (modules, config) = (topics::TRANSFORMS_MODULES, topics::TRANSFORMS_CONFIG);
            let reason = catalog.hindrance().of_state().unwrap_or_else(|| "is Kafka up?".to_owned());
            bail!("cannot read {modules} and {config} at {kafka} in {} s; {reason}", TIME.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(catalog)
}
