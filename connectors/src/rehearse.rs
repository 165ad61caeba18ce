//! `connectors rehearse`: what an edit of a sink's file does to the rows, tried on the newest records without touching
//! anything that is live. The file's settings and those that run now each get a temporary connector, which reads copies
//! of the same records into a scratch table or index made like the live one; the difference is the edit's alone.
//!
//! Everything temporary carries a [`mark`] with its end in it, and is removed whatever happens ([`traces`]); what a
//! killed rehearsal leaves, the next one or `connectors serve` removes. Customers' values stand in the report, which is
//! for whoever asked, and in no log.

pub mod compare;
pub mod growth;
pub mod mark;
mod records;
pub mod redirect;
pub mod report;
pub mod rows;
mod stage;
pub mod traces;

use std::time::{Duration, SystemTime};

use service_kit::kafka::Brokers;
use tokio::time::Instant;

use self::growth::Growth;
use self::mark::Mark;
use self::redirect::Unredirectable;
use self::report::Report;
use self::stage::Stage;
use self::traces::{Removed, Traces, Whose};
use crate::connect::{Connect, ConnectError};
use crate::elastic::{Elastic, ElasticError};
use crate::files::Connector;
use crate::kafka::KafkaError;
use crate::postgres::{Postgres, PostgresError};
use crate::serve::isolate::IsolateError;
use crate::serve::probes::Probes;

/// Removing takes at most this.
const AFTERWARDS: Duration = Duration::from_secs(30);
/// Removing what others left takes at most this before it begins.
const BEFOREHAND: Duration = Duration::from_secs(15);
/// A mark is good for so much longer than it can be needed: clocks differ.
const SPARE: Duration = Duration::from_secs(15);

/// Whom to ask.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Kafka's brokers, and who we are to them.
    pub kafka: Brokers,
    /// Kafka Connect.
    pub connect: Connect,
    /// The schema registry.
    pub registry: schemas::registry::Registry,
    /// PostgreSQL.
    pub postgres: Postgres,
    /// Elasticsearch.
    pub elastic: Elastic,
}

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// So many of the newest records.
    pub last: usize,
    /// All of it takes at most this, without the removal.
    pub time_limit: Duration,
    /// So many rows are shown.
    pub examples: usize,
}

