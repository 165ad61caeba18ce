//! What several runs of the same thing say together: the median and the range, never a mean that hides one bad run.

use serde::{Deserialize, Serialize};

/// The middle and the ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The middle run; between the two in the middle if there are two.
    pub median: f64,
    /// The lowest run.
    pub min: f64,
    /// The highest run.
    pub max: f64,
}

/// What a spread says about a goal.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every run reached it.
    Met,
    /// Some runs reached it and some did not, so nobody can tell.
    Open,
    /// No run reached it.
    Missed,
}

/// A goal for a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// So much or more.
    AtLeast(f64),
    /// So much or less.
    AtMost(f64),
}

impl Spread {
    /// Of these runs; `None` without any, or with one that is no number.
    #[must_use]
    pub fn of(runs: &[f64]) -> Option<Self> {
        let mut sorted = runs.to_vec();
        sorted.sort_by(f64::total_cmp);
        if !sorted.iter().all(|run| run.is_finite()) {
            return None;
        }
        let (low, high) = (sorted.get((sorted.len().checked_sub(1)?) / 2)?, sorted.get(sorted.len() / 2)?);
        Some(Self { median: f64::midpoint(*low, *high), min: *sorted.first()?, max: *sorted.last()? })
    }

    /// Of the ratios within each pair. The runs of a pair stand next to each other in time, so what slows the machine
    /// slows both; a ratio of medians would mix runs that had nothing in common.
    #[must_use]
    pub fn of_ratios(ours: &[f64], theirs: &[f64]) -> Option<Self> {
        let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
        Self::of(&ratios)
    }

    /// Of the differences within each pair.
    #[must_use]
    pub fn of_differences(ours: &[f64], theirs: &[f64]) -> Option<Self> {
        let differences: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours - theirs).collect();
        Self::of(&differences)
    }

    /// The same in another unit.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self { median: self.median * factor, min: self.min * factor, max: self.max * factor }
    }

    /// Whether a goal is reached.
    #[must_use]
    pub fn verdict(&self, goal: Goal) -> Verdict {
        let (worst, best) = match goal {
            Goal::AtLeast(_) => (self.min, self.max),
            Goal::AtMost(_) => (self.max, self.min),
        };
        let reached = |value: f64| match goal {
            Goal::AtLeast(limit) => limit <= value,
            Goal::AtMost(limit) => value <= limit,
        };
        match (reached(worst), reached(best)) {
            (true, _) => Verdict::Met,
            (false, true) => Verdict::Open,
            (false, false) => Verdict::Missed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_middle_and_the_ends() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(Spread::of(&[4.0, 1.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
        assert_eq!(Spread::of(&[7.0]), Some(Spread { median: 7.0, min: 7.0, max: 7.0 }));
        assert_eq!((Spread::of(&[]), Spread::of(&[1.0, f64::NAN])), (None, None));
    }

    #[test]
    fn what_slows_both_of_a_pair_does_not_change_its_ratio() {
        let (ours, theirs) = ([50.0, 5.0, 20.0], [100.0, 10.0, 40.0]);
        assert_eq!(Spread::of_ratios(&ours, &theirs), Some(Spread { median: 0.5, min: 0.5, max: 0.5 }));
        assert_eq!(Spread::of_differences(&[3.0, 9.0], &[1.0, 8.0]).unwrap().median, 1.5);
        assert_eq!(Spread::of_ratios(&[1.0], &[0.0]), None, "no ratio to nothing");
    }

    #[test]
    fn a_range_that_includes_the_goal_is_no_answer() {
        let spread = Spread { median: 2.0, min: 1.0, max: 3.0 };
        for (goal, verdict) in [
            (Goal::AtLeast(1.0), Verdict::Met),
            (Goal::AtLeast(2.0), Verdict::Open),
            (Goal::AtLeast(3.1), Verdict::Missed),
            (Goal::AtMost(3.0), Verdict::Met),
            (Goal::AtMost(2.0), Verdict::Open),
            (Goal::AtMost(0.9), Verdict::Missed),
        ] {
            assert_eq!(spread.verdict(goal), verdict, "{goal:?}");
        }
    }
}
