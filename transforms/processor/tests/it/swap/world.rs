//! A mock broker, a registry that knows the contracts, processes, and versions of one guest.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use http::{Request, StatusCode};
use hyper::body::Incoming;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use schemas::contracts::{ORDER_PLACED_AVSC, ORDERS_RECEIVED_AVSC};
use serde_json::{Value, json};
use service_kit::Tasks;
use service_kit::http::{Limits, Response, bind, json as answer, serve};

use crate::harness::{PATIENCE, framed_order};
use crate::rest::{self, Process};

const PLACED: u32 = 7;
const RECEIVED: u32 = 8;
/// Of each topic, as [`rest::cluster`] makes them.
const PARTITIONS: i32 = 2;

/// Everything around the processes.
pub(super) struct World {
    pub(super) cluster: MockCluster<'static, DefaultProducerContext>,
    registry: String,
    aside: Tasks,
}

impl Drop for World {
    /// A test that failed must end: what reads topics would keep its runtime for ever.
    fn drop(&mut self) {
        self.aside.stop();
    }
}

impl World {
    pub(super) async fn start() -> Self {
        let cluster = rest::cluster();
        rest::state_topics(&cluster);
        let aside = Tasks::new();
        let registry = registry(&aside).await;
        Self { cluster, registry, aside }
    }

    pub(super) async fn process(&self, instance: &str) -> Process {
        let process = Process::named(instance, &self.cluster, &self.registry).await;
        process.until("/connectors", |status, _| status == 200).await;
        process
    }

    pub(super) async fn end(self, processes: impl IntoIterator<Item = Process>) {
        for process in processes {
            process.tasks.drain(PATIENCE).await;
        }
        self.aside.drain(PATIENCE).await;
    }

    /// The registry is away from now on.
    pub(super) async fn without_registry(&self) {
        self.aside.drain(PATIENCE).await;
    }

    pub(super) fn producer(&self) -> ThreadedProducer<DefaultProducerContext> {
        let brokers = self.cluster.bootstrap_servers();
        ClientConfig::new().set("bootstrap.servers", &brokers).set("linger.ms", "0").create().unwrap()
    }

    /// Posts orders with these ids.
    pub(super) fn orders(&self, ids: impl IntoIterator<Item = String>) {
        let producer = self.producer();
        ids.into_iter().for_each(|id| post(&producer, &id));
        producer.flush(PATIENCE).unwrap();
    }

    /// Everything in `topics`, as id and modules, until it has `expected` records and is read to its end.
    pub(super) fn read(&self, topics: &[&str], expected: usize) -> Vec<Written> {
        let consumer = self.reader(topics);
        let (mut seen, mut ended) = (Vec::new(), BTreeSet::new());
        let all = topics.len() * PARTITIONS as usize;
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until && (seen.len() < expected || ended.len() < all) {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    ended.remove(&(message.topic().to_owned(), message.partition()));
                    seen.push(Written::of(&message));
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    // Which topic it is of is not told; all are asked for their ends below.
                    topics.iter().for_each(|topic| {
                        if at_end(&consumer, topic, partition) {
                            ended.insert(((*topic).to_owned(), partition));
                        }
                    });
                }
                Some(Err(_)) | None => {}
            }
        }
        seen
    }

    /// How often this was done, as the audit has it.
    pub(super) fn audited(&self, action: &str) -> usize {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .set("group.id", "reader")
            .set("enable.partition.eof", "true")
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("transforms.audit", 0, Offset::Beginning).unwrap();
        consumer.assign(&list).unwrap();
        let (mut times, until) = (0, Instant::now() + PATIENCE);
        loop {
            assert!(Instant::now() < until, "the audit cannot be read to its end");
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    let entry: Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
                    times += usize::from(entry["action"] == action);
                }
                Some(Err(KafkaError::PartitionEOF(_))) => return times,
                Some(Err(_)) | None => {}
            }
        }
    }

    pub(super) fn reader(&self, topics: &[&str]) -> BaseConsumer {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .set("group.id", "reader")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        for topic in topics {
            for partition in 0..PARTITIONS {
                list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
            }
        }
        consumer.assign(&list).unwrap();
        consumer
    }
}

fn at_end(consumer: &BaseConsumer, topic: &str, partition: i32) -> bool {
    let position = consumer.position().unwrap().find_partition(topic, partition).map(|found| found.offset());
    match (position, consumer.fetch_watermarks(topic, partition, PATIENCE).unwrap()) {
        (Some(Offset::Offset(at)), (_, high)) => at >= high,
        (_, (low, high)) => low == high,
    }
}

/// A record that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) topic: String,
    pub(super) id: String,
    pub(super) modules: String,
}

impl Written {
    pub(super) fn of(message: &impl Message) -> Self {
        let headers = message.headers().unwrap();
        let text = |name: &str| {
            let found = headers.iter().find(|header| header.key == name).and_then(|header| header.value);
            found.map(|value| String::from_utf8_lossy(value).into_owned())
        };
        Self {
            topic: message.topic().to_owned(),
            id: String::from_utf8(message.key().unwrap().to_vec()).unwrap(),
            modules: text("orderflow.modules").or_else(|| text("orderflow.module")).unwrap_or_default(),
        }
    }
}

