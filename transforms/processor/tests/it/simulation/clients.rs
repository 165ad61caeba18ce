//! The seam, answered by the simulation: each call travels to the broker, meets a fault perhaps, takes effect or not,
//! and travels back. The slot's thread is a coroutine, and gives way at each of these points; there its process may die,
//! or stand still.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::types::RDKafkaErrorCode as Code;
use transforms::control::Control;
use transforms::kafka::seam::{Clients, Clock, Kafka, Member, Offsets};
use transforms::kafka::{Call, Change, Failure, Fault, Identity, Input, Outgoing, Place, Rebalances, Refusal};

use super::broker::{Positions, Written, failure};
use super::faults::{Defect, Injected, inject};
use super::group::Mode;
use super::world::{Client, Duty, Event, MS, SECOND, Time, World};

pub(super) type Shared = Arc<Mutex<World>>;

pub(super) fn lock(world: &Shared) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) const TOPIC: &str = "in";

/// The header that says which version of the pipeline made a record.
pub(super) const VERSION: &[u8] = b"version";

/// The cluster and the clock as one slot sees them.
#[derive(Clone)]
pub(super) struct Site {
    pub(super) world: Shared,
    pub(super) task: usize,
    pub(super) base: Instant,
}

struct Pair {
    site: Site,
    client: usize,
    rebalances: Arc<Rebalances>,
}

impl Site {
    /// Gives way for so long. Nothing more happens to a process that is dead.
    fn pass(&self, time: Time) {
        {
            let mut world = lock(&self.world);
            if !world.lives(self.task) {
                return;
            }
            world.wake(self.task, time);
        }
        #[expect(deprecated, reason = "its successor needs a scope at hand, and a call of the loop has none")]
        generator::yield_with(());
    }

    fn travel(&self) {
        let time = lock(&self.world).rng.between(50, 2 * MS);
        self.pass(time);
    }

    fn is_dead(&self) -> bool {
        !lock(&self.world).lives(self.task)
    }

    /// A call with all that may befall it. `effect` is what the broker does; `late` says how it looks if it comes late.
    fn call<T>(
        &self,
        call: Call,
        timeout: Duration,
        effect: impl FnOnce(&mut World) -> Result<T, Failure>,
        late: impl FnOnce(&mut World) -> Option<Event>,
    ) -> Result<T, Fault> {
        lock(&self.world).halt(self.task);
        self.travel();
        let dead = || Fault::of_failure(call, &failure(Code::Fatal, "f"));
        let mut world = lock(&self.world);
        if !world.lives(self.task) {
            return Err(dead());
        }
        let rates = world.rates;
        let injected = inject(&mut world.rng, rates, call);
        let task = self.task;
        world.say(|| format!("slot {task}: {call}, {injected:?}"));
        let timeout = u64::try_from(timeout.as_micros()).unwrap();
        let (result, wait) = match injected {
            Injected::Nothing => (effect(&mut world), 0),
            Injected::Slow(time) => {
                drop(world);
                self.pass(time);
                world = lock(&self.world);
                if !world.lives(self.task) {
                    return Err(dead());
                }
                (effect(&mut world), 0)
            }
            Injected::Refused(failure) => (Err(failure), 0),
            Injected::Lost(failure) => (Err(failure), timeout),
            Injected::Unanswered(failure) => {
                let fatal = effect(&mut world).err().filter(|failure| failure.fatal);
                (Err(fatal.unwrap_or(failure)), timeout)
            }
            Injected::Late(failure, time) => {
                if let Some(event) = late(&mut world) {
                    world.after(time, event);
                }
                (Err(failure), timeout.min(world.rng.between(MS, 3 * SECOND)))
            }
        };
        if let Err(failure) = &result {
            world.say(|| format!("slot {task}: {call} says {failure:?}"));
        }
        world.halt(task);
        drop(world);
        if wait > 0 {
            self.pass(wait);
        } else {
            self.travel();
        }
        if self.is_dead() {
            return Err(dead());
        }
        result.map_err(|failure| Fault::of_failure(call, &failure))
    }
}

