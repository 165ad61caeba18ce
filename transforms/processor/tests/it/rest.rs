//! The REST API of a whole process, over a mock broker and a registry that knows one schema.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use http::{Request, StatusCode};
use hyper::body::Incoming;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use schemas::contracts::ORDER_PLACED_AVSC;
use serde_json::{Value, json};
use service_kit::Tasks;
use service_kit::http::{Limits, Response, bind, json as answer, serve};
use transforms::app;
use transforms::config::Config;

use crate::harness::PATIENCE;

/// A registry that has the schema of `out` under id 7.
pub(crate) async fn registry(tasks: &Tasks) -> String {
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = tower::service_fn(|request: Request<Incoming>| async move {
        let known = request.uri().path() == "/subjects/out-value/versions/latest";
        Ok::<Response, Infallible>(if known {
            answer(
                StatusCode::OK,
                &json!({ "subject": "out-value", "version": 1, "id": 7, "schema": ORDER_PLACED_AVSC }),
            )
        } else {
            answer(StatusCode::NOT_FOUND, &json!({ "error_code": 40401, "message": "Subject not found." }))
        })
    });
    tasks.spawn(serve(listener, service, Limits::default(), tasks.clone()));
    format!("http://{address}")
}

pub(crate) struct Process {
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
    pub(crate) tasks: Tasks,
}

impl Process {
    pub(crate) async fn start(cluster: &MockCluster<'_, DefaultProducerContext>, registry: &str) -> Self {
        Self::named("test", cluster, registry).await
    }

