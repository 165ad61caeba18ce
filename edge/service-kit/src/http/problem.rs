//! Problem answers (RFC 9457): one shape for everything that is not a success. What the problems are is the services'.

use ::http::{HeaderName, HeaderValue, StatusCode, header};
use bytes::Bytes;
use serde_json::{Map, Value};

use super::{Body, Response};

/// The media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// One problem, with extension members and headers.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    members: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem of this kind (a URI that never changes) with a title that is the same for each of its kind.
    #[must_use]
    pub fn new(status: StatusCode, kind: &str, title: &str) -> Self {
        let members = Map::from_iter([
            ("type".to_owned(), Value::from(kind)),
            ("title".to_owned(), Value::from(title)),
            ("status".to_owned(), Value::from(status.as_u16())),
        ]);
        Self { status, members, headers: Vec::new() }
    }

    /// A problem that its status code says enough about.
    #[must_use]
    pub fn of_status(status: StatusCode) -> Self {
        Self::new(status, "about:blank", status.canonical_reason().unwrap_or("error"))
    }

    /// What is wrong this time and what to do about it.
    #[must_use]
    pub fn detail(self, detail: impl Into<String>) -> Self {
        self.with("detail", detail.into())
    }

    /// An extension member, or another value for a standard one.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// A header of the answer, such as `Retry-After` or `Allow`.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The value of a member.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }

    /// The members alone, for a problem that is one of several in an answer.
    #[must_use]
    pub fn into_members(self) -> Map<String, Value> {
        self.members
    }

    /// The answer.
    #[must_use]
    pub fn into_response(self) -> Response {
        let mut response = json(self.status, &Value::Object(self.members));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.extend(self.headers);
        response
    }
}

/// An answer in JSON that no cache may keep.
#[must_use]
pub fn json(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_problem_carries_its_members_and_headers() {
        let response = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "urn:x:busy", "busy")
            .detail("come back in 2 s")
            .with("persisted", "no")
            .header(header::RETRY_AFTER, 2)
            .into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        assert_eq!(response.headers()[header::CONTENT_TYPE], PROBLEM_JSON);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "type": "urn:x:busy", "title": "busy", "status": 503, "detail": "come back in 2 s", "persisted": "no"
            })
        );
    }
}
