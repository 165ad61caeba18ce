//! The seam, answered by the simulation: each call travels to the broker, meets a fault perhaps, takes effect or not,
//! and travels back. The slot's thread is a coroutine, and gives way at each of these points; there its process may die,
//! or stand still. What a consumer and a producer answer stands in [`calls`], what a member does in a rebalance in
//! [`member`].

mod calls;
mod member;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::types::RDKafkaErrorCode as Code;
use transforms::control::Control;
use transforms::kafka::seam::{Clients, Clock, Kafka, Offsets};
use transforms::kafka::{Call, Change, Failure, Fault, Identity, Input, Place, Rebalances};

use super::broker::{Positions, failure};
use super::faults::{Defect, Injected, inject};
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
