//! What each module made of a record that a pipeline wrote: `GET …/steps`, over a mock broker.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use serde_json::{Value, json};
use service_kit::Tasks;

use crate::branches::{cluster, order, pipeline, put, registry, tiered, tiers, upload, write};
use crate::harness::{PATIENCE, from_start};
use crate::rest::Process;

const MODULES: &str = "orderflow.modules";

/// A record that a pipeline wrote.
struct Written {
    at: String,
    modules: String,
    value: Vec<u8>,
}

/// The first record of a topic with this key.
fn written(brokers: &str, topic: &str, key: &str) -> Written {
    let consumer = from_start(brokers, topic);
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) else { continue };
        if message.key() == Some(key.as_bytes()) {
            let modules = message.headers().unwrap().iter().find(|header| header.key == MODULES).unwrap();
            return Written {
                at: format!("{topic}/{}/{}", message.partition(), message.offset()),
                modules: String::from_utf8(modules.value.unwrap().to_vec()).unwrap(),
                value: message.payload().unwrap().to_vec(),
            };
        }
    }
    panic!("there is no {key} in {topic}");
}

/// Writes a record as if these modules had made it.
fn forge(brokers: &str, key: &str, of: &Written) {
    let producer: ThreadedProducer<DefaultProducerContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).set("linger.ms", "0").create().unwrap();
    let headers = OwnedHeaders::new().insert(Header { key: MODULES, value: Some(of.modules.as_str()) });
    let record = BaseRecord::to("out").key(key).payload(&of.value).headers(headers);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();
}

/// One task: the mock keeps no offset of a transaction, so a second that joins would read all again.
fn with(mut config: Value, settings: &[(&str, &str)]) -> Value {
    config["tasks.max"] = json!("1");
    for (key, value) in settings {
        config[*key] = json!(value);
    }
    config
}

async fn steps(process: &Process, record: &str) -> (u16, Value) {
    process.call("GET", &format!("/connectors/p/steps?record={record}"), None).await
}

