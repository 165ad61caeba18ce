//! `/connectors/{name}/offsets` as Connect has it (KIP-875), `/lag`, which only we have, and `/topics`. Everything here
//! is asked of Kafka: what is committed is the truth, whichever process runs the slots.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};
use service_kit::http::{Problem, Response, json as answer};

use super::{Api, connectors, reply};
use crate::kafka::Place;
use crate::kafka::offsets::{NotSet, Offsets, Position};
use crate::names::key;
use crate::state::catalog::{Stored, Target};

/// More partitions than a pipeline's topics have; a bound for what one request may ask.
const MAX_CHANGES: usize = 10_000;
/// Connectors whose active topics were reset; the oldest answers are forgotten with the process.
const MAX_RESETS: usize = 1_000;

/// Where each group stood when its active topics were reset. As Connect's, a reset is no state of the pipeline; unlike
/// Connect's, it is this process's.
#[derive(Default)]
pub(super) struct Resets(Mutex<BTreeMap<String, BTreeMap<Place, i64>>>);

/// `GET …/offsets`.
pub(super) async fn get(api: &Arc<Api>, name: &str) -> Result<Response, Problem> {
    let stored = connectors::found(api, name)?;
    let entry = |position: Position| {
        let Place { topic, partition } = position.place;
        Some(json!({
            "partition": { "kafka_topic": &*topic, "kafka_partition": partition },
            "offset": { "kafka_offset": position.committed? },
        }))
    };
    let entries: Vec<Value> = positions(api, name, &stored).await?.into_iter().filter_map(entry).collect();
    Ok(answer(StatusCode::OK, &json!({ "offsets": entries })))
}

/// `GET …/lag`: committed offset, end and lag of each partition.
pub(super) async fn lag(api: &Arc<Api>, name: &str) -> Result<Response, Problem> {
    let stored = connectors::found(api, name)?;
    let positions = positions(api, name, &stored).await?;
    let total: i64 = positions.iter().map(Position::lag).sum();
    let entry = |position: Position| {
        json!({
            "topic": &*position.place.topic, "partition": position.place.partition, "committed": position.committed,
            "start": position.log.0, "end": position.log.1, "lag": position.lag(),
        })
    };
    let partitions: Vec<Value> = positions.into_iter().map(entry).collect();
    Ok(answer(StatusCode::OK, &json!({ "name": name, "lag": total, "partitions": partitions })))
}

/// `PATCH …/offsets`.
pub(super) async fn patch(api: &Arc<Api>, name: &str, body: &Bytes) -> Result<Response, Problem> {
    let stored = connectors::found(api, name)?;
    let wanted = wanted(&connectors::parsed(body)?)?;
    stopped(api, name, &stored)?;
    let positions = positions(api, name, &stored).await?;
    let next = next(&wanted, &positions)?;
    set(api, name, next).await?;
    Ok(done("altered"))
}

/// `DELETE …/offsets`. Here no position is ever guessed, so the beginning of the log is committed, which is where a
/// group without offsets starts.
pub(super) async fn delete(api: &Arc<Api>, name: &str) -> Result<Response, Problem> {
    let stored = connectors::found(api, name)?;
    stopped(api, name, &stored)?;
    let positions = positions(api, name, &stored).await?;
    set(api, name, positions.into_iter().map(|position| (position.place, position.log.0)).collect()).await?;
    Ok(done("reset"))
}

/// `GET …/topics`: those of which anything was read since the last reset. As Connect's, it knows of no unknown name.
pub(super) async fn topics(api: &Arc<Api>, name: &str) -> Result<Response, Problem> {
    let Some(Ok(stored)) = api.materials.catalog.pipeline(name) else { return Ok(active(name, &[])) };
    let positions = positions(api, name, &stored).await?;
    let resets = api.memory.resets.0.lock().unwrap_or_else(PoisonError::into_inner);
    let before = resets.get(name);
    let read = |position: &&Position| {
        let since = before.and_then(|before| before.get(&position.place)).copied().unwrap_or(position.log.0);
        position.committed.is_some_and(|committed| since < committed)
    };
    let mut topics: Vec<Arc<str>> =
        positions.iter().filter(read).map(|position| Arc::clone(&position.place.topic)).collect();
    topics.dedup();
    Ok(active(name, &topics))
}

