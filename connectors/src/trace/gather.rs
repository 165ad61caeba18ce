//! Asks everyone about one order, in an order that keeps the verdict honest: positions first, then the topics, then the
//! stores. What a position says was read is then already to be found, if it is anywhere.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context as _, bail};
use schemas::OrderId;
use schemas::fields::{self, Field};
use schemas::names::{headers, topics};
use schemas::partition;
use serde_json::Value;
use service_kit::kafka::Brokers;

use super::facts::{Changed, Delivery, Dropped, Ends, Facts, Held, Output, Parked, Post, Reader, Store, Version};
use super::{Asked, Options, Sources, steps};
use crate::connect::{self, FAILED, Settings, Status};
use crate::dead_letters::letter::Letter;
use crate::dead_letters::marks::{self, Marks};
use crate::decode::{self, Decoder};
use crate::kafka::KafkaError;
use crate::kafka::lag;
use crate::kafka::record::{Address, Record};
use crate::kafka::scan::{Bounds, Found, Scanner};
use crate::names::{CAMEL_CLASS, JDBC_CLASS, STAGES, sink_group};
use crate::serve::probes::{Need, needs};
use crate::status::{self, Found as Connectors};

/// The house's pipeline, where `transforms` cannot be asked.
const PIPELINE: &str = "orders-transforms";

/// The records of one order, by topic, and what was done with its dead letters.
pub(super) struct Scanned {
    found: BTreeMap<String, Found>,
    marks: Marks,
    committed: BTreeMap<String, BTreeMap<String, i64>>,
    /// Topics that only the pipeline's settings name and that we may not read, each with the reason.
    refused: Vec<String>,
}

/// A connector that was heard of, or is known to be deployed.
#[derive(Debug, Clone)]
pub(super) struct Known {
    reader: Reader,
    group: String,
    topics: Vec<String>,
    settings: Settings,
}

/// Everything about the order.
///
/// # Errors
/// Where Kafka cannot be asked, or no record lies at the address.
pub async fn gather(sources: &Sources, options: &Options) -> anyhow::Result<(Facts, Vec<Store>)> {
    let until = Instant::now() + options.time_limit;
    let (sinks, pipelines, healing) = tokio::join!(
        status::limited("Kafka Connect", status::sinks(&sources.connect)),
        status::limited("transforms", status::pipelines(&sources.transforms)),
        status::healing(&sources.supervisor),
    );
    let mut facts = Facts::default();
    let sinks = sinks_of(sinks, &healing, &mut facts);
    let pipeline = pipeline_of(pipelines, &mut facts);
    let (order_id, asked) = subject(sources, options).await?;
    facts.order_id = order_id.to_string();
    let groups = sinks.iter().chain([&pipeline]).map(|known| (known.group.clone(), known.topics.clone())).collect();
    let bounds = Bounds { records: options.records, until, since_ms: options.since };
    let (kafka, key) = (sources.kafka.clone(), facts.order_id.clone());
    let topics = searched(&sinks, &facts.ends);
    let scan = tokio::task::spawn_blocking(move || scan(&kafka, key.as_bytes(), &topics, groups, bounds));
    let scanned = scan.await.context("the search broke")??;
    let mut decoder = Decoder::new(sources.registry.clone());
    let records = || scanned.found.values().flat_map(|found| &found.records);
    let values = records().map(|record| record.value.as_deref());
    decoder.learn(values).await;
    fill(&mut facts, &scanned, &sinks, &decoder);
    facts.asked = asked.and_then(|at| version_at(&at, &facts, records(), &decoder));
    facts.pipeline = with_positions(pipeline, &scanned);
    let is_default = |field: &str, json: &str| decoder.is_default(field, json);
    steps::fill(&sources.transforms, &facts.pipeline.name, &mut facts.deliveries, is_default).await;
    let mut stores = Vec::new();
    for known in sinks {
        stores.push(store(sources, known, &scanned, &order_id).await);
    }
    Ok((facts, stores))
}

/// The order's id, and the address that was asked for.
async fn subject(sources: &Sources, options: &Options) -> anyhow::Result<(OrderId, Option<Address>)> {
    let at = match &options.asked {
        Asked::Order(id) => return Ok((id.clone(), None)),
        Asked::Record(at) => at.clone(),
    };
    let (kafka, address) = (sources.kafka.clone(), at.clone());
    let one = tokio::task::spawn_blocking(move || Scanner::new(&kafka)?.one(&address));
    let Some(record) = one.await.context("the search broke")?? else {
        bail!("no committed record lies at {at}; an aborted one is never shown");
    };
    let key = record.key.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    let id = key.parse::<OrderId>().with_context(|| format!("the key of {at} is no order's id"))?;
    Ok((id, Some(at)))
}

