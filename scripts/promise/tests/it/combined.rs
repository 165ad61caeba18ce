//! Faults that meet: two edges, two transforms and two healers beside each other, and of them, of the servers, of both stores
//! and of two links up to four in trouble at once; who, when, how and for how long follows from one seed. Nobody touches
//! anything else, and at the end every counter is zero.
//!
//! `PROMISE_SEED` is the seed (7), `PROMISE_SECONDS` for how long strikes begin (20), `PROMISE_RATE` how many orders come in a
//! second (80). If strikes begin for longer than a minute there are two Connect workers as well: a second one takes the
//! time and the memory of a JVM, and a minute of a seed is to begin as the short form of it does.
//!
//! On three brokers and a controller these are struck in the place of the stack's one broker and of the links to it.

mod crew;
mod nodes;
mod strike;
mod victims;

use std::time::{Duration, Instant};

use promise::load::{Plan, now_ms};
use promise::read::{Kafka, path};
use promise::schedule::{Strike, schedule};
use stack::State;

use self::crew::Crew;
use self::nodes::Nodes;
use self::strike::Ongoing;
use self::victims::{Deed, Victim, victims, words};
use crate::beside::free_address;
use crate::faults::{BACK, LOOK, Load, moves_again};
use crate::house::House;
use crate::lab::setting;
use crate::late::mend_late_writes;
use crate::processes::unanswered;

/// What `PROMISE_STAGE` must be for three brokers.
pub(crate) const ON_THREE_BROKERS: &str = "faults meet on three brokers";

/// Orders a second.
const RATE: u32 = 80;
/// Steady load before and after, in seconds.
const STEADY: u32 = 2;
/// A longer run has a second Connect worker.
const SHORT: Duration = Duration::from_secs(60);

pub(crate) fn by_a_seed(house: &mut House) {
    meet(house, None);
}

/// The whole test: its brokers are nobody else's.
pub(crate) fn on_three_brokers() {
    println!("\n=== {ON_THREE_BROKERS}");
    let mut nodes = Nodes::start();
    let mut house = House::start_on(Some(nodes.bootstrap()));
    nodes.expect_three_copies();
    meet(&mut house, Some(&mut nodes));
    house.down_leaves_nothing();
}

fn meet(house: &mut House, nodes: Option<&mut Nodes>) {
    let (seed, length) = (setting("PROMISE_SEED", 7), Duration::from_secs(setting("PROMISE_SECONDS", 20)));
    let (two_workers, three_brokers) = (SHORT < length, nodes.is_some());
    let victims = victims(two_workers, three_brokers);
    let strikes = schedule(seed, length, &victims.iter().map(|(_, deeds)| deeds.len()).collect::<Vec<_>>());
    println!("seed {seed}: {} faults within {} s", strikes.len(), length.as_secs());
    let named = Named { seed, length, three_brokers };
    let listen = free_address();
    let mut plan = Plan::new(&house.stack.endpoints().edge, setting("PROMISE_RATE", RATE));
    plan.edges.push(format!("http://{listen}"));
    let crew = Crew::new(house, &listen, two_workers);
    let load = Load::of(house, &format!("combined-{seed}"), plan);
    load.go_on(STEADY);
    let from_ms = now_ms();
    let mut scene = Scene { house, crew, nodes, victims };
    scene.run(&strikes);
    scene.wait_until_all_are_well();
    load.go_on(STEADY);
    load.end();
    let (refused, doubts) = unanswered(scene.house, from_ms);
    println!("{refused} orders found nobody or were told no, {doubts} are in doubt");
    if two_workers {
        println!("{} older versions that came late were in the index, and were mended", mend_late_writes(scene.house));
    }
    scene.house.expect_all_zero();
    scene.crew.leave(scene.house);
    drop(named);
}

/// Says at a failure how to make it again.
struct Named {
    seed: u64,
    length: Duration,
    three_brokers: bool,
}

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (minutes, seed) = (self.length.as_secs().div_ceil(60), self.seed);
            let brokers = if self.three_brokers { " --brokers 3" } else { "" };
            println!("the same faults again: scripts/faults combined {minutes} {seed}{brokers}");
        }
    }
}

/// All that may be struck.
struct Scene<'h> {
    house: &'h House,
    crew: Crew,
    /// Where they are not the stack's own.
    nodes: Option<&'h mut Nodes>,
    victims: Vec<(Victim, &'static [Deed])>,
}

impl Scene<'_> {
    /// All strikes, each as soon as it is due and its victim is well, until all is put right and everybody is well.
    fn run(&mut self, strikes: &[Strike]) {
        let begun = Instant::now();
        let (mut waiting, mut ongoing): (Vec<Strike>, Vec<Ongoing>) = (strikes.to_vec(), Vec::new());
        while !waiting.is_empty() || !ongoing.is_empty() {
            self.crew.expect_all(self.house);
            let now = begun.elapsed();
            ongoing.iter_mut().for_each(|one| one.mend_if_due(self));
            ongoing.retain(|one| !one.is_over(self));
            let (due, later): (Vec<_>, _) = waiting.into_iter().partition(|strike| strike.at <= now);
            waiting = later;
            for strike in due {
                let is_free = ongoing.iter().all(|one| one.strike.victim != strike.victim);
                if is_free && self.is_well(strike.victim) {
                    let one = Ongoing::begin(self, strike);
                    let meets: Vec<&str> = ongoing.iter().map(|one| one.name.as_str()).collect();
                    println!("[{:6.1} s] {} {meets:?}", now.as_secs_f32(), one.name);
                    ongoing.push(one);
                } else {
                    let victim = words(self.victims[strike.victim].0);
                    assert!(now < strike.at + BACK, "{victim} is not well");
                    waiting.push(strike);
                }
            }
            std::thread::sleep(LOOK);
        }
    }

    /// What shall be struck next is there to be hit.
    fn is_well(&mut self, nth: usize) -> bool {
        let (victim, _) = self.victims[nth];
        match victim {
            Victim::Own(service) => {
                let status = self.house.stack.status_of(service).unwrap();
                assert_ne!(status.state, State::Failed, "{service} was given up");
                status.state == State::Ready && status.pid.is_some()
            }
            Victim::Brokers => self.nodes().are_in_sync(),
            Victim::Controller => self.nodes().is_led(),
            Victim::Beside(_) | Victim::Way(_) | Victim::Clock => true,
        }
    }

    /// Only one of them is struck where there are some.
    fn nodes(&mut self) -> &mut Nodes {
        self.nodes.as_deref_mut().expect("three brokers")
    }

    /// With the load going on.
    fn wait_until_all_are_well(&mut self) {
        if let Some(nodes) = &self.nodes {
            nodes.wait_for_all();
        }
        moves_again(&path(&Kafka::new(&self.house.places.kafka)).unwrap());
        self.crew.wait_for_worker(self.house);
    }
}
