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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Passed, Rejection};

    #[test]
    fn what_a_module_decides_is_counted_by_what_happened() {
        let reject = |kind| {
            let (alias, module, reason) = ("m".to_owned(), "m@1.0.0".to_owned(), String::new());
            Outcome::Reject(Rejection { alias, module, kind, reason, passed: Passed::default() })
        };
        let mut usage = Usage::default();
        usage.judged(&[Outcome::Drop, reject(FaultKind::Trap), Outcome::Replace(Vec::new())]);
        usage.judged(&[reject(FaultKind::Rejected), reject(FaultKind::Trap), Outcome::Drop, Outcome::Drop]);
        let rejected = vec![(FaultKind::Trap, 2), (FaultKind::Rejected, 1)];
        assert_eq!((usage.records, usage.dropped, usage.rejected), (7, 3, rejected));
    }

    #[test]
    fn the_times_that_are_kept_are_bounded_and_of_the_memory_the_most_is() {
        let mut usage = Usage::default();
        for call in 0..2 * KEPT_CALLS {
            usage.called(Duration::from_micros(1), if call == 3 { 9 } else { 7 });
        }
        assert_eq!((usage.calls.len(), usage.memory_bytes), (KEPT_CALLS, 9));
    }
}
