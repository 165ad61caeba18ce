//! The answer to an order that is surely stored: where it is, under which schema. Errors are `refusal`'s.

use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use service_kit::http::{Body, Response};

use crate::publish::Placed;

/// What the client gets with a 202.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt<'a> {
    /// As posted.
    pub order_id: &'a str,
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// The offset, which is the order's version.
    pub offset: i64,
    /// Always `yes`.
    pub persisted: &'static str,
    /// The request's id, as in the header.
    pub request_id: &'a str,
    /// The id of the schema that the record was written with.
    pub schema_id: u32,
}

/// The same for one line of a batch.
#[derive(Clone, Debug, Serialize)]
pub struct LineReceipt<'a> {
    /// The line, from 1.
    pub line: usize,
    /// Always 202.
    pub status: u16,
    /// What a single order gets.
    #[serde(flatten)]
    pub receipt: Receipt<'a>,
}

impl<'a> LineReceipt<'a> {
    /// A receipt for this line.
    #[must_use]
    pub fn new(line: usize, receipt: Receipt<'a>) -> Self {
        Self { line, status: StatusCode::ACCEPTED.as_u16(), receipt }
    }
}

impl<'a> Receipt<'a> {
    /// A receipt for an order that the broker acknowledged.
    #[must_use]
    pub fn new(order_id: &'a str, topic: &'a str, placed: Placed, request_id: &'a str, schema_id: u32) -> Self {
        let Placed { partition, offset } = placed;
        Self { order_id, topic, partition, offset, persisted: "yes", request_id, schema_id }
    }

    /// The answer.
    #[must_use]
    pub fn response(&self) -> Response {
        // Strings and numbers always serialize; an empty body is still a truthful 202.
        let body = serde_json::to_vec(self).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::ACCEPTED;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
