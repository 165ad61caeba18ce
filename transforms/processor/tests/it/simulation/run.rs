//! One run: a cluster, a few processes and a list of mishaps, all chosen by the seed; then calm, in which everything
//! must come to its end.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use transforms::control::Control;
use transforms::kafka::Identity;
use transforms::metrics;
use transforms::slot::Slot;
use transforms::status::Status;
use transforms::work::Factory;

use super::broker::{Entry, Log};
use super::clients::{Shared, Site, TOPIC, lock};
use super::faults::{Defect, Rates};
use super::group::{Group, Mode};
use super::rng::Rng;
use super::work::Make;
use super::world::{Event, Happening, MS, Process, SECOND, Time, World};

/// After the last mishap everything must be done in this time: the session, a transaction or two, the pauses between.
const PATIENCE: Time = 150 * SECOND;
/// So long two holders of one identity are watched.
const WATCH: Time = 60 * SECOND;
/// More than any run needs.
const MOST_EVENTS: u64 = 400_000;
/// Of a coroutine's stack, in words.
const STACK: usize = 0x1_0000;

/// What came of a run.
pub(super) struct Ran {
    pub(super) violations: Vec<String>,
    pub(super) trace: Vec<String>,
}

struct Run {
    world: Shared,
    threads: Vec<generator::Generator<'static, (), ()>>,
    base: Instant,
    metrics: metrics::Metrics,
    slots: usize,
    instances: usize,
    watches: bool,
    deletes: bool,
}

/// Runs the seed.
pub(super) fn run(seed: u64, defect: Option<Defect>, traced: bool) -> Ran {
    let mut rng = Rng::new(seed);
    let mode = rng.pick(&[Mode::Eager, Mode::Eager, Mode::Cooperative, Mode::Next]);
    let partitions = usize::try_from(rng.between(1, 5)).unwrap();
    let rates = Rates {
        call: rng.pick(&[0, 5, 20, 60, 120]),
        slow: rng.pick(&[0, 5, 20, 50]),
        work: rng.pick(&[0, 0, 20, 80]),
        halt: rng.pick(&[0, 0, 2, 10]),
        poison: rng.pick(&[0, 0, 0, 40]),
    };
    let (slots, instances) = (rng.between(1, 3), rng.between(1, 4));
    let mut world = World::new(rng, Group::new(mode, partitions), rates, defect, traced);
    world.coordinator.lenient = defect == Some(Defect::NoFencing);
    world.say(|| format!("{mode:?}, {partitions} partitions, {instances} processes of {slots} slots, {rates:?}"));
    let mut run = Run {
        world: Arc::new(Mutex::new(world)),
        threads: Vec::new(),
        base: Instant::now(),
        metrics: metrics::registry().1,
        slots: usize::try_from(slots).unwrap(),
        instances: usize::try_from(instances).unwrap(),
        watches: false,
        deletes: false,
    };
    run.plan(partitions);
    run.go();
    run.finish()
}

impl Run {
    /// What is there at first, and what is to happen.
    fn plan(&mut self, partitions: usize) {
        let mut world = lock(&self.world);
        for partition in 0..partitions {
            world.logs.push(Log::default());
            for _ in 0..world.rng.below(5) {
                world.write(partition);
            }
            let log = &mut world.logs[partition];
            let (start, end) = (3.min(log.end()), log.end());
            if end % 5 == 4 {
                log.start = start;
            }
            let start = log.start;
            world.checker.first.insert(i32::try_from(partition).unwrap(), start);
        }
        let calm = world.rng.between(2 * SECOND, 40 * SECOND);
        for _ in 0..world.rng.below(25) {
            let (time, partition) = (world.rng.below(calm), world.rng.below(partitions as u64));
            world.after(time, Event::Input { partition: usize::try_from(partition).unwrap() });
        }
        for instance in 0..self.instances {
            let time = world.rng.below(2 * SECOND);
            world.after(time, Event::Happens(Happening::Start { instance }));
        }
        for _ in 0..world.rng.below(9) {
            let (time, what) = (world.rng.between(SECOND, calm), self.mishap(&mut world.rng, partitions));
            self.watches |= matches!(what, Happening::Start { .. });
            self.deletes |= matches!(what, Happening::Delete { .. });
            world.after(time, Event::Happens(what));
        }
        world.after(calm, Event::Happens(Happening::Calm));
    }

