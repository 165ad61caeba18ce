//! The REST API, in the shape of Kafka Connect's, so that its tools manage pipelines; and `/modules` beside it.
//! Routes and the border checks stand here; what the routes do, in the modules beside. That it is Connect's shape is
//! held by a test that asks the real worker the same (`scripts/promise/tests/it/connect.rs`).

mod audit;
mod connectors;
mod definitions;
mod loggers;
mod modules;
mod offsets;
mod plugins;
mod query;
mod reply;
mod steps;
mod swap;
mod tasks;
mod throw_away;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use hyper::body::Incoming;
use service_kit::http::{BodyError, Problem, Response, discard, json, read_body};
use service_kit::tokens::{Refused, Role};
use service_kit::{Admin, Door, Tasks, Tokens};

use crate::intake::child::Child;
use crate::pipeline::manager::Manager;
use crate::pipeline::plan::Materials;
use crate::state::write::Writer;

pub use modules::Turns;

/// A config; far above any honest one.
const CONFIG_BYTES: usize = 256 * 1024;
/// A change of offsets: some hundred bytes for each of a few thousand partitions.
const OFFSETS_BYTES: usize = 2 * 1024 * 1024;
/// What everything but a module is sent as.
const JSON: &str = "application/json";
/// A body must have arrived in this time.
const BODY_TIME: Duration = Duration::from_secs(30);

/// A refused body is read on for so long, so that the client reads the refusal.
const DISCARD_TIME: Duration = Duration::from_secs(2);

/// What the routes work with.
pub struct Api {
    /// `/healthz`, `/readyz`, `/metrics`.
    pub admin: Admin,
    /// From where one may call.
    pub door: Door,
    /// Who may call.
    pub tokens: Tokens,
    /// Checks uploads.
    pub child: Child,
    /// Whose upload is being checked.
    pub turns: Turns,
    /// The pipelines of this process.
    pub manager: Arc<Manager>,
    /// Modules, schemas, state.
    pub materials: Materials,
    /// Writes state.
    pub writer: Arc<Writer>,
    /// Runs what blocks.
    pub tasks: Tasks,
    /// How this process is named in `worker_id`.
    pub worker: String,
    /// What the routes remember.
    pub memory: Memory,
}

impl Api {
    /// A larger module is not read.
    fn module_bytes(&self) -> usize {
        self.materials.engine.limits().module_bytes
    }
}

/// What the routes remember from one request to the next; begins empty.
#[derive(Default)]
pub struct Memory {
    cluster_id: OnceLock<String>,
    loggers: loggers::Loggers,
    resets: offsets::Resets,
}

/// The API as a service. Cheap to clone.
#[derive(Clone)]
pub struct Service(pub Arc<Api>);

impl tower::Service<Request<Incoming>> for Service {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let api = Arc::clone(&self.0);
        Box::pin(async move { Ok(answer(&api, request).await) })
    }
}

async fn answer(api: &Arc<Api>, request: Request<Incoming>) -> Response {
    let (head, body) = request.into_parts();
    // Whoever looks whether the process is alive has no token; what it counts is for those who may read.
    if head.uri.path() == "/metrics"
        && let Err(refused) = api.tokens.check(&head.headers, Role::Read)
    {
        return refused.problem().into_response();
    }
    if let Some(response) = api.admin.answer(&head.method, &head.uri, &head.headers) {
        return response;
    }
    if let Err(refused) = api.door.check(&head.uri, &head.headers) {
        return refused.problem().into_response();
    }
    let checked = api.tokens.check(&head.headers, needed(&head.method, head.uri.path()));
    let (name, refused) = match checked {
        Ok(caller) => (caller.name, None),
        Err(Refused::Unknown) => return shut(api, body, Refused::Unknown.problem()).await.into_response(),
        Err(Refused::Role(name)) => (name.clone(), Some(Refused::Role(name))),
    };
    let caller = audit::Caller::new(name, &head.headers);
    let answered = caller.scope(async {
        match refused {
            None => routed(api, &head, body).await,
            Some(refused) => told(api, &head, shut(api, body, refused.problem()).await).await,
        }
    });
    let mut response = answered.await;
    if let Some(id) = caller.header() {
        response.headers_mut().insert(audit::REQUEST_ID, id);
    }
    response
}

/// A refusal before the body was read: reads on for a while, or the client never hears it.
async fn shut(api: &Api, mut body: Incoming, problem: Problem) -> Problem {
    discard(&mut body, api.module_bytes(), DISCARD_TIME).await;
    problem
}

/// Looking, and asking whether a config would be taken, changes nothing.
fn needed(method: &Method, path: &str) -> Role {
    let validates = path.starts_with("/connector-plugins/");
    if matches!(*method, Method::GET | Method::HEAD) || validates { Role::Read } else { Role::Deploy }
}

/// A refusal, which is in the audit when it is one of a change.
async fn told(api: &Api, head: &http::request::Parts, problem: Problem) -> Response {
    let path = head.uri.path();
    if needed(&head.method, path) == Role::Deploy && problem.status().is_client_error() {
        let action = if path == "/modules" { "module.upload".to_owned() } else { format!("{} {path}", head.method) };
        audit::refused(api, &action, path, &problem).await;
    }
    // What Connect has no such address for keeps the shape of our other services.
    if path.starts_with("/modules") { problem.into_response() } else { reply::as_connect(problem) }
}

