//! Does the lab see anything at all? Five deliberate defects, each made as somebody would make it: by an edit, by a tool, by
//! a door before the edge. Each must be found, by its counter or by the watch for what is not committed. Afterwards the
//! promise is broken for good: this comes last.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use promise::check::{Counter, check};
use promise::generator::{Class, Post};
use promise::load::{self, Gauge, Plan};
use promise::read::{Isolation, Kafka, path};
use reqwest::Method;
use schemas::names::topics;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::faults::{ASK, BACK, LOOK, Load, until_known, wait_for};
use crate::house::House;
use crate::sink::Sink;
use crate::strikes::{Torn, stored_of_open};

const INDEX_SINK: &str = "orders-elasticsearch";
const PIPELINE: &str = "orders-transforms";
/// Orders that the hasty door takes, and that are lost when it dies.
const HASTY: u64 = 40;
const LOST: usize = 10;
/// Records that are read again.
const AGAIN: i64 = 20;

/// What makes a defect, and the counter that must see it.
type Defect = (&'static str, fn(&mut House), Counter);

/// Each in turn. What one has raised stays up: the next must raise its counter further.
pub(crate) fn each_is_caught(house: &mut House) {
    uncommitted_reads(house);
    let mut known = counts(house);
    let defects: [Defect; 4] = [
        ("an answer before the acknowledgement", hasty_answers, Counter::Lost),
        ("offsets outside the transaction", offsets_of_their_own, Counter::Duplicate),
        ("no document id", no_document_id, Counter::Duplicate),
        ("a record skipped without a copy", skipped, Counter::Lost),
    ];
    assert!(known.iter().all(|(_, count)| *count == 0), "before any defect: {known:?}");
    for (name, defect, counter) in defects {
        defect(house);
        let now = counts(house);
        let both = || known.iter().zip(&now).filter(|(before, now)| before.1 < now.1);
        let risen: Vec<String> =
            both().map(|(before, now)| format!("{} +{}", now.0.name(), now.1 - before.1)).collect();
        println!("{name}: {}", risen.join(", "));
        assert!(both().any(|(_, now)| now.0 == counter), "{name}: {} did not rise: {now:?}", counter.name());
        known = now;
    }
}

fn counts(house: &House) -> Vec<(Counter, usize)> {
    let findings = check(&house.world());
    Counter::ALL.into_iter().map(|counter| (counter, findings.count(counter))).collect()
}

/// A sink that reads what is not committed: the watch for it, which every kill of the transforms has, sees it.
fn uncommitted_reads(house: &mut House) {
    let isolation = |house: &House, level: &str| {
        let sink = Sink { house, name: INDEX_SINK };
        sink.put(|config| config["consumer.override.isolation.level"] = json!(level));
        wait_for("tasks with another isolation level", BACK, ASK, || sink.runs());
    };
    isolation(house, "read_uncommitted");
    let load = Load::start(house, "uncommitted", 120);
    load.go_on(2);
    let Torn { frozen, from, to } = Torn::new(house);
    let mut seen = Vec::new();
    wait_for("the watch to see it", BACK, LOOK, || {
        seen = stored_of_open(house, &from, &to).1;
        !seen.is_empty()
    });
    drop(frozen);
    load.end();
    isolation(house, "read_committed");
    println!("uncommitted reads: {} orders of an open transaction, such as: {}", seen.len(), seen[0]);
}

/// A door before the edge that answers 202 when it has read an order, passes the orders on later, and dies before the last.
fn hasty_answers(house: &mut House) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let door = format!("http://{}", listener.local_addr().unwrap());
    let (taken, orders) = channel();
    std::thread::spawn(move || {
        for caller in listener.incoming().flatten() {
            let taken = taken.clone();
            std::thread::spawn(move || answer_at_once(&caller, &taken));
        }
    });
    let posts: Vec<Post> =
        house.stream("hasty", 91, HASTY * 2).filter(|post| matches!(post.class, Class::Valid)).collect();
    let (plan, ledger) = (Plan::new(&door, 200), Arc::clone(&house.ledger));
    let (gauge, stop) = (Gauge::default(), CancellationToken::new());
    house.runtime.block_on(load::run(&plan, posts.into_iter(), ledger, &gauge, &stop)).unwrap();
    let orders: Vec<(String, Vec<u8>)> = orders.try_iter().collect();
    assert!(LOST < orders.len(), "the door got {} orders", orders.len());
    let edge = format!("{}/api/orders", house.stack.endpoints().edge);
    for (kind, body) in orders.into_iter().rev().skip(LOST) {
        let post = reqwest::Client::new().post(&edge).header("content-type", kind).body(body);
        assert_eq!(house.runtime.block_on(post.send()).unwrap().status(), 202);
    }
}

