//! The seam between the loop and what is done with records: the loop knows transactions, the work knows records.
//! It earns its keep in the tests of the loop, which need neither a registry nor a sandbox.

use std::time::Duration;

use crate::kafka::{Input, Outgoing};

/// What is done with a batch. One per slot; never shared. It is made on another thread, so that a change is short.
pub trait Work: Send {
    /// Appends what the batch becomes to `out`: for each record an output, a dead letter or a marker. It may stop
    /// before the end (after one record at least); what it did is then committed, and it is given the rest.
    ///
    /// # Errors
    /// When nothing can be said about the batch now; nothing of it is written then.
    fn apply(&mut self, batch: &[Input], out: &mut Vec<Outgoing>) -> Result<Tally, Hold>;

    /// A batch that is not full waits until so long after the last transaction began.
    fn commit_interval(&self) -> Duration {
        Duration::ZERO
    }

    /// So many records are committed, of those that were worked on last.
    fn committed(&mut self, _done: usize) {}

    /// Makes a dead letter of a record, because the broker refuses for good what became of it; `reason` has its words.
    ///
    /// # Errors
    /// When there are no dead letters.
    fn divert(&mut self, input: &Input, reason: &str, out: &mut Vec<Outgoing>) -> Result<Tally, Hold>;
}

/// Work that was made before slots need it.
pub type Works = Vec<Box<dyn Work>>;

/// Makes the work of a slot; it is called again for each slot and each change of the pipeline.
pub trait Factory: Send + Sync {
    /// The work of one slot.
    ///
    /// # Errors
    /// When the pipeline cannot run.
    fn make(&self) -> Result<Box<dyn Work>, NoWork>;
}

/// Why a pipeline cannot run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoWork {
    /// It may when it is tried again: a module did not start in its time on a busy machine, say.
    #[error("{0}")]
    Again(String),
    /// Another version of the pipeline can, or a human.
    #[error("{0}")]
    Never(String),
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records of the batch that are done, from its start.
    pub done: usize,
    /// Records to the output topic.
    pub out: u64,
    /// Dead letters.
    pub dead: u64,
    /// Records that a module dropped on purpose.
    pub dropped: u64,
}

/// Why a batch is held back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Hold {
    /// It can be tried again in a moment; until then nothing flows and nothing is diverted.
    #[error("{reason}")]
    Wait {
        /// Why.
        reason: String,
        /// How long it rests.
        pause: Duration,
    },
    /// Only a human can decide; the slot fails.
    #[error("{0}")]
    Fail(String),
}

/// How long a held batch rests, unless there is a reason for longer.
const PAUSE: Duration = Duration::from_millis(500);

impl Hold {
    /// Tried again in a moment.
    #[must_use]
    pub fn wait(reason: impl Into<String>) -> Self {
        Self::Wait { reason: reason.into(), pause: PAUSE }
    }
}
