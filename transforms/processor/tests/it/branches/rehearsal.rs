//! A pipeline with tables and outputs is tried on samples before it is taken, like every other.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use service_kit::Tasks;

use super::{cluster, pipeline, registry, take_in, tiered, tiers, upload};
use crate::harness::PATIENCE;
use crate::rest::{Process, evil};

/// The customer of most sample orders.
const CUSTOMER: &str = "john_doe";

/// Puts a config; again, while its lookup table is being read.
async fn put(process: &Process, name: &str, config: &Value) -> (u16, Value) {
    let until = Instant::now() + PATIENCE;
    loop {
        let put = process.call("PUT", &format!("/connectors/{name}/config"), Some(config.clone())).await;
        if put.0 != 503 {
            return put;
        }
        assert!(Instant::now() < until, "{} {}", put.0, put.1);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Puts a config until it is answered so: the table that it hangs on is followed, and not at once. Each time something
/// else in it is another, since what is stored already is not tried again.
async fn until(process: &Process, config: &Value, from: u32, expected: u16) -> Value {
    let until = Instant::now() + PATIENCE;
    for number in from.. {
        let mut config = config.clone();
        config["swap.watch.records"] = json!(number);
        let (status, body) = put(process, "p", &config).await;
        if status == expected {
            return body;
        }
        assert!(Instant::now() < until, "{status} {body}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    unreachable!()
}

fn refused(body: &Value, key: &str, words: &[&str]) {
    let message = body["message"].as_str().unwrap();
    assert_eq!(body["faults"][0]["key"], key, "{body}");
    words.iter().for_each(|word| assert!(message.contains(word), "{message} lacks {word}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_out_for_an_output_must_fit_its_schema_and_the_field_that_does_not_is_named() {
    let (cluster, aside) = (cluster(), Tasks::new());
    let (brokers, registry) = (cluster.bootstrap_servers(), registry(&aside).await);
    tiers(&brokers, &[("nobody", "gold")]);
    let process = Process::named("one", &cluster, &registry).await;
    process.until("/connectors", |status, _| status == 200).await;
    upload(&process, "customer-tier.wasm").await;

    let mut strange = tiered("out");
    strange["outputs.vip.topic"] = json!("strange");
    let (status, body) = put(&process, "p", &strange).await;
    assert_eq!(status, 400, "nothing could ever be written there: {body}");
    refused(&body, "outputs.vip.topic", &["field loyalty of its schema has no default"]);

    // The table knows none of the samples' customers, and that is no fault of the pipeline.
    let mut picky = tiered("out");
    picky["outputs.vip.topic"] = json!("picky");
    let (status, body) = put(&process, "p", &picky).await;
    assert_eq!(status, 201, "{body}");
    // Now the module sends samples to the other output, too.
    tiers(&brokers, &[(CUSTOMER, "gold")]);
    let body = until(&process, &picky, 1_000, 400).await;
    let words = ["customer-tier@", "sample record least", "the output `vip`", "field email has no place for null"];
    refused(&body, "outputs.vip.topic", &words);
    let (status, body) = put(&process, "q", &tiered("copy")).await;
    assert_eq!(status, 201, "the schema of vip has room for all of them: {body}");
    // To reject is a module's right.
    tiers(&brokers, &[(CUSTOMER, "blocked")]);
    until(&process, &picky, 2_000, 200).await;
    process.tasks.drain(PATIENCE).await;
    aside.drain(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_that_breaks_or_remembers_is_refused_whatever_its_pipeline_has_around() {
    let (cluster, aside) = (cluster(), Tasks::new());
    let registry = registry(&aside).await;
    let process = Process::named("one", &cluster, &registry).await;
    process.until("/connectors", |status, _| status == 200).await;
    take_in(&process, tokio::task::block_in_place(|| evil("moody.wasm"))).await;
    let around: [(&str, &[(&str, &str)]); 3] = [
        ("tables", &[("lookups", "tiers"), ("lookups.tiers.topic", "tiers")]),
        ("outputs", &[("outputs", "vip"), ("outputs.vip.topic", "vip")]),
        (
            "predicates",
            &[
                ("predicates", "here"),
                ("predicates.here.type", "TopicNameMatches"),
                ("predicates.here.pattern", "in"),
                ("transforms.m.predicate", "here"),
            ],
        ),
    ];
    for (name, more) in around {
        let mut config = pipeline("out");
        for (key, value) in [("transforms", "m"), ("transforms.m.type", "moody@0.1")].iter().chain(more) {
            config[*key] = json!(value);
        }
        for (mood, words) in [
            ("counting", "comes out otherwise"),
            ("panicking", "breaks on sample record items-most (trap)"),
            ("short", "breaks on sample record plain (output)"),
        ] {
            config["transforms.m.mood"] = json!(mood);
            let (status, body) = put(&process, name, &config).await;
            assert_eq!(status, 400, "{name}, {mood}: {body}");
            refused(&body, "transforms", &[words]);
        }
        config["transforms.m.mood"] = json!("good");
        let (status, body) = put(&process, name, &config).await;
        assert_eq!(status, 201, "{name}: {body}");
    }
    process.tasks.drain(PATIENCE).await;
    aside.drain(PATIENCE).await;
}
