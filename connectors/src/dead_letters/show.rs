//! One dead letter in readable form.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::letter::{Chain, Letter, Said};
use super::marks::Mark;
use crate::decode::{Decoder, plain};
use crate::kafka::record::Address;

/// A letter, taken apart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    /// Where it lies.
    pub at: Address,
    /// Where its record came from.
    pub of: Address,
    /// When that was received.
    pub time: Option<String>,
    /// The key.
    pub key: Option<String>,
    /// Why it is a dead letter: the failing rule.
    pub reason: Said,
    /// The way it had gone.
    pub chain: Chain,
    /// Where `transforms` shows the module that rejected it.
    pub module_url: Option<String>,
    /// How often it was sent again already.
    pub replays: u32,
    /// What was done with it.
    pub mark: Option<Mark>,
    /// The headers that it came with.
    pub headers: Vec<(String, Option<String>)>,
    /// What it says, field by field, as JSON.
    pub fields: Vec<(String, Value)>,
    /// Why that cannot be read.
    pub unreadable: Option<String>,
    /// What to type to try it again.
    pub replay: String,
}

/// Takes a letter apart; its schema was learned before.
#[must_use]
pub fn show(letter: &Letter, mark: Option<&Mark>, decoder: &Decoder, transforms: &str) -> Shown {
    let text = |bytes: &[u8]| plain(&String::from_utf8_lossy(bytes));
    let (fields, unreadable) = match decoder.fields(letter.record.value.as_deref()) {
        Ok(fields) => (fields, None),
        Err(reason) => (Vec::new(), Some(reason)),
    };
    // A decimal keeps its digits as text: a JSON number may lose them in whoever reads it.
    let json = |json: &str| serde_json::from_str(json).ok().filter(|value: &Value| !value.is_f64());
    let module = letter.said.module.as_ref().and_then(|label| label.split_once('+')).map(|(module, _)| module);
    Shown {
        at: letter.at.clone(),
        of: letter.of.clone(),
        time: letter.record.timestamp_ms.and_then(schemas::fields::rfc3339),
        key: letter.record.key.as_deref().map(text),
        reason: letter.said.clone(),
        chain: letter.chain.clone(),
        module_url: module.map(|module| format!("{}/modules/{module}", transforms.trim_end_matches('/'))),
        replays: letter.replays,
        mark: mark.cloned(),
        headers: letter.record.headers.iter().map(|(name, value)| (text(name), value.as_deref().map(text))).collect(),
        fields: fields
            .into_iter()
            .map(|field| {
                let value = match field.read {
                    Some(read) => Value::from(read),
                    None => json(&field.json).unwrap_or_else(|| Value::from(field.json)),
                };
                (field.path, value)
            })
            .collect(),
        unreadable,
        replay: format!("connectors dead-letters replay {} --yes", letter.at),
    }
}

/// For people.
#[must_use]
pub fn text(shown: &Shown) -> String {
    let Said { stage, class, message, module } = &shown.reason;
    let mut text = format!("{} of {}\n", shown.at, shown.of);
    let mut line = |label: &str, value: &str| {
        let _ = writeln!(text, "  {label:<12}{}", plain(value));
    };
    line("key", shown.key.as_deref().unwrap_or("(none)"));
    line("received", shown.time.as_deref().unwrap_or("(unknown)"));
    line("reason", &format!("{class} ({stage}): {message}"));
    for (label, value) in [
        ("module", module.as_ref()),
        ("", shown.module_url.as_ref()),
        ("parameters", shown.chain.parameters.as_ref()),
        ("pipeline", shown.chain.pipeline.as_ref()),
    ] {
        if let Some(value) = value {
            line(label, value);
        }
    }
    if !shown.chain.modules.is_empty() {
        line("went through", &shown.chain.modules.join(", "));
    }
    if 0 < shown.replays {
        line("sent again", &format!("{} times", shown.replays));
    }
    match &shown.mark {
        Some(mark) => line("done", &crate::trace::show::done(mark)),
        None => line("open", &shown.replay),
    }
    for (name, value) in &shown.headers {
        line("header", &format!("{name}: {}", value.as_deref().unwrap_or("null")));
    }
    if let Some(reason) = &shown.unreadable {
        line("value", &format!("cannot be read: {reason}"));
    }
    for (path, value) in &shown.fields {
        line("field", &format!("{path}: {value}"));
    }
    text
}
