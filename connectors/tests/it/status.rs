//! The status as programs read it, and how dead letters are counted, against stubs and librdkafka's mock cluster.

use std::time::Duration;

use connectors::connect::Connect;
use connectors::dead_letters::count::{Bound, Counter, Counts, Open};
use connectors::dead_letters::select::Filter;
use connectors::dead_letters::{self, Deed, Order, Reach, deal};
use connectors::http::{Access, Http};
use connectors::status::{self, Memory, Sources};
use schemas::names::topics;
use schemas::registry::Registry;
use serde_json::{Value, json};

use crate::house::{House, received};
use crate::stub::Stub;

const LETTERS: &str = topics::ORDERS_DEAD_LETTER;
const REACH: Reach = Reach { records: 1_000_000, time_limit: Duration::from_secs(60) };

fn sources(house: &House, rest: &str) -> Sources {
    let rest = || Http::new(rest, Duration::from_secs(5), &Access::default()).unwrap();
    Sources {
        connect: Connect::new(&house.url()).unwrap(),
        connect_rest: rest(),
        transforms: Connect::new(&house.url()).unwrap(),
        transforms_rest: rest(),
        kafka: house.kafka(),
        supervisor: house.url(),
    }
}

fn letter(house: &House, id: &str, of: i64) {
    house.letter(LETTERS, id, &received(id), (topics::ORDERS_RECEIVED, of), &[]);
}

/// Discards the letters of this order.
async fn discard(house: &House, id: &str) {
    let sources = dead_letters::Sources {
        kafka: house.kafka(),
        registry: Registry::new(&house.url()).unwrap(),
        elastic: house.sources().elastic,
        transforms: house.url(),
    };
    let filter = Filter { order: Some(id.to_owned()), ..Filter::default() };
    let order = Order { filter, limit: 100, reach: REACH, yes: true };
    let deed = Deed::Discard { because: "a test order".to_owned(), by: "me".to_owned() };
    deal(&sources, order, deed, |_| {}).await.unwrap();
}

/// What the counter, which blocks, says of [`LETTERS`].
async fn counted(counter: &mut Option<Counter>) -> Open {
    let mut at_work = counter.take().unwrap();
    let work = tokio::task::spawn_blocking(move || {
        let counts: Counts = at_work.count().unwrap();
        (at_work, counts)
    });
    let (back, counts) = work.await.unwrap();
    *counter = Some(back);
    assert_eq!(counts.len(), 3, "each topic is told: {counts:?}");
    counts[LETTERS]
}

fn open(open: u64, at_least: bool) -> Open {
    Open { open, at_least }
}

#[tokio::test]
async fn letters_count_until_they_are_dealt_with_and_a_count_reads_only_what_is_new() {
    let house = House::new().await;
    let bound = Bound { records: 2, kept: 2, time: Duration::from_secs(60), ..Bound::default() };
    let mut counter = Some(Counter::new(&house.kafka(), bound).unwrap());
    assert_eq!(counted(&mut counter).await, open(0, false));
    letter(&house, "o", 0);
    house.write(LETTERS, "x", b"no letter", &[]);
    assert_eq!(counted(&mut counter).await, open(1, false));
    letter(&house, "p", 1);
    // Read anew, two of three records would be all that the bound lets through.
    assert_eq!(counted(&mut counter).await, open(2, false));
    discard(&house, "o").await;
    assert_eq!(counted(&mut counter).await, open(1, false));
    letter(&house, "o", 0);
    assert_eq!(counted(&mut counter).await, open(1, false), "a copy of one that was dealt with");
}

#[tokio::test]
async fn what_was_not_read_makes_the_number_the_least_there_is() {
    let house = House::new().await;
    for of in 0..3 {
        letter(&house, "o", of);
    }
    let first = async |records, time| {
        let bound = Bound { records, time, ..Bound::default() };
        let mut counter = Some(Counter::new(&house.kafka(), bound).unwrap());
        counted(&mut counter).await
    };
    let patient = Duration::from_secs(60);
    assert_eq!(first(3, patient).await, open(3, false));
    assert_eq!(first(2, patient).await, open(2, true), "the newest");
    assert_eq!(first(3, Duration::ZERO).await, open(0, true));
}

#[tokio::test]
async fn marks_that_are_too_many_to_be_remembered_make_no_number() {
    let house = House::new().await;
    for (at, key) in ["o", "p"].into_iter().enumerate() {
        letter(&house, key, at.try_into().unwrap());
        discard(&house, key).await;
    }
    let count = |done| {
        let (kafka, bound) = (house.kafka(), Bound { done, time: Duration::from_secs(60), ..Bound::default() });
        tokio::task::spawn_blocking(move || Counter::new(&kafka, bound).unwrap().count())
    };
    assert_eq!(count(2).await.unwrap().unwrap()[LETTERS], open(0, false));
    let told = count(1).await.unwrap().unwrap_err().to_string();
    assert!(told.starts_with("connectors.dead-letter-marks holds 1 records or more"), "{told}");
}

