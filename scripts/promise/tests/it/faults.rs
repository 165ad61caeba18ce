//! kill -9 of each process in the thick of an open-loop load; at the end every counter is zero, with nobody touching
//! anything. How each is struck, and what proves that it was hit: [`crate::strikes`].
//!
//! `PROMISE_ROUNDS` and `PROMISE_RATE` make it longer or harder, `PROMISE_SEED` makes other orders: see `scripts/faults`.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use promise::figures::{MARGIN_MS, Outage, outside};
use promise::ledger::{self, Entry};
use promise::load::{self, Gauge, LoadError, Plan, now_ms};
use promise::read::{Kafka, Positions, ReadError, path};
use promise::report::Struck;
use stack::progress::Progress;
use stack::{Service, State, deploy};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::house::House;
use crate::lab::{is_wanted, setting};
use crate::{orders, strikes};

const VICTIMS: [Service; 7] = [
    Service::Edge,
    Service::Transforms,
    Service::Connect,
    Service::Registry,
    Service::Postgres,
    Service::Elasticsearch,
    Service::Kafka,
];
/// Steady load before each kill, in seconds.
const STEADY: u32 = 4;
/// How long the killed may take until it is ready, and each part of the path until it moves again. A sink that hangs is
/// restarted after a minute.
pub(crate) const BACK: Duration = Duration::from_secs(180);
/// Share of the orders outside the outages that must be answered 202.
const ANSWERED: f64 = 0.99;

/// Between two looks at the load; at the supervisor's status, which walks all processes; at Kafka. What looks on must
/// not take the machine from what it looks at.
pub(crate) const GLANCE: Duration = Duration::from_millis(1);
pub(crate) const LOOK: Duration = Duration::from_millis(100);
pub(crate) const ASK: Duration = Duration::from_millis(250);

pub(crate) fn each_in_turn(house: &mut House) {
    let (rounds, rate): (u32, u32) = (setting("PROMISE_ROUNDS", 1), setting("PROMISE_RATE", 300));
    let victims: Vec<Service> =
        VICTIMS.into_iter().filter(|victim| is_wanted(number(*victim), &format!("kill -9 {victim}"))).collect();
    if victims.is_empty() {
        return;
    }
    let first = house.next_seq();
    let load = Load::start(house, "fault", rate);
    let path = path(&Kafka::new(&house.places.kafka)).unwrap();
    let mut outages = Vec::new();
    let all = rounds as usize * victims.len();
    for (nth, victim) in (0..rounds).flat_map(|_| victims.clone()).enumerate() {
        load.steady();
        house.stack.wait_all_ready(|_| {}).unwrap();
        let (id, name) = (number(victim), format!("kill -9 {victim}"));
        house.lab.announce((nth, all), id, &name, None);
        let (outage, said) = strike(house, victim, &load);
        moves_again(&path);
        house.lab.struck(Struck {
            id,
            name,
            from_ms: outage.from_ms,
            until_ms: outage.ready_ms,
            moved_ms: now_ms(),
            said,
        });
        outages.push(outage);
    }
    load.steady();
    load.end();
    house.expect_all_zero();
    let entries: Vec<Entry> =
        ledger::read(&house.ledger_path).unwrap().into_iter().filter(|entry| entry.seq >= first).collect();
    report(&entries, &outages, rate);
    well_again(house);
}

/// An open-loop load in the background; it ends with this value, also when the test fails.
pub(crate) struct Load {
    pub(crate) gauge: Gauge,
    pub(crate) rate: u32,
    thread: JoinHandle<Result<(), LoadError>>,
    stop: DropGuard,
}

impl Load {
    /// `run` begins every order id; the orders follow from the seed of the run ([`crate::lab::seed`]).
    pub(crate) fn start(house: &mut House, run: &str, rate: u32) -> Self {
        let plan = Plan::new(&house.stack.endpoints().edge, rate);
        Self::of(house, run, plan)
    }

    /// As planned.
    pub(crate) fn of(house: &mut House, run: &str, plan: Plan) -> Self {
        let rate = plan.rate;
        let (run, seed) = house.lab.stream_of(run);
        let posts = house.stream(&run, seed, 10_000_000);
        let (gauge, stop) = (Gauge::default(), CancellationToken::new());
        let (ledger, runtime) = (Arc::clone(&house.ledger), house.runtime.handle().clone());
        let thread = {
            let (gauge, stop) = (gauge.clone(), stop.clone());
            std::thread::spawn(move || runtime.block_on(load::run(&plan, posts, ledger, &gauge, &stop)))
        };
        Self { gauge, rate, thread, stop: stop.drop_guard() }
    }

