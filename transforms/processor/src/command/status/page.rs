//! The report for people: what is wrong stands above what is.

use std::fmt::Write;

use super::{Module, Partition, Pipeline, Report, Slot};
use crate::command::table;

/// Partitions of which each is shown; with more, only those that lag.
const MAX_PARTITIONS: usize = 24;

pub(super) fn text(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(out, "transforms {} at {}", report.version, report.url);
    if report.pipelines.is_empty() {
        let _ = writeln!(out, "\nno pipelines; `connectors apply` deploys those of connectors/*.json");
    }
    for pipeline in &report.pipelines {
        out.push('\n');
        one(&mut out, pipeline);
    }
    out
}

fn one(out: &mut String, pipeline: &Pipeline) {
    let Pipeline { name, state, reads, writes, .. } = pipeline;
    let schema = pipeline.output_schema_id.map(|id| format!(", schema id {id}")).unwrap_or_default();
    let _ = writeln!(out, "{name}  {state}  {reads} -> {writes}{schema}");
    for degraded in &pipeline.degraded {
        let _ = writeln!(out, "  {degraded}");
    }
    if let Some(waits) = &pipeline.waits {
        let _ = writeln!(out, "  waits: {waits}");
    }
    if matches!(state.as_str(), "PAUSED" | "STOPPED") {
        let _ = writeln!(out, "  held by operator; `resume` lets it go on");
    }
    for slot in &pipeline.slots {
        troubles(out, slot);
    }
    if pipeline.modules.is_empty() {
        let _ = writeln!(out, "  no modules: records are copied");
    }
    let modules: Vec<[String; 4]> = pipeline.modules.iter().map(module).collect();
    table::write(out, 2, ["ALIAS", "MODULE", "DIGEST", "CONFIG SAYS"], &modules);
    let slots: Vec<[String; 5]> = pipeline.slots.iter().map(slot).collect();
    table::write(out, 2, ["SLOT", "STATE", "PARTITIONS", "IN FLIGHT", "REBUILDS"], &slots);
    if let Some(unknown) = &pipeline.lag_unknown {
        let _ = writeln!(out, "  lag unknown: {unknown}");
        return;
    }
    let lag = pipeline.lag.map_or_else(|| "?".to_owned(), |lag| lag.to_string());
    let rate = pipeline.rate.map(|rate| format!(", {rate:.1} records/s")).unwrap_or_default();
    let _ = writeln!(out, "  lag {lag}{rate}");
    let all = pipeline.partitions.len() <= MAX_PARTITIONS;
    let shown = pipeline.partitions.iter().filter(|partition| all || 0 < partition.lag);
    let partitions: Vec<[String; 5]> = shown.map(partition).collect();
    table::write(out, 2, ["PARTITION", "COMMITTED", "END", "LAG", "RECORDS/S"], &partitions);
}

fn troubles(out: &mut String, slot: &Slot) {
    let id = slot.id;
    if let Some(held) = &slot.held_back {
        let _ = writeln!(out, "  slot {id} holds a batch back: {held}");
    }
    for gap in &slot.gaps {
        let _ = writeln!(out, "  slot {id}: {gap}");
    }
    if let Some(error) = &slot.last_error {
        let _ = writeln!(out, "  slot {id}, last error: {error}");
    }
}

fn module(module: &Module) -> [String; 4] {
    [module.alias.clone(), module.module.clone(), table::short_digest(&module.digest), module.wanted.clone()]
}

fn slot(slot: &Slot) -> [String; 5] {
    let partitions = if slot.partitions.is_empty() { "none".to_owned() } else { ranges(&slot.partitions) };
    [slot.id.to_string(), slot.state.clone(), partitions, slot.in_flight.to_string(), slot.rebuilds.to_string()]
}

fn partition(partition: &Partition) -> [String; 5] {
    [
        format!("{}-{}", partition.topic, partition.partition),
        partition.committed.map_or_else(|| "-".to_owned(), |at| at.to_string()),
        partition.end.to_string(),
        partition.lag.to_string(),
        partition.rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}")),
    ]
}

