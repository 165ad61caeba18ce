//! The REST API in Connect's shape, address by address; that the shape is Connect's own is held on the real servers
//! (`scripts/promise/tests/it/connect.rs`).

use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use serde_json::{Value, json};
use service_kit::{Tasks, telemetry};

use crate::harness::PATIENCE;
use crate::rest::{Process, cluster, config, registry, state_topics};

async fn process(cluster: &MockCluster<'_, DefaultProducerContext>, aside: &Tasks) -> Process {
    state_topics(cluster);
    let process = Process::start(cluster, &registry(aside).await).await;
    process.until("/connectors", |status, _| status == 200).await;
    process
}

/// Writes texts that are no orders into partitions 0 and 1 of `in`.
fn write(cluster: &MockCluster<'_, DefaultProducerContext>, counts: [usize; 2]) {
    let producer: ThreadedProducer<_> =
        ClientConfig::new().set("bootstrap.servers", cluster.bootstrap_servers()).create().unwrap();
    for (partition, count) in (0..).zip(counts) {
        for _ in 0..count {
            let record = BaseRecord::to("in").key("k").payload("no order").partition(partition);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
    }
    producer.flush(PATIENCE).unwrap();
}

fn stopped() -> Value {
    json!({ "name": "p", "initial_state": "stopped", "config": config() })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_is_created_stopped_patched_and_listed() {
    let (cluster, aside) = (cluster(), Tasks::new());
    let process = process(&cluster, &aside).await;
    let post = process.http.post(format!("{}/connectors", process.url)).json(&stopped()).send().await.unwrap();
    assert_eq!(post.status().as_u16(), 201);
    let location = post.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(location, format!("{}/connectors/p", process.url));
    let created: Value = post.json().await.unwrap();
    assert_eq!(
        (&created["config"]["name"], &created["tasks"], &created["type"]),
        (&json!("p"), &json!([]), &json!("sink"))
    );

    let again = process.http.post(format!("{}/connectors", process.url)).json(&stopped()).send().await.unwrap();
    assert_eq!(
        again.headers()["content-type"],
        "application/json",
        "a problem's type would be news to Connect's tools"
    );
    assert_eq!(again.status().as_u16(), 409);
    let words: Value = again.json().await.unwrap();
    assert_eq!(words, json!({ "error_code": 409, "message": "Connector p already exists" }));

    let (_, status) = process.call("GET", "/connectors/p/status", None).await;
    assert_eq!((&status["connector"]["state"], &status["tasks"]), (&json!("STOPPED"), &json!([])));
    let change = json!({ "errors.tolerance": "none", "errors.deadletterqueue.topic.name": null });
    let (code, patched) = process.call("PATCH", "/connectors/p/config", Some(change)).await;
    assert_eq!((code, &patched["config"]["errors.tolerance"]), (200, &json!("none")));
    assert!(patched["config"].get("errors.deadletterqueue.topic.name").is_none(), "{patched}");
    assert_eq!(patched["config"]["topics"], "in", "what was not named stays");
    let (_, status) = process.call("GET", "/connectors/p/status", None).await;
    assert_eq!(status["connector"]["state"], "STOPPED", "a change of its config does not start it");

    let (_, both) = process.call("GET", "/connectors?expand=status&expand=info", None).await;
    assert_eq!((&both["p"]["status"]["name"], &both["p"]["info"]["config"]["name"]), (&json!("p"), &json!("p")));
    assert_eq!(process.call("GET", "/connectors?expand=other", None).await.1, json!({ "p": {} }));
    assert_eq!(process.call("GET", "/connectors/", None).await.1, json!(["p"]));
    process.tasks.drain(PATIENCE).await;
    aside.drain(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_and_what_is_not_right_is_said_in_connects_words() {
    let (cluster, aside) = (cluster(), Tasks::new());
    let process = process(&cluster, &aside).await;
    let class = json!({ "connector.class": "orderflow.WasmPipeline" });
    for (method, path, body, expected, words) in [
        ("GET", "/connectors/none", None, 404, "Connector none not found"),
        ("GET", "/connectors/a%20b", None, 404, "Connector a b not found"),
        ("GET", "/connectors/none/status", None, 404, "No status found for connector none"),
        ("GET", "/connectors/none/tasks", None, 404, "Connector none not found"),
        ("GET", "/connectors/none/tasks/0/status", None, 404, "No status found for task none-0"),
        ("POST", "/connectors/none/tasks/0/restart", None, 404, "Unknown connector: none"),
        ("POST", "/connectors/none/restart?includeTasks=true", None, 404, "Unknown connector: none"),
        ("PUT", "/connectors/none/pause", None, 404, "Unknown connector none"),
        ("DELETE", "/connectors/none", None, 404, "Connector none not found"),
        ("GET", "/connectors/none/offsets", None, 404, "Connector none not found"),
        ("DELETE", "/connectors/none/offsets", None, 404, "Connector none not found"),
        ("PATCH", "/connectors/none/config", Some(json!({ "a": "b" })), 404, "Connector none not found"),
        ("PUT", "/connectors/p/config", Some(json!({})), 400, "Connector config contains no connector type"),
        (
            "PUT",
            "/connectors/p/config",
            Some(json!({ "name": "q", "connector.class": "x" })),
            400,
            "Connector name configuration (q) doesn't match connector name in the URL (p)",
        ),
        ("PUT", "/connectors/p/config", Some(json!([])), 400, "the config is not a JSON object"),
        (
            "POST",
            "/connectors",
            Some(json!({ "name": "p", "initial_state": "DEAD", "config": config() })),
            400,
            "RUNNING, PAUSED, STOPPED",
        ),
        ("GET", "/connector-plugins/none/config", None, 404, "Unknown plugin none."),
        ("PUT", "/connector-plugins/none/config/validate", Some(class), 400, "does not match request type none"),
        ("GET", "/admin/loggers/none", None, 404, "Logger none not found."),
        ("PUT", "/admin/loggers/root", Some(json!({})), 400, "Desired 'level' parameter was not specified in request."),
        ("PUT", "/admin/loggers/root", Some(json!({ "level": "LOUD" })), 404, "invalid log level 'LOUD'."),
        (
            "PUT",
            "/admin/loggers/root?scope=cluster",
            Some(json!({ "level": "INFO" })),
            400,
            "scope=cluster is not known here",
        ),
        ("PATCH", "/connectors", None, 405, "HTTP 405 Method Not Allowed"),
    ] {
        let (status, answered) = process.call(method, path, body).await;
        assert_eq!((status, &answered["error_code"]), (expected, &json!(expected)), "{method} {path}: {answered}");
        assert!(answered["message"].as_str().unwrap().contains(words), "{method} {path}: {answered}");
        assert!(answered.get("title").is_none(), "{method} {path}: {answered}");
    }
    assert_eq!(process.call("GET", "/connectors", None).await.1, json!([]), "nothing of it was made");
    // Connect knows of no unknown name here.
    assert_eq!(process.call("GET", "/connectors/none/topics", None).await, (200, json!({ "none": { "topics": [] } })));
    assert_eq!(process.call("PUT", "/connectors/none/topics/reset", None).await.0, 202);
    let (_, root) = process.call("GET", "/", None).await;
    assert!(root["kafka_cluster_id"].as_str().is_some_and(|id| !id.is_empty()), "{root}");
    assert_eq!((root["version"].as_str(), root["commit"].is_string()), (Some(env!("CARGO_PKG_VERSION")), true));
    assert_eq!(process.call("GET", "/health", None).await.1["status"], "healthy");
    process.tasks.drain(PATIENCE).await;
    aside.drain(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_are_read_set_and_reset_only_of_a_stopped_pipeline() {
    let (cluster, aside) = (cluster(), Tasks::new());
    let process = process(&cluster, &aside).await;
    write(&cluster, [3, 2]);
    assert_eq!(process.call("POST", "/connectors", Some(stopped())).await.0, 201);
    let offsets = "/connectors/p/offsets";
    assert_eq!(process.call("GET", offsets, None).await, (200, json!({ "offsets": [] })));
    let (_, lag) = process.call("GET", "/connectors/p/lag", None).await;
    assert_eq!((&lag["lag"], &lag["partitions"][0]["committed"]), (&json!(5), &Value::Null), "{lag}");

    let entry = |partition: Value, offset: Value| json!({ "partition": { "kafka_topic": "in", "kafka_partition": partition }, "offset": offset });
    let at = |offset: i64| json!({ "kafka_offset": offset });
    let both = json!({ "offsets": [entry(json!(0), at(2)), entry(json!("1"), json!({ "kafka_offset": "1" }))] });
    let (code, said) = process.call("PATCH", offsets, Some(both)).await;
    assert!(code == 200 && said["message"].as_str().unwrap().contains("altered successfully"), "{code} {said}");
    let (_, now) = process.call("GET", offsets, None).await;
    assert_eq!(now, json!({ "offsets": [entry(json!(0), at(2)), entry(json!(1), at(1))] }));
    assert_eq!(process.call("GET", "/connectors/p/lag", None).await.1["lag"], 2);
    let topics = || process.call("GET", "/connectors/p/topics", None);
    assert_eq!(topics().await, (200, json!({ "p": { "topics": ["in"] } })));
    assert_eq!(process.call("PUT", "/connectors/p/topics/reset", None).await.0, 202);
    assert_eq!(topics().await.1, json!({ "p": { "topics": [] } }));

    for (body, words) in [
        (json!({}), "Partitions / offsets need to be provided"),
        (json!({ "offsets": [] }), "Partitions / offsets need to be provided"),
        (json!({ "offsets": [{ "offset": at(1) }] }), "cannot be null or missing"),
        (json!({ "offsets": [{ "partition": { "kafka_topic": "in" }, "offset": at(1) }] }), "must contain the keys"),
        (json!({ "offsets": [entry(json!("z"), at(1))] }), "Kafka partition value in the provided offsets: 'z'"),
        (json!({ "offsets": [entry(json!(0), json!({}))] }), "should either be null or contain the key"),
        (
            json!({ "offsets": [entry(json!(0), json!({ "kafka_offset": "x" }))] }),
            "Kafka offset value in the provided offsets: 'x'",
        ),
        (json!({ "offsets": [entry(json!(9), at(1))] }), "partition 9 of in is none that this pipeline reads"),
        (json!({ "offsets": [entry(json!(0), at(4))] }), "offset 4 is not in partition 0 of in, whose log has 0 to 3"),
        (json!({ "offsets": [entry(json!(0), at(-1))] }), "offset -1 is not in partition 0"),
        (json!({ "offsets": [entry(json!(1), at(2)), entry(json!(0), at(4))] }), "offset 4 is not in"),
    ] {
        let (status, said) = process.call("PATCH", offsets, Some(body.clone())).await;
        assert_eq!((status, &said["error_code"]), (400, &json!(400)), "{body}: {said}");
        assert!(said["message"].as_str().unwrap().contains(words), "{body}: {said}");
    }
    assert_eq!(process.call("GET", offsets, None).await.1, now, "what was refused changed nothing");

    let to_begin = json!({ "offsets": [entry(json!(0), Value::Null)] });
    assert_eq!(process.call("PATCH", offsets, Some(to_begin)).await.0, 200);
    assert_eq!(process.call("GET", offsets, None).await.1["offsets"][0], entry(json!(0), at(0)));
    let (code, said) = process.call("DELETE", offsets, None).await;
    assert!(code == 200 && said["message"].as_str().unwrap().contains("reset successfully"), "{code} {said}");
    let (_, lag) = process.call("GET", "/connectors/p/lag", None).await;
    assert_eq!(lag["lag"], 5, "it reads everything again: {lag}");

    assert_eq!(process.call("PUT", "/connectors/p/resume", None).await.0, 202);
    for (method, body) in [("PATCH", Some(json!({ "offsets": [entry(json!(0), at(1))] }))), ("DELETE", None)] {
        let (status, said) = process.call(method, offsets, body).await;
        assert_eq!(status, 400, "{said}");
        assert!(said["message"].as_str().unwrap().contains("must be in the STOPPED state"), "{said}");
    }
    process.until("/connectors/p/status", |_, status| states(status) == ["RUNNING"]).await;
    let (_, status) = process.call("GET", "/connectors/p/status", None).await;
    assert_eq!(status["tasks"][0]["gaps"], json!([]), "what was set is in the log");
    process.tasks.drain(PATIENCE).await;
    aside.drain(PATIENCE).await;
}

fn states(status: &Value) -> Vec<&str> {
    status["tasks"].as_array().unwrap().iter().map(|task| task["state"].as_str().unwrap()).collect()
}

fn starts(status: &Value) -> Vec<u64> {
    status["tasks"].as_array().unwrap().iter().map(|task| task["starts"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_task_is_started_over_and_the_others_are_left_alone() {
    let (cluster, aside) = (cluster(), Tasks::new());
    let process = process(&cluster, &aside).await;
    let mut two = config();
    two["tasks.max"] = json!("2");
    assert_eq!(process.call("PUT", "/connectors/p/config", Some(two)).await.0, 201);
    process.until("/connectors/p/status", |_, status| states(status) == ["RUNNING"; 2]).await;
    let (_, before) = process.call("GET", "/connectors/p/status", None).await;
    let [first, second] = starts(&before)[..] else { panic!("{before}") };

    let (_, tasks) = process.call("GET", "/connectors/p/tasks", None).await;
    assert_eq!((&tasks[1]["id"], &tasks[1]["config"]["name"]), (&json!({ "connector": "p", "task": 1 }), &json!("p")));
    let (_, one) = process.call("GET", "/connectors/p/tasks/1/status", None).await;
    assert_eq!(
        (&one["id"], &one["state"], &one["version"]),
        (&json!(1), &json!("RUNNING"), &json!(env!("CARGO_PKG_VERSION")))
    );
    let (_, unknown) = process.call("GET", "/connectors/p/tasks/2/status", None).await;
    assert_eq!(unknown["message"], "No status found for task p-2");
    let (_, unknown) = process.call("POST", "/connectors/p/tasks/2/restart", None).await;
    assert_eq!(unknown["message"], "Unknown task: p-2");
    assert_eq!(process.call("POST", "/connectors/p/tasks/x/restart", None).await.0, 404);

    let (code, told) = process.call("POST", "/connectors/p/restart?includeTasks=true&onlyFailed=true", None).await;
    assert_eq!((code, states(&told), &told["connector"]["state"]), (202, vec!["RUNNING"; 2], &json!("RUNNING")));
    assert_eq!(process.call("POST", "/connectors/p/tasks/1/restart", None).await.0, 204);
    process.until("/connectors/p/status", |_, status| starts(status) == [first, second + 1]).await;
    process.until("/connectors/p/status", |_, status| states(status) == ["RUNNING"; 2]).await;
    let (code, told) = process.call("POST", "/connectors/p/restart?includeTasks=true", None).await;
    assert_eq!((code, states(&told), &told["connector"]["state"]), (202, vec!["RESTARTING"; 2], &json!("RESTARTING")));
    process.until("/connectors/p/status", |_, status| starts(status) == [first + 1, second + 2]).await;
    process.tasks.drain(PATIENCE).await;
    aside.drain(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_failed_is_started_over_by_its_number_and_by_onlyfailed() {
    let (cluster, aside) = (cluster(), Tasks::new());
    let process = process(&cluster, &aside).await;
    // What no pipeline without dead letters gets past.
    write(&cluster, [1, 0]);
    let mut strict = config();
    strict["errors.tolerance"] = json!("none");
    assert_eq!(process.call("PUT", "/connectors/p/config", Some(strict)).await.0, 201);
    let failed =
        |times: u64| move |_: u16, status: &Value| (states(status), starts(status)) == (vec!["FAILED"], vec![times]);
    process.until("/connectors/p/status", failed(1)).await;
    let (_, one) = process.call("GET", "/connectors/p/tasks/0/status", None).await;
    assert!(one["trace"].is_string(), "{one}");
    assert_eq!(process.call("POST", "/connectors/p/tasks/0/restart", None).await.0, 204);
    process.until("/connectors/p/status", failed(2)).await;
    let (code, told) = process.call("POST", "/connectors/p/restart?includeTasks=true&onlyFailed=true", None).await;
    assert_eq!((code, states(&told), &told["connector"]["state"]), (202, vec!["RESTARTING"], &json!("RUNNING")));
    process.until("/connectors/p/status", failed(3)).await;
    process.tasks.drain(PATIENCE).await;
    aside.drain(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_tells_what_it_takes_and_every_fault_beside_its_setting() {
    let (cluster, aside) = (cluster(), Tasks::new());
    let process = process(&cluster, &aside).await;
    let (_, plugins) = process.call("GET", "/connector-plugins?connectorsOnly=false", None).await;
    assert_eq!(plugins[0]["class"], "orderflow.WasmPipeline");
    let (_, described) = process.call("GET", "/connector-plugins/WasmPipeline/config", None).await;
    let tasks = described.as_array().unwrap().iter().find(|setting| setting["name"] == "tasks.max").unwrap();
    assert_eq!(
        (&tasks["type"], &tasks["default_value"], &tasks["group"]),
        (&json!("INT"), &json!("1"), &json!("Common"))
    );

    let mut wrong = config();
    wrong["tasks.max"] = json!("none");
    wrong["transforms"] = json!("c");
    wrong["transforms.c.type"] = json!("clean@1");
    wrong["surprise"] = json!("x");
    let (code, verdict) =
        process.call("PUT", "/connector-plugins/orderflow.WasmPipeline/config/validate", Some(wrong)).await;
    let value = |name: &str| {
        let found = verdict["configs"].as_array().unwrap().iter().find(|config| config["value"]["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {verdict}")).clone()
    };
    assert_eq!((code, &verdict["error_count"]), (200, &json!(3)), "{verdict}");
    assert_eq!(verdict["groups"], json!(["Common", "Transforms", "Versions", "Transforms: c", "Error Handling"]));
    assert_eq!(
        value("name")["value"]["errors"][0],
        "Missing required configuration \"name\" which has no default value."
    );
    assert!(value("tasks.max")["value"]["errors"][0].as_str().unwrap().contains("1 to 64"));
    assert_eq!(value("surprise")["value"]["errors"], json!(["is not a setting of a pipeline"]));
    assert_eq!((&value("topics")["value"]["value"], &value("topics")["value"]["errors"]), (&json!("in"), &json!([])));
    assert_eq!(value("transforms.c.type")["definition"]["group"], "Transforms: c");
    assert_eq!(value("dropped.topic.name")["value"]["value"], "orders.dropped", "the default is told");
    process.tasks.drain(PATIENCE).await;
    aside.drain(PATIENCE).await;
}

/// One call site: what it answers is kept until the filter changes.
fn is_traced() -> bool {
    tracing::enabled!(target: "a_logger_of_a_test", tracing::Level::TRACE)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_level_that_is_set_is_logged_by_from_then_on() {
    telemetry::init(&telemetry::Args { filter: "error".to_owned(), ..telemetry::Args::default() }).unwrap();
    let (cluster, aside) = (cluster(), Tasks::new());
    let process = process(&cluster, &aside).await;
    let (_, levels) = process.call("GET", "/admin/loggers", None).await;
    assert_eq!(levels["root"], json!({ "level": "ERROR", "last_modified": null }));
    assert_eq!(levels["h2"]["level"], "WARN", "{levels}");
    assert!(!is_traced());
    let set = |level: &str| process.call("PUT", "/admin/loggers/a_logger_of_a_test", Some(json!({ "level": level })));
    assert_eq!(set("TRACE").await, (200, json!(["a_logger_of_a_test"])));
    assert!(is_traced(), "the level has no effect");
    let (_, level) = process.call("GET", "/admin/loggers/a_logger_of_a_test", None).await;
    assert_eq!((&level["level"], level["last_modified"].is_u64()), (&json!("TRACE"), true));
    assert_eq!(set("OFF").await.0, 200);
    assert!(!is_traced());
    let (_, changed) = process.call("PUT", "/admin/loggers/root", Some(json!({ "level": "FATAL" }))).await;
    assert_eq!(changed, json!(["a_logger_of_a_test", "root"]), "as in Connect, all below; but never the quiet one");
    assert_eq!(process.call("GET", "/admin/loggers/h2", None).await.1["level"], "WARN");
    process.tasks.drain(PATIENCE).await;
    aside.drain(PATIENCE).await;
}
