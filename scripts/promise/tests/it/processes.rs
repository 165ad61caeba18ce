//! What can happen to processes beside their death (that is `kill -9`): clean restarts, pauses longer than any session and
//! any transaction lasts, second processes that come and go, a healer that is away when it is needed. Each under load; at
//! the end every counter is zero.
//!
//! `PROMISE_HOLD` is how many seconds a pause lasts at least (15), `PROMISE_RATE` how many orders come in a second (120).

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use promise::ledger::{self, Outcome};
use promise::load::now_ms;
use promise::read::{Kafka, Positions, path};
use promise::report::Struck;
use promise::world::Store;
use stack::{Service, State};

use crate::beside::{Aside, Beside};
use crate::clock::Clock;
use crate::faults::{ASK, BACK, LOOK, Load, moves_again, until_known, wait_for};
use crate::house::House;
use crate::lab::{is_asked_for, is_wanted, setting};
use crate::late::old_batch;
use crate::strikes::{Frozen, Torn, aborted};
use crate::targets::{committed, positions};

/// Orders a second.
const RATE: u32 = 120;
/// Steady load before each, in seconds.
const STEADY: u32 = 2;
/// Longer than a session of the transforms (6 s) and than their transactions may stay open (10 s).
const PAUSE: u32 = 15;
/// How long Kafka is paused, in tenths of a second: around the three seconds that the edge waits for an answer to one
/// request, and the four and a half that it gives an order.
const AROUND: RangeInclusive<u64> = 28..=56;
/// From one pause to the next; where pauses are to be long, a fourth of it.
const LONGER_BY: usize = 8;
/// How often Kafka's disk is full at most.
const FULL: u32 = 2;
/// How often a second process comes and goes.
const COMINGS: u32 = 4;

/// Made only where somebody asks for it: a second worker's start, a backlog for it, and its sinks' moves there and back,
/// each after a session of 6 s, take more than a minute. CI has an old batch alone, which the guarded index refuses.
const WITH_TIME: &str = "F17";

/// What is done, until it is put right; answers in words what it hit.
type Deed = fn(&House, &Load, u32) -> String;

const FAULTS: [(&str, &str, Deed); 14] = [
    ("F5", "the edge is restarted", |house, load, _| restart(house, load, Service::Edge)),
    ("F5", "the transforms are restarted", |house, load, _| restart(house, load, Service::Transforms)),
    ("F5", "Connect is restarted", |house, load, _| restart(house, load, Service::Connect)),
    ("F6", "the edge is paused", |house, load, hold| pause(house, load, hold, Service::Edge)),
    ("F6", "the transforms are paused with an open transaction, another process goes on", zombie),
    ("F6", "Connect is paused", |house, load, hold| pause(house, load, hold, Service::Connect)),
    ("F8", "a second transforms process comes and goes", comes_and_goes),
    ("F17", "a second Connect worker is paused with records in hand, and wakes up", old_batch),
    ("F19", "Kafka cannot write any more", no_room),
    ("F20", "the disk of the edge's and the transforms' logs is full", full_log),
    ("F21", "Kafka is paused for about as long as an order has", pauses),
    ("F21", "Kafka is paused at full load", |house, load, hold| pause(house, load, hold, Service::Kafka)),
    ("F22", "the clocks of the edge, the transforms and the healer jump", jumps),
    ("F35", "the healer is killed while a store is away", healer_away),
];

pub(crate) fn in_turn(house: &mut House) {
    let hold = setting("PROMISE_HOLD", PAUSE).max(PAUSE);
    let is_too_long = |id: &str| id == WITH_TIME && !is_asked_for(id);
    let wanted: Vec<_> = FAULTS.iter().filter(|(id, name, _)| is_wanted(id, name) && !is_too_long(id)).collect();
    if wanted.is_empty() {
        return;
    }
    let load = Load::start(house, "process", setting("PROMISE_RATE", RATE));
    let path = path(&Kafka::new(&house.places.kafka)).unwrap();
    let all = wanted.len();
    for (nth, (id, name, deed)) in wanted.into_iter().enumerate() {
        load.go_on(STEADY);
        house.lab.announce((nth, all), id, name, Some(hold));
        let from_ms = now_ms();
        let said = deed(house, &load, hold);
        let until_ms = now_ms();
        println!("{id} {name}: {:.1} s; {said}", (until_ms - from_ms) as f64 / 1_000.0);
        moves_again(&path);
        house.lab.struck(Struck { id, name: (*name).to_owned(), from_ms, until_ms, moved_ms: now_ms(), said });
    }
    load.go_on(STEADY);
    load.end();
    house.expect_all_zero();
}

/// A request that crosses the close of its idle connection on the way is answered by nobody (RFC 9112, 9.5), and its client
/// cannot know. More are a fault of the drain.
const CROSSED: usize = 2;

