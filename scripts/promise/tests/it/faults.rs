//! kill -9 of each process in the thick of an open-loop load; at the end every counter is zero, with nobody touching
//! anything.
//!
//! "In the thick of it" is proven, not hoped: requests were under way, a transaction was open, a store lagged.
//! `PROMISE_ROUNDS` and `PROMISE_RATE` make it longer and harder: see `scripts/faults`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use promise::ledger::{self, Entry};
use promise::load::{self, Gauge, Plan, now_ms};
use promise::read::{Isolation, Kafka, SINK_GROUPS, TRANSFORMS_GROUP};
use promise::settle;
use promise::world::Store;
use schemas::names::topics;
use stack::{Service, State};
use tokio_util::sync::CancellationToken;

use crate::figures::{MARGIN_MS, Outage, outside, under_way};
use crate::house::House;

const VICTIMS: [Service; 7] = [
    Service::Edge,
    Service::Transforms,
    Service::Connect,
    Service::Registry,
    Service::Postgres,
    Service::Elasticsearch,
    Service::Kafka,
];
/// Steady load before each kill.
const STEADY: Duration = Duration::from_secs(4);
/// How long a killed service may take until it is ready, and the path until it moves again.
const BACK: Duration = Duration::from_secs(120);
/// How long the next kill waits for the path to catch up.
const CATCH_UP: Duration = Duration::from_secs(20);
/// How often a kill is tried again when it did not hit what it was meant to hit.
const TRIES: u32 = 6;
/// Share of the orders outside the outages that must be answered 202.
const ANSWERED: f64 = 0.99;

pub(crate) fn each_in_turn(house: &mut House) {
    let setting =
        |name: &str, default: u32| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (rounds, rate) = (setting("PROMISE_ROUNDS", 1), setting("PROMISE_RATE", 300));
    let first = ledger::read(&house.ledger_path).unwrap().len() as u64;
    let posts = house.stream("fault", 77, 10_000_000);
    let (gauge, stop) = (Gauge::default(), CancellationToken::new());
    let plan = Plan::new(&house.stack.endpoints().edge, rate);
    let load = {
        let (ledger, gauge, stop, handle) =
            (Arc::clone(&house.ledger), gauge.clone(), stop.clone(), house.runtime.handle().clone());
        std::thread::spawn(move || handle.block_on(load::run(&plan, posts, ledger, &gauge, &stop)))
    };
    let mut outages = Vec::new();
    for _ in 0..rounds {
        for victim in VICTIMS {
            steady(&gauge, rate);
            strike_until_it_hits(house, victim, &gauge, &mut outages);
            moves_again(house, rate);
        }
    }
    steady(&gauge, rate);
    stop.cancel();
    load.join().unwrap().unwrap();
    let entries: Vec<Entry> =
        ledger::read(&house.ledger_path).unwrap().into_iter().filter(|entry| entry.seq >= first).collect();
    report(&entries, &outages, rate);
    house.expect_all_zero();
    println!("states at the end: {:?}", house.states());
}

/// The load runs on for a while; on a count of requests, not on the clock alone.
fn steady(gauge: &Gauge, rate: u32) {
    let goal = gauge.sent() + rate as usize * STEADY.as_secs() as usize;
    wait_for("the load to go on", Duration::from_secs(60), || gauge.sent() >= goal);
}

fn strike_until_it_hits(house: &House, victim: Service, gauge: &Gauge, outages: &mut Vec<Outage>) {
    for attempt in 1..=TRIES {
        let (hit, evidence, outage) = strike(house, victim, gauge);
        let seconds = (outage.ready_ms - outage.from_ms) as f64 / 1_000.0;
        println!("kill -9 {victim}: {evidence}; ready again after {seconds:.1} s");
        outages.push(outage);
        if hit {
            return;
        }
        println!("kill -9 {victim}: attempt {attempt} did not hit what it was meant to hit, again");
        steady(gauge, 300);
    }
    panic!("{TRIES} kills of {victim} hit nothing");
}

