//! `GET …/steps?record=TOPIC/PARTITION/OFFSET`, which only we have: what each module made of a record that the pipeline
//! wrote.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{StatusCode, header};
use serde_json::{Value, json};
use service_kit::http::{Problem, Response, json as answer};

use super::{Api, connectors, query, reply};
use crate::author::fields::{Change, Field};
use crate::replay::Untold;
use crate::replay::letter::Address;
use crate::replay::run::Shown;
use crate::replay::stored::Service;

/// From the request to the answer: who looks at an order gives up after 15 s.
const TIME: Duration = Duration::from_secs(14);

/// The answer.
pub(super) async fn get(api: &Arc<Api>, name: &str, query: &str) -> Result<Response, Problem> {
    let at = asked(query)?;
    connectors::found(api, name)?;
    let told = api.tasks.until_stop(tokio::time::timeout(TIME, told(api, name, &at))).await;
    let told = told.ok_or_else(|| later(&at, reply::STOPS))?;
    let steps = told.map_err(|_| later(&at, &format!("it takes longer than {} s", TIME.as_secs())))??;
    let steps: Vec<Value> = steps.iter().map(step).collect();
    Ok(answer(StatusCode::OK, &json!({ "steps": steps })))
}

fn asked(query: &str) -> Result<Address, Problem> {
    let given = query::values(query, "record").last().unwrap_or_default();
    given.parse().map_err(|_| {
        let message = format!("record is {given:?}; write record=TOPIC/PARTITION/OFFSET, such as order_placed/3/17");
        reply::refusal(StatusCode::BAD_REQUEST, message)
    })
}

async fn told(api: &Arc<Api>, name: &str, at: &Address) -> Result<Vec<Shown>, Problem> {
    let until = Instant::now() + TIME;
    let turn = Arc::new(api.turns.wait().await?);
    let site = api.manager.site();
    let service = Service {
        materials: api.materials.clone(),
        brokers: site.brokers.clone(),
        client_id: format!("{}-steps", site.client_id),
        tasks: api.tasks.clone(),
        turn,
        until,
    };
    service.steps(name, at).await.map_err(|untold| match untold {
        Untold::Gone(why) => reply::refusal(StatusCode::NOT_FOUND, why),
        Untold::Later(why) => later(at, &why),
    })
}

fn later(at: &Address, reason: &str) -> Problem {
    let message = format!("what the modules made of {at} cannot be told now: {reason}");
    reply::refusal(StatusCode::SERVICE_UNAVAILABLE, message).header(header::RETRY_AFTER, 1)
}

fn step(step: &Shown) -> Value {
    let changes: Vec<Value> = step.changes.iter().map(change).collect();
    json!({ "module": step.module, "changes": changes })
}

fn change(change: &Change) -> Value {
    let text = |field: &Option<Field>| field.as_ref().map(|field| field.read.as_ref().unwrap_or(&field.json).clone());
    json!({ "field": change.path, "before": text(&change.before), "after": text(&change.after) })
}
