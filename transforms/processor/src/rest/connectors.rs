//! `/connectors`: pipelines in Connect's words. Whatever changes one is written to the topic first; the manager acts on
//! what is read back.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use schemas::names::topics;
use serde_json::{Map, Value, json};
use service_kit::http::{Problem, Response, json as answer};

use super::modules::{complete, store};
use super::{Api, reply};
use crate::names::{CLASS, key};
use crate::pipeline::plan::{self, Plan};
use crate::pipeline::spec::{self, Config, Fault};
use crate::state::catalog::{Stored, Target};

/// `GET /connectors`, with Connect's `expand`.
pub(super) fn list(api: &Api, query: &str) -> Result<Response, Problem> {
    complete(api)?;
    let pipelines = api.materials.catalog.pipelines();
    let wants = |what: &str| query.split('&').any(|pair| pair.split_once('=') == Some(("expand", what)));
    if !wants("status") && !wants("info") {
        return Ok(answer(StatusCode::OK, &json!(pipelines.keys().collect::<Vec<_>>())));
    }
    let mut expanded = Map::new();
    for (name, stored) in pipelines {
        let doing = api.manager.doing(&name);
        let stored = stored.ok();
        let mut entry = Map::new();
        if wants("status") {
            entry.insert("status".to_owned(), reply::status(&name, stored.as_deref(), &doing, &api.worker));
        }
        if let (true, Some(stored)) = (wants("info"), &stored) {
            entry.insert("info".to_owned(), reply::info(&name, stored, &doing));
        }
        expanded.insert(name, Value::Object(entry));
    }
    Ok(answer(StatusCode::OK, &Value::Object(expanded)))
}

/// `POST /connectors`.
pub(super) async fn create(api: &Arc<Api>, body: &Bytes) -> Result<Response, Problem> {
    let posted: Value = parsed(body)?;
    let Some(name) = posted.get("name").and_then(Value::as_str) else {
        return Err(reply::refusal(StatusCode::BAD_REQUEST, "name is missing"));
    };
    if api.materials.catalog.pipeline(name).is_some() {
        return Err(reply::refusal(StatusCode::CONFLICT, format!("Connector {name} already exists")));
    }
    let config = config(posted.get("config").unwrap_or(&Value::Null))?;
    save(api, name, config).await
}

/// `PUT /connectors/{name}/config`.
pub(super) async fn put(api: &Arc<Api>, name: &str, body: &Bytes) -> Result<Response, Problem> {
    let config = config(&parsed(body)?)?;
    save(api, name, config).await
}

/// `PUT /connector-plugins/{class}/config/validate`: says all faults, changes nothing.
pub(super) fn validate(api: &Api, body: &Bytes) -> Result<Response, Problem> {
    let config = config(&parsed(body)?)?;
    let name = config.get(key::NAME).cloned().unwrap_or_else(|| "unnamed".to_owned());
    let faults = match spec::parse(&name, &config) {
        Ok(spec) => tokio::task::block_in_place(|| plan::pins(&spec, &api.materials.catalog)).err().unwrap_or_default(),
        Err(faults) => faults,
    };
    let mut keys: Vec<&String> = config.keys().chain(faults.iter().map(|fault| &fault.key)).collect();
    keys.sort();
    keys.dedup();
    let configs: Vec<Value> = keys
        .into_iter()
        .map(|key| {
            let errors: Vec<&str> =
                faults.iter().filter(|fault| fault.key == *key).map(|fault| fault.message.as_str()).collect();
            json!({
                "definition": { "name": key, "type": "STRING", "required": false, "importance": "MEDIUM", "documentation": "" },
                "value": { "name": key, "value": config.get(key), "recommended_values": [], "errors": errors, "visible": true },
            })
        })
        .collect();
    Ok(answer(StatusCode::OK, &json!({ "name": CLASS, "error_count": faults.len(), "groups": [], "configs": configs })))
}

