//! Records and what became of them. Plain data; nothing here runs.

/// A record on its way through a chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The record's key.
    pub key: Option<Vec<u8>>,
    /// One Avro datum of the chain's schema, without a registry prefix.
    pub value: Vec<u8>,
    /// Milliseconds since 1970, UTC.
    pub timestamp_ms: i64,
    /// Name and value of each header.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
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
