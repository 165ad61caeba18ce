//! A pipeline's config, in Connect's words: read once, all faults at once. Whether the modules and topics are there is
//! asked elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use schemas::names::topics;
use transform_host::{Isolation, Predicate, When};

use super::policy::Policy;
use super::version::Wanted;
use crate::names::{CLASS, key};

mod branches;
mod costs;

pub use branches::Lookup;

/// The config as it is posted and stored.
pub type Config = BTreeMap<String, String>;

/// Slots in each process.
pub(crate) const MAX_TASKS: usize = 64;
/// Longer than that no order should wait.
const MAX_COMMIT_INTERVAL_MS: u64 = 1_000;
const MAX_TOPICS: usize = 16;
const MAX_STEPS: usize = 32;
const MAX_TOPIC_NAME: usize = 249;

/// A config that makes sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// The pipeline's name.
    pub name: String,
    /// Slots in each process.
    pub tasks: usize,
    /// A batch that is not full waits until so long after the last transaction began.
    pub commit_interval: Duration,
    /// What it reads.
    pub topics: Vec<String>,
    /// Where it writes.
    pub output: String,
    /// Where it writes what modules send elsewhere: topics by the name that modules say.
    pub outputs: BTreeMap<String, String>,
    /// The tables that modules look records up in, by the name that modules say.
    pub lookups: BTreeMap<String, Lookup>,
    /// How long an instance of a module lives.
    pub isolation: Isolation,
    /// The modules, in order.
    pub steps: Vec<Step>,
    /// Where bad records go; `None`: the first one stops the slot.
    pub dead_letters: Option<String>,
    /// Where the markers of dropped records go.
    pub dropped: String,
    /// Whether it takes throw-away versions of modules.
    pub local: bool,
    /// What a version may cost.
    pub policy: Policy,
}

/// One module of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The pipeline's own name for it.
    pub alias: String,
    /// Which module.
    pub module: Wanted,
    /// What it is told.
    pub parameters: BTreeMap<String, String>,
    /// Which records it gets; `None`: all.
    pub when: Option<When>,
}

/// What is wrong with one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Fault {
    /// A fault of this key.
    #[must_use]
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into() }
    }
}

/// Reads the config of the pipeline `name`.
///
/// # Errors
/// Every fault, in the order of the keys.
pub fn parse(name: &str, config: &Config) -> Result<Spec, Vec<Fault>> {
    let mut reader = Reader { config, known: BTreeSet::new(), faults: Vec::new() };
    reader.name(name);
    reader.class();
    let tasks = reader.tasks();
    let commit_interval = Duration::from_millis(reader.number(key::COMMIT_INTERVAL, 0..=MAX_COMMIT_INTERVAL_MS, 0));
    let topics = reader.topics();
    let output = reader.topic(key::OUTPUT, None);
    let dead_letters = reader.dead_letters();
    let dropped = reader.topic(key::DROPPED, Some(topics::ORDERS_DROPPED));
    let (outputs, lookups, isolation) = (reader.outputs(&output), reader.lookups(), reader.isolation());
    let (local, predicates) = (reader.local(), reader.predicates());
    let steps = reader.steps(&predicates);
    let policy = reader.policy();
    reader.unknown();
    for other in [Some(&output), dead_letters.as_ref(), Some(&dropped)].into_iter().flatten().chain(outputs.values()) {
        if topics.contains(other) {
            reader.fault(key::TOPICS, format!("the pipeline would read what it writes to {other}"));
        }
    }
    if reader.faults.is_empty() {
        let name = name.to_owned();
        return Ok(Spec {
            name,
            tasks,
            commit_interval,
            topics,
            output,
            outputs,
            lookups,
            isolation,
            steps,
            dead_letters,
            dropped,
            local,
            policy,
        });
    }
    reader.faults.sort_by(|a, b| a.key.cmp(&b.key));
    Err(reader.faults)
}

/// Whether a name can be a pipeline's: it becomes a consumer group and part of transactional ids.
#[must_use]
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 100
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// What of `transforms.<alias>.…` is the pipeline's, as in Connect; all else is the module's.
const OWN_SETTINGS: [&str; 3] = ["type", "predicate", "negate"];

/// Whether a name can be part of a key.
fn is_alias(alias: &str) -> bool {
    alias.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

struct Reader<'c> {
    config: &'c Config,
    known: BTreeSet<String>,
    faults: Vec<Fault>,
}

impl<'c> Reader<'c> {
    fn get(&mut self, key: &str) -> Option<&'c str> {
        self.known.insert(key.to_owned());
        self.config.get(key).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    fn fault(&mut self, key: &str, message: impl Into<String>) {
        self.faults.push(Fault::new(key, message));
    }

    fn name(&mut self, name: &str) {
        if !is_name(name) {
            self.fault(key::NAME, format!("{name:?} is not a name; use 1 to 100 of A-Z a-z 0-9 . _ -"));
        }
        if self.get(key::NAME).is_some_and(|own| own != name) {
            self.fault(key::NAME, format!("differs from the name in the address, {name:?}"));
        }
    }

    fn class(&mut self) {
        self.known.insert(key::APPLIED.to_owned());
        match self.get(key::CLASS) {
            Some(CLASS) => {}
            Some(other) => self.fault(key::CLASS, format!("{other:?} is not known here; use {CLASS}")),
            None => self.fault(key::CLASS, format!("is missing; use {CLASS}")),
        }
    }

