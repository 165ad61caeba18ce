//! `/modules`: upload and list. An upload is compiled and checked here, stored in the topic, and answered when this
//! process has read it back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use schemas::names::topics;
use serde_json::{Value, json};
use service_kit::http::{Problem, Response, json as answer};
use transform_host::Module;

use super::Api;
use super::reply;
use crate::state::catalog::{Loaded, module_key};

/// A write is read back within this time, or the answer says that it was not.
pub(super) const READ_BACK: Duration = Duration::from_secs(10);

pub(super) fn list(api: &Api) -> Result<Response, Problem> {
    complete(api)?;
    let shown = |(key, loaded): (String, Loaded)| match loaded {
        Ok(module) => described(&module),
        Err(reason) => json!({ "module": key, "error": reason }),
    };
    let modules = tokio::task::block_in_place(|| api.materials.catalog.modules());
    let modules: Vec<Value> = modules.into_iter().map(shown).collect();
    Ok(answer(StatusCode::OK, &Value::Array(modules)))
}

pub(super) async fn upload(api: &Arc<Api>, wasm: Bytes) -> Result<Response, Problem> {
    complete(api)?;
    let engine = Arc::clone(&api.materials.engine);
    let compiled = wasm.clone();
    let loaded = api.tasks.spawn_blocking(move || engine.load(&compiled)).await;
    let module = loaded
        .map_err(|error| reply::refusal(StatusCode::INTERNAL_SERVER_ERROR, format!("compiling ended early: {error}")))?
        .map_err(|error| reply::refusal(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
    let key = module_key(&module);
    let catalog = &api.materials.catalog;
    match catalog.digest(&key) {
        Some(old) if old == module.digest() => return Ok(answer(StatusCode::OK, &summary(&module))),
        // What cannot be loaded may be replaced.
        Some(old) if tokio::task::block_in_place(|| catalog.module(&key)).is_some_and(|loaded| loaded.is_ok()) => {
            let message = format!(
                "{key} is here with digest {old}, this one has {}; a version never changes: raise it",
                module.digest()
            );
            return Err(reply::refusal(StatusCode::CONFLICT, message));
        }
        Some(_) | None => {}
    }
    store(api, topics::TRANSFORMS_MODULES, &key, Some(&wasm)).await?;
    catalog.keep(&module);
    tracing::info!(module = module.label(), "module is stored");
    super::throw_away::tidy(api, &module).await;
    Ok(answer(StatusCode::CREATED, &summary(&module)))
}

fn summary(module: &Module) -> Value {
    let description = module.description();
    json!({
        "name": description.name,
        "version": description.version,
        "digest": module.digest(),
        "label": module.label(),
    })
}

fn described(module: &Module) -> Value {
    let mut shown = summary(module);
    let parameters: Vec<Value> = module
        .description()
        .parameters
        .iter()
        .map(|parameter| {
            json!({
                "name": parameter.name,
                "required": parameter.required,
                "default": parameter.default,
                "description": parameter.description,
            })
        })
        .collect();
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("parameters".to_owned(), Value::Array(parameters));
    }
    shown
}

/// Answers only when everything that is stored has been read.
pub(super) fn complete(api: &Api) -> Result<(), Problem> {
    if api.materials.catalog.is_complete() {
        return Ok(());
    }
    let message = format!(
        "topics {} and {} have not been read yet; `connectors apply` makes them",
        topics::TRANSFORMS_MODULES,
        topics::TRANSFORMS_CONFIG
    );
    Err(reply::refusal(StatusCode::SERVICE_UNAVAILABLE, message).header(http::header::RETRY_AFTER, 1))
}

/// Writes state and waits until this process has read it back.
pub(super) async fn store(api: &Api, topic: &'static str, key: &str, value: Option<&[u8]>) -> Result<(), Problem> {
    let unavailable = |message: String| reply::refusal(StatusCode::SERVICE_UNAVAILABLE, message);
    let offset = api.writer.put(topic, key, value).await.map_err(|error| unavailable(error.to_string()))?;
    if api.materials.catalog.taken_in(topic, offset, READ_BACK).await {
        return Ok(());
    }
    Err(unavailable(format!(
        "{key} is stored in {topic}, but was not read back within {READ_BACK:?}; it takes effect later"
    )))
}