fn sinks_of(answer: Result<Connectors, String>, healing: &Value, facts: &mut Facts) -> Vec<Known> {
    let listed = match answer {
        Ok(listed) => listed,
        Err(reason) => {
            facts.unreachable.push(reason);
            // What is deployed is not known; where the house's sinks stand is.
            return STAGES.iter().map(|stage| absent(stage.sink)).collect();
        }
    };
    let sinks = listed.into_iter().filter(|(_, settings)| reads(settings, topics::ORDER_PLACED));
    sinks.map(|(status, settings)| heard(status, settings, sink_group, healing)).collect()
}

fn absent(sink: &str) -> Known {
    let stage = STAGES.iter().find(|stage| stage.sink == sink);
    let class =
        if stage.is_some_and(|stage| stage.letters == topics::POSTGRES_DEAD_LETTER) { JDBC_CLASS } else { CAMEL_CLASS };
    let url = format!("elasticsearch:orderflow?indexName={}", topics::ORDER_PLACED);
    let settings = [("connector.class", class), ("camel.sink.url", &url)];
    let topics = [topics::ORDER_PLACED].into_iter().chain(stage.map(|stage| stage.retry));
    Known {
        reader: Reader { name: sink.to_owned(), state: "unknown".to_owned(), ..Reader::default() },
        group: sink_group(sink),
        topics: topics.map(str::to_owned).collect(),
        settings: settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
    }
}

fn pipeline_of(answer: Result<Connectors, String>, facts: &mut Facts) -> Known {
    let listed = answer.unwrap_or_else(|reason| {
        facts.unreachable.push(reason);
        Vec::new()
    });
    let found = listed.into_iter().find(|(_, settings)| {
        reads(settings, topics::ORDERS_RECEIVED)
            && settings.get("output.topic").is_some_and(|output| output == topics::ORDER_PLACED)
    });
    facts.ends = match &found {
        Some((_, settings)) => Ends::of(settings),
        None => Ends { unheard: true, ..Ends::default() },
    };
    match found {
        Some((status, settings)) => heard(status, settings, str::to_owned, &Value::Null),
        None => Known {
            reader: Reader { name: PIPELINE.to_owned(), state: "unknown".to_owned(), ..Reader::default() },
            group: PIPELINE.to_owned(),
            topics: vec![topics::ORDERS_RECEIVED.to_owned()],
            settings: Settings::new(),
        },
    }
}

fn heard(status: Status, settings: Settings, group: impl Fn(&str) -> String, healing: &Value) -> Known {
    let told = healing.get("connectors").and_then(|connectors| connectors.get(&status.name));
    let reader = Reader {
        state: status.connector.state.clone(),
        failed_tasks: status.tasks.iter().filter(|task| task.state == FAILED).map(|task| task.id).collect(),
        failure: status.failure().or_else(|| status.connector.trace.clone()),
        since_seconds: told.and_then(|told| told.get("sinceSeconds")?.as_u64()),
        healing: told.and_then(|told| told.get("healing")?.as_str()).map(str::to_owned),
        name: status.name,
        committed: BTreeMap::new(),
    };
    Known { group: group(&reader.name), topics: connect::topics(&settings), reader, settings }
}

fn reads(settings: &Settings, topic: &str) -> bool {
    connect::topics(settings).iter().any(|name| name == topic)
}

/// A topic in which the order may lie.
struct Searched {
    topic: String,
    /// Only the pipeline's settings name it: without it the rest is still told.
    is_own: bool,
}

/// All of them, `order_placed` before what is sent again.
fn searched(sinks: &[Known], ends: &Ends) -> Vec<Searched> {
    let house = [topics::ORDERS_RECEIVED, topics::ORDERS_DEAD_LETTER, topics::ORDERS_DROPPED, topics::ORDER_PLACED];
    let house = house.into_iter().chain(STAGES.iter().map(|stage| stage.letters));
    let house = house.map(str::to_owned).chain(sinks.iter().flat_map(|known| known.topics.iter().cloned()));
    let own = ends.all().cloned().map(|topic| (topic, true));
    let mut all: Vec<Searched> = Vec::new();
    for (topic, is_own) in house.map(|topic| (topic, false)).chain(own) {
        if !all.iter().any(|known| known.topic == topic) {
            all.push(Searched { topic, is_own });
        }
    }
    all
}

