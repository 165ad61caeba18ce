//! When clients that were refused may come back: each gets a place of its own behind those who were refused before, so
//! that a thousand of them do not come back at once; and who comes back when it was told to finds room.
//!
//! A returning client is known by its order's id, which it sends again (`retry: safe`). Nothing else is asked of it. The
//! ids are kept as keyed hashes, so nobody can make two of them meet. Who comes too early keeps its place, and moves no
//! one else's. Who does not come back costs nothing but the memory, which is bounded; who comes back to another edge is
//! a newcomer there.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The longest that anybody is told to wait. What lies beyond is not promised.
pub(super) const LONGEST: Duration = Duration::from_secs(60);
/// Of what the broker can do this much is promised: the rest is for newcomers, and for what was measured too high.
const PROMISED: f64 = 0.9;
/// A promise holds for so long: the answer is told in whole seconds and rounded up, and clients have jitter of their
/// own.
const HOLDS: Duration = Duration::from_secs(10);
/// A client's clock may be this much ahead of its answer.
const EARLY: Duration = Duration::from_millis(50);
/// Promises at once, some 15 MB. Beyond it clients still get a time, each its own, but no room that is kept for them.
const MOST: usize = 256 * 1024;

/// All promises.
#[derive(Debug, Default)]
pub(super) struct Promises {
    state: Mutex<State>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct State {
    /// Up to when the broker's work is promised.
    until: Option<Instant>,
    /// By the order's id.
    due: HashMap<u64, Instant>,
    /// The same, the earliest first: those whose time has not come, and those that still hold.
    coming: BinaryHeap<Reverse<(Instant, u64)>>,
    come: VecDeque<(Instant, u64)>,
}

impl Promises {
    /// How long the client of this order should wait: at least `earliest`, and until those before it are served, at so
    /// many orders a second.
    #[must_use]
    pub(super) fn promise(&self, now: Instant, order_id: &[u8], earliest: Duration, rate: f64) -> Duration {
        let id = self.hasher.hash_one(order_id);
        let mut state = self.lock();
        state.forget(now);
        if let Some(due) = state.due.get(&id).filter(|due| now < **due) {
            return *due - now;
        }
        let step = Duration::from_secs_f64(1.0 / (rate * PROMISED).clamp(0.1, 1e9));
        let until = state.until.map_or(now, |until| until.min(state.credible(now, earliest, step)).max(now));
        let due = until.max(now + earliest) + step;
        if now + LONGEST < due {
            return LONGEST;
        }
        state.until = Some(due);
        if state.len() < MOST {
            state.coming.push(Reverse((due, id)));
            state.due.insert(id, due);
        }
        due - now
    }

    /// Whether this order was promised room for now.
    #[must_use]
    pub(super) fn is_due(&self, now: Instant, order_id: &[u8]) -> bool {
        let state = self.lock();
        let due = state.due.get(&self.hasher.hash_one(order_id));
        due.is_some_and(|due| *due <= now + EARLY && now <= *due + HOLDS)
    }

