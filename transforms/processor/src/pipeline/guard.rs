//! Judges a version of a pipeline by what its modules do: a new one is watched for some records, and later a breaker
//! counts. All slots of a process that run the version share its guard. It decides on a batch before that is committed,
//! so what breaks the budget is not written; a record that is judged again, since its transaction was aborted, counts
//! once. What follows from its word is done elsewhere ([`super::swap`]).

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use transform_host::ChainError;

use super::policy::{Breaker, Policy};
use crate::kafka::Address;

/// The time of a version is not judged by fewer records than this,
const TIMED_RECORDS: u64 = 100;
/// nor by smaller batches: what a call costs would count for more than what the records do. A version that is too slow for
/// what comes in gets larger ones soon.
const TIMED_BATCH: usize = 20;
/// Samples of time that are kept.
const SAMPLES: usize = 1_000;
/// A new version whose modules cannot be started again so often in a row goes.
const STARTS: u32 = 3;

/// The guard of one version.
pub struct Guard {
    policy: Policy,
    /// Whether there is a version to go back to: without one a new version is counted, and nothing follows.
    can_go_back: bool,
    nudge: Arc<Notify>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Records that are committed while it is watched.
    watched: u64,
    errors: u64,
    rejects: u64,
    samples: VecDeque<Duration>,
    timed: u64,
    passed: bool,
    /// Those of them that failed.
    counted: HashSet<Address>,
    /// Records that are committed.
    seen: u64,
    /// The last failed ones, with where they stood among all.
    failed: VecDeque<(u64, Address)>,
    word: Option<Word>,
}

/// What the guard says of a version that must not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// What is to be done.
    pub action: Action,
    /// Why.
    pub because: String,
}

/// What is to be done with a version that must not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Go back to the one before.
    RollBack,
    /// Hold the flow.
    Park,
    /// Fail the slots.
    Stop,
}

/// How a failed record failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// A module rejected it on purpose.
    Reject,
    /// A module broke on it.
    Error,
}

/// How far the watch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Records so far.
    pub watched: u64,
    /// Records in all.
    pub of: u64,
    /// Whether the version passed.
    pub passed: bool,
}

impl Guard {
    /// A guard of a version. One that `passed` before is not watched again.
    #[must_use]
    pub fn new(policy: Policy, passed: bool, can_go_back: bool, nudge: Arc<Notify>) -> Self {
        let passed = passed || policy.watch == 0;
        Self { policy, can_go_back, nudge, inner: Mutex::new(Inner { passed, ..Inner::default() }) }
    }

    /// After how many tries records that run out of time are judged one by one.
    #[must_use]
    pub fn retries(&self) -> u32 {
        self.policy.retries
    }

    /// Whether the version may go on.
    ///
    /// # Errors
    /// What it is held by.
    pub fn check(&self) -> Result<(), Word> {
        self.lock().word.clone().map_or(Ok(()), Err)
    }

    /// What was decided, once something was.
    #[must_use]
    pub fn word(&self) -> Option<Word> {
        self.lock().word.clone()
    }

