//! `/connectors`: pipelines in Connect's words. Whatever changes one is written to the topic first; the manager acts on
//! what is read back.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use schemas::names::topics;
use serde_json::{Map, Value, json};
use service_kit::http::{Problem, Response, json as answer};

use super::modules::{complete, store, turn};
use super::{Api, offsets, query, reply, steps, swap, tasks};
use crate::names::key;
use crate::pipeline::plan::{self, Plan, Unrehearsed};
use crate::pipeline::spec::{self, Config, Fault};
use crate::state::catalog::{Stored, Target};
use crate::state::facts::Version;
use crate::state::write::Turn;

/// So often a change of a config is made anew of what another one left, while it was checked.
const PATCHES: usize = 3;

/// `GET /connectors`, with Connect's `expand`.
pub(super) fn list(api: &Api, query: &str) -> Result<Response, Problem> {
    complete(api)?;
    let pipelines = api.materials.catalog.pipelines();
    let expand: Vec<String> = query::values(query, "expand").collect();
    let wants = |what: &str| expand.iter().any(|asked| asked == what);
    if expand.is_empty() {
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

/// `POST /connectors`, with the state to begin in (KIP-980).
pub(super) async fn create(api: &Arc<Api>, headers: &HeaderMap, body: &Bytes) -> Result<Response, Problem> {
    complete(api)?;
    let posted: Value = parsed(body)?;
    let Some(name) = posted.get("name").and_then(Value::as_str) else {
        return Err(reply::refusal(StatusCode::BAD_REQUEST, "name is missing"));
    };
    let state = initial(posted.get("initial_state").unwrap_or(&Value::Null))?;
    let config = config(posted.get("config").unwrap_or(&Value::Null))?;
    absent(api, name)?;
    let checked = check(api, name, config, state).await?;
    let turn = turn(api).await?;
    absent(api, name)?;
    keep(api, name, checked, &turn, headers).await
}

fn absent(api: &Api, name: &str) -> Result<(), Problem> {
    match api.materials.catalog.pipeline(name) {
        None => Ok(()),
        Some(_) => Err(reply::refusal(StatusCode::CONFLICT, format!("Connector {name} already exists"))),
    }
}

/// The state that a pipeline begins in; Connect takes it in any case.
fn initial(given: &Value) -> Result<Target, Problem> {
    let word = match given {
        Value::Null => return Ok(Target::Started),
        Value::String(word) => word.to_ascii_uppercase(),
        other => other.to_string(),
    };
    match word.as_str() {
        "RUNNING" => Ok(Target::Started),
        "PAUSED" => Ok(Target::Paused),
        "STOPPED" => Ok(Target::Stopped),
        _ => {
            let message = format!("initial_state {given} is none of RUNNING, PAUSED, STOPPED");
            Err(reply::refusal(StatusCode::BAD_REQUEST, message))
        }
    }
}

/// `PUT /connectors/{name}/config`.
pub(super) async fn put(api: &Arc<Api>, name: &str, headers: &HeaderMap, body: &Bytes) -> Result<Response, Problem> {
    let checked = check(api, name, config(&parsed(body)?)?, Target::Started).await?;
    let turn = turn(api).await?;
    keep(api, name, checked, &turn, headers).await
}

/// `PATCH /connectors/{name}/config` (KIP-477): the settings that are given change, and those that are null go.
pub(super) async fn patch(api: &Arc<Api>, name: &str, headers: &HeaderMap, body: &Bytes) -> Result<Response, Problem> {
    complete(api)?;
    let mut stored = found(api, name)?;
    let Value::Object(changes) = parsed(body)? else {
        return Err(reply::refusal(StatusCode::BAD_REQUEST, "the change is not a JSON object"));
    };
    let (gone, given): (Map<String, Value>, Map<String, Value>) =
        changes.into_iter().partition(|(_, value)| value.is_null());
    let given = config(&Value::Object(given))?;
    for _ in 0..PATCHES {
        let mut patched = stored.config.clone();
        patched.retain(|key, _| !gone.contains_key(key));
        patched.extend(given.clone());
        let checked = check(api, name, patched, stored.state).await?;
        let turn = turn(api).await?;
        let now = found(api, name)?;
        if now.config == stored.config {
            return keep(api, name, checked, &turn, headers).await;
        }
        stored = now;
    }
    let message = format!("the config of {name} was changed {PATCHES} times while this change was checked; try again");
    Err(reply::refusal(StatusCode::CONFLICT, message))
}

/// Everything else under `/connectors/{name}`.
pub(super) async fn one(
    api: &Arc<Api>,
    method: &str,
    name: &str,
    rest: &[&str],
    query: &str,
) -> Result<Response, Problem> {
    complete(api)?;
    match (method, rest) {
        ("GET", ["tasks", task, "status"]) => return tasks::status(api, name, task),
        ("POST", ["tasks", task, "restart"]) => return tasks::restart(api, name, task).await,
        ("POST", ["restart"]) => return tasks::restart_all(api, name, query).await,
        ("GET", ["topics"]) => return offsets::topics(api, name).await,
        ("PUT", ["topics", "reset"]) => return offsets::reset_topics(api, name).await,
        ("GET", ["offsets"]) => return offsets::get(api, name).await,
        ("DELETE", ["offsets"]) => return offsets::delete(api, name).await,
        ("GET", ["lag"]) => return offsets::lag(api, name).await,
        ("GET", ["steps"]) => return steps::get(api, name, query).await,
        _ => {}
    }
    let stored = known(api, name, method, rest)?;
    let doing = || api.manager.doing(name);
    match (method, rest) {
        ("GET", []) => Ok(answer(StatusCode::OK, &reply::info(name, &stored, &doing()))),
        ("GET", ["config"]) => Ok(answer(StatusCode::OK, &reply::config(name, &stored.config))),
        ("GET", ["tasks"]) => Ok(answer(StatusCode::OK, &reply::tasks(name, &stored, &doing()))),
        ("GET", ["status"]) => Ok(answer(StatusCode::OK, &status(api, name, &stored))),
        ("DELETE", []) => {
            let _turn = turn(api).await?;
            store(api, topics::TRANSFORMS_CONFIG, name, None).await?;
            Ok(reply::empty(StatusCode::NO_CONTENT))
        }
        ("PUT", ["pause"]) => aim(api, name, Target::Paused, StatusCode::ACCEPTED).await,
        ("PUT", ["resume"]) => {
            let resumed = aim(api, name, Target::Started, StatusCode::ACCEPTED).await?;
            swap::unpark(api, name).await?;
            Ok(resumed)
        }
        ("PUT", ["stop"]) => aim(api, name, Target::Stopped, StatusCode::NO_CONTENT).await,
        ("POST", ["offsets", "accept"]) => {
            if api.manager.accept_gaps(name) {
                return Ok(reply::empty(StatusCode::ACCEPTED));
            }
            let message = format!("no slot of {name} in this process names a gap, so there is nothing to accept");
            Err(reply::refusal(StatusCode::CONFLICT, message))
        }
        (
            _,
            []
            | ["config" | "status" | "pause" | "resume" | "stop" | "restart" | "tasks" | "topics" | "offsets" | "lag"]
            | ["steps"]
            | ["offsets", "accept"]
            | ["topics", "reset"]
            | ["tasks", _, "status" | "restart"],
        ) => Err(reply::refusal(StatusCode::METHOD_NOT_ALLOWED, "this method is not for this address")),
        _ => Err(reply::refusal(StatusCode::NOT_FOUND, "there is nothing at this address")),
    }
}

/// A status, with what became of the modules that the pipeline had.
fn status(api: &Api, name: &str, stored: &Stored) -> Value {
    let status = reply::status(name, Some(stored), &api.manager.doing(name), &api.worker);
    swap::with_past(status, stored, &api.materials.catalog.facts(name))
}

/// [`found`], or what Connect says at each address to a name that it does not know.
fn known(api: &Api, name: &str, method: &str, rest: &[&str]) -> Result<Arc<Stored>, Problem> {
    let words = match (method, rest) {
        ("GET", ["status"]) => format!("No status found for connector {name}"),
        ("PUT", ["pause" | "resume" | "stop"]) => format!("Unknown connector {name}"),
        _ => return found(api, name),
    };
    match api.materials.catalog.pipeline(name) {
        None => Err(reply::refusal(StatusCode::NOT_FOUND, words)),
        Some(_) => found(api, name),
    }
}

pub(super) fn found(api: &Api, name: &str) -> Result<Arc<Stored>, Problem> {
    match api.materials.catalog.pipeline(name) {
        Some(Ok(stored)) => Ok(stored),
        Some(Err(reason)) => Err(reply::refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("what is stored of {name} cannot be read ({reason}); put its config again"),
        )),
        None => Err(reply::refusal(StatusCode::NOT_FOUND, format!("Connector {name} not found"))),
    }
}

/// Stores what a pipeline should be doing, with the config that it has by now.
async fn aim(api: &Api, name: &str, state: Target, done: StatusCode) -> Result<Response, Problem> {
    let _turn = turn(api).await?;
    let stored = found(api, name)?;
    if stored.state != state {
        write(api, name, &Stored { state, ..Stored::clone(&stored) }).await?;
    }
    Ok(reply::empty(done))
}

/// Checks a config, which may take seconds. What is to be stored of it: the modules that it means now, and the state in
/// which a pipeline begins.
async fn check(api: &Arc<Api>, name: &str, config: Config, state: Target) -> Result<Stored, Problem> {
    complete(api)?;
    // Connect's own words, which its tools look for.
    if !config.contains_key(key::CLASS) {
        return Err(reply::no_class());
    }
    if let Some(other) = config.get(key::NAME).filter(|other| *other != name) {
        let message =
            format!("Connector name configuration ({other}) doesn't match connector name in the URL ({name})");
        return Err(reply::refusal(StatusCode::BAD_REQUEST, message));
    }
    let spec = spec::parse(name, &config).map_err(|faults| reply::invalid(&faults))?;
    let modules = tokio::task::block_in_place(|| plan::pins(&spec, &api.materials.catalog))
        .map_err(|faults| reply::invalid(&faults))?;
    let checked = Stored { config, state, modules };
    let known = api.materials.catalog.pipeline(name).and_then(Result::ok).map(|known| Version::of(&known));
    if known != Some(Version::of(&checked)) {
        let rehearsed = api.tasks.until_stop(rehearse(api, name, &checked)).await;
        rehearsed.unwrap_or_else(|| Err(unchecked(reply::STOPS)))?;
    }
    Ok(checked)
}

/// Stores what was checked, in its turn. What the pipeline should be doing by now stays: no config says anything of that.
async fn keep(api: &Api, name: &str, checked: Stored, _: &Turn<'_>, headers: &HeaderMap) -> Result<Response, Problem> {
    let old = api.materials.catalog.pipeline(name).and_then(Result::ok);
    let stored = Stored { state: old.as_ref().map_or(checked.state, |old| old.state), ..checked };
    let status = if old.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    if old.as_deref() != Some(&stored) {
        write(api, name, &stored).await?;
    }
    let made = answer(status, &reply::info(name, &stored, &api.manager.doing(name)));
    if status != StatusCode::CREATED {
        return Ok(made);
    }
    let host = headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or(&api.worker);
    Ok(reply::located(made, &format!("http://{host}/connectors/{name}")))
}

/// Makes the chain once, so that a module that refuses its parameters is heard now and not from a failed slot.
async fn rehearse(api: &Arc<Api>, name: &str, stored: &Stored) -> Result<(), Problem> {
    let plan = Plan::prepare(name, stored, &api.materials).await.map_err(|reason| unchecked(&reason))?;
    let passed = api.materials.catalog.facts(name).has_passed(&Version::of(stored));
    let _turn = api.turns.wait().await?;
    let tasks = api.tasks.clone();
    let rehearsed = api.tasks.spawn_blocking(move || plan.rehearse(passed, &|| tasks.is_stopping())).await;
    let early = |error| reply::refusal(StatusCode::INTERNAL_SERVER_ERROR, format!("checking ended early: {error}"));
    rehearsed.map_err(early)?.map_err(answer_of)
}

/// What is answered to whoever brought a config that did not pass.
fn answer_of(why: Unrehearsed) -> Problem {
    match why {
        Unrehearsed::Fault(fault) => reply::invalid(&[fault]),
        Unrehearsed::Later(reason) => unchecked(&reason),
    }
}

fn unchecked(reason: &str) -> Problem {
    reply::unchecked("the config", reason)
}

async fn write(api: &Api, name: &str, stored: &Stored) -> Result<(), Problem> {
    let text = serde_json::to_vec(stored)
        .map_err(|error| reply::refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    store(api, topics::TRANSFORMS_CONFIG, name, Some(&text)).await
}

pub(super) fn parsed(body: &Bytes) -> Result<Value, Problem> {
    serde_json::from_slice(body)
        .map_err(|error| reply::refusal(StatusCode::BAD_REQUEST, format!("the body is not JSON: {error}")))
}

/// A config as Connect takes it: numbers and truth values become their text.
pub(super) fn config(value: &Value) -> Result<Config, Problem> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_tried_now_is_to_be_tried_again_and_a_fault_is_not() {
        let told = |why| {
            let problem = answer_of(why);
            (problem.status(), problem.into_members())
        };
        let (status, body) = told(Unrehearsed::Later("lookup tiers: topic t is being read".to_owned()));
        assert_eq!((status, &body["error_code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!(503)));
        let words = "the config cannot be checked now: lookup tiers: topic t is being read";
        assert_eq!(body["message"], words);
        let (status, body) = told(Fault::new("topics", "is missing").into());
        assert_eq!((status, &body["error_code"]), (StatusCode::BAD_REQUEST, &json!(400)));
    }
}
