//! Where the services of one stack listen, and the environment that tells it to programs.

use serde::{Deserialize, Serialize};

use crate::StackError;
use crate::ports::{PortName, Ports};

/// The one host of a native stack: nothing listens elsewhere.
pub(crate) const HOST: &str = "127.0.0.1";

/// Addresses of a running stack.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Endpoints {
    /// `host:port` of the broker, or of several with a comma between them.
    pub kafka: String,
    /// The Confluent API of the registry.
    pub registry: String,
    /// Kafka Connect's REST API.
    pub connect: String,
    /// `http://host:port` of Elasticsearch.
    pub elasticsearch: String,
    /// The edge.
    pub edge: String,
    /// The edge's admin listener.
    pub edge_admin: String,
    /// REST API of `transforms`.
    pub transforms: String,
    /// Admin listener of `connectors serve`.
    pub connectors: String,
    /// The database.
    pub postgres: PostgresEndpoint,
    /// `host:port` of the broker's listeners for [`Options::kafka_doors`](crate::Options), in that order.
    #[serde(default)]
    pub kafka_doors: Vec<String>,
}

/// How to reach the database.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PostgresEndpoint {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Database.
    pub database: String,
    /// Role, owner of the database.
    pub user: String,
    /// Generated when the data folder was made.
    pub password: String,
}

impl PostgresEndpoint {
    /// For the JDBC sink: strings must become jsonb, and a dead server must not hang a task.
    #[must_use]
    pub fn jdbc_url(&self) -> String {
        format!(
            "jdbc:postgresql://{}:{}/{}?stringtype=unspecified&connectTimeout=3&socketTimeout=30&tcpKeepAlive=true",
            self.host, self.port, self.database
        )
    }
}

impl Endpoints {
    pub(crate) fn new(ports: &Ports, password: String) -> Self {
        let http = |name| format!("http://{HOST}:{}", ports.get(name));
        Self {
            kafka: format!("{HOST}:{}", ports.get(PortName::Kafka)),
            registry: format!("{}/apis/ccompat/v7", http(PortName::Registry)),
            connect: http(PortName::Connect),
            elasticsearch: http(PortName::Elasticsearch),
            edge: http(PortName::Edge),
            edge_admin: http(PortName::EdgeAdmin),
            transforms: http(PortName::Transforms),
            connectors: http(PortName::Connectors),
            postgres: PostgresEndpoint {
                host: HOST.to_owned(),
                port: ports.get(PortName::Postgres),
                database: "orders".to_owned(),
                user: "orders".to_owned(),
                password,
            },
            kafka_doors: Vec::new(),
        }
    }

    /// Gives each door of the broker one of these ports.
    pub(crate) fn open_doors(&mut self, doors: usize, spare: &[u16]) -> Result<(), StackError> {
        self.kafka_doors = spare.iter().take(doors).map(|port| format!("{HOST}:{port}")).collect();
        if self.kafka_doors.len() < doors {
            let spare = spare.len();
            return Err(StackError::Setting(format!("{doors} doors are too many: {spare} ports are free for them")));
        }
        Ok(())
    }

    /// The environment that our commands read their addresses from.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let elasticsearch_host = self.elasticsearch.trim_start_matches("http://");
        let postgres = &self.postgres;
        [
            ("KAFKA_BOOTSTRAP_SERVERS", self.kafka.as_str()),
            ("SCHEMA_REGISTRY_URL", &self.registry),
            ("CONNECT_URL", &self.connect),
            ("TRANSFORMS_URL", &self.transforms),
            ("EDGE_URL", &self.edge),
            ("EDGE_ADMIN_URL", &self.edge_admin),
            ("CONNECTORS_URL", &self.connectors),
            ("ELASTICSEARCH_URL", &self.elasticsearch),
            ("ELASTICSEARCH_HOST", elasticsearch_host),
            ("POSTGRES_HOST", &postgres.host),
            ("POSTGRES_PORT", &postgres.port.to_string()),
            ("POSTGRES_DB", &postgres.database),
            ("POSTGRES_USER", &postgres.user),
            ("POSTGRES_PASSWORD", &postgres.password),
            ("POSTGRES_JDBC_URL", &postgres.jdbc_url()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `eval "$(stack env)"` is the way in for whoever runs `connectors` by hand.
    #[test]
    fn the_environment_has_every_address_and_secret_that_connectors_reads() {
        let mut ports = Ports::default();
        ports.set(PortName::Registry, 18085);
        let told = Endpoints::new(&ports, "pass".to_owned()).environment();
        let settings = include_str!("../../../connectors/src/config.rs");
        let names: Vec<&str> = settings.split("env = \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(names.contains(&"POSTGRES_PASSWORD") && names.contains(&"CONNECTORS_URL"), "{names:?}");
        // A loopback stack has no token; the rest is about files, the listener and the healer.
        let own = [
            "TRANSFORMS_TOKEN",
            "CONNECTORS_DIR",
            "CONNECTORS_LISTEN",
            "CONNECTORS_HOSTS",
            "CONNECTORS_INSTANCE",
            "CONNECTORS_POISON_PER_MINUTE",
            "CONNECTORS_PARITY_EVERY",
        ];
        for name in names.into_iter().filter(|name| !own.contains(name)) {
            assert!(told.iter().any(|(told, value)| told == name && !value.is_empty()), "{name} is not in `stack env`");
        }
        let registry = ("SCHEMA_REGISTRY_URL".to_owned(), "http://127.0.0.1:18085/apis/ccompat/v7".to_owned());
        assert!(told.contains(&registry), "moved ports are told: {told:?}");
    }
}