/// Why there is no report. Nothing live was touched.
#[derive(Debug, thiserror::Error)]
pub enum RehearseError {
    /// It is no sink, or none that can be redirected.
    #[error(transparent)]
    Unredirectable(#[from] Unredirectable),
    /// The file is a pipeline's.
    #[error("{0} is a pipeline of transforms, not a sink; `transforms shadow` runs a module beside the live one")]
    Pipeline(String),
    /// Kafka Connect finds fault with the settings.
    #[error("Kafka Connect refuses the settings: {}", .0.join("; "))]
    Refused(Vec<String>),
    /// There is no table or index to make a scratch one from.
    #[error("there is no {kind} {name} to make a scratch {kind} from; `connectors apply` makes it from stores/")]
    NoStore {
        /// `table` or `index`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// An index that hands its documents on.
    #[error(
        "index {index} has the ingest pipeline {pipeline}, which may write into other indexes; it is not rehearsed"
    )]
    Ingest {
        /// The index.
        index: String,
        /// The pipeline.
        pipeline: String,
    },
    /// What runs under the name is something else.
    #[error("what runs as {name} writes to a {live}, and the file to a {edited}; give the file another name")]
    OtherKind {
        /// The connector.
        name: String,
        /// What it writes to.
        live: &'static str,
        /// What the file writes to.
        edited: &'static str,
    },
    /// It was told to stop.
    #[error("it was stopped")]
    Stopped,
    /// The time is over.
    #[error("it took longer than {0:?}; give it more with --timeout, or fewer records with --last")]
    Late(Duration),
    /// Kafka Connect.
    #[error("Kafka Connect")]
    Connect(#[from] ConnectError),
    /// Kafka.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// PostgreSQL.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// Elasticsearch.
    #[error(transparent)]
    Elastic(#[from] ElasticError),
    /// The schema registry.
    #[error("the schema registry")]
    Registry(#[from] schemas::registry::Error),
    /// Data cannot be written by the new schema.
    #[error("records cannot be written by the new schema")]
    Growth(#[source] schemas::widen::WidenError),
    /// The temporary connectors.
    #[error("the temporary connectors")]
    Run(#[from] IsolateError),
    /// What is written above, and not all of its traces could be removed.
    #[error("{cause}; and traces are left, which the next rehearsal or `connectors serve` removes: {}", left.join("; "))]
    Left {
        /// What went wrong first, with its causes.
        cause: String,
        /// What is left.
        left: Vec<String>,
    },
}

/// Rehearses a file. To be awaited to its end, since its end removes what it made: `stop` ends it early, and `say` hears
/// how far it is.
///
/// # Errors
/// [`RehearseError`].
pub async fn rehearse(
    sources: &Sources,
    file: &Connector,
    options: Options,
    stop: impl Future<Output = ()>,
    say: &(dyn Fn(String) + Send + Sync),
) -> Result<Report, RehearseError> {
    with_growth(sources, (file, None), options, stop, say).await
}

/// Rehearses a file with a schema that grows: what runs now reads the records as they are, the file's settings read them
/// as the new schema writes them. To be awaited to its end as well.
///
/// # Errors
/// [`RehearseError`].
pub async fn grown(
    sources: &Sources,
    (file, growth): (&Connector, &Growth),
    options: Options,
    stop: impl Future<Output = ()>,
    say: &(dyn Fn(String) + Send + Sync),
) -> Result<Report, RehearseError> {
    with_growth(sources, (file, Some(growth)), options, stop, say).await
}

async fn with_growth(
    sources: &Sources,
    (file, growth): (&Connector, Option<&Growth>),
    options: Options,
    stop: impl Future<Output = ()>,
    say: &(dyn Fn(String) + Send + Sync),
) -> Result<Report, RehearseError> {
    let begun = Instant::now();
    let traces = sources.traces();
    let old = traces.remove(Whose::Over(SystemTime::now()), begun + BEFOREHAND).await;
    if !old.gone.is_empty() {
        say(format!("an earlier rehearsal was left behind; removed {}", Vec::from_iter(old.gone).join(", ")));
    }
    let mark = Mark::new(options.time_limit + AFTERWARDS + SPARE);
    let until = Instant::now() + options.time_limit;
    let stage = Stage { sources, file, growth, options, mark, until, say };
    let played = tokio::select! {
        played = tokio::time::timeout_at(until, stage.play()) => {
            played.unwrap_or(Err(RehearseError::Late(options.time_limit)))
        }
        () = stop => Err(RehearseError::Stopped),
    };
    say("removing everything temporary".to_owned());
    let Removed { left, .. } = traces.remove(Whose::Of(mark), Instant::now() + AFTERWARDS).await;
    match played {
        Ok(report) => Ok(Report { left, seconds: begun.elapsed().as_secs_f32(), ..report }),
        Err(cause) if left.is_empty() => Err(cause),
        Err(cause) => Err(RehearseError::Left { cause: format!("{:#}", anyhow::Error::from(cause)), left }),
    }
}

impl Sources {
    /// Where traces may be.
    #[must_use]
    pub fn traces(&self) -> Traces {
        let (connect, kafka) = (self.connect.clone(), self.kafka.clone());
        let (postgres, elastic) = (self.postgres.clone(), self.elastic.clone());
        Traces { connect, kafka, postgres, elastic, registry: self.registry.clone() }
    }

    fn probes(&self) -> Probes {
        let (postgres, elastic) = (self.postgres.clone(), self.elastic.clone());
        Probes { postgres, elastic, registry: self.registry.clone() }
    }
}
