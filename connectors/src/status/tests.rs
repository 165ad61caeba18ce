//! What a status says of each connector.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::dead_letters::count::Open;

/// A sink whose tasks run but for the last ones, which have failed.
pub(crate) fn sink(name: &str, state: &str, running: i32, tasks: i32) -> Row {
    let task = |id| Task {
        id,
        state: if id < running { RUNNING } else { "FAILED" }.to_owned(),
        worker: Some("w:8083".to_owned()),
        failure: (running <= id).then(|| "Y: no".to_owned()),
    };
    Row {
        name: name.to_owned(),
        kind: SINK,
        state: state.to_owned(),
        running: usize::try_from(running).unwrap(),
        tasks: (0..tasks).map(task).collect(),
        lag: Some(7),
        ..Row::default()
    }
}

fn asked(tasks: &[(&str, &str)]) -> Asked {
    let part = |(id, (state, trace)): (i32, &(&str, &str))| Part {
        id,
        state: (*state).to_owned(),
        worker_id: Some(format!("w{id}:8083")),
        trace: (!trace.is_empty()).then(|| (*trace).to_owned()),
        ..Part::default()
    };
    let status = Status {
        name: "s".to_owned(),
        connector: Part { state: RUNNING.to_owned(), ..Part::default() },
        tasks: (0..).zip(tasks).map(part).collect(),
        ..Status::default()
    };
    (SINK, status, Settings::new())
}

#[test]
fn a_connector_is_well_only_with_all_its_tasks() {
    assert!(sink("a", "RUNNING", 2, 2).is_well());
    for row in
        [sink("a", "RUNNING", 1, 2), sink("a", "RUNNING", 0, 0), sink("a", "FAILED", 2, 2), sink("a", "PAUSED", 2, 2)]
    {
        assert!(!row.is_well(), "{row:?}");
    }
}

#[test]
fn of_two_tasks_the_one_that_failed_says_why_and_a_version_that_is_not_told_is_none() {
    let trace = "a.b.ConnectException: gave up\n\tat x\nCaused by: c.PSQLException: no such table\n";
    let asked = asked(&[("RUNNING", "left over from before"), ("FAILED", trace)]);
    let row = row(&asked, &Told::default(), &Lags::new(), &Value::Null);
    let shown = serde_json::to_value(&row).unwrap();
    let why = "ConnectException: gave up <- PSQLException: no such table";
    assert_eq!(
        shown,
        json!({
            "name": "s", "kind": "sink", "state": "RUNNING", "running": 1,
            "tasks": [
                {"id": 0, "state": "RUNNING", "worker": "w0:8083", "failure": null},
                {"id": 1, "state": "FAILED", "worker": "w1:8083", "failure": why},
            ],
            "lag": null, "rate": null, "partitions": [], "version": null, "modules": [], "degraded": null, "failure": why,
            "healing": null,
        })
    );
}

#[test]
fn only_a_pipeline_is_degraded_and_says_why_and_the_way_out() {
    let went_back = "DEGRADED: file says m@2.0.0, running m@1.0.0, since 3, because it trapped (found by a)";
    let parked = "PARKED since 5, because b (found by a); resume or restart it, or change its config";
    let degraded = |kind, trace: &str| {
        let connector = Part { state: RUNNING.to_owned(), trace: Some(trace.to_owned()), ..Part::default() };
        let asked = (kind, Status { connector, ..Status::default() }, Settings::new());
        row(&asked, &Told::default(), &Lags::new(), &Value::Null).degraded
    };
    let way_out = "change the file, or apply it with --force";
    assert_eq!(degraded(PIPELINE, went_back), Some(format!("{went_back}; {way_out}")));
    let both = format!("the registry is away; {went_back}; {parked}");
    assert_eq!(degraded(PIPELINE, &both), Some(format!("{went_back}; {parked}; {way_out}")));
    assert_eq!(degraded(PIPELINE, parked).as_deref(), Some(parked));
    assert_eq!(degraded(PIPELINE, "the registry is away"), None);
    assert_eq!(degraded(SINK, went_back), None, "a record may have said so");
}

#[test]
fn the_whole_report_has_a_shape_that_programs_can_rely_on() {
    let count = |open, at_least| Open { open, at_least };
    let topics = BTreeMap::from([("a".to_owned(), count(3, false)), ("b".to_owned(), count(10_000, true))]);
    let report = Report {
        dead_letters: DeadLetters { topics, age_seconds: Some(4), unknown: None },
        healers: Some(vec![Healer { name: "h".to_owned(), on_duty: true }]),
        versions: Versions { connect: Some("4.2.2".to_owned()), transforms: None },
        ..Report::default()
    };
    assert_eq!(
        serde_json::to_value(&report).unwrap(),
        json!({
            "ok": false, "connectors": [],
            "deadLetters": {
                "topics": {"a": {"open": 3, "atLeast": false}, "b": {"open": 10_000, "atLeast": true}},
                "ageSeconds": 4, "unknown": null,
            },
            "healers": [{"name": "h", "onDuty": true}], "healersUnknown": null,
            "versions": {"connect": "4.2.2", "transforms": null},
            "unreachable": [],
        })
    );
}
