//! `transforms` beside the real Kafka Connect worker: the requests that Connect's tools make, sent to both, one after the
//! other, and the answers compared shape for shape: status, media type, every key of Connect's with its type. kcctl and
//! Kafka UI themselves are not in reach here; [`exchanges`] is the list of what they ask (kcctl: info, get and describe,
//! apply, patch, restart, pause, resume, stop, delete, offsets, loggers; Kafka UI: its pages of a connector).
//!
//! What is known to differ, because we think Connect is wrong there: a body that cannot be read is 400 here and 500
//! there; offsets that the log does not have, and partitions that the pipeline does not read, are refused (400) and not
//! taken or 500; after a reset of offsets the beginning of the log is committed, where Connect's group has none; levels
//! are set for one process, never with `scope=cluster`. Keys that only we have are no difference: Connect's own answers
//! gain some with each release, and its tools pass them over.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::house::House;

/// A connector and a pipeline of this name, on topics of their own.
const NAME: &str = "shapes";
const INPUT: &str = "shapes.in";
const DEAD: &str = "shapes.dead-letter";
/// Longer than a rebalance of a worker's group, or a slot's way into its group.
const PATIENCE: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(200);

/// Which part of an answer is compared.
#[derive(Clone, Copy)]
enum Part {
    Whole,
    /// At this JSON pointer: the other entries are of other connectors.
    At(&'static str),
    /// Names of settings are data; their values must be texts.
    Settings,
    /// Status and media type only: what is listed differs by nature.
    Status,
}

enum Step {
    /// Both are asked the same; `{class}` is each one's own, and so is the body where it is `Config`.
    Ask(&'static str, &'static str, Body, Part),
    /// Until both connectors and all their tasks are in this state.
    Until(&'static str),
}

enum Body {
    None,
    /// The settings of each one's own.
    Config,
    /// The same, with these settings besides; a null takes one away.
    ConfigWith(Value),
    /// What `POST /connectors` takes, with the state to begin in.
    Create(Option<&'static str>),
    Json(Value),
}

/// One of the two.
struct Side {
    base: String,
    class: &'static str,
    config: Value,
}

struct Answer {
    status: StatusCode,
    media: Option<String>,
    located: bool,
    body: Value,
}

pub(crate) fn exchanges_of_its_tools(house: &mut House) {
    let endpoints = house.stack.endpoints().clone();
    let told = house.runtime.block_on(side_by_side(&endpoints.kafka, &endpoints.connect, &endpoints.transforms));
    println!("{told} exchanges, each answered in Connect's shape");
}

/// Every exchange with both; fails with all differences. Gives their number.
pub(crate) async fn side_by_side(kafka: &str, connect: &str, transforms: &str) -> usize {
    topics(kafka).await;
    let (theirs, ours) = (connector(connect), pipeline(transforms));
    let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let mut told = 0;
    let mut differences = Vec::new();
    for step in exchanges() {
        match step {
            Step::Until(state) => {
                for side in [&theirs, &ours] {
                    until(&http, side, state).await;
                }
            }
            Step::Ask(method, path, body, part) => {
                let their = ask(&http, &theirs, method, path, &body).await;
                let our = ask(&http, &ours, method, path, &body).await;
                told += 1;
                let found = compare(&their, &our, part);
                let shown = |found: String| format!("{method} {path}: {found}");
                differences.extend(found.into_iter().map(shown));
            }
        }
    }
    assert!(differences.is_empty(), "{} differences from Connect:\n{}", differences.len(), differences.join("\n"));
    told
}

/// The list. The order matters: it is one connector's life.
fn exchanges() -> Vec<Step> {
    use Body::{Config, ConfigWith, Create, Json, None as Nothing};
    use Part::{At, Settings, Status, Whole};
    use Step::{Ask, Until};
    let offset = |partition: Value, offset: Value| json!({ "offsets": [{ "partition": { "kafka_topic": INPUT, "kafka_partition": partition }, "offset": offset }] });
    let level = json!({ "level": "INFO" });
    let logger = "/admin/loggers/org.apache.kafka.connect.shapes";
    vec![
        // kcctl info, get and describe plugins, get and patch loggers; Kafka UI: the cluster's page.
        Ask("GET", "/", Nothing, Whole),
        Ask("GET", "/health", Nothing, Whole),
        Ask("GET", "/connector-plugins", Nothing, Whole),
        Ask("GET", "/connector-plugins?connectorsOnly=false", Nothing, Whole),
        Ask("GET", "/connector-plugins/{class}/config", Nothing, Whole),
        Ask("GET", "/connector-plugins/none/config", Nothing, Whole),
        Ask("GET", "/admin/loggers", Nothing, At("/root")),
        Ask("GET", "/admin/loggers/root", Nothing, Whole),
        Ask("GET", "/admin/loggers/none.such", Nothing, Whole),
        Ask("PUT", logger, Json(level), Whole),
        Ask("GET", logger, Nothing, Whole),
        Ask("PUT", logger, Json(json!({ "level": "LOUD" })), Whole),
        Ask("PUT", logger, Json(json!({})), Whole),
        // What is not there.
        Ask("GET", "/connectors/shapes", Nothing, Whole),
        Ask("GET", "/connectors/shapes/status", Nothing, Whole),
        Ask("GET", "/connectors/shapes/config", Nothing, Whole),
        Ask("GET", "/connectors/shapes/tasks", Nothing, Whole),
        Ask("GET", "/connectors/shapes/tasks/0/status", Nothing, Whole),
        Ask("GET", "/connectors/shapes/topics", Nothing, Whole),
        Ask("GET", "/connectors/shapes/offsets", Nothing, Whole),
        Ask("PUT", "/connectors/shapes/topics/reset", Nothing, Whole),
        Ask("PUT", "/connectors/shapes/pause", Nothing, Whole),
        Ask("PUT", "/connectors/shapes/resume", Nothing, Whole),
        Ask("PUT", "/connectors/shapes/stop", Nothing, Whole),
        Ask("POST", "/connectors/shapes/restart", Nothing, Whole),
        Ask("POST", "/connectors/shapes/tasks/0/restart", Nothing, Whole),
        Ask("PATCH", "/connectors/shapes/config", Json(json!({ "tasks.max": "1" })), Whole),
        Ask("DELETE", "/connectors/shapes", Nothing, Whole),
        Ask("GET", "/none/such", Nothing, Whole),
        Ask("PATCH", "/connectors", Json(json!({})), Whole),
        // kcctl apply --dry-run, and what a form of Kafka UI sends while it is filled in.
        Ask("PUT", "/connector-plugins/{class}/config/validate", Config, Whole),
        Ask("PUT", "/connector-plugins/{class}/config/validate", ConfigWith(json!({ "tasks.max": "many" })), Whole),
        Ask("PUT", "/connector-plugins/none/config/validate", Config, Whole),
        // kcctl apply, Kafka UI create.
        Ask("PUT", "/connectors/shapes/config", ConfigWith(json!({ "connector.class": null })), Whole),
        Ask("PUT", "/connectors/shapes/config", ConfigWith(json!({ "name": "other" })), Whole),
        Ask("PUT", "/connectors/shapes/config", ConfigWith(json!({ "tasks.max": "many" })), Whole),
        Ask("PUT", "/connectors/shapes/config", Config, Whole),
        Until("RUNNING"),
        Ask("POST", "/connectors", Create(None), Whole),
        Ask("PUT", "/connectors/shapes/config", ConfigWith(json!({ "errors.tolerance": "all" })), Whole),
        Until("RUNNING"),
        // kcctl get and describe connector, Kafka UI's list and pages of a connector.
        Ask("GET", "/connectors", Nothing, Whole),
        Ask("GET", "/connectors?expand=status", Nothing, At("/shapes")),
        Ask("GET", "/connectors?expand=info", Nothing, At("/shapes")),
        Ask("GET", "/connectors?expand=info&expand=status", Nothing, At("/shapes")),
        Ask("GET", "/connectors?expand=other", Nothing, At("/shapes")),
        Ask("GET", "/connectors/shapes", Nothing, Whole),
        Ask("GET", "/connectors/shapes/config", Nothing, Settings),
        Ask("GET", "/connectors/shapes/status", Nothing, Whole),
        Ask("GET", "/connectors/shapes/tasks", Nothing, Whole),
        Ask("GET", "/connectors/shapes/tasks/0/status", Nothing, Whole),
        Ask("GET", "/connectors/shapes/tasks/7/status", Nothing, Whole),
        Ask("GET", "/connectors/shapes/tasks/x/status", Nothing, Whole),
        Ask("GET", "/connectors/shapes/topics", Nothing, Whole),
        Ask("PUT", "/connectors/shapes/topics/reset", Nothing, Whole),
        // kcctl patch reads the settings and puts all of them; PATCH is Connect's own way since 3.8.
        Ask("PATCH", "/connectors/shapes/config", Json(json!({ "errors.tolerance": "all" })), Whole),
        Until("RUNNING"),
        // kcctl restart connector and task, Kafka UI's three buttons.
        Ask("POST", "/connectors/shapes/restart", Nothing, Whole),
        Until("RUNNING"),
        Ask("POST", "/connectors/shapes/restart?includeTasks=true&onlyFailed=false", Nothing, Whole),
        Until("RUNNING"),
        Ask("POST", "/connectors/shapes/restart?includeTasks=true&onlyFailed=true", Nothing, Whole),
        Until("RUNNING"),
        Ask("POST", "/connectors/shapes/tasks/0/restart", Nothing, Whole),
        Until("RUNNING"),
        Ask("POST", "/connectors/shapes/tasks/7/restart", Nothing, Whole),
        Ask("PUT", "/connectors/shapes/pause", Nothing, Whole),
        Until("PAUSED"),
        Ask("GET", "/connectors/shapes/status", Nothing, Whole),
        // Offsets, which nobody moves under a running connector (KIP-875).
        Ask("PATCH", "/connectors/shapes/offsets", Json(offset(json!(0), json!({ "kafka_offset": 1 }))), Whole),
        Ask("DELETE", "/connectors/shapes/offsets", Nothing, Whole),
        Ask("PUT", "/connectors/shapes/resume", Nothing, Whole),
        Until("RUNNING"),
        Ask("PUT", "/connectors/shapes/stop", Nothing, Whole),
        Until("STOPPED"),
        Ask("GET", "/connectors/shapes/status", Nothing, Whole),
        Ask("GET", "/connectors/shapes", Nothing, Whole),
        Ask("GET", "/connectors/shapes/tasks", Nothing, Whole),
        Ask("PATCH", "/connectors/shapes/offsets", Json(json!({})), Whole),
        Ask("PATCH", "/connectors/shapes/offsets", Json(offset(json!("z"), json!({ "kafka_offset": 1 }))), Whole),
        Ask("PATCH", "/connectors/shapes/offsets", Json(offset(json!(0), json!({ "kafka_offset": "z" }))), Whole),
        Ask("PATCH", "/connectors/shapes/offsets", Json(offset(json!(0), json!({}))), Whole),
        Ask("PATCH", "/connectors/shapes/offsets", Json(offset(json!(0), json!({ "kafka_offset": 1 }))), Whole),
        Ask("PATCH", "/connectors/shapes/offsets", Json(offset(json!("1"), json!({ "kafka_offset": "1" }))), Whole),
        Ask("GET", "/connectors/shapes/offsets", Nothing, Whole),
        Ask("PATCH", "/connectors/shapes/offsets", Json(offset(json!(0), Value::Null)), Whole),
        Ask("DELETE", "/connectors/shapes/offsets", Nothing, Whole),
        Ask("GET", "/connectors/shapes/offsets", Nothing, Whole),
        // kcctl delete; then one that begins in a state (KIP-980).
        Ask("DELETE", "/connectors/shapes", Nothing, Whole),
        Ask("GET", "/connectors/shapes", Nothing, Whole),
        Ask("POST", "/connectors", Create(Some("STOPPED")), Whole),
        Until("STOPPED"),
        Ask("PUT", "/connectors/shapes/resume", Nothing, Whole),
        Until("RUNNING"),
        Ask("DELETE", "/connectors/shapes", Nothing, Status),
    ]
}

/// A stock sink that needs no store: nothing is sent on by a connector that discards what it cannot deliver.
fn connector(base: &str) -> Side {
    let class = "org.apache.camel.kafkaconnector.CamelSinkConnector";
    let config = json!({
        "connector.class": class, "tasks.max": "1", "topics": INPUT, "errors.tolerance": "none",
        "camel.sink.url": "direct:nowhere", "camel.error.handler": "no",
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    });
    Side { base: base.to_owned(), class, config }
}

/// What is written into its topic are no orders: they end in dead letters of their own, and none in `order_placed`.
fn pipeline(base: &str) -> Side {
    let class = "orderflow.WasmPipeline";
    let config = json!({
        "connector.class": class, "tasks.max": "1", "topics": INPUT, "output.topic": "order_placed",
        "errors.tolerance": "all", "errors.deadletterqueue.topic.name": DEAD,
    });
    Side { base: base.to_owned(), class, config }
}

/// The topics, with a record in each partition.
async fn topics(kafka: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", kafka).create().unwrap();
    let topics = [INPUT, DEAD].map(|name| NewTopic::new(name, 2, TopicReplication::Fixed(1)));
    for made in admin.create_topics(&topics, &AdminOptions::new()).await.unwrap() {
        assert!(made.is_ok() || made.clone().unwrap_err().1.to_string().contains("exists"), "{made:?}");
    }
    let producer: ThreadedProducer<_> = ClientConfig::new().set("bootstrap.servers", kafka).create().unwrap();
    for partition in 0..2 {
        let record = BaseRecord::to(INPUT).key("k").payload("no order").partition(partition);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

impl Side {
    fn body(&self, body: &Body) -> Option<Value> {
        match body {
            Body::None => None,
            Body::Config => Some(self.config.clone()),
            Body::ConfigWith(changes) => {
                let mut config = self.config.clone();
                let settings = config.as_object_mut().unwrap();
                settings.extend(changes.as_object().unwrap().clone());
                settings.retain(|_, value| !value.is_null());
                Some(config)
            }
            Body::Create(state) => {
                let mut create = json!({ "name": NAME, "config": self.config });
                if let Some(state) = state {
                    create["initial_state"] = json!(state);
                }
                Some(create)
            }
            Body::Json(body) => Some(body.clone()),
        }
    }
}

/// Asks; again while a worker says that it is in a rebalance, or that a try may be repeated.
async fn ask(http: &reqwest::Client, side: &Side, method: &str, path: &str, body: &Body) -> Answer {
    let url = format!("{}{}", side.base, path.replace("{class}", side.class));
    let until = Instant::now() + PATIENCE;
    loop {
        let request = http.request(method.parse::<Method>().unwrap(), &url);
        let request = match side.body(body) {
            Some(body) => request.json(&body),
            None => request,
        };
        let response = request.send().await.unwrap();
        let headers = response.headers();
        let media = headers.get("content-type").map(|media| media.to_str().unwrap());
        let media = media.map(|media| media.split(';').next().unwrap().trim().to_owned());
        let (status, located) = (response.status(), headers.contains_key("location"));
        let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or(Value::Null);
        let message = body["message"].as_str().unwrap_or_default();
        let passing = ["rebalance", "conflicting operation", "safely retried", "stale"];
        let busy = !status.is_success() && passing.iter().any(|words| message.contains(words));
        if !busy || until < Instant::now() {
            return Answer { status, media, located, body };
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn until(http: &reqwest::Client, side: &Side, state: &str) {
    let until = Instant::now() + PATIENCE;
    loop {
        let status = ask(http, side, "GET", "/connectors/shapes/status", &Body::None).await.body;
        let tasks = status["tasks"].as_array().cloned().unwrap_or_default();
        let count = usize::from(state != "STOPPED");
        let all = tasks.len() == count && tasks.iter().all(|task| task["state"] == state);
        if status["connector"]["state"] == state && all {
            return;
        }
        assert!(Instant::now() < until, "{} is not {state}: {status}", side.base);
        tokio::time::sleep(LOOK).await;
    }
}

fn compare(theirs: &Answer, ours: &Answer, part: Part) -> Vec<String> {
    let mut found = Vec::new();
    if theirs.status != ours.status {
        found.push(format!("{} there, {} here: {} and {}", theirs.status, ours.status, theirs.body, ours.body));
        return found;
    }
    // Where Connect has no such address it names no media type.
    if theirs.media.is_some() && theirs.media != ours.media {
        found.push(format!("{:?} there, {:?} here", theirs.media, ours.media));
    }
    if theirs.located != ours.located {
        found.push(format!("Location there: {}, here: {}", theirs.located, ours.located));
    }
    match part {
        Part::Whole => shape("", &theirs.body, &ours.body, &mut found),
        Part::At(pointer) => {
            let at = |answer: &Answer| answer.body.pointer(pointer).cloned();
            match (at(theirs), at(ours)) {
                (Some(theirs), Some(ours)) => shape(pointer, &theirs, &ours, &mut found),
                (theirs, ours) => found.push(format!("{pointer}: {theirs:?} there, {ours:?} here")),
            }
        }
        Part::Settings => settings("", &ours.body, &mut found),
        Part::Status => {}
    }
    found
}

/// Every key of theirs must be in ours, with a value of its type. A null says nothing of a type.
fn shape(at: &str, theirs: &Value, ours: &Value, found: &mut Vec<String>) {
    match (theirs, ours) {
        (Value::Object(_), Value::Object(_)) if at.ends_with("/config") => settings(at, ours, found),
        (Value::Object(theirs), Value::Object(ours)) => {
            for (key, value) in theirs {
                // The trace of a failure comes and goes; so do connectors of other names.
                match ours.get(key) {
                    Some(our) => shape(&format!("{at}/{key}"), value, our, found),
                    None if key == "trace" => {}
                    None => found.push(format!("{at}/{key} is not there")),
                }
            }
        }
        (Value::Array(theirs), Value::Array(ours)) => {
            if let Some(their) = theirs.first() {
                for (index, our) in ours.iter().enumerate() {
                    shape(&format!("{at}/{index}"), their, our, found);
                }
            }
        }
        (Value::Null, _) | (_, Value::Null) => {}
        (theirs, ours) if kind(theirs) == kind(ours) => {}
        (theirs, ours) => found.push(format!("{at} is {theirs} there, {ours} here")),
    }
}

fn settings(at: &str, ours: &Value, found: &mut Vec<String>) {
    let texts: Option<BTreeMap<String, String>> = serde_json::from_value(ours.clone()).ok();
    if texts.is_none_or(|texts| texts.get("name").map(String::as_str) != Some(NAME)) {
        found.push(format!("{at}: {ours} are not settings as Connect tells them, with the name in them"));
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
