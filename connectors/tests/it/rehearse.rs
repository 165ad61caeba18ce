//! The clean-up of rehearsals against stubs: what is over goes, what still runs and what merely looks similar stays.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use connectors::config;
use connectors::connect::Connect;
use connectors::elastic::Elastic;
use connectors::postgres::Postgres;
use connectors::rehearse::mark::{MARK, Mark, Side};
use connectors::rehearse::traces::{Removed, Traces, Whose};
use schemas::registry::Registry;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::postgres::{message, read};
use crate::stub::{Stub, status};

fn over() -> Mark {
    Mark { expires: 1_764_000_000, id: 1 }
}

fn fresh() -> Mark {
    Mark { id: 2, ..Mark::new(Duration::from_secs(600)) }
}

fn listed(name: &str, mark: Option<&str>) -> Value {
    let config = mark.map_or_else(|| json!({}), |mark| json!({ MARK: mark }));
    json!({ "status": status(name, &["RUNNING"]), "info": { "config": config } })
}

/// Connect has one connector that is over, one that still runs, and one of a user with such a name.
fn connectors(line: &str) -> (u16, Value) {
    let (old, new) = (over().connector(Side::Live), fresh_name());
    let alike = over().connector(Side::Edited);
    match line {
        "GET /connectors?expand=status&expand=info" => (
            200,
            json!({
                old.clone(): listed(&old, Some(&old)),
                new.clone(): listed(&new, Some(&new)),
                alike.clone(): listed(&alike, None),
                "orders-postgres": listed("orders-postgres", None),
            }),
        ),
        line if line == format!("DELETE /connectors/{old}") => (200, json!({})),
        line => (404, json!({ "message": format!("unexpected {line}") })),
    }
}

fn fresh_name() -> String {
    fresh().connector(Side::Live)
}

/// Elasticsearch the same, and an index whose mark says another name.
fn indexes(line: &str) -> (u16, Value) {
    let (old, new, alike) = (over().store(Side::Live), fresh().store(Side::Live), over().store(Side::Edited));
    let with = |mark: &str| json!({ "mappings": { "_meta": { MARK: mark } } });
    match line {
        "GET /orderflow_rehearsal_*/_mapping" => (
            200,
            json!({
                old.clone(): with(&old),
                new.clone(): with(&new),
                alike: { "mappings": { "_meta": { "team": "sales" } } },
                "orderflow_rehearsal_of_mine": with("orderflow_rehearsal_of_mine"),
                "orderflow_rehearsal_1764000000_00000009_live": with(&old),
                "orderflow_rehearsal_empty": {},
            }),
        ),
        line if line == format!("DELETE /{old}") => (200, json!({ "acknowledged": true })),
        line => (404, json!({ "message": format!("unexpected {line}") })),
    }
}

/// A PostgreSQL that lists these tables, and the other statements that it was given.
async fn tables(names: Vec<String>) -> (config::Postgres, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let given = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&given);
    service_kit::Tasks::new().spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            read(&mut stream, 4).await.unwrap();
            stream.write_all(&[message(b'R', &[0; 4]), message(b'Z', b"I")].concat()).await.unwrap();
            while let Some(asked) = read(&mut stream, 5).await {
                let asked = String::from_utf8_lossy(&asked).trim_end_matches('\0').to_owned();
                let mut answer = Vec::new();
                if asked.starts_with("select") {
                    let column = |name: &[u8]| [name, &[0; 19]].concat();
                    answer.extend(message(b'T', &[&[0, 2][..], &column(b"nspname"), &column(b"relname")].concat()));
                    for name in &names {
                        let text = |text: &str| {
                            [&i32::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
                        };
                        answer.extend(message(b'D', &[&[0, 2][..], &text("public"), &text(name)].concat()));
                    }
                } else if !asked.is_empty() {
                    seen.lock().unwrap().push(asked);
                }
                answer.extend([message(b'C', b"SELECT 1\0"), message(b'Z', b"I")].concat());
                stream.write_all(&answer).await.unwrap();
            }
        }
    });
    let (db, user) = ("orders".to_owned(), "orders".to_owned());
    (config::Postgres { host: "127.0.0.1".to_owned(), port, db, user, password: String::new().into() }, given)
}

async fn traces(connect: &Stub, elastic: &Stub, tables: &config::Postgres) -> Traces {
    Traces {
        connect: Connect::new(&connect.url()).unwrap(),
        // Nothing listens there.
        kafka: "127.0.0.1:1".into(),
        postgres: Postgres::new(tables),
        elastic: Elastic::new(&elastic.url()).unwrap(),
        registry: Registry::new("http://127.0.0.1:1").unwrap(),
    }
}

#[tokio::test]
async fn stores_that_are_over_are_removed_and_all_others_stay() {
    let connect = Stub::start(|line, _| panic!("unexpected {line}")).await;
    let elastic = Stub::start(|line, _| indexes(line)).await;
    let old = over().store(Side::Edited);
    let names =
        [old.clone(), fresh().store(Side::Edited), "orders".to_owned(), "orderflow_rehearsal_1_2_live".to_owned()];
    let (postgres, given) = tables(names.to_vec()).await;
    let traces = traces(&connect, &elastic, &postgres).await;
    let mut removed = Removed::default();
    traces.stores(Whose::Over(SystemTime::now()), &BTreeSet::new(), &mut removed).await;
    let gone = BTreeSet::from([format!("table {old}"), format!("index {}", over().store(Side::Live))]);
    assert_eq!(removed, Removed { gone, left: Vec::new() });
    assert_eq!(elastic.asked("DELETE "), [format!("DELETE /{}", over().store(Side::Live))]);
    let given = given.lock().unwrap().clone();
    assert_eq!(given, [format!("set lock_timeout = '10s'; drop table if exists \"public\".\"{old}\"")]);
}

#[tokio::test]
async fn a_store_stays_while_its_connector_may_write() {
    let connect = Stub::start(|line, _| panic!("unexpected {line}")).await;
    let elastic = Stub::start(|line, _| indexes(line)).await;
    let (postgres, given) = tables(vec![over().store(Side::Live)]).await;
    let mut removed = Removed::default();
    let traces = traces(&connect, &elastic, &postgres).await;
    traces.stores(Whose::Over(SystemTime::now()), &BTreeSet::from([over()]), &mut removed).await;
    assert_eq!(removed, Removed::default());
    assert!(elastic.asked("DELETE ").is_empty() && given.lock().unwrap().is_empty());
}

#[tokio::test]
async fn connectors_that_are_over_are_removed_and_stores_wait_for_what_kafka_says_of_their_groups() {
    let connect = Stub::start(|line, _| connectors(line)).await;
    let elastic = Stub::start(|line, _| panic!("unexpected {line}")).await;
    let (postgres, given) = tables(vec![over().store(Side::Live)]).await;
    let traces = traces(&connect, &elastic, &postgres).await;
    let removed = traces.remove(Whose::Over(SystemTime::now()), tokio::time::Instant::now()).await;
    let old = over().connector(Side::Live);
    assert_eq!(removed.gone, BTreeSet::from([format!("connector {old}")]));
    assert!(removed.left.len() == 1 && removed.left[0].starts_with("Kafka: "), "{:?}", removed.left);
    assert_eq!(connect.asked("DELETE "), [format!("DELETE /connectors/{old}")]);
    assert!(given.lock().unwrap().is_empty(), "a table was removed while its connector may write");
}
