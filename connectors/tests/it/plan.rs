//! `plan`, `drift` and `prune` as a user calls them, on servers of our own making.

use std::sync::{Arc, Mutex};

use connectors::apply::Target;
use connectors::compare::{Comparison, Place, Thing};
use connectors::connect::{Connect, Settings};
use connectors::files;
use connectors::names::JDBC_CLASS;
use connectors::prune::{Outcome, prune};
use rdkafka::mocking::MockCluster;
use schemas::contracts::{ORDER_PLACED_AVSC, ORDERS_RECEIVED_AVSC};
use schemas::mark::{APPLIED, OWNER, marked};
use serde_json::{Value, json};

use crate::apply::{LONG, target};
use crate::command::{Folder, connectors};
use crate::stub::{Stub, missing};

/// A secret that stands in the open on a server.
const SECRET: &str = "hunter2tiger";

/// What runs in Connect, and what its plugin has against settings.
#[derive(Debug, Default)]
struct Held {
    connectors: serde_json::Map<String, Value>,
    faults: Vec<(&'static str, String)>,
    busy: usize,
}

/// Kafka Connect, `transforms`, the registry and Elasticsearch at one address; the folder has one sink, `s`.
struct Room {
    held: Arc<Mutex<Held>>,
    stub: Stub,
    kafka: String,
    folder: Folder,
    _cluster: MockCluster<'static, rdkafka::producer::DefaultProducerContext>,
}

pub(crate) fn file(more: &str) -> String {
    format!(
        r#"{{"name":"s","config":{{"connector.class":"{JDBC_CLASS}","topics":"t","connection.url":"jdbc:postgresql://h/d",
"connection.username":"u","connection.password":"${{env:P}}","insert.mode":"upsert","primary.key.mode":"record_key",
"collection.name.format":"t",{more}"consumer.override.isolation.level":"read_committed"}}}}"#
    )
}

impl Room {
    async fn new(name: &str) -> Self {
        let cluster = MockCluster::new(1).unwrap();
        let held = Arc::new(Mutex::new(Held::default()));
        let seen = Arc::clone(&held);
        let stub = Stub::start(move |line, _| answer(&mut seen.lock().unwrap(), line)).await;
        let folder = Folder::new(name, &[("s.json", &file(""))]);
        Self { held, stub, kafka: cluster.bootstrap_servers(), folder, _cluster: cluster }
    }

    /// As if the folder had been applied.
    fn applied(&self) {
        let sink = files::read(&self.folder.0).unwrap().sinks.remove(0);
        self.run_as("s", &json!(marked(&sink.settings, OWNER)));
    }

    fn run_as(&self, name: &str, config: &Value) {
        let status = json!({"name": name, "connector": {"state": "RUNNING"}, "tasks": [{"id": 0, "state": "RUNNING"}]});
        let one = json!({"status": status, "info": {"config": config}});
        self.held.lock().unwrap().connectors.insert(name.to_owned(), one);
    }

    /// Another value past the files.
    fn put(&self, name: &str, pointer: &str, value: Value) {
        let mut held = self.held.lock().unwrap();
        let mut one = held.connectors[name].clone();
        *one.pointer_mut(pointer).unwrap() = value;
        held.connectors.insert(name.to_owned(), one);
    }

    /// Exit code, standard output and standard error.
    async fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let files = self.folder.0.to_str().unwrap().to_owned();
        let (url, kafka) = (self.stub.url(), self.kafka.clone());
        let work = tokio::task::spawn_blocking(move || {
            let urls = ["CONNECT_URL", "TRANSFORMS_URL", "SCHEMA_REGISTRY_URL", "ELASTICSEARCH_URL"];
            let mut servers: Vec<(&str, &str)> = urls.iter().map(|name| (*name, url.as_str())).collect();
            servers.extend([("KAFKA_BOOTSTRAP_SERVERS", kafka.as_str()), ("CONNECTORS_DIR", &files)]);
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let output = connectors(&args, &servers);
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
            (output.status.code(), text(output.stdout), text(output.stderr))
        });
        work.await.unwrap()
    }

    /// The sink in the answer of `plan` or `drift` for programs.
    async fn sink(&self, command: &str) -> Value {
        let (_, told, _) = self.run(&[command, "--format", "json"]).await;
        let told: Value = serde_json::from_str(&told).unwrap();
        let resources = told["resources"].as_array().unwrap();
        resources.iter().find(|one| one["kind"] == "sink").cloned().unwrap_or_default()
    }
}