impl Clock for Site {
    fn now(&self) -> Instant {
        self.base + Duration::from_micros(lock(&self.world).now)
    }

    fn sleep(&self, time: Duration) {
        self.pass(u64::try_from(time.as_micros()).unwrap());
    }

    fn wait(&self, _: &Control, time: Duration) {
        self.sleep(time);
    }
}

impl Kafka for Site {
    fn open(&self, identity: &Identity, _: &[String], rebalances: Arc<Rebalances>) -> Result<Box<dyn Clients>, Fault> {
        let name = identity.slot().to_owned();
        let client = self.call(
            Call::Open,
            Duration::ZERO,
            |world| {
                let process = world.tasks[self.task].0;
                world.clients.push(Client { process, name, generation: -1, ..Client::default() });
                Ok(world.clients.len() - 1)
            },
            |_| None,
        )?;
        Ok(Box::new(Pair { site: self.clone(), client, rebalances }))
    }

    fn members(&self, _: &Identity) -> Result<Vec<String>, Fault> {
        self.call(
            Call::Members,
            Duration::from_secs(3),
            |world| Ok(if world.defect == Some(Defect::FightsOn) { Vec::new() } else { world.group.members() }),
            |_| None,
        )
    }

    fn beside(&self, _: Box<dyn FnOnce() + Send>) {}
}

// === impl Pair ===

impl Pair {
    fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.site.world)
    }

    /// A call of the producer: one that is of no use says so.
    fn ask<T>(
        &self,
        call: Call,
        timeout: Duration,
        effect: impl FnOnce(&mut World) -> Result<T, Failure>,
        late: impl FnOnce(&mut World) -> Option<Event>,
    ) -> Result<T, Fault> {
        let done = self.site.call(call, timeout, effect, late);
        if let Err(fault) = &done
            && fault.action() == transforms::kafka::Action::AbortAndRewind
        {
            self.world().clients[self.client].must_abort = true;
        }
        done
    }

    fn positions(&self, next: &Offsets) -> Positions {
        next.iter().map(|(place, at)| (place.partition, *at)).collect()
    }

    fn input(&self, (partition, offset, id): (i32, i64, u64)) -> Input {
        Input {
            topic: Arc::from(TOPIC),
            partition,
            offset,
            timestamp_ms: None,
            key: Some(partition.to_le_bytes().to_vec()),
            value: Some(id.to_le_bytes().to_vec()),
            headers: Vec::new(),
        }
    }

    /// Lets partitions come and go as long as there is something of it to do.
    fn serve(&self) -> Result<(), Failure> {
        loop {
            let duty = self.world().duty(self.client);
            let places = |of: &BTreeSet<i32>| -> Vec<Place> {
                of.iter().map(|partition| Place { topic: Arc::from(TOPIC), partition: *partition }).collect()
            };
            let hides = self.world().defect == Some(Defect::HidesRebalances);
            match duty {
                None => return Ok(()),
                Some(Duty::Fail(failure)) => return Err(failure),
                Some(Duty::Revoke(partitions)) => {
                    self.say(|| format!("gives back {partitions:?}"));
                    if !hides {
                        self.rebalances.change(self, Change::Revoked, &places(&partitions));
                    }
                    self.world().given_back(self.client, &partitions);
                }
                Some(Duty::Assign(partitions)) => {
                    self.say(|| format!("gets {partitions:?}"));
                    self.world().taken(self.client, &partitions);
                    if !hides || self.world().clients[self.client].reads.is_empty() {
                        self.rebalances.change(self, Change::Assigned, &places(&partitions));
                    }
                }
            }
            if self.site.is_dead() {
                return Err(failure(Code::Fatal, "f"));
            }
        }
    }

    fn say(&self, what: impl FnOnce() -> String) {
        let task = self.site.task;
        self.world().say(|| format!("slot {task} {}", what()));
    }

    fn fetch(&self) -> Option<Result<Input, Failure>> {
        let fetched = self.world().fetch(self.client)?;
        Some(fetched.map(|record| self.input(record)))
    }
}

