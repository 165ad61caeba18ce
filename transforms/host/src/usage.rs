//! What modules cost and decide, counted where they are called.

use std::time::Duration;

use crate::{FaultKind, stage::Outcome};

/// Calls whose times are kept until somebody takes them.
const KEPT_CALLS: usize = 1_000;

/// What one module did since it was last asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Its label.
    pub module: String,
    /// How long each call took, those that failed too; bounded.
    pub calls: Vec<Duration>,
    /// Records that it judged.
    pub records: u64,
    /// Records that it dropped.
    pub dropped: u64,
    /// Records that it rejected or that it failed on, by what happened.
    pub rejected: Vec<(FaultKind, u64)>,
    /// The most memory that one of its instances had, in bytes.
    pub memory_bytes: usize,
}

impl Usage {
    pub(crate) fn called(&mut self, time: Duration, memory_bytes: usize) {
        if self.calls.len() < KEPT_CALLS {
            self.calls.push(time);
        }
        self.memory_bytes = self.memory_bytes.max(memory_bytes);
    }

    pub(crate) fn judged(&mut self, outcomes: &[Outcome]) {
        self.records += outcomes.len() as u64;
        for outcome in outcomes {
            match outcome {
                Outcome::Drop => self.dropped += 1,
                Outcome::Reject(rejection) => {
                    match self.rejected.iter_mut().find(|(kind, _)| *kind == rejection.kind) {
                        Some((_, count)) => *count += 1,
                        None => self.rejected.push((rejection.kind, 1)),
                    }
                }
                Outcome::Pass | Outcome::Replace(_) | Outcome::Emit(_) => {}
            }
        }
    }
}
