//! `/modules`: upload, list, show, delete. An upload passes the checks of [`crate::intake`], is stored in the topic in
//! parts, and is answered when this process has read it back. Uploading activates nothing.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use hyper::body::Incoming;
use schemas::names::topics;
use serde_json::{Value, json};
use service_kit::http::{Problem, Response, json as answer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use transform_host::digest;

use super::audit::{self, Entry};
use super::{Api, query, reply};
use crate::intake::refused::{Check, Refused};
use crate::intake::{self, Accepted, Wishes};
use crate::names::WASM;
use crate::pipeline::swap;
use crate::state::catalog::module_key;
use crate::state::parts::{Meta, PART_BYTES};
use crate::state::write::Turn;

/// A write is read back within this time, or the answer says that it was not.
pub(super) const READ_BACK: Duration = Duration::from_secs(10);
/// Uploads and configs that are checked, and records that are run again, at the same time: each may fill as much memory as
/// its bounds allow, an upload in a child process, and a few times its own size here.
const UPLOADS: usize = 2;
/// How long an upload waits for its turn, and a change for that to be written.
const TURN: Duration = Duration::from_secs(20);

/// Whose turn it is.
pub struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(UPLOADS)))
    }
}

impl Turns {
    pub(super) async fn wait(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let busy = || {
            let message =
                format!("{UPLOADS} uploads, configs or records are being checked; try again when they are done");
            reply::refusal(StatusCode::SERVICE_UNAVAILABLE, message).header(header::RETRY_AFTER, 5)
        };
        tokio::time::timeout(TURN, Arc::clone(&self.0).acquire_owned()).await.map_err(|_| busy())?.map_err(|_| busy())
    }
}

/// `GET /modules`.
pub(super) fn list(api: &Api) -> Result<Response, Problem> {
    complete(api)?;
    let shown = |(key, known): (String, Result<Meta, String>)| match known {
        Ok(meta) => described(&meta),
        Err(reason) => json!({ "module": key, "error": reason }),
    };
    let modules = tokio::task::block_in_place(|| api.materials.catalog.list());
    let modules: Vec<Value> = modules.into_iter().map(shown).collect();
    Ok(answer(StatusCode::OK, &Value::Array(modules)))
}

/// `GET /modules/{name@version}`.
pub(super) fn show(api: &Api, key: &str) -> Result<Response, Problem> {
    complete(api)?;
    let modules = tokio::task::block_in_place(|| api.materials.catalog.list());
    match modules.into_iter().find(|(own, _)| own == key) {
        Some((_, Ok(meta))) => Ok(answer(StatusCode::OK, &described(&meta))),
        Some((_, Err(reason))) => Ok(answer(StatusCode::OK, &json!({ "module": key, "error": reason }))),
        None => Err(none(key)),
    }
}

/// `DELETE /modules/{name@version}`: not while a pipeline needs it.
pub(super) async fn delete(api: &Api, key: &str) -> Result<Response, Problem> {
    complete(api)?;
    let catalog = &api.materials.catalog;
    let old = catalog.digest(key).ok_or_else(|| none(key))?;
    let pipelines = catalog.pipelines();
    let names = pipelines.iter().filter(|(name, stored)| {
        stored.as_ref().is_ok_and(|stored| swap::needed(stored, &catalog.facts(name)).contains(key))
    });
    let names: Vec<&str> = names.map(|(name, _)| name.as_str()).collect();
    if !names.is_empty() {
        let message = format!(
            "{key} is in use by {}, or is what that would go back to or promote; change or delete that, or end its \
             shadow, first",
            names.join(", ")
        );
        return Err(reply::refusal(StatusCode::CONFLICT, message));
    }
    let parts: Vec<String> = catalog.meta(key).iter().flat_map(Meta::part_keys).chain(catalog.leftovers(key)).collect();
    let entry = Entry { action: "module.delete", subject: key, digest: Some(&old), outcome: "accepted", reason: None };
    audit::record(api, &entry).await?;
    // The metadata goes first: what is left when this breaks off is no module.
    write(api, topics::TRANSFORMS_MODULES, key, None).await?;
    for part in parts {
        put(api, &part, None).await?;
    }
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// `POST /modules`.
pub(super) async fn upload(
    api: &Arc<Api>,
    query: &str,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<Response, Problem> {
    let ready = async {
        complete(api)?;
        let wishes = wishes(query)?;
        // Before the body is read: what waits for its turn holds no memory.
        Ok((wishes, api.turns.wait().await?))
    };
    let (wishes, _turn) = match ready.await {
        Ok(ready) => ready,
        Err(problem) => return Err(super::shut(api, body, problem).await),
    };
    let limit = api.module_bytes();
    let wasm = super::read(body, headers, WASM, limit).await.map_err(|problem| match problem.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let way_out = "build it with --release and without what it does not use";
            let text = format!("the module has more than {limit} bytes, which is the limit");
            self::problem(&Refused::new(Check::Size, text, way_out).limit(limit))
        }
        _ => problem,
    })?;
    let stateful = query::values(query, "stateful").next().map(|_| wishes.stateful);
    if let Some(known) = again(api, &wasm, stateful).await? {
        return Ok(known);
    }
    let accepted = check(api, &wasm, &wishes).await?;
    let mut meta = Meta::of(&accepted.module, wasm.len());
    (meta.stateful, meta.trial) = (wishes.stateful, accepted.trial);
    if wishes.dry_run {
        return Ok(answer(StatusCode::OK, &described(&meta)));
    }
    (meta.uploaded_by, meta.uploaded_at) = (audit::caller().who, audit::now());
    keep(api, &meta, &wasm).await?;
    api.materials.catalog.keep(&accepted.module);
    super::throw_away::tidy(api, &accepted.module).await;
    Ok(answer(StatusCode::CREATED, &described(&meta)))
}

