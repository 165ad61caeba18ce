//! The modules under guard: each failure and each time is told to the guard before the batch is committed, records that
//! run out of time again and again come to an end, and a candidate may look on.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use transform_host::{ChainError, FaultKind, Passed, Record, Verdict};

use super::divert::Reason;
use super::judge::{Judge, Unjudged};
use super::tap::{Judged, Tap};
use super::worker::REJECTED;
use crate::kafka::Input;
use crate::lookup::Taken;
use crate::pipeline::guard::{Action, Failed, Guard, Word};

/// A judge under guard. One per slot.
pub struct Guarded {
    judge: Box<dyn Judge>,
    guard: Arc<Guard>,
    tap: Arc<Tap>,
    /// Batches in a row that could not be judged.
    held: u32,
    /// So many records are judged at a time, since more of them ran out of time again and again.
    share: Option<usize>,
    took: Duration,
}

impl Guarded {
    /// Puts a judge under guard.
    #[must_use]
    pub fn new(judge: Box<dyn Judge>, guard: Arc<Guard>, tap: Arc<Tap>) -> Self {
        Self { judge, guard, tap, held: 0, share: None, took: Duration::ZERO }
    }

    fn ask(&mut self, records: &[Record]) -> Result<Vec<Verdict>, Unjudged> {
        let started = Instant::now();
        let verdicts = self.judge.judge(records)?;
        self.took = started.elapsed();
        self.guard.timed(self.took, verdicts.len())?;
        Ok(verdicts)
    }

    /// What was judged in time is a reason to judge more at a time.
    fn went_well(&mut self, all: usize, verdicts: &[Verdict]) {
        if verdicts.iter().any(ran_out_of_time) {
            return;
        }
        self.held = 0;
        self.share = self.share.map(|share| share.saturating_mul(2)).filter(|share| *share < all);
    }
}

impl Judge for Guarded {
    fn begin(&mut self) {
        self.judge.begin();
    }

    fn judge(&mut self, records: &[Record]) -> Result<Vec<Verdict>, Unjudged> {
        self.guard.check()?;
        let share = self.share.unwrap_or(records.len()).clamp(1, records.len().max(1));
        let error = match self.ask(records.get(..share).unwrap_or(records)) {
            Ok(verdicts) => {
                self.went_well(records.len(), &verdicts);
                return Ok(verdicts);
            }
            Err(Unjudged::Chain(error)) => error,
            Err(other) => return Err(other),
        };
        self.held = self.held.saturating_add(1);
        self.guard.held(&error, self.held)?;
        let slow = matches!(error, ChainError::Breaker { .. });
        // Alone, on a fresh instance, a record runs out of time without tripping the chain's breaker: it gets its verdict.
        if slow && share > 1 && (self.share.is_some() || self.held > self.guard.retries()) {
            self.share = Some(1);
            self.judge.begin();
            return self.ask(records.get(..1).unwrap_or(records));
        }
        Err(error.into())
    }

    fn header(&self) -> &str {
        self.judge.header()
    }

    fn header_of(&self, passed: Passed) -> Cow<'_, str> {
        self.judge.header_of(passed)
    }

    fn lookups(&self) -> String {
        self.judge.lookups()
    }

    fn tables(&self) -> Taken {
        self.judge.tables()
    }

    fn memory_bytes(&self) -> usize {
        self.judge.memory_bytes()
    }

    fn judged(&mut self, inputs: &mut dyn Iterator<Item = &Input>, records: &[Record], verdicts: &[Verdict]) {
        let judged =
            Judged { took: self.took, memory_bytes: self.judge.memory_bytes(), tables: &|| self.judge.tables() };
        self.tap.offer(inputs, records, verdicts, &judged);
    }

    fn blame(&mut self, (at, input): (usize, &Input), reason: &Reason, stops: bool) -> Result<(), Unjudged> {
        let failed = if reason.class == REJECTED { Failed::Reject } else { Failed::Error };
        let module = reason.module.as_ref().map(|module| module.label.as_str()).unwrap_or_default();
        // The module's own words may hold a value of the record, so they do not travel further than the dead letter.
        self.guard.failed((at, input.address()), failed, &format!("{} in {module}", reason.class), stops)?;
        Ok(())
    }

    fn committed(&mut self, done: usize) {
        self.guard.committed(done);
    }
}

fn ran_out_of_time(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Reject(rejection) if rejection.kind == FaultKind::Deadline)
}

impl From<Word> for Unjudged {
    fn from(word: Word) -> Self {
        match word.action {
            Action::RollBack => Self::Withdrawn(format!("this version goes back: {}", word.because)),
            Action::Park => Self::Withdrawn(format!("the pipeline is parked: {}", word.because)),
            Action::Stop => Self::Stopped(word.because),
        }
    }
}

#[cfg(test)]
mod tests;
