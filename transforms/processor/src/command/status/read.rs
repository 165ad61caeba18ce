//! From the process's answers to the report.

use std::time::Duration;

use serde_json::Value;

use super::{Module, Partition, Pipeline, Slot};
use crate::command::table::one_line;
use crate::names::key;

/// A pipeline from its entry of the expanded list.
pub(super) fn pipeline(name: &str, entry: &Value) -> Pipeline {
    let status = entry.get("status").unwrap_or(&Value::Null);
    let config = entry.pointer("/info/config").unwrap_or(&Value::Null);
    let tasks = status.get("tasks").and_then(Value::as_array).into_iter().flatten();
    Pipeline {
        name: name.to_owned(),
        state: status.pointer("/connector/state").map_or_else(|| "UNKNOWN".to_owned(), text),
        reads: config.get(key::TOPICS).map(text).unwrap_or_default(),
        writes: config.get(key::OUTPUT).map(text).unwrap_or_default(),
        output_schema_id: status.get("output_schema_id").and_then(Value::as_u64),
        degraded: degraded(status),
        waits: waits(status),
        modules: modules(config, entry.pointer("/info/modules").unwrap_or(&Value::Null)),
        slots: tasks.map(slot).collect(),
        ..Pipeline::default()
    }
}

/// Where another version runs than the config says, or the breaker holds the flow: with since when and why.
fn degraded(status: &Value) -> Vec<String> {
    let part = |of: &Value, key: &str| of.get(key).map(text).unwrap_or_else(|| "?".to_owned());
    let degraded = status.get("degraded").filter(|degraded| degraded.is_object()).map(|degraded| {
        let part = |key: &str| part(degraded, key);
        let (says, running, since, because) = (part("says"), part("running"), part("since"), part("because"));
        format!("DEGRADED: file says {says}, running {running}, since {since}, because {because}")
    });
    let parked = status.get("parked").filter(|parked| parked.is_object()).map(|parked| {
        let (since, because) = (part(parked, "since"), part(parked, "because"));
        format!("PARKED: since {since}, because {because}; resume or restart it, or change its config")
    });
    degraded.into_iter().chain(parked).collect()
}

/// What the pipeline itself waits for. That it is degraded or parked stands in its trace too, and is told already.
fn waits(status: &Value) -> Option<String> {
    let trace = status.pointer("/connector/trace").map(text)?;
    let told = ["DEGRADED: ", "PARKED since "].iter().filter_map(|word| trace.find(word)).min();
    let own = told.map_or(trace.as_str(), |at| trace.get(..at).unwrap_or_default());
    let own = one_line(own.trim().trim_end_matches(';'));
    (!own.is_empty()).then_some(own)
}

fn modules(config: &Value, pins: &Value) -> Vec<Module> {
    let aliases = config.get(key::TRANSFORMS).map(text).unwrap_or_default();
    let aliases = aliases.split(',').map(str::trim).filter(|alias| !alias.is_empty());
    let part = |alias: &str, key: &str| pins.get(alias).and_then(|pin| pin.get(key)).map(text).unwrap_or_default();
    let module = |alias: &str| Module {
        alias: alias.to_owned(),
        wanted: config.get(format!("{}.{alias}.type", key::TRANSFORMS)).map(text).unwrap_or_default(),
        module: part(alias, "module"),
        digest: part(alias, "digest"),
    };
    aliases.map(module).collect()
}

fn slot(task: &Value) -> Slot {
    let number = |key: &str| task.get(key).and_then(Value::as_u64).unwrap_or_default();
    let line = |key: &str| task.get(key).map(text).map(|trace| one_line(&trace)).filter(|line| !line.is_empty());
    Slot {
        id: number("id"),
        state: task.get("state").map_or_else(|| "UNKNOWN".to_owned(), text),
        partitions: texts(task.get("partitions")),
        in_flight: number("in_flight_records"),
        rebuilds: number("rebuilds"),
        held_back: line("held_back"),
        gaps: texts(task.get("gaps")),
        last_error: line("trace"),
    }
}

