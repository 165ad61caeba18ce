//! Dead letters again, by the command, over a mock broker: as they were, with another module, now, and sent again.

mod ends;
mod tables;

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Avro;
use rdkafka::consumer::Consumer;
use rdkafka::message::Message;
use schemas::contracts::ORDER_PLACED_AVSC;
use schemas::dealt::{Did, Mark};
use schemas::framing;
use schemas::names::topics::DEAD_LETTER_MARKS;
use serde_json::json;
use service_kit::Tasks;

use crate::branches::{cluster, order, pipeline, put, registry, shipped, tiered, tiers, upload, write};
use crate::harness::{PATIENCE, from_start};
use crate::rest::{Process, evil};

/// The first record with this key: where it lies, and its value.
pub(crate) fn find(brokers: &str, topic: &str, wanted: &str) -> (i32, i64, Vec<u8>) {
    let consumer = from_start(brokers, topic);
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) else { continue };
        if message.key() == Some(wanted.as_bytes()) {
            return (message.partition(), message.offset(), message.payload().unwrap_or_default().to_vec());
        }
    }
    panic!("there is no {wanted} in {topic}");
}

/// The first mark of a letter.
fn mark_of(brokers: &str, key: &str) -> Mark {
    let (_, _, mark) = find(brokers, DEAD_LETTER_MARKS, key);
    serde_json::from_slice(&mark).unwrap()
}

struct World {
    brokers: String,
    registry: String,
}

impl World {
    fn letter(&self, topic: &str, key: &str) -> String {
        let (partition, offset, _) = find(&self.brokers, topic, key);
        format!("{topic}/{partition}/{offset}")
    }

    /// `transforms replay`: the exit code and what it printed.
    fn replay(&self, letter: &str, flags: &[&str]) -> (i32, String) {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_transforms"));
        command.args(["replay", letter, "--kafka", &self.brokers, "--registry", &self.registry]).args(flags);
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = [stdout, stderr].concat();
        (status.code().unwrap(), String::from_utf8(text).unwrap())
    }
}

fn holds(found: &(i32, String), code: i32, words: &[&str]) {
    assert_eq!(found.0, code, "{}", found.1);
    for words in words {
        assert!(found.1.contains(words), "no {words:?} in:\n{}", found.1);
    }
}

fn received(value: &[u8]) -> (i32, i64) {
    let schema = Schema::parse_str(ORDER_PLACED_AVSC).unwrap();
    let (_, datum) = framing::split(value).unwrap();
    let mut datum = datum;
    let Avro::Record(fields) = GenericDatumReader::builder(&schema).build().unwrap().read_value(&mut datum).unwrap()
    else {
        panic!("an order is a record")
    };
    let field = |name: &str| fields.iter().find(|(found, _)| found == name).unwrap().1.clone();
    match (field("received_partition"), field("received_offset")) {
        (Avro::Int(partition), Avro::Long(offset)) => (partition, offset),
        other => panic!("{other:?}"),
    }
}

