//! What the files say beside what the servers have, without changing either: the one comparison from which
//! [`crate::plan`], [`crate::drift`] and [`crate::prune`] take their answers. Secrets are masked here already, so that
//! nothing that prints can show one.

mod connectors;
mod indexes;
pub mod mask;
mod pipelines;
mod sinks;
mod subjects;
mod tables;
pub(crate) mod topics;

use tokio::time::Instant;

pub(crate) use connectors::{differences, foreign};

use crate::apply::Target;
use crate::files::Deployment;

/// One resource on both sides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Thing {
    /// What kind of thing: topic, subject, table, index, pipeline, sink.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The file that it stands in; empty where none does.
    pub file: String,
    /// Whether it is on both sides.
    pub place: Place,
    /// Everything in which the sides differ.
    pub differences: Vec<Difference>,
    /// Why the files cannot be applied to it.
    pub refused: Vec<Refusal>,
    /// The state in which an operator holds it: PAUSED, STOPPED.
    pub held: Option<String>,
    /// Which side has moved since the files were applied last.
    pub moved: Moved,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

/// Where a resource is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Place {
    /// In the files and on the server.
    #[default]
    Both,
    /// In the files only.
    File,
    /// On the server only, and it carries our mark.
    Server,
}

/// Which side has moved since the files were applied last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Moved {
    /// Nothing tells.
    #[default]
    Unknown,
    /// The file was edited, and is not applied yet.
    File,
    /// Somebody changed the server past the files.
    Server,
    /// Both.
    Both,
}

/// One key in which the sides differ; values as they may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The setting, or the path of one.
    pub key: String,
    /// What the server has.
    pub server: Option<String>,
    /// What the file says.
    pub file: Option<String>,
    /// Whether `apply` brings the server to the file in this; else it takes a person.
    pub applies: bool,
}

impl Difference {
    /// One that `apply` settles.
    fn new(key: &str, server: Option<String>, file: Option<String>) -> Self {
        Self { key: key.to_owned(), server, file, applies: true }
    }

    /// One that `apply` leaves as it is.
    fn left(self) -> Self {
        Self { applies: false, ..self }
    }
}

/// What stands against a file, and in which key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The key; empty where all of it is meant.
    pub key: String,
    /// Why, and the way out.
    pub message: String,
}

impl Refusal {
    fn new(key: &str, message: impl Into<String>) -> Self {
        Self { key: key.to_owned(), message: message.into() }
    }
}

impl Thing {
    fn new(kind: &'static str, name: &str, file: &str) -> Self {
        Self { kind, name: name.to_owned(), file: file.to_owned(), ..Self::default() }
    }

    /// Whether `apply` would change it.
    #[must_use]
    pub fn changes(&self) -> bool {
        self.differences.iter().any(|difference| difference.applies)
    }
}

/// All resources.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// In the order in which `apply` goes.
    pub things: Vec<Thing>,
    /// Who could not be asked, and why.
    pub unknown: Vec<String>,
}

impl Comparison {
    fn take(&mut self, found: Result<Vec<Thing>, String>) {
        match found {
            Ok(things) => self.things.extend(things),
            Err(reason) => self.unknown.push(reason),
        }
    }
}

/// Asks all servers, side by side; each gets as long as the target waits.
pub async fn compare(target: &Target, all: &Deployment) -> Comparison {
    let deadline = target.deadline();
    let (topics, tables, indexes, subjects, pipelines, sinks) = tokio::join!(
        topics::compare(target, deadline),
        tables::compare(target, &all.tables, deadline),
        indexes::compare(target, &all.indexes, deadline),
        subjects::compare(target, &all.contracts, deadline),
        pipelines::compare(target, &all.pipelines, deadline),
        sinks::compare(target, &all.sinks, deadline),
    );
    let mut comparison = Comparison::default();
    // A service that waits for its topics cannot say anything yet.
    let pipelines = pipelines.or_else(|reason| match &topics {
        Ok(topics) if topics.iter().any(pipelines::waits_for) => Ok(pipelines::unasked(&all.pipelines)),
        Ok(_) | Err(_) => Err(reason),
    });
    for found in [topics, tables, indexes, subjects, pipelines, sinks] {
        comparison.take(found);
    }
    comparison
}

/// What holds a new field: the tables and indexes, and the subject of what the pipeline writes.
pub(crate) async fn stages(target: &Target, all: &Deployment) -> Comparison {
    let deadline = target.deadline();
    let (tables, indexes, subjects) = tokio::join!(
        tables::compare(target, &all.tables, deadline),
        indexes::compare(target, &all.indexes, deadline),
        subjects::compare(target, &all.contracts, deadline),
    );
    let mut comparison = Comparison::default();
    for found in [tables, indexes, subjects] {
        comparison.take(found);
    }
    let placed = all.contracts.placed.subject;
    comparison.things.retain(|thing| thing.kind != "subject" || thing.name == placed);
    comparison
}

/// Only what runs: the pipelines and the sinks.
pub async fn deployed(target: &Target, all: &Deployment) -> Comparison {
    let deadline = target.deadline();
    let (pipelines, sinks) = tokio::join!(
        pipelines::compare(target, &all.pipelines, deadline),
        sinks::compare(target, &all.sinks, deadline),
    );
    let mut comparison = Comparison::default();
    comparison.take(pipelines);
    comparison.take(sinks);
    comparison
}

/// An error with its causes, and who gave it.
fn told(who: &str, err: impl std::error::Error + Send + Sync + 'static) -> String {
    format!("{who}: {:#}", anyhow::Error::from(err))
}

type Deadline = Instant;