/// SIGTERM and a start. What the edge has taken in it answers first: nobody else is left in doubt.
fn restart(house: &House, load: &Load, service: Service) -> String {
    let from_ms = now_ms();
    house.stack.restart(service).unwrap();
    house.stack.wait_ready(service, service.start_deadline()).unwrap();
    load.go_on(1);
    let (refused, doubts) = unanswered(house, from_ms);
    let (requests, allowed) = (in_doubt(house, from_ms), if service == Service::Edge { CROSSED } else { 0 });
    assert!(requests <= allowed, "{service} was restarted, and {doubts} orders of {requests} requests are in doubt");
    format!("{refused} orders found nobody or were told no, {doubts} are in doubt")
}

/// Requests sent since then of which nobody knows the end. All orders of a batch are due at one time, and nobody else.
fn in_doubt(house: &House, from_ms: i64) -> usize {
    let entries = ledger::read(&house.ledger_path).unwrap();
    let since = entries.iter().filter(|entry| from_ms <= entry.sent_ms && entry.done_ms.is_some());
    let doubts = since.filter(|entry| entry.answer.outcome == Outcome::Info);
    doubts.map(|entry| entry.intended_ms).collect::<BTreeSet<_>>().len()
}

/// Orders sent since then that are surely not stored, beside those that the rules refuse; and those that nobody knows of.
pub(crate) fn unanswered(house: &House, from_ms: i64) -> (usize, usize) {
    let entries = ledger::read(&house.ledger_path).unwrap();
    let since = entries.iter().filter(|entry| from_ms <= entry.sent_ms && entry.done_ms.is_some());
    let since: Vec<_> = since.collect();
    let refused =
        since.iter().filter(|entry| entry.class != "refused" && entry.answer.outcome == Outcome::Fail).count();
    (refused, since.iter().filter(|entry| entry.answer.outcome == Outcome::Info).count())
}

/// SIGSTOP and SIGCONT.
fn pause(house: &House, load: &Load, hold: u32, service: Service) -> String {
    let from_ms = now_ms();
    let frozen = Frozen::whole(house, service);
    load.go_on(hold);
    drop(frozen);
    house.stack.wait_ready(service, BACK).unwrap();
    load.go_on(1);
    let (refused, doubts) = unanswered(house, from_ms);
    format!("{refused} orders were told no, {doubts} are in doubt")
}

/// An order that was sent before the pause is not sent again as another one, whatever was given up meanwhile.
fn pauses(house: &House, load: &Load, hold: u32) -> String {
    let from_ms = now_ms();
    let steps = AROUND.step_by(if PAUSE < hold { LONGER_BY / 4 } else { LONGER_BY });
    let count = steps.clone().count();
    for tenths in steps {
        let frozen = Frozen::whole(house, Service::Kafka);
        std::thread::sleep(Duration::from_millis(tenths * 100));
        drop(frozen);
        house.stack.wait_ready(Service::Edge, BACK).unwrap();
        load.go_on(1);
    }
    let (refused, doubts) = unanswered(house, from_ms);
    format!("{count} pauses; {refused} orders were told no, {doubts} are in doubt")
}

/// Another process takes over what the paused one had in hand; that one wakes up with a transaction that is no more its
/// own, commits nothing of it, and works on.
fn zombie(house: &House, load: &Load, hold: u32) -> String {
    let group = transforms(house);
    let beside = Beside::start(house, Service::Transforms);
    let torn = Torn::new(house);
    let place = || until_known(group.group(), || group.committed());
    let (reached, begun) = (place(), Instant::now());
    let open = torn.expect_unread(house);
    let Torn { frozen, from, to } = torn;
    // The other one has partitions of its own, which go on all the time. A record keeps its partition.
    let torn: Vec<i32> = to.keys().copied().filter(|partition| from.get(partition) != to.get(partition)).collect();
    wait_for("the other process to take over", BACK, ASK, || {
        let now = place();
        torn.iter().all(|partition| reached.get(partition) < now.get(partition))
    });
    let after = begun.elapsed();
    assert!(after < Duration::from_secs(30), "it took over after {after:?}");
    load.go_on(hold);
    drop(frozen);
    load.go_on(3);
    let aborted = aborted(house, &from, &to);
    assert!(0 < aborted, "nothing of what was open was aborted");
    beside.leave();
    format!(
        "taken over after {:.1} s; no store had any of {open} open records, and {aborted} of the paused one are aborted",
        after.as_secs_f32()
    )
}

/// Its files may not grow, as on a full disk: it fails with what it was told to write, and ends. Started again, it may.
fn no_room(house: &House, load: &Load, hold: u32) -> String {
    let from_ms = now_ms();
    let times = share(hold).min(FULL);
    for _ in 0..times {
        let status = house.stack.status_of(Service::Kafka).unwrap();
        limit_files(status.pid.unwrap());
        wait_for("Kafka to end", BACK, LOOK, || {
            status.restarts < house.stack.status_of(Service::Kafka).unwrap().restarts
        });
        house.stack.wait_ready(Service::Kafka, BACK).unwrap();
        load.go_on(1);
    }
    let (refused, doubts) = unanswered(house, from_ms);
    assert!(0 < refused, "nobody was told that nothing is stored");
    format!("it ended {times} times; {refused} orders were told no, {doubts} are in doubt")
}