fn answer(held: &mut Held, line: &str) -> (u16, Value) {
    if 0 < held.busy && line.contains("/connectors?") {
        held.busy -= 1;
        return (409, json!({"message": "a rebalance is expected"}));
    }
    match line {
        "GET /connectors?expand=status&expand=info" => (200, json!(held.connectors)),
        "GET /connectors" | "GET /modules" => (200, json!([])),
        line if line.ends_with("/config/validate") => {
            let fault = |(key, words): &(&str, String)| json!({"value": {"name": key, "errors": [words]}});
            (200, json!({"configs": held.faults.iter().map(fault).collect::<Vec<_>>()}))
        }
        line if line.starts_with("GET /subjects/order_placed-value") => schema(1, ORDER_PLACED_AVSC),
        line if line.starts_with("GET /subjects/orders.received-value") => schema(2, ORDERS_RECEIVED_AVSC),
        line if line.starts_with("POST /subjects/order_placed-value") => schema(1, ORDER_PLACED_AVSC),
        line if line.starts_with("POST /subjects/orders.received-value") => schema(2, ORDERS_RECEIVED_AVSC),
        line if line.starts_with("GET /config/") => (200, json!({"compatibilityLevel": "BACKWARD"})),
        line => match line.strip_prefix("GET /connectors/").and_then(|rest| rest.strip_suffix("/config")) {
            Some(name) => held.connectors.get(name).map_or_else(missing, |one| (200, one["info"]["config"].clone())),
            None => match line.strip_prefix("DELETE /connectors/") {
                Some(name) => (held.connectors.remove(name).map_or(404, |_| 200), json!({})),
                None => unreachable!("unexpected {line}"),
            },
        },
    }
}

fn schema(id: u32, schema: &str) -> (u16, Value) {
    (200, json!({"id": id, "version": 1, "subject": "s", "schema": schema}))
}

#[tokio::test]
async fn a_plan_tells_new_changed_and_same_sinks_apart_and_changes_nothing() {
    let room = Room::new("plan").await;
    assert_eq!(
        (room.sink("plan").await["action"].clone(), room.sink("plan").await["file"].is_string()),
        (json!("create"), true)
    );
    room.applied();
    assert_eq!(room.sink("plan").await["action"], "unchanged");
    std::fs::write(room.folder.0.join("s.json"), file(r#""batch.size":"9","#)).unwrap();
    room.held.lock().unwrap().busy = 2;
    let sink = room.sink("plan").await;
    assert_eq!(
        (&sink["action"], &sink["keys"]),
        (&json!("change"), &json!([{"key": "batch.size", "old": null, "new": "9"}]))
    );
    let (_, told, _) = room.run(&["plan"]).await;
    assert!(told.contains("~ change    sink      s ") && told.contains("\n      + batch.size: 9\n"), "{told}");
    let writes = ["PUT /connectors/", "DELETE", "POST /connectors"].map(|start| room.stub.asked(start).len());
    assert_eq!(writes, [0, 0, 0], "a plan touches nothing");
    let drift = room.sink("drift").await;
    assert_eq!(drift, Value::Null, "an edited file is no drift");
}

#[tokio::test]
async fn a_config_that_the_plugin_refuses_is_told_with_its_field_and_no_secret() {
    let room = Room::new("plan-refused").await;
    room.applied();
    room.put("s", "/info/config/connection.password", json!(SECRET));
    room.held.lock().unwrap().faults = vec![("connection.password", format!("{SECRET} is too short"))];
    let (code, told, err) = room.run(&["plan"]).await;
    assert_eq!(code, Some(1), "{told}{err}");
    assert!(
        told.contains("! refused   sink") && told.contains("refused: connection.password: ******** is too short"),
        "{told}"
    );
    for args in [&["plan"][..], &["plan", "--format", "json"], &["drift"], &["drift", "--format", "json"]] {
        let (_, told, err) = room.run(args).await;
        assert!(!told.contains(SECRET) && !err.contains(SECRET), "{args:?} shows a secret: {told}{err}");
        assert!(told.contains("${env:P}") && told.contains("********"), "{args:?}: {told}");
    }
}

#[tokio::test]
async fn what_somebody_did_past_the_files_is_drift() {
    let room = Room::new("drift").await;
    room.applied();
    assert_eq!(room.sink("drift").await, Value::Null);
    room.put("s", "/status/connector/state", json!("PAUSED"));
    let paused = room.sink("drift").await;
    assert_eq!((&paused["held"], &paused["keys"]), (&json!("PAUSED"), &json!([])));
    let (_, told, _) = room.run(&["drift"]).await;
    assert!(told.contains("it is PAUSED") && told.contains("/connectors/s/resume"), "{told}");
    let plan = room.sink("plan").await;
    assert_eq!((&plan["action"], &plan["held"]), (&json!("unchanged"), &json!("PAUSED")), "apply leaves it so");

    room.put("s", "/info/config/insert.mode", json!("insert"));
    let changed = room.sink("drift").await;
    assert_eq!(changed["moved"], "server");
    assert_eq!(changed["keys"], json!([{"key": "insert.mode", "server": "insert", "file": "upsert", "applies": true}]));
}

#[tokio::test]
async fn only_ours_without_a_file_is_pruned_and_only_when_it_is_meant() {
    let room = Room::new("prune").await;
    room.applied();
    let config = room.held.lock().unwrap().connectors["s"]["info"]["config"].clone();
    let unmarked = |mark: Option<Value>| {
        let mut config = config.clone();
        config.as_object_mut().unwrap().remove(APPLIED);
        if let Some(mark) = mark {
            config[APPLIED] = mark;
        }
        config
    };
    let mut trial = config.clone();
    trial["orderflow.heals"] = json!("gone");
    room.run_as("gone", &config);
    room.run_as("gone-trial", &trial);
    room.run_as("foreign", &unmarked(None));
    room.run_as("theirs", &unmarked(Some(json!("team-b sha256:0123456789ab"))));
    let names = || room.held.lock().unwrap().connectors.keys().cloned().collect::<Vec<_>>();

    let (code, told, _) = room.run(&["prune"]).await;
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("gone") && told.contains("would be removed") && told.contains("prune --yes"), "{told}");
    assert!(!told.contains("foreign") && !told.contains("gone-trial") && !told.contains("theirs"), "{told}");
    assert_eq!(names().len(), 5, "without --yes nothing is removed");

    let (code, told, _) = room.run(&["prune", "--yes"]).await;
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(names(), ["foreign", "gone-trial", "s", "theirs"]);
    assert!(told.contains("stays: table t: drop table t") && told.contains("stays: topic t: kafka-topics"), "{told}");
    let (code, told, _) = room.run(&["prune", "--yes"]).await;
    assert_eq!((code, told.contains("nothing to prune")), (Some(0), true), "{told}");
    let (_, told, _) = room.run(&["prune", "--owner", "team-b"]).await;
    assert!(told.contains("theirs") && !told.contains("foreign"), "{told}");
}

#[tokio::test]
async fn nothing_is_pruned_by_files_that_are_broken_or_of_another_place() {
    let room = Room::new("prune-guard").await;
    room.applied();
    let config = room.held.lock().unwrap().connectors.remove("s").unwrap()["info"]["config"].clone();
    room.run_as("gone", &config);
    let (code, _, err) = room.run(&["prune", "--yes"]).await;
    assert!(code == Some(1) && err.contains("is it the right folder"), "{err}");
    std::fs::write(room.folder.0.join("t.json"), "{").unwrap();
    let (code, _, err) = room.run(&["prune", "--yes"]).await;
    assert!(code == Some(1) && err.contains("nothing was removed"), "{err}");
    assert_eq!(room.stub.asked("DELETE"), [""; 0]);
}

#[tokio::test]
async fn who_cannot_be_asked_is_named_and_is_an_error() {
    let room = Room::new("plan-away").await;
    room.applied();
    room.stub.say(|_, _| (500, json!({"message": "out of order"})));
    let (code, told, _) = room.run(&["plan", "--wait", "1"]).await;
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("cannot ask Kafka Connect: ") && told.contains("cannot ask subject "), "{told}");
}

