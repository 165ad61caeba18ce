//! Orders of a load that were accepted, for whoever looks where they went: a sample, so that looking is cheap.

use std::{
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

/// The fraction of the golden ratio in 64 bits: its multiples are spread evenly and in step with no clock.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// Their numbers, and when each was due.
#[derive(Debug)]
pub struct Noted {
    one_in: u64,
    orders: Mutex<Vec<(u64, Instant)>>,
    ended: AtomicBool,
}

impl Noted {
    /// Of so many orders one.
    #[must_use]
    pub fn one_in(one_in: u64) -> Self {
        Self { one_in: one_in.max(1), orders: Mutex::default(), ended: AtomicBool::new(false) }
    }

    /// Notes those that belong to the sample.
    pub(super) fn add(&self, numbers: Range<u64>, due: Instant) {
        let chosen = numbers.filter(|number| self.is_chosen(*number)).map(|number| (number, due));
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).extend(chosen);
    }

    /// Those after the first `known`, in the order in which they were accepted.
    #[must_use]
    pub fn after(&self, known: usize) -> Vec<(u64, Instant)> {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.get(known..).unwrap_or_default().to_vec()
    }

    /// None will come any more.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Whether none will come any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    fn is_chosen(&self, number: u64) -> bool {
        let share = u64::MAX / self.one_in;
        self.one_in == 1 || number.wrapping_mul(SPREAD) < share
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_sample_has_its_share_of_any_stretch_and_no_one_distance() {
        for one_in in [1, 2, 5, 10] {
            let noted = Noted::one_in(one_in);
            for begin in [0, 1_000, 77_777] {
                let chosen: Vec<u64> = (begin..begin + 1_000).filter(|number| noted.is_chosen(*number)).collect();
                assert!(chosen.len().abs_diff(1_000 / one_in as usize) <= 3, "{} of one in {one_in}", chosen.len());
                let distances: BTreeSet<u64> = chosen.windows(2).map(|pair| pair[1] - pair[0]).collect();
                assert!(one_in == 1 || 1 < distances.len(), "{distances:?}");
            }
        }
    }

    #[test]
    fn what_was_noted_is_told_to_each_who_asks_and_once() {
        let (noted, due) = (Noted::one_in(1), Instant::now());
        noted.add(3..5, due);
        assert_eq!(noted.after(0), [(3, due), (4, due)]);
        noted.add(9..10, due);
        assert_eq!((noted.after(2), noted.after(3), noted.after(7)), (vec![(9, due)], vec![], vec![]));
        assert!(!noted.has_ended());
        noted.end();
        assert!(noted.has_ended());
    }
}
