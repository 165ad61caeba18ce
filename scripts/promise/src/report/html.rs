//! The page: how each stage of the call ended, and of each that saw anything what it ran on, the counters, a table of the
//! faults, the whole run, and each fault in close-up.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::plot::{Line, Panel, Shade, svg};
use super::{Answers, Call, Look, Report, Row, Stage};

/// Shown of the time before a fault, and after all moved again.
const BEFORE_MS: i64 = 8_000;
const AFTER_MS: i64 = 12_000;

/// Colours that are told apart in light and in dark.
const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1b1f24; --faint: #8a929c; --paper: #fff; --fault: #e5484d33; --back: #f5a62333 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --faint: #8a929c; --paper: #14171a } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
pre { color: var(--faint); white-space: pre-wrap }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
td, th { padding: .25rem .6rem; border-bottom: 1px solid #8884; text-align: right; vertical-align: top }
td.text, th.text { text-align: left } .bad { color: #e5484d; font-weight: 600 } .good { color: #30a46c; font-weight: 600 }
svg { width: 100%; height: auto } path { fill: none; stroke-width: 1.6; stroke-linejoin: round }
text { font: 11px system-ui, sans-serif; fill: var(--faint) } text.title { fill: var(--ink); font-weight: 600 }
text.scale { text-anchor: end } text.tick { text-anchor: middle } .floor { stroke: #8886 }
rect.fault { fill: var(--fault) } rect.back { fill: var(--back) }
path.c0 { stroke: #30a46c } text.c0 { fill: #30a46c } path.c1 { stroke: #e5484d } text.c1 { fill: #e5484d }
path.c2 { stroke: #f5a623 } text.c2 { fill: #f5a623 } path.c3 { stroke: #3e93de } text.c3 { fill: #3e93de }
path.c4 { stroke: #9a6dd7 } text.c4 { fill: #9a6dd7 } path.c5 { stroke: #8a929c } text.c5 { fill: #8a929c }
details p { margin: .3rem 0 }
";

/// Classes of the lines, in turn.
const CLASSES: [&str; 6] = ["c0", "c1", "c2", "c3", "c4", "c5"];

/// One of the answers.
type Count = fn(&Answers) -> usize;

pub(super) fn page(call: &Call) -> String {
    let mut out = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>Orderflow: the fault lab</title><style>{STYLE}</style>\n<h1>The fault lab</h1><pre>{}</pre>\n",
        escape(&call.command)
    );
    stages(&mut out, call);
    for (nth, stage) in call.stages.iter().enumerate() {
        if let Some(report) = &stage.report {
            seen_by(&mut out, nth, stage, report);
        }
    }
    out + "</html>\n"
}

fn stages(out: &mut String, call: &Call) {
    out.push_str("<table><tr><th class=text>stage<th>ended<th>took<th class=text>what was counted\n");
    for (nth, stage) in call.stages.iter().enumerate() {
        let class = if stage.passed == Some(true) { "good" } else { "bad" };
        let counted = stage.report.as_ref().map(Report::verdict).unwrap_or_default();
        let _ = writeln!(
            out,
            "<tr><td class=text><a href=#s{nth}>{}</a><td class={class}>{}<td>{} s<td class=text>{counted}",
            escape(&stage.name),
            stage.ended(),
            stage.seconds
        );
    }
    out.push_str("</table>\n");
}

/// Of the `nth` stage.
fn seen_by(out: &mut String, nth: usize, stage: &Stage, report: &Report) {
    let _ = write!(
        out,
        "<h1 id=s{nth}>{}</h1><pre>{}\nseed {}</pre>\n",
        escape(&stage.name),
        escape(&report.machine),
        report.seed
    );
    counters(out, report);
    table(out, nth, report);
    let panels = panels(report);
    let shades = shades(report);
    if let Some((from, until)) = span(report) {
        let _ = write!(out, "<h2>The whole run</h2>{}\n<h2>Each fault</h2>\n", svg(&panels, &shades, from, until));
    }
    for (at, row) in report.faults.iter().enumerate() {
        let _ = writeln!(
            out,
            "<details open id=s{nth}f{at}><summary>{} {}</summary><p>{}</p>{}</details>",
            escape(&row.id),
            escape(&row.name),
            escape(&row.said),
            svg(&panels, &shades, row.from_ms - BEFORE_MS, row.moved_ms + AFTER_MS)
        );
    }
}

fn counters(out: &mut String, report: &Report) {
    let all: usize = report.counters.values().sum();
    let (class, verdict) = match (report.counters.is_empty(), all) {
        (true, _) => ("bad", "Nothing was counted: the run ended before its check.".to_owned()),
        (_, 0) => ("good", "Every counter is zero.".to_owned()),
        _ => ("bad", format!("{all} findings: the promise is broken.")),
    };
    let _ = write!(out, "<h2>What was counted</h2><p class={class}>{verdict}</p><table><tr>");
    for name in report.counters.keys() {
        let _ = write!(out, "<th>{name}");
    }
    out.push_str("<tr>");
    for count in report.counters.values() {
        let _ = write!(out, "<td class={}>{count}", if *count == 0 { "good" } else { "bad" });
    }
    out.push_str("</table>\n");
    for text in &report.found {
        let _ = writeln!(out, "<p class=bad>{}</p>", escape(text));
    }
}

fn table(out: &mut String, nth: usize, report: &Report) {
    out.push_str(
        "<h2>The faults</h2><p>Seconds from the beginning until it was put right, or who was killed was ready again, and \
         from then until all that stood still moved. The answers are those of orders that were sent in both times.</p>\
         <table><tr><th class=text>fault<th>lasted<th>then moved after<th>sent<th>202<th>refused by rule<th>no<th>possibly<th>longest 202\n",
    );
    for (at, row) in report.faults.iter().enumerate() {
        let Row { id, name, from_ms, until_ms, moved_ms, answers, .. } = row;
        let Answers { sent, yes, by_rule, no, possibly, longest_ms } = answers;
        let _ = writeln!(
            out,
            "<tr><td class=text><a href=#s{nth}f{at}>{}</a> {}<td>{:.1} s<td>{:.1} s<td>{sent}<td>{yes}<td>{by_rule}<td>{no}<td>{possibly}<td>{longest_ms} ms",
            escape(id),
            escape(name),
            seconds(until_ms - from_ms),
            seconds(moved_ms - until_ms),
        );
    }
    out.push_str("</table>\n");
}

/// Answers a second, what waits, memory.
fn panels(report: &Report) -> Vec<Panel> {
    let kinds: [(&str, Count); 3] = [("202", |all| all.yes), ("no", |all| all.no), ("possibly", |all| all.possibly)];
    let points = |of: Count| report.seconds.iter().map(|(at, all)| (*at, of(all) as f64)).collect();
    let lines = kinds.into_iter().zip(CLASSES);
    let lines = lines.map(|((name, of), class)| Line { class, name: name.to_owned(), points: points(of) });
    vec![
        Panel { title: "orders a second, by answer", lines: lines.collect() },
        seen(
            report,
            "offsets that wait",
            |look, name| look.lag.get(name).map(|lag| *lag as f64),
            |look| look.lag.keys().cloned().collect(),
        ),
        seen(
            report,
            "memory of our processes, MiB",
            |look, name| look.rss_mib.get(name).map(|mib| *mib as f64),
            |look| look.rss_mib.keys().cloned().collect(),
        ),
    ]
}

/// A line for each name that was ever seen.
fn seen(
    report: &Report,
    title: &'static str,
    value: impl Fn(&Look, &str) -> Option<f64>,
    names: impl Fn(&Look) -> Vec<String>,
) -> Panel {
    let all: BTreeSet<String> = report.looks.iter().flat_map(names).collect();
    let points = |name: &str| report.looks.iter().filter_map(|look| Some((look.at_ms, value(look, name)?))).collect();
    let lines = all.into_iter().zip(CLASSES.into_iter().cycle().skip(3));
    let lines = lines.map(|(name, class)| Line { class, points: points(&name), name: escape(&name) });
    Panel { title, lines: lines.collect() }
}

fn shades(report: &Report) -> Vec<Shade> {
    report
        .faults
        .iter()
        .flat_map(|it| [("fault", it.from_ms, it.until_ms), ("back", it.until_ms, it.moved_ms)])
        .collect()
}

/// From the first moment that is known to the last.
fn span(report: &Report) -> Option<(i64, i64)> {
    let sent = report.seconds.iter().map(|(at, _)| *at);
    let all = || sent.clone().chain(report.looks.iter().map(|look| look.at_ms));
    Some((all().min()?, all().max()?))
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}

/// What a server said may hold anything.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
