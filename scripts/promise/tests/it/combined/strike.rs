//! One strike: how it is made, how it is put right, and when it is over.

use std::thread::JoinHandle;
use std::time::Instant;

use promise::link::Mode;
use promise::load::now_ms;
use promise::report::Struck;
use promise::schedule::Strike;
use stack::{KafkaCluster, Service, Stack};

use super::Scene;
use super::victims::{Deed, Hit, Victim, name, words};
use crate::beside::Beside;
use crate::faults::BACK;
use crate::house::House;
use crate::strikes::Frozen;
use crate::targets::{self, make_named};

/// What ends a strike.
pub(super) enum Mend {
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
    /// A node of Kafka is begun again when it has ended.
    Node(i32),
    /// One of these wakes up.
    Wake(Frozen),
}

impl Mend {
    /// It goes on by itself.
    fn is_under_way(&mut self, scene: &mut Scene<'_>) -> bool {
        match self {
            Self::Restart(restart) => !restart.is_finished(),
            Self::Leave(_, beside) => beside.is_running(),
            Self::Node(id) => scene.nodes().runs(*id),
            _ => false,
        }
    }

    fn put_right(self, scene: &mut Scene<'_>) {
        match self {
            Self::Nobody => {}
            Self::Thaw(frozen) => drop(frozen),
            Self::Restart(restart) => restart.join().unwrap(),
            Self::Store(mend) => mend(scene.house),
            Self::Way(nth) => scene.house.doors[nth].set(Mode::Through),
            Self::Clock => scene.crew.set_clock(scene.house, 0),
            Self::Leave(nth, _) | Self::Start(nth) => scene.crew.start(scene.house, nth),
            Self::Node(id) => scene.nodes().begin_again(id),
            Self::Wake(frozen) => scene.nodes().wake(frozen),
        }
    }
}

/// A strike under way.
pub(super) struct Ongoing {
    pub(super) strike: Strike,
    pub(super) name: String,
    from_ms: i64,
    /// None once it was done.
    mend: Option<Mend>,
    until_ms: i64,
    since: Instant,
}

impl Ongoing {
    pub(super) fn begin(scene: &mut Scene<'_>, strike: Strike) -> Self {
        let (victim, deeds) = scene.victims[strike.victim];
        let deed = deeds[strike.deed];
        let name = name(victim, deed, strike.lasts);
        let from_ms = now_ms();
        let mend = Some(strike_at(scene, victim, deed));
        Self { strike, name, from_ms, mend, until_ms: from_ms, since: Instant::now() }
    }

    pub(super) fn mend_if_due(&mut self, scene: &mut Scene<'_>) {
        let lasts = self.since.elapsed();
        if self.mend.as_mut().is_some_and(|mend| mend.is_under_way(scene)) || lasts < self.strike.lasts {
            assert!(lasts < self.strike.lasts + BACK, "{}: it does not end", self.name);
            return;
        }
        let Some(mend) = self.mend.take() else { return };
        mend.put_right(scene);
        (self.until_ms, self.since) = (now_ms(), Instant::now());
    }

    /// Put right, and its victim well.
    pub(super) fn is_over(&self, scene: &mut Scene<'_>) -> bool {
        if self.mend.is_some() {
            return false;
        }
        let well = scene.is_well(self.strike.victim);
        assert!(well || self.since.elapsed() < BACK, "{}: not well again", self.name);
        if well {
            let (name, said) = (self.name.clone(), String::new());
            let (from_ms, until_ms) = (self.from_ms, self.until_ms);
            scene.house.lab.struck(Struck { id: "seed", name, from_ms, until_ms, moved_ms: now_ms(), said });
        }
        well
    }
}

fn strike_at(scene: &mut Scene<'_>, victim: Victim, deed: Deed) -> Mend {
    match (victim, deed) {
        (Victim::Own(service), Deed::Process(hit)) => strike_own(scene.house, service, hit),
        (Victim::Own(_), Deed::Trouble(name)) => Mend::Store(make_named(scene.house, name)),
        (Victim::Beside(nth), Deed::Process(hit)) => strike_beside(nth, &mut scene.crew.beside[nth], hit),
        (Victim::Way(nth), Deed::Link(_, mode)) => {
            scene.house.doors[nth].set(mode);
            Mend::Way(nth)
        }
        (Victim::Clock, Deed::Jump(seconds)) => {
            scene.crew.set_clock(scene.house, seconds);
            Mend::Clock
        }
        (Victim::Brokers, Deed::Broker(id, hit)) => scene.nodes().strike(id, hit),
        (Victim::Controller, Deed::Process(hit)) => scene.nodes().strike(KafkaCluster::CONTROLLER, hit),
        (victim, _) => panic!("{} cannot be struck so", words(victim)),
    }
}

fn strike_own(house: &House, service: Service, hit: Hit) -> Mend {
    match hit {
        Hit::Kill => {
            house.stack.kill(service).unwrap();
            Mend::Nobody
        }
        Hit::Pause => Mend::Thaw(Frozen::whole(house, service)),
        Hit::Restart => {
            // Beside the others: a clean stop may wait for one of them.
            let stack = Stack::attach(house.stack.layout().dir()).unwrap();
            Mend::Restart(std::thread::spawn(move || drop(stack.restart(service).unwrap())))
        }
    }
}

fn strike_beside(nth: usize, beside: &mut Option<Beside>, hit: Hit) -> Mend {
    match hit {
        Hit::Kill => {
            drop(beside.take());
            Mend::Start(nth)
        }
        Hit::Pause => Mend::Thaw(Frozen::process(beside.as_ref().map(Beside::pid).unwrap())),
        Hit::Restart => {
            let beside = beside.take().unwrap();
            beside.ask_to_leave();
            Mend::Leave(nth, beside)
        }
    }
}
