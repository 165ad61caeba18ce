//! `/admin/loggers` as Connect has it: what this process logs, changed while it runs. A logger is a target of
//! `tracing`: a crate or a module of it, or `root` for all that has no level of its own.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value, json};
use service_kit::http::{Problem, Response, json as answer};
use service_kit::telemetry;

use super::{connectors, query, reply};

/// Connect's name for what has no level of its own.
const ROOT: &str = "root";
/// The HTTP/2 library, which `service_kit::telemetry` keeps quiet.
const QUIET: &str = "h2";
/// Loggers with a level of their own.
const MAX_LOGGERS: usize = 200;
const MAX_NAME: usize = 200;

/// The levels of this process, as it was started with them and as they were set since.
#[derive(Default)]
pub(super) struct Loggers(Mutex<BTreeMap<String, Level>>);

struct Level {
    /// As the filter says it.
    word: String,
    /// When it was set, in milliseconds; never, where it was started with.
    modified: Option<u64>,
}

impl Level {
    fn shown(&self) -> Value {
        json!({ "level": self.word.to_ascii_uppercase(), "last_modified": self.modified })
    }
}

impl Loggers {
    /// `GET /admin/loggers`.
    pub(super) fn list(&self) -> Response {
        let levels = self.levels();
        let shown: Map<String, Value> = levels.iter().map(|(name, level)| (name.clone(), level.shown())).collect();
        answer(StatusCode::OK, &Value::Object(shown))
    }

    /// `GET /admin/loggers/{name}`.
    pub(super) fn one(&self, name: &str) -> Result<Response, Problem> {
        match self.levels().get(name) {
            Some(level) => Ok(answer(StatusCode::OK, &level.shown())),
            None => Err(reply::refusal(StatusCode::NOT_FOUND, format!("Logger {name} not found."))),
        }
    }

    /// `PUT /admin/loggers/{name}`; answers which loggers have the level now.
    pub(super) fn set(&self, name: &str, query: &str, body: &Bytes) -> Result<Response, Problem> {
        let bad = |message: String| reply::refusal(StatusCode::BAD_REQUEST, message);
        if query::values(query, "scope").any(|scope| scope == "cluster") {
            let message = "scope=cluster is not known here: each process sets its own levels; ask each of them";
            return Err(bad(message.to_owned()));
        }
        let body: Value = connectors::parsed(body)?;
        let Some(level) = body.get("level").and_then(Value::as_str) else {
            return Err(bad("Desired 'level' parameter was not specified in request.".to_owned()));
        };
        let Some(word) = word(level) else {
            return Err(reply::refusal(StatusCode::NOT_FOUND, format!("invalid log level '{level}'.")));
        };
        if !is_target(name) {
            return Err(bad(format!("{name:?} is no logger; use {ROOT}, or a target such as transforms::slot")));
        }
        let mut levels = self.levels();
        if levels.len() >= MAX_LOGGERS && !levels.contains_key(name) {
            return Err(bad(format!("{MAX_LOGGERS} loggers have a level of their own; that is the limit")));
        }
        // Connect's loggers are a tree, and what lies under the named one takes its level.
        // The quiet one tells of frames, in which keys are: who asks for it by name gets it, and nobody else.
        let of_root = |other: &String| name == ROOT && other != QUIET;
        let below = |other: &String| of_root(other) || other == name || other.starts_with(&format!("{name}::"));
        let mut changed: Vec<String> = levels.keys().filter(|other| below(other)).cloned().collect();
        if !changed.iter().any(|other| other == name) {
            changed.push(name.to_owned());
            changed.sort();
        }
        let texts = levels.iter().map(|(other, level)| (other.as_str(), level.word.as_str()));
        let mut wanted: BTreeMap<&str, &str> = texts.collect();
        wanted.extend(changed.iter().map(|other| (other.as_str(), word)));
        telemetry::reload(&filter(&wanted)).map_err(|error| {
            let message = format!("the levels of this process cannot be changed while it runs: {error}");
            reply::refusal(StatusCode::SERVICE_UNAVAILABLE, message)
        })?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let modified = u64::try_from(now.as_millis()).ok();
        for other in &changed {
            levels.insert(other.clone(), Level { word: word.to_owned(), modified });
        }
        tracing::info!(logger = name, level = word, "log level is set by request");
        Ok(answer(StatusCode::OK, &json!(changed)))
    }

    /// The levels, read from the filter that is in use the first time.
    fn levels(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Level>> {
        let mut levels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if levels.is_empty() {
            *levels = started(&telemetry::current().unwrap_or_default());
        }
        levels
    }
}

/// The filter that the process was started with, logger by logger. What is more than a target and a level (spans,
/// fields) is no logger of Connect's kind and not shown.
fn started(filter: &str) -> BTreeMap<String, Level> {
    let mut levels = BTreeMap::from([(ROOT.to_owned(), Level { word: "error".to_owned(), modified: None })]);
    for directive in filter.split(',').map(str::trim) {
        let (name, level) = directive.split_once('=').unwrap_or((ROOT, directive));
        if let (Some(word), true) = (word(level), is_target(name)) {
            levels.insert(name.to_owned(), Level { word: word.to_owned(), modified: None });
        }
    }
    levels
}

fn filter(levels: &BTreeMap<&str, &str>) -> String {
    let directive = |(name, word): (&&str, &&str)| {
        if *name == ROOT { (*word).to_owned() } else { format!("{name}={word}") }
    };
    levels.iter().map(directive).collect::<Vec<_>>().join(",")
}

/// Connect's level in the filter's words.
fn word(level: &str) -> Option<&'static str> {
    Some(match level.to_ascii_uppercase().as_str() {
        "TRACE" | "ALL" => "trace",
        "DEBUG" => "debug",
        "INFO" => "info",
        "WARN" => "warn",
        "ERROR" | "FATAL" => "error",
        "OFF" => "off",
        _ => return None,
    })
}

fn is_target(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:-.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_of_the_start_is_read_as_loggers_and_written_again() {
        let levels = started("warn,transforms::slot=debug,h2=warn,span[x]=info");
        let words: BTreeMap<&str, &str> =
            levels.iter().map(|(name, level)| (name.as_str(), level.word.as_str())).collect();
        assert_eq!(words, BTreeMap::from([("root", "warn"), ("transforms::slot", "debug"), ("h2", "warn")]));
        assert_eq!(filter(&words), "h2=warn,warn,transforms::slot=debug");
        assert_eq!(levels.get("root").unwrap().shown(), json!({ "level": "WARN", "last_modified": null }));
    }
}
