//! Pipelines that are more than a line: a lookup table, an output beside the main one, several pipelines in several
//! processes. A mock broker, a registry with the schemas, the shipped module `customer-tier`.

mod rehearsal;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::{Duration, Instant};

use http::{Request, StatusCode};
use hyper::body::Incoming;
use rdkafka::ClientConfig;
use rdkafka::message::{Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use schemas::contracts::{ORDER_PLACED_AVSC, ORDERS_RECEIVED_AVSC};
use schemas::framing;
use serde_json::{Value, json};
use service_kit::Tasks;
use service_kit::http::{Limits, Response, bind, json as answer, serve};
use transform_host::Tables as _;
use transforms::lookup::{Moved, Reader, Then};

use crate::harness::{PATIENCE, framed_order, from_start};
use crate::replay::find;
use crate::rest::{Process, state_topics};

const RECEIVED: u32 = 11;
const PLACED: u32 = 12;
const BRIEF: u32 = 13;
/// What `vip` wants of an order.
const BRIEF_AVSC: &str = r#"{"type":"record","name":"orderflow.Order","fields":[{"name":"order_id","type":"string"},{"name":"customer","type":"string"}]}"#;
const PICKY: u32 = 14;
/// An order without an e-mail does not fit it.
const PICKY_AVSC: &str = r#"{"type":"record","name":"orderflow.Order","fields":[{"name":"order_id","type":"string"},{"name":"email","type":"string"}]}"#;
const STRANGE: u32 = 15;
/// No order fits it.
const STRANGE_AVSC: &str = r#"{"type":"record","name":"orderflow.Order","fields":[{"name":"order_id","type":"string"},{"name":"loyalty","type":"string"}]}"#;

/// A registry that has the schemas of the topics here.
pub(crate) async fn registry(tasks: &Tasks) -> String {
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = tower::service_fn(|request: Request<Incoming>| async move {
        let (id, schema) = match request.uri().path() {
            "/schemas/ids/11" => (RECEIVED, ORDERS_RECEIVED_AVSC),
            "/schemas/ids/12" => (PLACED, ORDER_PLACED_AVSC),
            "/subjects/out-value/versions/latest" | "/subjects/copy-value/versions/latest" => {
                (PLACED, ORDER_PLACED_AVSC)
            }
            "/subjects/vip-value/versions/latest" => (BRIEF, BRIEF_AVSC),
            "/subjects/picky-value/versions/latest" => (PICKY, PICKY_AVSC),
            "/subjects/strange-value/versions/latest" => (STRANGE, STRANGE_AVSC),
            _ => {
                let unknown = json!({ "error_code": 40401, "message": "Subject not found." });
                return Ok::<Response, Infallible>(answer(StatusCode::NOT_FOUND, &unknown));
            }
        };
        Ok(answer(StatusCode::OK, &json!({ "subject": "any", "version": 1, "id": id, "schema": schema })))
    });
    tasks.spawn(serve(listener, service, Limits::default(), tasks.clone()));
    format!("http://{address}")
}

pub(crate) fn cluster() -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).unwrap();
    for topic in ["in", "out", "copy", "vip", "picky", "strange", "tiers", "dead", "dead2", "orders.dropped"] {
        cluster.create_topic(topic, 4, 1).unwrap();
    }
    state_topics(&cluster);
    cluster
}

pub(crate) fn write(brokers: &str, topic: &str, records: &[(String, Vec<u8>)]) {
    let producer: ThreadedProducer<_> =
        ClientConfig::new().set("bootstrap.servers", brokers).set("linger.ms", "0").create().unwrap();
    for (key, value) in records {
        producer.send(BaseRecord::to(topic).key(key).payload(value)).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

pub(crate) fn tiers(brokers: &str, tiers: &[(&str, &str)]) {
    let records: Vec<_> =
        tiers.iter().map(|(customer, tier)| ((*customer).to_owned(), tier.as_bytes().to_vec())).collect();
    write(brokers, "tiers", &records);
}

pub(crate) fn order(id: &str, customer: &str) -> (String, Vec<u8>) {
    (id.to_owned(), framed_order(RECEIVED, id, customer))
}

/// What is committed in a topic: by key the schema's id, a header and how often it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    schema: u32,
    header: String,
    count: usize,
}

fn read(brokers: &str, topic: &str, header: &str, expected: usize) -> BTreeMap<String, Seen> {
    let consumer = from_start(brokers, topic);
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    let until = Instant::now() + PATIENCE;
    let mut quiet = None;
    // Goes on for a moment after the last that is expected, so that a doubled one is seen.
    while Instant::now() < until && quiet.is_none_or(|since: Instant| since.elapsed() < Duration::from_millis(500)) {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) else { continue };
        let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
        let schema = framing::split(message.payload().unwrap()).map_or(0, |(id, _)| id);
        let found = message.headers().unwrap().iter().find(|found| found.key == header);
        let header = found.map_or(String::new(), |found| String::from_utf8(found.value.unwrap().to_vec()).unwrap());
        seen.entry(key).or_insert(Seen { schema, header, count: 0 }).count += 1;
        if seen.len() >= expected {
            quiet = Some(Instant::now());
        }
    }
    seen
}