/// `in-0, in-1, in-2, in-5` as `in 0-2 5`: a slot may have a hundred.
fn ranges(partitions: &[String]) -> String {
    let mut places: Vec<(&str, i64)> = partitions
        .iter()
        .filter_map(|place| place.rsplit_once('-'))
        .filter_map(|(topic, number)| Some((topic, number.parse().ok()?)))
        .collect();
    places.sort_unstable();
    let mut runs: Vec<(&str, i64, i64)> = Vec::new();
    for (topic, number) in places {
        match runs.last_mut() {
            Some((last, _, end)) if *last == topic && *end + 1 == number => *end = number,
            _ => runs.push((topic, number, number)),
        }
    }
    let mut out = String::new();
    let mut before = "";
    for (topic, from, to) in runs {
        if topic != before {
            let _ = write!(out, "{}{topic}", if before.is_empty() { "" } else { ", " });
        }
        before = topic;
        let _ = if from == to { write!(out, " {from}") } else { write!(out, " {from}-{to}") };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sick() -> Pipeline {
        Pipeline {
            name: "p".to_owned(),
            state: "RUNNING".to_owned(),
            reads: "in".to_owned(),
            writes: "out".to_owned(),
            output_schema_id: Some(7),
            degraded: vec![
                "DEGRADED: file says enrich@1.4.0, running 1.3.2, since 03:00, because it trapped".to_owned(),
            ],
            waits: Some("the registry".to_owned()),
            modules: vec![Module {
                alias: "e".to_owned(),
                wanted: "enrich@1".to_owned(),
                module: "enrich@1.3.2".to_owned(),
                digest: "ab".repeat(32),
            }],
            slots: vec![Slot {
                id: 0,
                state: "FAILED".to_owned(),
                partitions: ["in-0", "in-2", "in-1", "in-11", "other-4"].map(str::to_owned).to_vec(),
                in_flight: 3,
                rebuilds: 1,
                held_back: Some("the registry is away".to_owned()),
                gaps: vec!["partition 4 of other is stopped".to_owned()],
                last_error: Some("it broke".to_owned()),
            }],
            lag: Some(5),
            rate: Some(2.5),
            partitions: vec![Partition {
                topic: "in".to_owned(),
                partition: 0,
                committed: None,
                end: 5,
                lag: 5,
                rate: Some(2.5),
            }],
            ..Pipeline::default()
        }
    }

    #[test]
    fn what_is_wrong_stands_above_what_is() {
        let report = Report { url: "u".to_owned(), version: "0.1.0".to_owned(), ok: false, pipelines: vec![sick()] };
        let expected = "\
transforms 0.1.0 at u

p  RUNNING  in -> out, schema id 7
  DEGRADED: file says enrich@1.4.0, running 1.3.2, since 03:00, because it trapped
  waits: the registry
  slot 0 holds a batch back: the registry is away
  slot 0: partition 4 of other is stopped
  slot 0, last error: it broke
  ALIAS  MODULE        DIGEST               CONFIG SAYS
  e      enrich@1.3.2  sha256:abababababab  enrich@1
  SLOT  STATE   PARTITIONS          IN FLIGHT  REBUILDS
  0     FAILED  in 0-2 11, other 4  3          1
  lag 5, 2.5 records/s
  PARTITION  COMMITTED  END  LAG  RECORDS/S
  in-0       -          5    5    2.5
";
        assert_eq!(text(&report), expected);
    }

    #[test]
    fn each_hindrance_alone_is_told_as_not_well() {
        let well = || Pipeline {
            slots: vec![Slot { state: "RUNNING".to_owned(), ..Slot::default() }],
            state: "RUNNING".to_owned(),
            ..Pipeline::default()
        };
        assert!(well().is_well());
        assert!(Pipeline { state: "PAUSED".to_owned(), ..well() }.is_well(), "an operator holds it");
        let slot = |slot: Slot| Pipeline { slots: vec![slot], ..well() };
        for sick in [
            Pipeline { waits: Some("w".to_owned()), ..well() },
            Pipeline { degraded: vec!["d".to_owned()], ..well() },
            Pipeline { state: "UNASSIGNED".to_owned(), ..well() },
            slot(Slot { state: "FAILED".to_owned(), ..Slot::default() }),
            slot(Slot { state: "RUNNING".to_owned(), held_back: Some("h".to_owned()), ..Slot::default() }),
            slot(Slot { state: "RUNNING".to_owned(), gaps: vec!["g".to_owned()], ..Slot::default() }),
        ] {
            assert!(!sick.is_well(), "{sick:?}");
        }
    }
}