fn scan(
    kafka: &Brokers,
    key: &[u8],
    topics: &[Searched],
    groups: Vec<(String, Vec<String>)>,
    bounds: Bounds,
) -> Result<Scanned, KafkaError> {
    let scanner = Scanner::new(kafka)?;
    let (mut partitions, mut refused) = (BTreeMap::new(), Vec::new());
    for Searched { topic, is_own } in topics {
        match scanner.partitions(topic) {
            Ok(count) => partitions.extend(partition::of(key, count).map(|partition| (topic.clone(), partition))),
            Err(err @ KafkaError::Topic { .. }) if *is_own => refused.push(format!("Kafka: {err}")),
            Err(err) => return Err(err),
        }
    }
    let mut committed = BTreeMap::new();
    for (group, topics) in groups {
        let there: Vec<String> = topics.into_iter().filter(|topic| partitions.contains_key(topic)).collect();
        let places = lag::Reader::new(kafka, &group)?.places(&there)?;
        let mine = places.into_iter().filter(|place| partitions.get(&place.spot.0) == Some(&place.spot.1));
        committed.insert(group, mine.map(|place| (place.spot.0, place.committed)).collect());
    }
    let mut found = BTreeMap::new();
    for Searched { topic, .. } in topics {
        if let Some(partition) = partitions.get(topic) {
            let seen =
                scanner.find(topic, *partition, bounds, |message| rdkafka::Message::key(message) == Some(key))?;
            found.insert(topic.clone(), seen);
        }
    }
    Ok(Scanned { found, marks: marks::read(&scanner, bounds.until)?, committed, refused })
}

fn with_positions(known: Known, scanned: &Scanned) -> Reader {
    let committed = scanned.committed.get(&known.group).cloned().unwrap_or_default();
    Reader { committed, ..known.reader }
}

fn fill(facts: &mut Facts, scanned: &Scanned, sinks: &[Known], decoder: &Decoder) {
    for (topic, found) in scanned.found.iter().filter(|(_, found)| !found.is_whole()) {
        let from = found.oldest_ms.and_then(fields::rfc3339).map_or_else(String::new, |time| format!(" ({time})"));
        facts.unsearched.insert(topic.clone(), format!("back to offset {}{from}", found.from));
    }
    facts.unreachable.extend(scanned.refused.iter().cloned());
    facts.ends.unheard |= !scanned.refused.is_empty();
    let records = |topic: &str| scanned.found.get(topic).map(|found| found.records.as_slice()).unwrap_or_default();
    facts.posts = records(topics::ORDERS_RECEIVED).iter().map(post).collect();
    facts.drops = facts.ends.dropped.iter().flat_map(|topic| records(topic)).filter_map(dropped).collect();
    let mut letters: Vec<&str> = facts.ends.letters.iter().map(String::as_str).collect();
    letters.extend(
        STAGES.iter().map(|stage| stage.letters).filter(|topic| !facts.ends.letters.iter().any(|own| own == topic)),
    );
    let letters = letters.into_iter().flat_map(records);
    facts.letters = letters.filter_map(|record| parked(record, &scanned.marks)).collect();
    let mut read: Vec<&str> = vec![topics::ORDER_PLACED];
    for topic in sinks.iter().flat_map(|known| &known.topics) {
        if !read.contains(&topic.as_str()) {
            read.push(topic);
        }
    }
    let posts = records(topics::ORDERS_RECEIVED);
    let others = facts.ends.outputs.iter().filter(|topic| !read.contains(&topic.as_str()));
    facts.outputs = others.flat_map(|topic| records(topic)).map(|record| output(record, decoder)).collect();
    for record in read.into_iter().flat_map(records) {
        facts.deliveries.push(delivery(record, posts, decoder));
    }
}

fn post(record: &Record) -> Post {
    Post {
        at: record.at.clone(),
        version: record.received().into(),
        time: record.timestamp_ms.and_then(fields::rfc3339),
        request_id: request_id(record),
        replays: record.header(headers::REPLAYS).and_then(|count| count.parse().ok()).unwrap_or(0),
    }
}

fn request_id(record: &Record) -> Option<String> {
    record.header(headers::REQUEST_ID).map(decode::plain)
}

fn output(record: &Record, decoder: &Decoder) -> Output {
    let fields = decoder.fields(record.value.as_deref());
    let version = fields.ok().and_then(|fields| decode::version(&fields)).map(Version::from);
    Output { at: record.at.clone(), version, request_id: request_id(record) }
}

/// The identity that a dead letter and a marker carry alike.
fn dropped(record: &Record) -> Option<Dropped> {
    let letter = Letter::of(record.clone()).ok()?;
    Some(Dropped { at: letter.at, of: letter.of, module: letter.said.module.unwrap_or_default() })
}

