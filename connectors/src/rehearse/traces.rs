//! Everything temporary that rehearsals make, found by its [`Mark`] and removed: connectors, their groups, topics, tables,
//! indexes. In this order, since a connector that still runs would write into a store that was just removed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::time::{Duration, SystemTime};

use service_kit::Tasks;
use tokio::time::Instant;
use tracing::{info, warn};

use super::mark::{self, Mark, RETENTION_MS};
use crate::connect::Connect;
use crate::elastic::Elastic;
use crate::kafka::{Admin, KafkaError};
use crate::names::sink_group;
use crate::postgres::Postgres;

/// How often `connectors serve` looks for what others have left behind.
const EVERY: Duration = Duration::from_secs(60);
/// So long it tries then.
const LIMIT: Duration = Duration::from_secs(30);
/// Between two looks at what is not gone yet.
const PAUSE: Duration = Duration::from_millis(250);

/// Whose traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Those of this rehearsal.
    Of(Mark),
    /// Those of rehearsals that were over at this time, by their own word.
    Over(SystemTime),
}

impl Whose {
    fn is(&self, mark: &Mark) -> bool {
        match self {
            Self::Of(own) => own == mark,
            Self::Over(now) => mark.is_over(*now),
        }
    }
}

/// What was removed, and what could not be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// Such as `table orderflow_rehearsal_…`.
    pub gone: BTreeSet<String>,
    /// What is left, and why.
    pub left: Vec<String>,
}

/// The servers that traces are in.
#[derive(Debug, Clone)]
pub struct Traces {
    /// Kafka Connect.
    pub connect: Connect,
    /// Kafka's bootstrap servers.
    pub kafka: String,
    /// PostgreSQL.
    pub postgres: Postgres,
    /// Elasticsearch.
    pub elastic: Elastic,
}

impl Traces {
    /// Removes until nothing is found any more, or the time is over. What was under way when a rehearsal ended may come
    /// to light a moment later, so it looks once more after the last removal.
    pub async fn remove(&self, whose: Whose, until: Instant) -> Removed {
        let mut removed = Removed::default();
        loop {
            let before = removed.gone.len();
            removed.left.clear();
            self.pass(whose, &mut removed).await;
            let is_done = removed.left.is_empty() && removed.gone.len() == before;
            if is_done || until <= Instant::now() + PAUSE {
                return removed;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Watches for what killed rehearsals have left, until told to stop.
    pub async fn watch(self, tasks: Tasks) {
        let mut said = BTreeSet::new();
        loop {
            let look = self.remove(Whose::Over(SystemTime::now()), Instant::now() + LIMIT);
            let Some(removed) = tasks.until_stop(look).await else { return };
            if !removed.gone.is_empty() {
                info!(removed = Vec::from_iter(removed.gone).join(", "), "a rehearsal was left behind, it is removed");
            }
            let left = BTreeSet::from_iter(removed.left);
            if let Some(new) = left.difference(&said).next() {
                warn!(reason = new, "cannot look for what rehearsals left behind, or remove it");
            }
            said = left;
            if tasks.until_stop(tokio::time::sleep(EVERY)).await.is_none() {
                return;
            }
        }
    }

    async fn pass(&self, whose: Whose, removed: &mut Removed) {
        let busy = self.connectors(whose, removed).await;
        // Whose connector may still write keeps its topic and stores for now.
        let Some(busy) = busy else { return };
        self.topics(whose, &busy, removed).await;
        let tables = removed.note("PostgreSQL", self.postgres.scratches().await).unwrap_or_default();
        for (schema, name) in tables.iter().filter(|(_, name)| is_due(whose, &busy, name)) {
            let done = self.postgres.drop_scratch(schema, name).await;
            removed.take(&format!("table {name}"), done);
        }
        let indexes = removed.note("Elasticsearch", self.elastic.scratches().await).unwrap_or_default();
        for name in indexes.iter().filter(|name| is_due(whose, &busy, name)) {
            let done = self.elastic.drop_scratch(name).await;
            removed.take(&format!("index {name}"), done);
        }
    }

    /// Removes connectors, then their groups; answers the marks whose connectors are not known to be at rest.
    async fn connectors(&self, whose: Whose, removed: &mut Removed) -> Option<BTreeSet<Mark>> {
        let listed = removed.note("Kafka Connect", self.connect.list().await)?;
        let mut busy = BTreeSet::new();
        for (name, mark) in listed.iter().filter_map(|(name, one)| Some((name, mark::of(name, &one.info.config)?))) {
            if whose.is(&mark) {
                let done = self.connect.delete(name).await;
                if !removed.take(&format!("connector {name}"), done) {
                    busy.insert(mark);
                }
            }
        }
        let admin = removed.note("Kafka", Admin::new(&self.kafka))?;
        let groups = removed.note("Kafka", admin.groups().await)?;
        // A connector that is there and not ours may be called like ours, and its group is its own.
        let foreign: BTreeSet<String> = listed
            .iter()
            .filter(|(name, one)| mark::of(name, &one.info.config).is_none())
            .map(|(name, _)| sink_group(name))
            .collect();
        for group in groups.iter().filter(|group| !foreign.contains(*group)) {
            let mark = group.strip_prefix(&sink_group("")).and_then(Mark::of_connector);
            let Some(mark) = mark.filter(|mark| whose.is(mark)) else { continue };
            // While a task writes, it is a member.
            let done = admin.delete_group(group).await;
            if !removed.take(&format!("group {group}"), done) {
                busy.insert(mark);
            }
        }
        Some(busy)
    }

    async fn topics(&self, whose: Whose, busy: &BTreeSet<Mark>, removed: &mut Removed) {
        let found = async {
            let admin = Admin::new(&self.kafka)?;
            let names = admin.names().await?;
            let due = |name: &&str| Mark::of_topic(name).is_some_and(|mark| whose.is(&mark) && !busy.contains(&mark));
            let names: Vec<&str> = names.iter().map(String::as_str).filter(due).collect();
            let topics = if names.is_empty() { BTreeMap::new() } else { admin.topics(&names).await? };
            Ok::<_, KafkaError>((admin, topics))
        };
        let Some((admin, topics)) = removed.note("Kafka", found.await) else { return };
        for (name, topic) in topics {
            if topic.own.get("retention.ms").is_some_and(|own| own == RETENTION_MS) {
                let done = admin.delete_topic(&name).await;
                removed.take(&format!("topic {name}"), done);
            }
        }
    }
}

fn is_due(whose: Whose, busy: &BTreeSet<Mark>, store: &str) -> bool {
    Mark::of_store(store).is_some_and(|mark| whose.is(&mark) && !busy.contains(&mark))
}

impl Removed {
    /// Who cannot be asked is told.
    fn note<T, E: Display>(&mut self, who: &str, answer: Result<T, E>) -> Option<T> {
        answer.map_err(|err| self.left.push(format!("{who}: {err}"))).ok()
    }

    /// True where it is gone.
    fn take<E: Display>(&mut self, what: &str, done: Result<(), E>) -> bool {
        match done {
            Ok(()) => self.gone.insert(what.to_owned()),
            Err(err) => {
                self.left.push(format!("{what}: {err}"));
                return false;
            }
        };
        true
    }
}
