//! Who brings an order from its POST into both stores: ours as it is deployed, or peers in place of a part of it or of all.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use connectors::connect::{Connect, Settings as Connector};
use schemas::names::topics;
use stack::{Service, Stack};

use super::usage::{Part, Role};
use crate::{
    contract, edge,
    peers::{Built, Settings, registry_api},
    process::{Process, free_address},
    sinks::{
        self, Contestant, retried,
        stores::{Kind, Stores},
    },
    transforms,
};

/// The plugin's folder below what Maven makes, and the class in it.
const PLUGIN: &str = "sinks-smt/plugin";
const TRANSFORM: &str = "orderflow.smt.PlaceOrder";

/// A way through the house.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// As `scripts/up` deploys it.
    Ours,
    /// Our edge, and both sinks, which read what was received and apply the same rules in a transform of their own.
    Smt(Arc<Built>),
    /// A program in Spring Boot that takes orders, Kafka Streams, and a consumer in Spring that writes both stores.
    Spring(Arc<Built>, Box<[Settings; 3]>),
}

/// What was started for a way beside the services of the stack.
pub(super) struct Deployed {
    /// Where orders are posted.
    pub(super) edge: SocketAddr,
    pub(super) parts: Vec<Part>,
    /// They run as long as this lives.
    pub(super) peers: Vec<Process>,
}

impl Way {
    /// Ours first, then the peers, as they come and tuned.
    pub(super) fn all(built: &Arc<Built>) -> Vec<Self> {
        let edges = edge::Peer::Spring.settings();
        let transforms = transforms::Peer::Streams.settings();
        let sinks = sinks::Peer::Spring.settings();
        let spring =
            edges.into_iter().zip(transforms).zip(sinks).map(|((edge, transforms), sinks)| {
                Self::Spring(Arc::clone(built), Box::new([edge, transforms, sinks]))
            });
        [Self::Ours, Self::Smt(Arc::clone(built))].into_iter().chain(spring).collect()
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Smt(_) => "SMT",
            // "Spring, plain" and "Spring, tuned".
            Self::Spring(_, settings) => {
                let [edge, ..] = &**settings;
                edge.name
            }
        }
    }

    /// Whether it consists of peers that are set as an expert would set them.
    pub(super) fn is_tuned(&self) -> bool {
        matches!(self, Self::Spring(_, settings) if settings.iter().all(Settings::is_tuned))
    }

    /// What it consists of, in words.
    pub(super) fn setting(&self) -> String {
        match self {
            Self::Ours => "edge, transforms, healer, and both shipped sinks in one Kafka Connect".to_owned(),
            Self::Smt(_) => "our edge, and both shipped sinks with the rules as a transform of their own".to_owned(),
            Self::Spring(_, settings) => {
                let [edge, transforms, sinks] = &**settings;
                format!("edge: {edge}; Streams: {transforms}; sinks: {sinks}")
            }
        }
    }

    pub(super) fn is_ours(&self) -> bool {
        matches!(self, Self::Ours)
    }

    /// What the stack has to run for it.
    pub(super) fn services(&self) -> Vec<Service> {
        let all = Service::ALL.into_iter();
        match self {
            Self::Ours => all.collect(),
            Self::Smt(_) => all.filter(|service| !service.is_ours() || *service == Service::Edge).collect(),
            Self::Spring(..) => all.filter(|service| !service.is_ours() && *service != Service::Connect).collect(),
        }
    }

    /// Puts what Kafka Connect is to find where it can read it. Blocks.
    pub(super) fn plugins(&self, dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
        let Self::Smt(built) = self else { return Ok(Vec::new()) };
        let folder = dir.join("plugins");
        built.copy_java(PLUGIN, &folder.join("sinks-smt"))?;
        Ok(vec![folder])
    }

    /// Starts and deploys what is not of the stack, on empty servers; of ours that was done as `scripts/up` does it.
    pub(super) async fn deploy(&self, stack: &Stack, stores: &Stores, dir: &Path) -> anyhow::Result<Deployed> {
        let endpoints = stack.endpoints();
        if !self.is_ours() {
            contract::make(&endpoints.kafka, &endpoints.registry, |_| ()).await?;
            stores.make().await?;
        }
        let services = self.services().into_iter();
        let services = services.map(|service| Ok(Part::of_service(service, stack.pid(service)?)));
        let parts: Vec<Part> = services.collect::<anyhow::Result<_>>()?;
        let edge = endpoints.edge.trim_start_matches("http://").parse().context("the edge has no address");
        match self {
            Self::Ours => Ok(Deployed { edge: edge?, parts, peers: Vec::new() }),
            Self::Smt(_) => {
                deploy_sinks(stack).await?;
                Ok(Deployed { edge: edge?, parts, peers: Vec::new() })
            }
            Self::Spring(built, settings) => start_peers(built, settings, stack, parts, dir),
        }
    }
}