/// `PUT …/topics/reset`.
pub(super) async fn reset_topics(api: &Arc<Api>, name: &str) -> Result<Response, Problem> {
    if let Some(Ok(stored)) = api.materials.catalog.pipeline(name) {
        let now = positions(api, name, &stored).await?;
        let now = now.into_iter().filter_map(|position| Some((position.place, position.committed?))).collect();
        let mut resets = api.memory.resets.0.lock().unwrap_or_else(PoisonError::into_inner);
        if resets.len() >= MAX_RESETS {
            resets.clear();
        }
        resets.insert(name.to_owned(), now);
    }
    Ok(reply::empty(StatusCode::ACCEPTED))
}

fn active(name: &str, topics: &[Arc<str>]) -> Response {
    let topics: Vec<&str> = topics.iter().map(AsRef::as_ref).collect();
    answer(StatusCode::OK, &json!({ name: { "topics": topics } }))
}

/// In Connect's words.
fn done(what: &str) -> Response {
    let message = format!(
        "The Connect framework-managed offsets for this connector have been {what} successfully. However, if this \
         connector manages offsets externally, they will need to be manually {what} in the system that the connector uses."
    );
    answer(StatusCode::OK, &json!({ "message": message }))
}

/// Connect's rule: nobody's position is changed under its feet.
fn stopped(api: &Api, name: &str, stored: &Stored) -> Result<(), Problem> {
    if stored.state == Target::Stopped && !api.manager.has_slots(name) {
        return Ok(());
    }
    let message = format!(
        "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the \
         specified connector by issuing a 'PUT' request to the '/connectors/{name}/stop' endpoint"
    );
    Err(reply::refusal(StatusCode::BAD_REQUEST, message))
}

/// A change as it was asked for: a partition, and its offset or `None` for the beginning.
type Wanted = (String, i32, Option<i64>);

/// Reads the body of a change, and refuses what Connect refuses, in its words.
fn wanted(body: &Value) -> Result<Vec<Wanted>, Problem> {
    let bad = |message: String| reply::refusal(StatusCode::BAD_REQUEST, message);
    let entries = body.get("offsets").and_then(Value::as_array).filter(|entries| !entries.is_empty());
    let Some(entries) = entries else {
        return Err(bad("Partitions / offsets need to be provided for an alter offsets request".to_owned()));
    };
    if entries.len() > MAX_CHANGES {
        return Err(bad(format!(
            "{} partitions are too many for one request; the limit is {MAX_CHANGES}",
            entries.len()
        )));
    }
    entries.iter().map(|entry| change(entry).map_err(bad)).collect()
}

fn change(entry: &Value) -> Result<Wanted, String> {
    let given = |object: &Value, key: &str| object.get(key).filter(|value| !value.is_null()).cloned();
    let partition =
        given(entry, "partition").ok_or("The partition for a sink connector offset cannot be null or missing")?;
    let (Some(topic), Some(number)) = (given(&partition, "kafka_topic"), given(&partition, "kafka_partition")) else {
        return Err("The partition for a sink connector offset must contain the keys 'kafka_topic' and \
                    'kafka_partition'"
            .to_owned());
    };
    let number = text(&number).parse::<i32>().map_err(|_| {
        format!(
            "Failed to parse the following Kafka partition value in the provided offsets: '{}'. Partition values for \
             sink connectors need to be integers.",
            text(&number)
        )
    })?;
    let Some(offset) = given(entry, "offset") else { return Ok((text(&topic), number, None)) };
    let Some(offset) = given(&offset, "kafka_offset") else {
        return Err(
            "The offset for a sink connector should either be null or contain the key 'kafka_offset'".to_owned()
        );
    };
    let offset = text(&offset).parse::<i64>().map_err(|_| {
        format!(
            "Failed to parse the following Kafka offset value in the provided offsets: '{}'. Offset values for sink \
             connectors need to be integers.",
            text(&offset)
        )
    })?;
    Ok((text(&topic), number, Some(offset)))
}