/// The same bytes as before are not checked again. `stateful` is what the upload asks for, if it says anything of it.
async fn again(api: &Api, wasm: &[u8], stateful: Option<bool>) -> Result<Option<Response>, Problem> {
    let digest = tokio::task::block_in_place(|| digest(wasm));
    let Some(key) = api.materials.catalog.key_of(&digest) else { return Ok(None) };
    let known = tokio::task::block_in_place(|| api.materials.catalog.module(&key));
    let Some(Ok(module)) = known else { return Ok(None) };
    let meta = api.materials.catalog.meta(&key).unwrap_or_else(|| Meta::of(&module, wasm.len()));
    if let Some(asked) = stateful.filter(|asked| *asked != meta.stateful) {
        return Err(otherwise(&key, meta.stateful, asked));
    }
    let entry =
        Entry { action: "module.upload", subject: &key, digest: Some(&digest), outcome: "unchanged", reason: None };
    audit::record(api, &entry).await?;
    Ok(Some(answer(StatusCode::OK, &described(&meta))))
}

/// All checks, in their order.
async fn check(api: &Arc<Api>, wasm: &[u8], wishes: &Wishes) -> Result<Accepted, Problem> {
    let early = |error: tokio::task::JoinError| {
        reply::refusal(StatusCode::INTERNAL_SERVER_ERROR, format!("checking ended early: {error}"))
    };
    let (child, bytes) = (api.child.clone(), wasm.to_vec());
    let proven = api.tasks.spawn_blocking(move || intake::prove(&child, &bytes).map(|proven| (proven, bytes))).await;
    let (proven, bytes) = proven.map_err(early)?.map_err(|refused| problem(&refused))?;
    let key = format!("{}@{}", proven.name, proven.version);
    other_digest(api, &key, &proven.digest)?;
    let (engine, wishes) = (Arc::clone(&api.materials.engine), wishes.clone());
    let accepted = api.tasks.spawn_blocking(move || intake::accept(&engine, &bytes, &wishes)).await;
    let accepted = accepted.map_err(early)?.map_err(|refused| problem(&refused))?;
    if module_key(&accepted.module) != key {
        let text = format!("it says that it is {key}, and then {}", module_key(&accepted.module));
        let way_out = "a module must describe itself in the same words each time";
        return Err(problem(&Refused::new(Check::Load("describe"), text, way_out)));
    }
    Ok(accepted)
}

/// A version never changes. What cannot be loaded may be replaced.
fn other_digest(api: &Api, key: &str, digest: &str) -> Result<(), Problem> {
    let catalog = &api.materials.catalog;
    match catalog.digest(key) {
        Some(old)
            if old != digest && tokio::task::block_in_place(|| catalog.module(key)).is_some_and(|old| old.is_ok()) =>
        {
            Err(taken(key, &old, digest))
        }
        Some(_) | None => Ok(()),
    }
}

fn taken(key: &str, old: &str, digest: &str) -> Problem {
    let text = format!("{key} is here with digest {old}, this one has {digest}; a version never changes");
    problem(&Refused::new(Check::Version, text, "raise the version").value(digest).limit(old))
}

/// The same bytes, but not as the same kind: pipelines that run the version would change under their feet.
fn otherwise(key: &str, old: bool, asked: bool) -> Problem {
    let text =
        format!("{key} is here with stateful={old}, this upload asks for stateful={asked}; a version never changes");
    let how = if asked { "with" } else { "without" };
    let way_out = format!("raise the version and push it {how} --stateful");
    problem(&Refused::new(Check::Version, text, way_out).value(asked).limit(old))
}

