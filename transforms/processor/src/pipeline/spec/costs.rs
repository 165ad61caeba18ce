//! The part of a config that says what a version may cost: how it is watched, and when the breaker trips.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::Reader;
use crate::names::key;
use crate::pipeline::policy::{Breaker, Policy};

/// Records that a version is watched for, or that the breaker looks back on.
const MAX_RECORDS: u64 = 100_000;
/// Ten seconds: far above what a guest may take for a record.
const MAX_MICROS: u64 = 10_000_000;
/// Tries of a batch.
const MAX_RETRIES: u64 = 1_000;

impl Reader<'_> {
    /// `swap.…` and `breaker.…`.
    pub(super) fn policy(&mut self) -> Policy {
        let default = Policy::default();
        let watch = self.number(key::WATCH, 0..=MAX_RECORDS, default.watch);
        let rejects = if watch == default.watch { default.watch_rejects } else { watch / 2 };
        let micros = u64::try_from(default.watch_time.as_micros()).unwrap_or(u64::MAX);
        let breaker = match self.get(key::BREAKER).map(|text| (text, Breaker::parse(text))) {
            None => default.breaker,
            Some((_, Some(breaker))) => breaker,
            Some((other, None)) => {
                self.fault(key::BREAKER, format!("{other:?} is none of rollback, park and stop"));
                default.breaker
            }
        };
        let window = self.number(key::BREAKER_WINDOW, 1..=MAX_RECORDS, default.breaker_window);
        let errors = self.number(key::BREAKER_ERRORS, 1..=MAX_RECORDS, default.breaker_errors.min(window));
        if errors > window {
            self.fault(key::BREAKER_ERRORS, format!("{errors} of the last {window} records can never fail"));
        }
        Policy {
            watch,
            watch_errors: self.number(key::WATCH_ERRORS, 0..=MAX_RECORDS, default.watch_errors),
            watch_rejects: self.number(key::WATCH_REJECTS, 0..=MAX_RECORDS, rejects),
            watch_time: Duration::from_micros(self.number(key::WATCH_TIME, 1..=MAX_MICROS, micros)),
            breaker,
            breaker_errors: errors,
            breaker_window: window,
            retries: u32::try_from(self.number(key::BREAKER_RETRIES, 0..=MAX_RETRIES, default.retries.into()))
                .unwrap_or(0),
        }
    }

    pub(super) fn number(&mut self, key: &str, range: RangeInclusive<u64>, default: u64) -> u64 {
        match self.get(key).map(str::parse) {
            None => default,
            Some(Ok(number)) if range.contains(&number) => number,
            Some(_) => {
                self.fault(key, format!("is not a number from {} to {}", range.start(), range.end()));
                default
            }
        }
    }
}