impl Clients for Pair {
    fn init_transactions(&self, timeout: Duration) -> Result<(), Fault> {
        let client = self.client;
        self.ask(
            Call::Init,
            timeout,
            |world| {
                let name = world.clients[client].name.clone();
                let (then, epoch) = world.coordinator.init(&name);
                world.then(&name, &then);
                world.clients[client].epoch = epoch?;
                world.holders.insert(name, client);
                world.late_inits += u64::from(world.calm_since.is_some_and(|calm| calm + 30 * SECOND < world.now));
                Ok(())
            },
            |_| None,
        )
    }

    fn poll(&self, timeout: Duration) -> Option<Result<Input, Fault>> {
        let fault = |failure: &Failure| Some(Err(Fault::of_failure(Call::Poll, failure)));
        if self.site.is_dead() {
            return fault(&failure(Code::Fatal, "f"));
        }
        let injected = {
            let mut world = self.world();
            let rates = world.rates;
            inject(&mut world.rng, rates, Call::Poll)
        };
        match injected {
            Injected::Refused(failure) => {
                self.say(|| format!("polls and gets {failure:?}"));
                return fault(&failure);
            }
            Injected::Slow(time) => self.site.pass(time),
            Injected::Nothing | Injected::Lost(_) | Injected::Late(..) | Injected::Unanswered(_) => {}
        }
        if let Err(failure) = self.serve() {
            return fault(&failure);
        }
        let mut fetched = self.fetch();
        if fetched.is_none() && !timeout.is_zero() {
            let time = self.world().rng.between(MS, u64::try_from(timeout.as_micros()).unwrap().max(2 * MS));
            self.site.pass(time);
            if let Err(failure) = self.serve() {
                return fault(&failure);
            }
            fetched = self.fetch();
        }
        fetched.map(|record| record.map_err(|failure| Fault::of_failure(Call::Poll, &failure)))
    }

    fn assignment_lost(&self) -> bool {
        let mut world = self.world();
        // The client may not have heard of it yet.
        if world.rng.chance(500) {
            world.heartbeat(self.client);
        }
        world.clients[self.client].lost
    }

    fn begin_transaction(&self) -> Result<(), Fault> {
        let client = self.client;
        self.ask(
            Call::Begin,
            Duration::ZERO,
            |world| {
                let one = &mut world.clients[client];
                if std::mem::replace(&mut one.in_transaction, true) {
                    return Err(failure(Code::State, ""));
                }
                one.must_abort = false;
                Ok(())
            },
            |_| None,
        )
    }

    fn produce(&self, output: &Outgoing) -> Result<(), Fault> {
        let number = |bytes: &Option<Vec<u8>>| u64::from_le_bytes(bytes.as_deref().unwrap().try_into().unwrap());
        let partition = i32::from_le_bytes(output.key.as_deref().unwrap().try_into().unwrap());
        let version = output.headers.iter().find(|(name, _)| name == VERSION).map(|(_, value)| number(value)).unwrap();
        let record = Written { partition, id: number(&output.value), dead: &*output.topic == "dead", version };
        let mut world = self.world();
        let rates = world.rates;
        // It does not travel: the producer's queue takes it, and sends it on its own.
        if let Injected::Refused(failure) = inject(&mut world.rng, rates, Call::Produce) {
            let one = &mut world.clients[self.client];
            one.must_abort |= failure.requires_abort;
            return Err(Fault::of_failure(Call::Produce, &failure));
        }
        world.clients[self.client].queue.push(record);
        // What goes wrong with that, the commit says.
        let _told_by_the_commit = if world.rng.chance(300) { world.deliver(self.client) } else { Ok(()) };
        Ok(())
    }

