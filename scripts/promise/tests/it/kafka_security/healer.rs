//! `connectors serve` with the rights that it needs: it takes the duty, and makes a record that its sink does not take a
//! dead letter. Kafka is real; Connect is made up, so what Connect's own user may do is not tried here.

use std::collections::BTreeMap;
use std::path::Path;

use promise::read::{Isolation, Kafka, Positions, letters};
use promise::row::Version;
use promise::world::Origin;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use schemas::names::topics;
use serde_json::{Value, json};
use stack::SecuredKafka;
use tokio::runtime::Runtime;

use super::files::Files;
use super::served::Served;
use super::{PATIENCE, grant_as_told};
use crate::faults::{ASK, until_known, wait_for};
use crate::stub;

/// The one sink, and its group.
const SINK: &str = "orders-elasticsearch";
const GROUP: &str = "connect-orders-elasticsearch";
/// The record that it does not take lies first in this partition.
const PARTITION: i32 = 3;
const POISON: &str = "no order";
/// What it fails with: a class and its words.
const FAILURE: &str = "a.B: no";

pub(super) fn acts_with_its_rights(broker: &SecuredKafka, files: &Files, registry: &str, runtime: &Runtime) {
    grant_as_told(broker, "healer");
    plant(&broker.open());
    let (connect, wrong) = (connect(), files.write("wrong-password", "wrong horse"));
    let start = |name: &str, user: &str, password: &Path| {
        Served::healer(name, &broker.sasl_ssl(), &connect, registry, &files.login(user, password))
    };
    let well = start("healer", "healer", &files.password);
    let bad = [
        (start("healer-password", "healer", &wrong), "--kafka-sasl-password-file"),
        (start("healer-rights", "stranger", &files.password), "edge/KAFKA.md"),
    ];
    runtime.block_on(async {
        well.until_ready().await;
        well.until_it_logs(&["\"on duty\""]).await;
        well.until_it_logs(&["trial is over", "\"dead_letters\":1"]).await;
        assert_eq!(well.healing().await["onDuty"], true);
        for (healer, cause) in &bad {
            healer.until_it_logs(&["cannot take part in the group of healers", cause]).await;
            assert_eq!(healer.healing().await["onDuty"], false, "{}", healer.name);
        }
    });
    // Both are of one transaction, whose markers may still be on their way.
    let kafka = Kafka::new(&broker.open());
    let mut found = Vec::new();
    wait_for("the dead letter", PATIENCE, ASK, || {
        let records = || kafka.topic(topics::ELASTICSEARCH_DEAD_LETTER, Isolation::Committed);
        found = letters(until_known("dead letters", records));
        !found.is_empty()
    });
    let [letter] = found.as_slice() else { panic!("one dead letter, not {found:?}") };
    let at = Version { partition: PARTITION, offset: 0 };
    let expected = Origin { topic: topics::ORDER_PLACED.to_owned(), at };
    assert_eq!((letter.origin.as_ref(), letter.reason.as_str()), (Some(&expected), FAILURE), "{letter:?}");
    assert_eq!(letter.value.as_deref(), Some(POISON.as_bytes()), "{letter:?}");
    let sink = Positions::new(&kafka, GROUP, topics::ORDER_PLACED, Isolation::Committed).unwrap();
    assert_eq!(until_known(GROUP, || sink.committed()), BTreeMap::from([(PARTITION, 1)]), "it reads on behind it");
}

fn plant(servers: &str) {
    let producer: ThreadedProducer<_> = ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
    let record = BaseRecord::to(topics::ORDER_PLACED).partition(PARTITION).key("poison").payload(POISON);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();
}

/// A Connect whose sink has failed, and fails again when it is restarted. So does each trial of it. Once a healer has
/// stopped it and lets it run again, it runs.
fn connect() -> String {
    let (mut state, mut task, mut trial_runs) = ("RUNNING", "FAILED", false);
    stub::start(move |asked| {
        let done = (202, json!({}));
        match asked {
            "GET /connectors?expand=status&expand=info" => {
                (200, json!({ (SINK): { "status": status(state, task), "info": { "config": settings() } } }))
            }
            "GET /connectors/orders-elasticsearch/config" => (200, settings()),
            "GET /connectors/orders-elasticsearch/status" => (200, status(state, task)),
            "PUT /connectors/orders-elasticsearch/stop" => {
                state = "STOPPED";
                done
            }
            "PUT /connectors/orders-elasticsearch/resume" => {
                (state, task) = ("RUNNING", "RUNNING");
                done
            }
            // A healer must see it run, or it takes a failure for the one before.
            "GET /connectors/orders-elasticsearch-trial/status" => {
                let task = if std::mem::take(&mut trial_runs) { "RUNNING" } else { "FAILED" };
                (200, status("RUNNING", task))
            }
            asked => {
                trial_runs |= asked.starts_with("POST /connectors/orders-elasticsearch-trial/restart?");
                done
            }
        }
    })
}

fn settings() -> Value {
    json!({
        "connector.class": "org.apache.camel.kafkaconnector.CamelSinkConnector",
        "camel.sink.url": "elasticsearch:o?hostAddresses=e:9200&operation=Index&indexName=order_placed",
        "topics": topics::ORDER_PLACED,
    })
}

fn status(state: &str, task: &str) -> Value {
    let tasks = if state == "STOPPED" {
        json!([])
    } else {
        json!([{ "id": 0, "state": task, "worker_id": "w", "trace": FAILURE }])
    };
    json!({ "name": SINK, "connector": { "state": state, "worker_id": "w" }, "tasks": tasks })
}