    pub(crate) async fn named(
        instance: &str,
        cluster: &MockCluster<'_, DefaultProducerContext>,
        registry: &str,
    ) -> Self {
        let tasks = Tasks::new();
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            kafka: cluster.bootstrap_servers().into(),
            registry: registry.to_owned(),
            instance: instance.to_owned(),
            hosts: Vec::new(),
            tokens: service_kit::Tokens::default(),
            program: env!("CARGO_BIN_EXE_transforms").into(),
        };
        let address = app::start(config, &tasks).await.unwrap();
        Self { url: format!("http://{}", address), http: reqwest::Client::builder().no_proxy().build().unwrap(), tasks }
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.url));
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    pub(crate) async fn until(&self, path: &str, holds: impl Fn(u16, &Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let (status, body) = self.call("GET", path, None).await;
            if holds(status, &body) {
                return body;
            }
            assert!(Instant::now() < until, "{path} still answers {status} {body}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A test that fails ends, too, instead of waiting for ever for the threads of what it started.
impl Drop for Process {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

pub(crate) fn cluster() -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).unwrap();
    for topic in ["in", "out", "dead", "orders.dropped"] {
        cluster.create_topic(topic, 2, 1).unwrap();
    }
    cluster
}

pub(crate) fn state_topics(cluster: &MockCluster<'_, DefaultProducerContext>) {
    cluster.create_topic("transforms.modules", 1, 1).unwrap();
    cluster.create_topic("transforms.config", 1, 1).unwrap();
    cluster.create_topic("transforms.audit", 1, 1).unwrap();
}

pub(crate) fn config() -> Value {
    json!({
        "connector.class": "orderflow.WasmPipeline", "tasks.max": 1, "topics": "in", "output.topic": "out",
        "errors.tolerance": "all", "errors.deadletterqueue.topic.name": "dead",
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_is_put_paused_kept_over_a_restart_and_deleted() {
    let (cluster, aside) = (cluster(), Tasks::new());
    let registry = registry(&aside).await;
    state_topics(&cluster);
    let process = Process::start(&cluster, &registry).await;
    process.until("/connectors", |status, _| status == 200).await;
    assert_eq!(process.call("PUT", "/connectors/p/config", Some(config())).await.0, 201);
    assert_eq!(process.call("PUT", "/connectors/p/config", Some(config())).await.0, 200);
    let running = |status: u16, body: &Value| status == 200 && body["tasks"][0]["state"] == "RUNNING";
    process.until("/connectors/p/status", running).await;
    process.until("/readyz", |status, _| status == 200).await;
    let (_, status) = process.call("GET", "/connectors/p/status", None).await;
    assert_eq!(status["connector"]["state"], "RUNNING");
    assert_eq!((&status["output_schema_id"], &status["tasks"][0]["transaction_open"]), (&json!(7), &json!(false)));
    assert_eq!(process.call("PUT", "/connectors/p/pause", None).await.0, 202);
    process.until("/connectors/p/status", |_, body| body["tasks"][0]["state"] == "PAUSED").await;
    process.tasks.drain(PATIENCE).await;

    let process = Process::start(&cluster, &registry).await;
    process.until("/connectors/p/status", |_, body| body["tasks"][0]["state"] == "PAUSED").await;
    assert_eq!(process.call("GET", "/connectors/p/config", None).await.1["tasks.max"], "1");
    assert_eq!(process.call("PUT", "/connectors/p/resume", None).await.0, 202);
    process.until("/connectors/p/status", running).await;
    assert_eq!(process.call("DELETE", "/connectors/p", None).await.0, 204);
    assert_eq!(process.call("GET", "/connectors/p", None).await.0, 404);
    process.tasks.drain(PATIENCE).await;
    aside.drain(PATIENCE).await;
}

/// A guest of `transforms/evil`.
pub(crate) fn evil(name: &str) -> Vec<u8> {
    let evil = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../evil");
    let out = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("evil");
    let files = transform_host::build::guests(&evil, &out).unwrap_or_else(|error| panic!("{error}"));
    std::fs::read(files.iter().find(|file| file.ends_with(name)).unwrap()).unwrap()
}

/// A guest that passes what it gets, and the same with another digest.
pub(crate) fn module() -> (Vec<u8>, Vec<u8>) {
    let wasm = evil("panic.wasm");
    // A custom section behind the end, with nothing but its name in it.
    let other = [&wasm[..], &[0, 2, 1, b'x']].concat();
    (wasm, other)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_is_uploaded_once_pinned_and_there_after_a_restart() {
    let (cluster, aside) = (cluster(), Tasks::new());
    let registry = registry(&aside).await;
    state_topics(&cluster);
    let (wasm, other) = tokio::task::block_in_place(module);
    let process = Process::start(&cluster, &registry).await;
    process.until("/connectors", |status, _| status == 200).await;
    for (wasm, expected) in [(&wasm, 201), (&wasm, 200), (&other, 409)] {
        let post = process.http.post(format!("{}/modules", process.url)).header("content-type", "application/wasm");
        assert_eq!(post.body(wasm.clone()).send().await.unwrap().status().as_u16(), expected);
    }
    let mut piped = config();
    piped["transforms"] = json!("p");
    piped["transforms.p.type"] = json!("panic@0.1");
    assert_eq!(process.call("PUT", "/connectors/p/config", Some(piped.clone())).await.0, 201);
    let running = |status: u16, body: &Value| status == 200 && body["tasks"][0]["state"] == "RUNNING";
    process.until("/connectors/p/status", running).await;
    let (status, refused) = process.call("POST", "/connectors/p/offsets/accept", None).await;
    assert_eq!(status, 409, "there is no gap: {refused}");
    piped["topics"] = json!("in,dead2");
    let (status, body) = process.call("PUT", "/connectors/p/config", Some(piped)).await;
    assert_eq!((status, &body["faults"][0]["key"]), (400, &json!("topics")), "versions would mix: {body}");
    process.tasks.drain(PATIENCE).await;

    let process = Process::start(&cluster, &registry).await;
    process.until("/connectors/p/status", running).await;
    let (_, modules) = process.call("GET", "/modules", None).await;
    assert_eq!((modules[0]["name"].as_str(), modules[0]["version"].as_str()), (Some("panic"), Some("0.1.0")));
    assert_eq!(process.call("GET", "/connectors/p", None).await.1["modules"]["p"]["digest"], modules[0]["digest"]);

    // A pause is heeded even while the pipeline waits: for the registry, to be started over.
    aside.drain(PATIENCE).await;
    assert_eq!(process.call("POST", "/connectors/p/restart", None).await.0, 204);
    process.until("/connectors/p/status", |_, body| body["connector"]["trace"].is_string()).await;
    assert_eq!(process.call("PUT", "/connectors/p/pause", None).await.0, 202);
    process.until("/connectors/p/status", |_, body| body["tasks"][0]["state"] == "PAUSED").await;
    process.tasks.drain(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_is_tried_on_samples_with_its_own_parameters_before_it_is_taken() {
    let (cluster, aside) = (cluster(), Tasks::new());
    let registry = registry(&aside).await;
    state_topics(&cluster);
    let wasm = tokio::task::block_in_place(|| evil("moody.wasm"));
    let process = Process::start(&cluster, &registry).await;
    process.until("/connectors", |status, _| status == 200).await;
    let post = process.http.post(format!("{}/modules", process.url)).header("content-type", "application/wasm");
    assert_eq!(post.body(wasm).send().await.unwrap().status().as_u16(), 201, "without parameters it is good");
    let mut piped = config();
    piped["transforms"] = json!("m");
    piped["transforms.m.type"] = json!("moody@0.1");
    for (mood, words) in [("counting", "comes out otherwise"), ("panicking", "breaks on sample record items-most")] {
        piped["transforms.m.mood"] = json!(mood);
        let (status, body) = process.call("PUT", "/connectors/p/config", Some(piped.clone())).await;
        assert_eq!((status, &body["faults"][0]["key"]), (400, &json!("transforms")), "{body}");
        assert!(body["message"].as_str().unwrap().contains(words), "{body}");
    }
    piped["transforms.m.mood"] = json!("good");
    assert_eq!(process.call("PUT", "/connectors/p/config", Some(piped)).await.0, 201);
    // Who watches learns how many records wait before it, once somebody has looked.
    let until = Instant::now() + PATIENCE;
    loop {
        let metrics = process.http.get(format!("{}/metrics", process.url)).send().await.unwrap().text().await.unwrap();
        if metrics.contains("transforms_lag_records{pipeline=\"p\"} 0") {
            break;
        }
        assert!(Instant::now() < until, "nobody looks how many wait:\n{metrics}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    process.tasks.drain(PATIENCE).await;
    aside.drain(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn until_its_topics_exist_it_says_so_and_then_recovers() {
    let cluster = cluster();
    let process = Process::start(&cluster, "http://127.0.0.1:1").await;
    assert_eq!(process.call("PUT", "/connectors/p/config", Some(config())).await.0, 503);
    assert_eq!(process.call("GET", "/connectors", None).await.0, 503);
    assert_eq!(process.call("GET", "/readyz", None).await.0, 503);
    assert_eq!(process.call("GET", "/healthz", None).await.0, 200);
    state_topics(&cluster);
    process.until("/readyz", |status, _| status == 200).await;
    assert_eq!(process.call("GET", "/connectors", None).await, (200, json!([])));
    cluster.broker_down(1).unwrap();
    process.until("/readyz", |status, _| status == 503).await;
    cluster.broker_up(1).unwrap();
    process.until("/readyz", |status, _| status == 200).await;
    // The registry is away, so nothing can be promised of a config.
    assert_eq!(process.call("PUT", "/connectors/p/config", Some(config())).await.0, 503);
    process.tasks.drain(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_refused_with_all_reasons() {
    let cluster = cluster();
    state_topics(&cluster);
    let process = Process::start(&cluster, "http://127.0.0.1:1").await;
    process.until("/connectors", |status, _| status == 200).await;

    let mut wrong = config();
    wrong["tasks.max"] = json!("none");
    wrong["errors.tolerence"] = json!("all");
    let (status, body) = process.call("PUT", "/connectors/p/config", Some(wrong)).await;
    assert_eq!((status, &body["error_code"]), (400, &json!(400)));
    let message = body["message"].as_str().unwrap();
    assert!(
        message.contains("2 error(s)") && message.contains("tasks.max") && message.contains("errors.tolerence"),
        "{message}"
    );

    let mut missing = config();
    missing["transforms"] = json!("clean");
    missing["transforms.clean.type"] = json!("clean@1");
    let (status, body) = process.call("PUT", "/connectors/p/config", Some(missing.clone())).await;
    assert_eq!((status, &body["faults"][0]["key"]), (400, &json!("transforms.clean.type")), "{body}");
    let (status, body) = process.call("PUT", "/connector-plugins/WasmPipeline/config/validate", Some(missing)).await;
    assert_eq!((status, &body["error_count"]), (200, &json!(2)));

    let module = |kind: &'static str| {
        process.http.post(format!("{}/modules", process.url)).header("content-type", kind).body("not wasm").send()
    };
    assert_eq!(module("application/wasm").await.unwrap().status(), 422);
    assert_eq!(module("text/plain").await.unwrap().status(), 415, "a browser's form must not deploy");
    let put = || process.http.put(format!("{}/connectors/p/config", process.url)).body("{}");
    assert_eq!(put().header("content-type", "text/plain").send().await.unwrap().status(), 415);
    assert_eq!(
        put().header("content-type", "application/json").header("host", "evil.example").send().await.unwrap().status(),
        421
    );
    assert_eq!(
        put()
            .header("content-type", "application/json")
            .header("origin", "http://evil.example")
            .send()
            .await
            .unwrap()
            .status(),
        403
    );
    for (method, path, expected) in [
        ("GET", "/connectors/none", 404),
        ("GET", "/nothing", 404),
        ("PATCH", "/connectors", 405),
        ("POST", "/connectors/none/restart", 404),
        ("GET", "/connector-plugins", 200),
        ("GET", "/", 200),
    ] {
        assert_eq!(process.call(method, path, None).await.0, expected, "{method} {path}");
    }
    process.tasks.drain(PATIENCE).await;
}