    /// How far the watch is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let inner = self.lock();
        Progress { watched: inner.watched, of: self.policy.watch, passed: inner.passed }
    }

    /// So many records took so long in the modules.
    ///
    /// # Errors
    /// When the version takes too long.
    pub fn timed(&self, took: Duration, records: usize) -> Result<(), Word> {
        let mut inner = self.lock();
        if inner.passed || records < TIMED_BATCH {
            return Ok(());
        }
        inner.timed += records as u64;
        if inner.samples.len() >= SAMPLES {
            inner.samples.pop_front();
        }
        inner.samples.push_back(took / u32::try_from(records).unwrap_or(u32::MAX));
        if !self.can_go_back || inner.timed < TIMED_RECORDS {
            return Ok(());
        }
        // The median: a batch in which the machine was busy with something else does not count for more than one.
        let median = median(&inner.samples);
        let limit = self.policy.watch_time;
        if median <= limit {
            return Ok(());
        }
        let because = format!("it takes {median:?} a record, swap.max.time.per.record.us allows {limit:?}");
        Err(self.decide(&mut inner, Action::RollBack, because))
    }

    /// The record at this place of the batch in hand failed in a module. `stops`: it may become no dead letter.
    ///
    /// # Errors
    /// When it is one too many.
    pub fn failed(
        &self,
        (at, address): (usize, Address),
        failed: Failed,
        reason: &str,
        stops: bool,
    ) -> Result<(), Word> {
        let mut inner = self.lock();
        let watched = !inner.passed && inner.watched + (at as u64) < self.policy.watch;
        if watched && self.can_go_back && (inner.counted.insert(address.clone()) || stops) {
            let (count, limit, key) = match failed {
                Failed::Error => {
                    inner.errors += 1;
                    (inner.errors, self.policy.watch_errors, "swap.max.errors")
                }
                Failed::Reject => {
                    inner.rejects += 1;
                    (inner.rejects, self.policy.watch_rejects, "swap.max.rejects")
                }
            };
            if count > limit || stops {
                let of = inner.watched + at as u64 + 1;
                let what = if failed == Failed::Error { "failed in it" } else { "were rejected by it" };
                let because =
                    format!("{count} of its first {of} records {what}, {key} allows {limit}; the last: {reason}");
                return Err(self.decide(&mut inner, Action::RollBack, because));
            }
        }
        match failed {
            Failed::Error => self.breaker(&mut inner, (at, address), reason),
            Failed::Reject => Ok(()),
        }
    }

    fn breaker(&self, inner: &mut Inner, (at, address): (usize, Address), reason: &str) -> Result<(), Word> {
        if inner.failed.iter().any(|(_, known)| *known == address) {
            return Ok(());
        }
        let here = inner.seen + at as u64;
        inner.failed.push_back((here, address));
        let window = self.policy.breaker_window;
        while inner.failed.front().is_some_and(|(first, _)| first + window <= here) {
            inner.failed.pop_front();
        }
        let count = inner.failed.len() as u64;
        if count < self.policy.breaker_errors {
            return Ok(());
        }
        let action = match self.policy.breaker {
            Breaker::Rollback if self.can_go_back => Action::RollBack,
            Breaker::Rollback | Breaker::Park => Action::Park,
            Breaker::Stop => Action::Stop,
        };
        let because = format!(
            "the breaker tripped: {count} of the last {window} records failed in a module, breaker.max.errors allows \
             {}; the last: {reason}",
            self.policy.breaker_errors - 1
        );
        Err(self.decide(inner, action, because))
    }

    /// The chain could not judge, so many times in a row.
    ///
    /// # Errors
    /// When a new version is at its end by that.
    pub fn held(&self, error: &ChainError, times: u32) -> Result<(), Word> {
        let mut inner = self.lock();
        let enough = match error {
            ChainError::Breaker { .. } => true,
            ChainError::Start { .. } => times >= STARTS,
            // The version before could not look up either, or reads other tables; a human must see to this one.
            ChainError::Lookup(_) => false,
        };
        if inner.passed || !self.can_go_back || !enough {
            return Ok(());
        }
        Err(self.decide(&mut inner, Action::RollBack, error.to_string()))
    }

    /// So many records of the batch in hand are committed.
    pub fn committed(&self, done: usize) {
        let mut inner = self.lock();
        inner.seen += done as u64;
        if inner.passed {
            return;
        }
        inner.watched += done as u64;
        if inner.watched >= self.policy.watch {
            inner.passed = true;
            inner.samples.clear();
            inner.counted.clear();
            self.nudge.notify_one();
        }
    }

    /// The first word stands.
    fn decide(&self, inner: &mut Inner, action: Action, because: String) -> Word {
        let word = inner.word.get_or_insert(Word { action, because }).clone();
        self.nudge.notify_one();
        word
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn median(samples: &VecDeque<Duration>) -> Duration {
    let mut sorted: Vec<Duration> = samples.iter().copied().collect();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