/// Stores a module: parts, audit, metadata. Only the last makes a module of them.
async fn keep(api: &Api, meta: &Meta, wasm: &[u8]) -> Result<(), Problem> {
    let (key, catalog) = (meta.key(), &api.materials.catalog);
    let leftovers: Vec<String> =
        catalog.leftovers(&key).into_iter().filter(|part| !part.contains(&meta.digest)).collect();
    for part in leftovers {
        put(api, &part, None).await?;
    }
    for (part, bytes) in meta.part_keys().zip(wasm.chunks(PART_BYTES)) {
        put(api, &part, Some(bytes)).await?;
    }
    let entry = Entry {
        action: "module.upload",
        subject: &key,
        digest: Some(&meta.digest),
        outcome: "accepted",
        reason: meta.stateful.then_some("stateful"),
    };
    audit::record(api, &entry).await?;
    let broken = catalog.digest(&key).is_some_and(|old| old != meta.digest);
    if broken {
        // Everybody must see that the unusable one is replaced on purpose.
        write(api, topics::TRANSFORMS_MODULES, &key, None).await?;
    }
    let text = serde_json::to_vec(meta)
        .map_err(|error| reply::refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    write(api, topics::TRANSFORMS_MODULES, &key, Some(&text)).await?;
    match catalog.digest(&key) {
        Some(first) if first != meta.digest => {
            // Another process was a moment earlier. Its metadata is written again, since compaction keeps the last.
            if let Some(text) = catalog.meta(&key).and_then(|first| serde_json::to_vec(&first).ok()) {
                put(api, &key, Some(&text)).await?;
            }
            Err(taken(&key, &first, &meta.digest))
        }
        Some(_) | None => Ok(()),
    }
}

fn wishes(query: &str) -> Result<Wishes, Problem> {
    let mut wishes = Wishes::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let truth = || match &*value {
            "true" | "" => Ok(true),
            "false" => Ok(false),
            _ => Err(reply::refusal(StatusCode::BAD_REQUEST, format!("{name}={value}: write true or false"))),
        };
        match (&*name, name.strip_prefix("parameter.")) {
            ("stateful", _) => wishes.stateful = truth()?,
            ("dry_run", _) => wishes.dry_run = truth()?,
            (_, Some(parameter)) => {
                wishes.parameters.insert(parameter.to_owned(), value.into_owned());
            }
            _ => {
                let message = format!("{name} is not known here; known are stateful, dry_run and parameter.NAME");
                return Err(reply::refusal(StatusCode::BAD_REQUEST, message));
            }
        }
    }
    Ok(wishes)
}

fn problem(refused: &Refused) -> Problem {
    reply::refusal(refused.status, format!("{}; {}", refused.text, refused.way_out))
        .with("check", refused.check.name())
        .with("value", (*refused.value).clone())
        .with("limit", (*refused.limit).clone())
        .with("way_out", refused.way_out.clone())
}

fn none(key: &str) -> Problem {
    reply::refusal(StatusCode::NOT_FOUND, format!("no module {key} is here; name one as name@1.4.0"))
}

fn described(meta: &Meta) -> Value {
    json!({
        "name": meta.name,
        "version": meta.version,
        "digest": meta.digest,
        "label": meta.label(),
        "size": meta.size,
        "stateful": meta.stateful,
        "parameters": meta.parameters,
        "trial": meta.trial,
        "uploaded_by": meta.uploaded_by,
        "uploaded_at": meta.uploaded_at,
    })
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
    Err(reply::refusal(StatusCode::SERVICE_UNAVAILABLE, message).header(header::RETRY_AFTER, 1))
}

/// The turn to change what is stored of a pipeline: it begins with what is stored by then, and
/// nothing is checked in it: it is as long as Kafka takes for what is written.
pub(super) async fn turn(api: &Api) -> Result<Turn<'_>, Problem> {
    let busy = |_| {
        let message = "other changes are being written, which takes long; try again";
        reply::refusal(StatusCode::SERVICE_UNAVAILABLE, message).header(header::RETRY_AFTER, 1)
    };
    tokio::time::timeout(TURN, api.writer.turn()).await.map_err(busy)
}

/// Records in the audit that state changes, writes it, and waits until this process has read it back.
pub(super) async fn store(api: &Api, topic: &'static str, key: &str, value: Option<&[u8]>) -> Result<(), Problem> {
    let action = if value.is_some() { "pipeline.put" } else { "pipeline.delete" };
    store_as(api, action, topic, key, value).await
}

/// [`store`], where what is done has a name of its own.
pub(super) async fn store_as(
    api: &Api,
    action: &str,
    topic: &'static str,
    key: &str,
    value: Option<&[u8]>,
) -> Result<(), Problem> {
    let digest = value.map(digest);
    let entry = Entry { action, subject: key, digest: digest.as_deref(), outcome: "accepted", reason: None };
    audit::record(api, &entry).await?;
    write(api, topic, key, value).await
}

/// Writes state and waits until this process has read it back.
async fn write(api: &Api, topic: &'static str, key: &str, value: Option<&[u8]>) -> Result<(), Problem> {
    let offset = api.writer.put(topic, key, value).await.map_err(|error| unavailable(error.to_string()))?;
    if api.materials.catalog.taken_in(topic, offset, READ_BACK).await {
        return Ok(());
    }
    Err(unavailable(format!(
        "{key} is stored in {topic}, but was not read back within {READ_BACK:?}; it takes effect later"
    )))
}

/// Writes a record of a module without waiting to read it.
async fn put(api: &Api, key: &str, value: Option<&[u8]>) -> Result<(), Problem> {
    let written = api.writer.put(topics::TRANSFORMS_MODULES, key, value).await;
    written.map(|_| ()).map_err(|error| unavailable(error.to_string()))
}

fn unavailable(message: String) -> Problem {
    reply::refusal(StatusCode::SERVICE_UNAVAILABLE, message)
}
