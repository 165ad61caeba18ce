//! A report for people: before and after, field by field, and a line that sums it up.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::fields::{Change, Field};
use super::report::{Judged, Outcome, Report, is_same};

/// How it looks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look {
    /// With a terminal's colours.
    pub colour: bool,
    /// So many orders one by one; all of them are in the sums.
    pub orders: usize,
}

const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const BOLD: &str = "1";
const DIM: &str = "2";

/// A value is cut here.
const MAX_VALUE: usize = 60;
/// Lines of the log.
const MAX_LINES: usize = 10;

impl Look {
    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// The whole report, with a line end behind it.
    #[must_use]
    pub fn report(self, report: &Report) -> String {
        let mut out = self.paint(BOLD, &plain(&report.module));
        for (name, value) in &report.parameters {
            let _ = write!(out, "  {name}={value}");
        }
        out.push_str("\n\n");
        let of_interest =
            |judged: &&Judged| !matches!(&judged.outcome, Outcome::Emitted { outputs } if is_same(outputs));
        let shown: Vec<&Judged> = report.records.iter().filter(of_interest).collect();
        for judged in shown.iter().take(self.orders) {
            self.judged(judged, &mut out);
        }
        if shown.len() > self.orders {
            let _ = writeln!(out, "… and {} more orders; by field:", shown.len() - self.orders);
            self.by_field(report, &mut out);
        }
        self.said(report, &mut out);
        out.push_str(&self.sums(report));
        out
    }

    fn judged(self, judged: &Judged, out: &mut String) {
        let key = judged.key.as_deref().unwrap_or("no key");
        let head = format!("{}  {}", self.paint(DIM, &judged.at), shortened(key));
        let (colour, words) = match &judged.outcome {
            Outcome::Emitted { outputs } if outputs.len() == 1 => (GREEN, "changed".to_owned()),
            Outcome::Emitted { outputs } => (GREEN, format!("{} records", outputs.len())),
            Outcome::Dropped => (YELLOW, "dropped".to_owned()),
            Outcome::Rejected { reason } => (YELLOW, format!("rejected: {}", plain_lines(reason))),
            Outcome::Broken { kind, reason } => (RED, format!("broken ({kind}): {}", plain_lines(reason))),
            Outcome::Unread { reason } => (RED, format!("refused before the module: {}", plain_lines(reason))),
        };
        let _ = writeln!(out, "{head}  {}", self.paint(colour, &words));
        let Outcome::Emitted { outputs } = &judged.outcome else { return };
        for (at, output) in outputs.iter().enumerate() {
            if outputs.len() > 1 {
                let _ = writeln!(out, "  record {} of {}", at + 1, outputs.len());
            }
            self.changes(&output.changes, out);
        }
    }

    /// What is different in one record, a line a field.
    pub fn changes(self, changes: &[Change], out: &mut String) {
        let width = changes.iter().map(|change| change.path.chars().count()).max().unwrap_or(0);
        for change in changes {
            // That of a header is anybody's.
            let path = plain(&change.path);
            let (before, after) = (side(change.before.as_ref()), side(change.after.as_ref()));
            let (before, after) = (self.paint(RED, &before), self.paint(GREEN, &after));
            let _ = writeln!(out, "  {path:width$}  {before} → {after}");
        }
    }

    /// In how many orders each field changed, with one of them.
    fn by_field(self, report: &Report, out: &mut String) {
        let mut fields: BTreeMap<&str, (usize, &Change)> = BTreeMap::new();
        for judged in &report.records {
            let Outcome::Emitted { outputs } = &judged.outcome else { continue };
            for change in outputs.iter().flat_map(|output| &output.changes) {
                fields.entry(&change.path).or_insert((0, change)).0 += 1;
            }
        }
        let width = fields.keys().map(|path| path.chars().count()).max().unwrap_or(0);
        for (path, (count, change)) in fields.iter().take(40) {
            let path = plain(path);
            let (before, after) = (side(change.before.as_ref()), side(change.after.as_ref()));
            let (before, after) = (self.paint(RED, &before), self.paint(GREEN, &after));
            let _ = writeln!(out, "  {path:width$}  {count} times, such as {before} → {after}");
        }
    }

    fn said(self, report: &Report, out: &mut String) {
        for line in report.log.iter().take(MAX_LINES) {
            let head = self.paint(DIM, &format!("log {}:", line.level));
            let _ = writeln!(out, "{head} {}", plain_lines(&line.text));
        }
        for (name, count) in &report.counters {
            let _ = writeln!(out, "{} {count}", self.paint(DIM, &format!("counted {}:", plain(name))));
        }
    }

    fn sums(self, report: &Report) -> String {
        let counts = report.counts;
        let named = [
            (counts.changed, "changed"),
            (counts.unchanged, "unchanged"),
            (counts.dropped, "dropped"),
            (counts.rejected, "rejected"),
            (counts.broken, "broken"),
            (counts.unread, "refused before the module"),
        ];
        let named: Vec<String> =
            named.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}")).collect();
        let time = report.time.map_or_else(String::new, |time| format!("; {} a record", duration(time)));
        format!("\n{} orders: {}{time}\n", report.records.len(), named.join(", "))
    }
}

/// A value for people; what is not there is a dash.
fn side(field: Option<&Field>) -> String {
    let text = field.map_or("–", |field| field.read.as_deref().unwrap_or(&field.json));
    shortened(text)
}

/// Cut, and without what a terminal would take for a command: orders are written by anybody.
fn shortened(text: &str) -> String {
    let mut cut: String = plain(text).chars().take(MAX_VALUE).collect();
    if cut.len() < text.len() && text.chars().count() > MAX_VALUE {
        cut.push('…');
    }
    cut
}

