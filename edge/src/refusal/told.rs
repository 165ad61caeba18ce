//! What a client is told when the edge says no: status, kind, whether the order may be stored, and whether to send it
//! again. All of it is a problem answer (RFC 9457).

use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use service_kit::http::{BodyError, Problem};

use super::{Measured, Refusal, Unit};
use crate::{body, keys::Exceeded, publish::pause};

/// What a client may do after a refusal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Retry {
    /// The same request may be sent again; it was surely not stored.
    Safe,
    /// Send it again under the same order id: should it be stored already, it is replaced by itself.
    WithSameOrderId,
    /// The same request would be refused again.
    Pointless,
}

/// Nobody is told to come back at once, or so late that it would rather ask somebody.
const SHORTEST_PAUSE: u64 = 1;
const LONGEST_PAUSE: u64 = 60;

impl Refusal {
    /// The answer.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let (status, slug, title) = self.kind();
        let mut problem = Problem::new(status, &format!("urn:orderflow:problem:{slug}"), title)
            .detail(self.to_string())
            .with("persisted", self.persisted())
            .with("retry", self.retry().name());
        for (name, value) in self.members() {
            problem = problem.with(name, value);
        }
        if let Some(pause) = self.pause() {
            // Whole seconds (RFC 9110), rounded up: too early is in vain.
            let seconds = pause.as_millis().div_ceil(1000).clamp(SHORTEST_PAUSE.into(), LONGEST_PAUSE.into()) as u64;
            problem = problem
                .with("retryAfterMs", pause.as_millis().min(u128::from(LONGEST_PAUSE) * 1000) as u64)
                .header(header::RETRY_AFTER, seconds);
        }
        match self {
            Self::Method(_) => problem.header(header::ALLOW, HeaderValue::from_static("POST")),
            Self::ReadOnly(_) => problem.header(header::ALLOW, HeaderValue::from_static("GET, HEAD")),
            // Which tells it apart from a media type that is not taken (RFC 9110, section 15.5.16).
            Self::Encoding => problem.header(header::ACCEPT_ENCODING, HeaderValue::from_static(body::ACCEPTED)),
            Self::Unauthorized => {
                problem.header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"orders\""))
            }
            _ => problem,
        }
    }

    /// How long the client should wait before it sends the same again.
    fn pause(&self) -> Option<Duration> {
        match self {
            Self::Unavailable(unavailable) => Some(unavailable.pause()),
            // Another edge takes it, or memory comes back within the time of a body.
            Self::OverQuota(exceeded) => Some(exceeded.pause),
            Self::Crowded | Self::CrowdedByKey | Self::Draining => Some(pause::while_away(Duration::ZERO)),
            _ => None,
        }
    }

    /// Status, kind and title. The kind is part of the interface: it never changes. `PROBLEMS.md` has a section for each.
    pub(super) fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "nothing is here"),
            Self::Method(_) | Self::ReadOnly(_) => (StatusCode::METHOD_NOT_ALLOWED, "method", "method is not allowed"),
            Self::MediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "media type is not supported"),
            Self::Encoding => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "encoding", "content coding is not supported"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "API key is missing or wrong"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden", "API key may not post"),
            Self::OverQuota(_) => (StatusCode::TOO_MANY_REQUESTS, "quota-exceeded", "quota of the API key is used up"),
            Self::Deadline { .. } => (StatusCode::BAD_REQUEST, "deadline", "deadline cannot be read"),
            Self::Undecodable(_) => (StatusCode::BAD_REQUEST, "undecodable", "body cannot be decoded"),
            Self::Body(BodyError::TooLarge { .. }) | Self::DecodedTooLarge { .. } => {
                (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "body is too large")
            }
            Self::Body(BodyError::Slow { .. }) => (StatusCode::BAD_REQUEST, "body-slow", "body came too slowly"),
            Self::Body(BodyError::Broken(_)) => (StatusCode::BAD_REQUEST, "body-broken", "body broke off"),
            Self::BatchForm(_) => (StatusCode::BAD_REQUEST, "batch-form", "batch is not well formed"),
            Self::HttpVersion => {
                (StatusCode::HTTP_VERSION_NOT_SUPPORTED, "http-version", "batch needs HTTP/1.1 or newer")
            }
            Self::BatchTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "batch-too-large", "batch is too large"),
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, "malformed", "body is not JSON that is taken here"),
            Self::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "order breaks its rules"),
            Self::RecordTooLarge { .. } | Self::TopicTooNarrow(_) => {
                (StatusCode::PAYLOAD_TOO_LARGE, "order-too-large", "order is too large")
            }
            Self::Crowded | Self::CrowdedByKey | Self::Draining | Self::Unavailable(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "orders are not accepted now")
            }
            Self::InDoubt(_) => (StatusCode::GATEWAY_TIMEOUT, "in-doubt", "order may or may not be stored"),
            Self::Panicked => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "the edge failed"),
        }
    }

    /// The kind alone; there is a fixed set of them, and nothing of a request is in one.
    #[must_use]
    pub fn slug(&self) -> &'static str {
        self.kind().1
    }

    /// The status of an answer that is nothing but this.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.kind().0
    }

    /// Whether the order may be stored.
    #[must_use]
    pub fn persisted(&self) -> &'static str {
        match self {
            Self::InDoubt(_) | Self::Panicked => "possibly",
            _ => "no",
        }
    }

    pub(super) fn retry(&self) -> Retry {
        match self {
            Self::Crowded | Self::CrowdedByKey | Self::Draining | Self::Unavailable(_) => Retry::Safe,
            Self::OverQuota(_) => Retry::Safe,
            Self::Body(BodyError::Slow { .. } | BodyError::Broken(_)) => Retry::Safe,
            Self::InDoubt(_) | Self::Panicked => Retry::WithSameOrderId,
            Self::NotFound
            | Self::Method(_)
            | Self::ReadOnly(_)
            | Self::MediaType
            | Self::Encoding
            | Self::Undecodable(_)
            | Self::Unauthorized
            | Self::Forbidden(_)
            | Self::Deadline { .. }
            | Self::Body(BodyError::TooLarge { .. })
            | Self::DecodedTooLarge { .. }
            | Self::BatchForm(_)
            | Self::HttpVersion
            | Self::BatchTooLarge { .. }
            | Self::Malformed(_)
            | Self::Invalid(_)
            | Self::RecordTooLarge { .. }
            | Self::TopicTooNarrow(_) => Retry::Pointless,
        }
    }

    /// Members beside the standard ones.
    fn members(&self) -> Vec<(&'static str, Value)> {
        match self {
            Self::Body(BodyError::TooLarge { limit, announced }) => {
                sizes(json!(limit), json!(announced), Unit::Bytes(Measured::Wire))
            }
            Self::DecodedTooLarge { limit, size } => sizes(json!(limit), json!(size), Unit::Bytes(Measured::Decoded)),
            Self::BatchTooLarge { unit, limit, size, .. } => sizes(json!(limit), json!(size), *unit),
            Self::RecordTooLarge { size, limit } => sizes(json!(limit), json!(size), Unit::Bytes(Measured::Encoded)),
            Self::TopicTooNarrow(size) => sizes(Value::Null, json!(size), Unit::Bytes(Measured::Encoded)),
            Self::OverQuota(Exceeded { limit, a_second, .. }) => vec![
                ("quota", json!(limit.to_string())),
                ("limit", json!(a_second)),
                ("violated-policies", json!([limit.to_string()])),
            ],
            Self::Invalid(violations) => {
                let errors: Vec<Value> = violations
                    .listed
                    .iter()
                    .map(|error| json!({ "pointer": error.pointer, "rule": error.rule, "detail": error.detail }))
                    .collect();
                vec![("errors", Value::from(errors)), ("errorsTotal", json!(violations.total))]
            }
            _ => Vec::new(),
        }
    }
}

/// What every refusal of something too large tells.
fn sizes(limit: Value, size: Value, unit: Unit) -> Vec<(&'static str, Value)> {
    let mut members = vec![("limit", limit), ("size", size), ("unit", json!(unit.to_string()))];
    if let Unit::Bytes(of) = unit {
        members.push(("of", json!(of.name())));
    }
    members
}

impl Measured {
    fn name(self) -> &'static str {
        match self {
            Self::Wire => "wire",
            Self::Decoded => "decoded",
            Self::Encoded => "encoded",
        }
    }
}

impl Retry {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::WithSameOrderId => "with-same-order-id",
            Self::Pointless => "pointless",
        }
    }
}
