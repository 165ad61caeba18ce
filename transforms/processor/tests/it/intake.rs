//! Uploads to a whole process over a mock broker: what is taken, what is refused and in which words, and what is left in
//! the topics.

mod hostile;
mod stop;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::{Value, json};
use service_kit::{Tasks, Tokens};
use transforms::app;
use transforms::config::Config;

use crate::harness::PATIENCE;

const MODULES: &str = "transforms.modules";

/// A component of the hostile guests, all of which are built once.
fn wasm(name: &str) -> Vec<u8> {
    static BUILT: OnceLock<BTreeMap<String, PathBuf>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let evil = Path::new(env!("CARGO_MANIFEST_DIR")).join("../evil");
        let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("intake-evil");
        let files = transform_host::build::guests(&evil, &out).unwrap_or_else(|error| panic!("{error}"));
        files.into_iter().map(|file| (file.file_stem().unwrap().to_string_lossy().into_owned(), file)).collect()
    });
    std::fs::read(built.get(name).unwrap_or_else(|| panic!("no guest {name}"))).unwrap()
}

/// The component with other bytes in it that mean nothing.
fn retold(wasm: &[u8]) -> Vec<u8> {
    [wasm, &[0, 2, 1, b'x']].concat()
}

struct World {
    url: String,
    http: reqwest::Client,
    tasks: Tasks,
    brokers: String,
}

