//! How the figures are told: a table for people, in which each stands beside its goal and its floor or peer, and JSON.

use std::{
    fmt::{self, Display, Formatter},
    fs,
    path::Path,
};

use anyhow::Context;
use serde::Serialize;

use crate::{
    curve::Curve,
    machine::Machine,
    spread::{Goal, Spread, Verdict},
};

/// For whoever waits; the figures go to standard output.
pub(crate) fn progress(what: &str) {
    eprintln!("race: {what}");
}

/// Everything that one run of a bench found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Which bench.
    pub bench: &'static str,
    /// Where and of what.
    pub machine: Machine,
    /// How it was measured.
    pub setting: Vec<(&'static str, String)>,
    /// What was found.
    pub rows: Vec<Row>,
    /// What must be known to read the figures.
    pub notes: Vec<String>,
    /// Single values behind no figure, where a bench keeps some; in the JSON only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Sample>,
    /// How costs grow.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub curves: Vec<Curve>,
}

/// What a part of a bench found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    pub(crate) rows: Vec<Row>,
    pub(crate) notes: Vec<String>,
    pub(crate) samples: Vec<Sample>,
    pub(crate) curves: Vec<Curve>,
}

impl Found {
    /// A figure of these runs.
    pub(crate) fn add(&mut self, what: impl Into<String>, unit: &'static str, runs: &[f64]) -> anyhow::Result<()> {
        let what = what.into();
        let figure = Spread::of(runs).with_context(|| format!("{what}: a run without a figure"))?;
        self.rows.push(Row::new(what, figure, unit));
        Ok(())
    }

    /// What another part found, behind this.
    pub(crate) fn extend(&mut self, other: Self) {
        let Self { rows, notes, samples, curves } = other;
        self.rows.extend(rows);
        self.notes.extend(notes);
        self.samples.extend(samples);
        self.curves.extend(curves);
    }
}

/// Single values of one thing, in their order. A figure has its own (see [`Spread`]).
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// Of what.
    pub what: String,
    /// In what it is counted.
    pub unit: &'static str,
    /// The values.
    pub runs: Vec<f64>,
}

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Of what.
    pub what: String,
    /// The runs.
    pub figure: Spread,
    /// In what it is counted.
    pub unit: &'static str,
    /// The floor or peer that it stands beside, in the same unit.
    pub beside: Option<(String, Spread)>,
    /// What it should be.
    #[serde(serialize_with = "goal_text")]
    pub goal: Option<Goal>,
    /// Whether it is.
    pub verdict: Option<Verdict>,
}

impl Row {
    /// A figure without a goal.
    #[must_use]
    pub fn new(what: impl Into<String>, figure: Spread, unit: &'static str) -> Self {
        Self { what: what.into(), figure, unit, beside: None, goal: None, verdict: None }
    }

    /// Beside a floor or a peer.
    #[must_use]
    pub fn beside(mut self, what: impl Into<String>, figure: Spread) -> Self {
        self.beside = Some((what.into(), figure));
        self
    }

    /// With a goal.
    #[must_use]
    pub fn goal(mut self, goal: Goal) -> Self {
        self.verdict = Some(self.figure.verdict(goal));
        self.goal = Some(goal);
        self
    }
}

#[expect(clippy::ref_option, reason = "the signature is serde's")]
fn goal_text<S: serde::Serializer>(goal: &Option<Goal>, serializer: S) -> Result<S::Ok, S::Error> {
    goal.map(|goal| goal.to_string()).serialize(serializer)
}

impl Display for Goal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(limit) => write!(f, ">= {}", Number(*limit)),
            Self::AtMost(limit) => write!(f, "<= {}", Number(*limit)),
        }
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Met => "met",
            Self::Open => "open: the range holds the goal",
            Self::Missed => "MISSED",
        })
    }
}

impl Display for Spread {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { median, min, max, .. } = *self;
        if min == max {
            return f.pad(&Number(median).to_string());
        }
        f.pad(&format!("{} ({} to {})", Number(median), Number(min), Number(max)))
    }
}

