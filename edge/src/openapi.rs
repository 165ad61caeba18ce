//! `GET /openapi.json`: what the edge takes and what it answers, as OpenAPI 3.1. Made at start from what is in use: the
//! order schema and a refusal of each kind; the limits in it are those that hold when it is read. `tests/it/openapi.rs`
//! drives the edge by it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use serde_json::{Map, Value, json};
use service_kit::http::{self as kit, PROBLEM_JSON};

use crate::{
    check::Rules,
    config::Config,
    json as text,
    limits::{self, Limits},
    orders, refusal,
};

mod parts;

/// Where it is read.
pub const PATH: &str = "/openapi.json";

/// Problems that no operation answers: they say that there is none.
const NOT_OF_AN_OPERATION: [u16; 2] = [404, 405];

/// Where the limits stand in the text.
const LIMITS: &str = "@limits@";

/// The description.
#[derive(Clone, Debug)]
pub struct Description {
    text: Arc<str>,
    limits: limits::Current,
    /// As it was sent last.
    sent: Arc<Mutex<Option<(Limits, Bytes)>>>,
}

impl Description {
    /// The description of an edge with this configuration.
    ///
    /// # Errors
    /// When the order schema is no JSON.
    pub fn new(config: &Config, rules: &Rules, limits: limits::Current) -> anyhow::Result<Self> {
        let order: Value = serde_json::from_str(&config.order_schema).context("cannot describe the order schema")?;
        let text = document(rules, order).to_string().into();
        Ok(Self { text, limits, sent: Arc::default() })
    }

    /// With the limits that hold now.
    fn now(&self) -> Bytes {
        let limits = self.limits.get();
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        match &*sent {
            Some((of, text)) if *of == limits => text.clone(),
            _ => {
                let text = Bytes::from(self.text.replace(LIMITS, &in_words(limits)));
                *sent = Some((limits, text.clone()));
                text
            }
        }
    }

    /// The answer, if it is this that is asked for.
    #[must_use]
    pub fn answer<B>(&self, request: &Request<B>) -> Option<kit::Response> {
        let is_read = request.method() == Method::GET || request.method() == Method::HEAD;
        if request.uri().path() != PATH || !is_read {
            return None;
        }
        let mut response = Response::new(kit::Body::new(self.now())); // hyper leaves it out of the answer to HEAD
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        Some(response)
    }
}

/// Nothing in it needs a quote, so it can be put into JSON as it is.
fn in_words(Limits { body, batch_bytes, batch_orders }: Limits) -> String {
    format!("A body has at most {body} bytes, that of a batch {batch_bytes} bytes and {batch_orders} orders")
}

fn document(rules: &Rules, mut order: Value) -> Value {
    let dialect = order.as_object_mut().and_then(|order| order.remove("$schema"));
    let is_resource = order.get("$id").is_some();
    if !is_resource {
        rebase(&mut order, "#/components/schemas/Order");
    }
    let kinds = kinds();
    let has_keys = kinds.contains_key(&StatusCode::UNAUTHORIZED.as_u16());
    let mut schemas = parts::schemas();
    schemas.insert("Order".to_owned(), order);
    let mut responses = Map::new();
    for (status, problems) in &kinds {
        for problem in problems {
            schemas.insert(schema_name(problem), problem_schema(problem));
        }
        responses.insert(format!("Problem{status}"), problem_response(*status, problems));
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Orderflow edge",
            "summary": "Takes orders and answers when they are stored",
            "description": parts::ABOUT,
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache License 2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": {
            orders::PATH: { "post": post(rules, &kinds) },
            PATH: { "get": read("getDescription"), "head": read("headDescription") },
        },
        "components": {
            "schemas": schemas,
            "responses": responses,
            "parameters": parts::parameters(),
            "headers": parts::headers(),
        },
    });
    if let Some(dialect) = dialect {
        set(&mut document, "", "jsonSchemaDialect", dialect);
    }
    if has_keys {
        let scheme = json!({ "key": { "type": "http", "scheme": "bearer", "description": parts::KEY } });
        set(&mut document, "/components", "securitySchemes", scheme);
        // The empty one: an edge without keys asks for none.
        set(&mut document, "/paths/~1api~1orders/post", "security", json!([{ "key": [] }, {}]));
    }
    document
}

fn set(document: &mut Value, at: &str, name: &str, value: Value) {
    if let Some(members) = document.pointer_mut(at).and_then(Value::as_object_mut) {
        members.insert(name.to_owned(), value);
    }
}

/// Lets references within a schema that now stands inside of another document point to where they pointed.
fn rebase(schema: &mut Value, root: &str) {
    let members = match schema {
        Value::Object(members) => members,
        Value::Array(schemas) => return schemas.iter_mut().for_each(|schema| rebase(schema, root)),
        _ => return,
    };
    for (name, value) in members {
        match (name.as_str(), value) {
            ("$ref", Value::String(to)) => {
                if let Some(rest) = to.strip_prefix('#').filter(|rest| rest.is_empty() || rest.starts_with('/')) {
                    *to = format!("{root}{rest}");
                }
            }
            // Names that may be any, with a schema each.
            (
                "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas",
                Value::Object(named),
            ) => {
                named.values_mut().for_each(|schema| rebase(schema, root));
            }
            // Values and no schemas.
            ("enum" | "const" | "default" | "examples", _) => {}
            (_, value) => rebase(value, root),
        }
    }
}

