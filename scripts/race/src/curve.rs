//! How a cost grows with something: points over several sizes, and the exponent that fits them.

use std::fmt::{self, Display, Formatter};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::{report::Number, spread::Spread};

/// Lines over the same sizes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Curve {
    /// Of what.
    pub what: String,
    /// In what it is counted.
    pub unit: String,
    /// What becomes more, with its unit.
    pub against: String,
    /// What was measured, and what it stands beside.
    pub lines: Vec<Line>,
}

/// One thing over several sizes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    /// Whose.
    pub name: String,
    /// From the smallest size to the largest.
    pub points: Vec<Point>,
}

/// A figure at one size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The size.
    pub at: f64,
    /// The runs.
    pub figure: Spread,
}

impl Point {
    /// Of these runs at one size.
    ///
    /// # Errors
    /// Without any, or with one that is no number.
    pub fn of(at: impl Into<f64>, runs: &[f64]) -> anyhow::Result<Self> {
        Ok(Self { at: at.into(), figure: Spread::of(runs).context("a run without a figure")? })
    }
}

/// The powers of the size with which a cost grows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slope {
    /// Over all sizes.
    pub overall: f64,
    /// From the last size but one to the last, where a fixed cost weighs least.
    pub at_last: f64,
}

impl Curve {
    /// Without lines yet.
    #[must_use]
    pub fn new(what: impl Into<String>, unit: impl Into<String>, against: impl Into<String>) -> Self {
        Self { what: what.into(), unit: unit.into(), against: against.into(), lines: Vec::new() }
    }

    /// With one more line.
    #[must_use]
    pub fn line(mut self, name: impl Into<String>, points: Vec<Point>) -> Self {
        self.lines.push(Line { name: name.into(), points });
        self
    }
}

impl Line {
    /// By least squares over logarithms: a cost that is in proportion to the size has 1, one that does not change has 0.
    /// `None` with fewer than two sizes, or with a size or a figure that has no logarithm.
    #[must_use]
    pub fn slope(&self) -> Option<Slope> {
        let logs: Vec<(f64, f64)> = self.points.iter().map(|point| (point.at.ln(), point.figure.median.ln())).collect();
        let last = logs.get(logs.len().checked_sub(2)?..)?;
        let slope = Slope { overall: fitted(&logs), at_last: fitted(last) };
        (slope.overall.is_finite() && slope.at_last.is_finite()).then_some(slope)
    }
}

fn fitted(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let up: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    up / points.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>()
}

impl Display for Slope {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "size^{:.2}, at the end size^{:.2}", self.overall, self.at_last)
    }
}

impl Display for Curve {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { what, unit, against, lines } = self;
        let names: Vec<&str> = lines.iter().map(|line| line.name.as_str()).collect();
        writeln!(f, "\n{what}, {unit}\n\n| {against} | {} |\n|--:|{}", names.join(" | "), "--:|".repeat(lines.len()))?;
        for (at, point) in lines.first().into_iter().flat_map(|line| line.points.iter().enumerate()) {
            let figures: Vec<String> = lines
                .iter()
                .map(|line| line.points.get(at).map(|point| point.figure.to_string()).unwrap_or_default())
                .collect();
            writeln!(f, "| {} | {} |", Number(point.at), figures.join(" | "))?;
        }
        let slopes: Vec<String> =
            lines.iter().map(|line| line.slope().map(|slope| slope.to_string()).unwrap_or_default()).collect();
        writeln!(f, "| grows as | {} |", slopes.join(" | "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(points: &[(f64, f64)]) -> Line {
        let points = points.iter().map(|&(at, figure)| Point::of(at, &[figure]).unwrap()).collect();
        Line { name: "ours".to_owned(), points }
    }

    #[test]
    fn a_slope_is_the_power_with_which_a_cost_grows() {
        let of = |points: &[(f64, f64)]| line(points).slope().map(|slope| (slope.overall, slope.at_last));
        let near = |found: Option<(f64, f64)>, overall: f64, at_last: f64| {
            let (a, b) = found.expect("a slope");
            assert!((a - overall).abs() < 1e-9 && (b - at_last).abs() < 1e-9, "{a} and {b}");
        };
        near(of(&[(1.0, 3.0), (10.0, 30.0), (1_000.0, 3_000.0)]), 1.0, 1.0);
        near(of(&[(1.0, 7.0), (8.0, 7.0), (64.0, 7.0)]), 0.0, 0.0);
        near(of(&[(2.0, 8.0), (4.0, 32.0), (8.0, 128.0)]), 2.0, 2.0);
        // A fixed cost hides the growth over all, and less at the end.
        let slope = line(&[(1.0, 101.0), (10.0, 110.0), (100.0, 200.0), (1_000.0, 1_100.0)]).slope().unwrap();
        assert!(slope.overall < 0.4 && 0.7 < slope.at_last, "{slope}");
    }

    #[test]
    fn what_has_no_logarithm_has_no_slope() {
        for points in [&[][..], &[(1.0, 1.0)], &[(0.0, 1.0), (1.0, 1.0)], &[(1.0, 0.0), (2.0, 1.0)], &[(2.0, 1.0); 2]] {
            assert_eq!(line(points).slope(), None, "{points:?}");
        }
    }

    #[test]
    fn a_curve_reads_as_a_table_with_its_slopes() {
        let curve = Curve::new("CPU for an order", "us", "bytes")
            .line("ours", line(&[(100.0, 10.0), (1_000.0, 100.0)]).points)
            .line("floor", line(&[(100.0, 5.0), (1_000.0, 5.0)]).points);
        let expected = "\nCPU for an order, us\n\n| bytes | ours | floor |\n|--:|--:|--:|\n| 100.0 | 10.0 | 5.00 |\n\
                        | 1,000 | 100.0 | 5.00 |\n| grows as | size^1.00, at the end size^1.00 | size^0.00, at the end size^0.00 |\n";
        assert_eq!(curve.to_string(), expected);
    }
}
