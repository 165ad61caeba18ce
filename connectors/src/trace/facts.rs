//! What is known of one order, wherever it was seen.

use std::collections::BTreeMap;

use schemas::names::topics;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::connect::{Settings, ends};
use crate::dead_letters::letter::Said;
use crate::dead_letters::marks::Mark;
use crate::kafka::record::Address;

/// The version of an order: where it was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Version {
    /// The partition of `orders.received`, which the key fixes.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

impl Version {
    /// Whether the same order was received later than `other`.
    #[must_use]
    pub fn is_newer(self, other: Self) -> bool {
        self.partition == other.partition && other.offset < self.offset
    }
}

impl From<(i32, i64)> for Version {
    fn from((partition, offset): (i32, i64)) -> Self {
        Self { partition, offset }
    }
}

/// A record of `orders.received`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Post {
    /// Where it lies.
    pub at: Address,
    /// Its version; its own place, unless it was sent again.
    pub version: Version,
    /// When it was received.
    pub time: Option<String>,
    /// The request that it came with.
    pub request_id: Option<String>,
    /// How often it was sent again from the dead letters; 0 for a POST.
    pub replays: u32,
}

/// A record that a sink reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// Where it lies.
    pub at: Address,
    /// The version that it carries.
    pub version: Option<Version>,
    /// The modules that made it, in order, each with its digest.
    pub modules: Vec<String>,
    /// What all of them together changed.
    pub changes: Vec<Changed>,
    /// What each of them changed, in order; empty where that is not known.
    pub steps: Vec<Step>,
    /// Why it cannot be shown.
    pub unreadable: Option<String>,
}

/// A module's part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// `name@version+sha256:<first 12 digits>`.
    pub module: String,
    /// What it changed of what the module before left.
    pub changes: Vec<Changed>,
}

/// One field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The field.
    pub field: String,
    /// As received; nothing where the field came new.
    pub before: Option<String>,
    /// As stored.
    pub after: Option<String>,
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Parked {
    /// Where it lies.
    pub at: Address,
    /// Where its record came from.
    pub of: Address,
    /// Why.
    pub said: Said,
    /// What was done with it.
    pub mark: Option<Mark>,
}

/// A marker of an order that a module dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// Where the marker lies.
    pub at: Address,
    /// Where its record came from.
    pub of: Address,
    /// The module.
    pub module: String,
}

/// A record in another output of the pipeline than the one that the sinks read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Output {
    /// Where it lies.
    pub at: Address,
    /// The version that it carries; nothing where its schema has no place for one.
    pub version: Option<Version>,
    /// The request that it came with.
    pub request_id: Option<String>,
}

/// The topics where an order may end before any sink reads it: the house's, and those that the pipeline's settings name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ends {
    /// Dead letters of the transforms.
    pub letters: Vec<String>,
    /// Markers of what a module dropped.
    pub dropped: Vec<String>,
    /// Other outputs.
    pub outputs: Vec<String>,
    /// There may be more: the settings were not heard, or a topic may not be read.
    pub unheard: bool,
}

impl Default for Ends {
    fn default() -> Self {
        let (letters, dropped) = (topics::ORDERS_DEAD_LETTER.to_owned(), topics::ORDERS_DROPPED.to_owned());
        Self { letters: vec![letters], dropped: vec![dropped], outputs: Vec::new(), unheard: false }
    }
}

impl Ends {
    /// Of a pipeline with these settings. It may have had the house's topics before.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let mut all = Self { outputs: ends::outputs(settings), ..Self::default() };
        let own = [(&mut all.letters, ends::letters(settings)), (&mut all.dropped, ends::dropped(settings))];
        for (known, own) in own {
            known.extend(own.filter(|topic| !known.contains(topic)));
        }
        all
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &String> {
        self.letters.iter().chain(&self.dropped).chain(&self.outputs)
    }
}

/// Who reads a topic: the pipeline or a sink.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reader {
    /// Its name.
    pub name: String,
    /// `RUNNING`, or what Connect or `transforms` says; `unknown` where they were not heard.
    pub state: String,
    /// The next offset that it reads of the order's partition, by topic.
    pub committed: BTreeMap<String, i64>,
    /// Its tasks that failed.
    pub failed_tasks: Vec<i32>,
    /// Why.
    pub failure: Option<String>,
    /// For how long.
    pub since_seconds: Option<u64>,
    /// What the supervisor does about it, and when it tries next.
    pub healing: Option<String>,
}

impl Reader {
    /// Whether it has yet to read what lies there.
    #[must_use]
    pub fn is_before(&self, at: &Address) -> bool {
        self.committed.get(&at.topic).copied().unwrap_or(0) <= at.offset
    }
}

/// What a store holds of the order.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Held {
    /// A row or document, with its version where it says one.
    Row(Option<Version>, Value),
    /// Nothing.
    Nothing,
    /// It could not be asked.
    Unknown(String),
}

/// One sink with its store.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Store {
    /// The sink.
    pub sink: Reader,
    /// Such as `PostgreSQL table order_placed`.
    pub place: String,
    /// Where the sink's dead letters lie, if it has any.
    pub letters: Option<String>,
    /// What it holds.
    pub held: Held,
}

/// Everything but the stores.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// The order's id.
    pub order_id: String,
    /// Where it was received, the oldest first.
    pub posts: Vec<Post>,
    /// What became of it, `order_placed` before what was sent again.
    pub deliveries: Vec<Delivery>,
    /// Dead letters of it.
    pub letters: Vec<Parked>,
    /// Markers of it.
    pub drops: Vec<Dropped>,
    /// What of it is in other outputs of the pipeline.
    pub outputs: Vec<Output>,
    /// Where these three were looked for.
    pub ends: Ends,
    /// The pipeline.
    pub pipeline: Reader,
    /// The version that was asked for; else the newest is meant.
    pub asked: Option<Version>,
    /// Topics that were not searched to their beginning, and how far they were.
    pub unsearched: BTreeMap<String, String>,
    /// Who could not be asked, and why.
    pub unreachable: Vec<String>,
}