pub(super) fn post(producer: &ThreadedProducer<DefaultProducerContext>, id: &str) {
    let value = framed_order(RECEIVED, id, "john_doe");
    producer.send(BaseRecord::to("in").key(id).payload(&value)).map_err(|(error, _)| error).unwrap();
}

/// How often each id is there.
pub(super) fn times(written: &[Written]) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    written.iter().for_each(|written| *times.entry(written.id.clone()).or_default() += 1);
    times
}

pub(super) fn ids(prefix: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("{prefix}-{number}")).collect()
}

async fn registry(tasks: &Tasks) -> String {
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = tower::service_fn(|request: Request<Incoming>| async move {
        let body = match request.uri().path() {
            "/subjects/out-value/versions/latest" => {
                json!({ "subject": "out-value", "version": 1, "id": PLACED, "schema": ORDER_PLACED_AVSC })
            }
            "/schemas/ids/7" => json!({ "schema": ORDER_PLACED_AVSC }),
            "/schemas/ids/8" => json!({ "schema": ORDERS_RECEIVED_AVSC }),
            _ => {
                let body = json!({ "error_code": 40403, "message": "Schema not found" });
                return Ok::<Response, Infallible>(answer(StatusCode::NOT_FOUND, &body));
            }
        };
        Ok(answer(StatusCode::OK, &body))
    });
    tasks.spawn(serve(listener, service, Limits::default(), tasks.clone()));
    format!("http://{address}")
}

impl Process {
    /// Puts the pipeline's config and waits until all its slots run.
    pub(super) async fn put(&self, config: &Value) {
        let (status, body) = self.call("PUT", "/connectors/p/config", Some(config.clone())).await;
        assert!(status == 200 || status == 201, "{status} {body}");
        self.running().await;
    }

    /// Puts another config and waits until all of these processes do what it says: until then the one before judges.
    pub(super) async fn change(&self, config: &Value, query: &str, all: &[&Self]) {
        let (status, body) = self.call("PUT", &format!("/connectors/p/config{query}"), Some(config.clone())).await;
        assert_eq!(status, 200, "{body}");
        for process in all {
            let slots = |body: &Value| body["version"]["slots"] == body["tasks"].as_array().unwrap().len();
            process.status(|now| now["version"]["id"] == body["version"] && slots(now)).await;
        }
    }

    pub(super) async fn running(&self) {
        self.status(|body| body["tasks"][0]["state"] == "RUNNING").await;
    }

    pub(super) async fn status(&self, holds: impl Fn(&Value) -> bool) -> Value {
        self.until("/connectors/p/status", |status, body| status == 200 && holds(body)).await
    }

    pub(super) async fn upload(&self, patch: u32) {
        self.upload_as(&format!("1000.1000.100{patch}")).await;
    }

    /// The guest `fickle` as this version, which has fourteen letters.
    pub(super) async fn upload_as(&self, version: &str) {
        let post = self.http.post(format!("{}/modules", self.url)).header("content-type", "application/wasm");
        let answered = post.body(fickle(version)).send().await.unwrap();
        assert_eq!(answered.status().as_u16(), 201, "{}", answered.text().await.unwrap());
    }

    pub(super) async fn metrics(&self) -> String {
        self.http.get(format!("{}/metrics", self.url)).send().await.unwrap().text().await.unwrap()
    }

    pub(super) async fn metric(&self, name: &str) -> f64 {
        let text = self.metrics().await;
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }
}

/// Waits until two processes say the same of the pipeline under `key`, and gives a status that says it.
pub(super) async fn agreed(a: &Process, b: &Process, key: &str) -> Value {
    let until = Instant::now() + PATIENCE;
    loop {
        let says = |body: &Value| body[key].is_object();
        let (on_a, on_b) = (a.status(says).await, b.status(says).await);
        if on_a[key] == on_b[key] {
            return on_a;
        }
        assert!(Instant::now() < until, "{} and {}", on_a[key], on_b[key]);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn fickle(version: &str) -> Vec<u8> {
    static BUILT: LazyLock<Vec<u8>> = LazyLock::new(|| rest::evil("fickle.wasm"));
    let old = b"1000.1000.1000";
    let at = BUILT.windows(old.len()).position(|window| window == old).unwrap();
    let mut wasm = BUILT.clone();
    wasm[at..at + old.len()].copy_from_slice(version.as_bytes());
    wasm
}

/// A pipeline of one module in this mood, with further settings.
pub(super) fn config(patch: u32, mood: &str, more: &[(&str, &str)]) -> Value {
    let mut config = json!({
        "connector.class": "orderflow.WasmPipeline", "tasks.max": 1, "topics": "in", "output.topic": "out",
        "errors.tolerance": "all", "errors.deadletterqueue.topic.name": "dead",
        "transforms": "m", "transforms.m.type": format!("fickle@1000.1000.100{patch}"), "transforms.m.mood": mood,
    });
    for (key, value) in more {
        config[key] = json!(value);
    }
    config
}
