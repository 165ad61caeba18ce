//! Who may be struck, and how.

use std::time::Duration;

use promise::link::Mode;
use stack::Service;

/// What may be done to a process.
#[derive(Clone, Copy)]
pub(super) enum Hit {
    /// kill -9.
    Kill,
    /// SIGSTOP, and SIGCONT.
    Pause,
    /// SIGTERM, and a new start.
    Restart,
}

/// What may be done to somebody.
#[derive(Clone, Copy)]
pub(super) enum Deed {
    Process(Hit),
    /// To this one of three brokers.
    Broker(i32, Hit),
    /// A fault of a store, by its name in [`targets`].
    Trouble(&'static str),
    /// A fault of a link.
    Link(&'static str, Mode),
    /// So many seconds ahead.
    Jump(i64),
}

/// To whom.
#[derive(Clone, Copy)]
pub(super) enum Victim {
    /// The stack's own process of it, which the supervisor starts again.
    Own(Service),
    /// The one beside it.
    Beside(usize),
    /// The way of one beside it to Kafka.
    Way(usize),
    /// The clock that the edge and the transforms beside have.
    Clock,
    /// Three brokers, which are one victim: never are two of them away.
    Brokers,
    /// The controller of these.
    Controller,
}

const PROCESS: &[Deed] = &[Deed::Process(Hit::Kill), Deed::Process(Hit::Pause), Deed::Process(Hit::Restart)];
const POSTGRES: &[Deed] = &[
    Deed::Process(Hit::Kill),
    Deed::Process(Hit::Pause),
    Deed::Process(Hit::Restart),
    Deed::Trouble("the role may only read"),
    Deed::Trouble("the password is wrong"),
    Deed::Trouble("the table is locked"),
];
const ELASTICSEARCH: &[Deed] = &[
    Deed::Process(Hit::Kill),
    Deed::Process(Hit::Pause),
    Deed::Process(Hit::Restart),
    Deed::Trouble("the index takes no writes (403)"),
    Deed::Trouble("the disk is said to be full (429)"),
    Deed::Trouble("the index is closed (400)"),
];
const WAY: &[Deed] = &[
    Deed::Link("late", Mode::Delay(Duration::from_millis(300))),
    Deed::Link("cut", Mode::Cut),
    Deed::Link("half-open", Mode::HalfOpen),
    Deed::Link("a trickle", Mode::Throttle(200)),
    Deed::Link("garbled", Mode::Garbage),
];
const COMMITS: &[Deed] = &[
    Deed::Link("cut", Mode::Cut),
    Deed::Link("half-open", Mode::HalfOpen),
    Deed::Link("garbled", Mode::Garbage),
    Deed::Link("without its answers to commits", Mode::LostCommit),
    Deed::Link("12 s late with its answers to commits", Mode::LateCommit(Duration::from_secs(12))),
];
const CLOCK: &[Deed] = &[Deed::Jump(3_600), Deed::Jump(-3_600), Deed::Jump(-7)];
const BROKERS: &[Deed] = &[
    Deed::Broker(1, Hit::Kill),
    Deed::Broker(1, Hit::Pause),
    Deed::Broker(1, Hit::Restart),
    Deed::Broker(2, Hit::Kill),
    Deed::Broker(2, Hit::Pause),
    Deed::Broker(2, Hit::Restart),
    Deed::Broker(3, Hit::Kill),
    Deed::Broker(3, Hit::Pause),
    Deed::Broker(3, Hit::Restart),
];

/// Those beside the stack's own.
pub(super) const BESIDE: [Service; 4] = [Service::Edge, Service::Transforms, Service::Connectors, Service::Connect];
/// Which of them is the second Connect worker. It is the last: a short run has none.
pub(super) const WORKER: usize = 3;

/// In a short run on the stack's own broker. A seed's strikes follow from the order, and from how many they are.
const VICTIMS: [(Victim, &[Deed]); 14] = [
    (Victim::Own(Service::Edge), PROCESS),
    (Victim::Own(Service::Transforms), PROCESS),
    (Victim::Own(Service::Connectors), PROCESS),
    (Victim::Own(Service::Kafka), PROCESS),
    (Victim::Own(Service::Registry), PROCESS),
    (Victim::Own(Service::Connect), PROCESS),
    (Victim::Own(Service::Postgres), POSTGRES),
    (Victim::Own(Service::Elasticsearch), ELASTICSEARCH),
    (Victim::Beside(0), PROCESS),
    (Victim::Beside(1), PROCESS),
    (Victim::Beside(2), PROCESS),
    (Victim::Way(0), WAY),
    (Victim::Way(1), COMMITS),
    (Victim::Clock, CLOCK),
];
const NODES: [(Victim, &[Deed]); 2] = [(Victim::Brokers, BROKERS), (Victim::Controller, PROCESS)];

/// All of a run: with a second worker or without, on three brokers or on the stack's own, to which alone doors lead.
pub(super) fn victims(worker: bool, three: bool) -> Vec<(Victim, &'static [Deed])> {
    let of_own_broker = |victim: Victim| matches!(victim, Victim::Own(Service::Kafka) | Victim::Way(_));
    let usual = VICTIMS.into_iter().filter(|(victim, _)| !(three && of_own_broker(*victim)));
    let worker = worker.then_some((Victim::Beside(WORKER), PROCESS));
    usual.chain(worker).chain(NODES.into_iter().filter(|_| three)).collect()
}

pub(super) fn words(victim: Victim) -> String {
    match victim {
        Victim::Own(service) => service.to_string(),
        Victim::Beside(nth) => format!("{} beside", BESIDE[nth]),
        Victim::Clock => "clock of edge and transforms beside".to_owned(),
        Victim::Way(nth) => format!("{} beside to Kafka", BESIDE[nth]),
        Victim::Brokers => "brokers".to_owned(),
        Victim::Controller => "controller".to_owned(),
    }
}

pub(super) fn name(victim: Victim, deed: Deed, lasts: Duration) -> String {
    let (who, seconds) = (words(victim), lasts.as_secs_f32());
    match deed {
        Deed::Process(hit) => hit.name(&who, seconds),
        Deed::Broker(id, hit) => hit.name(&format!("broker {id}"), seconds),
        Deed::Trouble(what) => format!("{who}: {what} for {seconds:.1} s"),
        Deed::Jump(by) => format!("{who} jumps by {by} s for {seconds:.1} s"),
        Deed::Link(what, _) => format!("{who} is {what} for {seconds:.1} s"),
    }
}

impl Hit {
    fn name(self, who: &str, seconds: f32) -> String {
        match self {
            Self::Kill => format!("kill -9 {who}"),
            Self::Pause => format!("pause {who} for {seconds:.1} s"),
            Self::Restart => format!("restart {who}"),
        }
    }
}
