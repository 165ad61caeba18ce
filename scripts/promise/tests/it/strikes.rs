//! kill -9 in the thick of it, and the proof that it was: what is to be hit is frozen (SIGSTOP) or kept waiting, looked
//! at, and killed as it is. No kill is tried twice, and none hits nothing.

use std::collections::HashSet;
use std::process::Command;
use std::time::Duration;

use promise::ledger;
use promise::load::now_ms;
use promise::read::{Decoder, Elasticsearch, Isolation, Kafka, Offsets, Positions, Postgres, SINK_GROUPS};
use promise::row::{Row, Version};
use promise::world::Store;
use schemas::names::topics;
use stack::Service;

use crate::faults::{GLANCE, LOOK, Load, until_known, wait_for};
use crate::house::House;

/// How long the right moment may be waited for.
const MOMENT: Duration = Duration::from_secs(60);
/// Longer than a request that is on its way to the broker, or a poll of a sink, may take.
const ON_ITS_WAY: Duration = Duration::from_millis(150);
/// In this time a sink that reads what is not committed would have stored it.
const SINK_TURN: Duration = Duration::from_millis(1_500);

/// A kill.
pub(crate) struct Blow {
    /// The moment of it.
    pub(crate) from_ms: i64,
    /// Shows what was hit, in words, once the service is back; fails where it was nothing.
    pub(crate) proof: Box<dyn Fn(&House) -> String>,
}

/// Processes that are stopped for as long as this value lives.
pub(crate) struct Frozen(Vec<u32>);

impl Frozen {
    pub(crate) fn new(house: &House, service: Service) -> Self {
        Self::process(house.stack.pid(service).unwrap())
    }

    /// A process that is none of the stack's.
    pub(crate) fn process(pid: u32) -> Self {
        assert!(signal(pid, "STOP"), "cannot stop pid {pid}");
        Self(vec![pid])
    }

    /// With its children, which serve its sessions. It is stopped first, so that no more of them come.
    pub(crate) fn whole(house: &House, service: Service) -> Self {
        let mut frozen = Self::new(house, service);
        let mut children = Command::new("pgrep");
        children.arg("-P").arg(house.stack.pid(service).unwrap().to_string());
        let listed = String::from_utf8(children.output().unwrap().stdout).unwrap();
        // One that has just ended cannot be stopped.
        frozen.0.extend(listed.lines().map(|pid| pid.parse::<u32>().unwrap()).filter(|pid| signal(*pid, "STOP")));
        frozen
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // One may have been killed.
        for pid in &self.0 {
            signal(*pid, "CONT");
        }
    }
}

pub(crate) fn signal(pid: u32, name: &str) -> bool {
    let mut kill = Command::new("kill");
    kill.arg(format!("-{name}")).arg(pid.to_string()).stderr(std::process::Stdio::null());
    kill.status().is_ok_and(|status| status.success())
}

/// Kills `victim` while it has something in hand.
pub(crate) fn strike(house: &House, victim: Service, load: &Load) -> Blow {
    match victim {
        Service::Edge => edge(house, load),
        Service::Transforms => transforms(house),
        Service::Connect => sinks(house, victim, &[Store::Postgres, Store::Elasticsearch]),
        Service::Postgres => sinks(house, victim, &[Store::Postgres]),
        Service::Elasticsearch => sinks(house, victim, &[Store::Elasticsearch]),
        Service::Kafka | Service::Registry | Service::Connectors => in_flight(house, victim, load),
    }
}

fn kill(house: &House, victim: Service) -> i64 {
    let from_ms = now_ms();
    house.stack.kill(victim).unwrap();
    from_ms
}

/// Requests that wait at once, in a tenth of a second of this load.
fn crowd(load: &Load) -> usize {
    (load.rate as usize / 10).max(2)
}

