//! The deploy step's last parts against a stub of Kafka Connect and of `transforms`.

use std::fs;
use std::time::Duration;

use connectors::apply::{ApplyError, Change, Target, modules, pipelines, sinks};
use connectors::config::Postgres as PostgresSettings;
use connectors::connect::Connect;
use connectors::elastic::Elastic;
use connectors::files::{self, Connector, Index};
use connectors::names::{JDBC_CLASS, PIPELINE_CLASS};
use connectors::postgres::Postgres;
use schemas::mark::{APPLIED, OWNER, marked};
use serde_json::{Value, json};

use crate::command::Folder;
use crate::plan::file;
use crate::stub::{Stub, missing, status};

/// Nothing listens at port 1: a step must not ask servers that are not its own.
pub(crate) fn target(stub: &Stub, wait: Duration) -> Target {
    let nowhere = "http://127.0.0.1:1";
    Target {
        kafka: "127.0.0.1:1".into(),
        registry: schemas::registry::Registry::new(nowhere).unwrap(),
        postgres: Postgres::new(&PostgresSettings {
            host: "127.0.0.1".to_owned(),
            port: 1,
            db: String::new(),
            user: String::new(),
            password: String::new().into(),
        }),
        elastic: Elastic::new(nowhere).unwrap(),
        transforms: Connect::new(&stub.url()).unwrap(),
        connect: Connect::new(&stub.url()).unwrap(),
        wait,
        force: false,
        owner: OWNER.to_owned(),
    }
}

pub(crate) fn sink() -> Connector {
    let settings = [("connector.class", JDBC_CLASS), ("topics", "t"), ("tasks.max", "2")];
    connector("s", &settings)
}

pub(crate) fn connector(name: &str, settings: &[(&str, &str)]) -> Connector {
    let settings = settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Connector { file: format!("{name}.json"), name: name.to_owned(), settings }
}

async fn apply_sink(stub: &Stub, wait: Duration) -> Result<Vec<Change>, ApplyError> {
    let mut changes = Vec::new();
    sinks::apply(&target(stub, wait), &[sink()], &mut |line| changes.push(line.change)).await?;
    Ok(changes)
}

pub(crate) const LONG: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_new_sink_is_validated_put_and_waited_for_through_a_rebalance() {
    let (mut puts, mut looks) = (0, 0);
    let stub = Stub::start(move |line, body| match line {
        "PUT /connectors/s/config" => {
            puts += 1;
            let settings: Value = serde_json::from_slice(body).unwrap();
            assert_eq!(settings["topics"], "t");
            assert_eq!(settings[APPLIED], marked(&sink().settings, OWNER)[APPLIED], "it carries our mark");
            if puts < 3 { (409, json!({"message": "a rebalance is expected"})) } else { (201, json!({})) }
        }
        "GET /connectors/s/config" => missing(),
        "GET /connectors/s/status" => {
            looks += 1;
            (200, status("s", if looks < 3 { &["RUNNING", "UNASSIGNED"] } else { &["RUNNING", "RUNNING"] }))
        }
        line if line.ends_with("/config/validate") => (200, json!({"error_count": 0, "configs": []})),
        line => panic!("unexpected {line}"),
    })
    .await;
    assert_eq!(apply_sink(&stub, LONG).await.unwrap(), [Change::Created]);
    assert_eq!(stub.asked("PUT /connectors/s/config").len(), 3);
    assert_eq!(stub.asked("GET /connectors/s/status").len(), 3);
}

#[tokio::test]
async fn a_sink_that_is_as_wanted_is_not_put_again() {
    let stub = Stub::start(|line, _| match line {
        "GET /connectors/s/config" => {
            let mut there = json!(marked(&sink().settings, OWNER));
            there["name"] = json!("s");
            (200, there)
        }
        "GET /connectors/s/status" => (200, status("s", &["RUNNING", "RUNNING"])),
        _ => (200, json!({"configs": []})),
    })
    .await;
    assert_eq!(apply_sink(&stub, LONG).await.unwrap(), [Change::Unchanged]);
    assert_eq!(stub.asked("PUT /connectors/s"), [""; 0]);
}

#[tokio::test]
async fn settings_that_the_plugin_refuses_are_shown_and_not_put() {
    let stub =
        Stub::start(|_, _| (200, json!({"configs": [{"value": {"name": "insert.mode", "errors": ["no such mode"]}}]})))
            .await;
    let err = apply_sink(&stub, LONG).await.unwrap_err().to_string();
    assert!(err.contains("insert.mode: no such mode"), "{err}");
    assert_eq!(stub.asked("PUT /connectors/s"), [""; 0]);
}

