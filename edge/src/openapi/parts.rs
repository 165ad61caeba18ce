//! The parts of the description that do not depend on how the edge is set up.

use schemas::names::topics;
use serde_json::{Map, Value, json};

use crate::{
    body::ACCEPTED,
    orders::DEADLINE_HEADER,
    publish::settings::{DEADLINE, MIN_DEADLINE},
};

/// Stands in examples.
pub(super) const REQUEST_ID: &str = "8f7d6b1e";

pub(super) const ABOUT: &str = "Whatever is not accepted is a problem (RFC 9457). Programs go by its `type`, `persisted` \
    and `retry`; titles and details are for people. Another path than those below is answered with `Problem404`, another \
    method with `Problem405`; a request whose head cannot be read with 400, one whose head is too large with 431, both \
    without a body. In the schema of an order, `x-decimal` means exact to so many digits, checked on the number's own \
    text, and `x-range` a range of times.";

pub(super) const KEY: &str = "An API key. Whether one is needed is the operator's choice.";

/// Orders for examples, from the smallest on.
pub(super) fn orders() -> [(&'static str, Value); 2] {
    [
        ("smallest", json!({ "orderId": "my-order-123", "amount": 99.99, "customer": "john_doe" })),
        (
            "whole",
            json!({
                "orderId": "my-order-124", "amount": 25.5, "customer": "Zoë", "currency": "EUR",
                "items": [{ "sku": "s-1", "quantity": 2, "unitPrice": 12.75 }], "email": "zoe@example.org",
                "country": "DE", "channel": "web", "createdAt": "2024-05-06T07:08:09.010+02:00",
            }),
        ),
    ]
}

/// What may be posted. OpenAPI 3.1 has no word for a body of lines; 3.2's is `itemSchema`.
pub(super) fn bodies(orders: &[(&'static str, Value)]) -> Map<String, Value> {
    let mut single: Map<String, Value> =
        orders.iter().map(|(name, order)| ((*name).to_owned(), json!({ "value": order }))).collect();
    let mut lines = Map::new();
    if !orders.is_empty() {
        let all: Vec<&Value> = orders.iter().map(|(_, order)| order).collect();
        let text: String = all.iter().map(|order| format!("{order}\n")).collect();
        single.insert("batch".to_owned(), json!({ "value": all }));
        lines.insert("lines".to_owned(), json!({ "value": text }));
    }
    let order = json!({ "$ref": "#/components/schemas/Order" });
    let mut bodies = Map::new();
    let json = json!({ "oneOf": [order, { "description": "A batch.", "type": "array", "items": order }] });
    bodies.insert("application/json".to_owned(), json!({ "schema": json, "examples": single }));
    for name in crate::body::LINES {
        let text = json!({
            "type": "string",
            "description": "A batch: one order a line, as JSON; lines of white space are passed over.",
        });
        bodies.insert(name.to_owned(), json!({ "schema": text, "x-itemSchema": order, "examples": lines }));
    }
    bodies
}

/// The answers that are no problems.
pub(super) fn receipts() -> Map<String, Value> {
    let receipt = json!({
        "orderId": "my-order-123", "topic": topics::ORDERS_RECEIVED, "partition": 3, "offset": 41, "persisted": "yes",
        "requestId": REQUEST_ID, "schemaId": 7,
    });
    let mut line = json!({ "line": 1, "status": 202 });
    if let (Some(line), Some(receipt)) = (line.as_object_mut(), receipt.as_object()) {
        line.extend(receipt.clone());
    }
    let headers = json!({ "x-request-id": { "$ref": "#/components/headers/RequestId" } });
    Map::from_iter([
        (
            "202".to_owned(),
            json!({
                "description": "The order is stored.",
                "headers": headers_of(202),
                "content": { "application/json": {
                    "schema": { "$ref": "#/components/schemas/Receipt" },
                    "examples": { "stored": { "value": receipt } },
                } },
            }),
        ),
        (
            "207".to_owned(),
            json!({
                "description": "A batch: one line for each order, in their order; what ends it early stands in a last one.",
                "headers": headers,
                "content": { "application/x-ndjson": {
                    "schema": { "type": "string", "description": "A receipt or a problem a line, as JSON." },
                    "x-itemSchema": { "oneOf": [
                        { "$ref": "#/components/schemas/LineReceipt" }, { "$ref": "#/components/schemas/LineProblem" },
                    ] },
                    "examples": { "one order": { "value": format!("{line}\n") } },
                } },
            }),
        ),
    ])
}

/// The schemas of receipts and problems.
pub(super) fn schemas() -> Map<String, Value> {
    let receipt = json!({
        "type": "object",
        "required": ["orderId", "topic", "partition", "offset", "persisted", "requestId", "schemaId"],
        "properties": {
            "orderId": { "type": "string", "description": "As posted." },
            "topic": { "const": topics::ORDERS_RECEIVED },
            "partition": { "type": "integer", "minimum": 0 },
            "offset": { "type": "integer", "minimum": 0, "description": "The order's version." },
            "persisted": { "const": "yes" },
            "requestId": { "type": "string" },
            "schemaId": { "type": "integer", "minimum": 0, "description": "Of the schema the record is written with." },
        },
    });
    let receipt_line = json!({
        "allOf": [{ "$ref": "#/components/schemas/Receipt" }],
        "required": ["line", "status"],
        "properties": { "line": line(), "status": { "const": 202 } },
    });
    let problem_line = json!({ "allOf": [{ "$ref": "#/components/schemas/Problem" }], "required": ["line"] });
    Map::from_iter([
        ("Receipt".to_owned(), receipt),
        ("LineReceipt".to_owned(), receipt_line),
        ("Problem".to_owned(), problem()),
        ("LineProblem".to_owned(), problem_line),
    ])
}

fn line() -> Value {
    json!({ "type": "integer", "minimum": 1, "description": "The line in the body, or the element of the array." })
}

fn problem() -> Value {
    let violation = json!({
        "type": "object",
        "required": ["pointer", "rule", "detail"],
        "properties": {
            "pointer": { "type": "string", "description": "A JSON Pointer to the value." },
            "rule": { "type": "string", "description": "The keyword of the schema that is broken." },
            "detail": { "type": "string" },
        },
    });
    json!({
        "type": "object",
        "required": ["type", "title", "status", "detail", "persisted", "retry", "requestId"],
        "properties": {
            "type": { "type": "string", "pattern": "^urn:orderflow:problem:[a-z-]+$" },
            "title": { "type": "string" },
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "detail": { "type": "string", "description": "What is wrong this time, and the way out." },
            "persisted": { "enum": ["no", "possibly"], "description": "Whether the order may be stored." },
            "retry": { "enum": ["safe", "with-same-order-id", "pointless"] },
            "requestId": { "type": "string" },
            "line": line(),
            "orderId": { "type": "string", "description": "Of a line, where it could be read." },
            "errors": { "type": "array", "items": violation },
            "errorsTotal": { "type": "integer", "minimum": 1 },
            "limit": { "type": ["integer", "null"], "minimum": 0 },
            "size": { "type": ["integer", "null"], "minimum": 0 },
            "unit": { "enum": ["bytes", "orders"] },
            "quota": { "enum": ["requests", "bytes"], "description": "What there was too much of in a second." },
            "violated-policies": { "type": "array", "items": { "type": "string" } },
            "retryAfterMs": { "type": "integer", "minimum": 0, "description": "`Retry-After`, finer." },
            "of": { "enum": ["wire", "decoded", "encoded"], "description": "Where bytes were measured." },
        },
    })
}

/// Headers of requests.
pub(super) fn parameters() -> Map<String, Value> {
    let header = |name: &str, description: &str, schema: Value| json!({ "name": name, "in": "header", "required": false, "description": description, "schema": schema });
    let deadline = json!({
        "type": "integer", "minimum": MIN_DEADLINE.as_millis(), "maximum": DEADLINE.as_millis(),
        "default": DEADLINE.as_millis(),
    });
    // Any text: one that is not kept is no reason to refuse an order.
    let text = json!({ "type": "string" });
    let codings: Vec<&str> = ACCEPTED.split(", ").collect();
    let coding = json!({ "enum": codings, "default": "identity" });
    Map::from_iter([
        ("Deadline".to_owned(), header(DEADLINE_HEADER, "How long to wait for Kafka, in milliseconds.", deadline)),
        (
            "RequestId".to_owned(),
            header("x-request-id", "Kept if it matches ^[A-Za-z0-9._:-]{1,128}$; else one is made.", text.clone()),
        ),
        ("Trace".to_owned(), header("traceparent", "W3C trace context; goes into the record if it is one.", text)),
        ("Coding".to_owned(), header("content-encoding", "How the body is compressed; one coding at most.", coding)),
    ])
}

/// Headers of answers.
pub(super) fn headers() -> Map<String, Value> {
    let header = |required: bool, description: &str, kind: &str| json!({ "required": required, "description": description, "schema": { "type": kind } });
    Map::from_iter([
        ("RequestId".to_owned(), header(true, "The request's id.", "string")),
        ("RetryAfter".to_owned(), header(true, "Seconds to wait before the next try.", "integer")),
        ("Allow".to_owned(), header(true, "The methods that are served here.", "string")),
        ("AcceptEncoding".to_owned(), header(false, "The codings that are taken, if it is the coding.", "string")),
        ("Authenticate".to_owned(), header(true, "How to show a key.", "string")),
        ("RateLimitPolicy".to_owned(), header(false, "The quotas of the key, if it has any.", "string")),
        ("RateLimit".to_owned(), header(false, "What is left of them.", "string")),
    ])
}

/// The headers of an answer with this status.
pub(super) fn headers_of(status: u16) -> Map<String, Value> {
    const RATE: [(&str, &str); 2] = [("ratelimit-policy", "RateLimitPolicy"), ("ratelimit", "RateLimit")];
    let more: &[(&str, &str)] = match status {
        202 => &RATE,
        401 => &[("www-authenticate", "Authenticate")],
        405 => &[("allow", "Allow")],
        415 => &[("accept-encoding", "AcceptEncoding")],
        429 => &[("retry-after", "RetryAfter"), RATE[0], RATE[1]],
        503 => &[("retry-after", "RetryAfter")],
        _ => &[],
    };
    [("x-request-id", "RequestId")]
        .iter()
        .chain(more)
        .map(|(name, part)| ((*name).to_owned(), json!({ "$ref": format!("#/components/headers/{part}") })))
        .collect()
}
