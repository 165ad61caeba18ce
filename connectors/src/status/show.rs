//! How a status reads for people.

use std::fmt::Write as _;

use super::{DeadLetters, Healer, Report, Row, Task, Versions};
use crate::connect::RUNNING;
use crate::decode::plain;

/// The report as a table for people.
#[must_use]
pub fn table(report: &Report) -> String {
    let mut text = rows(&report.connectors);
    if report.connectors.is_empty() {
        let _ = writeln!(text, "nothing is deployed; run `connectors apply`");
    }
    if let Some(waiting) = waiting(&report.dead_letters) {
        let _ = writeln!(text, "{waiting}");
    }
    if let Some(healers) = &report.healers {
        let _ = writeln!(text, "healers: {}", healing_by(healers));
    } else if let Some(why) = &report.healers_unknown {
        let _ = writeln!(text, "healers: not known: {}", plain(why));
    }
    let Versions { connect, transforms } = &report.versions;
    if connect.is_some() || transforms.is_some() {
        let of = |version: &Option<String>| version.as_deref().map_or_else(|| "-".to_owned(), plain);
        let _ = writeln!(text, "versions: Kafka Connect {}, transforms {}", of(connect), of(transforms));
    }
    for reason in &report.unreachable {
        let _ = writeln!(text, "cannot ask {}", plain(reason));
    }
    text
}

fn rows(rows: &[Row]) -> String {
    let head = ["NAME", "KIND", "STATE", "TASKS", "LAG", "VERSION"].map(str::to_owned);
    let cells: Vec<[String; 6]> = std::iter::once(head).chain(rows.iter().map(cells)).collect();
    let mut widths = [0_usize; 6];
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for (row, line) in std::iter::once(None).chain(rows.iter().map(Some)).zip(&cells) {
        let padded: Vec<String> = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(text, "{}", padded.join("  ").trim_end());
        for trouble in row.map(troubles).unwrap_or_default() {
            let _ = writeln!(text, "  {trouble}");
        }
    }
    text
}

/// What is wrong with a connector and what is done about it, a line each.
pub(crate) fn troubles(row: &Row) -> Vec<String> {
    let (mut lines, mut reasons): (Vec<String>, Vec<&String>) = (Vec::new(), Vec::new());
    // The tasks of a connector that is held are held with it.
    let told = |task: &&Task| task.state != RUNNING && (task.state != row.state || task.failure.is_some());
    for task in row.tasks.iter().filter(told) {
        let at = task.worker.as_ref().map_or_else(String::new, |worker| format!(" on {worker}"));
        let why = match &task.failure {
            None => String::new(),
            Some(words) if reasons.contains(&words) => ", for the same reason".to_owned(),
            Some(words) => format!(": {words}"),
        };
        reasons.extend(&task.failure);
        lines.push(format!("task {}: {}{at}{why}", task.id, task.state));
    }
    let own = row.failure.as_ref().filter(|words| !reasons.contains(words));
    lines.extend(own.map(|words| format!("failure: {words}")));
    lines.extend(row.degraded.clone());
    lines.extend(row.healing.as_ref().map(|words| format!("healing: {words}")));
    lines.iter().map(|line| plain(line)).collect()
}