/// A PUT is answered before Connect does anything, and for a while the old tasks are shown as RUNNING.
#[tokio::test]
async fn a_task_that_still_runs_with_the_old_settings_does_not_count() {
    let (mut there, mut looks) = (json!({"name": "s", "topics": "old"}), 0);
    let stub = Stub::start(move |line, body| match line {
        "PUT /connectors/s/config" => {
            there = serde_json::from_slice(body).unwrap();
            (200, json!({}))
        }
        "GET /connectors/s/config" => (200, there.clone()),
        "GET /connectors/s/status" => (200, status("s", &["RUNNING", "RUNNING"])),
        "GET /connectors/s/tasks" => {
            looks += 1;
            let mut old = there.clone();
            old[APPLIED] = json!(marked(&sink().settings, "other")[APPLIED]);
            let second = if looks < 4 { old } else { there.clone() };
            (200, json!([{"config": there.clone()}, {"config": second}]))
        }
        line if line.ends_with("/config/validate") => (200, json!({"configs": []})),
        line => panic!("unexpected {line}"),
    })
    .await;
    let mut lines = Vec::new();
    sinks::apply(&target(&stub, LONG), &[sink()], &mut |line| lines.push(line.to_string())).await.unwrap();
    assert_eq!(stub.asked("GET /connectors/s/tasks").len(), 4);
    assert!(lines[0].contains("2 tasks RUNNING with it"), "{lines:?}");
    assert!(lines[0].contains("\n          ~ topics: old -> t"), "what changed is shown: {lines:?}");
}

#[tokio::test]
async fn a_sink_of_other_files_is_not_taken_from_them() {
    let stub = Stub::start(|line, _| match line {
        "GET /connectors/s/config" => (200, json!(marked(&sink().settings, "team-b"))),
        _ => (200, json!({"configs": []})),
    })
    .await;
    let err = apply_sink(&stub, LONG).await.unwrap_err().to_string();
    assert!(err.contains("belongs to `team-b`") && err.contains("--owner team-b"), "{err}");
    assert_eq!(stub.asked("PUT /connectors/s"), [""; 0]);
}

#[tokio::test]
async fn a_sink_that_does_not_come_up_is_named_with_its_reason() {
    let stub = Stub::start(|line, _| match line {
        "GET /connectors/s/config" => missing(),
        "GET /connectors/s/status" => (200, status("s", &["RUNNING", "FAILED"])),
        _ => (200, json!({"configs": []})),
    })
    .await;
    let err = apply_sink(&stub, Duration::from_millis(600)).await.unwrap_err().to_string();
    assert!(err.contains("does not run") && err.contains("B: no"), "{err}");
}

#[tokio::test]
async fn a_sink_that_a_healer_holds_is_waited_for() {
    let mut looks = 0;
    let stub = Stub::start(move |line, _| match line {
        "GET /connectors/s/config" => (200, json!(marked(&sink().settings, OWNER))),
        "GET /connectors/s/status" => {
            looks += 1;
            let mut status = status("s", if looks < 3 { &[] } else { &["RUNNING", "RUNNING"] });
            status["connector"]["state"] = json!(if looks < 3 { "STOPPED" } else { "RUNNING" });
            (200, status)
        }
        "GET /connectors/s-trial/config" => (200, json!({"orderflow.heals": "s"})),
        _ => (200, json!({"configs": []})),
    })
    .await;
    assert_eq!(apply_sink(&stub, LONG).await.unwrap(), [Change::Unchanged]);
    assert_eq!(stub.asked("GET /connectors/s/status").len(), 3);
}

#[tokio::test]
async fn a_sink_that_an_operator_holds_gets_its_settings_and_stays_held() {
    for (state, tasks) in [("PAUSED", &["PAUSED", "PAUSED"][..]), ("STOPPED", &[])] {
        let stub = Stub::start(move |line, _| match line {
            "GET /connectors/s/config" => (200, json!({"name": "s", "topics": "other"})),
            "GET /connectors/s-trial/config" => missing(),
            "GET /connectors/s/status" => {
                let mut held = status("s", tasks);
                held["connector"]["state"] = json!(state);
                (200, held)
            }
            _ => (200, json!({"configs": []})),
        })
        .await;
        let mut lines = Vec::new();
        sinks::apply(&target(&stub, LONG), &[sink()], &mut |line| lines.push(line.to_string())).await.unwrap();
        assert!(lines[0].contains("updated") && lines[0].contains(&format!("held by operator ({state})")), "{lines:?}");
        assert_eq!(stub.asked("PUT /connectors/s"), ["PUT /connectors/s/config"], "nobody resumes it");
    }
}