fn answer_at_once(mut caller: &TcpStream, taken: &Sender<(String, Vec<u8>)>) {
    let mut reader = BufReader::new(caller);
    let (mut length, mut kind) = (0, String::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let Some((name, value)) = line.trim().split_once(": ") else {
            if line.trim().is_empty() {
                break;
            }
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "content-type" => value.clone_into(&mut kind),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    taken.send((kind, body)).unwrap();
    // It does not know where the order will lie.
    let receipt = r#"{"persisted":"yes"}"#;
    let head = format!("HTTP/1.1 202 Accepted\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", receipt.len());
    caller.write_all((head + receipt).as_bytes()).unwrap();
}

/// As a processor does that dies between its outputs and its offsets: some records are read again.
fn offsets_of_their_own(house: &mut House) {
    let transforms = house.stack.endpoints().transforms.clone();
    let groups = path(&Kafka::new(&house.places.kafka)).unwrap();
    let committed = until_known(groups[0].group(), || groups[0].committed());
    let (partition, offset) = committed.into_iter().max_by_key(|(_, offset)| *offset).unwrap();
    move_to(house, &format!("{transforms}/connectors/{PIPELINE}"), topics::ORDERS_RECEIVED, partition, offset - AGAIN);
}

/// Two POSTs of an order, with a sink that lets the index make up ids.
fn no_document_id(house: &mut House) {
    let chain = |house: &House, change: &dyn Fn(&str) -> String| {
        let sink = Sink { house, name: INDEX_SINK };
        sink.put(|config| config["transforms"] = json!(change(config["transforms"].as_str().unwrap())));
        wait_for("tasks with another chain", BACK, ASK, || sink.runs());
    };
    chain(house, &|chain| chain.replace("docId,", ""));
    for amount in [1, 2] {
        house.post("no-id", &format!(r#"{{"orderId":"no-id","amount":{amount},"customer":"twice in the index"}}"#));
    }
    let groups = path(&Kafka::new(&house.places.kafka)).unwrap();
    wait_for("both to be written", BACK, ASK, || {
        groups.iter().all(|group| group.lag(usize::MAX).is_ok_and(|lag| lag == 0))
    });
    chain(house, &|chain| chain.replace("toJson", "docId,toJson"));
}

/// As a healer does that passes over a record and keeps no copy.
fn skipped(house: &mut House) {
    let connector = format!("{}/connectors/{INDEX_SINK}", house.stack.endpoints().connect);
    call(house, Method::PUT, &format!("{connector}/stop"), None);
    house.post("skipped-1", r#"{"orderId":"skipped-1","amount":1,"customer":"passed over"}"#);
    let kafka = Kafka::new(&house.places.kafka);
    let mut placed = None;
    wait_for("the order in order_placed", BACK, ASK, || {
        let all = kafka.topic(topics::ORDER_PLACED, Isolation::Committed).unwrap();
        placed = all.into_iter().find(|record| record.key.as_deref() == Some(b"skipped-1"));
        placed.is_some()
    });
    let at = placed.unwrap().at;
    move_to(house, &connector, topics::ORDER_PLACED, at.partition, at.offset + 1);
}

/// Stopped, moved and resumed, as Connect's own API has it (KIP-875).
fn move_to(house: &House, connector: &str, topic: &str, partition: i32, offset: i64) {
    call(house, Method::PUT, &format!("{connector}/stop"), None);
    let place = json!({"kafka_topic": topic, "kafka_partition": partition});
    let offsets = json!({"offsets": [{"partition": place, "offset": {"kafka_offset": offset}}]});
    // Its tasks may still be leaving their group.
    wait_for("the offsets to be moved", BACK, Duration::from_millis(500), || {
        call(house, Method::PATCH, &format!("{connector}/offsets"), Some(&offsets)) < 300
    });
    call(house, Method::PUT, &format!("{connector}/resume"), None);
}

fn call(house: &House, method: Method, url: &str, body: Option<&Value>) -> u16 {
    let request = reqwest::Client::new().request(method, url);
    let request = body.map_or_else(|| request.try_clone().unwrap(), |body| request.try_clone().unwrap().json(body));
    house.runtime.block_on(request.send()).unwrap().status().as_u16()
}