// === operations ===

fn post(rules: &Rules, kinds: &BTreeMap<u16, Vec<Map<String, Value>>>) -> Value {
    let mut responses = parts::receipts();
    for status in kinds.keys().filter(|status| !NOT_OF_AN_OPERATION.contains(status)) {
        responses.insert(status.to_string(), json!({ "$ref": format!("#/components/responses/Problem{status}") }));
    }
    let parameters: Vec<Value> =
        parts::parameters().keys().map(|name| json!({ "$ref": format!("#/components/parameters/{name}") })).collect();
    json!({
        "operationId": "postOrders",
        "summary": "Post an order, or a batch of them",
        "description": format!(
            "One order is answered when Kafka has it. A batch, as NDJSON or as a JSON array, is answered line by line \
             (207), each order in its own time. {LIMITS}; both what comes over the wire and what its content coding \
             decodes to have these limits. They are those that hold now; the edge's operator may change them, and a 413 \
             always tells the one that held."
        ),
        "parameters": parameters,
        "requestBody": { "required": true, "content": parts::bodies(&examples(rules)) },
        "responses": responses,
    })
}

fn read(id: &str) -> Value {
    json!({
        "operationId": id,
        "summary": "This description",
        "responses": { "200": {
            "description": "An OpenAPI 3.1 document.",
            "headers": { "x-request-id": { "$ref": "#/components/headers/RequestId" } },
            "content": { "application/json": { "schema": { "type": "object", "required": ["openapi"] } } },
        } },
    })
}

/// Those of our examples that the schema in use admits; a user may have tightened it.
fn examples(rules: &Rules) -> Vec<(&'static str, Value)> {
    let admitted = |example: &Value| {
        let written = example.to_string();
        text::parse(written.as_bytes()).is_ok_and(|order| rules.check(&order).is_ok())
    };
    parts::orders().into_iter().filter(|(_, order)| admitted(order)).collect()
}

// === problems ===

/// The members of one problem of each kind, by status.
fn kinds() -> BTreeMap<u16, Vec<Map<String, Value>>> {
    let mut kinds: BTreeMap<u16, Vec<Map<String, Value>>> = BTreeMap::new();
    for sample in refusal::samples() {
        let problem = sample.problem().with("requestId", parts::REQUEST_ID);
        kinds.entry(problem.status().as_u16()).or_default().push(problem.into_members());
    }
    kinds
}

fn slug(problem: &Map<String, Value>) -> &str {
    problem.get("type").and_then(Value::as_str).and_then(|kind| kind.rsplit(':').next()).unwrap_or_default()
}

/// `BodyTooLarge` for `body-too-large`.
fn schema_name(problem: &Map<String, Value>) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>())
    };
    slug(problem).split('-').filter_map(capital).collect()
}

/// What is the same in all problems of a kind.
fn problem_schema(problem: &Map<String, Value>) -> Value {
    let fixed = ["type", "title", "status", "persisted", "retry"];
    let properties: Map<String, Value> =
        fixed.into_iter().filter_map(|name| Some((name.to_owned(), json!({ "const": problem.get(name)? })))).collect();
    let required: Vec<&String> = problem.keys().collect();
    json!({ "allOf": [{ "$ref": "#/components/schemas/Problem" }], "properties": properties, "required": required })
}

fn problem_response(status: u16, problems: &[Map<String, Value>]) -> Value {
    let reference = |problem| format!("#/components/schemas/{}", schema_name(problem));
    let titles: Vec<&str> = problems.iter().filter_map(|problem| problem.get("title")?.as_str()).collect();
    let examples: Map<String, Value> =
        problems.iter().map(|problem| (slug(problem).to_owned(), json!({ "value": problem }))).collect();
    let schema = match problems {
        [problem] => json!({ "$ref": reference(problem) }),
        several => json!({ "oneOf": several.iter().map(|one| json!({ "$ref": reference(one) })).collect::<Vec<_>>() }),
    };
    json!({
        "description": titles.join("; "),
        "headers": parts::headers_of(status),
        "content": { PROBLEM_JSON: { "schema": schema, "examples": examples } },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_of_a_schema_that_moves_follow_it() {
        let mut schema = json!({
            "$ref": "#/$defs/a", "allOf": [{ "$ref": "#" }, { "$ref": "#anchor" }, { "$ref": "urn:other#/$defs/a" }],
            "properties": { "default": { "$ref": "#/$defs/b" }, "$ref": { "const": { "$ref": "#/value" } } },
        });
        rebase(&mut schema, "#/there");
        let expected = json!({
            "$ref": "#/there/$defs/a",
            "allOf": [{ "$ref": "#/there" }, { "$ref": "#anchor" }, { "$ref": "urn:other#/$defs/a" }],
            "properties": { "default": { "$ref": "#/there/$defs/b" }, "$ref": { "const": { "$ref": "#/value" } } },
        });
        assert_eq!(schema, expected);
    }
}
