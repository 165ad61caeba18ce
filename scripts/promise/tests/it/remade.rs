//! A table is dropped under load and made again; an index is lost and made with another mapping, then with the right one.
//! `apply` makes them, `verify --repair` fills them, `dead-letters replay` brings back what did not fit meanwhile.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use promise::read::{Elasticsearch, Isolation, Kafka, Postgres, letters};
use promise::row::Version;
use promise::settle;
use promise::world::{Letter, Store};
use reqwest::Method;
use schemas::names::topics;
use serde_json::{Value, json};

use crate::faults::{ASK, BACK, Load, until_known, wait_for};
use crate::house::{House, REST, root};
use crate::sink::connectors;
use crate::targets::{committed, positions};
use crate::verify::verify;

/// Orders a second.
const RATE: u32 = 60;
/// A record that does not fit is tried twice, one by one.
const LETTERS: Duration = Duration::from_secs(120);

pub(crate) fn made_again(house: &mut House) {
    table(house);
    index(house);
    house.expect_all_zero();
}

/// Dropped under load: the sink waits, takes nothing for poison, and goes on when the table is there again.
fn table(house: &mut House) {
    let load = Load::start(house, "remade", RATE);
    load.go_on(3);
    let drop = "drop table order_placed";
    house.runtime.block_on(async { Postgres::connect(&house.places.postgres).await.unwrap().run(drop).await.unwrap() });
    load.go_on(4);
    apply(house);
    let begun = Instant::now();
    let (_, sink) = positions(house, Store::Postgres);
    let reached = committed(&sink);
    wait_for("the sink to write again", BACK, ASK, || reached < committed(&sink));
    println!("the table is there again, {:.1} s later the sink had moved", begun.elapsed().as_secs_f32());
    load.go_on(2);
    load.end();
    settle::wait(&house.places, REST).unwrap();
    fill(house, "postgresql");
}

/// Two of ten orders do not fit a mapping that somebody made by hand: these become dead letters, the others flow.
fn index(house: &mut House) {
    let text = std::fs::read_to_string(root().join("connectors/stores/order_placed.index.json")).unwrap();
    let mut other: Value = serde_json::from_str(&text).unwrap();
    other["mappings"]["properties"]["channel"] = json!({"type": "integer"});
    call(house, Method::DELETE, None);
    call(house, Method::PUT, Some(other));
    for at in 0..10 {
        let channel = if at % 5 == 3 { r#","channel":"web""# } else { "" };
        let id = format!("remade-{at}");
        house.post(&id, &format!(r#"{{"orderId":"{id}","amount":{at}.25,"customer":"remade"{channel}}}"#));
    }
    wait_for("two dead letters", LETTERS, ASK, || refused(house).len() == 2);
    settle::wait(&house.places, REST).unwrap();
    let refused = refused(house);
    assert!(refused.iter().all(|letter| letter.reason.contains("channel")), "{refused:?}");
    let places: BTreeSet<Version> = refused.iter().filter_map(|letter| Some(letter.origin.as_ref()?.at)).collect();
    assert_eq!(places.len(), 2, "{refused:?}");

    call(house, Method::DELETE, None);
    apply(house);
    let replay = connectors(house, &["dead-letters", "replay", "--topic", topics::ELASTICSEARCH_DEAD_LETTER, "--yes"]);
    println!("{}", replay.out);
    assert_eq!(replay.code, 0, "{}{}", replay.out, replay.err);
    house.replayed.insert(Store::Elasticsearch, places);
    settle::wait(&house.places, REST).unwrap();
    fill(house, "elasticsearch");
    let listed = connectors(house, &["dead-letters", "list", "--topic", topics::ELASTICSEARCH_DEAD_LETTER]).out;
    println!("{listed}");
}

fn apply(house: &House) {
    let applied = connectors(house, &["apply", "--files", "connectors"]);
    assert_eq!(applied.code, 0, "{}{}", applied.out, applied.err);
}

/// What was in the store before it was lost is found missing and is sent again, through the sink.
fn fill(house: &House, store: &str) {
    let begun = Instant::now();
    let (told, code) = verify(house, &["--repair", "--yes"]);
    let mended = told["mended"]["mended"].as_u64();
    assert_eq!((code, &told["mended"]["left"]), (0, &json!(0)), "{told:#}");
    assert!(Some(100) < mended, "{told:#}");
    println!("{store}: {} orders sent again in {:.1} s", mended.unwrap_or_default(), begun.elapsed().as_secs_f32());
    let (told, code) = verify(house, &["--deep"]);
    assert_eq!(code, 0, "{told:#}");
}

fn refused(house: &House) -> Vec<Letter> {
    let kafka = Kafka::new(&house.places.kafka);
    letters(until_known("dead letters", || kafka.topic(topics::ELASTICSEARCH_DEAD_LETTER, Isolation::Committed)))
}

fn call(house: &House, method: Method, body: Option<Value>) {
    house.runtime.block_on(async {
        let elasticsearch = Elasticsearch::new(&house.places.elasticsearch).unwrap();
        let _: Value = elasticsearch.call(method, "/order_placed", body).await.unwrap();
    });
}