async fn deploy_sinks(stack: &Stack) -> anyhow::Result<()> {
    let connect = Connect::new(&stack.endpoints().connect)?;
    for kind in Kind::ALL {
        let sink = Contestant::of_file(&stack.options().root.join("connectors").join(kind.file()), "SMT")?;
        let (tasks, settings) = (sink.tasks(), with_rules(sink.settings));
        let name = kind.file().trim_end_matches(".json");
        retried(async || connect.put_settings(name, &settings).await).await?;
        sinks::until(&connect, name, "RUNNING", tasks).await?;
    }
    Ok(())
}

/// The same sink on what was received, with the rules before everything else.
fn with_rules(mut settings: Connector) -> Connector {
    let chain = settings.get("transforms").cloned().unwrap_or_default();
    settings.insert("topics".to_owned(), topics::ORDERS_RECEIVED.to_owned());
    settings.insert("transforms".to_owned(), format!("rules,{chain}"));
    settings.insert("transforms.rules.type".to_owned(), TRANSFORM.to_owned());
    settings
        .extend(transforms::parameters().into_iter().map(|(name, value)| (format!("transforms.rules.{name}"), value)));
    settings
}

fn start_peers(
    built: &Built,
    settings: &[Settings; 3],
    stack: &Stack,
    mut parts: Vec<Part>,
    dir: &Path,
) -> anyhow::Result<Deployed> {
    let (endpoints, edge) = (stack.endpoints(), free_address()?);
    let registry = registry_api(&endpoints.registry);
    let taking =
        vec![("PORT", edge.port().to_string()), ("KAFKA", endpoints.kafka.clone()), ("REGISTRY", registry.clone())];
    let transforming = transforms::peer_addresses(&endpoints.kafka, &registry, dir);
    let writing = sinks::peer_addresses(endpoints);
    let all = [
        ("Spring's edge", Role::Program, edge::Peer::Spring.program(), taking),
        ("Kafka Streams", Role::Program, transforms::Peer::Streams.program(), transforming),
        ("Spring's sinks", Role::Writer, sinks::Peer::Spring.program(), writing),
    ];
    let mut peers = Vec::new();
    for ((name, role, program, addresses), settings) in all.into_iter().zip(settings) {
        let log = dir.join(format!("{}.log", format!("{name}, {}", settings.name).replace([' ', ',', '\''], "-")));
        // Of the one before, which may have stood still.
        let _ = fs::rename(&log, log.with_extension("before.log"));
        let process = built.start(program, settings, &addresses, &log)?;
        parts.push(Part { name, role, pid: process.id() });
        peers.push(process);
    }
    Ok(Deployed { edge, parts, peers })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_come_first_and_read_what_was_received() {
        let shipped = [("topics", "order_placed"), ("transforms", "live,by")];
        let shipped = shipped.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let settings = with_rules(Connector::from_iter(shipped));
        let of = |key: &str| settings.get(key).map(String::as_str);
        assert_eq!((of("topics"), of("transforms")), (Some("orders.received"), Some("rules,live,by")));
        assert_eq!(of("transforms.rules.type"), Some(TRANSFORM));
        assert_eq!(of("transforms.rules.home.currency"), Some("USD"));
    }
}
