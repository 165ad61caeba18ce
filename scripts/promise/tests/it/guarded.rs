//! The guarded form of the Elasticsearch sink, in the place of the shipped one: its store's faults, what `status` says of
//! them, and an old batch that comes after a newer one.

use promise::read::{Isolation, Kafka, Positions};
use promise::world::{Fate, Store};
use schemas::names::topics;
use serde_json::Value as Json;

use crate::faults::{ASK, BACK, wait_for};
use crate::files::copy;
use crate::house::{House, root, scratch};
use crate::poison::{Plant, write};
use crate::sink::{Sink, connectors};
use crate::targets;

const SINK: &str = "orders-elasticsearch";

/// As a user does it: the example's settings under the shipped name, and `apply`.
pub(crate) fn put_in_place(house: &House) {
    let files = scratch("guarded-files");
    let _ = std::fs::remove_dir_all(&files);
    copy(&files);
    let example = std::fs::read_to_string(root().join(format!("connectors/examples/{SINK}-guarded.json"))).unwrap();
    let mut file: Json = serde_json::from_str(&example).unwrap();
    file["name"] = SINK.into();
    std::fs::write(files.join(format!("{SINK}.json")), file.to_string()).unwrap();
    apply(house, files.to_str().unwrap());
    let address = Sink { house, name: SINK }.config()["camel.sink.url"].clone();
    assert!(address.as_str().unwrap().contains("version_type=external_gte"), "{address}");
}

fn apply(house: &House, files: &str) {
    let applied = connectors(house, &["apply", "--files", files]);
    assert_eq!(applied.code, 0, "{}{}", applied.out, applied.err);
}

/// Every fault that Elasticsearch can do to it; then the shipped one is back.
pub(crate) fn in_turn(house: &mut House) {
    put_in_place(house);
    an_old_batch_comes_late(house);
    targets::of_elasticsearch(house);
    apply(house, root().join("connectors").to_str().unwrap());
}

/// What a worker that wakes up with an old batch writes is refused by the index, and costs nothing but the request.
fn an_old_batch_comes_late(house: &mut House) {
    for amount in ["1.50", "2.50"] {
        house.post("guarded-1", &format!(r#"{{"orderId":"guarded-1","amount":{amount},"customer":"a late batch"}}"#));
    }
    house.expect_all_zero();
    let kafka = Kafka::new(&house.places.kafka);
    let placed = kafka.topic(topics::ORDER_PLACED, Isolation::Committed).unwrap();
    // Of one key all are in one partition, the first POST's first.
    let old = placed.into_iter().find(|record| record.key.as_deref() == Some(b"guarded-1")).unwrap();
    let fate = Fate::DeadLetter(String::new());
    let late = Plant { key: old.key, value: old.value, headers: Vec::new(), fate };
    let (group, _) = targets::positions(house, Store::Elasticsearch);
    let again = Positions::new(&kafka, group, topics::ELASTICSEARCH_RETRY, Isolation::Committed).unwrap();
    let before = targets::committed(&again);
    write(house, topics::ELASTICSEARCH_RETRY, &[late]);
    wait_for("the old batch to be taken", BACK, ASK, || before < targets::committed(&again));
    house.expect_all_zero();
    println!("a record written after its newer one: taken, and the index kept the newer one");
}