async fn change(process: &Process, config: Value) {
    let (status, body) = process.call("PUT", "/connectors/p/config", Some(config)).await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_module_is_told_with_the_fields_that_it_changed_also_after_the_pipeline_was_changed() {
    let (cluster, aside) = (cluster(), Tasks::new());
    let (brokers, registry) = (cluster.bootstrap_servers(), registry(&aside).await);
    let process = Process::named("one", &cluster, &registry).await;
    process.until("/connectors", |status, _| status == 200).await;
    upload(&process, "clean.wasm").await;
    upload(&process, "enrich.wasm").await;
    let clean = [("transforms", "clean"), ("transforms.clean.type", "clean@1")];
    let both = [clean[1], ("transforms", "clean,enrich"), ("transforms.enrich.type", "enrich@1")];
    put(&process, "p", with(pipeline("out"), &both)).await;
    write(&brokers, "in", &[order("o-1", " Z"), order("o-2", "any")]);
    let record = tokio::task::block_in_place(|| written(&brokers, "out", "o-1"));

    let (status, told) = steps(&process, &record.at).await;
    assert_eq!(status, 200, "{told}");
    let each = told["steps"].as_array().unwrap();
    let labels: Vec<&str> = each.iter().map(|step| step["module"].as_str().unwrap()).collect();
    assert_eq!(labels.join(","), record.modules, "{told}");
    assert!(labels[0].starts_with("clean@1.0.1+sha256:") && labels[1].starts_with("enrich@1.0.1+sha256:"), "{told}");
    let tidied = json!([{ "field": "customer", "before": "\" Z\"", "after": "\"Z\"" }]);
    let added = json!([
        { "field": "currency", "before": "null", "after": "\"USD\"" },
        { "field": "amount_home", "before": "null", "after": "1.00" },
        { "field": "home_currency", "before": "null", "after": "\"USD\"" },
        { "field": "value_band", "before": "null", "after": "\"low\"" },
    ]);
    assert_eq!((&each[0]["changes"], &each[1]["changes"]), (&tidied, &added));

    // The same modules with other parameters do not make this record: the version before did.
    change(&process, with(pipeline("out"), &[&both[..], &[("transforms.enrich.home.currency", "EUR")]].concat())).await;
    assert_eq!(steps(&process, &record.at).await, (200, told.clone()));
    // Nor do other modules.
    change(&process, with(pipeline("out"), &clean)).await;
    assert_eq!(steps(&process, &record.at).await, (200, told));

    // It says that it was made of an order that is another one.
    let forged = tokio::task::block_in_place(|| {
        forge(&brokers, "o-9", &record);
        written(&brokers, "out", "o-9")
    });
    let (status, told) = steps(&process, &forged.at).await;
    assert_eq!(status, 404, "{told}");
    assert!(told["message"].as_str().unwrap().contains("another record lies there now"), "{told}");
    process.tasks.drain(PATIENCE).await;
    aside.drain(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_module_makes_several_records_the_one_that_is_asked_for_is_followed() {
    let (cluster, aside) = (cluster(), Tasks::new());
    let (brokers, registry) = (cluster.bootstrap_servers(), registry(&aside).await);
    tiers(&brokers, &[("rich", "gold")]);
    let process = Process::named("one", &cluster, &registry).await;
    process.until("/connectors", |status, _| status == 200).await;
    upload(&process, "customer-tier.wasm").await;
    upload(&process, "clean.wasm").await;
    let two = [
        ("transforms", "tier,clean"),
        ("transforms.clean.type", "clean@1"),
        ("transforms.tier.type", "customer-tier@1"),
        ("outputs.vip.topic", "copy"),
    ];
    put(&process, "p", with(tiered("out"), &two)).await;
    write(&brokers, "in", &[order("o-1", "rich")]);
    for topic in ["out", "copy"] {
        let record = tokio::task::block_in_place(|| written(&brokers, topic, "o-1"));
        let (tier, clean) = record.modules.split_once(',').unwrap();
        let unchanged = |module: &str| json!({ "module": module, "changes": [] });
        let expected = json!({ "steps": [unchanged(tier), unchanged(clean)] });
        assert_eq!(steps(&process, &record.at).await, (200, expected), "{topic}");
    }
    process.tasks.drain(PATIENCE).await;
    aside.drain(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_no_failure_and_what_cannot_be_asked_now_is_to_be_asked_again() {
    let (cluster, aside) = (cluster(), Tasks::new());
    let (brokers, registry) = (cluster.bootstrap_servers(), registry(&aside).await);
    let process = Process::named("one", &cluster, &registry).await;
    process.until("/connectors", |status, _| status == 200).await;
    put(&process, "p", with(pipeline("out"), &[])).await;
    write(&brokers, "in", &[order("o-1", "any")]);
    let record = tokio::task::block_in_place(|| written(&brokers, "out", "o-1"));
    assert_eq!(steps(&process, &record.at).await, (200, json!({ "steps": [] })), "no module made it");
    let at = "TOPIC/PARTITION/OFFSET";
    for (method, path, expected, words) in [
        ("GET", "p/steps?record=out/0/9999", 404, "partition 0 of out has the offsets"),
        ("GET", "p/steps?record=out/99/0", 404, "cannot read out"),
        ("GET", "p/steps?record=in/0/0", 404, "p does not write to in"),
        ("GET", "none/steps?record=out/0/0", 404, "Connector none not found"),
        ("GET", "p/steps?record=out/0/-1", 400, at),
        ("GET", "p/steps?record=nonsense", 400, at),
        ("GET", "p/steps", 400, at),
        ("POST", "p/steps?record=out/0/0", 405, "this method is not for this address"),
    ] {
        let (status, told) = process.call(method, &format!("/connectors/{path}"), None).await;
        assert_eq!((status, &told["error_code"]), (expected, &json!(expected)), "{method} {path}: {told}");
        assert!(told["message"].as_str().unwrap().contains(words), "{method} {path}: {told}");
    }

    cluster.broker_down(1).unwrap();
    let begun = Instant::now();
    let (status, told) = steps(&process, &record.at).await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert_eq!(status, 503, "{told}");
    assert!(told["message"].as_str().unwrap().contains("cannot be told now: cannot read out"), "{told}");
    // Who waits when the service stops is told so at once.
    let stop = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        process.tasks.stop();
    };
    let ((status, told), ()) = tokio::join!(steps(&process, &record.at), stop);
    assert_eq!(status, 503, "{told}");
    assert!(told["message"].as_str().unwrap().contains("the service stops"), "{told}");
    cluster.broker_up(1).unwrap();
    process.tasks.drain(PATIENCE).await;
    aside.drain(PATIENCE).await;
}