#[tokio::test]
async fn a_pipeline_is_given_again_and_told_by_what_changed() {
    let given = [("connector.class", PIPELINE_CLASS), ("topics", "a"), ("output.topic", "b")];
    let mut there: Option<Value> = None;
    let stub = Stub::start(move |line, body| match line {
        "PUT /connectors/p/config" => {
            there = serde_json::from_slice(body).ok();
            (200, json!({}))
        }
        "GET /connectors/p" => (200, json!({"version": "one"})),
        "GET /connectors/p/status" if there.is_some() => (200, pipeline_status(None, "one", 2)),
        _ => there.clone().map_or_else(missing, |settings| (200, settings)),
    })
    .await;
    let mut changes = Vec::new();
    for topic in ["a", "a", "c"] {
        let mut pipeline = connector("p", &given);
        pipeline.settings.insert("topics".to_owned(), topic.to_owned());
        pipelines::apply(&target(&stub, LONG), &[pipeline], &mut |line| changes.push(line.change)).await.unwrap();
    }
    assert_eq!(changes, [Change::Created, Change::Unchanged, Change::Updated]);
}

/// What `transforms` says of a pipeline with two slots.
fn pipeline_status(trace: Option<&str>, version: &str, taken: usize) -> Value {
    let mut body = status("p", &["RUNNING", "RUNNING"]);
    body["version"] = json!({"id": version, "slots": taken});
    if let Some(trace) = trace {
        body["connector"]["trace"] = json!(trace);
    }
    body
}

async fn apply_pipeline(target: &Target) -> Result<String, ApplyError> {
    let mut notes = Vec::new();
    let pipeline = connector("p", &[("topics", "a"), ("output.topic", "b")]);
    pipelines::apply(target, &[pipeline], &mut |line| notes.push(line.note)).await?;
    Ok(notes.join(""))
}

#[tokio::test]
async fn a_version_that_went_back_by_itself_is_told_and_tried_again_by_force_only() {
    let trace = "DEGRADED: file says m@2.0.0, running m@1.0.0, since now, because it trapped (found by a)";
    let mut forced = 0;
    let stub = Stub::start(move |line, _| match line {
        "GET /connectors/p/status" if forced == 0 => (200, pipeline_status(Some(trace), "one", 2)),
        // What it said before is said a moment longer.
        "GET /connectors/p/status" => {
            forced += 1;
            let body =
                if forced < 4 { pipeline_status(Some(trace), "one", 2) } else { pipeline_status(None, "two", 2) };
            (200, body)
        }
        "GET /connectors/p" => (200, json!({"version": "two"})),
        line => {
            forced += usize::from(line.ends_with("?force=true"));
            (200, json!({"topics": "a"}))
        }
    })
    .await;
    let note = apply_pipeline(&target(&stub, LONG)).await.unwrap();
    assert!(note.ends_with(&format!("{trace}; change the file, or apply it with --force")), "{note}");
    let forced = Target { force: true, ..target(&stub, LONG) };
    assert_eq!(apply_pipeline(&forced).await.unwrap(), "a -> b; 2 slots RUNNING");
    assert_eq!(stub.asked("PUT"), ["PUT /connectors/p/config", "PUT /connectors/p/config?force=true"]);
}

#[tokio::test]
async fn a_pipeline_is_waited_for_until_all_its_slots_run_the_new_version() {
    let mut looks = 0;
    let stub = Stub::start(move |line, _| match line {
        "GET /connectors/p/status" => {
            looks += 1;
            let (version, taken) =
                [("one", 2), ("two", 1), ("two", 2)][usize::from(2 < looks) + usize::from(4 < looks)];
            (200, pipeline_status(None, version, taken))
        }
        "GET /connectors/p" => (200, json!({"version": "two"})),
        _ => (200, json!({"topics": "a"})),
    })
    .await;
    assert_eq!(apply_pipeline(&target(&stub, LONG)).await.unwrap(), "a -> b; 2 slots RUNNING");
    assert_eq!(stub.asked("GET /connectors/p/status").len(), 5);
}

