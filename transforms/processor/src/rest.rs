//! The REST API, in the shape of Kafka Connect's, so that its tools manage pipelines; and `/modules` beside it.
//! Routes and the border checks stand here; what the routes do, in [`connectors`] and [`modules`].

mod connectors;
mod modules;
mod reply;
mod throw_away;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use hyper::body::Incoming;
use service_kit::http::{BodyError, Problem, Response, discard, json, read_body};
use service_kit::{Admin, Door, Tasks};

use crate::names::WASM;
use crate::pipeline::manager::Manager;
use crate::pipeline::plan::Materials;
use crate::state::write::Writer;

/// A config; far above any honest one.
const CONFIG_BYTES: usize = 256 * 1024;
/// A module.
pub const MODULE_BYTES: usize = 8 * 1024 * 1024;
/// A body must have arrived in this time.
const BODY_TIME: Duration = Duration::from_secs(30);

/// A refused body is read on for so long, so that the client reads the refusal.
const DISCARD_TIME: Duration = Duration::from_secs(2);

/// What the routes work with.
pub struct Api {
    /// `/healthz`, `/readyz`, `/metrics`.
    pub admin: Admin,
    /// Who may call.
    pub door: Door,
    /// The pipelines of this process.
    pub manager: Arc<Manager>,
    /// Modules, schemas, state.
    pub materials: Materials,
    /// Writes state.
    pub writer: Writer,
    /// Runs what blocks.
    pub tasks: Tasks,
    /// How this process is named in `worker_id`.
    pub worker: String,
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
    if let Some(response) = api.admin.answer(&head.method, &head.uri, &head.headers) {
        return response;
    }
    if let Err(refused) = api.door.check(&head.uri, &head.headers) {
        return refused.problem().into_response();
    }
    let path = head.uri.path().trim_matches('/').to_owned();
    let segments: Vec<&str> = if path.is_empty() { Vec::new() } else { path.split('/').collect() };
    let query = head.uri.query().unwrap_or_default();
    let answered = route(api, &head.method, &segments, query, &head.headers, body).await;
    answered.unwrap_or_else(Problem::into_response)
}

async fn route(
    api: &Arc<Api>,
    method: &Method,
    segments: &[&str],
    query: &str,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<Response, Problem> {
    let m = method.as_str();
    match (m, segments) {
        ("GET", []) => Ok(json(StatusCode::OK, &reply::root())),
        ("GET", ["connector-plugins"]) => Ok(json(StatusCode::OK, &reply::plugins())),
        ("PUT", ["connector-plugins", _, "config", "validate"]) => {
            let body = read(body, headers, "application/json", CONFIG_BYTES).await?;
            connectors::validate(api, &body)
        }
        ("GET", ["modules"]) => modules::list(api),
        ("POST", ["modules"]) => {
            let body = read(body, headers, WASM, MODULE_BYTES).await?;
            modules::upload(api, body).await
        }
        ("GET", ["connectors"]) => connectors::list(api, query),
        ("POST", ["connectors"]) => {
            let body = read(body, headers, "application/json", CONFIG_BYTES).await?;
            connectors::create(api, &body).await
        }
        ("PUT", ["connectors", name, "config"]) => {
            let body = read(body, headers, "application/json", CONFIG_BYTES).await?;
            connectors::put(api, name, &body).await
        }
        (_, ["connectors", name, rest @ ..]) => connectors::one(api, m, name, rest).await,
        (_, [] | ["connector-plugins", ..] | ["modules"] | ["connectors"]) => {
            Err(Problem::of_status(StatusCode::METHOD_NOT_ALLOWED))
        }
        _ => Err(Problem::of_status(StatusCode::NOT_FOUND)
            .detail("there are /connectors, /connector-plugins, /modules, /healthz, /readyz and /metrics here")),
    }
}

/// The body, of this type and no larger than this. A browser's form cannot have these types, so it cannot deploy.
async fn read(mut body: Incoming, headers: &HeaderMap, kind: &str, limit: usize) -> Result<Bytes, Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case(kind) {
        discard(&mut body, limit, DISCARD_TIME).await;
        return Err(Problem::of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
            .detail(format!("content type is {given:?}; this takes {kind}")));
    }
    match read_body(&mut body, limit, BODY_TIME).await {
        Ok(bytes) => Ok(bytes),
        Err(error @ BodyError::TooLarge { .. }) => {
            discard(&mut body, limit, DISCARD_TIME).await;
            Err(Problem::of_status(StatusCode::PAYLOAD_TOO_LARGE).detail(error.to_string()))
        }
        Err(error @ BodyError::Slow { .. }) => {
            Err(Problem::of_status(StatusCode::REQUEST_TIMEOUT).detail(error.to_string()))
        }
        Err(error @ BodyError::Broken(_)) => Err(Problem::of_status(StatusCode::BAD_REQUEST).detail(error.to_string())),
    }
}
