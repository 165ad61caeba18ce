//! Pipelines beside each other: none waits for another, and one that is deleted or stopped while it is prepared never
//! starts.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::{Request, StatusCode};
use hyper::body::Incoming;
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use schemas::contracts::ORDER_PLACED_AVSC;
use serde_json::{Value, json};
use service_kit::Tasks;
use service_kit::http::{Limits, Response, bind, json as answer, serve};
use tokio::sync::Semaphore;

use crate::harness::PATIENCE;
use crate::rest::{self, Process, config};

/// Pipelines that wait. Each does for six seconds at a time: three calls of the registry, of two seconds each.
const WAITING: usize = 40;
/// Eight at a time, which is how many may be compiled, they would keep the next one waiting for longer.
const SOON: Duration = Duration::from_secs(20);

/// Holds a registry's answers for `slow`; for `never` it has none.
struct Gate {
    asked: AtomicUsize,
    open: Semaphore,
}

impl Gate {
    async fn until_asked(&self, times: usize) {
        let until = Instant::now() + PATIENCE;
        while self.asked.load(Ordering::SeqCst) < times {
            assert!(Instant::now() < until, "the registry is not asked {times} times");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn open(&self) {
        self.open.add_permits(1_000);
    }
}

async fn registry(tasks: &Tasks) -> (String, Arc<Gate>) {
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let gate = Arc::new(Gate { asked: AtomicUsize::new(0), open: Semaphore::new(0) });
    let (own, aside) = (Arc::clone(&gate), tasks.clone());
    let service = tower::service_fn(move |request: Request<Incoming>| {
        let (gate, aside) = (Arc::clone(&own), aside.clone());
        async move {
            let path = request.uri().path().to_owned();
            if path != "/subjects/out-value/versions/latest" {
                gate.asked.fetch_add(1, Ordering::SeqCst);
                match path.as_str() {
                    "/subjects/never-value/versions/latest" => aside.stopping().await,
                    _ => drop(gate.open.acquire().await),
                }
            }
            let latest = json!({ "subject": "any", "version": 1, "id": 7, "schema": ORDER_PLACED_AVSC });
            Ok::<Response, Infallible>(answer(StatusCode::OK, &latest))
        }
    });
    tasks.spawn(serve(listener, service, Limits::default(), tasks.clone()));
    (format!("http://{address}"), gate)
}

fn cluster() -> MockCluster<'static, DefaultProducerContext> {
    let cluster = rest::cluster();
    rest::state_topics(&cluster);
    cluster.create_topic("slow", 2, 1).unwrap();
    cluster
}

/// A pipeline into `output`, as it stands in the topic.
fn stored(state: &str, output: &str) -> String {
    let config = json!({
        "connector.class": "orderflow.WasmPipeline", "topics": "in", "output.topic": output,
        "errors.tolerance": "all", "errors.deadletterqueue.topic.name": "dead",
    });
    json!({ "config": config, "state": state, "modules": {} }).to_string()
}

fn producer(cluster: &MockCluster<'_, DefaultProducerContext>) -> ThreadedProducer<DefaultProducerContext> {
    ClientConfig::new().set("bootstrap.servers", cluster.bootstrap_servers()).create().unwrap()
}

/// Stores or deletes as another process would have: the API takes no config that it cannot check.
fn write(producer: &ThreadedProducer<DefaultProducerContext>, name: &str, stored: Option<&str>) {
    let mut record = BaseRecord::to("transforms.config").key(name).partition(0);
    record.payload = stored;
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelines_that_wait_hold_up_no_start_and_no_stop_of_another() {
    let (cluster, aside) = (cluster(), Tasks::new());
    let (registry, gate) = registry(&aside).await;
    let process = Process::start(&cluster, &registry).await;
    process.until("/connectors", |status, _| status == 200).await;
    let producer = producer(&cluster);
    for number in 0..WAITING {
        // They come before the other by their names.
        let output = if number == 0 { "slow" } else { "never" };
        write(&producer, &format!("a-{number}"), Some(&stored("STARTED", output)));
    }
    gate.until_asked(WAITING).await;
    let begun = Instant::now();
    assert_eq!(process.call("PUT", "/connectors/z/config", Some(config())).await.0, 201);
    process.until("/connectors/z/status", |_, body| body["version"].is_object()).await;
    assert!(begun.elapsed() < SOON, "it was started after {:?}", begun.elapsed());
    let begun = Instant::now();
    assert_eq!(process.call("PUT", "/connectors/z/stop", None).await.0, 204);
    process.until("/connectors/z/status", |_, body| body["tasks"] == json!([])).await;
    assert!(begun.elapsed() < SOON, "it was stopped after {:?}", begun.elapsed());
    gate.open();
    let running = |_: u16, body: &Value| body["tasks"][0]["state"] == "RUNNING";
    process.until("/connectors/a-0/status", running).await;
    process.tasks.drain(PATIENCE).await;
    aside.drain(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_or_stopped_while_it_is_prepared_never_starts() {
    let (cluster, aside) = (cluster(), Tasks::new());
    let (registry, gate) = registry(&aside).await;
    let process = Process::start(&cluster, &registry).await;
    process.until("/connectors", |status, _| status == 200).await;
    let producer = producer(&cluster);
    for name in ["gone", "halted"] {
        write(&producer, name, Some(&stored("STARTED", "slow")));
    }
    gate.until_asked(2).await;
    write(&producer, "gone", None);
    write(&producer, "halted", Some(&stored("STOPPED", "slow")));
    process.until("/connectors/gone/status", |status, _| status == 404).await;
    process.until("/connectors/halted/status", |_, body| body["connector"]["state"] == "STOPPED").await;
    // The answers that they wait for come now.
    gate.open();
    assert_eq!(process.call("PUT", "/connectors/z/config", Some(config())).await.0, 201);
    process.until("/connectors/z/status", |_, body| body["tasks"][0]["state"] == "RUNNING").await;
    process.until("/readyz", |status, _| status == 200).await;
    let metrics = process.http.get(format!("{}/metrics", process.url)).send().await.unwrap().text().await.unwrap();
    let had_slots = |name: &str| metrics.contains(&format!("{{pipeline=\"{name}\",slot=\"0\"}}"));
    assert_eq!(["gone", "halted", "z"].map(had_slots), [false, false, true], "{metrics}");
    process.tasks.drain(PATIENCE).await;
    aside.drain(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_config_that_is_being_checked_is_answered_when_the_service_stops() {
    let (cluster, aside) = (cluster(), Tasks::new());
    let (registry, gate) = registry(&aside).await;
    let process = Process::start(&cluster, &registry).await;
    process.until("/connectors", |status, _| status == 200).await;
    let mut waits = config();
    waits["output.topic"] = json!("slow");
    let stop = async {
        gate.until_asked(1).await;
        process.tasks.stop();
    };
    let ((status, body), ()) = tokio::join!(process.call("PUT", "/connectors/p/config", Some(waits)), stop);
    assert_eq!((status, &body["error_code"]), (503, &json!(503)), "{body}");
    let words = "the config cannot be checked now: the service stops; try again";
    assert_eq!((&body["message"], &body["type"]), (&json!(words), &Value::Null), "{body}");
    gate.open();
    process.tasks.drain(PATIENCE).await;
    aside.drain(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_for_no_config_that_is_checked_and_is_not_undone_by_it() {
    let (cluster, aside) = (cluster(), Tasks::new());
    let (registry, gate) = registry(&aside).await;
    let process = Process::start(&cluster, &registry).await;
    process.until("/connectors", |status, _| status == 200).await;
    assert_eq!(process.call("PUT", "/connectors/p/config", Some(config())).await.0, 201);
    process.until("/connectors/p/status", |_, body| body["tasks"][0]["state"] == "RUNNING").await;
    let mut waits = config();
    waits["output.topic"] = json!("slow");
    let asked = gate.asked.load(Ordering::SeqCst);
    let stop = async {
        gate.until_asked(asked + 1).await;
        let stopped = process.call("PUT", "/connectors/p/stop", None).await.0;
        gate.open();
        stopped
    };
    let ((put, body), stopped) = tokio::join!(process.call("PUT", "/connectors/p/config", Some(waits)), stop);
    assert_eq!((stopped, put), (204, 200), "{body}");
    let (_, status) = process.call("GET", "/connectors/p/status", None).await;
    assert_eq!((&body["config"]["output.topic"], &status["connector"]["state"]), (&json!("slow"), &json!("STOPPED")));
    process.tasks.drain(PATIENCE).await;
    aside.drain(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_changes_at_the_same_time_none_undoes_another() {
    let (cluster, aside) = (cluster(), Tasks::new());
    let (registry, _gate) = registry(&aside).await;
    let process = Process::start(&cluster, &registry).await;
    process.until("/connectors", |status, _| status == 200).await;
    assert_eq!(process.call("PUT", "/connectors/p/config", Some(config())).await.0, 201);
    process.until("/connectors/p/status", |_, body| body["tasks"][0]["state"] == "RUNNING").await;
    let settings = async || process.call("GET", "/connectors/p/config", None).await.1;
    // A write takes so long that whoever comes meanwhile could read only what was there before.
    cluster.broker_round_trip_time(-1, Duration::from_millis(200)).unwrap();

    let mut two = config();
    two["tasks.max"] = json!("2");
    let put = process.call("PUT", "/connectors/p/config", Some(two));
    let (put, stop) = tokio::join!(put, process.call("PUT", "/connectors/p/stop", None));
    assert_eq!((put.0, stop.0), (200, 204), "{}", put.1);
    let (_, status) = process.call("GET", "/connectors/p/status", None).await;
    assert_eq!((&settings().await["tasks.max"], &status["connector"]["state"]), (&json!("2"), &json!("STOPPED")));

    let patch = |change: Value| process.call("PATCH", "/connectors/p/config", Some(change));
    let both = tokio::join!(patch(json!({ "tasks.max": "3" })), patch(json!({ "commit.interval.ms": "20" })));
    assert_eq!((both.0.0, both.1.0), (200, 200), "{both:?}");
    let now = settings().await;
    assert_eq!((&now["tasks.max"], &now["commit.interval.ms"]), (&json!("3"), &json!("20")), "{now}");

    let create = || {
        let created = json!({ "name": "q", "initial_state": "stopped", "config": config() });
        process.call("POST", "/connectors", Some(created))
    };
    let both = tokio::join!(create(), create());
    let mut statuses = [both.0.0, both.1.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409], "{both:?}");

    let pause = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        process.call("PUT", "/connectors/p/pause", None).await.0
    };
    let (deleted, paused) = tokio::join!(process.call("DELETE", "/connectors/p", None), pause);
    assert!(deleted.0 == 204 && matches!(paused, 202 | 404), "{deleted:?} {paused}");
    assert_eq!(process.call("GET", "/connectors/p", None).await.0, 404, "what was deleted is back");
    process.tasks.drain(PATIENCE).await;
    aside.drain(PATIENCE).await;
}