fn parked(record: &Record, marks: &Marks) -> Option<Parked> {
    let letter = Letter::of(record.clone()).ok()?;
    let mark = marks.get(&marks::key(&letter.at.topic, &letter.of)).cloned();
    Some(Parked { at: letter.at, of: letter.of, said: letter.said, mark })
}

fn delivery(record: &Record, posts: &[Record], decoder: &Decoder) -> Delivery {
    let modules = record.header(headers::MODULES).unwrap_or_default().split(',').filter(|module| !module.is_empty());
    let modules = modules.map(decode::plain).collect();
    let at = record.at.clone();
    let after = match decoder.fields(record.value.as_deref()) {
        Ok(after) => after,
        Err(reason) => {
            let (changes, steps) = (Vec::new(), Vec::new());
            return Delivery { at, version: None, modules, changes, steps, unreadable: Some(reason) };
        }
    };
    let version = decode::version(&after).map(Version::from);
    let from = posts.iter().find(|post| Some(Version::from(post.received())) == version);
    let before = from.and_then(|post| decoder.fields(post.value.as_deref()).ok());
    let changes = before.map(|before| changed(&before, &after)).unwrap_or_default();
    Delivery { at, version, modules, changes, steps: Vec::new(), unreadable: None }
}

fn changed(before: &[Field], after: &[Field]) -> Vec<Changed> {
    let text = |field: Option<Field>| field.map(|field| field.read.unwrap_or(field.json));
    let changes = fields::changes(before, after).into_iter();
    changes
        .map(|change| Changed { field: change.path, before: text(change.before), after: text(change.after) })
        .collect()
}

/// Which version the record at an address carries.
fn version_at<'a>(
    at: &Address,
    facts: &Facts,
    mut records: impl Iterator<Item = &'a Record>,
    decoder: &Decoder,
) -> Option<Version> {
    let posted = |at: &Address| facts.posts.iter().find(|post| post.at == *at).map(|post| post.version);
    let delivered = |at: &Address| facts.deliveries.iter().find(|delivery| delivery.at == *at)?.version;
    let record = records.find(|record| record.at == *at)?;
    let of = Letter::of(record.clone()).ok().map(|letter| letter.of);
    let known = posted(at).or_else(|| delivered(at));
    let known = known.or_else(|| of.and_then(|of| posted(&of).or_else(|| delivered(&of))));
    known.or_else(|| decode::version(&decoder.fields(record.value.as_deref()).ok()?).map(Version::from))
}

async fn store(sources: &Sources, known: Known, scanned: &Scanned, order_id: &OrderId) -> Store {
    let letters = STAGES.iter().find(|stage| stage.sink == known.reader.name).map(|stage| stage.letters.to_owned());
    let setting = |key: &str| known.settings.get(key).map_or("", String::as_str);
    let index = needs(&known.settings).into_iter().find_map(|need| match need {
        Need::Elastic(index) => Some(index),
        Need::Registry | Need::Postgres(_) => None,
    });
    let (place, held) = match (setting("connector.class"), index) {
        (JDBC_CLASS, _) => {
            let table = setting("collection.name.format").replace("${topic}", topics::ORDER_PLACED);
            let table = if table.is_empty() { topics::ORDER_PLACED.to_owned() } else { table };
            let row = sources.postgres.row(&table, order_id).await;
            let row = row.map(|row| row.and_then(|row| serde_json::from_str(&row).ok())).map_err(|err| err.to_string());
            (format!("PostgreSQL table {table}"), held(row))
        }
        (CAMEL_CLASS, Some(index)) => {
            let document = sources.elastic.document(&index, order_id).await.map_err(|err| err.to_string());
            (format!("Elasticsearch index {index}"), held(document))
        }
        (class, _) => (format!("the target of {class}"), Held::Unknown("it cannot be looked into".to_owned())),
    };
    Store { sink: with_positions(known, scanned), place, letters, held }
}

fn held(answer: Result<Option<Value>, String>) -> Held {
    match answer {
        Ok(Some(row)) => {
            let number = |key: &str| row.get(key).and_then(Value::as_i64);
            let partition = number("received_partition").and_then(|partition| i32::try_from(partition).ok());
            let version = partition.zip(number("received_offset")).filter(|(_, offset)| 0 <= *offset);
            Held::Row(version.map(Version::from), row)
        }
        Ok(None) => Held::Nothing,
        Err(reason) => Held::Unknown(reason),
    }
}
