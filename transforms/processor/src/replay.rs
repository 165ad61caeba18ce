//! A dead letter once more: as it was then, with the same modules, parameters and tables, counted in fuel instead of time
//! ([`rerun`]: a [`run`] in a [`setting`], [`stepwise`], told in [`words`]); through the pipeline as it is now ([`now`]);
//! and, once that takes it, back into its topic ([`send`], by a [`sender`]), unless the order was received again since
//! ([`newer`]) or somebody dealt with the letter ([`marks`]). What can be shown of a letter follows from its [`kind`]. A
//! record that a pipeline wrote takes the same way in the service ([`stored`]). Both are read from their topics by
//! [`records`].

pub mod kind;
pub mod letter;
mod marks;
mod newer;
pub mod now;
mod records;
pub mod rerun;
pub mod run;
pub mod send;
mod sender;
pub mod setting;
mod state;
mod stepwise;
pub mod stored;
mod topics;
pub mod words;

use std::collections::BTreeMap;
use std::time::Duration;

use schemas::registry::{Error, Registry};
use service_kit::kafka::Brokers;

pub use self::records::Untold;
pub use self::state::state;
use crate::record::writers::Source;

/// What it calls itself at the broker.
const CLIENT: &str = "transforms-replay";
/// The broker must answer within this.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where to look.
#[derive(Debug, Clone)]
pub struct Site {
    /// The brokers, and who we are to them.
    pub kafka: Brokers,
    /// The schema registry.
    pub registry: String,
}

/// The schemas that a replay needs, fetched before anything runs.
struct Fetched(BTreeMap<u32, String>);

impl Fetched {
    /// Those of these ids that the registry has.
    async fn get(registry: &Registry, ids: impl IntoIterator<Item = u32>) -> anyhow::Result<Self> {
        let mut schemas = BTreeMap::new();
        for id in ids {
            match registry.by_id(id).await {
                Ok(registered) => {
                    schemas.insert(id, registered.schema.clone());
                }
                Err(Error::UnknownId(_)) => {}
                Err(error) => anyhow::bail!("the schema registry does not tell schema {id}: {error}"),
            }
        }
        Ok(Self(schemas))
    }
}

impl Source for Fetched {
    fn schema(&self, id: u32) -> Result<Option<String>, String> {
        Ok(self.0.get(&id).cloned())
    }
}