    /// The promise was kept.
    pub(super) fn keep(&self, order_id: &[u8]) {
        self.lock().due.remove(&self.hasher.hash_one(order_id));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What was promised while the broker was slow is not in the way for long when it is fast again: those who have not
    /// come yet need no more than this. Twice as much as they need, because what is measured wavers, and who comes then
    /// should not meet those who were told before.
    fn credible(&self, now: Instant, earliest: Duration, step: Duration) -> Instant {
        let count = u32::try_from(self.coming.len()).unwrap_or(u32::MAX);
        // Of more than are kept nobody knows how many are still to come.
        let needed = if self.len() < MOST { step.saturating_mul(count).saturating_mul(2) } else { LONGEST };
        now + earliest + needed.min(LONGEST)
    }

    fn len(&self) -> usize {
        self.coming.len() + self.come.len()
    }

    /// Lets go of what does not hold any more.
    fn forget(&mut self, now: Instant) {
        while let Some(Reverse(come)) = self.coming.peek().copied()
            && come.0 <= now
        {
            self.coming.pop();
            self.come.push_back(come);
        }
        while let Some((due, id)) = self.come.front().copied()
            && due + HOLDS < now
        {
            self.come.pop_front();
            // It may have been given a later one since.
            if self.due.get(&id) == Some(&due) {
                self.due.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gets_a_place_behind_the_last_and_keeps_it() {
        let (promises, now) = (Promises::default(), Instant::now());
        let (earliest, second) = (Duration::from_millis(500), Duration::from_secs(1));
        let promise = |now, id: usize| promises.promise(now, &id.to_le_bytes(), earliest, 100.0);
        let promised: Vec<Duration> = (0..180).map(|id| promise(now, id)).collect();
        assert!(promised.is_sorted_by(|a, b| a < b) && earliest < promised[0], "{promised:?}");
        assert!((Duration::from_millis(2490)..Duration::from_millis(2510)).contains(&promised[179]), "at 90 of 100");
        assert_eq!(promise(now + second, 179), promised[179] - second, "who comes too early keeps its place");
        let next = promise(now + second, 180);
        assert!(next < promised[179], "and moves no one else's: {next:?}");

        let id = 99_usize.to_le_bytes();
        assert!(!promises.is_due(now + promised[99] - EARLY * 2, &id), "too early");
        assert!(promises.is_due(now + promised[99] - EARLY, &id) && promises.is_due(now + promised[99] + HOLDS, &id));
        assert!(!promises.is_due(now + promised[99] + HOLDS + EARLY, &id), "too late");
        assert!(!promises.is_due(now + promised[99], b"another"), "another order");
        promises.keep(&id);
        assert!(!promises.is_due(now + promised[99], &id), "once");
    }

    #[test]
    fn a_slow_spell_does_not_put_off_those_who_come_when_it_is_over() {
        let (promises, now) = (Promises::default(), Instant::now());
        let promise = |now, id: usize, rate| promises.promise(now, &id.to_le_bytes(), Duration::ZERO, rate);
        let slow: Vec<Duration> = (0..200).map(|id| promise(now, id, 1.0)).collect();
        assert_eq!(slow[199], LONGEST);
        let later = now + Duration::from_secs(1);
        let fast: Vec<Duration> = (1000..1900).map(|id| promise(later, id, 1000.0)).collect();
        assert!(fast.is_sorted_by(|a, b| a < b), "each its own: {fast:?}");
        let last = fast[899];
        assert!((Duration::from_secs(1)..Duration::from_millis(1300)).contains(&last), "900 at 900 a second: {last:?}");
        assert_eq!(promise(later, 10, 1000.0), slow[10] - Duration::from_secs(1), "what was promised holds");
        let wavering = promise(later, 2000, 1500.0);
        assert!(last < wavering, "a little faster is still behind those before");
    }

    #[test]
    fn promises_are_bounded_in_time_and_memory() {
        let (promises, now) = (Promises::default(), Instant::now());
        for id in 0..2 * MOST {
            let promised = promises.promise(now, &id.to_le_bytes(), Duration::ZERO, 1e4);
            assert!(promised <= LONGEST);
        }
        let kept = || {
            let state = promises.lock();
            (state.len(), state.due.len())
        };
        assert_eq!(kept(), (MOST, MOST));
        for id in 0..1000_usize {
            let _ = promises.promise(now, &id.to_be_bytes(), Duration::ZERO, 0.0);
        }
        assert_eq!(promises.promise(now, b"late", Duration::ZERO, 0.0), LONGEST);
        let later = now + LONGEST + HOLDS + EARLY;
        assert!(promises.promise(later, b"later", Duration::ZERO, 1e4) < EARLY, "nobody is before it any more");
        assert_eq!(kept(), (1, 1), "what is past is forgotten");
    }
}
