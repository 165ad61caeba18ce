//! Three brokers that keep every record three times, at least two of them before a 202: leaders and coordinators die, one
//! loses its disk, one is cut off until others lead, the controller is away, and one replica in sync is left. Each under
//! load; then all moves again by itself, all replicas are in sync, and at the end every counter is zero.
//!
//! The stack has no Kafka of its own here, and the whole takes minutes: it is no part of `scripts/test`. `PROMISE_HOLD` is
//! how many seconds each is held (5), `PROMISE_RATE` how many orders come in a second (60).

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use promise::ledger::{self, Entry, Outcome};
use promise::load::now_ms;
use promise::read::{Kafka, TRANSFORMS_GROUP, path};
use promise::report::Struck;
use schemas::names::topics;
use serde_json::Value;
use stack::KafkaCluster;

use crate::faults::{ASK, BACK, GLANCE, LOOK, Load, wait_for};
use crate::house::{House, scratch};
use crate::lab::{is_wanted, setting};
use crate::links::moves;
use crate::replicas::Replicas;
use crate::strikes::{Frozen, Torn, aborted};

/// What `PROMISE_STAGE` must be.
pub(crate) const STAGE: &str = "three brokers";

/// Orders a second: four nodes of Kafka share the machine with all else.
const RATE: u32 = 60;
/// Steady load before each, in seconds.
const STEADY: u32 = 2;
/// Longer than the edge keeps an order (5 s).
const GIVEN_UP: u32 = 6;
/// How many tasks the transforms have.
const TASKS: usize = 2;

/// A house on three brokers.
struct Site<'h> {
    house: &'h House,
    cluster: &'h mut KafkaCluster,
    replicas: &'h Replicas,
    load: &'h Load,
    /// In seconds.
    hold: u32,
}

