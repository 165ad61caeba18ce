//! What a module made of orders: plain data, and the same as JSON (`--format json`).

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use super::fields::{Change, Field};

/// What a module made of orders.
#[derive(Debug, Serialize)]
pub struct Report {
    /// `name@version+sha256:<first 12 digits>`.
    pub module: String,
    /// What it was told.
    pub parameters: BTreeMap<String, String>,
    /// One for each order, in order.
    pub records: Vec<Judged>,
    /// How many of what.
    pub counts: Counts,
    /// In the sandbox, for one record; `None` when there was none to measure.
    #[serde(rename = "nanoseconds_per_record", serialize_with = "nanoseconds")]
    pub time: Option<Duration>,
    /// What the module logged.
    pub log: Vec<Line>,
    /// What the module counted.
    pub counters: BTreeMap<String, u64>,
}

/// One order.
#[derive(Debug, Serialize)]
pub struct Judged {
    /// Where it comes from.
    pub at: String,
    /// Its key, where that is a text.
    pub key: Option<String>,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What became of an order.
#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// Records came out.
    Emitted {
        /// What is different in each.
        outputs: Vec<Output>,
    },
    /// The module dropped it on purpose.
    Dropped,
    /// The module rejected it.
    Rejected {
        /// In the module's words.
        reason: String,
    },
    /// The module broke on it, or what came out is no output.
    Broken {
        /// `trap`, `deadline`, `memory` or `output`.
        kind: &'static str,
        /// What happened.
        reason: String,
    },
    /// The processor would not show it to a module.
    Unread {
        /// Why not.
        reason: String,
    },
}

/// One record that came out.
#[derive(Debug, Serialize)]
pub struct Output {
    /// What is different.
    #[serde(serialize_with = "as_json")]
    pub changes: Vec<Change>,
}

/// How many of what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Came out with something different.
    pub changed: usize,
    /// Came out as they went in.
    pub unchanged: usize,
    /// Dropped.
    pub dropped: usize,
    /// Rejected.
    pub rejected: usize,
    /// Broken.
    pub broken: usize,
    /// Unread.
    pub unread: usize,
}

/// One line that a module logged.
#[derive(Debug, Serialize)]
pub struct Line {
    /// `debug`, `info`, `warn` or `error`.
    pub level: &'static str,
    /// The text.
    pub text: String,
}

impl Counts {
    /// Counts outcomes.
    pub fn of<'o>(outcomes: impl Iterator<Item = &'o Outcome>) -> Self {
        let mut counts = Self::default();
        for outcome in outcomes {
            let count = match outcome {
                Outcome::Emitted { outputs } if is_same(outputs) => &mut counts.unchanged,
                Outcome::Emitted { .. } => &mut counts.changed,
                Outcome::Dropped => &mut counts.dropped,
                Outcome::Rejected { .. } => &mut counts.rejected,
                Outcome::Broken { .. } => &mut counts.broken,
                Outcome::Unread { .. } => &mut counts.unread,
            };
            *count += 1;
        }
        counts
    }
}

/// Whether what came out is what went in.
#[must_use]
pub fn is_same(outputs: &[Output]) -> bool {
    matches!(outputs, [output] if output.changes.is_empty())
}

fn nanoseconds<S: serde::Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)).serialize(serializer)
}

/// `{"field": …, "before": …, "after": …}` each; a decimal keeps its digits.
fn as_json<S: serde::Serializer>(changes: &[Change], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Shown<'c> {
        field: &'c str,
        before: Option<Box<RawValue>>,
        after: Option<Box<RawValue>>,
    }
    let raw = |field: &Option<Field>| field.as_ref().and_then(|field| RawValue::from_string(field.json.clone()).ok());
    serializer.collect_seq(changes.iter().map(|change| Shown {
        field: &change.path,
        before: raw(&change.before),
        after: raw(&change.after),
    }))
}
