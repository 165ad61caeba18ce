//! A field is added while orders flow: checked, rehearsed and rolled out by one command, and nothing is lost or doubled.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use promise::load::{self, Gauge, Plan};
use promise::read::Elasticsearch;
use reqwest::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::files;
use crate::house::{House, root, scratch};
use crate::sink::{Answer, connectors};

const FIELD: &str = "gift_note: string";

pub(crate) fn under_load(house: &mut House) {
    let files = checkout();
    // What would break is refused, and changes nothing.
    let taken = run(house, &files, &["--add", "channel: long", "--yes"]);
    assert!(taken.code == 1 && taken.err.contains("channel is there already"), "{}", taken.err);

    let flow = {
        let posts = house.stream("evolution", 17, 2_000);
        let plan = Plan::new(&house.stack.endpoints().edge, 200);
        let (ledger, runtime) = (Arc::clone(&house.ledger), house.runtime.handle().clone());
        let (gauge, stop) = (Gauge::default(), CancellationToken::new());
        std::thread::spawn(move || runtime.block_on(load::run(&plan, posts, ledger, &gauge, &stop)))
    };
    let shown = run(house, &files, &["--add", FIELD]);
    println!("{}", shown.out);
    assert_eq!(shown.code, 2, "{}", shown.err);
    let before = schema(house);
    let begun = Instant::now();
    let told = report(&run(house, &files, &["--add", FIELD, "--yes", "--last", "200", "--format", "json"]));
    println!("rolled out in {:.1} s, under load", begun.elapsed().as_secs_f32());
    assert_eq!((&told["applied"], &told["refused"]), (&json!(true), &json!([])), "{told:#}");
    let tried = told["tried"].as_array().unwrap();
    assert_eq!(tried.len(), 2, "both sinks: {tried:#?}");
    for one in tried {
        assert_eq!(one["fields"], json!(["gift_note"]), "{one:#}");
        assert!(one["filled"].as_u64() > Some(0) && one["filled"].as_u64() <= one["rows"].as_u64(), "{one:#}");
    }
    flow.join().unwrap().unwrap();
    // Some that certainly come after it.
    house.post("evolved-1", r#"{"orderId":"evolved-1","amount":1.50,"customer":"after the field"}"#);

    // The same again finds everything done.
    let again = report(&run(house, &files, &["--add", FIELD, "--yes", "--format", "json"]));
    assert_eq!((&again["edits"], &again["done"]), (&json!([]), &json!([])), "{again:#}");
    assert_ne!(schema(house), before, "the pipeline writes by the new schema");
    house.expect_all_zero();
    let elasticsearch = Elasticsearch::new(&house.places.elasticsearch).unwrap();
    let document = elasticsearch.call(Method::GET, "/order_placed/_source/evolved-1", None);
    let document: Value = house.runtime.block_on(document).unwrap();
    assert_eq!(document.get("gift_note"), Some(&Value::Null), "{document:#}");
    let versions = files.parent().unwrap().join("schemas/versions");
    assert!(versions.join("order_placed.v2.avsc").is_file() && versions.join("order_placed.v2.example.json").is_file());
}

/// The id that the pipeline writes by.
fn schema(house: &House) -> Value {
    let url = format!("{}/connectors/orders-transforms/status", house.stack.endpoints().transforms);
    let ask = async { reqwest::get(url).await?.json::<Value>().await };
    house.runtime.block_on(ask).unwrap()["output_schema_id"].clone()
}

/// `connectors/` and `schemas/` beside each other, as in a checkout.
fn checkout() -> PathBuf {
    let to = scratch("evolution");
    let _ = std::fs::remove_dir_all(&to);
    files::copy(&to.join("connectors"));
    for folder in ["schemas", "schemas/versions"] {
        std::fs::create_dir_all(to.join(folder)).unwrap();
        for entry in std::fs::read_dir(root().join(folder)).unwrap().flatten().filter(|entry| entry.path().is_file()) {
            std::fs::copy(entry.path(), to.join(folder).join(entry.file_name())).unwrap();
        }
    }
    to.join("connectors")
}

fn run(house: &House, files: &Path, args: &[&str]) -> Answer {
    connectors(house, &[&["evolve", "--files", files.to_str().unwrap()], args].concat())
}

fn report(answer: &Answer) -> Value {
    let report = answer.json();
    assert_eq!(answer.code, 0, "{}{report:#}", answer.err);
    report
}
