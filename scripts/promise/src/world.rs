//! All that was found at the end of a run, in memory: what was promised, what was expected, what lies where.
//!
//! Filled by the readers in [`crate::read`] or by a test by hand, judged by [`crate::check`].

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use schemas::names::headers;

use crate::ledger::{Entry, Outcome};
use crate::oracle::Verdict;
use crate::row::{Row, Version};

/// A store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Store {
    /// Table `order_placed`.
    Postgres,
    /// Index `order_placed`.
    Elasticsearch,
}

impl Store {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Postgres, Self::Elasticsearch];
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "postgres",
            Self::Elasticsearch => "elasticsearch",
        })
    }
}

/// A record's headers, in order.
pub type Headers = Vec<(String, Option<Vec<u8>>)>;

/// The last header of this name, as text.
fn last(headers: &Headers, name: &str) -> Option<String> {
    let (_, value) = headers.iter().rev().find(|(header, _)| header == name)?;
    Some(String::from_utf8_lossy(value.as_deref()?).into_owned())
}

/// A record of `orders.received`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Where it lies.
    pub at: Version,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its bytes.
    pub value: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Headers,
    /// What it says, or why that cannot be read.
    pub row: Result<Row, String>,
}

impl Received {
    /// The id of the request that made it, as its header says.
    #[must_use]
    pub fn request_id(&self) -> Option<String> {
        last(&self.headers, headers::REQUEST_ID)
    }

    /// The id of the schema that it was written with, as its frame says.
    #[must_use]
    pub fn schema_id(&self) -> Option<u32> {
        let id = self.value.as_deref()?.get(1..5)?;
        Some(u32::from_be_bytes(id.try_into().ok()?))
    }
}

/// A record of `order_placed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Where it lies.
    pub at: Version,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its bytes.
    pub value: Option<Vec<u8>>,
    /// What it says, or why that cannot be read.
    pub row: Result<Row, String>,
    /// Its headers; the last one names the modules.
    pub headers: Headers,
}

impl Placed {
    /// The modules that its header names.
    #[must_use]
    pub fn modules(&self) -> Option<String> {
        last(&self.headers, headers::MODULES)
    }
}

/// Where a dead letter comes from; its identity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The topic.
    pub topic: String,
    /// Partition and offset there.
    pub at: Version,
}

/// A dead letter, or the marker of a dropped record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Where it lies.
    pub at: Version,
    /// Where it comes from; none when its headers do not say.
    pub origin: Option<Origin>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its bytes.
    pub value: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Headers,
    /// Why it lies there.
    pub reason: String,
}

/// A row of the table or a document of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// What the store itself names it by: the primary key, the document's `_id`.
    pub key: String,
    /// Its fields.
    pub row: Row,
}

/// What should become of a record that a test wrote straight into `orders.received`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// A dead letter whose reason has this in it, whatever the case of its letters.
    DeadLetter(String),
    /// Stored, with at least these fields.
    Stored(Row),
}

/// A time in which the clock of an edge was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongClock {
    /// From when, by the true time, in milliseconds since 1970.
    pub from_ms: i64,
    /// Until when.
    pub until_ms: i64,
    /// By how much it was ahead.
    pub ahead_ms: i64,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// The ledger.
    pub posts: Vec<Entry>,
    /// The oracle's judgement of each entry, by its place in the stream.
    pub verdicts: HashMap<u64, Verdict>,
    /// Records that a test wrote past the edge.
    pub planted: BTreeMap<Version, Fate>,
    /// What a store is to refuse, by its place in `order_placed`, with words of the reason, whatever the case of their
    /// letters. Only a test knows of such.
    pub refused: BTreeMap<Store, BTreeMap<Version, String>>,
    /// When a test set an edge's clock wrong.
    pub clocks: Vec<WrongClock>,
    /// How many partitions `orders.received` has; 0 where nobody asked.
    pub partitions: i32,
    /// `orders.received`.
    pub received: Vec<Received>,
    /// `order_placed`, committed records only.
    pub placed: Vec<Placed>,
    /// The modules that run, as every header must name them: `name@version+sha256:…`, comma-joined, in order.
    pub modules: String,
    /// The versions in `order_placed` including what was aborted.
    pub uncommitted: HashSet<Version>,
    /// `orders.dead-letter`.
    pub dead: Vec<Letter>,
    /// `orders.dropped`.
    pub dropped: Vec<Letter>,
    /// The sinks' dead letters.
    pub sink_dead: BTreeMap<Store, Vec<Letter>>,
    /// Both stores in full.
    pub stores: BTreeMap<Store, Vec<Stored>>,
    /// The committed offsets of the transforms, by input partition.
    pub committed: BTreeMap<i32, i64>,
}

impl World {
    /// What was found, in figures.
    #[must_use]
    pub fn summary(&self) -> String {
        let outcomes = |outcome| self.posts.iter().filter(|post| post.answer.outcome == outcome).count();
        let stored = |store| self.stores.get(&store).map_or(0, Vec::len);
        let dead = |store| self.sink_dead.get(&store).map_or(0, Vec::len);
        format!(
            "posted {} (202: {}, refused or not sent: {}, unknown: {}), planted {}\n\
             orders.received {}, order_placed {} (with aborted ones {} versions), dead letters {}, dropped {}\n\
             postgres {} rows, {} dead letters; elasticsearch {} documents, {} dead letters",
            self.posts.len(),
            outcomes(Outcome::Ok),
            outcomes(Outcome::Fail),
            outcomes(Outcome::Info),
            self.planted.len(),
            self.received.len(),
            self.placed.len(),
            self.uncommitted.len(),
            self.dead.len(),
            self.dropped.len(),
            stored(Store::Postgres),
            dead(Store::Postgres),
            stored(Store::Elasticsearch),
            dead(Store::Elasticsearch),
        )
    }
}