/// `p` asks the table and then a guest that panics on `evil`; `q` is one that never comes back from it.
async fn start(process: &Process) {
    upload(process, "customer-tier.wasm").await;
    for name in ["panic.wasm", "spin.wasm"] {
        let wasm = tokio::task::block_in_place(|| evil(name));
        let post = process.http.post(format!("{}/modules", process.url)).header("content-type", "application/wasm");
        assert_eq!(post.body(wasm).send().await.unwrap().status().as_u16(), 201, "{name}");
    }
    let mut p = tiered("out");
    p["transforms"] = json!("tier,second");
    p["transforms.second.type"] = json!("panic@0.1");
    let mut q = pipeline("copy");
    q["transforms"] = json!("only");
    q["transforms.only.type"] = json!("spin@0.1");
    q["errors.deadletterqueue.topic.name"] = json!("dead2");
    put(process, "p", p).await;
    put(process, "q", q).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_ends_as_it_did_and_is_sent_again_once_the_pipeline_takes_it() {
    let (cluster, aside) = (cluster(), Tasks::new());
    cluster.create_topic(DEAD_LETTER_MARKS, 1, 1).unwrap();
    let (brokers, registry) = (cluster.bootstrap_servers(), registry(&aside).await);
    tiers(&brokers, &[("rich", "gold"), ("bad", "blocked")]);
    let process = Process::named("one", &cluster, &registry).await;
    process.until("/connectors", |status, _| status == 200).await;
    start(&process).await;
    let orders = ["o-2", "o-3", "o-4"].map(|id| order(id, "bad"));
    write(&brokers, "in", &[&[order("o-1", "rich"), order("evil", "rich")][..], &orders].concat());
    let world = World { brokers: brokers.clone(), registry };
    tokio::task::block_in_place(|| {
        let [blocked, replaced, discarded] = ["o-2", "o-3", "o-4"].map(|id| world.letter("dead", id));
        let trapped = world.letter("dead", "evil");
        let late = world.letter("dead2", "evil");

        // The customer is one of the best by now. Then she was not, and that is what a replay shows.
        tiers(&brokers, &[("bad", "gold")]);
        let same = ["customer-tier@1.0.1+sha256:", "orderflow.Rejected", "the customer is blocked", "the same as then"];
        holds(&world.replay(&blocked, &[]), 0, &same);
        let trap = world.replay(&trapped, &[]);
        holds(
            &trap,
            0,
            &["1. customer-tier@", "2. panic@0.1.0+", "orderflow.ModuleTrap", "cannot take", "the same as then"],
        );
        assert_eq!(trap, world.replay(&trapped, &[]), "to the unit of fuel");
        let fuel = ["ran out of time", "it ran out of fuel: 20 times the ", "units that it takes", "the same as then"];
        holds(&world.replay(&late, &[]), 0, &fuel);

        let clean = shipped("clean.wasm");
        let with = ["--with", clean.to_str().unwrap()];
        holds(&world.replay(&trapped, &with), 0, &["2. clean@1.0.1+", "that module takes it"]);
        let panic = Path::new(env!("CARGO_TARGET_TMPDIR")).join("replayed-panic.wasm");
        std::fs::write(&panic, evil("panic.wasm")).unwrap();
        let refused = world.replay(&trapped, &["--with", panic.to_str().unwrap()]);
        holds(&refused, 3, &["that module refuses it, too"]);

        holds(&world.replay(&trapped, &["--send"]), 3, &["orderflow.ModuleTrap", "not sent again: it would come back"]);
        holds(&world.replay(&blocked, &["--now"]), 0, &["p takes it; it goes to out, vip"]);
        let most = world.replay(&blocked, &["--send", "--max-replays", "0"]);
        holds(&most, 1, &["sent again 0 times already", "the limit is 0", "--max-replays"]);
        let sent = world.replay(&blocked, &["--send", "--by", "me"]);
        holds(&sent, 0, &["sent again, as in/", "its version stays "]);

        let (partition, offset, _) = find(&brokers, "in", "o-2");
        let (_, _, value) = find(&brokers, "out", "o-2");
        assert_eq!(received(&value), (partition, offset), "the version is that of the first time");

        // With the record there is the mark by which `connectors dead-letters list` knows it, and it is not sent twice.
        let mark = mark_of(&brokers, &format!("dead in/{partition}/{offset}"));
        let to = mark.to.unwrap();
        assert_eq!((mark.did, &mark.letter, mark.by.as_str()), (Did::Replayed, &blocked, "me"));
        assert_eq!(mark.of, format!("in/{partition}/{offset}"));
        assert!(sent.1.contains(&format!("sent again, as {to}; ")), "{to}: {}", sent.1);
        let end = || from_start(&brokers, "in").fetch_watermarks("in", partition, PATIENCE).unwrap().1;
        let before = end();
        let twice = format!("not sent again: it was sent again already, as {to}, ");
        holds(&world.replay(&blocked, &["--send"]), 1, &[&twice, " by me"]);
        assert_eq!(end(), before);

        write(&brokers, "in", &[order("o-3", "rich")]);
        let later = ["the order was received again since, at in/", "connectors dead-letters discard"];
        holds(&world.replay(&replaced, &["--send"]), 1, &later);

        // As `connectors dead-letters discard` does, of an order that was left alone since.
        let (partition, offset, _) = find(&brokers, "in", "o-4");
        let of = format!("in/{partition}/{offset}");
        let (because, by) = (Some("a \u{1b}[2Jtest".to_owned()), "ann".to_owned());
        let mark =
            Mark { did: Did::Discarded, letter: discarded.clone(), of: of.clone(), at_ms: 0, by, because, to: None };
        write(&brokers, DEAD_LETTER_MARKS, &[(format!("dead {of}"), serde_json::to_vec(&mark).unwrap())]);
        let words = ["not sent again: it was discarded 1970-01-01T00:00:00Z by ann: a \u{fffd}[2Jtest"];
        holds(&world.replay(&discarded, &["--send"]), 1, &words);

        let (code, words) = world.replay("in/0/9999", &[]);
        assert!(code == 1 && words.contains("partition 0 of in has the offsets 0 to"), "{words}");
        let (partition, offset, _) = find(&brokers, "in", "o-1");
        let none = world.replay(&format!("in/{partition}/{offset}"), &[]);
        holds(&none, 1, &["is no dead letter of transforms", "__connect.errors.topic"]);
    });
    process.tasks.drain(PATIENCE).await;
    aside.drain(PATIENCE).await;
}
