//! The parts of a config that make a pipeline more than a line: predicates (in Connect's words), named outputs, lookups,
//! isolation.

use std::collections::{BTreeMap, BTreeSet};

use transform_host::{Isolation, Predicate, TopicPattern, When};

use super::Reader;
use crate::names::key;

/// Of each kind a pipeline may have so many.
const MAX_NAMED: usize = 32;
/// What Connect's own predicates are called in full.
const CONNECTS: &str = "org.apache.kafka.connect.transforms.predicates.";
/// A table may have so many bytes and entries when the config does not say.
const TABLE_BYTES: usize = 64 << 20;
const TABLE_ENTRIES: usize = 1_000_000;
/// And so many at most.
const MAX_TABLE_BYTES: usize = 1 << 30;
const MAX_TABLE_ENTRIES: usize = 50_000_000;

/// A table that modules may look records up in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lookup {
    /// The topic that it is read from.
    pub topic: String,
    /// The bytes that its keys and values may have together, with what it takes to keep them.
    pub max_bytes: usize,
    /// The keys that it may have.
    pub max_entries: usize,
}

impl Reader<'_> {
    /// `predicates` and `predicates.<alias>.…`.
    pub(super) fn predicates(&mut self) -> BTreeMap<String, Predicate> {
        let aliases = self.aliases(key::PREDICATES);
        aliases.into_iter().filter_map(|alias| Some((alias.clone(), self.predicate(&alias)?))).collect()
    }

    fn predicate(&mut self, alias: &str) -> Option<Predicate> {
        let of = |setting: &str| format!("{}.{alias}.{setting}", key::PREDICATES);
        let (kind, pattern, name) = (of("type"), of("pattern"), of("name"));
        let Some(class) = self.get(&kind) else {
            self.fault(&kind, "is missing; use TopicNameMatches, HasHeaderKey or RecordIsTombstone");
            return None;
        };
        match class.strip_prefix(CONNECTS).unwrap_or(class) {
            "TopicNameMatches" => {
                match self.needed(&pattern, "a regular expression for the whole name").map(TopicPattern::parse)? {
                    Ok(pattern) => Some(Predicate::TopicNameMatches(pattern)),
                    Err(why) => {
                        self.fault(
                            &pattern,
                            format!("cannot be used: {why}; look-around and back-references are not known"),
                        );
                        None
                    }
                }
            }
            "HasHeaderKey" => self.needed(&name, "a header").map(|name| Predicate::HasHeaderKey(name.to_owned())),
            "RecordIsTombstone" => Some(Predicate::RecordIsTombstone),
            other => {
                let known = "TopicNameMatches, HasHeaderKey or RecordIsTombstone";
                self.fault(&kind, format!("{other:?} is not known here; use {known}"));
                None
            }
        }
    }

    /// `transforms.<alias>.predicate` and `.negate`.
    pub(super) fn when(&mut self, prefix: &str, predicates: &BTreeMap<String, Predicate>) -> Option<When> {
        let (predicate_key, negate_key) = (format!("{prefix}predicate"), format!("{prefix}negate"));
        let negate = match self.get(&negate_key) {
            None | Some("false") => false,
            Some("true") => true,
            Some(other) => {
                self.fault(&negate_key, format!("{other:?} is neither true nor false"));
                false
            }
        };
        let Some(name) = self.get(&predicate_key) else {
            if negate {
                self.fault(&negate_key, format!("has no {predicate_key} to negate"));
            }
            return None;
        };
        match predicates.get(name) {
            Some(predicate) => Some(When { predicate: predicate.clone(), negate }),
            None => {
                // One that is named but faulty is told of already.
                if !self.list(key::PREDICATES).iter().any(|alias| alias == name) {
                    self.fault(&predicate_key, format!("{name:?} is not among {}", key::PREDICATES));
                }
                None
            }
        }
    }

    /// `outputs` and `outputs.<name>.topic`: the topics beside the main one, by the name that modules say.
    pub(super) fn outputs(&mut self, main: &str) -> BTreeMap<String, String> {
        let mut outputs = BTreeMap::new();
        for name in self.aliases(key::OUTPUTS) {
            let topic_key = format!("{}.{name}.topic", key::OUTPUTS);
            let topic = self.topic(&topic_key, None);
            if topic == main || outputs.values().any(|other| *other == topic) {
                // Two names for one topic would hide how many records of an input come there.
                self.fault(&topic_key, format!("{topic:?} is the topic of another output; name each topic once"));
            }
            outputs.insert(name, topic);
        }
        outputs
    }

    /// `lookups` and `lookups.<name>.…`.
    pub(super) fn lookups(&mut self) -> BTreeMap<String, Lookup> {
        let names = self.aliases(key::LOOKUPS);
        names.into_iter().map(|name| (name.clone(), self.lookup(&name))).collect()
    }

    fn lookup(&mut self, name: &str) -> Lookup {
        let of = |setting: &str| format!("{}.{name}.{setting}", key::LOOKUPS);
        let topic = self.topic(&of("topic"), None);
        let max_bytes = self.bounded(&of("max.bytes"), TABLE_BYTES, MAX_TABLE_BYTES);
        let max_entries = self.bounded(&of("max.entries"), TABLE_ENTRIES, MAX_TABLE_ENTRIES);
        Lookup { topic, max_bytes, max_entries }
    }

    /// `isolation`.
    pub(super) fn isolation(&mut self) -> Isolation {
        match self.get(key::ISOLATION) {
            None | Some("instance") => Isolation::Instance,
            Some("batch") => Isolation::Batch,
            Some(other) => {
                self.fault(key::ISOLATION, format!("{other:?} is neither instance nor batch"));
                Isolation::Instance
            }
        }
    }

    fn bounded(&mut self, key: &str, default: usize, most: usize) -> usize {
        match self.get(key).map(str::parse::<usize>) {
            None => default,
            Some(Ok(number)) if (1..=most).contains(&number) => number,
            Some(_) => {
                self.fault(key, format!("is not a number from 1 to {most}"));
                default
            }
        }
    }

    fn needed(&mut self, key: &str, what: &str) -> Option<&str> {
        let set = self.config.get(key).is_some_and(|value| !value.trim().is_empty());
        if !set {
            self.fault(key, format!("is missing; name {what}"));
        }
        self.get(key)
    }

    /// The aliases that a key lists: each is part of other keys.
    fn aliases(&mut self, key: &str) -> Vec<String> {
        let aliases = self.list(key);
        if aliases.len() > MAX_NAMED {
            self.fault(key, format!("has {} names, the limit is {MAX_NAMED}", aliases.len()));
        }
        let mut distinct = BTreeSet::new();
        for alias in aliases {
            if !super::is_alias(&alias) {
                self.fault(key, format!("{alias:?} is not an alias; use A-Z a-z 0-9 _ -"));
            } else if !distinct.insert(alias) {
                self.fault(key, "names an alias twice");
            }
        }
        distinct.into_iter().collect()
    }
}
