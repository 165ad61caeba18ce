//! Two stores that answer what `verify` asks, and sinks that fill them from the retry topics.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use connectors::elastic::Elastic;
use connectors::kafka::record::Record;
use connectors::kafka::scan::Scanner;
use connectors::postgres::Postgres;
use connectors::verify::stores::{Store, Stores};
use schemas::fields::rfc3339;
use schemas::names::{headers, topics};
use serde_json::{Value, json};

use crate::house::{House, PARTITION, placed_as, postgres};
use crate::stub::Stub;

pub(crate) const MODULES: &str = "clean@1.0.0+sha256:0123456789ab";

/// What lies in both, and what they were asked.
#[derive(Default)]
pub(crate) struct Shelves {
    pub(crate) rows: BTreeMap<String, Value>,
    pub(crate) documents: BTreeMap<String, Value>,
    pub(crate) asked: Vec<String>,
    /// A document whose shard is away.
    pub(crate) away: Option<&'static str>,
    /// What a sink makes of a record's value.
    made: BTreeMap<Vec<u8>, Value>,
}

pub(crate) type Shared = Arc<Mutex<Shelves>>;

pub(crate) struct World {
    pub(crate) house: House,
    pub(crate) shelves: Shared,
    pub(crate) stores: Stores,
    _stub: Stub,
}

impl World {
    pub(crate) async fn new() -> Self {
        let shelves = Shared::default();
        let (rows, documents) = (Arc::clone(&shelves), Arc::clone(&shelves));
        let settings = postgres(move |asked| table(&mut rows.lock().unwrap(), asked)).await;
        let stub = Stub::start(move |line, body| index(&mut documents.lock().unwrap(), line, body)).await;
        let stores = Stores { postgres: Postgres::new(&settings), elastic: Elastic::new(&stub.url()).unwrap() };
        Self { house: House::new().await, shelves, stores, _stub: stub }
    }

    /// Writes an order into the topic; it is not yet in the stores.
    pub(crate) fn place(&self, id: &str, offset: i64, amount: i64, received_at: i64) {
        let value = placed_as(id, offset, amount, received_at);
        self.house.write(topics::ORDER_PLACED, id, &value, &[(headers::MODULES, MODULES)]);
        self.shelves.lock().unwrap().made.insert(value, stored(id, offset, amount, received_at));
    }

    /// The same, and both stores have it.
    pub(crate) fn store(&self, id: &str, offset: i64, amount: i64, received_at: i64) {
        self.place(id, offset, amount, received_at);
        let mut shelves = self.shelves.lock().unwrap();
        let stored = stored(id, offset, amount, received_at);
        shelves.rows.insert(id.to_owned(), stored.clone());
        shelves.documents.insert(id.to_owned(), stored);
    }

