//! `target/bench/report.html`: what every bench found last, in tables and plots. Made from the JSON files that the benches
//! leave, so a figure of a week ago stands beside one of today, each with its own commit and machine.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path, time::SystemTime};

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;

use crate::{curve::Curve, report::Number, spread::Spread};

mod plot;

/// A report as it was saved; what an older one did not have is absent.
#[derive(Debug, Deserialize)]
struct Saved {
    /// Its file's, since a bench in part has one of its own.
    #[serde(skip)]
    name: String,
    #[serde(skip)]
    at: Option<SystemTime>,
    machine: BTreeMap<String, Value>,
    setting: Vec<(String, String)>,
    rows: Vec<Row>,
    notes: Vec<String>,
    #[serde(default)]
    curves: Vec<Curve>,
}

#[derive(Debug, Deserialize)]
struct Row {
    what: String,
    figure: Spread,
    unit: String,
    beside: Option<(String, Spread)>,
    goal: Option<String>,
    verdict: Option<String>,
}

/// Colours that are told apart in light and in dark.
const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1b1f24; --faint: #8a929c; --paper: #fff; --ours: #30a46c; --theirs: #8a929c }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --paper: #14171a } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 66rem; margin: 2rem auto; padding: 0 1rem }
.faint, summary { color: var(--faint) }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
td, th { padding: .25rem .6rem; border-bottom: 1px solid #8884; text-align: right; vertical-align: middle }
td.text, th.text { text-align: left } .missed { color: #e5484d; font-weight: 600 } .met { color: #30a46c; font-weight: 600 }
.open { color: #f5a623; font-weight: 600 } svg.bar { width: 12rem; height: 1.4rem } .plots { display: flex; flex-wrap: wrap; gap: 1rem }
.plots svg { width: 31rem; max-width: 100%; height: auto }
";

/// Writes the page from the reports in `dir`. Nothing is written where there is none.
///
/// # Errors
/// When a report cannot be read, or the page not be written.
pub fn write(dir: &Path) -> anyhow::Result<()> {
    let reports = saved(dir)?;
    if reports.is_empty() {
        return Ok(());
    }
    let path = dir.join("report.html");
    fs::write(&path, page(&reports)).with_context(|| format!("cannot write {}", path.display()))
}

/// Writes all curves of the reports in `dir` as one picture, for a page that shows no HTML.
///
/// # Errors
/// When a report cannot be read, none has a curve, or the file cannot be written.
pub fn write_plots(dir: &Path, to: &Path) -> anyhow::Result<()> {
    let reports = saved(dir)?;
    let curves: Vec<&Curve> = reports.iter().flat_map(|report| newest(report, &reports)).collect();
    anyhow::ensure!(
        !curves.is_empty(),
        "no report in {} has curves; a bench with `--only growth` finds some",
        dir.display()
    );
    fs::write(to, plot::sheet(&curves)).with_context(|| format!("cannot write {}", to.display()))
}

/// Its curves, but for those that a later report has as well: of a bench and of its part alone.
fn newest<'r>(report: &'r Saved, all: &'r [Saved]) -> impl Iterator<Item = &'r Curve> {
    let has = |other: &Saved, curve: &Curve| other.curves.iter().any(|its| its.what == curve.what);
    report.curves.iter().filter(move |curve| !all.iter().any(|other| report.at < other.at && has(other, curve)))
}

/// By name.
fn saved(dir: &Path) -> anyhow::Result<Vec<Saved>> {
    let mut reports = Vec::new();
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    for path in entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()? {
        if path.extension().is_some_and(|extension| extension == "json") {
            let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let why = || format!("{} is no report of a bench; take it away, or run its bench anew", path.display());
            let report = serde_json::from_slice::<Saved>(&text).with_context(why)?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let at = fs::metadata(&path).and_then(|of| of.modified()).ok();
            reports.push(Saved { name, at, ..report });
        }
    }
    reports.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(reports)
}

fn page(reports: &[Saved]) -> String {
    let mut out = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>Orderflow: the race</title><style>{STYLE}</style>\n<h1>The race</h1>\
         <p class=faint>Medians with their range; a latency counts from the intended time of its request. A bar goes from 0 \
         to the larger of the two figures: green is ours, grey the floor or the peer beside it, and the lines are the ranges.\n<p>"
    );
    for Saved { name, .. } in reports {
        let _ = write!(out, "<a href=#{0}>{0}</a> ", escape(name));
    }
    reports.iter().for_each(|report| section(&mut out, report));
    out + "\n</html>\n"
}

fn section(out: &mut String, report: &Saved) {
    let _ =
        write!(out, "\n<h2 id={0}>{0}</h2><details open><summary>where and how</summary><table>", escape(&report.name));
    let machine = report.machine.iter().map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (name.as_str(), value)
    });
    let setting = report.setting.iter().map(|(name, value)| (name.as_str(), value.clone()));
    for (name, value) in machine.chain(setting) {
        let _ = write!(out, "<tr><td class=text>{}<td class=text>{}", escape(name), escape(&value));
    }
    out.push_str("</table></details>");
    if !report.rows.is_empty() {
        out.push_str("\n<table><tr><th class=text>what<th>figure<th class=text>unit<th><th class=text>beside<th>goal<th class=text>reached");
        report.rows.iter().for_each(|found| row(out, found));
        out.push_str("\n</table>");
    }
    if !report.curves.is_empty() {
        out.push_str("\n<div class=plots>");
        report.curves.iter().for_each(|curve| out.push_str(&plot::svg(curve)));
        out.push_str("</div>");
    }
    for note in &report.notes {
        let _ = write!(out, "\n<p class=faint>{}", escape(note));
    }
}

fn row(out: &mut String, Row { what, figure, unit, beside, goal, verdict }: &Row) {
    let (theirs, name) = match beside {
        Some((name, spread)) => (Some(spread), format!("{name}: {spread}")),
        None => (None, String::new()),
    };
    let (goal, verdict) = (goal.as_deref().unwrap_or_default(), verdict.as_deref().unwrap_or_default());
    let _ = write!(
        out,
        "\n<tr><td class=text>{}<td>{figure}<td class=text>{}<td>{}<td class=text>{}<td>{}<td class=\"text {verdict}\">{verdict}",
        escape(what),
        escape(unit),
        theirs.map(|theirs| plot::bars(figure, theirs)).unwrap_or_default(),
        escape(&name),
        escape(goal),
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// As in the tables.
fn number(value: f64) -> String {
    Number(value).to_string()
}

#[cfg(test)]
mod tests;