#[tokio::test]
async fn a_pipeline_that_does_not_come_to_run_its_version_is_named_with_its_reason() {
    for (trace, words) in [(None, "0 of 2 slots run version two"), (Some("module m@2.0.0 is not here"), "is not here")]
    {
        let stub = Stub::start(move |line, _| match line {
            "GET /connectors/p/status" => {
                let mut body = pipeline_status(trace, "one", 2);
                body["tasks"].as_array_mut().unwrap().iter_mut().for_each(|task| task["trace"] = Value::Null);
                (200, body)
            }
            "GET /connectors/p" => (200, json!({"version": "two"})),
            _ => (200, json!({"topics": "a"})),
        })
        .await;
        let err = apply_pipeline(&target(&stub, Duration::from_millis(600))).await.unwrap_err().to_string();
        assert!(err.starts_with("pipeline p is deployed but does not run") && err.contains(words), "{err}");
    }
}

#[tokio::test]
async fn modules_are_uploaded_in_order_and_a_refused_one_stops_it() {
    let folder = std::env::temp_dir().join(format!("connectors-modules-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    for name in ["b.wasm", "a.wasm", "notes.txt"] {
        fs::write(folder.join(name), name).unwrap();
    }
    let stub = Stub::start(|line, body| {
        assert_eq!(line, "POST /modules");
        let status = if body == b"a.wasm" { 201 } else { 200 };
        (status, json!({"label": String::from_utf8_lossy(body)}))
    })
    .await;
    let mut lines = Vec::new();
    modules::apply(&target(&stub, LONG), &folder, &mut |line| lines.push((line.name, line.change))).await.unwrap();
    assert_eq!(lines, [("a.wasm".to_owned(), Change::Created), ("b.wasm".to_owned(), Change::Unchanged)]);

    stub.say(|_, _| (409, json!({"title": "conflict", "detail": "clean@1.0.0 exists with another digest"})));
    let err = modules::apply(&target(&stub, LONG), &folder, &mut |_| {}).await.unwrap_err();
    let err = format!("{:#}", anyhow::Error::from(err));
    assert!(err.contains("a.wasm") && err.contains("another digest"), "{err}");
    fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn an_index_that_another_deploy_step_has_just_made_counts_as_there() {
    let mut looks = 0;
    let stub = Stub::start(move |line, _| match line {
        "GET /i" => {
            looks += 1;
            if looks == 1 { (404, json!({})) } else { (200, json!({"i": {"mappings": {"dynamic": "strict"}}})) }
        }
        _ => (
            400,
            json!({"error": {"type": "resource_already_exists_exception", "reason": "index [i/x] already exists"}}),
        ),
    })
    .await;
    let index = Index { name: "i".to_owned(), body: json!({"mappings": {"dynamic": "strict"}}) };
    assert_eq!(Elastic::new(&stub.url()).unwrap().apply(&index).await.unwrap(), Change::Unchanged);
    assert_eq!(stub.asked("PUT "), ["PUT /i"]);
}

#[tokio::test]
async fn settings_that_a_file_writes_flat_are_given_to_an_index_that_is_there_and_then_it_is_as_the_file_says() {
    let folder = Folder::new("flat-settings", &[("s.json", &file(""))]);
    fs::create_dir(folder.0.join("stores")).unwrap();
    let text = r#"{"settings": {"number_of_shards": 1, "index.number_of_replicas": 2},
        "mappings": {"properties": {"a": {"type": "keyword", "index": true}}}}"#;
    fs::write(folder.0.join("stores/i.index.json"), text).unwrap();
    let index = files::read(&folder.0).unwrap().indexes.remove(0);
    let mut replicas = "1".to_owned();
    let stub = Stub::start(move |line, body| {
        if line == "GET /i" {
            let settings = json!({"index": {"number_of_shards": "1", "number_of_replicas": replicas}});
            let mappings = json!({"properties": {"a": {"type": "keyword"}}});
            return (200, json!({"i": {"settings": settings, "mappings": mappings}}));
        }
        assert_eq!(line, "PUT /i/_settings");
        let given: Value = serde_json::from_slice(body).unwrap();
        assert_eq!(given, json!({"index": {"number_of_replicas": 2}}));
        replicas = "2".to_owned();
        (200, json!({"acknowledged": true}))
    })
    .await;
    let elastic = Elastic::new(&stub.url()).unwrap();
    for change in [Change::Updated, Change::Unchanged] {
        assert_eq!(elastic.apply(&index).await.unwrap(), change);
    }
}
