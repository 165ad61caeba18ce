//! Counts and sums by slice of the time of receipt, within a partition: cheap to ask for, and where they are the same,
//! nothing is looked into.

use std::collections::BTreeMap;

/// Beyond this a sum of doubles is no longer exact to the unit, so it proves nothing.
const EXACT: i128 = 1_000_000_000_000_000;

/// A slice of one partition: the partition, and the number of the slice since 1970.
pub type Slot = (i32, i64);

/// Sums by slice.
pub type Slices = BTreeMap<Slot, Sums>;

/// What is summed. Each of them is an exact number in every store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Orders.
    pub count: i64,
    /// Their amounts, in hundredths.
    pub amount: i128,
    /// Their versions: another version of an order with the same amount shows.
    pub versions: i128,
}

/// Which orders are meant, by the time of receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// From here on, in milliseconds; without it from the beginning.
    pub since: Option<i64>,
    /// Up to here, without it.
    pub until: Option<i64>,
}

/// Slices side by side of one partition that are looked into in one go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The partition.
    pub partition: i32,
    /// What lies in it was received within this.
    pub span: Span,
}

impl Sums {
    /// With one order more.
    pub fn add(&mut self, amount: i128, version: i64) {
        self.count += 1;
        self.amount += amount;
        self.versions += i128::from(version);
    }

    /// Whether these prove the same orders, as far as sums can.
    #[must_use]
    pub fn agree(&self, other: &Self) -> bool {
        self == other && Self::is_exact(self.amount) && Self::is_exact(self.versions)
    }

    /// Whether every store can tell this sum to the unit.
    #[must_use]
    pub fn is_exact(sum: i128) -> bool {
        sum.abs() < EXACT
    }
}

impl Span {
    /// Everything.
    pub const ALL: Self = Self { since: None, until: None };

    /// Whether what was received then is meant.
    #[must_use]
    pub fn holds(&self, received_at: i64) -> bool {
        self.since.is_none_or(|since| since <= received_at) && self.until.is_none_or(|until| received_at < until)
    }

    fn cut(self, other: Self) -> Self {
        let both = |one: Option<i64>, other: Option<i64>, choose: fn(i64, i64) -> i64| match (one, other) {
            (Some(one), Some(other)) => Some(choose(one, other)),
            (one, other) => one.or(other),
        };
        Self { since: both(self.since, other.since, i64::max), until: both(self.until, other.until, i64::min) }
    }
}

/// The slice that a time lies in.
#[must_use]
pub fn number(received_at: i64, slice_ms: i64) -> i64 {
    received_at.div_euclid(slice_ms.max(1))
}

/// The slices that are not proven to be the same.
#[must_use]
pub fn differing(one: &Slices, other: &Slices) -> Vec<Slot> {
    let agree = |slot: &Slot| {
        let of = |slices: &Slices| slices.get(slot).copied().unwrap_or_default();
        of(one).agree(&of(other))
    };
    let mut slots: Vec<Slot> = one.keys().chain(other.keys()).filter(|slot| !agree(slot)).copied().collect();
    slots.sort_unstable();
    slots.dedup();
    slots
}

/// Neighbours become one run, within what is meant.
#[must_use]
pub fn runs(slots: &[Slot], slice_ms: i64, span: Span) -> Vec<Run> {
    let slice = |number: i64| Span {
        since: Some(number.saturating_mul(slice_ms)),
        until: Some(number.saturating_add(1).saturating_mul(slice_ms)),
    };
    let together = slots.chunk_by(|one, next| one.0 == next.0 && one.1.checked_add(1) == Some(next.1));
    together
        .filter_map(|slots| {
            let ((partition, first), (_, last)) = (slots.first()?, slots.last()?);
            let all = Span { since: slice(*first).since, until: slice(*last).until };
            Some(Run { partition: *partition, span: all.cut(span) })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Orders as (received at, amount, version), all of one partition.
    type Orders = Vec<(i64, i64, i64)>;

    fn slices(orders: &Orders, slice_ms: i64) -> Slices {
        let mut slices = Slices::new();
        for (at, amount, version) in orders {
            slices.entry((0, number(*at, slice_ms))).or_default().add(i128::from(*amount), *version);
        }
        slices
    }

    proptest! {
        /// Whatever one store lacks, has more, or has otherwise in amount or version lies in a run that is looked into;
        /// and where nothing differs, nothing is looked into.
        #[test]
        fn each_difference_lies_in_a_run(
            orders in prop::collection::vec((-500..500_i64, 0..1000_i64, 0..1000_i64), 1..40),
            slice_ms in 1..200_i64,
            at in any::<prop::sample::Index>(),
            what in 0..4,
        ) {
            prop_assert_eq!(differing(&slices(&orders, slice_ms), &slices(&orders, slice_ms)), vec![]);
            let mut other = orders.clone();
            let changed = at.index(orders.len());
            let place = orders[changed].0;
            match what {
                0 => drop(other.remove(changed)),
                1 => other.push(orders[changed]),
                2 => other[changed].1 += 1,
                _ => other[changed].2 += 1,
            }
            let slots = differing(&slices(&orders, slice_ms), &slices(&other, slice_ms));
            let runs = runs(&slots, slice_ms, Span::ALL);
            prop_assert_eq!(runs.len(), 1);
            prop_assert!(runs[0].span.holds(place), "{:?} at {}", runs, place);
            prop_assert_eq!(runs[0].span.until.unwrap() - runs[0].span.since.unwrap(), slice_ms);
        }
    }

    #[test]
    fn neighbours_are_one_run_and_no_run_goes_beyond_what_is_meant() {
        let span = Span { since: Some(15), until: None };
        let run = |partition, since, until| Run { partition, span: Span { since: Some(since), until: Some(until) } };
        let slots = [(0, 1), (0, 2), (0, 4), (1, 5)];
        assert_eq!(runs(&slots, 10, span), [run(0, 15, 30), run(0, 40, 50), run(1, 50, 60)]);
    }

    #[test]
    fn a_sum_that_a_double_cannot_hold_proves_nothing() {
        let sums = |amount| Slices::from([((0, 0), Sums { count: 2, amount, versions: 1 })]);
        assert!(differing(&sums(EXACT - 1), &sums(EXACT - 1)).is_empty());
        assert_eq!(differing(&sums(EXACT), &sums(EXACT)), [(0, 0)]);
    }
}
