//! A pipeline's slots as Connect's tasks: one by one, and started over together.

use std::sync::Arc;

use http::StatusCode;
use service_kit::http::{Problem, Response, json as answer};

use super::{Api, connectors, query, reply, swap};

/// `GET …/tasks/{task}/status`.
pub(super) fn status(api: &Api, name: &str, task: &str) -> Result<Response, Problem> {
    let id = number(task)?;
    let slot = api.manager.doing(name).slots.into_iter().nth(id);
    let Some(slot) = slot else {
        return Err(reply::refusal(StatusCode::NOT_FOUND, format!("No status found for task {name}-{id}")));
    };
    Ok(answer(StatusCode::OK, &reply::task(id, &slot, &api.worker)))
}

/// `POST …/tasks/{task}/restart`: new clients for one slot, which settles what the old ones left open.
pub(super) async fn restart(api: &Arc<Api>, name: &str, task: &str) -> Result<Response, Problem> {
    let id = number(task)?;
    exists(api, name)?;
    if !api.manager.restart_slot(name, id) {
        return Err(reply::refusal(StatusCode::NOT_FOUND, format!("Unknown task: {name}-{id}")));
    }
    swap::unpark(api, name).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// `POST …/restart` (KIP-745). Without parameters everything starts over, the output schema is looked up anew, and
/// there is no body; a pipeline without its slots is nothing that could be started over. Where only what failed is asked for
/// and nothing did, nothing is.
pub(super) async fn restart_all(api: &Arc<Api>, name: &str, query: &str) -> Result<Response, Problem> {
    exists(api, name)?;
    let only_failed = query::flag(query, "onlyFailed", false);
    let tasks_too = query::flag(query, "includeTasks", false);
    let stored = connectors::found(api, name)?;
    let before = reply::status(name, Some(&stored), &api.manager.doing(name), &api.worker);
    if !only_failed {
        swap::unpark(api, name).await?;
        api.manager.restart(name);
    } else if api.manager.restart_failed(name, tasks_too) {
        swap::unpark(api, name).await?;
    }
    if !only_failed && !tasks_too {
        return Ok(reply::empty(StatusCode::NO_CONTENT));
    }
    Ok(answer(StatusCode::ACCEPTED, &reply::restarting(before, only_failed, tasks_too)))
}

fn exists(api: &Api, name: &str) -> Result<(), Problem> {
    match api.materials.catalog.pipeline(name) {
        Some(_) => Ok(()),
        None => Err(reply::refusal(StatusCode::NOT_FOUND, format!("Unknown connector: {name}"))),
    }
}

fn number(task: &str) -> Result<usize, Problem> {
    task.parse().map_err(|_| Problem::of_status(StatusCode::NOT_FOUND))
}
