//! Faults that meet: two edges, two transforms and two healers beside each other, and of them, of the servers, of both stores
//! and of two links up to four in trouble at once; who, when, how and for how long follows from one seed. Nobody touches
//! anything else, and at the end every counter is zero.
//!
//! `PROMISE_SEED` is the seed (7), `PROMISE_SECONDS` for how long strikes begin (20), `PROMISE_RATE` how many orders come in a
//! second (80).

mod crew;
mod victims;

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use promise::link::Mode;
use promise::load::{Plan, now_ms};
use promise::read::{Kafka, path};
use promise::report::Struck;
use promise::schedule::{Strike, schedule};
use stack::{Stack, State};

use self::crew::Crew;
use self::victims::{Deed, VICTIMS, Victim, name, words};
use crate::beside::{Beside, free_address};
use crate::faults::{BACK, LOOK, Load, moves_again};
use crate::house::House;
use crate::lab::setting;
use crate::processes::unanswered;
use crate::strikes::Frozen;
use crate::targets::{self, make_named};

/// Orders a second.
const RATE: u32 = 80;
/// Steady load before and after, in seconds.
const STEADY: u32 = 2;

pub(crate) fn by_a_seed(house: &mut House) {
    let (seed, length) = (setting("PROMISE_SEED", 7), Duration::from_secs(setting("PROMISE_SECONDS", 20)));
    let strikes = schedule(seed, length, &VICTIMS.map(|(_, deeds)| deeds.len()));
    println!("seed {seed}: {} faults within {} s", strikes.len(), length.as_secs());
    let named = Named(seed, length);
    let listen = free_address();
    let mut plan = Plan::new(&house.stack.endpoints().edge, setting("PROMISE_RATE", RATE));
    plan.edges.push(format!("http://{listen}"));
    let mut crew = Crew::new(house, &listen);
    let load = Load::of(house, &format!("combined-{seed}"), plan);
    load.go_on(STEADY);
    let from_ms = now_ms();
    run(house, &mut crew, &strikes);
    moves_again(&path(&Kafka::new(&house.places.kafka)).unwrap());
    load.go_on(STEADY);
    load.end();
    let (refused, doubts) = unanswered(house, from_ms);
    println!("{refused} orders found nobody or were told no, {doubts} are in doubt");
    house.expect_all_zero();
    crew.leave();
    drop(named);
}

/// Says at a failure how to make it again.
struct Named(u64, Duration);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the same faults again: scripts/faults combined {} {}", self.1.as_secs().div_ceil(60), self.0);
        }
    }
}

/// What ends a strike.
enum Mend {
    /// The supervisor does it.
    Nobody,
    Thaw(Frozen),
    /// A clean restart that goes on.
    Restart(JoinHandle<()>),
    Store(targets::Mend),
    Way(usize),
    Clock,
    /// Another one is started when this one has ended.
    Leave(usize, Beside),
    Start(usize),
}

impl Mend {
    /// It goes on by itself.
    fn is_under_way(&mut self) -> bool {
        match self {
            Self::Restart(restart) => !restart.is_finished(),
            Self::Leave(_, beside) => beside.is_running(),
            _ => false,
        }
    }
}

/// A strike under way.
struct Ongoing {
    strike: Strike,
    name: String,
    from_ms: i64,
    /// None once it was done.
    mend: Option<Mend>,
    until_ms: i64,
    since: Instant,
}

/// All of them, each as soon as it is due and its victim is well, until all is put right and everybody is well.
fn run(house: &House, crew: &mut Crew, strikes: &[Strike]) {
    let begun = Instant::now();
    let (mut waiting, mut ongoing): (Vec<Strike>, Vec<Ongoing>) = (strikes.to_vec(), Vec::new());
    while !waiting.is_empty() || !ongoing.is_empty() {
        crew.expect_all();
        let now = begun.elapsed();
        ongoing.iter_mut().for_each(|one| one.mend_if_due(house, crew));
        ongoing.retain(|one| !one.is_over(house));
        let (due, later): (Vec<_>, _) = waiting.into_iter().partition(|strike| strike.at <= now);
        waiting = later;
        for strike in due {
            let is_free = ongoing.iter().all(|one| one.strike.victim != strike.victim);
            if is_free && is_well(house, VICTIMS[strike.victim].0) {
                let one = Ongoing::begin(house, crew, strike);
                let meets: Vec<&str> = ongoing.iter().map(|one| one.name.as_str()).collect();
                println!("[{:6.1} s] {} {meets:?}", now.as_secs_f32(), one.name);
                ongoing.push(one);
            } else {
                assert!(now < strike.at + BACK, "{} is not well", words(VICTIMS[strike.victim].0));
                waiting.push(strike);
            }
        }
        std::thread::sleep(LOOK);
    }
}