/// The edge has orders in hand, since its broker is frozen; their clients must lose their connection.
fn edge(house: &House, load: &Load) -> Blow {
    let broker = Frozen::new(house, Service::Kafka);
    let crowd = crowd(load);
    wait_for("orders that wait in the edge", MOMENT, GLANCE, || load.gauge.in_flight() >= crowd);
    let from_ms = kill(house, Service::Edge);
    drop(broker);
    let proof = move |house: &House| {
        let entries = ledger::read(&house.ledger_path).unwrap();
        let in_hand =
            entries.iter().filter(|entry| entry.sent_ms < from_ms && entry.done_ms.is_none_or(|at| at >= from_ms));
        let cut = in_hand.filter(|entry| entry.answer.note == "connection lost").count();
        assert!(cut >= crowd / 2, "only {cut} requests were cut off");
        format!("{cut} requests were under way and lost their connection")
    };
    Blow { from_ms, proof: Box::new(proof) }
}

/// For the broker, the orders that wait for it are frozen with it. The registry is asked for nothing by a running path:
/// requests go on while it is away.
fn in_flight(house: &House, victim: Service, load: &Load) -> Blow {
    let crowd = if victim == Service::Kafka { crowd(load) } else { 1 };
    let frozen = (victim == Service::Kafka).then(|| Frozen::new(house, victim));
    wait_for("requests under way", MOMENT, GLANCE, || load.gauge.in_flight() >= crowd);
    let under_way = load.gauge.in_flight();
    let from_ms = kill(house, victim);
    drop(frozen);
    Blow { from_ms, proof: Box::new(move |_| format!("{under_way} requests were under way")) }
}

/// A frozen sink commits nothing: what lies behind its offsets now is what it had not finished.
fn sinks(house: &House, victim: Service, stores: &[Store]) -> Blow {
    let kafka = Kafka::new(&house.places.kafka);
    let groups = SINK_GROUPS.into_iter().filter(|(store, _)| stores.contains(store));
    let sinks: Vec<Positions> = groups
        .map(|(_, group)| Positions::new(&kafka, group, topics::ORDER_PLACED, Isolation::Committed).unwrap())
        .collect();
    let mut behind = Vec::new();
    let mut frozen = None;
    wait_for("sinks that lag", MOMENT, LOOK, || {
        drop(frozen.take());
        frozen = Some(Frozen::new(house, Service::Connect));
        std::thread::sleep(ON_ITS_WAY);
        behind = sinks.iter().map(|sink| until_known(sink.group(), || sink.lag(usize::MAX))).collect();
        behind.iter().all(|records| *records > 0)
    });
    let from_ms = kill(house, victim);
    drop(frozen);
    Blow { from_ms, proof: Box::new(move |_| format!("its sinks were {behind:?} records behind")) }
}

/// Killed with records written and not decided. While it is frozen no store may have them; afterwards they are aborted.
fn transforms(house: &House) -> Blow {
    let torn = Torn::new(house);
    let open = torn.expect_unread(house);
    let Torn { frozen, from, to } = torn;
    let from_ms = kill(house, Service::Transforms);
    drop(frozen);
    let proof = move |house: &House| {
        let aborted = aborted(house, &from, &to);
        assert!(aborted > 0, "{open} records were open, and none of them was aborted");
        format!("a transaction was open: no store had its {open} records, and {aborted} were aborted")
    };
    Blow { from_ms, proof: Box::new(proof) }
}

/// The transforms, stopped as by a debugger with records written and not decided.
pub(crate) struct Torn {
    pub(crate) frozen: Frozen,
    /// The ends of the output, as far as it is decided and as far as it is written.
    pub(crate) from: Offsets,
    pub(crate) to: Offsets,
}