    /// Both sinks have read this far.
    pub(crate) fn commit(&self, offset: i64) {
        for store in Store::ALL {
            self.house.commit(&format!("connect-{}", store.stage().sink), topics::ORDER_PLACED, offset);
        }
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Shelves) -> T) -> T {
        change(&mut self.shelves.lock().unwrap())
    }

    /// Orders were looked at in these stores, one by one.
    pub(crate) fn looked(&self, start: &str) -> usize {
        self.change(|shelves| shelves.asked.iter().filter(|asked| asked.contains(start)).count())
    }

    /// Sinks for the retry topics: each record is put into the store as it comes, whatever is there.
    pub(crate) fn sinks(&self, mut before: impl FnMut(Store, &str) + Send + 'static) -> Sinks {
        let (stop, shelves) = (Arc::new(AtomicBool::new(false)), Arc::clone(&self.shelves));
        let (ended, kafka) = (Arc::clone(&stop), self.house.kafka());
        let commit = self.house.committer();
        let thread = std::thread::spawn(move || {
            let scanner = Scanner::new(&kafka).unwrap();
            let mut next = BTreeMap::new();
            while !ended.load(Ordering::SeqCst) {
                for store in Store::ALL {
                    let (retry, next) = (store.stage().retry, next.entry(store).or_insert(0));
                    let end = scanner.watermarks(retry, PARTITION).unwrap().1;
                    let until = Instant::now() + Duration::from_secs(30);
                    let mut records = Vec::new();
                    let each = |message: &rdkafka::message::BorrowedMessage<'_>| {
                        records.push(Record::of(message));
                        ControlFlow::Continue(())
                    };
                    scanner.read(retry, PARTITION, *next..end, until, each).unwrap();
                    let read = *next;
                    for record in records {
                        let id = String::from_utf8(record.key.clone().unwrap()).unwrap();
                        assert_eq!(record.header(headers::MODULES), Some(MODULES));
                        before(store, &id);
                        let mut shelves = shelves.lock().unwrap();
                        let made = shelves.made[&record.value.unwrap()].clone();
                        shelves.of(store).insert(id, made);
                        *next = record.at.offset + 1;
                    }
                    if read < *next {
                        commit(&format!("connect-{}", store.stage().sink), retry, *next);
                    }
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        Sinks { stop, thread: Some(thread) }
    }
}

/// They end with the test.
pub(crate) struct Sinks {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Sinks {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking(), "a sink broke");
    }
}

impl Shelves {
    /// What a sink will make of this value.
    pub(crate) fn make(&mut self, value: &[u8], stored: Value) {
        self.made.insert(value.to_vec(), stored);
    }

    pub(crate) fn of(&mut self, store: Store) -> &mut BTreeMap<String, Value> {
        match store {
            Store::PostgreSql => &mut self.rows,
            Store::Elasticsearch => &mut self.documents,
        }
    }
}

/// What the sinks make of an order; times as the index has them.
pub(crate) fn stored(id: &str, offset: i64, amount: i64, received_at: i64) -> Value {
    json!({
        "order_id": id, "amount": amount as f64 / 100.0, "customer": "Zoë", "items": [], "country": "DE",
        "created_at": 0, "received_at": received_at, "region": "EMEA", "item_count": 0,
        "received_partition": PARTITION, "received_offset": offset, "transformed_by": MODULES,
    })
}

fn table(shelves: &mut Shelves, asked: &str) -> Vec<Vec<String>> {
    shelves.asked.push(format!("table: {asked}"));
    let span = |row: &Value| {
        let at = row["received_at"].as_i64().unwrap();
        let bound = |sign: &str| {
            let text = asked.split(&format!("received_at {sign} 'epoch'::timestamptz + ")).nth(1)?;
            text.split(' ').next()?.parse::<i64>().ok()
        };
        bound(">=").is_none_or(|since| since <= at) && bound("<").is_none_or(|until| at < until)
    };
    let row = |(key, row): (&String, &Value)| {
        let mut row = row.clone();
        for time in ["created_at", "received_at"] {
            row[time] = json!(rfc3339(row[time].as_i64().unwrap()).unwrap());
        }
        vec![key.clone(), row.to_string()]
    };
    if asked.contains("group by") {
        let width = asked.split("* 1000 / ").nth(1).unwrap().split(')').next().unwrap().parse().unwrap();
        let rows: Vec<Value> = shelves.rows.values().filter(|row| span(row)).cloned().collect();
        let sums = sums(&rows, width).into_iter();
        return sums
            .map(|((partition, slice), (count, amount, versions))| {
                let amount = format!("{}.{:02}", amount / 100, amount % 100);
                vec![partition.to_string(), slice.to_string(), count.to_string(), amount, versions.to_string()]
            })
            .collect();
    }
    if asked.contains(" order_id in (") {
        let named = |key: &String| asked.contains(&format!("'{key}'"));
        return shelves.rows.iter().filter(|(key, _)| named(key)).map(row).collect();
    }
    if asked.contains("order by") && !asked.contains("(received_offset, order_id) >") {
        return shelves.rows.iter().filter(|(_, row)| span(row)).map(row).collect();
    }
    Vec::new()
}

fn index(shelves: &mut Shelves, line: &str, body: &[u8]) -> (u16, Value) {
    let asked: Value = serde_json::from_slice(body).unwrap_or_default();
    shelves.asked.push(format!("index: {line} {asked}"));
    let document = |(key, document): (&String, &Value)| json!({ "_id": key, "found": true, "_source": document });
    match line {
        "POST /order_placed/_mget" => {
            let ids = asked["ids"].as_array().unwrap();
            let error =
                json!({ "type": "no_shard_available_action_exception", "reason": "No shard available for [get]" });
            let found = ids.iter().map(|id| match shelves.documents.get_key_value(id.as_str().unwrap()) {
                _ if id.as_str() == shelves.away => json!({ "_index": "order_placed", "_id": id, "error": error }),
                Some(found) => document(found),
                None => json!({ "_id": id, "found": false }),
            });
            (200, json!({ "docs": found.collect::<Vec<_>>() }))
        }
        "POST /order_placed/_search" => {
            let filters = asked["query"]["bool"]["filter"].as_array().unwrap();
            let span = filters.iter().find_map(|filter| filter.pointer("/range/received_at")).unwrap();
            let within = |document: &Value| {
                let at = document["received_at"].as_i64().unwrap();
                span["gte"].as_i64().is_none_or(|since| since <= at)
                    && span["lt"].as_i64().is_none_or(|until| at < until)
            };
            let found: Vec<_> = shelves.documents.iter().filter(|(_, document)| within(document)).collect();
            if asked.get("aggs").is_none() {
                let hits: Vec<Value> = found.into_iter().map(document).collect();
                let hits = if asked.get("search_after").is_some() { Vec::new() } else { hits };
                return (200, json!({ "hits": { "hits": hits } }));
            }
            let width = asked.pointer("/aggs/slices/composite/sources/1/slice/date_histogram/fixed_interval");
            let width: i64 = width.unwrap().as_str().unwrap().trim_end_matches("ms").parse().unwrap();
            let found: Vec<Value> = found.into_iter().map(|(_, document)| document.clone()).collect();
            let buckets: Vec<Value> = sums(&found, width)
                .into_iter()
                .map(|((partition, slice), (count, amount, versions))| {
                    json!({ "key": { "partition": partition, "slice": slice * width }, "doc_count": count,
                        "amount": { "value": amount as f64 / 100.0 }, "versions": { "value": versions as f64 } })
                })
                .collect();
            (200, json!({ "aggregations": { "slices": { "buckets": buckets } } }))
        }
        line => (500, json!({ "error": { "reason": format!("the test did not expect {line}") } })),
    }
}

fn sums(stored: &[Value], width: i64) -> BTreeMap<(i64, i64), (i64, i64, i64)> {
    let mut sums = BTreeMap::new();
    for one in stored {
        let number = |name: &str| one[name].as_i64().unwrap();
        let slot = (number("received_partition"), number("received_at").div_euclid(width));
        let (count, amount, versions) = sums.entry(slot).or_insert((0, 0, 0));
        *count += 1;
        *amount += (one["amount"].as_f64().unwrap() * 100.0).round() as i64;
        *versions += number("received_offset");
    }
    sums
}