fn keys(seen: &BTreeMap<String, Seen>) -> Vec<(&str, usize)> {
    seen.iter().map(|(key, seen)| (key.as_str(), seen.count)).collect()
}

pub(crate) async fn put(process: &Process, name: &str, config: Value) {
    // The lookup table may not be read yet; then the answer says so, and it is put again.
    let until = Instant::now() + PATIENCE;
    loop {
        let (status, body) = process.call("PUT", &format!("/connectors/{name}/config"), Some(config.clone())).await;
        if status == 201 {
            return;
        }
        assert!(status == 503 && Instant::now() < until, "{status} {body}");
    }
}

pub(crate) async fn upload(process: &Process, module: &str) {
    take_in(process, tokio::task::block_in_place(|| std::fs::read(shipped(module)).unwrap())).await;
}

async fn take_in(process: &Process, wasm: Vec<u8>) {
    let post = process.http.post(format!("{}/modules", process.url)).header("content-type", "application/wasm");
    assert_eq!(post.body(wasm).send().await.unwrap().status().as_u16(), 201);
}

/// A module of the house, built.
pub(crate) fn shipped(module: &str) -> std::path::PathBuf {
    let modules = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../modules");
    let out = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("modules");
    let built = transform_host::build::guests(&modules, &out).unwrap_or_else(|error| panic!("{error}"));
    built.into_iter().find(|file| file.ends_with(module)).unwrap()
}

pub(crate) fn pipeline(output: &str) -> Value {
    json!({
        "connector.class": "orderflow.WasmPipeline", "tasks.max": 2, "topics": "in", "output.topic": output,
        "errors.tolerance": "all", "errors.deadletterqueue.topic.name": "dead",
    })
}

pub(crate) fn tiered(output: &str) -> Value {
    let mut config = pipeline(output);
    for (key, value) in [
        ("transforms", "tier"),
        ("transforms.tier.type", "customer-tier@1"),
        ("outputs", "vip"),
        ("outputs.vip.topic", "vip"),
        ("lookups", "tiers"),
        ("lookups.tiers.topic", "tiers"),
        ("predicates", "traced"),
        ("predicates.traced.type", "org.apache.kafka.connect.transforms.predicates.HasHeaderKey"),
        ("predicates.traced.name", "no-tiers"),
        ("transforms.tier.predicate", "traced"),
        ("transforms.tier.negate", "true"),
    ] {
        config[key] = json!(value);
    }
    config
}

