//! Waits until a pipeline runs what it was given: until then the version before still makes records.

use std::time::{Duration, Instant};

use anyhow::bail;
use serde_json::Value;

use super::client::Client;

/// How long it may take: a slot ends its transaction first, and a module may have to be compiled.
const LIMIT: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How it stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Takeover {
    /// So many slots run it.
    Runs(usize),
    /// Something is known to keep it from that.
    Held(String),
}

/// What `transforms` says of a version that it sent back, or of a flow that it holds; `None` where it holds nothing.
pub(super) fn held(status: &Value) -> Option<&str> {
    let is_held = ["degraded", "parked"].iter().any(|what| status.get(what).is_some_and(|found| !found.is_null()));
    status.pointer("/connector/trace").and_then(Value::as_str).filter(|_| is_held)
}

/// Waits until each slot of this process runs `version`. `before` is what held it when it was given.
///
/// # Errors
/// When it does not within [`LIMIT`], or the process does not answer.
pub(super) async fn wait(client: &Client, name: &str, version: &str, before: Option<&str>) -> anyhow::Result<Takeover> {
    let until = Instant::now() + LIMIT;
    loop {
        let status = client.get(&format!("/connectors/{name}/status")).await?;
        match settled(&status, version, before) {
            Ok(takeover) => return Ok(takeover),
            Err(state) if until <= Instant::now() => bail!(
                "{name} was given it, and its file says so, but after {} s {state}; `transforms status {name}` shows why",
                LIMIT.as_secs()
            ),
            Err(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

/// How it stands for good or, as the error, for now.
fn settled(status: &Value, version: &str, before: Option<&str>) -> Result<Takeover, String> {
    let state = |part: &Value| part.get("state").and_then(Value::as_str).unwrap_or("UNKNOWN").to_owned();
    let pipeline = status.get("connector").map_or_else(|| "UNKNOWN".to_owned(), state);
    if let Some(held) = held(status).filter(|held| before != Some(*held)) {
        return Ok(Takeover::Held(held.to_owned()));
    }
    if ["PAUSED", "STOPPED"].contains(&pipeline.as_str()) {
        return Ok(Takeover::Held(format!("it is {pipeline}, and runs it when it is resumed")));
    }
    let tasks = status.get("tasks").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let slots = tasks.len();
    let is_it = status.pointer("/version/id").and_then(Value::as_str) == Some(version);
    let taken = status.pointer("/version/slots").and_then(Value::as_u64).filter(|_| is_it).unwrap_or_default();
    let runs = tasks.iter().filter(|task| state(task) == "RUNNING").count();
    if 0 < slots && runs == slots && usize::try_from(taken) == Ok(slots) {
        return Ok(Takeover::Runs(slots));
    }
    Err(format!("{taken} of {slots} slots run it, {runs} are RUNNING and the pipeline is {pipeline}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(state: &str, id: &str, slots: u64, tasks: &[&str]) -> Value {
        let tasks: Vec<_> = tasks.iter().map(|state| json!({ "state": state })).collect();
        json!({ "connector": { "state": state }, "tasks": tasks, "version": { "id": id, "slots": slots } })
    }

    #[test]
    fn it_runs_when_every_slot_has_taken_it_over() {
        let two = ["RUNNING", "RUNNING"];
        assert_eq!(settled(&status("RUNNING", "b", 2, &two), "b", None), Ok(Takeover::Runs(2)));
        for early in [
            status("RUNNING", "a", 2, &two),
            status("RUNNING", "b", 1, &two),
            status("RUNNING", "b", 2, &["RUNNING", "FAILED"]),
            status("UNASSIGNED", "b", 0, &[]),
            json!({}),
        ] {
            let state = settled(&early, "b", None).unwrap_err();
            assert!(state.contains(" slots run it, "), "{state}");
        }
    }

    #[test]
    fn what_holds_it_is_said_unless_it_held_before() {
        let paused = settled(&status("PAUSED", "a", 2, &["PAUSED"]), "b", None).unwrap();
        assert!(matches!(&paused, Takeover::Held(words) if words.starts_with("it is PAUSED")), "{paused:?}");
        let mut sent_back = status("RUNNING", "a", 1, &["RUNNING"]);
        sent_back["connector"]["trace"] = json!("DEGRADED: b broke");
        assert!(settled(&sent_back, "b", None).is_err(), "a trace alone may be of a start");
        sent_back["degraded"] = json!({ "running": "m@1" });
        assert_eq!(settled(&sent_back, "b", None), Ok(Takeover::Held("DEGRADED: b broke".to_owned())));
        assert!(settled(&sent_back, "b", Some("DEGRADED: b broke")).is_err(), "that was of another version");
        let mut parked = sent_back;
        parked["degraded"] = Value::Null;
        assert!(settled(&parked, "b", None).is_err());
        parked["parked"] = json!({});
        assert!(settled(&parked, "b", None).is_ok());
    }
}