#[tokio::test]
async fn a_pipeline_is_pruned_where_it_runs_and_what_is_not_ours_any_more_stays() {
    let ours = |owner: &str| {
        let settings = [("topics", "in"), ("output.topic", "out")];
        let settings: Settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        json!(marked(&settings, owner))
    };
    let transforms = Stub::start(move |line, _| match line {
        "GET /connectors/p/config" => (200, ours(OWNER)),
        "DELETE /connectors/p" => (200, json!({})),
        line => panic!("unexpected {line}"),
    })
    .await;
    let connect = Stub::start(move |line, _| match line {
        "GET /connectors/unmarked/config" => (200, json!({"topics": "in"})),
        "GET /connectors/theirs/config" => (200, ours("team-b")),
        "GET /connectors/gone/config" => missing(),
        line => panic!("unexpected {line}"),
    })
    .await;
    let target = Target { transforms: Connect::new(&transforms.url()).unwrap(), ..target(&connect, LONG) };
    let things = [("pipeline", "p"), ("sink", "unmarked"), ("sink", "theirs"), ("sink", "gone")];
    let things =
        things.map(|(kind, name)| Thing { kind, name: name.to_owned(), place: Place::Server, ..Thing::default() });
    let pruned = prune(&target, &Comparison { things: things.into(), unknown: Vec::new() }, true).await.unwrap();
    assert_eq!(pruned[0].outcome, Outcome::Removed);
    let topic = |topic: &str| format!("topic {topic}: kafka-topics --delete --topic {topic}");
    let position = "its position: kafka-consumer-groups --delete --group p".to_owned();
    assert_eq!(pruned[0].stays, [position, topic("in"), topic("out")]);
    for left in &pruned[1..] {
        assert!(matches!(left.outcome, Outcome::Left(_)), "{left:?}");
    }
}
