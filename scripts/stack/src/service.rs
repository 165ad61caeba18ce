//! The processes of a stack: names, order of start and stop, signals and deadlines. How each is started: `servers/`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::StackError;

/// One process that the supervisor owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// The broker and controller, one process.
    Kafka,
    /// PostgreSQL with the database `orders`.
    Postgres,
    /// Elasticsearch, one node.
    Elasticsearch,
    /// The schema registry; keeps its data in Kafka.
    Registry,
    /// One Kafka Connect worker with the two sinks' plugins.
    Connect,
    /// Our command `edge`.
    Edge,
    /// Our command `transforms serve`.
    Transforms,
    /// Our command `connectors serve`.
    Connectors,
}

impl Service {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 8] = [
        Self::Kafka,
        Self::Postgres,
        Self::Elasticsearch,
        Self::Registry,
        Self::Connect,
        Self::Edge,
        Self::Transforms,
        Self::Connectors,
    ];

    /// The servers that are not ours.
    pub const SERVERS: [Self; 5] = [Self::Kafka, Self::Postgres, Self::Elasticsearch, Self::Registry, Self::Connect];

    /// The name in commands, logs and files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Postgres => "postgres",
            Self::Elasticsearch => "elasticsearch",
            Self::Registry => "registry",
            Self::Connect => "connect",
            Self::Edge => "edge",
            Self::Transforms => "transforms",
            Self::Connectors => "connectors",
        }
    }

    /// What the system calls its process.
    pub(crate) const fn process(self) -> &'static str {
        if self.is_java() { "java" } else { self.name() }
    }

    /// Whether it is one of our three commands.
    #[must_use]
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Edge | Self::Transforms | Self::Connectors)
    }

    /// Whether it needs a JDK.
    #[must_use]
    pub const fn is_java(self) -> bool {
        matches!(self, Self::Kafka | Self::Registry | Self::Connect | Self::Elasticsearch)
    }

    /// What must be ready before it is started the first time. The Java servers wait for Kafka by themselves,
    /// and what they do before that takes most of their start: they begin at once.
    pub(crate) const fn starts_after(self) -> &'static [Self] {
        match self {
            Self::Kafka | Self::Postgres | Self::Elasticsearch | Self::Registry | Self::Connect => &[],
            Self::Edge | Self::Transforms | Self::Connectors => &[Self::Kafka],
        }
    }

    /// Stopped in waves, the lowest first; within a wave side by side. Kafka is last, so that the others can flush.
    pub(crate) const fn stop_wave(self) -> u8 {
        match self {
            Self::Edge | Self::Connectors => 0,
            Self::Transforms | Self::Connect => 1,
            Self::Registry | Self::Postgres | Self::Elasticsearch => 2,
            Self::Kafka => 3,
        }
    }

    /// The signal that asks for a clean stop. SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for its clients.
    pub(crate) const fn stop_signal(self) -> Signal {
        match self {
            Self::Postgres => Signal::INT,
            _ => Signal::TERM,
        }
    }

    /// How long a clean stop may take before it is killed. The first stop of a JVM also writes its class archive.
    pub(crate) const fn stop_deadline(self, writes_archive: bool) -> Duration {
        Duration::from_secs(match (self.is_java(), writes_archive) {
            (true, true) => 120,
            (true, false) => 25,
            (false, _) => 15,
        })
    }

    /// How long a first start may take; a cold disk and two busy cores are in it.
    #[must_use]
    pub const fn start_deadline(self) -> Duration {
        Duration::from_secs(match self {
            Self::Edge | Self::Transforms | Self::Connectors => 90,
            Self::Kafka | Self::Postgres | Self::Registry | Self::Connect | Self::Elasticsearch => 300,
        })
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Service {
    type Err = StackError;

    fn from_str(name: &str) -> Result<Self, StackError> {
        Self::ALL.into_iter().find(|service| service.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            StackError::Setting(format!("there is no service `{name}`; the services are {known}"))
        })
    }
}
