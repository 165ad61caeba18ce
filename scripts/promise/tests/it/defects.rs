//! Does the lab see anything at all? Five deliberate defects, each made as somebody would make it: by an edit, by a tool, by
//! a door before the edge. Each must be found, by its counter or by the watch for what is not committed. Afterwards the
//! promise is broken for good: this comes last.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::channel;
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
use crate::stub::{Request, heard};

const INDEX_SINK: &str = "orders-elasticsearch";
const PIPELINE: &str = "orders-transforms";
/// Orders that come to the hasty door; of every so many it is hasty with one.
const ORDERS: u64 = 80;
const HASTY: usize = 4;
/// Records that are read again.
const AGAIN: i64 = 20;

/// What makes a defect and answers how often, and the counter that must see it as often.
type Defect = (&'static str, fn(&mut House) -> usize, Counter);

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
        let made = defect(house);
        let now = counts(house);
        let both = || known.iter().zip(&now).filter(|(before, now)| before.1 < now.1);
        let risen: Vec<String> =
            both().map(|(before, now)| format!("{} +{}", now.0.name(), now.1 - before.1)).collect();
        println!("{name}: {}", risen.join(", "));
        let rise = both().find(|(_, now)| now.0 == counter).map_or(0, |(before, now)| now.1 - before.1);
        assert!(0 < made && rise == made, "{name}: made {made} times, and {} rose by {rise}: {now:?}", counter.name());
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
        sink.put_and_run(|config| config["consumer.override.isolation.level"] = json!(level));
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

/// A door before the edge that answers some orders with 202 before anybody has them, and never passes them on, as if it had
/// died; of the others it waits for the edge's own answer.
fn hasty_answers(house: &mut House) -> usize {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let door = format!("http://{}", listener.local_addr().unwrap());
    let (edge, runtime) = (format!("{}/api/orders", house.stack.endpoints().edge), house.runtime.handle().clone());
    let (hasty, told) = channel();
    std::thread::spawn(move || {
        for (number, caller) in listener.incoming().flatten().enumerate() {
            let (edge, runtime, hasty) = (edge.clone(), runtime.clone(), hasty.clone());
            std::thread::spawn(move || {
                let Request { kind, body, .. } = heard(&caller).unwrap();
                let receipt = if number % HASTY == 0 {
                    hasty.send(()).unwrap();
                    // It cannot know the place.
                    r#"{"partition":0,"offset":null}"#.to_owned()
                } else {
                    runtime.block_on(async {
                        let post = reqwest::Client::new().post(&edge).header("content-type", kind).body(body);
                        let answer = post.send().await.unwrap();
                        assert_eq!(answer.status(), 202);
                        answer.text().await.unwrap()
                    })
                };
                answer(&caller, &receipt);
            });
        }
    });
    let posts: Vec<Post> =
        house.stream("hasty", 91, ORDERS).filter(|post| matches!(post.class, Class::Valid) && !post.repost).collect();
    let plan = Plan { batches: false, ..Plan::new(&door, 100) };
    let ledger = Arc::clone(&house.ledger);
    let (gauge, stop) = (Gauge::default(), CancellationToken::new());
    house.runtime.block_on(load::run(&plan, posts.into_iter(), ledger, &gauge, &stop)).unwrap();
    told.try_iter().count()
}

fn answer(mut caller: &TcpStream, receipt: &str) {
    let head = format!("HTTP/1.1 202 Accepted\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", receipt.len());
    caller.write_all((head + receipt).as_bytes()).unwrap();
}

/// As a processor does that dies between its outputs and its offsets: some records are read again.
fn offsets_of_their_own(house: &mut House) -> usize {
    let transforms = house.stack.endpoints().transforms.clone();
    let groups = path(&Kafka::new(&house.places.kafka)).unwrap();
    let committed = until_known(groups[0].group(), || groups[0].committed());
    let (partition, offset) = committed.into_iter().max_by_key(|(_, offset)| *offset).unwrap();
    move_to(house, &format!("{transforms}/connectors/{PIPELINE}"), topics::ORDERS_RECEIVED, partition, offset - AGAIN);
    AGAIN as usize
}

/// Two POSTs of an order, with a sink that lets the index make up ids.
fn no_document_id(house: &mut House) -> usize {
    let chain = |house: &House, change: &dyn Fn(&str) -> String| {
        let sink = Sink { house, name: INDEX_SINK };
        sink.put_and_run(|config| config["transforms"] = json!(change(config["transforms"].as_str().unwrap())));
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
    1
}

/// As a healer does that passes over a record and keeps no copy.
fn skipped(house: &mut House) -> usize {
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
    1
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