    fn send_offsets(&self, next: &Offsets, timeout: Duration) -> Result<(), Fault> {
        let mut offsets = self.positions(next);
        let (client, defect) = (self.client, self.world().defect);
        match defect {
            Some(Defect::OffsetOfTheLast) => offsets.values_mut().for_each(|at| *at -= 1),
            Some(Defect::OffsetTooFar) => offsets.values_mut().for_each(|at| *at += 1),
            _ => {}
        }
        let late = Event::LateOffsets { client, offsets: offsets.clone() };
        self.ask(
            Call::SendOffsets,
            timeout,
            |world| match world.clients[client].must_abort {
                true => Err(failure(Code::State, "a")),
                false => world.add_offsets(client).and_then(|()| world.commit_offsets(client, &offsets)),
            },
            |world| world.add_offsets(client).ok().map(|()| late),
        )
    }

    fn commit_transaction(&self, timeout: Duration) -> Result<(), Fault> {
        let client = self.client;
        let done = self.ask(
            Call::Commit,
            timeout,
            |world| {
                if world.defect == Some(Defect::CommitsUndelivered) {
                    world.clients[client].queue.clear();
                } else if world.clients[client].must_abort {
                    return Err(failure(Code::State, "a"));
                } else {
                    world.deliver(client)?;
                }
                let (name, epoch) = (world.clients[client].name.clone(), world.clients[client].epoch);
                world.end(&name, epoch, true)?;
                if world.holders.get(&name) != Some(&client) {
                    world.checker.violated(format!("{name} is committed for by one that was fenced"));
                }
                world.clients[client].in_transaction = false;
                Ok(())
            },
            |world| {
                // Delivered it is; what comes late is the end.
                world.deliver(client).ok()?;
                let one = &world.clients[client];
                Some(Event::LateEnd { name: one.name.clone(), epoch: one.epoch, commits: true })
            },
        );
        let (defect, indefinite) = (self.world().defect, transforms::kafka::Signal::Indefinite);
        match (done, defect) {
            (Err(fault), Some(Defect::TakesSilenceForYes)) if fault.signal == indefinite => {
                self.world().clients[client].in_transaction = false;
                Ok(())
            }
            (Err(fault), Some(Defect::KeepsTheProducer)) if fault.signal == indefinite => {
                Err(Fault { signal: transforms::kafka::Signal::RequiresAbort, ..fault })
            }
            (done, _) => done,
        }
    }

    fn abort_transaction(&self, timeout: Duration) -> Result<(), Fault> {
        let client = self.client;
        let ended = move |world: &mut World| {
            let one = &mut world.clients[client];
            one.queue.clear();
            (one.in_transaction, one.must_abort) = (false, false);
            (one.name.clone(), one.epoch)
        };
        self.ask(
            Call::Abort,
            timeout,
            move |world| {
                let (name, epoch) = (world.clients[client].name.clone(), world.clients[client].epoch);
                if world.defect != Some(Defect::NoAbort) {
                    world.end(&name, epoch, false)?;
                }
                ended(world);
                Ok(())
            },
            |world| {
                let one = &world.clients[client];
                Some(Event::LateEnd { name: one.name.clone(), epoch: one.epoch, commits: false })
            },
        )
    }

    fn refusal(&self) -> Option<Refusal> {
        let mut world = self.world();
        let refusal = world.clients[self.client].refusal.take();
        refusal.filter(|_| world.defect != Some(Defect::ForgetsRefusals))
    }

    fn seek(&self, next: &Offsets, timeout: Duration) -> Result<(), Fault> {
        let (client, positions) = (self.client, self.positions(next));
        self.site.call(
            Call::Seek,
            timeout,
            |world| {
                if world.defect == Some(Defect::NoRewind) {
                    return Ok(());
                }
                for (partition, at) in positions {
                    let reads = world.clients[client].reads.get_mut(&partition);
                    *reads.ok_or_else(|| failure(Code::State, ""))? = at;
                }
                Ok(())
            },
            |_| None,
        )
    }