/// What is done, until it is put right; answers in words what it hit.
type Deed = fn(&mut Site<'_>) -> String;

const FAULTS: [(&str, &str, Deed); 6] = [
    ("F36", "a leader is killed", leader_killed),
    ("F37", "the transforms' coordinators are killed, with a transaction open", coordinators_killed),
    ("F38", "a broker loses its disk", disk_lost),
    ("F39", "a leader is cut off, and comes back when others lead", cut_off),
    ("F40", "the controller is killed", controller_killed),
    ("F41", "one replica in sync is left", one_left),
];

/// The whole test: its cluster is nobody else's.
pub(crate) fn on_three_brokers() {
    println!("\n=== {STAGE}");
    let mut cluster = KafkaCluster::start(&scratch("promise-brokers")).unwrap_or_else(|error| panic!("{error}"));
    let mut house = House::start_on(Some(cluster.bootstrap()));
    in_turn(&mut house, &mut cluster);
    house.lab.expect_all_wanted();
    house.down_leaves_nothing();
}

fn in_turn(house: &mut House, cluster: &mut KafkaCluster) {
    let replicas = Replicas::of(&cluster.bootstrap());
    let (partitions, least, _) = replicas.fewest();
    assert_eq!(least, KafkaCluster::BROKERS.len(), "a topic of {partitions} partitions in all is kept fewer times");
    wait_for_durability(house, 3);
    println!("{partitions} partitions, each on {least} brokers; {}", durability(house)["meaning"]);
    let load = Load::start(house, "broker", setting("PROMISE_RATE", RATE));
    let path = path(&Kafka::new(&house.places.kafka)).unwrap();
    let hold = setting("PROMISE_HOLD", 5);
    let mut site = Site { house, cluster, replicas: &replicas, load: &load, hold };
    let wanted: Vec<_> = FAULTS.iter().filter(|(id, name, _)| is_wanted(id, name)).collect();
    let all = wanted.len();
    for (nth, (id, name, deed)) in wanted.into_iter().enumerate() {
        load.go_on(STEADY);
        site.house.lab.announce((nth, all), id, name, Some(hold));
        let from_ms = now_ms();
        let said = deed(&mut site);
        let until_ms = now_ms();
        let (refused, doubts) = unanswered(site.house, from_ms);
        let said = format!("{said}; {refused} orders were told no, {doubts} are in doubt");
        println!("{id} {name}: {:.1} s; {said}", seconds(from_ms, until_ms));
        replicas.wait_for_all();
        wait_for_durability(site.house, 3);
        moves(&load, &path);
        site.house.lab.struck(Struck { id, name: (*name).to_owned(), from_ms, until_ms, moved_ms: now_ms(), said });
    }
    load.go_on(STEADY);
    load.end();
    house.expect_all_zero();
}

/// Orders wait for a leader when it dies.
fn leader_killed(site: &mut Site<'_>) -> String {
    let (leader, led) = site.replicas.busiest(topics::ORDERS_RECEIVED);
    let frozen = Frozen::process(site.cluster.pid(leader).unwrap());
    wait_for("orders that wait for it", BACK, GLANCE, || 2 <= site.load.gauge.in_flight());
    let (waiting, from_ms) = (site.load.gauge.in_flight(), now_ms());
    site.cluster.kill(leader).unwrap();
    drop(frozen);
    let others = site.others_lead(leader, from_ms);
    wait_for_durability(site.house, 2);
    site.load.go_on(site.hold);
    site.cluster.start_again(leader).unwrap();
    let first = first_taken(site.house, from_ms, &led);
    format!("broker {leader} led {} partitions, {waiting} orders were under way; {others}, {first}", led.len())
}

/// Of the group, and of each task's transactions; as many brokers as these are.
fn coordinators_killed(site: &mut Site<'_>) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let ids: Vec<String> = (0..TASKS).map(|n| format!("{TRANSFORMS_GROUP}-{}-{n}", host.trim())).collect();
    let mut struck = Vec::new();
    for what in [None].into_iter().chain(ids.iter().map(Some)) {
        let coordinator = match what {
            None => site.replicas.coordinator_of_group(TRANSFORMS_GROUP),
            Some(id) => site.replicas.coordinator_of_transactions(id),
        };
        let what = what.map_or("the group", String::as_str);
        let torn = Torn::new(site.house);
        let open = torn.expect_unread(site.house);
        let Torn { frozen, from, to } = torn;
        site.cluster.kill(coordinator).unwrap();
        drop(frozen);
        site.others_lead(coordinator, now_ms());
        site.load.go_on(site.hold);
        site.cluster.start_again(coordinator).unwrap();
        site.replicas.wait_for_all();
        let aborted = aborted(site.house, &from, &to);
        struck
            .push(format!("{what}: broker {coordinator}, no store had its {open} open records, {aborted} are aborted"));
    }
    struck.join("; ")
}

/// It is there again at once, with nothing: before the others have noticed that it was gone.
fn disk_lost(site: &mut Site<'_>) -> String {
    let (broker, led) = site.replicas.busiest(topics::ORDERS_RECEIVED);
    let from_ms = now_ms();
    site.cluster.kill(broker).unwrap();
    site.cluster.wipe(broker).unwrap();
    site.cluster.start_again(broker).unwrap();
    let started_ms = now_ms();
    site.replicas.wait_for_all();
    let copied = seconds(started_ms, now_ms());
    site.load.go_on(site.hold);
    let first = first_taken(site.house, from_ms, &led);
    format!("broker {broker} led {} partitions; {first}; {copied:.1} s after its start it had all again", led.len())
}

/// Stopped as by a debugger: its connections stay open, and what it has in hand when it wakes up is of an epoch that is
/// over.
fn cut_off(site: &mut Site<'_>) -> String {
    let (leader, led) = site.replicas.busiest(topics::ORDERS_RECEIVED);
    let from_ms = now_ms();
    let frozen = Frozen::process(site.cluster.pid(leader).unwrap());
    let others = site.others_lead(leader, from_ms);
    site.load.go_on(site.hold);
    let before = site.cluster.log(leader).unwrap().len();
    drop(frozen);
    site.load.go_on(1);
    site.replicas.wait_for_all();
    let log = site.cluster.log(leader).unwrap();
    let cut = log[before..].lines().filter(|line| line.contains("Truncating")).count();
    let first = first_taken(site.house, from_ms, &led);
    format!("broker {leader} led {} partitions; {others}, {first}; it cut {cut} logs back when it woke up", led.len())
}

/// Nobody misses it, as long as all others are well.
fn controller_killed(site: &mut Site<'_>) -> String {
    let (sent, taken) = (site.load.gauge.sent(), site.load.gauge.taken());
    site.cluster.kill(KafkaCluster::CONTROLLER).unwrap();
    site.load.go_on(site.hold);
    let (sent, taken) = (site.load.gauge.sent() - sent, site.load.gauge.taken() - taken);
    // Of those that the rules let pass some are still under way.
    assert!(sent < 2 * taken, "only {taken} of {sent} orders were taken, though every leader was there");
    site.cluster.start_again(KafkaCluster::CONTROLLER).unwrap();
    format!("{taken} of {sent} orders were taken without it")
}

/// One is stopped, one is killed. What the last one writes may be lost with it, so nobody is told that it is stored.
fn one_left(site: &mut Site<'_>) -> String {
    let [first, second, _] = KafkaCluster::BROKERS;
    site.cluster.stop(first).unwrap();
    wait_for_durability(site.house, 2);
    site.load.go_on(1);
    site.cluster.kill(second).unwrap();
    let alone_ms = now_ms();
    wait_for_durability(site.house, 1);
    let shrunk_ms = now_ms();
    site.load.go_on(site.hold.max(GIVEN_UP));
    let back_ms = now_ms();
    site.cluster.start_again(first).unwrap();
    let taken = site.load.gauge.taken();
    wait_for("orders to be taken", BACK, LOOK, || taken < site.load.gauge.taken());
    let again = first_taken(site.house, back_ms, &[]);
    site.cluster.start_again(second).unwrap();
    let entries = ledger::read(&site.house.ledger_path).unwrap();
    let promised = answers(&entries, alone_ms, alone_ms..back_ms, |entry| entry.answer.outcome == Outcome::Ok);
    assert!(promised.is_empty(), "promised, with one broker there: {promised:?}");
    let told = answers(&entries, shrunk_ms, shrunk_ms..back_ms, |entry| entry.class != "refused");
    let is_known = |status: &Option<u16>| matches!(status, Some(503 | 504));
    assert!(!told.is_empty() && told.keys().all(is_known), "told, with one replica in sync: {told:?}");
    let told: Vec<String> =
        told.iter().map(|(status, count)| format!("{count} times {}", status.unwrap_or(0))).collect();
    format!(
        "one was there for {:.1} s, and known to be alone for {:.1} s, in which was told {}; once another was started {again}",
        seconds(alone_ms, back_ms),
        seconds(shrunk_ms, back_ms),
        told.join(" and ")
    )
}

/// Orders whose answer since then was that they are not stored, beside those that the rules refuse; and those that nobody
/// knows of. Also of orders that were under way then: they are the first to suffer.
fn unanswered(house: &House, from_ms: i64) -> (usize, usize) {
    let entries = ledger::read(&house.ledger_path).unwrap();
    let told = |such| answers(&entries, i64::MIN, from_ms..i64::MAX, such).values().sum();
    let refused = told(|entry| entry.class != "refused" && entry.answer.outcome == Outcome::Fail);
    (refused, told(|entry| entry.answer.outcome == Outcome::Info))
}

/// How often each status was answered in this time to such orders, of those that were not sent before.
fn answers(
    entries: &[Entry],
    sent_ms: i64,
    answered_ms: Range<i64>,
    such: fn(&Entry) -> bool,
) -> BTreeMap<Option<u16>, usize> {
    let in_time =
        |entry: &&Entry| sent_ms <= entry.sent_ms && entry.done_ms.is_some_and(|at| answered_ms.contains(&at));
    let mut answers = BTreeMap::new();
    for entry in entries.iter().filter(in_time).filter(|entry| such(entry)) {
        *answers.entry(entry.answer.status).or_default() += 1;
    }
    answers
}

impl Site<'_> {
    /// Waits until others lead what this one led.
    fn others_lead(&self, away: i32, from_ms: i64) -> String {
        self.replicas.wait_for_others(topics::ORDERS_RECEIVED, away);
        format!("others led after {:.1} s", seconds(from_ms, now_ms()))
    }
}

