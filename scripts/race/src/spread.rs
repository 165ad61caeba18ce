//! What several runs of the same thing say together: the median and the range, never a mean that hides one bad run.

use serde::{Deserialize, Serialize};

/// The middle and the ends, and the runs themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The middle run; between the two in the middle if there are two.
    pub median: f64,
    /// The lowest run.
    pub min: f64,
    /// The highest run.
    pub max: f64,
    /// Every run, in the order in which they were run: runs of one pair have the same place. An older report has none.
    #[serde(default)]
    pub runs: Vec<f64>,
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
        let median = f64::midpoint(*low, *high);
        Some(Self { median, min: *sorted.first()?, max: *sorted.last()?, runs: runs.to_vec() })
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
    pub fn times(&self, factor: f64) -> Self {
        let runs = self.runs.iter().map(|run| run * factor).collect();
        Self { median: self.median * factor, min: self.min * factor, max: self.max * factor, runs }
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

    /// Median, lowest and highest.
    fn ends(spread: &Spread) -> [f64; 3] {
        [spread.median, spread.min, spread.max]
    }

    #[test]
    fn a_spread_is_the_middle_and_the_ends() {
        let of = |runs: &[f64]| ends(&Spread::of(runs).unwrap());
        assert_eq!(of(&[3.0, 1.0, 2.0]), [2.0, 1.0, 3.0]);
        assert_eq!(of(&[4.0, 1.0]), [2.5, 1.0, 4.0]);
        assert_eq!(of(&[7.0]), [7.0; 3]);
        assert_eq!((Spread::of(&[]), Spread::of(&[1.0, f64::NAN])), (None, None));
    }

    #[test]
    fn every_run_is_kept_in_its_place() {
        let spread = Spread::of(&[3.0, 1.0, 2.0]).unwrap();
        assert_eq!(spread.runs, [3.0, 1.0, 2.0]);
        assert_eq!((spread.times(2.0).runs, ends(&spread.times(2.0))), (vec![6.0, 2.0, 4.0], [4.0, 2.0, 6.0]));
        let older: Spread = serde_json::from_str(r#"{"median":2.0,"min":1.0,"max":3.0}"#).unwrap();
        assert_eq!((ends(&older), older.runs), ([2.0, 1.0, 3.0], vec![]));
    }

    #[test]
    fn what_slows_both_of_a_pair_does_not_change_its_ratio() {
        let (ours, theirs) = ([50.0, 5.0, 20.0], [100.0, 10.0, 40.0]);
        assert_eq!(Spread::of_ratios(&ours, &theirs), Spread::of(&[0.5; 3]));
        assert_eq!(Spread::of_differences(&[3.0, 9.0], &[1.0, 8.0]), Spread::of(&[2.0, 1.0]));
        assert_eq!(Spread::of_ratios(&[1.0], &[0.0]), None, "no ratio to nothing");
    }

    #[test]
    fn a_range_that_includes_the_goal_is_no_answer() {
        let spread = Spread::of(&[1.0, 2.0, 3.0]).unwrap();
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