const RUNNING: fn(u16, &Value) -> bool = |_, body| {
    let tasks = body["tasks"].as_array().cloned().unwrap_or_default();
    tasks.len() == 2 && tasks.iter().all(|task| task["state"] == "RUNNING")
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_are_judged_by_a_table_and_go_to_the_outputs_that_the_module_names() {
    let (cluster, aside) = (cluster(), Tasks::new());
    let (brokers, registry) = (cluster.bootstrap_servers(), registry(&aside).await);
    // Only the last word on a customer counts, and one was deleted from the table by an empty word.
    tiers(&brokers, &[("rich", "silver"), ("rich", "gold"), ("bad", "blocked"), ("other", "silver")]);
    let process = Process::named("one", &cluster, &registry).await;
    process.until("/connectors", |status, _| status == 200).await;
    upload(&process, "customer-tier.wasm").await;

    let mut missing = tiered("out");
    missing.as_object_mut().unwrap().retain(|key, _| !key.starts_with("lookups"));
    let (status, body) = process.call("PUT", "/connectors/p/config", Some(missing)).await;
    let words = "it needs the lookup `tiers`; name it in `lookups`, with `lookups.tiers.topic`";
    assert!(status == 400 && body["message"].as_str().unwrap().contains(words), "{status} {body}");
    let mut small = tiered("out");
    small["lookups.tiers.max.entries"] = json!("2");
    let words = "lookup tiers: topic tiers has more than 2 keys; raise max.entries";
    let until = Instant::now() + PATIENCE;
    loop {
        let (status, body) = process.call("PUT", "/connectors/p/config", Some(small.clone())).await;
        let message = body["message"].as_str().unwrap();
        if status == 503 && message.contains(words) {
            break;
        }
        assert!(status == 503 && message.contains("is being read") && Instant::now() < until, "{status} {body}");
    }

    // Written before the pipeline is: all of them are judged with all of the table.
    write(&brokers, "in", &[order("o-1", "rich"), order("o-2", "bad"), order("o-3", "other"), order("o-4", "nobody")]);
    // One task: the mock keeps no offset of a transaction, so what one task has done, a second that joins does again.
    let mut one_task = tiered("out");
    one_task["tasks.max"] = json!(1);
    put(&process, "p", one_task).await;
    let out = read(&brokers, "out", "orderflow.modules", 3);
    assert_eq!(keys(&out), [("o-1", 1), ("o-3", 1), ("o-4", 1)]);
    assert!(out.values().all(|seen| seen.schema == PLACED && seen.header.starts_with("customer-tier@1.0.1+sha256:")));
    let vip = read(&brokers, "vip", "orderflow.modules", 1);
    assert_eq!(keys(&vip), [("o-1", 1)]);
    assert_eq!((vip["o-1"].schema, &vip["o-1"].header), (BRIEF, &out["o-1"].header));

    // The dead letter says what the table was, and a replay gets it as it was, whatever was written since.
    tiers(&brokers, &[("bad", "gold"), ("nobody", "gold")]);
    let dead = read(&brokers, "dead", "orderflow.lookups", 1);
    assert_eq!(keys(&dead), [("o-2", 1)]);
    let told = dead["o-2"].header.clone();
    let most = (1 << 20, 100);
    let reader = Reader { brokers: brokers.clone().into(), client_id: "replay".to_owned(), most, time: PATIENCE };
    let as_it_was = tokio::task::block_in_place(|| Then::read(reader, &told)).unwrap();
    let tier =
        |customer: &str| as_it_was.get("tiers", customer.as_bytes()).map(|tier| String::from_utf8(tier).unwrap());
    assert_eq!((tier("bad"), tier("rich"), tier("stranger")), (Some("blocked".into()), Some("gold".into()), None));
    let moved = || tokio::task::block_in_place(|| as_it_was.moved()).unwrap();
    assert!(moved().is_empty(), "nothing is known of that customer to this day");
    assert_eq!(tier("nobody"), None);
    let (partition, offset, _) = find(&brokers, "tiers", "nobody");
    let table = "tiers".to_owned();
    assert_eq!(moved(), [Moved { lookup: table.clone(), topic: table, at: vec![(partition, offset)] }]);

    // The table is followed: at some time a new order of the same customer is very important.
    let until = Instant::now() + PATIENCE;
    for number in 5.. {
        let id = format!("o-{number}");
        write(&brokers, "in", &[order(&id, "nobody")]);
        let out = read(&brokers, "out", "orderflow.modules", number - 1);
        assert_eq!(out.get(&id).map(|seen| seen.count), Some(1));
        if read(&brokers, "vip", "orderflow.modules", 1).contains_key(&id) {
            break;
        }
        assert!(Instant::now() < until, "the table is not followed");
    }
    process.tasks.drain(PATIENCE).await;
    aside.drain(PATIENCE).await;
}

/// The four tasks of two processes share the four partitions. A task that is RUNNING may have all of them until the
/// others have joined.
async fn until_each_has_one_partition(processes: &[&Process], pipeline: &str) {
    let until = Instant::now() + PATIENCE;
    loop {
        let mut shares = Vec::new();
        for process in processes {
            let status = process.until(&format!("/connectors/{pipeline}/status"), RUNNING).await;
            shares.extend(status["tasks"].as_array().unwrap().iter().map(|task| task["partitions"].clone()));
        }
        let is_one = |share: &Value| share.as_array().is_some_and(|share| share.len() == 1);
        let distinct: BTreeSet<String> = shares.iter().map(Value::to_string).collect();
        if shares.iter().all(is_one) && distinct.len() == 4 {
            return;
        }
        assert!(Instant::now() < until, "{pipeline}: {shares:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_pipelines_in_two_processes_with_two_tasks_each_take_every_order_once() {
    let (cluster, aside) = (cluster(), Tasks::new());
    let (brokers, registry) = (cluster.bootstrap_servers(), registry(&aside).await);
    let (one, two) =
        (Process::named("one", &cluster, &registry).await, Process::named("two", &cluster, &registry).await);
    for process in [&one, &two] {
        process.until("/connectors", |status, _| status == 200).await;
    }
    let orders: Vec<_> = (0..200).map(|number| order(&format!("o-{number:03}"), "any")).collect();
    let expected: Vec<_> = orders.iter().map(|(id, _)| (id.as_str(), 1)).collect();
    // One is put in each process; both run them.
    put(&one, "p", pipeline("out")).await;
    put(&two, "q", pipeline("copy")).await;
    // Not before all have joined: a partition that moves is read again, as the mock keeps no offset of a transaction.
    for name in ["p", "q"] {
        until_each_has_one_partition(&[&one, &two], name).await;
    }
    write(&brokers, "in", &orders);
    for topic in ["out", "copy"] {
        let seen = tokio::task::block_in_place(|| read(&brokers, topic, "orderflow.modules", 200));
        assert_eq!(keys(&seen), expected, "{topic}");
    }
    one.tasks.drain(PATIENCE).await;
    two.tasks.drain(PATIENCE).await;
    aside.drain(PATIENCE).await;
}
