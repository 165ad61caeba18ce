//! Everything that is outside of the slots: time, the broker, the group, the state of each client as librdkafka's own
//! threads have it, and what is to happen when. One run is one world, and all of it follows from the seed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use transforms::control::Control;
use transforms::kafka::{Failure, Refusal};
use transforms::status::Status;

use super::broker::{Coordinator, Log, Positions, Written};
use super::checker::Checker;
use super::faults::{Defect, Rates};
use super::group::{Card, Group};
use super::rng::Rng;

/// Microseconds.
pub(super) type Time = u64;
pub(super) const MS: Time = 1_000;
pub(super) const SECOND: Time = 1_000 * MS;
const SESSION: Time = 6 * SECOND;

/// What is to happen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// A slot goes on, unless it was woken for another reason since.
    Wake {
        task: usize,
        stamp: u64,
    },
    /// A request arrives that its client gave up long ago.
    LateEnd {
        name: String,
        epoch: i32,
        commits: bool,
    },
    LateOffsets {
        client: usize,
        offsets: Positions,
    },
    Markers {
        name: String,
    },
    TransactionTimeout {
        name: String,
        number: u64,
    },
    SessionTimeout {
        client: usize,
    },
    /// Somebody writes to the input.
    Input {
        partition: usize,
    },
    Happens(Happening),
}

/// What happens to processes, by their number, and to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Happening {
    Start {
        instance: usize,
    },
    Kill {
        process: usize,
        back_after: Option<Time>,
    },
    Stop {
        process: usize,
        back_after: Time,
    },
    Freeze {
        process: usize,
        time: Time,
    },
    Pause {
        process: usize,
        time: Time,
    },
    Resume {
        process: usize,
    },
    Restart {
        process: usize,
    },
    Change {
        process: usize,
    },
    /// The group loses a member that lives.
    Expire {
        pick: u64,
    },
    /// Retention deletes the oldest records of a partition.
    Delete {
        partition: usize,
        records: i64,
    },
    /// An operator accepts the gaps that are shown.
    Accept,
    /// Nothing goes wrong any more.
    Calm,
}

pub(super) struct Process {
    pub(super) instance: usize,
    pub(super) control: Arc<Control>,
    pub(super) statuses: Vec<Arc<Status>>,
    pub(super) tasks: Vec<usize>,
    pub(super) lives: bool,
    /// Whether it was told to end.
    pub(super) stops: bool,
    pub(super) frozen_until: Time,
}

/// A consumer and a producer.
#[derive(Debug, Default)]
pub(super) struct Client {
    pub(super) process: usize,
    pub(super) name: String,
    pub(super) closed: bool,
    // The consumer.
    pub(super) id: Option<String>,
    pub(super) generation: i32,
    /// What the group gave.
    pub(super) held: BTreeSet<i32>,
    /// What is read, and where.
    pub(super) reads: Positions,
    pub(super) paused: BTreeSet<i32>,
    pub(super) lost: bool,
    pub(super) fatal: Option<Failure>,
    /// The first card that it had, for the defect that shows no other.
    pub(super) first_card: Option<Card>,
    // The producer.
    pub(super) epoch: i32,
    pub(super) in_transaction: bool,
    pub(super) must_abort: bool,
    pub(super) queue: Vec<Written>,
    pub(super) refusal: Option<Refusal>,
}

/// What a poll must do before it fetches.
pub(super) enum Duty {
    Revoke(BTreeSet<i32>),
    Assign(BTreeSet<i32>),
    Fail(Failure),
}

pub(super) struct World {
    pub(super) now: Time,
    order: u64,
    queue: BinaryHeap<Reverse<(Time, u64, Event)>>,
    pub(super) rng: Rng,
    pub(super) rates: Rates,
    pub(super) defect: Option<Defect>,
    /// The newest version of the pipeline.
    pub(super) versions: u64,
    pub(super) logs: Vec<Log>,
    pub(super) coordinator: Coordinator,
    pub(super) group: Group,
    pub(super) clients: Vec<Client>,
    pub(super) processes: Vec<Process>,
    /// The process of each slot's thread, and when it is woken.
    pub(super) tasks: Vec<(usize, u64)>,
    pub(super) checker: Checker,
    /// Who settled an identity last.
    pub(super) holders: BTreeMap<String, usize>,
    pub(super) calm_since: Option<Time>,
    /// Identities settled a good while after the calm: a fight, if there are many.
    pub(super) late_inits: u64,
    pub(super) inputs: u64,
    pub(super) trace: Option<Vec<String>>,
}

impl World {
    pub(super) fn new(rng: Rng, group: Group, rates: Rates, defect: Option<Defect>, traced: bool) -> Self {
        Self {
            now: 0,
            order: 0,
            queue: BinaryHeap::new(),
            rng,
            rates,
            defect,
            versions: 0,
            logs: Vec::new(),
            coordinator: Coordinator::default(),
            group,
            clients: Vec::new(),
            processes: Vec::new(),
            tasks: Vec::new(),
            checker: Checker::default(),
            holders: BTreeMap::new(),
            calm_since: None,
            late_inits: 0,
            inputs: 0,
            trace: traced.then(Vec::new),
        }
    }