impl Ongoing {
    fn begin(house: &House, crew: &mut Crew, strike: Strike) -> Self {
        let (victim, deeds) = VICTIMS[strike.victim];
        let deed = deeds[strike.deed];
        let name = name(victim, deed, strike.lasts);
        let from_ms = now_ms();
        let mend = Some(strike_at(house, crew, victim, deed));
        Self { strike, name, from_ms, mend, until_ms: from_ms, since: Instant::now() }
    }

    fn mend_if_due(&mut self, house: &House, crew: &mut Crew) {
        let lasts = self.since.elapsed();
        if self.mend.as_mut().is_some_and(Mend::is_under_way) || lasts < self.strike.lasts {
            assert!(lasts < self.strike.lasts + BACK, "{}: it does not end", self.name);
            return;
        }
        match self.mend.take() {
            None => return,
            Some(Mend::Nobody) => {}
            Some(Mend::Thaw(frozen)) => drop(frozen),
            Some(Mend::Restart(restart)) => restart.join().unwrap(),
            Some(Mend::Store(mend)) => mend(house),
            Some(Mend::Clock) => crew.set_clock(house, 0),
            Some(Mend::Way(nth)) => house.doors[nth].set(Mode::Through),
            Some(Mend::Leave(nth, _) | Mend::Start(nth)) => crew.start(house, nth),
        }
        (self.until_ms, self.since) = (now_ms(), Instant::now());
    }

    /// Put right, and its victim well.
    fn is_over(&self, house: &House) -> bool {
        if self.mend.is_some() {
            return false;
        }
        let well = is_well(house, VICTIMS[self.strike.victim].0);
        assert!(well || self.since.elapsed() < BACK, "{}: not well again", self.name);
        if well {
            let (name, said) = (self.name.clone(), String::new());
            let (from_ms, until_ms) = (self.from_ms, self.until_ms);
            house.lab.struck(Struck { id: "seed", name, from_ms, until_ms, moved_ms: now_ms(), said });
        }
        well
    }
}

fn strike_at(house: &House, crew: &mut Crew, victim: Victim, deed: Deed) -> Mend {
    match (victim, deed) {
        (Victim::Own(service), Deed::Kill) => {
            house.stack.kill(service).unwrap();
            Mend::Nobody
        }
        (Victim::Own(service), Deed::Pause) => Mend::Thaw(Frozen::whole(house, service)),
        (Victim::Own(service), Deed::Restart) => {
            // Beside the others: a clean stop may wait for one of them.
            let stack = Stack::attach(house.stack.layout().dir()).unwrap();
            Mend::Restart(std::thread::spawn(move || drop(stack.restart(service).unwrap())))
        }
        (Victim::Own(_), Deed::Trouble(name)) => Mend::Store(make_named(house, name)),
        (Victim::Beside(nth), Deed::Pause) => {
            Mend::Thaw(Frozen::process(crew.beside[nth].as_ref().map(Beside::pid).unwrap()))
        }
        (Victim::Beside(nth), Deed::Restart) => {
            let beside = crew.beside[nth].take().unwrap();
            beside.ask_to_leave();
            Mend::Leave(nth, beside)
        }
        (Victim::Beside(nth), _) => {
            drop(crew.beside[nth].take());
            Mend::Start(nth)
        }
        (Victim::Way(nth), Deed::Link(_, mode)) => {
            house.doors[nth].set(mode);
            Mend::Way(nth)
        }
        (Victim::Clock, Deed::Jump(seconds)) => {
            crew.set_clock(house, seconds);
            Mend::Clock
        }
        (victim, _) => panic!("{} cannot be struck so", words(victim)),
    }
}

/// What shall be struck next is there to be hit.
fn is_well(house: &House, victim: Victim) -> bool {
    let Victim::Own(service) = victim else { return true };
    let status = house.stack.status_of(service).unwrap();
    assert_ne!(status.state, State::Failed, "{service} was given up");
    status.state == State::Ready && status.pid.is_some()
}
