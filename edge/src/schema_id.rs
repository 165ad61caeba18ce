//! The id of our schema in the registry: looked up at start by the schema that is built in, asked for again until the
//! registry knows it and shows it under that id, then kept for the life of the process, so that no later outage of the registry matters.
//! Never registers: the deploy step does.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use schemas::{contracts::ORDERS_RECEIVED_AVSC, names::subjects, registry::Registry};
use service_kit::{Condition, Tasks};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The id, once it is known. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct SchemaId(Arc<OnceLock<u32>>);

impl SchemaId {
    /// The id, if the registry has told it.
    #[must_use]
    pub fn get(&self) -> Option<u32> {
        self.0.get().copied()
    }

    /// Asks until the registry has told it or the service stops.
    pub async fn resolve(self, registry: Registry, condition: Condition, tasks: Tasks) {
        let mut pause = FIRST_PAUSE;
        let mut told = String::new();
        loop {
            let asked = registry.confirmed_id_of(subjects::ORDERS_RECEIVED_VALUE, ORDERS_RECEIVED_AVSC);
            match tasks.until_stop(asked).await {
                None => return,
                Some(Ok(id)) => {
                    let _ = self.0.set(id);
                    condition.met();
                    tracing::info!(schema.id = id, "schema is known");
                    return;
                }
                Some(Err(error)) => {
                    let error = error.to_string();
                    if error != told {
                        tracing::warn!(error = %error, "schema is not known yet, asking again");
                    }
                    condition.unmet(error.clone());
                    told = error;
                }
            }
            let _ = tasks.until_stop(tokio::time::sleep(pause)).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }
}