/// No file of a process may grow. Its own user may ask for that; root may not everywhere.
fn limit_files(pid: u32) {
    let of = std::fs::metadata(format!("/proc/{pid}")).unwrap();
    let mut limit = Command::new("prlimit");
    limit.args(["--fsize=1", "--pid", &pid.to_string()]).uid(of.uid()).gid(of.gid());
    assert!(limit.status().unwrap().success(), "{limit:?}");
}

/// Whose logs and clocks they are.
const PAIR: [Service; 2] = [Service::Edge, Service::Transforms];

/// Whatever they have to say, nobody keeps it; that stops nothing.
fn full_log(house: &House, load: &Load, hold: u32) -> String {
    let full = Path::new("/dev/full");
    let pair = PAIR.map(|service| Aside::new(house, service).logs_all_to(full).start_in_its_place());
    let said = keeps_up(house, load, share(hold));
    pair.into_iter().zip(PAIR).for_each(|(beside, service)| beside.give_place(house, service));
    said
}

/// An hour ahead, back by two, and right again: whoever takes the time of day for a duration waits for an hour. The healer's
/// place in its group is where nothing ever comes; all must end in time.
fn jumps(house: &House, load: &Load, hold: u32) -> String {
    let (clock, all) = (Clock::right(), [PAIR[0], PAIR[1], Service::Connectors]);
    let besides = all.map(|service| Aside::new(house, service).clock(&clock).start_in_its_place());
    keeps_up(house, load, 1);
    let said = [3_600, -3_600, 0].map(|ahead| {
        clock.jump(house, ahead);
        format!("{ahead:+} s: {}", keeps_up(house, load, share(hold)))
    });
    besides.into_iter().zip(all).for_each(|(beside, service)| beside.give_place(house, service));
    said.join("; ")
}

/// How long each part of a fault of several lasts.
const fn share(hold: u32) -> u32 {
    1 + (hold - PAUSE) / 3
}

/// Orders are taken and go on, as if nothing were; since who was started just now is there.
fn keeps_up(house: &House, load: &Load, seconds: u32) -> String {
    let wait = |what: &str, done: &dyn Fn() -> bool| wait_for(what, BACK, ASK, done);
    let taken = load.gauge.taken();
    wait("orders to be taken", &|| taken + load.rate as usize / 2 < load.gauge.taken());
    let (transforms, from_ms) = (transforms(house), now_ms());
    let (sent, before) = (load.gauge.sent(), load.gauge.taken());
    let reached = committed(&transforms);
    wait("the transforms to go on", &|| reached < committed(&transforms));
    load.go_on(seconds);
    // What had begun before a jump is over by now, and what comes goes on.
    let reached = committed(&transforms);
    wait("the transforms to go on", &|| reached < committed(&transforms));
    let (sent, taken) = (load.gauge.sent() - sent, load.gauge.taken() - before);
    assert!(sent < 2 * taken, "only {taken} of {sent} orders were taken, though nobody was away");
    let (refused, doubts) = unanswered(house, from_ms);
    let seconds = (now_ms() - from_ms) as f64 / 1_000.0;
    format!("{taken} taken in {seconds:.1} s, {refused} told no, {doubts} in doubt")
}

/// In turn it leaves and is killed.
fn comes_and_goes(house: &House, load: &Load, _: u32) -> String {
    let group = transforms(house);
    for coming in 0..COMINGS {
        let beside = Beside::start(house, Service::Transforms);
        load.go_on(3);
        if coming % 2 == 0 {
            beside.leave();
        } else {
            drop(beside);
        }
        let reached = committed(&group);
        wait_for("the transforms to go on", BACK, ASK, || reached < committed(&group));
    }
    format!("it came {COMINGS} times, left {} times and was killed as often", COMINGS / 2)
}

fn transforms(house: &House) -> Positions {
    path(&Kafka::new(&house.places.kafka)).unwrap().swap_remove(0)
}

/// It comes back while the store is still away, and knows by itself what is to be done.
fn healer_away(house: &House, load: &Load, _: u32) -> String {
    house.stack.stop(Service::Postgres).unwrap();
    load.go_on(3);
    let restarts = house.stack.status_of(Service::Connectors).unwrap().restarts;
    house.stack.kill(Service::Connectors).unwrap();
    wait_for("the healer to be back", BACK, LOOK, || {
        let status = house.stack.status_of(Service::Connectors).unwrap();
        restarts < status.restarts && status.state == State::Ready
    });
    load.go_on(3);
    let (_, sink) = positions(house, Store::Postgres);
    let reached = committed(&sink);
    house.stack.start_again(Service::Postgres).unwrap();
    house.stack.wait_ready(Service::Postgres, Service::Postgres.start_deadline()).unwrap();
    let begun = Instant::now();
    wait_for("the sink to write again", BACK, ASK, || reached < committed(&sink));
    format!("{:.1} s after PostgreSQL was back its sink wrote again", begun.elapsed().as_secs_f32())
}