#[tokio::test]
async fn a_failed_task_letters_and_versions_stand_in_the_report_and_letters_do_not_make_it_ill() {
    let house = House::new().await;
    letter(&house, "o", 0);
    let servers = Stub::start(|line, _| match line {
        "GET /" => (200, json!({"version": "4.2.2"})),
        "GET /connector-plugins" => {
            (200, json!([{"class": connectors::names::JDBC_CLASS, "type": "sink", "version": "3.6.0.Final"}]))
        }
        line => {
            assert_eq!(line, "GET /connectors?expand=status&expand=info");
            (200, json!({}))
        }
    })
    .await;
    let mut memory = Memory::default();
    let report = status::gather_with(&sources(&house, &servers.url()), &mut memory).await;
    assert!(report.ok, "{report:?}");
    let told = serde_json::to_value(&report).unwrap();
    assert_eq!(told["deadLetters"]["topics"][LETTERS], json!({"open": 1, "atLeast": false}));
    assert_eq!(told["deadLetters"]["unknown"], Value::Null);
    assert_eq!(told["versions"]["connect"], "4.2.2");
    assert_eq!(servers.asked("GET /connectors?").len(), 1, "transforms, of its modules; of Connect nothing anew");

    house.held.lock().unwrap().failed = true;
    let report = status::gather_with(&sources(&house, &servers.url()), &mut memory).await;
    let told = serde_json::to_value(&report).unwrap();
    let sinks = told["connectors"].as_array().unwrap();
    let sink = |name: &str| sinks.iter().find(|row| row["name"] == name).unwrap();
    assert_eq!((&told["ok"], &sink("orders-postgres")["version"]), (&json!(false), &json!("3.6.0.Final")));
    let failed = json!({"id": 1, "state": "FAILED", "worker": "w", "failure": "B: no"});
    assert_eq!(sink("orders-postgres")["tasks"][1], failed);
    assert_eq!(sink("orders-elasticsearch")["version"], Value::Null, "its plugin is not listed");
}

#[tokio::test]
async fn letters_in_a_topic_that_only_a_pipeline_names_are_counted() {
    let house = House::new().await;
    house.topic("team.bad");
    house.letter("team.bad", "o", &received("o"), (topics::ORDERS_RECEIVED, 0), &[]);
    house.held.lock().unwrap().pipeline = vec![("errors.deadletterqueue.topic.name", "team.bad")];
    let report = status::gather(&sources(&house, &house.url())).await;
    let told = serde_json::to_value(&report).unwrap();
    assert_eq!(told["deadLetters"]["topics"]["team.bad"], json!({"open": 1, "atLeast": false}), "{told:#}");
    assert!(status::table(&report).contains("dead letters: 1 in team.bad"), "{}", status::table(&report));
}

#[tokio::test]
async fn what_waits_before_a_sink_is_not_known_where_its_topics_are_a_pattern_or_not_there() {
    let house = House::new().await;
    let connect = Stub::start(|line, _| {
        assert_eq!(line, "GET /connectors?expand=status&expand=info");
        let sink = |name: &str, key: &str, topics: &str| {
            let status = crate::stub::status(name, &["RUNNING"]);
            json!({"status": status, "info": {"config": {key: topics}}})
        };
        (
            200,
            json!({
                "named": sink("named", "topics", topics::ORDER_PLACED),
                "nowhere": sink("nowhere", "topics", "order_plcaed"),
                "pattern": sink("pattern", "topics.regex", "order_.*"),
            }),
        )
    })
    .await;
    let sources = Sources { connect: Connect::new(&connect.url()).unwrap(), ..sources(&house, &house.url()) };
    let report = status::gather(&sources).await;
    let lag = |name: &str| report.connectors.iter().find(|row| row.name == name).unwrap().lag;
    assert_eq!(["named", "nowhere", "pattern"].map(lag), [Some(0), None, None]);
    let table = status::table(&report);
    assert!(table.contains("pattern  sink      RUNNING  1/1    ?"), "{table}");
}

#[tokio::test]
async fn without_kafka_the_rest_is_shown_with_the_reason_in_place_of_the_letters() {
    let house = House::new().await;
    let away = Sources { kafka: "127.0.0.1:1".into(), ..sources(&house, &house.url()) };
    let report = status::gather(&away).await;
    let told = serde_json::to_value(&report).unwrap();
    assert_eq!(told["connectors"].as_array().unwrap().len(), 3);
    assert_eq!((&told["deadLetters"]["topics"], &told["deadLetters"]["ageSeconds"]), (&json!({}), &Value::Null));
    assert!(told["deadLetters"]["unknown"].as_str().unwrap().starts_with("Kafka at 127.0.0.1:1: "), "{told:#}");
    assert!(status::table(&report).contains("\ndead letters: not known: Kafka at 127.0.0.1:1: "));
}
