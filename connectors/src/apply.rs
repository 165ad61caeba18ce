//! The one deploy step, in the order of a change: topics, tables and indexes, subjects, modules, pipelines, sinks.
//! Each step may run again and says what it did. Nothing is touched before all files have been found free of faults.

pub mod modules;
pub mod pipelines;
pub mod sinks;
pub(crate) mod stores;
pub(crate) mod subjects;
mod topics;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use service_kit::kafka::Brokers;
use tokio::time::Instant;

use crate::compare::Difference;
use crate::connect::{Connect, ConnectError};
use crate::elastic::{Elastic, ElasticError};
use crate::files::Deployment;
use crate::kafka::KafkaError;
use crate::plan;
use crate::postgres::{Postgres, PostgresError};
use crate::retry::Transient;

/// Between two looks at something that is to come up.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The servers that a deployment goes to.
#[derive(Debug, Clone)]
pub struct Target {
    /// Kafka's brokers, and who we are to them.
    pub kafka: Brokers,
    /// The schema registry.
    pub registry: schemas::registry::Registry,
    /// PostgreSQL.
    pub postgres: Postgres,
    /// Elasticsearch.
    pub elastic: Elastic,
    /// The REST API of `transforms`.
    pub transforms: Connect,
    /// Kafka Connect's REST API.
    pub connect: Connect,
    /// How long each step waits for a server that is coming up.
    pub wait: Duration,
    /// Whether versions of pipelines that were sent back by themselves are tried once more.
    pub force: bool,
    /// Whose mark connectors get; see [`schemas::mark`].
    pub owner: String,
}

impl Target {
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.wait
    }
}

/// What became of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was not there.
    Created,
    /// It was there and differed.
    Updated,
    /// It was there as wanted.
    Unchanged,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
        })
    }
}

/// One line of the deploy step's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What kind of thing: topic, subject, table, index, module, pipeline, sink.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// What became of it.
    pub change: Change,
    /// More, where there is more to say.
    pub note: String,
    /// The keys that changed, one line each.
    pub keys: Vec<String>,
}

impl Line {
    fn new(kind: &'static str, name: &str, change: Change, note: String) -> Self {
        Self { kind, name: name.to_owned(), change, note, keys: Vec::new() }
    }

    fn with(self, differences: &[Difference]) -> Self {
        Self { keys: differences.iter().filter(|one| one.applies).map(plan::difference).collect(), ..self }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:<9} {:<9} {:<40} {}", self.kind, self.change, self.name, self.note);
        f.write_str(text.trim_end())?;
        self.keys.iter().try_for_each(|key| write!(f, "\n          {key}"))
    }
}

/// Where the account goes, line by line.
pub type Out<'a> = &'a mut (dyn FnMut(Line) + Send);

/// Why the deploy step stopped; the cause is the error's source, which the command prints after it. What was done before stays done; the next run goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Kafka.
    #[error("topics")]
    Kafka(#[from] KafkaError),
    /// Topics that cannot be brought to what is wanted.
    #[error("topics: {}", .0.join("; "))]
    Topics(Vec<String>),
    /// `topics.json` as built in.
    #[error("topics.json of this build is broken")]
    TopicsFile(#[source] serde_json::Error),
    /// The registry.
    #[error("subject {subject}")]
    Registry {
        /// The subject.
        subject: &'static str,
        /// The registry's answer.
        source: schemas::registry::Error,
    },
    /// PostgreSQL.
    #[error("table {table}")]
    Postgres {
        /// The file's table.
        table: String,
        /// The cause.
        source: PostgresError,
    },
    /// Elasticsearch.
    #[error("index {index}")]
    Elastic {
        /// The index.
        index: String,
        /// The cause.
        source: ElasticError,
    },
    /// A module file.
    #[error("module {}", path.display())]
    ModuleFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// `transforms` or Kafka Connect.
    #[error("{kind} {name}")]
    Connect {
        /// What kind of thing.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The cause.
        source: ConnectError,
    },
    /// The plugin says what is wrong with the settings.
    #[error("sink {name}: Kafka Connect refuses its settings, and no sink was changed: {}", faults.join("; "))]
    Settings {
        /// The connector.
        name: String,
        /// `key: words`.
        faults: Vec<String>,
    },
    /// Others deployed it.
    #[error("{kind} {name}: {why}")]
    Foreign {
        /// What kind of thing.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Whose it is, and the way out.
        why: String,
    },
    /// It was deployed but does not run.
    #[error("{kind} {name} is deployed but does not run after {waited:?}: {state}; see `connectors status`")]
    NotRunning {
        /// What kind of thing.
        kind: &'static str,
        /// Its name.
        name: String,
        /// How long was waited.
        waited: Duration,
        /// What it is instead.
        state: String,
    },
}

/// Deploys all of it.
///
/// # Errors
/// [`ApplyError`] at the first step that cannot be done.
pub async fn apply(target: &Target, all: &Deployment, modules: Option<&Path>, out: Out<'_>) -> Result<(), ApplyError> {
    topics::apply(target, out).await?;
    // What holds a field is there before anything writes it.
    stores::tables(target, &all.tables, out).await?;
    stores::indexes(target, &all.indexes, out).await?;
    subjects::apply(target, &all.contracts, out).await?;
    if let Some(folder) = modules {
        modules::apply(target, folder, out).await?;
    }
    pipelines::apply(target, &all.pipelines, out).await?;
    sinks::apply(target, &all.sinks, out).await
}

impl Transient for schemas::registry::Error {
    fn is_transient(&self) -> bool {
        Self::is_transient(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let source = PostgresError::Away { address: "p:1".to_owned(), reason: "refused".to_owned() };
        let table = ApplyError::Postgres { table: "t".to_owned(), source };
        let code = rdkafka::types::RDKafkaErrorCode::OperationTimedOut;
        let cause = rdkafka::error::KafkaError::MetadataFetch(code);
        let kafka = ApplyError::Kafka(KafkaError::Client { servers: "k:1".to_owned(), cause });
        for (err, once) in
            [(table, "refused"), (kafka, "Timed out"), (ApplyError::Topics(vec!["no".to_owned()]), "topics: no")]
        {
            let told = format!("{:#}", anyhow::Error::from(err));
            assert_eq!(told.matches(once).count(), 1, "{told}");
        }
    }
}
