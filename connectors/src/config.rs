//! Where the servers are and where the files are: flags with environment variables, loopback defaults, checked once.

pub mod access;
pub mod evolve;
pub mod plan;
pub mod rehearse;
pub mod search;
pub mod verify;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use service_kit::kafka;

pub use self::evolve::Evolve;
pub use self::plan::{Compare, Files, Plan, Prune};
pub use self::rehearse::{Extent, Rehearse};
pub use self::search::{Bound, Command, DeadLetters, Discard, List, Replay, Show, Some, Trace, Which};
pub use self::verify::Verify;

/// Addresses of the servers. Secrets come by the environment, so that no process list shows them; an address may hold one
/// as well, so that no help shows the environment's.
#[derive(Debug, Clone, clap::Args)]
pub struct Servers {
    /// Kafka Connect's REST API
    #[arg(long, env = "CONNECT_URL", hide_env_values = true, default_value = "http://127.0.0.1:8083", global = true)]
    pub connect: String,
    /// How Kafka Connect is reached
    #[command(flatten)]
    pub connect_access: access::Connect,
    /// The REST API of `transforms`
    #[arg(
        long,
        env = "TRANSFORMS_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:8084",
        global = true
    )]
    pub transforms: String,
    /// The token that `transforms` asks for where it is not on loopback
    #[arg(long, env = "TRANSFORMS_TOKEN", hide_env_values = true, default_value = "", global = true)]
    pub transforms_token: Secret,
    /// Which Kafka, and who we are to it
    #[command(flatten)]
    pub kafka: kafka::Args,
    /// The schema registry's Confluent API
    #[arg(
        long,
        env = "SCHEMA_REGISTRY_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:8085/apis/ccompat/v7",
        global = true
    )]
    pub registry: String,
    /// Elasticsearch
    #[arg(
        long,
        env = "ELASTICSEARCH_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:9200",
        global = true
    )]
    pub elasticsearch: String,
    /// How Elasticsearch is reached
    #[command(flatten)]
    pub elasticsearch_access: access::Elasticsearch,
    /// PostgreSQL
    #[command(flatten)]
    pub postgres: Postgres,
}

/// Text that no log shows.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "none" } else { "(secret)" })
    }
}

/// One database.
#[derive(Debug, Clone, clap::Args)]
pub struct Postgres {
    /// PostgreSQL's host
    #[arg(
        id = "postgres-host",
        long = "postgres-host",
        env = "POSTGRES_HOST",
        default_value = "127.0.0.1",
        global = true
    )]
    pub host: String,
    /// PostgreSQL's port
    #[arg(id = "postgres-port", long = "postgres-port", env = "POSTGRES_PORT", default_value_t = 5432, global = true)]
    pub port: u16,
    /// The database
    #[arg(id = "postgres-db", long = "postgres-db", env = "POSTGRES_DB", default_value = "orders", global = true)]
    pub db: String,
    /// Who owns its tables
    #[arg(
        id = "postgres-user",
        long = "postgres-user",
        env = "POSTGRES_USER",
        default_value = "orders",
        global = true
    )]
    pub user: String,
    /// The owner's password; better given by the environment
    #[arg(
        id = "postgres-password",
        long = "postgres-password",
        env = "POSTGRES_PASSWORD",
        hide_env_values = true,
        default_value = "",
        global = true
    )]
    pub password: Secret,
}

/// What `connectors lint` is told.
#[derive(Debug, Clone, clap::Args)]
pub struct Lint {
    /// Connector files, or folders with *.json and stores/
    #[arg(env = "CONNECTORS_DIR", default_value = "connectors")]
    pub paths: Vec<PathBuf>,
    /// For people, for programs, or as annotations of GitHub's checks
    #[arg(id = "findings-format", long = "format", value_enum, default_value = "human")]
    pub format: Format,
    /// Exit with 1 for warnings as well
    #[arg(long)]
    pub deny_warnings: bool,
}

/// How findings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Three lines each: what, why, and the way out
    Human,
    /// An array of objects
    Json,
    /// `::error file=…` lines
    Github,
}

/// What `connectors apply` is told.
#[derive(Debug, Clone, clap::Args)]
pub struct Apply {
    /// Which files
    #[command(flatten)]
    pub files: Files,
    /// A folder of *.wasm modules to upload before the pipelines
    #[arg(long)]
    pub modules: Option<PathBuf>,
    /// Try versions of pipelines once more that `transforms` sent back by itself
    #[arg(long)]
    pub force: bool,
    /// How many seconds each step waits for a server that is not up yet
    #[arg(long, default_value = "120", value_parser = seconds)]
    pub wait: Duration,
}

/// What `connectors status` is told.
#[derive(Debug, Clone, clap::Args)]
pub struct Status {
    /// How to print
    #[arg(id = "output-format", long = "format", value_enum, default_value_t)]
    pub format: search::Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "output-format")]
    pub json: bool,
    /// Where `connectors serve` answers, for what it is healing
    #[arg(long, env = "CONNECTORS_URL", hide_env_values = true, default_value = "http://127.0.0.1:8086")]
    pub supervisor: String,
}

/// What `connectors watch` is told.
#[derive(Debug, Clone, clap::Args)]
pub struct Watch {
    /// How many seconds lie between two looks
    #[arg(long, default_value = "1", value_parser = seconds)]
    pub every: Duration,
    /// End after so many looks; on and on if absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub looks: Option<u32>,
    /// How to print; json is one object on one line a look, of the same shape as that of status
    #[arg(id = "output-format", long = "format", value_enum, default_value_t)]
    pub format: search::Format,
    /// Where `connectors serve` answers, for what it is healing
    #[arg(long, env = "CONNECTORS_URL", hide_env_values = true, default_value = "http://127.0.0.1:8086")]
    pub supervisor: String,
}

/// What `connectors serve` is told.
#[derive(Debug, Clone, clap::Args)]
pub struct Serve {
    /// Where health, readiness, metrics and state are served
    #[arg(long, env = "CONNECTORS_LISTEN", default_value = "127.0.0.1:8086")]
    pub listen: SocketAddr,
    /// Further names under which it may be asked, by commas; loopback's are always taken
    #[arg(long, env = "CONNECTORS_HOSTS", value_delimiter = ',')]
    pub hosts: Vec<String>,
    /// Who this is, among several of which one acts and the others stand by; the host's name if absent
    #[arg(long, env = "CONNECTORS_INSTANCE", value_parser = instance)]
    pub instance: Option<String>,
    /// So many records of a sink may become dead letters in a minute; then it stops and says so
    #[arg(long, env = "CONNECTORS_POISON_PER_MINUTE", default_value_t = 60)]
    pub poison_per_minute: usize,
    /// Every so many seconds the table and the index are compared, for the metrics; 0 for never
    #[arg(long, env = "CONNECTORS_PARITY_EVERY", default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub parity_every: u64,
}

/// What Kafka takes as the name of a group's member.
fn instance(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match (1..=249).contains(&text.len()) && text.chars().all(fits) {
        true => Ok(text.to_owned()),
        false => Err("give 1 to 249 of the characters a-z, A-Z, 0-9, `.`, `_` and `-`".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<u64>() {
        Ok(seconds @ 1..=3600) => Ok(Duration::from_secs(seconds)),
        _ => Err("give whole seconds from 1 to 3600".to_owned()),
    }
}