impl Torn {
    pub(crate) fn new(house: &House) -> Self {
        let kafka = Kafka::new(&house.places.kafka);
        let output = |isolation| Positions::new(&kafka, "promise-checker", topics::ORDER_PLACED, isolation).unwrap();
        let (decided, written) = (output(Isolation::Committed), output(Isolation::Uncommitted));
        let (mut from, mut to) = (Offsets::new(), Offsets::new());
        let mut frozen = None;
        wait_for("an open transaction", MOMENT, Duration::from_millis(37), || {
            drop(frozen.take());
            frozen = Some(Frozen::new(house, Service::Transforms));
            (from, to) = (decided.ends().unwrap(), written.ends().unwrap());
            if from == to {
                return false;
            }
            // The word to commit it may have been on its way already.
            std::thread::sleep(ON_ITS_WAY);
            decided.ends().unwrap() == from
        });
        Self { frozen: frozen.unwrap(), from, to }
    }

    /// That no store has any of these records, while nobody has decided them; how many they are.
    pub(crate) fn expect_unread(&self, house: &House) -> usize {
        let (open, seen) = stored_of_open(house, &self.from, &self.to);
        assert_eq!(seen, Vec::<String>::new());
        open
    }
}

/// What the stores have of an open transaction, a sink's turn later: nothing, if all is well. And how many records it has.
/// What another process has committed meanwhile was open no more.
pub(crate) fn stored_of_open(house: &House, from: &Offsets, to: &Offsets) -> (usize, Vec<String>) {
    let kafka = Kafka::new(&house.places.kafka);
    let open = kafka.between(topics::ORDER_PLACED, from, to, Isolation::Uncommitted).unwrap();
    std::thread::sleep(SINK_TURN);
    let mut decoder = Decoder::new(&house.places.registry).unwrap();
    let mut seen = Vec::new();
    house.runtime.block_on(async {
        decoder.learn(open.iter()).await.unwrap();
        let postgres = Postgres::connect(&house.places.postgres).await.unwrap();
        let elasticsearch = Elasticsearch::new(&house.places.elasticsearch).unwrap();
        for record in &open {
            let row = decoder.row(record).unwrap();
            let (id, version) = (row.id().unwrap(), row.version().unwrap());
            if !postgres.by_receipt(version.partition, version.offset).await.unwrap().is_empty() {
                seen.push((version, format!("PostgreSQL has {id} at {version} of a transaction that is still open")));
            }
            let document = elasticsearch.document(id).await.unwrap();
            let stored = document.as_ref().map(|document| &document.row).and_then(Row::version);
            if stored == Some(version) {
                seen.push((
                    version,
                    format!("Elasticsearch has {id} at {version} of a transaction that is still open"),
                ));
            }
        }
    });
    if !seen.is_empty() {
        let decided = Positions::new(&kafka, "promise-checker", topics::ORDER_PLACED, Isolation::Committed).unwrap();
        let ends = decided.ends().unwrap();
        let committed = kafka.between(topics::ORDER_PLACED, from, &ends, Isolation::Committed).unwrap();
        house.runtime.block_on(decoder.learn(committed.iter())).unwrap();
        let committed: HashSet<Version> =
            committed.iter().filter_map(|record| decoder.row(record).ok()?.version()).collect();
        seen.retain(|(version, _)| !committed.contains(version));
    }
    (open.len(), seen.into_iter().map(|(_, text)| text).collect())
}

/// Records of `order_placed` between these ends that were produced and never committed.
pub(crate) fn aborted(house: &House, from: &Offsets, to: &Offsets) -> usize {
    aborted_in(house, topics::ORDER_PLACED, from, to)
}

/// The same of any topic.
pub(crate) fn aborted_in(house: &House, topic: &'static str, from: &Offsets, to: &Offsets) -> usize {
    let kafka = Kafka::new(&house.places.kafka);
    let decided = Positions::new(&kafka, "promise-checker", topic, Isolation::Committed).unwrap();
    wait_for("the broker to decide the open transaction", MOMENT, LOOK, || {
        let ends = decided.ends().unwrap();
        to.iter().all(|(partition, end)| ends.get(partition).is_some_and(|decided| decided >= end))
    });
    let count = |isolation| kafka.between(topic, from, to, isolation).unwrap().len();
    count(Isolation::Uncommitted) - count(Isolation::Committed)
}
