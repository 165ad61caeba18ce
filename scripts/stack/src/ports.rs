//! The ports of a stack: their names and documented numbers, free blocks for private stacks, and who holds a taken one.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::TcpListener;

use serde::{Deserialize, Serialize};

use crate::endpoints::HOST;
use crate::{Service, StackError};

mod owner;

/// Every port that something of a stack listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortName {
    /// Orders.
    Edge,
    /// Health and metrics of the edge.
    EdgeAdmin,
    /// REST of Kafka Connect.
    Connect,
    /// REST of transforms.
    Transforms,
    /// The schema registry.
    Registry,
    /// The registry's own health listener.
    RegistryAdmin,
    /// Health and metrics of `connectors serve`.
    Connectors,
    /// The broker.
    Kafka,
    /// The controller's quorum.
    KafkaController,
    /// The database.
    Postgres,
    /// REST of Elasticsearch.
    Elasticsearch,
    /// Elasticsearch between nodes.
    ElasticsearchNode,
}

impl PortName {
    const ALL: [Self; 12] = [
        Self::Edge,
        Self::EdgeAdmin,
        Self::Connect,
        Self::Transforms,
        Self::Registry,
        Self::RegistryAdmin,
        Self::Connectors,
        Self::Kafka,
        Self::KafkaController,
        Self::Postgres,
        Self::Elasticsearch,
        Self::ElasticsearchNode,
    ];

    /// The name as `--port` takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::EdgeAdmin => "edge-admin",
            Self::Connect => "connect",
            Self::Transforms => "transforms",
            Self::Registry => "registry",
            Self::RegistryAdmin => "registry-admin",
            Self::Connectors => "connectors",
            Self::Kafka => "kafka",
            Self::KafkaController => "kafka-controller",
            Self::Postgres => "postgres",
            Self::Elasticsearch => "elasticsearch",
            Self::ElasticsearchNode => "elasticsearch-node",
        }
    }

    const fn documented(self) -> u16 {
        match self {
            Self::Edge => 8080,
            Self::EdgeAdmin => 9080,
            Self::Connect => 8083,
            Self::Transforms => 8084,
            Self::Registry => 8085,
            Self::RegistryAdmin => 9085,
            Self::Connectors => 8086,
            Self::Kafka => 9092,
            Self::KafkaController => 9093,
            Self::Postgres => 5432,
            Self::Elasticsearch => 9200,
            Self::ElasticsearchNode => 9300,
        }
    }

    /// The service that listens on it.
    #[must_use]
    pub const fn service(self) -> Service {
        match self {
            Self::Edge | Self::EdgeAdmin => Service::Edge,
            Self::Connect => Service::Connect,
            Self::Transforms => Service::Transforms,
            Self::Registry | Self::RegistryAdmin => Service::Registry,
            Self::Connectors => Service::Connectors,
            Self::Kafka | Self::KafkaController => Service::Kafka,
            Self::Postgres => Service::Postgres,
            Self::Elasticsearch | Self::ElasticsearchNode => Service::Elasticsearch,
        }
    }

    pub(crate) fn parse(setting: &str) -> Result<(Self, u16), StackError> {
        let fault = || {
            let known = Self::ALL.map(Self::name).join(", ");
            StackError::Setting(format!(
                "cannot understand port `{setting}`; write NAME=NUMBER, with a name of {known}"
            ))
        };
        let (name, number) = setting.split_once('=').ok_or_else(fault)?;
        let name = Self::ALL.into_iter().find(|known| known.name() == name.trim()).ok_or_else(fault)?;
        let number = number.trim().parse::<u16>().ok().filter(|number| *number != 0).ok_or_else(fault)?;
        Ok((name, number))
    }
}

/// A number for every name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports(BTreeMap<PortName, u16>);

impl Default for Ports {
    fn default() -> Self {
        Self(PortName::ALL.into_iter().map(|name| (name, name.documented())).collect())
    }
}

impl Ports {
    /// The number of a port.
    #[must_use]
    pub fn get(&self, name: PortName) -> u16 {
        self.0.get(&name).copied().unwrap_or_else(|| name.documented())
    }

    pub(crate) fn set(&mut self, name: PortName, number: u16) {
        self.0.insert(name, number);
    }

    /// The ports of one service, the one that clients use first.
    #[must_use]
    pub fn of(&self, service: Service) -> Vec<u16> {
        self.0.iter().filter(|(name, _)| name.service() == service).map(|(_, number)| *number).collect()
    }

    pub(crate) fn check_distinct(&self) -> Result<(), StackError> {
        let mut seen = BTreeMap::new();
        for (name, number) in &self.0 {
            if let Some(other) = seen.insert(number, name) {
                let (name, other) = (name.name(), PortName::name(*other));
                return Err(StackError::Setting(format!(
                    "ports {other} and {name} are both {number}; give one of them another number"
                )));
            }
        }
        Ok(())
    }

    /// Refuses a port that somebody holds, and says who.
    pub(crate) fn check_free(&self, services: &[Service]) -> Result<(), StackError> {
        for (name, number) in &self.0 {
            if services.contains(&name.service()) && !is_free(*number) {
                let alternative =
                    (number.saturating_add(10_000).max(10_000)..u16::MAX).find(|n| is_free(*n)).unwrap_or(*number);
                let owner = owner::of(*number);
                return Err(StackError::PortTaken { name: name.name(), port: *number, owner, alternative });
            }
        }
        Ok(())
    }
}

/// A block of free ports and the lock that keeps other stacks off it.
pub(crate) struct Block {
    pub(crate) ports: Ports,
    /// Those that no name has.
    pub(crate) spare: Vec<u16>,
    _lock: File,
}

/// Private stacks stay below the range from which the system takes the ports of outgoing connections:
/// a server that is started again must find its port free.
const BLOCKS: std::ops::Range<u16> = 0..700;
const BLOCK_BASE: u16 = 20_000;
const BLOCK_SIZE: u16 = 16;

/// Takes the first block, from a place that differs by process, that no other stack holds and whose ports are all free.
pub(crate) fn take_free_block() -> Result<Block, StackError> {
    let start = u16::try_from(std::process::id() % u32::from(BLOCKS.end)).unwrap_or(0);
    for step in BLOCKS {
        let base = BLOCK_BASE + ((start + step) % BLOCKS.end) * BLOCK_SIZE;
        let Some(lock) = lock_block(base) else { continue };
        let mut numbers = base..base + BLOCK_SIZE;
        if numbers.clone().all(is_free) {
            let ports = Ports(PortName::ALL.into_iter().zip(&mut numbers).collect());
            return Ok(Block { ports, spare: numbers.collect(), _lock: lock });
        }
    }
    Err(StackError::Setting("no free block of ports between 20000 and 31200; stop other private stacks".to_owned()))
}

fn lock_block(base: u16) -> Option<File> {
    let user = rustix::process::geteuid().as_raw();
    let path = std::env::temp_dir().join(format!("orderflow-ports-{user}-{base}.lock"));
    let file = File::options().create(true).append(true).open(path).ok()?;
    file.try_lock().ok().map(|()| file)
}

/// Whether a server could listen there now.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((HOST, port)).is_ok() && !owner::listens(port)
}

#[cfg(test)]
mod tests;
