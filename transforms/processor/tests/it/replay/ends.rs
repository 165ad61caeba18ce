//! Ends that are not a module's own: an output that the pipeline has not, one whose schema has no place for a record, a
//! tombstone, what is too large for its topic, what the topic refused, and a record that was never read.

use std::convert::Infallible;
use std::sync::Arc;

use http::{Request, StatusCode};
use hyper::body::Incoming;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use schemas::codec;
use schemas::contracts::ORDERS_RECEIVED_AVSC;
use schemas::order::{Item, Order, Timestamp};
use serde_json::Value;
use service_kit::http::{Limits, Response, bind, json as answer, serve};
use transforms::kafka::{Input, Outgoing};
use transforms::record::divert::{Chain, Reason, Stage, dead_letter};

use super::*;

const RECEIVED: u32 = 11;
const PLACED: u32 = 12;
const THING: u32 = 14;
const STRICT: u32 = 15;
/// No order: tombstones come to the modules.
const THING_AVSC: &str = r#"{"type":"record","name":"Thing","fields":[{"name":"text","type":"string"}]}"#;
/// An order without a currency has no place here.
const STRICT_AVSC: &str = r#"{"type":"record","name":"orderflow.Order","fields":[
    {"name":"order_id","type":"string"},{"name":"currency","type":"string"}]}"#;