/// Three digits and more, but no more than help.
pub(crate) struct Number(pub(crate) f64);

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.abs() {
            0.0 => f.write_str("0"),
            size if size < 10.0 => write!(f, "{:.2}", self.0),
            size if size < 1000.0 => write!(f, "{:.1}", self.0),
            _ => f.write_str(&thousands(self.0)),
        }
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if 0 < at && (digits.len() - at).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}", self.bench, self.machine)?;
        for (name, value) in &self.setting {
            writeln!(f, "{name}: {value}")?;
        }
        writeln!(f, "Figures are medians with their range; a latency counts from the intended time.\n")?;
        writeln!(f, "| what | figure | unit | goal | reached | beside |\n|---|--:|---|---|---|---|")?;
        for Row { what, figure, unit, beside, goal, verdict } in &self.rows {
            let goal = goal.map(|goal| goal.to_string()).unwrap_or_default();
            let verdict = verdict.map(|verdict| verdict.to_string()).unwrap_or_default();
            let beside = beside.as_ref().map(|(what, figure)| format!("{what}: {figure}")).unwrap_or_default();
            writeln!(f, "| {what} | {figure} | {unit} | {goal} | {verdict} | {beside} |")?;
        }
        self.curves.iter().try_for_each(|curve| curve.fmt(f))?;
        for note in &self.notes {
            write!(f, "\n- {note}")?;
        }
        writeln!(f)
    }
}

impl Report {
    /// Of everything that was found.
    pub(crate) fn new(
        bench: &'static str,
        machine: Machine,
        setting: Vec<(&'static str, String)>,
        found: Found,
    ) -> Self {
        let Found { rows, notes, samples, curves } = found;
        Self { bench, machine, setting, rows, notes, samples, curves }
    }

    /// Writes it as JSON.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let text = serde_json::to_vec_pretty(self)?;
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::Point;

    #[test]
    fn numbers_are_as_exact_as_helps() {
        for (value, text) in [
            (0.0, "0"),
            (0.654, "0.65"),
            (12.34, "12.3"),
            (999.9, "999.9"),
            (1000.0, "1,000"),
            (45_678.9, "45,679"),
            (1_234_567.0, "1,234,567"),
            (-1234.0, "-1,234"),
            (-123_456.0, "-123,456"),
        ] {
            assert_eq!(Number(value).to_string(), text);
        }
    }

    #[test]
    fn a_row_says_whether_its_goal_is_reached() {
        let row = Row::new("a", Spread::of(&[0.6, 0.8, 0.7]).unwrap(), "x").goal(Goal::AtLeast(0.65));
        assert_eq!(row.verdict, Some(Verdict::Open));
        let json = serde_json::to_value(&row).unwrap();
        assert_eq!((json["goal"].as_str(), json["verdict"].as_str()), (Some(">= 0.65"), Some("open")));
        assert_eq!(row.figure.to_string(), "0.70 (0.60 to 0.80)");
    }

    #[test]
    fn a_reports_json_has_every_run_behind_its_figures() {
        let spread = |runs: &[f64]| Spread::of(runs).unwrap();
        let mut found = Found::default();
        found.rows.push(Row::new("a", spread(&[3.0, 1.0, 2.0]), "x").beside("b", spread(&[9.0, 8.0, 7.0])));
        found.add("c", "ms", &[5.0, 4.0]).unwrap();
        found.curves.push(Curve::new("d", "s", "e").line("ours", vec![Point::of(1.0, &[7.0, 6.0]).unwrap()]));
        let json = serde_json::to_value(Report::new("edge", Machine::now(), Vec::new(), found)).unwrap();
        for (place, runs) in [
            ("/rows/0/figure/runs", serde_json::json!([3.0, 1.0, 2.0])),
            ("/rows/0/beside/1/runs", serde_json::json!([9.0, 8.0, 7.0])),
            ("/rows/1/figure/runs", serde_json::json!([5.0, 4.0])),
            ("/curves/0/lines/0/points/0/figure/runs", serde_json::json!([7.0, 6.0])),
        ] {
            assert_eq!(json.pointer(place), Some(&runs), "{place}");
        }
    }
}
