//! The calls of a consumer and a producer.

use std::time::Duration;

use rdkafka::types::RDKafkaErrorCode as Code;
use transforms::kafka::seam::{Clients, Offsets};
use transforms::kafka::{Call, Failure, Fault, Input, Outgoing, Refusal};

use super::{Pair, VERSION};
use crate::simulation::broker::{Written, failure};
use crate::simulation::faults::{Defect, Injected, inject};
use crate::simulation::world::{Client, Event, MS, SECOND, World};

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