async fn schemas_of_topics(tasks: &Tasks) -> String {
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = tower::service_fn(|request: Request<Incoming>| async move {
        let path = request.uri().path();
        let (id, schema) = match path.strip_prefix("/subjects/").unwrap_or(path) {
            "/schemas/ids/11" => (RECEIVED, ORDERS_RECEIVED_AVSC),
            "/schemas/ids/14" | "things-value/versions/latest" => (THING, THING_AVSC),
            "strict-value/versions/latest" => (STRICT, STRICT_AVSC),
            "/schemas/ids/12"
            | "out-value/versions/latest"
            | "copy-value/versions/latest"
            | "vip-value/versions/latest" => (PLACED, ORDER_PLACED_AVSC),
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

/// Writes one record, which may be large, have no value, or have headers.
fn write_one(brokers: &str, record: &Outgoing) {
    let producer: ThreadedProducer<_> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("linger.ms", "0")
        .set("message.max.bytes", "5000000")
        .create()
        .unwrap();
    let mut headers = OwnedHeaders::new();
    for (name, value) in &record.headers {
        headers = headers.insert(Header { key: std::str::from_utf8(name).unwrap(), value: value.as_deref() });
    }
    let mut written: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&record.topic).headers(headers);
    written.key = record.key.as_deref();
    written.payload = record.value.as_deref();
    producer.send(written).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();
}

fn bare(topic: &str, key: &str, value: Option<Vec<u8>>) -> Outgoing {
    let key = Some(key.as_bytes().to_vec());
    Outgoing { topic: Arc::from(topic), key, value, timestamp_ms: None, headers: Vec::new() }
}

/// An order with one item whose letters stand in the output twice: in the item, and in the items' JSON.
fn large(id: &str) -> Vec<u8> {
    let item = Item { sku: "x".repeat(2_200_000), quantity: 1, unit_price: "1.00".parse().unwrap() };
    let order = Order {
        order_id: id.parse().unwrap(),
        amount: "1.00".parse().unwrap(),
        customer: "any".to_owned(),
        currency: None,
        items: vec![item],
        email: None,
        country: None,
        channel: None,
        created_at: Timestamp(1),
        received_at: Timestamp(2),
    };
    let mut value = framing::header(RECEIVED).to_vec();
    codec::encode(&order, &mut value);
    value
}

fn with(mut config: Value, settings: &[(&str, &str)]) -> Value {
    // One task: the mock keeps no offset of a transaction, so a second that joins would read all again.
    config["tasks.max"] = json!("1");
    for (key, value) in settings {
        config[*key] = json!(value);
    }
    config
}

/// `customer-tier`, which sends to `vip`, where there is no such output.
fn without_outputs() -> Value {
    let mut config = with(tiered("out"), &[]);
    config.as_object_mut().unwrap().retain(|key, _| !key.starts_with("outputs"));
    config
}

async fn change(process: &Process, name: &str, config: Value) {
    let until = Instant::now() + PATIENCE;
    loop {
        let (status, body) = process.call("PUT", &format!("/connectors/{name}/config"), Some(config.clone())).await;
        if status == 200 {
            return;
        }
        assert!(status == 503 && Instant::now() < until, "{status} {body}");
    }
}

/// `n` has no output `vip`, that of `s` has no place for an order without a currency; `t` makes things, `c` copies orders.
async fn put_all(process: &Process) {
    upload(process, "customer-tier.wasm").await;
    let wasm = tokio::task::block_in_place(|| evil("panic.wasm"));
    let post = process.http.post(format!("{}/modules", process.url)).header("content-type", "application/wasm");
    assert_eq!(post.body(wasm).send().await.unwrap().status().as_u16(), 201);
    let dead = "errors.deadletterqueue.topic.name";
    put(process, "n", without_outputs()).await;
    put(process, "s", with(tiered("out"), &[("outputs.vip.topic", "strict"), (dead, "dead2")])).await;
    let module = [("transforms", "only"), ("transforms.only.type", "panic@0.1")];
    put(process, "t", with(with(pipeline("things"), &module), &[("topics", "bare"), (dead, "dead3")])).await;
    put(process, "c", with(pipeline("copy"), &[("topics", "large"), (dead, "dead4")])).await;
}

async fn world(aside: &Tasks) -> (MockCluster<'static, DefaultProducerContext>, World) {
    let cluster = cluster();
    for topic in ["strict", "things", "bare", "large", "dead3", "dead4"] {
        cluster.create_topic(topic, 4, 1).unwrap();
    }
    let world = World { brokers: cluster.bootstrap_servers(), registry: schemas_of_topics(aside).await };
    tiers(&world.brokers, &[("rich", "gold")]);
    (cluster, world)
}

/// A letter of `pipeline` as a worker writes it when the broker refuses what came of the record: it names no module.
fn refused(world: &World, pipeline: &str, dead: &str) -> String {
    let (key, value) = order("o-9", "rich");
    let input = Input {
        topic: Arc::from("in"),
        partition: 0,
        offset: 0,
        timestamp_ms: Some(5),
        key: Some(key.into_bytes()),
        value: Some(value),
        headers: Vec::new(),
    };
    let words = "out refuses a record for good: Broker: Invalid record";
    let reason = Reason::new(Stage::Produce, "orderflow.OutputRefused", words);
    let chain = Chain { pipeline: pipeline.to_owned(), schema: PLACED, steps: Vec::new() };
    write_one(&world.brokers, &dead_letter(&input, &Arc::from(dead), &reason, &chain));
    world.letter(dead, "o-9")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_outputs_and_topics_refuse_ends_as_it_did_and_what_the_broker_refused_is_not_claimed() {
    let aside = Tasks::new();
    let (cluster, world) = world(&aside).await;
    let process = Process::named("one", &cluster, &world.registry).await;
    process.until("/connectors", |status, _| status == 200).await;
    put_all(&process).await;
    let no_output = tokio::task::block_in_place(|| {
        write(&world.brokers, "in", &[order("o-1", "rich")]);
        let no_output = world.letter("dead", "o-1");
        let words =
            ["1. customer-tier@", "ModuleOutput", "has no output `vip`; `outputs` names: none", "the same as then"];
        holds(&world.replay(&no_output, &[]), 0, &words);

        let unfit = ["1. customer-tier@", "orderflow.InvalidOutput", "output vip: ", "the same as then"];
        holds(&world.replay(&world.letter("dead2", "o-1"), &[]), 0, &unfit);

        write_one(&world.brokers, &bare("bare", "gone", None));
        let tombstone = ["orderflow.Rejected", "its value is null, which no module can take", "the same as then"];
        holds(&world.replay(&world.letter("dead3", "gone"), &[]), 0, &tombstone);

        write_one(&world.brokers, &bare("large", "big", Some(large("big"))));
        let too_large = world.letter("dead4", "big");
        let words = ["orderflow.OutputTooLarge", "copy takes at most 4194304; ", "the same as then"];
        holds(&world.replay(&too_large, &[]), 0, &words);

        write_one(&world.brokers, &bare("large", "other", Some(order("o-1", "rich").1)));
        let unread = world.letter("dead4", "other");
        holds(&world.replay(&unread, &[]), 0, &["orderflow.KeyMismatch", "the same as then"]);
        let file = shipped("clean.wasm");
        let none = world.replay(&unread, &["--with", file.to_str().unwrap()]);
        holds(&none, 1, &["names no module that failed", "--with"]);
        no_output
    });

    // With an output `vip` its modules are the same, so only the version before ends as it did.
    change(&process, "n", with(tiered("out"), &[])).await;
    tokio::task::block_in_place(|| {
        let earlier = ["has no output `vip`", "note: in an earlier version of n", "the same as then"];
        holds(&world.replay(&no_output, &[]), 0, &earlier);
        holds(&world.replay(&no_output, &["--now"]), 0, &["n takes it; it goes to out, vip"]);

        let refused = refused(&world, "n", "dead");
        let words = [
            "1. customer-tier@",
            "2 records came out: at most ",
            "note: the letter names no modules; these, and the tables, are those that n has now",
            "the modules do not refuse it: the topic did, with \"out refuses a record for good: Broker: Invalid record\"",
            "replay cannot show that",
            "the broker does not tell what the topic takes",
        ];
        holds(&world.replay(&refused, &[]), 4, &words);
        holds(&world.replay(&refused, &["--now"]), 0, &["n takes it", "shows only when it is sent"]);
        let gone = self::refused(&world, "nobody", "dead2");
        holds(&world.replay(&gone, &[]), 1, &["names no modules, and there is no pipeline nobody any more"]);
    });
    process.tasks.drain(PATIENCE).await;
    aside.drain(PATIENCE).await;
}