async fn routed(api: &Arc<Api>, head: &http::request::Parts, body: Incoming) -> Response {
    let path = head.uri.path().trim_matches('/');
    let segments: Vec<String> =
        if path.is_empty() { Vec::new() } else { path.split('/').map(query::decoded).collect() };
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let query = head.uri.query().unwrap_or_default();
    match route(api, &head.method, &segments, query, &head.headers, body).await {
        Ok(response) => response,
        Err(problem) => told(api, head, problem).await,
    }
}

async fn route(
    api: &Arc<Api>,
    method: &Method,
    segments: &[&str],
    query: &str,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<Response, Problem> {
    // A HEAD is answered like a GET; the server leaves the body out.
    let m = if *method == Method::HEAD { "GET" } else { method.as_str() };
    match (m, segments) {
        ("GET", []) => Ok(json(StatusCode::OK, &reply::root(offsets::cluster_id(api).await.as_deref()))),
        ("GET", ["health"]) => health(api),
        ("GET", ["connector-plugins"]) => plugins::list(api, query),
        ("GET", ["connector-plugins", plugin, "config"]) => plugins::config(api, plugin),
        ("PUT", ["connector-plugins", plugin, "config", "validate"]) => {
            let body = read(body, headers, JSON, CONFIG_BYTES).await?;
            plugins::validate(api, plugin, &body)
        }
        ("GET", ["admin", "loggers"]) => Ok(api.memory.loggers.list()),
        ("GET", ["admin", "loggers", name]) => api.memory.loggers.one(name),
        ("PUT", ["admin", "loggers", name]) => {
            let body = read(body, headers, JSON, CONFIG_BYTES).await?;
            api.memory.loggers.set(name, query, &body)
        }
        ("GET", ["modules"]) => modules::list(api),
        ("POST", ["modules"]) => modules::upload(api, query, headers, body).await,
        ("GET", ["modules", key]) => modules::show(api, key),
        ("DELETE", ["modules", key]) => modules::delete(api, key).await,
        ("GET", ["connectors"]) => connectors::list(api, query),
        ("POST", ["connectors"]) => {
            let body = read(body, headers, JSON, CONFIG_BYTES).await?;
            connectors::create(api, headers, &body).await
        }
        ("PUT", ["connectors", name, "config"]) => {
            let body = read(body, headers, JSON, CONFIG_BYTES).await?;
            let put = connectors::put(api, name, headers, &body).await?;
            swap::after_put(api, name, query).await?;
            Ok(put)
        }
        ("PATCH", ["connectors", name, "config"]) => {
            let body = read(body, headers, JSON, CONFIG_BYTES).await?;
            connectors::patch(api, name, headers, &body).await
        }
        ("PATCH", ["connectors", name, "offsets"]) => {
            let body = read(body, headers, JSON, OFFSETS_BYTES).await?;
            offsets::patch(api, name, &body).await
        }
        ("PUT", ["connectors", name, "shadow"]) => {
            let body = read(body, headers, JSON, CONFIG_BYTES).await?;
            swap::put_shadow(api, name, &body).await
        }
        (_, ["connectors", name, "shadow"]) => swap::shadow(api, m, name).await,
        (_, ["connectors", name, rest @ ..]) => connectors::one(api, m, name, rest, query).await,
        (
            _,
            []
            | ["connector-plugins", ..]
            | ["modules"]
            | ["modules", _]
            | ["connectors"]
            | ["admin", "loggers", ..]
            | ["health"],
        ) => Err(Problem::of_status(StatusCode::METHOD_NOT_ALLOWED)),
        _ => Err(Problem::of_status(StatusCode::NOT_FOUND).detail(
            "there are /connectors, /connector-plugins, /admin/loggers, /modules, /health, /healthz, /readyz and \
             /metrics here",
        )),
    }
}

/// As Connect says it (KIP-1017): whether what is stored has been read, so that requests can be answered.
fn health(api: &Api) -> Result<Response, Problem> {
    let (status, word, message) = match modules::complete(api) {
        Ok(()) => (StatusCode::OK, "healthy", "Worker has completed startup and is ready to handle requests."),
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "starting",
            "Worker is still starting up: what is stored has not been read yet.",
        ),
    };
    Ok(json(status, &serde_json::json!({ "status": word, "message": message })))
}

/// The body, of this type and no larger than this. A browser's form cannot have these types, so it cannot deploy.
async fn read(mut body: Incoming, headers: &HeaderMap, kind: &str, limit: usize) -> Result<Bytes, Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case(kind) {
        let problem = Problem::of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
            .detail(format!("content type is {given:?}; this takes {kind}"));
        return Err(after_rest(problem, &mut body, limit).await);
    }
    match read_body(&mut body, limit, BODY_TIME).await {
        Ok(bytes) => Ok(bytes),
        Err(error @ BodyError::TooLarge { .. }) => {
            let problem = Problem::of_status(StatusCode::PAYLOAD_TOO_LARGE).detail(error.to_string());
            Err(after_rest(problem, &mut body, limit).await)
        }
        Err(error @ BodyError::Slow { .. }) => {
            Err(Problem::of_status(StatusCode::REQUEST_TIMEOUT).detail(error.to_string()))
        }
        Err(error @ BodyError::Broken(_)) => Err(Problem::of_status(StatusCode::BAD_REQUEST).detail(error.to_string())),
    }
}

/// A refusal when the rest of its body was thrown away. If that had no end, its connection ends with it.
async fn after_rest(problem: Problem, body: &mut Incoming, limit: usize) -> Problem {
    match discard(body, limit, DISCARD_TIME).await {
        true => problem,
        false => problem.header(header::CONNECTION, HeaderValue::from_static("close")),
    }
}