/// Everything else under `/connectors/{name}`.
pub(super) async fn one(api: &Arc<Api>, method: &str, name: &str, rest: &[&str]) -> Result<Response, Problem> {
    complete(api)?;
    let stored = found(api, name)?;
    let doing = || api.manager.doing(name);
    match (method, rest) {
        ("GET", []) => Ok(answer(StatusCode::OK, &reply::info(name, &stored, &doing()))),
        ("GET", ["config"]) => Ok(answer(StatusCode::OK, &json!(stored.config))),
        ("GET", ["status"]) => Ok(answer(StatusCode::OK, &reply::status(name, Some(&stored), &doing(), &api.worker))),
        ("DELETE", []) => {
            store(api, topics::TRANSFORMS_CONFIG, name, None).await?;
            Ok(reply::empty(StatusCode::NO_CONTENT))
        }
        ("PUT", ["pause"]) => aim(api, name, &stored, Target::Paused, StatusCode::ACCEPTED).await,
        ("PUT", ["resume"]) => aim(api, name, &stored, Target::Started, StatusCode::ACCEPTED).await,
        ("PUT", ["stop"]) => aim(api, name, &stored, Target::Stopped, StatusCode::NO_CONTENT).await,
        ("POST", ["restart"]) => {
            api.manager.restart(name);
            Ok(reply::empty(StatusCode::NO_CONTENT))
        }
        ("POST", ["offsets", "accept"]) => {
            if api.manager.accept_gaps(name) {
                return Ok(reply::empty(StatusCode::ACCEPTED));
            }
            let message = format!("no slot of {name} in this process names a gap, so there is nothing to accept");
            Err(reply::refusal(StatusCode::CONFLICT, message))
        }
        (_, [] | ["config" | "status" | "pause" | "resume" | "stop" | "restart"] | ["offsets", "accept"]) => {
            Err(reply::refusal(StatusCode::METHOD_NOT_ALLOWED, "this method is not for this address"))
        }
        _ => Err(reply::refusal(StatusCode::NOT_FOUND, "there is nothing at this address")),
    }
}

fn found(api: &Api, name: &str) -> Result<Arc<Stored>, Problem> {
    match api.materials.catalog.pipeline(name) {
        Some(Ok(stored)) => Ok(stored),
        Some(Err(reason)) => Err(reply::refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("what is stored of {name} cannot be read ({reason}); put its config again"),
        )),
        None => Err(reply::refusal(StatusCode::NOT_FOUND, format!("Connector {name} not found"))),
    }
}

async fn aim(api: &Api, name: &str, stored: &Stored, state: Target, done: StatusCode) -> Result<Response, Problem> {
    if stored.state != state {
        write(api, name, &Stored { state, ..stored.clone() }).await?;
    }
    Ok(reply::empty(done))
}

/// Checks a config and stores it, with the modules that it means now.
async fn save(api: &Arc<Api>, name: &str, config: Config) -> Result<Response, Problem> {
    complete(api)?;
    let spec = spec::parse(name, &config).map_err(|faults| reply::invalid(&faults))?;
    let modules = tokio::task::block_in_place(|| plan::pins(&spec, &api.materials.catalog))
        .map_err(|faults| reply::invalid(&faults))?;
    let old = api.materials.catalog.pipeline(name).and_then(Result::ok);
    let state = old.as_ref().map_or(Target::Started, |old| old.state);
    let stored = Stored { config, state, modules };
    let status = if old.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    if old.as_deref() != Some(&stored) {
        rehearse(api, name, &stored).await?;
        write(api, name, &stored).await?;
    }
    Ok(answer(status, &reply::info(name, &stored, &api.manager.doing(name))))
}

/// Makes the chain once, so that a module that refuses its parameters is heard now and not from a failed slot.
async fn rehearse(api: &Arc<Api>, name: &str, stored: &Stored) -> Result<(), Problem> {
    let plan = Plan::prepare(name, stored, &api.materials).await.map_err(|reason| {
        let message = format!("the config cannot be checked now: {reason}");
        reply::refusal(StatusCode::SERVICE_UNAVAILABLE, message).header(http::header::RETRY_AFTER, 1)
    })?;
    let rehearsed = api.tasks.spawn_blocking(move || plan.rehearse()).await;
    rehearsed
        .map_err(|error| reply::refusal(StatusCode::INTERNAL_SERVER_ERROR, format!("checking ended early: {error}")))?
        .map_err(|fault| reply::invalid(&[fault]))
}

async fn write(api: &Api, name: &str, stored: &Stored) -> Result<(), Problem> {
    let text = serde_json::to_vec(stored)
        .map_err(|error| reply::refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    store(api, topics::TRANSFORMS_CONFIG, name, Some(&text)).await
}

fn parsed(body: &Bytes) -> Result<Value, Problem> {
    serde_json::from_slice(body)
        .map_err(|error| reply::refusal(StatusCode::BAD_REQUEST, format!("the body is not JSON: {error}")))
}

/// A config as Connect takes it: numbers and truth values become their text.
fn config(value: &Value) -> Result<Config, Problem> {
    let Value::Object(fields) = value else {
        return Err(reply::refusal(StatusCode::BAD_REQUEST, "the config is not a JSON object"));
    };
    let text = |(key, value): (&String, &Value)| match value {
        Value::String(text) => Ok((key.clone(), text.clone())),
        Value::Number(_) | Value::Bool(_) => Ok((key.clone(), value.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(Fault::new(key, "is not a text")),
    };
    fields.iter().map(text).collect::<Result<Config, Fault>>().map_err(|fault| reply::invalid(&[fault]))
}