/// How long it took until one of these partitions took an order that was sent since; of all, where none is named.
fn first_taken(house: &House, from_ms: i64, partitions: &[i32]) -> String {
    let entries = ledger::read(&house.ledger_path).unwrap();
    let of_them = |entry: &&Entry| {
        let receipt = entry.answer.receipt.filter(|_| from_ms <= entry.sent_ms);
        receipt.is_some_and(|at| partitions.is_empty() || partitions.contains(&at.partition))
    };
    let first = entries.iter().filter(of_them).filter_map(|entry| entry.done_ms).min();
    let first = first.expect("an order that was taken since");
    format!("an order was taken after {:.1} s", seconds(from_ms, first))
}

/// What the edge says that a 202 outlives.
fn durability(house: &House) -> Value {
    let url = format!("{}/readyz?verbose", house.stack.endpoints().edge_admin);
    let body = stack::http::get(&url, Duration::from_secs(3)).map(|told| told.body).unwrap_or_default();
    serde_json::from_str::<Value>(&body).unwrap_or_default()["durability"].take()
}

/// Until the edge says that so many replicas of three are in sync.
fn wait_for_durability(house: &House, in_sync: usize) {
    wait_for(&format!("the edge to say that {in_sync} of 3 replicas are in sync"), BACK, ASK, || {
        let told = durability(house);
        told["replicas"] == 3 && told["inSync"] == in_sync
    });
}

fn seconds(from_ms: i64, until_ms: i64) -> f64 {
    (until_ms - from_ms) as f64 / 1_000.0
}
