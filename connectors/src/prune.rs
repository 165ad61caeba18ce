//! `connectors prune`: removes connectors and pipelines that carry our mark and stand in no file any more. What holds data
//! stays: topics, tables and indexes are a person's to remove, and the answer names the commands.

use std::fmt::Write as _;

use crate::apply::Target;
use crate::check::target;
use crate::compare::{Comparison, Place, Thing};
use crate::connect::{self, Connect, ConnectError, Settings};
use crate::decode::plain;
use crate::files::Connector;
use crate::names::sink_group;
use crate::retry;
use schemas::mark;

/// What became of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It would be removed.
    Would,
    /// It was removed.
    Removed,
    /// It is no longer what was found, and stays.
    Left(String),
}

/// One connector or pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruned {
    /// `sink` or `pipeline`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
    /// What it leaves behind, and how a person removes it.
    pub stays: Vec<String>,
}

/// Removes what was found to be ours and without a file; without `yes` says what it would remove.
///
/// # Errors
/// [`ConnectError`] at the first that cannot be removed.
pub async fn prune(target: &Target, found: &Comparison, yes: bool) -> Result<Vec<Pruned>, ConnectError> {
    let mut pruned = Vec::new();
    for thing in found.things.iter().filter(|thing| thing.place == Place::Server) {
        let (connect, who) = match thing.kind {
            "pipeline" => (&target.transforms, "transforms"),
            _ => (&target.connect, "Kafka Connect"),
        };
        let remove = || one(connect, thing, &target.owner, yes);
        pruned.push(retry::until(target.deadline(), who, remove).await?);
    }
    Ok(pruned)
}

async fn one(connect: &Connect, thing: &Thing, owner: &str, yes: bool) -> Result<Pruned, ConnectError> {
    let mut pruned = Pruned { kind: thing.kind, name: thing.name.clone(), outcome: Outcome::Would, stays: Vec::new() };
    // Asked once more: somebody may have made it anew meanwhile, and without the mark it is not ours.
    let Some(settings) = connect.settings(&thing.name).await? else {
        pruned.outcome = Outcome::Left("it is gone already".to_owned());
        return Ok(pruned);
    };
    if mark::of(&settings).is_none_or(|mark| mark.owner != owner) {
        pruned.outcome = Outcome::Left("it does not carry our mark any more".to_owned());
        return Ok(pruned);
    }
    pruned.stays = stays(thing, settings);
    if yes {
        connect.delete(&thing.name).await?;
        pruned.outcome = Outcome::Removed;
    }
    Ok(pruned)
}

/// Position, topics, and what it wrote into: data, which nobody removes but a person.
fn stays(thing: &Thing, settings: Settings) -> Vec<String> {
    let group = if thing.kind == "sink" { sink_group(&thing.name) } else { thing.name.clone() };
    let mut stays = vec![format!("its position: kafka-consumer-groups --delete --group {group}")];
    let read = connect::topics(&settings);
    let connector = Connector { file: String::new(), name: thing.name.clone(), settings };
    let mut stores: Vec<String> = read
        .iter()
        .filter_map(|topic| target::of(&connector, topic))
        .map(|store| match store {
            target::Target::Table(name) => format!("table {name}: drop table {name}"),
            target::Target::Index(name) => format!("index {name}: curl -X DELETE $ELASTICSEARCH_URL/{name}"),
        })
        .collect();
    stores.dedup();
    stays.extend(stores);
    let written = ["output.topic", "errors.deadletterqueue.topic.name"].map(|key| connector.setting(key).to_owned());
    let topics = read.into_iter().chain(written).filter(|topic| !topic.is_empty());
    stays.extend(topics.map(|topic| format!("topic {topic}: kafka-topics --delete --topic {topic}")));
    stays
}

/// For people.
#[must_use]
pub fn text(pruned: &[Pruned], yes: bool) -> String {
    let mut text = String::new();
    for one in pruned {
        let what = match &one.outcome {
            Outcome::Would => "would be removed".to_owned(),
            Outcome::Removed => "removed".to_owned(),
            Outcome::Left(why) => format!("left: {why}"),
        };
        let _ = writeln!(text, "{:<8}  {:<38}  {what}", one.kind, plain(&one.name));
        for line in &one.stays {
            let _ = writeln!(text, "      stays: {}", plain(line));
        }
    }
    if pruned.iter().any(|one| !one.stays.is_empty()) {
        let _ = writeln!(text, "\nwhat stays has data, which others may read: look before you remove it");
    }
    let _ = match (pruned.is_empty(), yes) {
        (true, _) => writeln!(text, "nothing to prune: all that carries our mark has a file"),
        (false, true) => Ok(()),
        (false, false) => writeln!(text, "nothing was removed; `connectors prune --yes` removes them"),
    };
    text
}
