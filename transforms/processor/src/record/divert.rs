//! Where a record goes that does not become an output: to the dead letters, unchanged, with the reason in headers as
//! Connect writes them; or, when a module dropped it on purpose, as a marker to the dropped.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::names::headers as names;
use serde::{Deserialize, Serialize};
use transform_host::Passed;

use crate::kafka::{Headers, Input, Outgoing};

/// The step that failed, in Connect's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading the key.
    Key,
    /// Reading the value.
    Value,
    /// A module, or what one returned.
    Transformation,
    /// Writing the output.
    Produce,
}

/// Why a record is a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The step that failed.
    pub stage: Stage,
    /// The kind of failure: stands where Connect has the exception's class.
    pub class: &'static str,
    /// In words; never with a value of the record in it.
    pub message: String,
    /// The module, when it was one.
    pub module: Option<Module>,
    /// The modules that the record went through, that one with them.
    pub passed: Passed,
}

/// The module that a dead letter comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// `name@version+sha256:<first 12 digits>`.
    pub label: String,
    /// Its parameters, as JSON.
    pub parameters: String,
    /// The tables that it could look up in, as they were, as JSON.
    pub lookups: String,
}

impl Reason {
    /// A reason that has nothing to do with a module.
    #[must_use]
    pub fn new(stage: Stage, class: &'static str, message: impl Into<String>) -> Self {
        Self { stage, class, message: message.into(), module: None, passed: Passed::default() }
    }
}

impl Stage {
    /// As it stands in the header.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "KEY_CONVERTER",
            Self::Value => "VALUE_CONVERTER",
            Self::Transformation => "TRANSFORMATION",
            Self::Produce => "KAFKA_PRODUCE",
        }
    }
}

/// All that a replay needs beside the other headers, as it stands in `orderflow.chain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// The pipeline.
    pub pipeline: String,
    /// The id of its output's schema.
    pub schema: u32,
    /// The modules that the record went through, in order.
    pub steps: Vec<Link>,
}

/// One of the modules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// `name@version+sha256:<first 12 digits>`.
    pub module: String,
    /// Its parameters.
    pub parameters: BTreeMap<String, String>,
}

/// The record as a dead letter: key, value and headers as they are, and the reason behind them.
#[must_use]
pub fn dead_letter(input: &Input, topic: &Arc<str>, reason: &Reason, chain: &Chain) -> Outgoing {
    let mut headers = input.headers.clone();
    address(input, &mut headers);
    add(&mut headers, names::ERROR_STAGE, reason.stage.as_str());
    add(&mut headers, names::ERROR_CLASS, reason.class);
    add(&mut headers, names::ERROR_MESSAGE, &reason.message);
    if let Some(module) = &reason.module {
        add(&mut headers, names::MODULE, &module.label);
        add(&mut headers, names::PARAMETERS, &module.parameters);
        add(&mut headers, names::LOOKUPS, &module.lookups);
    }
    add(&mut headers, names::CHAIN, &serde_json::to_string(chain).unwrap_or_default());
    Outgoing {
        topic: Arc::clone(topic),
        key: input.key.clone(),
        value: input.value.clone(),
        timestamp_ms: input.timestamp_ms,
        headers,
    }
}

/// The marker of a record that a module dropped: its key, its address and the module, but not what was in it.
#[must_use]
pub fn marker(input: &Input, topic: &Arc<str>, module: &str) -> Outgoing {
    let mut headers: Headers = input.headers.iter().filter(|(name, _)| travels(name)).cloned().collect();
    address(input, &mut headers);
    add(&mut headers, names::MODULE, module);
    let value = serde_json::json!({
        "topic": &*input.topic, "partition": input.partition, "offset": input.offset, "module": module
    });
    Outgoing {
        topic: Arc::clone(topic),
        key: input.key.clone(),
        value: Some(value.to_string().into_bytes()),
        timestamp_ms: input.timestamp_ms,
        headers,
    }
}

/// Whether a header of the input goes with the output: only ours do. Others could steer the sinks (`CamelHeader.*`).
#[must_use]
pub fn travels(name: &[u8]) -> bool {
    name == names::REQUEST_ID.as_bytes() || name == names::TRACEPARENT.as_bytes()
}

pub(crate) fn add(headers: &mut Headers, name: &str, value: &str) {
    headers.push((name.as_bytes().to_vec(), Some(value.as_bytes().to_vec())));
}

/// The identity of a dead letter and of a marker.
fn address(input: &Input, headers: &mut Headers) {
    add(headers, names::ERROR_TOPIC, &input.topic);
    add(headers, names::ERROR_PARTITION, &input.partition.to_string());
    add(headers, names::ERROR_OFFSET, &input.offset.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input() -> Input {
        Input {
            topic: Arc::from("orders.received"),
            partition: 3,
            offset: 41,
            timestamp_ms: Some(7),
            key: Some(Vec::new()),
            value: None,
            headers: vec![
                (b"CamelHeader.x".to_vec(), Some(b"1".to_vec())),
                (vec![0xff], None),
                (names::REQUEST_ID.as_bytes().to_vec(), Some(b"r-1".to_vec())),
            ],
        }
    }

    fn text(headers: &Headers) -> Vec<String> {
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        headers
            .iter()
            .map(|(name, value)| format!("{}={}", shown(name), value.as_deref().map_or("null".to_owned(), shown)))
            .collect()
    }

    #[test]
    fn a_dead_letter_is_the_record_unchanged_with_connects_headers_behind() {
        let (label, parameters) = ("clean@1.0.0+sha256:0123456789ab".to_owned(), r#"{"a":"b"}"#.to_owned());
        let module = Module { label, parameters, lookups: "[]".to_owned() };
        let reason = Reason { module: Some(module), ..Reason::new(Stage::Transformation, "orderflow.Rejected", "no") };
        let link = Link { module: "clean@1.0.0+sha256:0123456789ab".to_owned(), parameters: BTreeMap::new() };
        let chain = Chain { pipeline: "p".to_owned(), schema: 7, steps: vec![link] };
        let letter = dead_letter(&input(), &Arc::from("orders.dead-letter"), &reason, &chain);
        assert_eq!((letter.key, letter.value, letter.timestamp_ms), (Some(Vec::new()), None, Some(7)));
        assert_eq!(
            text(&letter.headers),
            [
                "CamelHeader.x=1",
                "\u{fffd}=null",
                "orderflow.request-id=r-1",
                "__connect.errors.topic=orders.received",
                "__connect.errors.partition=3",
                "__connect.errors.offset=41",
                "__connect.errors.stage=TRANSFORMATION",
                "__connect.errors.exception.class.name=orderflow.Rejected",
                "__connect.errors.exception.message=no",
                "orderflow.module=clean@1.0.0+sha256:0123456789ab",
                r#"orderflow.parameters={"a":"b"}"#,
                "orderflow.lookups=[]",
                r#"orderflow.chain={"pipeline":"p","schema":7,"steps":[{"module":"clean@1.0.0+sha256:0123456789ab","parameters":{}}]}"#,
            ]
        );
    }

    #[test]
    fn a_marker_has_the_key_the_address_and_the_module() {
        let marker = marker(&input(), &Arc::from("orders.dropped"), "filter@1.0.0+sha256:0123456789ab");
        assert_eq!(marker.key, Some(Vec::new()));
        assert_eq!(
            text(&marker.headers),
            [
                "orderflow.request-id=r-1",
                "__connect.errors.topic=orders.received",
                "__connect.errors.partition=3",
                "__connect.errors.offset=41",
                "orderflow.module=filter@1.0.0+sha256:0123456789ab",
            ]
        );
    }
}
