//! Everything temporary that rehearsals make, found by its [`Mark`] and removed: connectors, their groups, topics, subjects,
//! tables, indexes. In this order, since a connector that still runs would write into a store that was just removed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::time::{Duration, SystemTime};

use schemas::registry::Registry;
use service_kit::Tasks;
use service_kit::kafka::Brokers;
use tokio::time::Instant;
use tracing::{info, warn};

use super::mark::{self, Mark, RETENTION_MS};
use crate::connect::{Connect, Listed};
use crate::elastic::Elastic;
use crate::kafka::{Admin, Existing, KafkaError};
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
    /// Kafka's brokers, and who we are to them.
    pub kafka: Brokers,
    /// PostgreSQL.
    pub postgres: Postgres,
    /// Elasticsearch.
    pub elastic: Elastic,
    /// The schema registry.
    pub registry: Registry,
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
        self.subjects(whose, &busy, removed).await;
        self.stores(whose, &busy, removed).await;
    }

    /// Removes tables and indexes, but those of the marks that are busy.
    pub async fn stores(&self, whose: Whose, busy: &BTreeSet<Mark>, removed: &mut Removed) {
        let tables = removed.note("PostgreSQL", self.postgres.scratches().await).unwrap_or_default();
        for (schema, name) in tables.iter().filter(|(_, name)| is_due(whose, busy, name)) {
            let done = self.postgres.drop_scratch(schema, name).await;
            removed.take(&format!("table {name}"), done);
        }
        let indexes = removed.note("Elasticsearch", self.elastic.scratches().await).unwrap_or_default();
        for name in indexes.iter().filter(|name| is_due(whose, busy, name)) {
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
        for (group, mark) in due_groups(&listed, &groups, whose) {
            // While a task writes, it is a member.
            let done = admin.delete_group(group).await;
            if !removed.take(&format!("group {group}"), done) {
                busy.insert(mark);
            }
        }
        Some(busy)
    }

    /// A subject has no place for a second mark; nobody else's ends as its name does.
    async fn subjects(&self, whose: Whose, busy: &BTreeSet<Mark>, removed: &mut Removed) {
        let names = removed.note("the schema registry", self.registry.subjects().await).unwrap_or_default();
        let due = |name: &&String| Mark::of_subject(name).is_some_and(|mark| whose.is(&mark) && !busy.contains(&mark));
        for name in names.iter().filter(due) {
            let done = self.registry.remove(name).await;
            removed.take(&format!("subject {name}"), done);
        }
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
            if is_marked(&topic) {
                let done = admin.delete_topic(&name).await;
                removed.take(&format!("topic {name}"), done);
            }
        }
    }
}

/// Groups whose connector is gone. One that is there and not ours may be called like ours, and its group is its own.
fn due_groups<'g>(listed: &BTreeMap<String, Listed>, groups: &'g [String], whose: Whose) -> Vec<(&'g str, Mark)> {
    let foreign = |name: &str| listed.get(name).is_some_and(|one| mark::of(name, &one.info.config).is_none());
    let due = |group: &'g String| {
        let name = group.strip_prefix(&sink_group(""))?;
        let mark = Mark::of_connector(name).filter(|mark| whose.is(mark) && !foreign(name))?;
        Some((group.as_str(), mark))
    };
    groups.iter().filter_map(due).collect()
}

/// A topic's name alone is not enough.
fn is_marked(topic: &Existing) -> bool {
    topic.own.get("retention.ms").is_some_and(|own| own == RETENTION_MS)
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

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::connect::Info;
    use crate::rehearse::mark::{MARK, Side};

    fn mark(expires: u64) -> Mark {
        Mark { expires, id: 7 }
    }

    const NOW: u64 = 1_764_170_000;

    fn over() -> Whose {
        Whose::Over(UNIX_EPOCH + Duration::from_secs(NOW))
    }

    #[test]
    fn only_what_is_over_is_due_and_ones_own_at_once() {
        assert!(over().is(&mark(NOW - 1)) && !over().is(&mark(NOW)) && !over().is(&mark(NOW + 60)));
        assert!(Whose::Of(mark(NOW + 60)).is(&mark(NOW + 60)) && !Whose::Of(mark(NOW)).is(&mark(NOW + 60)));
    }

    #[test]
    fn a_group_is_due_where_its_connector_is_gone_or_ours() {
        let [ours, foreign, gone, fresh] = [1, 2, 3, 0].map(|ago| match ago {
            0 => mark(NOW + 60).connector(Side::Live),
            ago => mark(NOW - ago).connector(Side::Live),
        });
        let listed = |own: &str, mark: Option<&str>| {
            let config = mark.map(|mark| (MARK.to_owned(), mark.to_owned())).into_iter().collect();
            (own.to_owned(), Listed { info: Info { config }, ..Listed::default() })
        };
        let listed = BTreeMap::from([listed(&ours, Some(&ours)), listed(&foreign, None)]);
        let groups: Vec<String> = [&ours, &foreign, &gone, &fresh].map(|name| sink_group(name)).to_vec();
        let others = ["connect-orders-postgres", "orderflow-rehearsal-1-00000007-live", "x"].map(str::to_owned);
        let groups = [groups, others.to_vec()].concat();
        let due: Vec<&str> = due_groups(&listed, &groups, over()).into_iter().map(|(group, _)| group).collect();
        assert_eq!(due, [sink_group(&ours), sink_group(&gone)]);
    }

    #[test]
    fn a_topic_needs_its_own_retention_as_the_second_half_of_its_mark() {
        let with = |own: &[(&str, &str)]| Existing {
            own: own.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            ..Existing::default()
        };
        assert!(is_marked(&with(&[("retention.ms", RETENTION_MS), ("cleanup.policy", "delete")])));
        assert!(!is_marked(&with(&[("retention.ms", "86400000")])) && !is_marked(&with(&[])));
    }
}