    fn pause(&self, paused: bool) -> Result<(), Fault> {
        if self.site.is_dead() {
            return Err(Fault::of_failure(Call::Seek, &failure(Code::Fatal, "f")));
        }
        let mut world = self.world();
        let Client { reads, paused: those, .. } = &mut world.clients[self.client];
        match paused {
            true => those.extend(reads.keys()),
            false => those.retain(|partition| !reads.contains_key(partition)),
        }
        Ok(())
    }

    fn member_id(&self) -> Option<String> {
        self.world().clients[self.client].id.clone()
    }

    fn close(self: Box<Self>) -> bool {
        self.site.travel();
        let mut world = self.world();
        world.close(self.client);
        let (task, rates) = (self.site.task, world.rates);
        world.say(|| format!("slot {task} closes its clients"));
        !(world.lives(task) && world.rng.chance(rates.call / 4))
    }
}

impl Member for Pair {
    fn is_incremental(&self) -> bool {
        self.world().group.mode != Mode::Eager
    }

    fn is_lost(&self) -> bool {
        self.world().clients[self.client].lost
    }

    fn committed(&self, places: &[Place]) -> Result<Vec<(Place, Option<i64>)>, Fault> {
        // librdkafka asks again for as long as an offset is not stable, up to the time-out.
        let asked = places.to_vec();
        let done = self.site.call(
            Call::Assign,
            Duration::from_secs(5),
            |world| {
                let stable = |place: &Place| !world.coordinator.is_unstable(place.partition);
                if world.defect != Some(Defect::Impatient) && !asked.iter().all(stable) {
                    return Err(failure(Code::OperationTimedOut, ""));
                }
                let offset = |place: Place| {
                    let at = world.group.offsets.get(&place.partition).copied();
                    (place, at)
                };
                Ok(asked.into_iter().map(offset).collect())
            },
            |_| None,
        );
        match done {
            Err(_) if self.world().defect == Some(Defect::GuessesPositions) => {
                Ok(places.iter().map(|place| (place.clone(), None)).collect())
            }
            done => done,
        }
    }

    fn log(&self, place: &Place) -> Result<(i64, i64), Fault> {
        let at = usize::try_from(place.partition).unwrap();
        self.site.call(
            Call::Assign,
            Duration::from_secs(5),
            |world| {
                let log = &world.logs[at];
                Ok(if world.defect == Some(Defect::SkipsGaps) { (0, log.end()) } else { (log.start, log.end()) })
            },
            |_| None,
        )
    }

    fn commit(&self, next: &Offsets) -> Result<(), Fault> {
        let (client, next) = (self.client, self.positions(next));
        self.site.call(
            Call::Assign,
            Duration::from_secs(5),
            |world| {
                let card = world.card(client);
                world.group.admits(&card)?;
                world.checker.started(&next, &world.logs, &mut world.group.offsets);
                Ok(())
            },
            |_| None,
        )
    }

    fn assign(&self, next: &Offsets) -> Result<(), Fault> {
        let next = self.positions(next);
        let mut world = self.world();
        let eager = world.group.mode == Mode::Eager;
        let stays = world.defect == Some(Defect::StaysPaused);
        let one = &mut world.clients[self.client];
        if eager {
            one.reads.clear();
        }
        if !stays {
            one.paused.retain(|partition| !next.contains_key(partition));
        }
        one.reads.extend(next);
        Ok(())
    }

    fn unassign(&self, places: &[Place]) -> Result<(), Fault> {
        let mut world = self.world();
        let eager = world.group.mode == Mode::Eager;
        let reads = &mut world.clients[self.client].reads;
        reads.retain(|partition, _| !eager && places.iter().all(|place| place.partition != *partition));
        Ok(())
    }
}
