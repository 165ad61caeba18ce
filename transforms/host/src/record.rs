//! Records and what became of them. Plain data; nothing here runs.

use std::sync::Arc;

/// A record on its way through a chain. Equal is what would be written alike: by which modules it went does not count.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The record's key.
    pub key: Option<Vec<u8>>,
    /// One Avro datum of the chain's schema, without a registry prefix.
    pub value: Vec<u8>,
    /// Milliseconds since 1970, UTC.
    pub timestamp_ms: i64,
    /// Name and value of each header.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Its value is null: no module can take it, so it passes only where a predicate excludes it from each.
    pub tombstone: bool,
    /// The topic that it was read from; for predicates.
    pub topic: Option<Arc<str>>,
    /// The output that a module sent it to; `None`: the pipeline's main one.
    pub output: Option<Arc<str>>,
    /// The modules that it went through.
    pub passed: Passed,
}

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        let Self { key, value, timestamp_ms, headers, tombstone, topic, output, passed: _ } = self;
        (key, value, timestamp_ms, headers) == (&other.key, &other.value, &other.timestamp_ms, &other.headers)
            && (tombstone, topic, output) == (&other.tombstone, &other.topic, &other.output)
    }
}

impl Eq for Record {}

/// Which modules of a chain a record went through. A chain has at most [`Passed::MOST`] modules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Passed(u32);

impl Passed {
    /// Modules that a chain may have.
    pub const MOST: usize = 32;

    /// Also the module at this place.
    #[must_use]
    pub fn and(self, place: usize) -> Self {
        let bit = u32::try_from(place).ok().and_then(|place| 1_u32.checked_shl(place)).unwrap_or(0);
        Self(self.0 | bit)
    }

    /// Also these.
    #[must_use]
    pub(crate) fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether the module at this place is among them.
    pub fn has(self, place: usize) -> bool {
        self == self.and(place) && place < Self::MOST
    }

    /// The place of the last one.
    pub fn last(self) -> Option<usize> {
        (0..Self::MOST).rev().find(|place| self.has(*place))
    }
}

/// What became of one input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// These records come out, in order.
    Emit(Vec<Record>),
    /// A module dropped it on purpose.
    Drop {
        /// Label of that module.
        module: String,
    },
    /// It goes to the dead letters.
    Reject(Rejection),
}

/// Why a record was rejected, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The pipeline's own name for the step; one module may be in a chain twice.
    pub alias: String,
    /// Label of the module.
    pub module: String,
    /// What happened.
    pub kind: FaultKind,
    /// In words, bounded by [`crate::Limits::reason_bytes`].
    pub reason: String,
    /// The modules that the record went through, this one with them.
    pub passed: Passed,
}

/// What went wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The module rejected the record, with a reason.
    Rejected,
    /// The module trapped: panic, division by zero, memory out of bounds, stack overflow, …
    Trap,
    /// The module ran out of time.
    Deadline,
    /// The module wanted more memory or table elements than the limit.
    Memory,
    /// What the module returned is not a frame, not a datum of the schema, too large, too many, or under another key.
    Output,
}

impl FaultKind {
    /// Every kind, for metrics and tests.
    pub const ALL: [Self; 5] = [Self::Rejected, Self::Trap, Self::Deadline, Self::Memory, Self::Output];

    /// A stable word: for metrics and headers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Trap => "trap",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::Output => "output",
        }
    }
}

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For the author.
    Debug,
    /// For the curious.
    Info,
    /// For the operator, some time.
    Warn,
    /// For the operator, now. A module's panic text comes as this.
    Error,
}

/// One line that a module logged. What a discarded run logged is discarded with it, except the last words of a run
/// that ended in a fault: those stand in the rejection's reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Label of the module.
    pub module: String,
    /// The line's level.
    pub level: Level,
    /// The text, bounded.
    pub text: String,
}

/// What a module added to one of its counters since the last call of [`crate::Chain::take_metrics`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Label of the module.
    pub module: String,
    /// The counter's name.
    pub name: String,
    /// What was added.
    pub by: u64,
}