    fn mishap(&self, rng: &mut Rng, partitions: usize) -> Happening {
        let process = usize::try_from(rng.below(self.instances as u64 + 1)).unwrap();
        let back_after = rng.between(10 * MS, 4 * SECOND);
        match rng.below(16) {
            0..3 => Happening::Kill { process, back_after: Some(back_after) },
            3 => Happening::Kill { process, back_after: None },
            4 => Happening::Stop { process, back_after },
            5 | 6 => Happening::Freeze { process, time: rng.between(100 * MS, 25 * SECOND) },
            7 => Happening::Pause { process, time: rng.between(100 * MS, 10 * SECOND) },
            8 => Happening::Restart { process },
            9 => Happening::Change { process },
            10 | 11 => Happening::Expire { pick: rng.below(100) },
            12 => {
                let partition = usize::try_from(rng.below(partitions as u64)).unwrap();
                Happening::Delete { partition, records: i64::try_from(rng.between(1, 9)).unwrap() }
            }
            13 | 14 => Happening::Pause { process, time: rng.between(SECOND, 20 * SECOND) },
            // A second process under the same name.
            _ => Happening::Start { instance: process % self.instances },
        }
    }

    fn go(&mut self) {
        let mut events = 0;
        loop {
            let mut world = lock(&self.world);
            if let Some(calm) = world.calm_since {
                let done = world.is_done() && (!self.watches || world.now > calm + WATCH);
                if done || !world.checker.violations.is_empty() {
                    return;
                }
                if world.now > calm + PATIENCE || events > MOST_EVENTS {
                    let offsets = world.group.offsets.clone();
                    let reports: Vec<_> = world
                        .processes
                        .iter()
                        .filter(|process| process.lives)
                        .flat_map(|process| process.statuses.iter().map(|status| status.report()))
                        .collect();
                    world.checker.violated(format!("it does not come to an end: {offsets:?}, {reports:?}"));
                    return;
                }
            }
            events += 1;
            let Some(event) = world.next() else { return };
            match event {
                Event::Wake { task, stamp } => {
                    let goes_on = world.may_go_on(task, stamp);
                    drop(world);
                    if goes_on && !self.threads[task].is_done() {
                        self.threads[task].resume();
                    }
                }
                Event::Happens(what) => {
                    drop(world);
                    self.happens(what);
                }
                other => world.happen(other),
            }
        }
    }

    fn happens(&mut self, what: Happening) {
        let mut world = lock(&self.world);
        world.say(|| format!("{what:?}"));
        let control = |world: &World, process: usize| {
            let process = world.processes.get(process).filter(|process| process.lives)?;
            Some((Arc::clone(&process.control), process.instance))
        };
        match what {
            Happening::Start { instance } => {
                drop(world);
                self.start(instance);
            }
            Happening::Kill { process, back_after } => {
                let Some((_, instance)) = control(&world, process) else { return };
                world.kill(process);
                if let Some(time) = back_after {
                    world.after(time, Event::Happens(Happening::Start { instance }));
                }
            }
            Happening::Stop { process, back_after } => {
                let Some((control, instance)) = control(&world, process) else { return };
                control.stop();
                world.processes[process].stops = true;
                world.after(back_after, Event::Happens(Happening::Start { instance }));
            }
            Happening::Freeze { process, time } if control(&world, process).is_some() => {
                world.freeze(process, time);
            }
            Happening::Pause { process, time } => {
                let Some((control, _)) = control(&world, process) else { return };
                control.pause(true);
                world.after(time, Event::Happens(Happening::Resume { process }));
            }
            Happening::Resume { process } => {
                let Some((control, _)) = control(&world, process) else { return };
                control.pause(false);
            }
            Happening::Restart { process } => {
                let Some((control, _)) = control(&world, process) else { return };
                control.restart();
            }
            Happening::Change { process } => {
                let Some((control, _)) = control(&world, process) else { return };
                world.versions += 1;
                let factory = Make { world: Arc::clone(&self.world), version: world.versions };
                // As many as there are slots are made ready, or too few: then a slot makes its own.
                let count = world.rng.below(self.slots as u64 + 1);
                drop(world);
                let ready = (0..count).filter_map(|_| factory.make().ok()).collect();
                control.assign(Arc::new(factory), ready);
            }
            Happening::Expire { pick } => {
                let clients = world.clients.len().max(1);
                let client = world.clients.get(usize::try_from(pick).unwrap() % clients);
                if let Some((name, Some(id))) = client.map(|client| (client.name.clone(), client.id.clone())) {
                    world.group.expire(&name, &id);
                }
            }
            Happening::Delete { partition, records } => {
                let log = &mut world.logs[partition];
                log.start = (log.start + records).min(log.end());
            }
            Happening::Accept => {
                let accepts = |process: &Process| {
                    let gaps: Vec<_> = process.statuses.iter().flat_map(|status| status.report().gaps).collect();
                    (process.lives && !gaps.is_empty()).then(|| (Arc::clone(&process.control), gaps))
                };
                for (control, gaps) in world.processes.iter().filter_map(accepts) {
                    control.accept_gaps(gaps);
                }
                world.after(15 * SECOND, Event::Happens(Happening::Accept));
            }
            Happening::Calm => self.calm(world),
            Happening::Freeze { .. } => {}
        }
    }

