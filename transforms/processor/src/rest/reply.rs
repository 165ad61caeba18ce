//! The JSON of the answers, in Connect's shapes.

use std::fmt::Write;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use service_kit::http::{Body, Problem, Response};

use crate::names::{KIND, key};
use crate::pipeline::manager::{Doing, SlotDoing};
use crate::pipeline::spec::{Config, Fault};
use crate::state::catalog::{Stored, Target};
use crate::state::facts::Version;
use crate::status::State;

/// What this command is, for `version` of whatever is asked.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit it was built from, where the build said so; else Connect's own word for not knowing.
const COMMIT: &str = match option_env!("ORDERFLOW_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// What `GET /` answers; without the cluster's id while the broker is away.
pub(super) fn root(cluster_id: Option<&str>) -> Value {
    json!({ "version": VERSION, "commit": COMMIT, "kafka_cluster_id": cluster_id })
}

/// A config as Connect shows it: with the name in it.
pub(super) fn config(name: &str, config: &Config) -> Value {
    let mut shown = json!(config);
    set(&mut shown, key::NAME, json!(name));
    shown
}

/// What `GET /connectors/{name}` answers.
pub(super) fn info(name: &str, stored: &Stored, doing: &Doing) -> Value {
    let tasks: Vec<Value> = (0..doing.slots.len()).map(|task| json!({ "connector": name, "task": task })).collect();
    let modules: serde_json::Map<String, Value> = stored
        .modules
        .iter()
        .map(|(alias, pin)| (alias.clone(), json!({ "module": pin.module, "digest": pin.digest })))
        .collect();
    json!({
        "name": name, "config": config(name, &stored.config), "tasks": tasks, "type": KIND, "modules": modules,
        "version": Version::of(stored).id(),
    })
}

/// What `GET /connectors/{name}/status` answers: Connect's fields, and beside them what only we have.
pub(super) fn status(name: &str, stored: Option<&Stored>, doing: &Doing, worker: &str) -> Value {
    let target = stored.map_or(Target::Started, |stored| stored.state);
    let mut connector = json!({ "state": overall(target, doing).as_str(), "worker_id": worker, "version": VERSION });
    if let Some(waiting) = &doing.waiting {
        set(&mut connector, "trace", json!(waiting));
    }
    if target == Target::Stopped {
        set(&mut connector, "state", json!("STOPPED"));
    }
    let tasks: Vec<Value> = doing.slots.iter().enumerate().map(|(id, slot)| task(id, slot, worker)).collect();
    let body =
        json!({ "name": name, "connector": connector, "tasks": tasks, "type": KIND, "output_schema_id": doing.pinned });
    super::swap::show(body, doing)
}

fn overall(target: Target, doing: &Doing) -> State {
    match target {
        Target::Paused => State::Paused,
        Target::Started | Target::Stopped if doing.waiting.is_some() || doing.slots.is_empty() => State::Unassigned,
        Target::Started | Target::Stopped => State::Running,
    }
}

/// [`status`] as it is right after a request to start over: what was asked to is RESTARTING, whatever it was.
pub(super) fn restarting(mut status: Value, only_failed: bool, tasks_too: bool) -> Value {
    let restart = |part: &mut Value| {
        let state = part.get("state").and_then(Value::as_str).unwrap_or_default();
        if !only_failed || state == State::Failed.as_str() {
            set(part, "state", json!(State::Restarting.as_str()));
        }
    };
    if let Some(connector) = status.get_mut("connector") {
        restart(connector);
    }
    if let (true, Some(tasks)) = (tasks_too, status.get_mut("tasks").and_then(Value::as_array_mut)) {
        tasks.iter_mut().for_each(restart);
    }
    status
}

/// What `GET /connectors/{name}/tasks` answers: every task has the pipeline's config.
pub(super) fn tasks(name: &str, stored: &Stored, doing: &Doing) -> Value {
    let task =
        |task: usize| json!({ "id": { "connector": name, "task": task }, "config": config(name, &stored.config) });
    Value::Array((0..doing.slots.len()).map(task).collect())
}

/// One task of [`status`].
pub(super) fn task(id: usize, slot: &SlotDoing, worker: &str) -> Value {
    let report = &slot.report;
    let partitions: Vec<String> =
        report.assigned.iter().map(|place| format!("{}-{}", place.topic, place.partition)).collect();
    let gaps: Vec<String> = report.gaps.iter().map(ToString::to_string).collect();
    let mut task = json!({
        "id": id,
        "state": report.state.as_str(),
        "worker_id": worker,
        "version": VERSION,
        "partitions": partitions,
        "gaps": gaps,
        "in_flight_records": slot.in_flight,
        "transaction_open": slot.open > 0,
        "transaction_open_records": slot.open,
        "rebuilds": report.rebuilds,
        "starts": slot.starts,
    });
    if let Some(trace) = &report.trace {
        set(&mut task, "trace", json!(trace));
    }
    if let Some(held) = &report.held {
        set(&mut task, "held_back", json!(held));
    }
    task
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(key.to_owned(), value);
    }
}

/// A refusal as Connect's tools read it (`error_code`, `message`), which is a problem as well.
pub(super) fn refusal(status: StatusCode, message: impl Into<String>) -> Problem {
    let message = message.into();
    Problem::of_status(status).detail(message.clone()).with("error_code", status.as_u16()).with("message", message)
}

/// Why a check has no end when the service has.
pub(super) const STOPS: &str = "the service stops; try again";

/// Of what cannot be checked now, which is no fault of it.
pub(super) fn unchecked(what: &str, reason: &str) -> Problem {
    let message = format!("{what} cannot be checked now: {reason}");
    refusal(StatusCode::SERVICE_UNAVAILABLE, message).header(header::RETRY_AFTER, 1)
}

/// A config with faults: all of them, as Connect says it.
pub(super) fn invalid(faults: &[Fault]) -> Problem {
    let mut message =
        format!("Connector configuration is invalid and contains the following {} error(s):", faults.len());
    for Fault { key, message: fault } in faults {
        // Writing to a String cannot fail.
        let _ = write!(message, "\n{key}: {fault}");
    }
    message.push_str("\nYou can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`");
    let listed: Vec<Value> = faults.iter().map(|fault| json!({ "key": fault.key, "message": fault.message })).collect();
    refusal(StatusCode::BAD_REQUEST, message).with("faults", listed)
}

/// What Connect says to a config without a class.
pub(super) fn no_class() -> Problem {
    refusal(StatusCode::BAD_REQUEST, "Connector config contains no connector type")
}

/// A refusal as Connect writes it: JSON with `error_code` and `message`, and what we add for programs, such as `faults`.
/// The members and the media type of a problem would be news to Connect's tools.
pub(super) fn as_connect(problem: Problem) -> Response {
    let status = problem.status();
    let mut members = problem.clone().into_members();
    let detail = members.remove("detail");
    for standard in ["type", "title", "status"] {
        members.remove(standard);
    }
    members.entry("error_code").or_insert_with(|| json!(status.as_u16()));
    members.entry("message").or_insert_with(|| detail.unwrap_or_else(|| json!(format!("HTTP {status}"))));
    let mut response = problem.into_response();
    *response.body_mut() = Body::new(Bytes::from(Value::Object(members).to_string()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The same with the address of what was made.
pub(super) fn located(mut response: Response, address: &str) -> Response {
    if let Ok(address) = HeaderValue::from_str(address) {
        response.headers_mut().insert(header::LOCATION, address);
    }
    response
}

/// Without a body.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}