    /// Waits while it runs on for some seconds; on a count of requests, not on the clock alone.
    fn steady(&self) {
        self.go_on(STEADY);
    }

    pub(crate) fn go_on(&self, seconds: u32) {
        let goal = self.gauge.sent() + (self.rate * seconds) as usize;
        wait_for("the load to go on", BACK, LOOK, || self.gauge.sent() >= goal);
    }

    pub(crate) fn end(self) {
        drop(self.stop);
        self.thread.join().unwrap().unwrap();
    }
}

/// In the catalogue.
const fn number(victim: Service) -> &'static str {
    match victim {
        Service::Edge => "F1",
        Service::Transforms => "F2",
        Service::Kafka => "F3",
        Service::Connectors => "F35",
        _ => "F4",
    }
}

/// One kill, from the moment of it until the service is ready again; and what it hit, in words.
fn strike(house: &House, victim: Service, load: &Load) -> (Outage, String) {
    let restarts = house.stack.status_of(victim).unwrap().restarts;
    let blow = strikes::strike(house, victim, load);
    wait_for(&format!("{victim} to be ready again"), BACK, LOOK, || {
        let status = house.stack.status_of(victim).unwrap();
        assert_ne!(status.state, State::Failed, "{victim} was given up");
        status.restarts > restarts && status.state == State::Ready
    });
    let outage = Outage { name: victim.to_string(), from_ms: blow.from_ms, ready_ms: now_ms() };
    let seconds = (outage.ready_ms - outage.from_ms) as f64 / 1_000.0;
    let said = (blow.proof)(house);
    println!("kill -9 {victim}: {said}; ready again after {seconds:.1} s");
    (outage, said)
}

/// Until every part of the path moves again, with the load going on.
pub(crate) fn moves_again(path: &[Positions]) {
    let begun = Instant::now();
    let sum = |positions: &Positions| positions.committed().map(|offsets| offsets.values().sum::<i64>());
    for positions in path {
        let before = until_known(positions.group(), || sum(positions));
        let what = format!("{} to move again", positions.group());
        wait_for(&what, BACK, ASK, || sum(positions).is_ok_and(|now| now > before));
    }
    let behind: Vec<usize> = path.iter().map(|group| until_known(group.group(), || group.lag(0))).collect();
    println!("  {:.1} s later everything has moved again, {behind:?} offsets behind", begun.elapsed().as_secs_f32());
}

/// Kafka's coordinators need a moment after their broker's death.
pub(crate) fn until_known<T>(what: &str, ask: impl Fn() -> Result<T, ReadError>) -> T {
    let mut known = None;
    wait_for(&format!("an answer of Kafka about {what}"), BACK, ASK, || {
        known = ask().ok();
        known.is_some()
    });
    known.unwrap()
}

pub(crate) fn wait_for(what: &str, limit: Duration, pause: Duration, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !done() {
        assert!(Instant::now() < deadline, "waited {limit:?} for {what}");
        std::thread::sleep(pause);
    }
}

/// Nobody touched anything, and everything runs as before the first kill.
fn well_again(house: &mut House) {
    house.stack.wait_all_ready(|_| {}).unwrap();
    deploy::wait_for_path(&house.options, &house.stack, &Progress::default()).unwrap();
    orders::one_more(house, "after-the-kills");
    println!("states at the end: {:?}", house.states());
}

fn report(entries: &[Entry], outages: &[Outage], rate: u32) {
    let sent = || entries.iter().map(|entry| entry.sent_ms);
    let seconds = sent().max().zip(sent().min()).map_or(0.0, |(last, first)| (last - first) as f64 / 1_000.0);
    println!("{} orders in {seconds:.0} s, open loop at {rate}/s", entries.len());
    assert!(entries.len() as f64 >= seconds * f64::from(rate) * 0.98, "the load was not made at {rate}/s");
    for outage in outages {
        let seconds = (outage.ready_ms - outage.from_ms) as f64 / 1_000.0;
        println!("  outage of {}: {seconds:.1} s, and a margin of {:.1} s", outage.name, MARGIN_MS as f64 / 1_000.0);
    }
    // What does not stand between a POST and its answer may be away as long as it likes.
    let on_the_way = |outage: &&Outage| ["edge", "kafka"].contains(&outage.name.as_str());
    let all = outside(entries, &outages.iter().collect::<Vec<_>>());
    let needed = outside(entries, &outages.iter().filter(on_the_way).collect::<Vec<_>>());
    let least = outages.len() * (rate * STEADY) as usize / 2;
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
        assert!(fared.sent >= least, "only {} orders lie outside {name}: that proves nothing", fared.sent);
        assert!(fared.share() >= ANSWERED, "fewer than {ANSWERED} were answered 202 outside {name}");
    }
}