/// How many dead letters wait, how old that is, and who shows them; nothing where nobody counted.
pub(crate) fn waiting(letters: &DeadLetters) -> Option<String> {
    let why = letters.unknown.as_deref().map(plain);
    let Some(age) = letters.age_seconds else {
        return why.map(|why| format!("dead letters: not known: {why}"));
    };
    let some = letters.topics.iter().filter(|(_, one)| 0 < one.open || one.at_least);
    let counts: Vec<String> = some
        .map(|(topic, one)| format!("{}{} in {topic}", if one.at_least { "at least " } else { "" }, one.open))
        .collect();
    let (counts, hint) = match counts.as_slice() {
        [] => ("none".to_owned(), ""),
        counts => (counts.join(", "), "; see `connectors dead-letters list`"),
    };
    let age = match (age, why) {
        (0, None) => String::new(),
        (age, None) => format!(" ({age} s ago)"),
        (age, Some(why)) => format!(" ({age} s ago, and not since: {why})"),
    };
    Some(format!("dead letters: {counts}{age}{hint}"))
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

fn cells(row: &Row) -> [String; 6] {
    let lag = row.lag.map_or_else(|| "?".to_owned(), |lag| lag.to_string());
    // A name and a version stand for one digest, which is too long for a screen.
    let modules: Vec<&str> = row.modules.iter().map(|module| module.module.as_str()).collect();
    let version = match modules.as_slice() {
        [] => row.version.clone().unwrap_or_else(|| "-".to_owned()),
        modules => modules.join(", "),
    };
    let tasks = format!("{}/{}", row.running, row.tasks.len());
    [plain(&row.name), row.kind.to_owned(), plain(&row.state), tasks, lag, plain(&version)]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::tests::sink;
    use super::super::{Module, PIPELINE};
    use super::*;
    use crate::dead_letters::count::Open;

    #[test]
    fn the_table_has_a_line_a_connector_and_one_for_each_task_that_does_not_run() {
        let well = Row { version: Some("3.6.0.Final".to_owned()), ..sink("a", "RUNNING", 6, 6) };
        let failed = Row {
            failure: Some("Y: no".to_owned()),
            healing: Some("next try in 7 s".to_owned()),
            lag: None,
            ..sink("orders-postgres", "RUNNING", 1, 3)
        };
        let module = |module: &str| Module { module: module.to_owned(), digest: Some("0123456789abcdef".to_owned()) };
        let pipeline = Row {
            kind: PIPELINE,
            version: Some("c@1.0.0+sha256:0123456789ab,e@1.1.0+sha256:0123456789ab".to_owned()),
            modules: vec![module("c@1.0.0"), module("e@1.1.0")],
            ..sink("p", "RUNNING", 2, 2)
        };
        let expected = "\
NAME             KIND      STATE    TASKS  LAG  VERSION
a                sink      RUNNING  6/6    7    3.6.0.Final
orders-postgres  sink      RUNNING  1/3    ?    -
  task 1: FAILED on w:8083: Y: no
  task 2: FAILED on w:8083, for the same reason
  healing: next try in 7 s
p                pipeline  RUNNING  2/2    7    c@1.0.0, e@1.1.0
";
        let connectors = vec![well, failed, pipeline];
        assert_eq!(table(&Report { connectors, ..Report::default() }), expected);
    }

    #[test]
    fn a_held_connector_says_so_once_and_its_own_failure_is_told_beside_its_tasks() {
        let mut held = sink("s", "PAUSED", 0, 2);
        for task in &mut held.tasks {
            (task.state, task.failure) = ("PAUSED".to_owned(), None);
        }
        assert_eq!(troubles(&held), [""; 0]);
        let moved = Row { state: RUNNING.to_owned(), ..held };
        assert_eq!(troubles(&moved), ["task 0: PAUSED on w:8083", "task 1: PAUSED on w:8083"]);
        let failed = Row { failure: Some("X: own\u{1b}[2J".to_owned()), ..sink("s", "FAILED", 0, 1) };
        assert_eq!(troubles(&failed), ["task 0: FAILED on w:8083: Y: no", "failure: X: own\u{fffd}[2J"]);
    }

    #[test]
    fn a_pipeline_that_runs_another_version_says_so_in_a_line_of_its_own_and_stays_well() {
        let degraded = "DEGRADED: file says m@2.0.0, running m@1.0.0, because it\ntrapped; change the file".to_owned();
        let row = Row { kind: PIPELINE, degraded: Some(degraded), ..sink("p", RUNNING, 2, 2) };
        let told = "DEGRADED: file says m@2.0.0, running m@1.0.0, because it\u{fffd}trapped; change the file";
        assert_eq!(troubles(&row), [told]);
        assert!(row.is_well());
    }

    #[test]
    fn dead_letters_are_told_with_their_age_and_why_they_are_not_known() {
        let told = |topics: &[(&str, u64, bool)], age_seconds, unknown: Option<&str>| {
            let topics = topics
                .iter()
                .map(|(topic, open, at_least)| ((*topic).to_owned(), Open { open: *open, at_least: *at_least }));
            let unknown = unknown.map(str::to_owned);
            waiting(&DeadLetters { topics: topics.collect::<BTreeMap<_, _>>(), age_seconds, unknown })
        };
        assert_eq!(told(&[], None, None), None);
        assert_eq!(told(&[], None, Some("away")).as_deref(), Some("dead letters: not known: away"));
        assert_eq!(told(&[("a", 0, false)], Some(0), None).as_deref(), Some("dead letters: none"));
        let some = [("a", 3, false), ("b", 0, false), ("c", 10_000, true), ("d", 0, true)];
        let counts = "dead letters: 3 in a, at least 10000 in c, at least 0 in d";
        let hint = "; see `connectors dead-letters list`";
        assert_eq!(told(&some, Some(0), None), Some(format!("{counts}{hint}")));
        assert_eq!(told(&some, Some(7), None), Some(format!("{counts} (7 s ago){hint}")));
        let old = told(&some, Some(70), Some("away"));
        assert_eq!(old, Some(format!("{counts} (70 s ago, and not since: away){hint}")));
    }

    #[test]
    fn versions_are_told_where_a_server_tells_one() {
        let versions = |connect: Option<&str>, transforms: Option<&str>| {
            let (connect, transforms) = (connect.map(str::to_owned), transforms.map(str::to_owned));
            table(&Report { versions: Versions { connect, transforms }, ..Report::default() })
        };
        let both = versions(Some("4.2.2"), Some("0.1.0"));
        assert!(both.ends_with("versions: Kafka Connect 4.2.2, transforms 0.1.0\n"), "{both}");
        let one = versions(None, Some("0.1.0"));
        assert!(one.ends_with("versions: Kafka Connect -, transforms 0.1.0\n"), "{one}");
        assert!(!versions(None, None).contains("versions"));
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
        let unknown = Report { healers_unknown: Some("no right".to_owned()), ..Report::default() };
        assert!(table(&unknown).ends_with("healers: not known: no right\n"), "{}", table(&unknown));
    }
}