/// One kill in the thick of it; whether it hit, the evidence in words, and the outage.
fn strike(house: &House, victim: Service, gauge: &Gauge) -> (bool, String, Outage) {
    let kafka = Kafka::new(&house.places.kafka);
    let restarts = house.stack.status_of(victim).unwrap().restarts;
    let mut lag = 0;
    match victim {
        Service::Edge | Service::Kafka | Service::Registry => {
            wait_for("requests under way", BACK, || gauge.in_flight() >= 2);
        }
        Service::Connect | Service::Postgres | Service::Elasticsearch => {
            let groups = SINK_GROUPS.iter().filter(|(store, _)| match victim {
                Service::Postgres => *store == Store::Postgres,
                Service::Elasticsearch => *store == Store::Elasticsearch,
                _ => true,
            });
            let groups: Vec<&str> = groups.map(|(_, group)| *group).collect();
            wait_for("a lag", BACK, || {
                lag = groups
                    .iter()
                    .map(|group| kafka.lag(group, topics::ORDER_PLACED).unwrap())
                    .min()
                    .unwrap_or_default();
                lag > 0
            });
        }
        Service::Transforms | Service::Connectors => {}
    }
    let before =
        (victim == Service::Transforms).then(|| kafka.ends(topics::ORDER_PLACED, Isolation::Uncommitted).unwrap());
    let (under_way_before, from_ms) = (gauge.in_flight(), now_ms());
    house.stack.kill(victim).unwrap();
    let after = before.as_ref().map(|_| kafka.ends(topics::ORDER_PLACED, Isolation::Uncommitted).unwrap());
    wait_for(&format!("{victim} to be ready again"), BACK, || {
        let status = house.stack.status_of(victim).unwrap();
        assert_ne!(status.state, State::Failed, "{victim} was given up");
        status.restarts > restarts && status.state == State::Ready
    });
    let outage = Outage { name: victim.to_string(), from_ms, ready_ms: now_ms() };
    let (hit, evidence) = match (victim, before.zip(after)) {
        (_, Some((before, after))) => {
            let aborted = aborted(&kafka, &before, &after);
            (aborted > 0, format!("a transaction was open, {aborted} of its records were aborted"))
        }
        (Service::Edge, None) => {
            let entries = ledger::read(&house.ledger_path).unwrap();
            let in_the_air = under_way(&entries, from_ms);
            let cut = entries
                .iter()
                .filter(|entry| entry.sent_ms <= outage.ready_ms && entry.done_ms.is_some_and(|done| done >= from_ms));
            let cut = cut.filter(|entry| entry.answer.note == "connection lost").count();
            (cut > 0, format!("{in_the_air} requests were under way, {cut} lost their connection"))
        }
        (Service::Kafka | Service::Registry, None) => {
            (under_way_before > 0, format!("{under_way_before} requests were under way"))
        }
        _ => (lag > 0, format!("its sinks were {lag} records behind")),
    };
    (hit, evidence, outage)
}

/// Records of `order_placed` between these ends that were produced and never committed.
fn aborted(kafka: &Kafka, before: &BTreeMap<i32, i64>, after: &BTreeMap<i32, i64>) -> usize {
    wait_for("the broker to decide the open transaction", BACK, || {
        let decided = kafka.ends(topics::ORDER_PLACED, Isolation::Committed).unwrap();
        after.iter().all(|(partition, end)| decided.get(partition).is_some_and(|decided| decided >= end))
    });
    let count = |isolation| kafka.count_between(topics::ORDER_PLACED, before, after, isolation).unwrap();
    count(Isolation::Uncommitted) - count(Isolation::Committed)
}

/// Until every part of the path moves again, with the load going on; and then, for a bounded while, until it has caught
/// up: on a slow machine the last count waits for the rest.
fn moves_again(house: &House, rate: u32) {
    let kafka = Kafka::new(&house.places.kafka);
    let groups = SINK_GROUPS.map(|(_, group)| (group, topics::ORDER_PLACED));
    let groups = groups.into_iter().chain([(TRANSFORMS_GROUP, topics::ORDERS_RECEIVED)]);
    let position = |(group, topic)| kafka.committed(group, topic).map(|offsets| offsets.values().sum::<i64>());
    for group in groups {
        let before = position(group).unwrap();
        wait_for(&format!("{} to move again", group.0), BACK, || position(group).is_ok_and(|now| now > before));
    }
    let (begun, enough) = (Instant::now(), rate as usize * 3);
    let behind = loop {
        let lag = settle::lag(&house.places).unwrap();
        let worst = lag.sinks.iter().map(|(_, lag)| *lag).max().unwrap_or_default().max(lag.transforms);
        if worst < enough || begun.elapsed() > CATCH_UP {
            break worst;
        }
        std::thread::sleep(Duration::from_millis(200));
    };
    println!("  {:.1} s later everything has moved again, {behind} records behind", begun.elapsed().as_secs_f32());
}

fn wait_for(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !done() {
        assert!(Instant::now() < deadline, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn report(entries: &[Entry], outages: &[Outage], rate: u32) {
    let seconds = entries.iter().map(|entry| entry.sent_ms).max().zip(entries.iter().map(|entry| entry.sent_ms).min());
    let seconds = seconds.map_or(0.0, |(last, first)| (last - first) as f64 / 1_000.0);
    println!("{} orders in {seconds:.0} s, open loop at {rate}/s", entries.len());
    assert!(entries.len() as f64 >= seconds * f64::from(rate) * 0.98, "the load was not made at {rate}/s");
    for outage in outages {
        let seconds = (outage.ready_ms - outage.from_ms) as f64 / 1_000.0;
        println!("  outage of {}: {seconds:.1} s, and a margin of {:.1} s", outage.name, MARGIN_MS as f64 / 1_000.0);
    }
    let on_the_way = |outage: &&Outage| ["edge", "kafka"].contains(&outage.name.as_str());
    let all = outside(entries, &outages.iter().collect::<Vec<_>>());
    let needed = outside(entries, &outages.iter().filter(on_the_way).collect::<Vec<_>>());
    for (name, fared) in [("all outages", all), ("the outages of edge and kafka alone", needed)] {
        println!(
            "outside {name}: {} of {} answered 202 ({:.3} %), p50 {} ms, p99 {} ms, max {} ms",
            fared.taken,
            fared.sent,
            fared.share() * 100.0,
            fared.p50_ms,
            fared.p99_ms,
            fared.max_ms
        );
    }
    assert!(
        all.sent > 0 && all.share() >= ANSWERED,
        "only {:.3} % were answered 202 outside the outages",
        all.share() * 100.0
    );
}