/// Connect takes numbers and their texts alike.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What is to be committed. Connect takes an offset that the log does not have; here such a partition would stand still
/// as a gap, so it is refused.
fn next(wanted: &[Wanted], positions: &[Position]) -> Result<BTreeMap<Place, i64>, Problem> {
    let change = |(topic, partition, offset): &Wanted| {
        let known = positions.iter().find(|known| *known.place.topic == **topic && known.place.partition == *partition);
        let Some(known) = known else {
            return Err(format!("partition {partition} of {topic} is none that this pipeline reads"));
        };
        let (start, end) = known.log;
        match offset.unwrap_or(start) {
            at if (start..=end).contains(&at) => Ok((known.place.clone(), at)),
            at => {
                Err(format!("offset {at} is not in partition {partition} of {topic}, whose log has {start} to {end}"))
            }
        }
    };
    wanted.iter().map(change).collect::<Result<_, String>>().map_err(|why| reply::refusal(StatusCode::BAD_REQUEST, why))
}

async fn positions(api: &Arc<Api>, name: &str, stored: &Stored) -> Result<Vec<Position>, Problem> {
    let topics = stored.config.get(key::TOPICS).map_or("", String::as_str);
    let topics: Vec<String> =
        topics.split(',').map(str::trim).filter(|topic| !topic.is_empty()).map(str::to_owned).collect();
    let asked = ask(api, name, move |offsets| offsets.positions(&topics)).await?;
    asked.map_err(|error| unavailable(&format!("Kafka does not tell the offsets of {name}: {error}")))
}

async fn set(api: &Arc<Api>, name: &str, next: BTreeMap<Place, i64>) -> Result<(), Problem> {
    let count = next.len();
    ask(api, name, move |offsets| offsets.set(&next)).await?.map_err(|error| match error {
        NotSet::Members => {
            let message = format!("Failed to alter consumer group offsets for connector {name}: {error}");
            reply::refusal(StatusCode::INTERNAL_SERVER_ERROR, message)
        }
        NotSet::Late(_) | NotSet::Kafka(_) => {
            unavailable(&format!("Kafka does not set the offsets of {name}: {error}"))
        }
    })?;
    tracing::info!(pipeline = name, partitions = count, "offsets are set by request");
    Ok(())
}

/// Runs a question about a group where it may block.
async fn ask<T: Send + 'static>(
    api: &Arc<Api>,
    group: &str,
    question: impl FnOnce(&Offsets) -> T + Send + 'static,
) -> Result<T, Problem> {
    let (site, group) = (api.manager.site().clone(), group.to_owned());
    let asked = api.tasks.spawn_blocking(move || {
        let offsets = Offsets::of(&site.brokers, &format!("{}-offsets", site.client_id), &group)?;
        Ok::<T, rdkafka::error::KafkaError>(question(&offsets))
    });
    match asked.await {
        Ok(Ok(told)) => Ok(told),
        Ok(Err(error)) => Err(unavailable(&format!("cannot make a Kafka client: {error}"))),
        Err(error) => Err(unavailable(&format!("asking Kafka ended early: {error}"))),
    }
}

/// The cluster's id; nothing while the broker is away.
pub(super) async fn cluster_id(api: &Arc<Api>) -> Option<String> {
    if let Some(known) = api.memory.cluster_id.get() {
        return Some(known.clone());
    }
    // Not while the broker is known to be away: this address is also asked to see whether somebody is at home.
    api.materials.catalog.silence()?;
    let id = ask(api, "transforms", Offsets::cluster_id).await.ok().flatten()?;
    Some(api.memory.cluster_id.get_or_init(|| id).clone())
}

fn unavailable(message: &str) -> Problem {
    reply::refusal(StatusCode::SERVICE_UNAVAILABLE, message).header(http::header::RETRY_AFTER, 1)
}
