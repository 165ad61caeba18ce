//! The JSON of the answers, in Connect's shapes.

use std::fmt::Write;

use http::StatusCode;
use serde_json::{Value, json};
use service_kit::http::{Problem, Response};

use crate::names::{CLASS, KIND};
use crate::pipeline::manager::{Doing, SlotDoing};
use crate::pipeline::spec::Fault;
use crate::state::catalog::{Stored, Target};
use crate::status::State;

pub(super) fn root() -> Value {
    json!({ "version": env!("CARGO_PKG_VERSION"), "commit": "orderflow", "kafka_cluster_id": "" })
}

pub(super) fn plugins() -> Value {
    json!([{ "class": CLASS, "type": KIND, "version": env!("CARGO_PKG_VERSION") }])
}

/// What `GET /connectors/{name}` answers.
pub(super) fn info(name: &str, stored: &Stored, doing: &Doing) -> Value {
    let tasks: Vec<Value> = (0..doing.slots.len()).map(|task| json!({ "connector": name, "task": task })).collect();
    let modules: serde_json::Map<String, Value> = stored
        .modules
        .iter()
        .map(|(alias, pin)| (alias.clone(), json!({ "module": pin.module, "digest": pin.digest })))
        .collect();
    json!({ "name": name, "config": stored.config, "tasks": tasks, "type": KIND, "modules": modules })
}

/// What `GET /connectors/{name}/status` answers: Connect's fields, and beside them what only we have.
pub(super) fn status(name: &str, stored: Option<&Stored>, doing: &Doing, worker: &str) -> Value {
    let target = stored.map_or(Target::Started, |stored| stored.state);
    let mut connector = json!({ "state": overall(target, doing).as_str(), "worker_id": worker });
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

fn task(id: usize, slot: &SlotDoing, worker: &str) -> Value {
    let report = &slot.report;
    let partitions: Vec<String> =
        report.assigned.iter().map(|place| format!("{}-{}", place.topic, place.partition)).collect();
    let gaps: Vec<String> = report.gaps.iter().map(ToString::to_string).collect();
    let mut task = json!({
        "id": id,
        "state": report.state.as_str(),
        "worker_id": worker,
        "partitions": partitions,
        "gaps": gaps,
        "in_flight_records": slot.in_flight,
        "transaction_open": slot.open > 0,
        "transaction_open_records": slot.open,
        "rebuilds": report.rebuilds,
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

/// A config with faults: all of them, as Connect says it.
pub(super) fn invalid(faults: &[Fault]) -> Problem {
    let mut message =
        format!("Connector configuration is invalid and contains the following {} error(s):", faults.len());
    for Fault { key, message: fault } in faults {
        // Writing to a String cannot fail.
        let _ = write!(message, "\n{key}: {fault}");
    }
    let listed: Vec<Value> = faults.iter().map(|fault| json!({ "key": fault.key, "message": fault.message })).collect();
    refusal(StatusCode::BAD_REQUEST, message).with("faults", listed)
}

/// Without a body.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}
