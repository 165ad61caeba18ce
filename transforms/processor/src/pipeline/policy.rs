//! What a pipeline's config says of a version that does not do well: how long a new one is watched and what it may cost
//! until then, and what the breaker does with one that fails later.

use std::time::Duration;

/// What a version may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// A new version is watched for so many records; 0: not at all.
    pub watch: u64,
    /// Of the watched records so many may fail in a module: trap, run out of time or memory, come out wrong.
    pub watch_errors: u64,
    /// Of the watched records so many may be rejected on purpose.
    pub watch_rejects: u64,
    /// The median of what a watched record takes in the modules.
    pub watch_time: Duration,
    /// What the breaker does.
    pub breaker: Breaker,
    /// It trips when so many records have failed in a module,
    pub breaker_errors: u64,
    /// of the last so many.
    pub breaker_window: u64,
    /// After so many tries of a batch whose records run out of time, they are judged one by one.
    pub retries: u32,
}

/// What the breaker does when it trips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breaker {
    /// The version that ran before comes back; where none did, as `park`.
    Rollback,
    /// The pipeline stays in the group and takes nothing, in all processes.
    Park,
    /// The slot fails, as a task of Connect does.
    Stop,
}

impl Breaker {
    /// As a config says it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "rollback" => Some(Self::Rollback),
            "park" => Some(Self::Park),
            "stop" => Some(Self::Stop),
            _ => None,
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            watch: 1_000,
            watch_errors: 10,
            watch_rejects: 500,
            // The shipped modules take about a microsecond, and a guest gets a millisecond a record at most.
            watch_time: Duration::from_millis(1),
            breaker: Breaker::Park,
            breaker_errors: 100,
            breaker_window: 1_000,
            retries: 3,
        }
    }
}