    fn calm(&self, mut world: std::sync::MutexGuard<'_, World>) {
        world.calm_since = Some(world.now);
        world.rates = Rates::default();
        let now = world.now;
        for process in &mut world.processes {
            process.frozen_until = process.frozen_until.min(now + 20 * SECOND);
            process.control.pause(false);
        }
        if !world.processes.iter().any(|process| process.lives && !process.stops) {
            world.after(0, Event::Happens(Happening::Start { instance: 0 }));
        }
        world.after(5 * SECOND, Event::Happens(Happening::Accept));
    }

    fn start(&mut self, instance: usize) {
        let shared = Arc::clone(&self.world);
        let number = lock(&shared).processes.len();
        let alarmed = Arc::clone(&shared);
        // A client that hangs: the process ends, and is started again.
        let alarm = move |_: &str| {
            let mut world = lock(&alarmed);
            if world.processes[number].lives {
                world.kill(number);
                world.after(SECOND, Event::Happens(Happening::Start { instance }));
            }
        };
        let factory = Make { world: Arc::clone(&shared), version: lock(&shared).versions };
        let control = Arc::new(Control::new(Arc::new(factory), false, Arc::new(alarm)));
        let mut process = Process {
            instance,
            control: Arc::clone(&control),
            statuses: Vec::new(),
            tasks: Vec::new(),
            lives: true,
            stops: false,
            frozen_until: 0,
        };
        for n in 0..self.slots {
            let task = self.threads.len();
            let status = Arc::new(Status::default());
            let slot = Slot {
                kafka: Arc::new(Site { world: Arc::clone(&shared), task, base: self.base }),
                identity: Identity::new("p", &format!("i{instance}"), n),
                topics: vec![TOPIC.to_owned()],
                control: Arc::clone(&control),
                status: Arc::clone(&status),
                metrics: self.metrics.slot("p", n),
            };
            self.threads.push(generator::Gn::<()>::new_opt(STACK, move || slot.run()));
            process.statuses.push(status);
            process.tasks.push(task);
            let mut world = lock(&shared);
            world.tasks.push((number, 0));
        }
        let mut world = lock(&shared);
        let tasks = process.tasks.clone();
        world.processes.push(process);
        for task in tasks {
            let time = world.rng.below(50 * MS);
            world.wake(task, time);
        }
    }

    /// Everything dies, and what is left is looked at.
    fn finish(mut self) -> Ran {
        let processes = lock(&self.world).processes.len();
        (0..processes).for_each(|process| lock(&self.world).kill(process));
        for (task, thread) in self.threads.iter_mut().enumerate() {
            let resumed = (0..1_000).take_while(|_| !thread.is_done() && thread.resume().is_some()).count();
            if resumed == 1_000 {
                lock(&self.world).checker.violated(format!("slot {task} does not end"));
            }
        }
        let mut world = lock(&self.world);
        let fights = world.late_inits;
        if fights > 10 && self.watches && !self.deletes {
            world.checker.violated(format!("an identity was settled {fights} times although all was calm: a fight"));
        }
        let aborted = world.logs.iter().flat_map(|log| &log.entries).filter(|entry| matches!(entry, Entry::Aborted(_)));
        let aborted = aborted.count();
        world.say(|| format!("the end; {aborted} records of aborted transactions lay between"));
        Ran { violations: std::mem::take(&mut world.checker.violations), trace: world.trace.take().unwrap_or_default() }
    }
}