/// Puts what Kafka says into the report: `first`, and for the rate what it said `apart` later.
pub(super) fn positions(pipeline: &mut Pipeline, first: &Value, later: Option<&Value>, apart: Duration) {
    let last = later.unwrap_or(first);
    let entries = |lag: &Value| lag.get("partitions").and_then(Value::as_array).cloned().unwrap_or_default();
    let before: Vec<Partition> = entries(first).iter().map(partition).collect();
    pipeline.lag = last.get("lag").and_then(Value::as_i64);
    pipeline.partitions = entries(last).iter().map(partition).collect();
    if later.is_none() {
        return;
    }
    for now in &mut pipeline.partitions {
        let was = before.iter().find(|was| (&was.topic, was.partition) == (&now.topic, now.partition));
        now.rate = was.and_then(|was| rate(was.committed, now.committed, apart));
    }
    pipeline.rate = pipeline.partitions.iter().map(|partition| partition.rate).sum();
}

/// Nothing where the position went back: somebody set it.
#[expect(clippy::cast_precision_loss, reason = "records within a minute")]
fn rate(before: Option<i64>, now: Option<i64>, apart: Duration) -> Option<f64> {
    let read = now.unwrap_or_default() - before.unwrap_or_default();
    (0 <= read && !apart.is_zero()).then(|| read as f64 / apart.as_secs_f64())
}

fn partition(entry: &Value) -> Partition {
    let number = |key: &str| entry.get(key).and_then(Value::as_i64);
    Partition {
        topic: entry.get("topic").map(text).unwrap_or_default(),
        partition: number("partition").unwrap_or_default(),
        committed: number("committed"),
        end: number("end").unwrap_or_default(),
        lag: number("lag").unwrap_or_default(),
        rate: None,
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A text, several, or none.
fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(several)) => several.iter().map(text).collect(),
        Some(one) => vec![text(one)],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn degraded_and_parked_are_told_once_each_and_apart_from_what_is_waited_for() {
        let entry = json!({ "status": {
            "connector": { "state": "PAUSED", "trace": "the registry is away; DEGRADED: file says a@2.0.0; PARKED since 3, because b" },
            "degraded": { "says": "a@2.0.0", "running": "a@1.0.0", "since": "3", "because": "it trapped; often", "by": "x" },
            "parked": { "since": "4", "because": "b", "by": "x" },
        } });
        let pipeline = pipeline("p", &entry);
        assert_eq!(pipeline.waits.as_deref(), Some("the registry is away"));
        assert_eq!(
            pipeline.degraded,
            [
                "DEGRADED: file says a@2.0.0, running a@1.0.0, since 3, because it trapped; often",
                "PARKED: since 4, because b; resume or restart it, or change its config",
            ]
        );
        let only = json!({ "status": { "connector": { "trace": "DEGRADED: file says x" } } });
        assert_eq!(super::pipeline("p", &only).waits, None);
    }

    #[test]
    fn the_rate_is_what_was_committed_between_the_two_answers() {
        let lag = |at: i64, other: Value| {
            json!({ "lag": 7, "partitions": [
                { "topic": "in", "partition": 0, "committed": at, "end": 30, "lag": 30 - at },
                { "topic": "in", "partition": 1, "committed": other, "end": 9, "lag": 9 },
            ] })
        };
        let mut pipeline = Pipeline::default();
        positions(&mut pipeline, &lag(10, Value::Null), Some(&lag(20, json!(4))), Duration::from_secs(2));
        assert_eq!(pipeline.partitions.iter().map(|p| p.rate).collect::<Vec<_>>(), [Some(5.0), Some(2.0)]);
        assert_eq!((pipeline.lag, pipeline.rate), (Some(7), Some(7.0)));
        positions(&mut pipeline, &lag(20, json!(1)), Some(&lag(10, json!(1))), Duration::from_secs(1));
        assert_eq!((pipeline.partitions[0].rate, pipeline.rate), (None, None), "somebody set the offset back");
        positions(&mut pipeline, &lag(20, json!(1)), None, Duration::ZERO);
        assert_eq!(pipeline.rate, None);
    }
}