/// Without what a terminal would take for a command.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().map(harmless).collect()
}

/// The same of a text of several lines, which it stays.
#[must_use]
pub fn plain_lines(text: &str) -> String {
    text.chars().map(|letter| if letter == '\n' { letter } else { harmless(letter) }).collect()
}

/// The same of an error with its causes: what a module, a customer or another process said may stand in it.
#[must_use]
pub fn plain_error(error: &anyhow::Error) -> anyhow::Error {
    anyhow::Error::msg(plain_lines(&format!("{error:#}")))
}

fn harmless(letter: char) -> char {
    if letter.is_control() { '\u{fffd}' } else { letter }
}

/// Three digits and a unit.
#[must_use]
pub fn duration(time: Duration) -> String {
    let nanos = time.as_nanos();
    match nanos {
        0..1_000 => format!("{nanos} ns"),
        1_000..1_000_000 => format!("{:.1} µs", time.as_secs_f64() * 1e6),
        1_000_000..1_000_000_000 => format!("{:.1} ms", time.as_secs_f64() * 1e3),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::author::report::{Counts, Line, Output};

    fn judged(at: &str, outcome: Outcome) -> Judged {
        Judged { at: at.to_owned(), key: Some(format!("o-{at}")), outcome }
    }

    fn changed(before: &str, after: &str) -> Outcome {
        let field = |json: &str| Some(Field { path: "channel".to_owned(), json: json.to_owned(), read: None });
        let change = Change { path: "channel".to_owned(), before: field(before), after: field(after) };
        Outcome::Emitted { outputs: vec![Output { changes: vec![change] }] }
    }

    fn report(records: Vec<Judged>) -> Report {
        let counts = Counts::of(records.iter().map(|judged| &judged.outcome));
        Report {
            module: "m@1.0.0".to_owned(),
            parameters: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
            records,
            counts,
            time: Some(Duration::from_micros(2)),
            log: vec![Line { level: "warn", text: "look".to_owned() }],
            counters: BTreeMap::from([("seen".to_owned(), 7)]),
        }
    }

    #[test]
    fn each_kind_of_outcome_is_shown_and_summed_up_and_what_stays_as_it_was_only_summed_up() {
        let reason = "no".to_owned();
        let all = report(vec![
            judged("1", changed("null", "\"web\"")),
            judged("2", Outcome::Emitted { outputs: vec![Output { changes: Vec::new() }] }),
            judged("3", Outcome::Dropped),
            judged("4", Outcome::Rejected { reason: reason.clone() }),
            judged("5", Outcome::Broken { kind: "trap", reason: reason.clone() }),
            judged("6", Outcome::Unread { reason }),
        ]);
        assert_eq!(
            Look { colour: false, orders: 9 }.report(&all),
            "m@1.0.0  a=b\n\n1  o-1  changed\n  channel  null → \"web\"\n3  o-3  dropped\n4  o-4  rejected: no\n\
             5  o-5  broken (trap): no\n6  o-6  refused before the module: no\nlog warn: look\ncounted seen: 7\n\n\
             6 orders: 1 changed, 1 unchanged, 1 dropped, 1 rejected, 1 broken, 1 refused before the module; 2.0 µs a \
             record\n"
        );
    }

    #[test]
    fn more_orders_than_are_shown_are_told_by_field() {
        let many = report((0..5).map(|at| judged(&at.to_string(), changed("1", "2"))).collect());
        let shown = Look { colour: false, orders: 1 }.report(&many);
        assert!(shown.contains("0  o-0  changed\n") && !shown.contains("o-1"), "{shown}");
        let words = "… and 4 more orders; by field:\n  channel  5 times, such as 1 → 2\n";
        assert!(shown.contains(words), "{shown}");
    }

    #[test]
    fn what_a_terminal_would_take_for_a_command_is_not_shown_whoever_said_it() {
        let evil = "\u{1b}[2J";
        let header = |json: &str| Some(Field { path: "header x".to_owned(), json: json.to_owned(), read: None });
        let change = Change { path: format!("header {evil}"), before: header("1"), after: header(evil) };
        let reason = format!("no {evil}\nat all");
        let mut all = report(vec![
            judged(evil, changed("1", "2")),
            judged("2", Outcome::Emitted { outputs: vec![Output { changes: vec![change] }] }),
            judged("3", Outcome::Rejected { reason: reason.clone() }),
            judged("4", Outcome::Broken { kind: "trap", reason: reason.clone() }),
            judged("5", Outcome::Unread { reason: reason.clone() }),
        ]);
        all.records[0].at = "1".to_owned();
        (all.log[0].text, all.module) = (reason, format!("m@{evil}"));
        all.counters = BTreeMap::from([(evil.to_owned(), 7)]);
        // With all orders one by one, and summed up by field.
        for orders in [9, 0] {
            let shown = Look { colour: false, orders }.report(&all);
            assert!(!shown.contains('\u{1b}'), "{shown:?}");
            for words in
                ["m@\u{fffd}[2J", "header \u{fffd}[2J  ", "warn: no \u{fffd}[2J\nat all", "counted \u{fffd}[2J:"]
            {
                assert!(shown.contains(words), "no {words:?} in {shown:?}");
            }
        }
        let shown = Look { colour: true, orders: 9 }.report(&all);
        assert!(shown.contains("o-\u{fffd}[2J"), "{shown:?}");
        assert!(shown.contains("\u{1b}[31m1\u{1b}[0m → \u{1b}[32m2\u{1b}[0m"), "our own colours stay: {shown:?}");
        let error = plain_error(&anyhow::anyhow!("said {evil}").context("it\nfailed"));
        assert_eq!(error.to_string(), "it\nfailed: said \u{fffd}[2J");
    }
}