/// A test that fails must not wait for what it started.
impl Drop for World {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

impl World {
    async fn start(cluster: &MockCluster<'_, DefaultProducerContext>, tokens: Tokens) -> Self {
        let tasks = Tasks::new();
        let brokers = cluster.bootstrap_servers();
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            kafka: brokers.clone().into(),
            registry: "http://127.0.0.1:1".to_owned(),
            instance: "test".to_owned(),
            hosts: Vec::new(),
            tokens: tokens.clone(),
            program: env!("CARGO_BIN_EXE_transforms").into(),
        };
        let address = app::start(config, &tasks).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let world = Self { url: format!("http://{address}"), http, tasks, brokers };
        let until = Instant::now() + PATIENCE;
        while world.http.get(format!("{}/readyz", world.url)).send().await.unwrap().status() != 200 {
            assert!(Instant::now() < until, "it does not become ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        world
    }

    async fn upload(&self, query: &str, wasm: Vec<u8>) -> (u16, Value) {
        let post = self.http.post(format!("{}/modules{query}", self.url)).header("content-type", "application/wasm");
        told(post.header("x-request-id", "upload-1").body(wasm)).await
    }

    async fn call(&self, method: &str, path: &str) -> (u16, Value) {
        told(self.http.request(method.parse().unwrap(), format!("{}{path}", self.url))).await
    }

    /// Everything in a state topic, as key and value.
    fn records(&self, topic: &str) -> Vec<(String, Option<Vec<u8>>)> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", "reader")
            .set("enable.partition.eof", "true")
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
        consumer.assign(&list).unwrap();
        let (mut records, until) = (Vec::new(), Instant::now() + PATIENCE);
        loop {
            assert!(Instant::now() < until, "{topic} cannot be read to its end");
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
                    records.push((key, message.payload().map(<[u8]>::to_vec)));
                }
                Some(Err(KafkaError::PartitionEOF(_))) => return records,
                Some(Err(_)) | None => {}
            }
        }
    }

    fn audit(&self) -> Vec<Value> {
        self.records("transforms.audit")
            .iter()
            .map(|(_, value)| serde_json::from_slice(value.as_ref().unwrap()).unwrap())
            .collect()
    }

    /// Writes records of a state topic as an earlier release, or a process that died, would have left them.
    fn write(&self, records: &[(&str, Option<&[u8]>)]) {
        let producer: ThreadedProducer<_> = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("message.max.bytes", "16000000")
            .create()
            .unwrap();
        for (key, value) in records {
            let mut record = BaseRecord::to(MODULES).key(*key).partition(0);
            record.payload = *value;
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }

    async fn until_listed(&self, what: &str, holds: impl Fn(&Value) -> bool) {
        let until = Instant::now() + PATIENCE;
        loop {
            let (_, listed) = self.call("GET", "/modules").await;
            if holds(&listed) {
                return;
            }
            assert!(Instant::now() < until, "{what}: {listed}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn told(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or(Value::Null))
}

fn cluster() -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).unwrap();
    for topic in [MODULES, "transforms.config", "transforms.audit"] {
        cluster.create_topic(topic, 1, 1).unwrap();
    }
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_is_stored_in_parts_listed_without_compiling_and_deleted() {
    let cluster = cluster();
    let world = World::start(&cluster, Tokens::default()).await;
    // Larger than one part.
    let wasm = [&wasm("moody")[..], &padding(600_000)].concat();
    let (status, stored) = world.upload("?stateful=true", wasm.clone()).await;
    assert_eq!(
        (status, &stored["stateful"], &stored["uploaded_by"]),
        (201, &json!(true), &json!("loopback")),
        "{stored}"
    );
    assert_eq!(stored["trial"]["records"], stored["trial"]["emitted"], "{stored}");
    let digest = stored["digest"].as_str().unwrap().to_owned();
    let keys: Vec<String> = world.records(MODULES).into_iter().map(|(key, _)| key).collect();
    let part = |at: usize| format!("moody@0.1.0/{digest}/{at}");
    assert_eq!(keys, [part(0), part(1), "moody@0.1.0".to_owned()], "only the last makes a module of them");
    assert_eq!(world.upload("", wasm.clone()).await.0, 200, "the same again changes nothing");
    assert_eq!(world.upload("?stateful=true", wasm.clone()).await.0, 200);
    let (status, other) = world.upload("?stateful=false", wasm).await;
    let words = "moody@0.1.0 is here with stateful=true, this upload asks for stateful=false";
    assert!(status == 409 && other["detail"].as_str().unwrap().contains(words), "{status} {other}");
    world.tasks.drain(PATIENCE).await;

    let world = World::start(&cluster, Tokens::default()).await;
    let (_, shown) = world.call("GET", "/modules/moody@0.1.0").await;
    assert_eq!((&shown["digest"], &shown["stateful"]), (&json!(digest), &json!(true)), "{shown}");
    assert_eq!(shown["parameters"][0]["name"], "mood");
    assert_eq!(world.call("DELETE", "/modules/moody@0.1.0").await.0, 204);
    assert_eq!(world.call("DELETE", "/modules/moody@0.1.0").await.0, 404);
    assert_eq!(world.call("GET", "/modules").await.1, json!([]));
    let records = world.records(MODULES);
    let dead: Vec<&str> = records.iter().filter(|(_, value)| value.is_none()).map(|(key, _)| key.as_str()).collect();
    assert_eq!(dead, ["moody@0.1.0", &part(0), &part(1)], "the metadata goes first");
    world.tasks.drain(PATIENCE).await;
}

/// A custom section of this size.
fn padding(size: usize) -> Vec<u8> {
    let mut section = vec![0];
    let mut rest = size + 2;
    while rest >= 0x80 {
        section.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    section.push(rest as u8);
    section.extend([1, b'x']);
    section.extend(std::iter::repeat_n(7, size));
    section
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_whole_records_are_read_and_half_a_set_of_parts_is_no_module() {
    let cluster = cluster();
    let world = World::start(&cluster, Tokens::default()).await;
    let wasm = wasm("panic");
    let digest = transform_host::digest(&wasm);
    let meta =
        json!({ "name": "panic", "version": "0.1.0", "digest": digest, "size": wasm.len(), "parts": 2 }).to_string();
    let (first, second) = wasm.split_at(wasm.len() / 2);
    let part = |at: usize| format!("panic@0.1.0/{digest}/{at}");
    world.write(&[(&part(0), Some(first)), (&part(1), Some(second)), ("mark@0.1.0", Some(b"{"))]);
    world.until_listed("the mark is read", |listed| !listed[0].is_null()).await;
    let (_, listed) = world.call("GET", "/modules").await;
    assert_eq!(listed.as_array().unwrap().len(), 1, "parts without metadata are no module: {listed}");
    world.write(&[(&part(1), None), ("panic@0.1.0", Some(meta.as_bytes()))]);
    world.until_listed("the metadata is read", |listed| listed[1]["module"] == "panic@0.1.0").await;
    let (_, listed) = world.call("GET", "/modules").await;
    assert!(listed[1]["error"].as_str().unwrap().contains("not all of its parts"), "{listed}");
    // Compaction keeps the last of each key, so parts may stand behind their metadata.
    world.write(&[(&part(1), Some(second))]);
    world.until_listed("all parts are read", |listed| listed[1]["digest"] == digest).await;
    assert_eq!(world.upload("", wasm.clone()).await.0, 200, "it is here, whole");
    let (status, other) = world.upload("?stateful=true", wasm.clone()).await;
    assert_eq!((status, &other["check"]), (409, &json!("version")), "{other}");
    assert_eq!(
        (&other["value"], &other["limit"], other["way_out"].as_str()),
        (&json!(true), &json!(false), Some("raise the version and push it with --stateful"))
    );
    // Metadata that names other bytes than its parts have.
    let old = self::wasm("moody");
    world.write(&[("moody@0.1.0", Some(&old)), ("mark@0.1.0", None)]);
    world.until_listed("the old record is read", |listed| listed[0]["name"] == "moody").await;
    let (_, listed) = world.call("GET", "/modules").await;
    assert_eq!((&listed[0]["stateful"], listed[0]["parameters"][0]["name"].as_str()), (&json!(false), Some("mood")));
    assert_eq!(world.upload("", retold(&old)).await.0, 409, "a version never changes");
    world.tasks.drain(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_that_breaks_or_remembers_is_refused_with_the_record_and_the_difference() {
    let cluster = cluster();
    let world = World::start(&cluster, Tokens::default()).await;
    for (query, check, words) in [
        ("?parameter.mood=panicking", "dry-run", "breaks on sample record items-most (trap)"),
        ("?parameter.mood=short", "dry-run", "breaks on sample record plain (output)"),
        (
            "?parameter.mood=counting",
            "purity",
            "comes out otherwise in batches of 500, after others than at first: it is",
        ),
        ("?parameter.mood=numbering", "purity", "the reason is \"this is record 1\" and then \"this is record 513\""),
        ("?parameter.mood=of-seven", "purity", "comes out otherwise in batches of 7, after others than at first"),
        ("?parameter.mood=backwards", "purity", "comes out otherwise in reverse order than at first"),
        (
            "?parameter.mood=first-born",
            "purity",
            "comes out otherwise in a batch of 1 on a fresh instance than at first",
        ),
        ("?parameter.mod=counting", "dry-run", "has no such parameter; it has: mood"),
        ("?parameter.mood=panicking&stateful=true", "dry-run", "breaks on sample record items-most (trap)"),
    ] {
        let (status, refused) = world.upload(query, wasm("moody")).await;
        assert_eq!((status, &refused["check"]), (422, &json!(check)), "{query}: {refused}");
        assert!(refused["detail"].as_str().unwrap().contains(words), "{query}: {refused} lacks {words}");
        assert!(refused["way_out"].as_str().is_some_and(|way| !way.is_empty()), "{refused}");
    }
    let (status, taken) = world.upload("?parameter.mood=counting&stateful=true&dry_run=true", wasm("moody")).await;
    assert_eq!((status, &taken["stateful"], &taken["trial"]["records"]), (200, &json!(true), &json!(512)), "{taken}");
    assert!(taken["trial"]["dropped"].as_u64().unwrap() > 50, "{taken}");
    assert_eq!(world.upload("?stateful=perhaps", wasm("moody")).await.0, 400);
    assert_eq!(world.upload("?statefull=true", wasm("moody")).await.0, 400);
    assert_eq!(world.call("GET", "/modules").await.1, json!([]), "nothing of all that is stored");
    world.tasks.drain(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_and_every_refusal_is_in_the_audit_with_its_token() {
    let cluster = cluster();
    let (reader, deployer) = ("a-token-that-reads-0001", "a-token-that-deploys-01");
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("intake-tokens-{}.json", std::process::id()));
    let entry = |name, role, token| json!({ "name": name, "role": role, "sha256": service_kit::tokens::sha256(token) });
    let list = json!([entry("look", "read", reader), entry("ci", "deploy", deployer)]);
    std::fs::write(&file, list.to_string()).unwrap();
    let tokens = Tokens::from_file(&file).unwrap();
    let world = World::start(&cluster, tokens.clone()).await;
    let call = async |method: &str, path: &str, token: &str, body: Option<Vec<u8>>| {
        let kind = if path == "/modules" { "application/wasm" } else { "application/json" };
        let request = world.http.request(method.parse().unwrap(), format!("{}{path}", world.url));
        let request = request.header("content-type", kind).header("x-request-id", format!("{method}-1"));
        let request = if token.is_empty() { request } else { request.bearer_auth(token) };
        told(request.body(body.unwrap_or_default())).await.0
    };
    let moody = || Some(wasm("moody"));
    assert_eq!(call("GET", "/modules", "", None).await, 401);
    assert_eq!(call("GET", "/metrics", "", None).await, 401);
    assert_eq!(call("GET", "/healthz", "", None).await, 200, "whoever looks whether it lives has no token");
    assert_eq!(call("GET", "/metrics", reader, None).await, 200);
    assert_eq!(call("GET", "/modules", reader, None).await, 200);
    assert_eq!(call("POST", "/modules", "", moody()).await, 401);
    assert_eq!(call("POST", "/modules", reader, moody()).await, 403);
    assert_eq!(call("POST", "/modules", deployer, Some(b"\x7fELF".to_vec())).await, 422);
    assert_eq!(call("POST", "/modules", deployer, moody()).await, 201);
    assert_eq!(call("POST", "/modules", deployer, moody()).await, 200);
    assert_eq!(call("PUT", "/connectors/p/config", deployer, Some(b"{}".to_vec())).await, 400);
    assert_eq!(call("DELETE", "/modules/moody@0.1.0", deployer, None).await, 204);
    let audit = world.audit();
    let line = |entry: &Value| {
        let text = |name: &str| entry[name].as_str().unwrap_or("-").to_owned();
        [text("who"), text("action"), text("outcome"), text("request_id")]
    };
    let told: Vec<[String; 4]> = audit.iter().map(line).collect();
    let expected = [
        ["look", "module.upload", "refused", "POST-1"],
        ["ci", "module.upload", "refused", "POST-1"],
        ["ci", "module.upload", "accepted", "POST-1"],
        ["ci", "module.upload", "unchanged", "POST-1"],
        ["ci", "PUT /connectors/p/config", "refused", "PUT-1"],
        ["ci", "module.delete", "accepted", "DELETE-1"],
    ];
    assert_eq!(told, expected.map(|line| line.map(str::to_owned)), "{audit:#?}");
    assert_eq!(
        (audit[2]["digest"].as_str().map(str::len), audit[2]["subject"].as_str()),
        (Some(64), Some("moody@0.1.0"))
    );
    assert!(audit[1]["reason"].as_str().unwrap().contains("this is an ELF"), "{audit:#?}");
    assert!(audit.iter().all(|entry| entry["at"].as_str().is_some_and(|at| at.ends_with('Z'))));
    // A token that is taken out of the file is refused from then on.
    std::fs::write(&file, json!([entry("look", "read", reader)]).to_string()).unwrap();
    tokens.reload().unwrap();
    assert_eq!(call("GET", "/modules", deployer, None).await, 401);
    world.tasks.drain(PATIENCE).await;
    std::fs::remove_file(&file).unwrap();
}
