//! How a status reads for people.

use std::fmt::Write as _;

use super::{Healer, Report, Row};
use crate::decode::plain;

/// The report as a table for people.
#[must_use]
pub fn table(report: &Report) -> String {
    let head = ["NAME", "KIND", "STATE", "TASKS", "LAG"].map(str::to_owned);
    let cells: Vec<[String; 5]> = std::iter::once(head).chain(report.connectors.iter().map(cells)).collect();
    let mut widths = [0_usize; 5];
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for (row, line) in std::iter::once(None).chain(report.connectors.iter().map(Some)).zip(&cells) {
        let padded: Vec<String> = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(text, "{}", padded.join("  ").trim_end());
        for (label, words) in row.into_iter().flat_map(|row| [("failure", &row.failure), ("healing", &row.healing)]) {
            if let Some(words) = words {
                let _ = writeln!(text, "  {label}: {}", plain(words));
            }
        }
    }
    if report.connectors.is_empty() {
        let _ = writeln!(text, "nothing is deployed; run `connectors apply`");
    }
    if let Some(healers) = &report.healers {
        let _ = writeln!(text, "healers: {}", healing_by(healers));
    }
    for reason in &report.unreachable {
        let _ = writeln!(text, "cannot ask {}", plain(reason));
    }
    text
}

/// Who restarts what failed, and who would follow.
fn healing_by(healers: &[Healer]) -> String {
    let of = |on_duty: bool| -> Vec<String> {
        healers.iter().filter(|healer| healer.on_duty == on_duty).map(|healer| plain(&healer.name)).collect()
    };
    let (acts, waits) = (of(true).join(", "), of(false).join(", "));
    match (acts.as_str(), waits.as_str()) {
        ("", "") => "none; what fails stays so until `connectors serve` runs".to_owned(),
        ("", waits) => format!("nobody is on duty yet; {waits} standing by"),
        (acts, "") => format!("{acts} on duty"),
        (acts, waits) => format!("{acts} on duty; {waits} standing by"),
    }
}

fn cells(row: &Row) -> [String; 5] {
    let lag = row.lag.map_or_else(|| "?".to_owned(), |lag| lag.to_string());
    [plain(&row.name), row.kind.to_owned(), plain(&row.state), format!("{}/{}", row.running, row.tasks), lag]
}

#[cfg(test)]
mod tests {
    use super::super::tests::sink;
    use super::*;

    #[test]
    fn the_table_has_a_line_a_connector_and_names_failures() {
        let failed = Row { failure: Some("Y: no".to_owned()), lag: None, ..sink("orders-postgres", "RUNNING", 0, 2) };
        let report = Report { connectors: vec![sink("a", "RUNNING", 6, 6), failed], ..Report::default() };
        let expected = "\
NAME             KIND  STATE    TASKS  LAG
a                sink  RUNNING  6/6    7
orders-postgres  sink  RUNNING  0/2    ?
  failure: Y: no
";
        assert_eq!(table(&report), expected);
    }

    #[test]
    fn who_heals_is_told_where_kafka_told_it() {
        for (healers, told) in [
            (&[][..], "none; what fails stays so until `connectors serve` runs"),
            (&[("a", true)], "a on duty"),
            (&[("a", false), ("b", true), ("c", false)], "b on duty; a, c standing by"),
            (&[("a", false)], "nobody is on duty yet; a standing by"),
            (&[("a\u{1b}[2J", true)], "a\u{fffd}[2J on duty"),
        ] {
            let healer = |(name, on_duty): &(&str, bool)| Healer { name: (*name).to_owned(), on_duty: *on_duty };
            let healers = healers.iter().map(healer).collect();
            let report = Report { healers: Some(healers), ..Report::default() };
            assert!(table(&report).ends_with(&format!("healers: {told}\n")), "{}", table(&report));
        }
        assert!(!table(&Report::default()).contains("healers"));
    }
}
