//! The operator's view of a service: `/healthz` (the process runs), `/readyz` (it can do its work, and if not, why;
//! `?verbose`: what else there is to know), `/metrics` (Prometheus text). A tower service for a listener of its own, or merged in another by `answer`.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use ::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use bytes::Bytes;
use prometheus_client::registry::Registry;
use serde_json::json;
use tower::Service;

use crate::{
    Door, Readiness,
    http::{self, Body, Problem, Response},
    readiness::Report,
};

/// The media type of Prometheus' text as its client writes it.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The admin endpoints of one service. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Admin {
    readiness: Readiness,
    metrics: Arc<Registry>,
    door: Door,
}

impl Admin {
    /// For this readiness and these metrics, behind this door.
    #[must_use]
    pub fn new(readiness: Readiness, metrics: Arc<Registry>, door: Door) -> Self {
        Self { readiness, metrics, door }
    }

    /// The answer if the path is one of ours; for merging into another service's routes.
    #[must_use]
    pub fn answer(&self, method: &Method, target: &Uri, headers: &HeaderMap) -> Option<Response> {
        let write: fn(&Self) -> Response = match target.path() {
            "/healthz" => |_| http::json(StatusCode::OK, &json!({ "status": "ok" })),
            "/readyz" if target.query() == Some("verbose") => |admin| Self::ready(&admin.readiness.verbose()),
            "/readyz" => |admin| Self::ready(&admin.readiness.report()),
            "/metrics" => Self::metrics,
            _ => return None,
        };
        if let Err(refused) = self.door.check(target, headers) {
            return Some(refused.problem().into_response());
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            let problem = Problem::of_status(StatusCode::METHOD_NOT_ALLOWED)
                .detail(format!("{} takes GET only", target.path()))
                .header(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Some(problem.into_response());
        }
        Some(write(self))
    }

    fn ready(report: &Report) -> Response {
        let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        http::json(status, &report.body)
    }

    fn metrics(&self) -> Response {
        let mut text = String::with_capacity(16 * 1024);
        if let Err(error) = prometheus_client::encoding::text::encode(&mut text, &self.metrics) {
            tracing::error!(error = %error, "cannot write metrics");
            return Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR).into_response();
        }
        let mut response = Response::new(Body::new(Bytes::from(text)));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(OPENMETRICS));
        response
    }
}

impl<B> Service<Request<B>> for Admin {
    type Response = Response;
    type Error = Infallible;
    type Future = Ready<Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answer = self.answer(request.method(), request.uri(), request.headers()).unwrap_or_else(|| {
            Problem::of_status(StatusCode::NOT_FOUND)
                .detail("there are /healthz, /readyz and /metrics here")
                .into_response()
        });
        ready(Ok(answer))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    async fn call(admin: &Admin, method: Method, path: &str, host: &str) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri(path).header(header::HOST, host).body(()).unwrap();
        let response = admin.clone().call(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_three_endpoints_tell_the_truth() {
        let readiness = Readiness::new();
        let kafka = readiness.condition("kafka");
        readiness.detail("known", || Some(json!([1])));
        readiness.detail("unknown", || None);
        let mut registry = Registry::default();
        let orders = Counter::<u64>::default();
        registry.register("orders", "orders seen", orders.clone());
        orders.inc();
        let admin = Admin::new(readiness, Arc::new(registry), Door::loopback());

        assert_eq!(call(&admin, Method::GET, "/healthz", "localhost").await.0, 200);
        let (status, body) = call(&admin, Method::GET, "/readyz", "localhost").await;
        assert_eq!(status, 503);
        assert!(body.contains(r#""name":"kafka""#) && body.contains("starting"), "{body}");
        kafka.met();
        let (status, body) = call(&admin, Method::GET, "/readyz", "localhost").await;
        assert!(status == 200 && !body.contains("known"), "{body}");
        let (status, body) = call(&admin, Method::GET, "/readyz?verbose", "localhost").await;
        assert!(status == 200 && body.contains(r#""known":[1]"#) && body.contains(r#""unknown":null"#), "{body}");
        let (_, metrics) = call(&admin, Method::GET, "/metrics", "localhost").await;
        assert!(metrics.contains("orders_total 1"), "{metrics}");
    }

    #[tokio::test]
    async fn other_methods_paths_and_hosts_are_refused() {
        let admin = Admin::new(Readiness::new(), Arc::default(), Door::loopback());
        assert_eq!(call(&admin, Method::POST, "/healthz", "localhost").await.0, 405);
        assert_eq!(call(&admin, Method::GET, "/health", "localhost").await.0, 404);
        assert_eq!(call(&admin, Method::GET, "/metrics", "evil.example").await.0, 421);
    }
}