    fn tasks(&mut self) -> usize {
        match self.get(key::TASKS).map(str::parse::<usize>) {
            None => 1,
            Some(Ok(tasks)) if (1..=MAX_TASKS).contains(&tasks) => tasks,
            Some(_) => {
                self.fault(key::TASKS, format!("is not a number from 1 to {MAX_TASKS}"));
                1
            }
        }
    }

    fn topics(&mut self) -> Vec<String> {
        let topics = self.list(key::TOPICS);
        if topics.is_empty() || topics.len() > MAX_TOPICS {
            self.fault(key::TOPICS, format!("needs 1 to {MAX_TOPICS} topics, separated by commas"));
        }
        for topic in &topics {
            self.check_topic(key::TOPICS, topic);
        }
        topics
    }

    fn topic(&mut self, key: &str, default: Option<&str>) -> String {
        let topic = self.get(key).or(default).map(str::to_owned);
        match topic {
            Some(topic) => {
                self.check_topic(key, &topic);
                topic
            }
            None => {
                self.fault(key, "is missing; name a topic");
                String::new()
            }
        }
    }

    fn check_topic(&mut self, key: &str, topic: &str) {
        let valid = topic.len() <= MAX_TOPIC_NAME
            && !matches!(topic, "." | "..")
            && topic.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if !valid {
            self.fault(key, format!("{topic:?} is not a topic's name"));
        }
    }

    fn dead_letters(&mut self) -> Option<String> {
        let tolerance = self.get(key::TOLERANCE).unwrap_or("none");
        let topic = self.get(key::DEAD_LETTERS).map(str::to_owned);
        if let Some(topic) = &topic {
            self.check_topic(key::DEAD_LETTERS, topic);
        }
        match (tolerance, topic) {
            ("none", _) => None,
            ("all", Some(topic)) => Some(topic),
            ("all", None) => {
                let message = format!("is missing; {}=all without it would lose records", key::TOLERANCE);
                self.fault(key::DEAD_LETTERS, message);
                None
            }
            (other, _) => {
                self.fault(key::TOLERANCE, format!("{other:?} is neither none nor all"));
                None
            }
        }
    }

    fn local(&mut self) -> bool {
        match self.get(key::LOCAL) {
            None | Some("false") => false,
            Some("true") => true,
            Some(other) => {
                self.fault(key::LOCAL, format!("{other:?} is neither true nor false"));
                false
            }
        }
    }

    fn steps(&mut self, predicates: &BTreeMap<String, Predicate>) -> Vec<Step> {
        let aliases = self.list(key::TRANSFORMS);
        if aliases.len() > MAX_STEPS {
            self.fault(key::TRANSFORMS, format!("has {} modules, the limit is {MAX_STEPS}", aliases.len()));
        }
        let distinct: BTreeSet<&String> = aliases.iter().collect();
        if distinct.len() != aliases.len() {
            self.fault(key::TRANSFORMS, "names an alias twice");
        }
        aliases.iter().filter_map(|alias| self.step(alias, predicates)).collect()
    }

    fn step(&mut self, alias: &str, predicates: &BTreeMap<String, Predicate>) -> Option<Step> {
        if !is_alias(alias) {
            self.fault(key::TRANSFORMS, format!("{alias:?} is not an alias; use A-Z a-z 0-9 _ -"));
            return None;
        }
        let prefix = format!("{}.{alias}.", key::TRANSFORMS);
        let type_key = format!("{prefix}type");
        let module = match self.get(&type_key).map(str::parse::<Wanted>) {
            Some(Ok(module)) => Some(module),
            Some(Err(error)) => {
                self.fault(&type_key, error.to_string());
                None
            }
            None => {
                self.fault(&type_key, "is missing; name a module such as clean@1");
                None
            }
        };
        let when = self.when(&prefix, predicates);
        let own = self.config.iter().filter_map(|(key, value)| Some((key, key.strip_prefix(&prefix)?, value)));
        let own: Vec<_> = own.filter(|(_, parameter, _)| !OWN_SETTINGS.contains(parameter)).collect();
        self.known.extend(own.iter().map(|(key, _, _)| (*key).clone()));
        let parameters = own.into_iter().map(|(_, name, value)| (name.to_owned(), value.clone())).collect();
        Some(Step { alias: alias.to_owned(), module: module?, parameters, when })
    }

    fn list(&mut self, key: &str) -> Vec<String> {
        let text = self.get(key).unwrap_or_default();
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }

    fn unknown(&mut self) {
        let unknown: Vec<String> = self.config.keys().filter(|key| !self.known.contains(*key)).cloned().collect();
        for key in unknown {
            let lists = [key::TRANSFORMS, key::PREDICATES, key::OUTPUTS, key::LOOKUPS];
            let list = lists.into_iter().find(|list| key.strip_prefix(list).is_some_and(|rest| rest.starts_with('.')));
            let message = match list {
                Some(key::TRANSFORMS) => "belongs to no alias that `transforms` names".to_owned(),
                Some(list) => format!("is no setting of a name that `{list}` has"),
                None => "is not a setting of a pipeline".to_owned(),
            };
            self.fault(&key, message);
        }
    }
}

#[cfg(test)]
mod tests;
