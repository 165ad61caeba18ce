//! What the peers and our programs run on alike: a real broker and a real registry, with our topics and schemas.

use std::path::{Path, PathBuf};

use stack::{Service, Stack};

use crate::{contract, machine::as_shipped};

/// The two servers.
pub(crate) struct Servers {
    /// The broker's address.
    pub(crate) kafka: String,
    /// The registry's Confluent API, which our programs speak.
    pub(crate) registry: String,
    /// The registry's own API, which Apicurio's serdes speak.
    pub(crate) registry_api: String,
    /// The id of `orders.received`.
    pub(crate) received_id: u32,
    _stack: Stack,
}

impl Servers {
    /// Starts them in an empty folder.
    pub(crate) async fn start(dir: PathBuf) -> anyhow::Result<Self> {
        let stack = tokio::task::spawn_blocking(move || started(&dir)).await??;
        let endpoints = stack.endpoints();
        let (kafka, registry) = (endpoints.kafka.clone(), endpoints.registry.clone());
        let received_id = contract::make(&kafka, &registry, |_| ()).await?.received;
        let registry_api = registry_api(&registry);
        Ok(Self { kafka, registry, registry_api, received_id, _stack: stack })
    }
}

/// The address of the registry's own API, of that of its Confluent API.
pub(crate) fn registry_api(registry: &str) -> String {
    registry.replace("/apis/ccompat/v7", "/apis/registry/v3")
}

fn started(dir: &Path) -> anyhow::Result<Stack> {
    Stack::wipe(dir)?;
    let stack = Stack::begin(as_shipped(dir, [Service::Kafka, Service::Registry]))?;
    for service in [Service::Kafka, Service::Registry] {
        stack.wait_ready(service, service.start_deadline())?;
    }
    Ok(stack)
}
