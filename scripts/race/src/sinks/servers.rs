//! What the bench runs on: the real servers as a private stack, their topics, schemas, table and index.

use std::path::{Path, PathBuf};

use connectors::{connect::Connect, finding::Finding};
use schemas::names::topics;
use stack::{Service, Stack};

use super::stores::Stores;
use crate::{contract, machine::as_shipped, report::progress};

/// Small enough that what was drained can be thrown away while the bench runs.
const SEGMENT: &str = "16777216";

/// The servers and their clients.
pub(super) struct Servers {
    pub(super) stack: Stack,
    pub(super) connect: Connect,
    pub(super) stores: Stores,
    /// The folder of the shipped connector files.
    pub(super) files: PathBuf,
    /// The registry's id of `order_placed`.
    pub(super) schema_id: u32,
}

impl Servers {
    /// Starts them. `connectors serve` is stopped: it comes in where healing is measured, and is not to be in the way
    /// before.
    pub(super) async fn start(dir: PathBuf) -> anyhow::Result<Self> {
        let stack = tokio::task::spawn_blocking(move || started(&dir)).await??;
        let endpoints = stack.endpoints();
        let ids = contract::make(&endpoints.kafka, &endpoints.registry, |topic| {
            if topic.name == topics::ORDER_PLACED {
                topic.config.insert("segment.bytes".to_owned(), SEGMENT.to_owned());
            }
        })
        .await?;
        let (schema_id, files) = (ids.placed, stack.options().root.join("connectors"));
        let stores = Stores::shipped(&stack)?;
        stores.make().await?;
        Ok(Self { connect: Connect::new(&endpoints.connect)?, stores, files, schema_id, stack })
    }

    /// The broker's address.
    pub(super) fn kafka(&self) -> &str {
        &self.stack.endpoints().kafka
    }
}

/// What lint has against a file, as an error.
pub(crate) fn refused(found: &[Finding]) -> anyhow::Error {
    anyhow::anyhow!("{}", connectors::lint::human(found).trim_end())
}

fn started(dir: &Path) -> anyhow::Result<Stack> {
    Stack::wipe(dir)?;
    let options = as_shipped(dir, Service::SERVERS.into_iter().chain([Service::Connectors]));
    let stack = Stack::begin(options)?;
    stack.wait_all_ready(|status| progress(&format!("{} is {}", status.service, status.state.word())))?;
    stack.stop(Service::Connectors)?;
    Ok(stack)
}
