//! Latencies in buckets that are at most 0.8 % wide, so that a run of any length takes the same memory.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Each doubling is cut into so many buckets.
const PARTS: u64 = 128;
/// Up to 2^36 microseconds, 19 hours; what takes longer counts as that.
const BUCKETS: usize = 128 * 30;

/// Microseconds, counted. Written from many tasks at once.
#[derive(Debug)]
pub struct Histogram(Vec<AtomicU64>);

impl Default for Histogram {
    fn default() -> Self {
        Self((0..BUCKETS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Histogram {
    /// Counts one latency.
    pub fn add(&self, latency: Duration) {
        let at = bucket(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX)).min(BUCKETS - 1);
        if let Some(bucket) = self.0.get(at) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    /// The latency that this share of all do not exceed, rounded up to the end of its bucket; `None` without any.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let count = self.count();
        let rank = ((count as f64 * share).ceil() as u64).clamp(1, count.max(1));
        let mut passed = 0;
        let found = self.0.iter().position(|bucket| {
            passed += bucket.load(Ordering::Relaxed);
            rank <= passed
        })?;
        Some(Duration::from_micros(last_of(found as u64)))
    }
}

/// The bucket of a value: exact below 128, then 128 for each doubling.
fn bucket(value: u64) -> usize {
    let doublings = u64::from((value | 1).ilog2()).saturating_sub(7);
    let part = value >> doublings;
    usize::try_from(doublings * PARTS + part).unwrap_or(usize::MAX)
}

/// The highest value in a bucket.
fn last_of(bucket: u64) -> u64 {
    let doublings = (bucket / PARTS).saturating_sub(1);
    let part = bucket - doublings * PARTS;
    ((part + 1) << doublings) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_its_values_and_is_narrow() {
        let mut before = None;
        for value in (0..1000).chain((1000..70_000_000).step_by(9973)) {
            let at = bucket(value);
            let last = last_of(at as u64);
            assert!(value <= last && (last - value) as f64 <= value as f64 * 0.008, "{value}: to {last}");
            assert_eq!(bucket(last), at, "{value}");
            assert!(before <= Some(at), "{value}: buckets are in order");
            before = Some(at);
        }
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_values() {
        let histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        for micros in 1..=100 {
            histogram.add(Duration::from_micros(micros));
        }
        for (share, expected) in [(0.0, 1), (0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100)] {
            assert_eq!(histogram.quantile(share), Some(Duration::from_micros(expected)), "{share}");
        }
        histogram.add(Duration::MAX);
        assert_eq!(histogram.count(), 101, "nothing is too long to be counted");
    }
}