    /// Adds a line to the trace, if there is one.
    pub(super) fn say(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let (s, us) = (self.now / SECOND, self.now % SECOND);
            trace.push(format!("{s:>4}.{us:06}  {}", line()));
        }
    }

    pub(super) fn after(&mut self, time: Time, event: Event) {
        self.order += 1;
        self.queue.push(Reverse((self.now + time, self.order, event)));
    }

    pub(super) fn next(&mut self) -> Option<Event> {
        let Reverse((at, _, event)) = self.queue.pop()?;
        self.now = at;
        Some(event)
    }

    pub(super) fn wake(&mut self, task: usize, time: Time) {
        self.order += 1;
        self.tasks[task].1 = self.order;
        let stamp = self.order;
        self.queue.push(Reverse((self.now + time, self.order, Event::Wake { task, stamp })));
    }

    /// Whether the slot may go on now; one of a process that stands still is woken later.
    pub(super) fn may_go_on(&mut self, task: usize, stamp: u64) -> bool {
        let (process, last) = self.tasks[task];
        let frozen = self.processes[process].frozen_until;
        if last == stamp && frozen > self.now && self.processes[process].lives {
            self.wake(task, frozen - self.now);
            return false;
        }
        last == stamp
    }

    pub(super) fn lives(&self, task: usize) -> bool {
        self.processes[self.tasks[task].0].lives
    }

    pub(super) fn is_calm(&self) -> bool {
        self.calm_since.is_some()
    }

    /// Everything ends that a process had.
    pub(super) fn kill(&mut self, process: usize) {
        let Process { lives, control, tasks, .. } = &mut self.processes[process];
        if !std::mem::replace(lives, false) {
            return;
        }
        control.stop();
        for task in tasks.clone() {
            self.wake(task, 0);
        }
        self.silent(process);
    }

    /// Perhaps the process ends here, or stands still for a while.
    pub(super) fn halt(&mut self, task: usize) {
        let process = self.tasks[task].0;
        if !self.rng.chance(self.rates.halt) || !self.processes[process].lives {
            return;
        }
        if self.rng.chance(500) {
            let (instance, back_after) = (self.processes[process].instance, self.rng.between(10 * MS, 4 * SECOND));
            self.say(|| format!("process {process} dies in this call of slot {task}"));
            self.kill(process);
            self.after(back_after, Event::Happens(Happening::Start { instance }));
        } else {
            let time = self.rng.between(SECOND, 20 * SECOND);
            self.say(|| format!("process {process} stands still in this call of slot {task}, for {time} us"));
            self.freeze(process, time);
        }
    }

    pub(super) fn freeze(&mut self, process: usize, time: Time) {
        self.processes[process].frozen_until = self.now + time;
        self.silent(process);
    }

    /// No heartbeat comes of this process any more, or for a while.
    pub(super) fn silent(&mut self, process: usize) {
        let silent: Vec<usize> = (0..self.clients.len()).filter(|at| self.clients[*at].process == process).collect();
        silent.into_iter().for_each(|client| self.after(SESSION, Event::SessionTimeout { client }));
    }

    pub(super) fn close(&mut self, client: usize) {
        self.clients[client].closed = true;
        self.after(SESSION, Event::SessionTimeout { client });
    }

    pub(super) fn is_silent(&self, client: usize) -> bool {
        let Client { process, closed, fatal, .. } = &self.clients[client];
        let Process { lives, frozen_until, .. } = &self.processes[*process];
        *closed || fatal.is_some() || !*lives || *frozen_until > self.now
    }

    pub(super) fn card(&mut self, client: usize) -> Card {
        let Client { name, id, generation, first_card, .. } = &mut self.clients[client];
        let card = Card { name: name.clone(), id: id.clone(), generation: *generation };
        if self.defect == Some(Defect::StaleMetadata) {
            return first_card.get_or_insert(card).clone();
        }
        card
    }

    /// Events of the broker.
    pub(super) fn happen(&mut self, event: Event) {
        match event {
            Event::LateEnd { name, epoch, commits } => {
                let done = self.end(&name, epoch, commits).is_ok();
                self.say(|| format!("a late end of {name}, commits: {commits}, took effect: {done}"));
            }
            Event::LateOffsets { client, offsets } => {
                let done = self.commit_offsets(client, &offsets).is_ok();
                self.say(|| format!("late offsets {offsets:?} of client {client} took effect: {done}"));
            }
            Event::Markers { name } => {
                let Some(ended) = self.coordinator.marked(&name) else { return };
                self.say(|| format!("the broker ends a transaction of {name}: {ended:?}"));
                if ended.commits {
                    self.checker.committed(&ended, &self.logs, &mut self.group.offsets);
                }
            }
            Event::TransactionTimeout { name, number } => {
                let then = self.coordinator.times_out(&name, number);
                self.then(&name, &then);
            }
            Event::SessionTimeout { client } => {
                let id = self.clients[client].id.clone();
                if self.is_silent(client)
                    && let Some(id) = id
                    && self.group.expire(&self.clients[client].name.clone(), &id)
                {
                    self.say(|| format!("the session of {id} is over"));
                }
            }
            Event::Input { partition } => self.write(partition),
            Event::Wake { .. } | Event::Happens(_) => {}
        }
    }

    /// Whether nothing is left to do.
    pub(super) fn is_done(&self) -> bool {
        let rest = |(partition, log): (usize, &Log)| {
            let from = self.group.offsets.get(&i32::try_from(partition).unwrap()).copied().unwrap_or(0);
            log.records(from.max(log.start), log.end()).count()
        };
        self.coordinator.is_quiet() && self.logs.iter().enumerate().map(rest).sum::<usize>() == 0
    }
}
