//! `connectors verify` on the real stores: it finds what was broken and nothing else, while orders flow, and mends it.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use promise::load::{self, Gauge, LoadError, Plan};
use promise::read::{Elasticsearch, Postgres};
use promise::settle;
use reqwest::Method;
use serde_json::{Value as Json, json};
use tokio_util::sync::CancellationToken;

use crate::house::{House, REST};
use crate::sink::connectors;

/// A deleted row, a changed amount, a deleted document and a stale one are found by name and mended.
pub(crate) fn finds_and_mends(house: &mut House) {
    let ids = ["verify-row", "verify-amount", "verify-document", "verify-stale"];
    let posts = house.stream("beside-verify-1", 9, 300);
    house.load(posts, 300);
    for (at, id) in ids.into_iter().enumerate() {
        house.post(id, &format!(r#"{{"orderId":"{id}","amount":{at}.25,"customer":"verify"}}"#));
    }
    settle::wait(&house.places, REST).unwrap();
    let elasticsearch = Elasticsearch::new(&house.places.elasticsearch).unwrap();
    let call = |house: &House, method: Method, path: &str, send: Option<Json>| -> Json {
        house.runtime.block_on(async { elasticsearch.call(method, path, send).await.unwrap() })
    };
    let older = call(house, Method::GET, "/order_placed/_source/verify-stale", None);
    house.post("verify-stale", r#"{"orderId":"verify-stale","amount":7.75,"customer":"verify"}"#);
    settle::wait(&house.places, REST).unwrap();

    let sql = "delete from order_placed where order_id = 'verify-row'; \
               update order_placed set amount = amount + 0.01 where order_id = 'verify-amount'";
    house.runtime.block_on(async { Postgres::connect(&house.places.postgres).await.unwrap().run(sql).await.unwrap() });
    call(house, Method::DELETE, "/order_placed/_doc/verify-document", None);
    call(house, Method::PUT, "/order_placed/_doc/verify-stale", Some(older));
    let expected = [
        "elasticsearch missing verify-document",
        "elasticsearch stale verify-stale",
        "postgresql different verify-amount",
        "postgresql missing verify-row",
    ];

    let flow = flow(house);
    let begun = Instant::now();
    let (told, code) = verify(house, &[]);
    assert_eq!((code, differences(&told)), (2, expected.map(str::to_owned).to_vec()), "{told:#}");
    let found = begun.elapsed();
    let (told, code) = verify(house, &["--repair", "--yes"]);
    let mended = &told["mended"];
    assert_eq!((code, &mended["mended"], &mended["left"]), (0, &json!(4), &json!(0)), "{told:#}");
    println!("found in {found:.1?}, mended {:.1?} later, while orders flowed", begun.elapsed() - found);
    flow.join().unwrap().unwrap();
    settle::wait(&house.places, REST).unwrap();
    let (told, code) = verify(house, &["--deep", "--since", "2h"]);
    assert!(told["orders"].as_u64() > Some(300), "{told:#}");
    assert_eq!((code, differences(&told)), (0, vec![]), "{told:#}");
    house.expect_all_zero();
}

/// Orders that flow meanwhile, some of them posted again and again.
fn flow(house: &mut House) -> JoinHandle<Result<(), LoadError>> {
    let posts = house.stream("beside-verify-2", 10, 800);
    let plan = Plan::new(&house.stack.endpoints().edge, 100);
    let (ledger, runtime) = (Arc::clone(&house.ledger), house.runtime.handle().clone());
    let (gauge, stop) = (Gauge::default(), CancellationToken::new());
    std::thread::spawn(move || runtime.block_on(load::run(&plan, posts, ledger, &gauge, &stop)))
}

pub(crate) fn verify(house: &House, args: &[&str]) -> (Json, i32) {
    let answer = connectors(house, &[&["verify"], args, &["--format", "json"]].concat());
    (answer.json(), answer.code)
}

fn differences(told: &Json) -> Vec<String> {
    let examples = told["examples"].as_array().unwrap().iter();
    let text = |example: &Json, key: &str| example[key].as_str().unwrap().to_owned();
    let line = |example| format!("{} {} {}", text(example, "store"), text(example, "kind"), text(example, "order"));
    let mut all: Vec<String> = examples.map(line).collect();
    all.sort();
    all
}
