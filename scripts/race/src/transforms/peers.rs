//! `scripts/bench transforms --peers`: our transforms beside Kafka Streams with the same rules, on the same real broker and
//! registry. Each run is a fresh process and a fresh group over the same records, by turns, and all write the same.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use schemas::names::topics;
use service_kit::Tasks;
use stack::{deploy, progress::Progress};

use super::{Bench, Options, Stage, judges, servers, service};
use crate::{
    machine::Machine,
    peers::{self, Built, Program, Settings},
    process::Process,
    report::{Found, Report, progress},
};

mod contest;
mod life;
mod orders;
mod same;

/// Transforms in other tools.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Peer {
    /// A topology of Kafka Streams.
    Streams,
}

impl Peer {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::Streams];

    pub(crate) fn program(self) -> Program {
        match self {
            Self::Streams => Program::Java("transforms-streams/transforms-streams.jar"),
        }
    }

    /// As its documentation has it; then with our commit interval and linger and the collector for throughput, exactly
    /// and at least once.
    pub(crate) fn settings(self) -> Vec<Settings> {
        let Self::Streams = self;
        let tuned = ["-Xmx512m", "-XX:+UseParallelGC"];
        let equal = |guarantee| {
            [
                ("GUARANTEE", guarantee),
                ("STREAMS_COMMIT_INTERVAL_MS", "20"),
                ("STREAMS_PRODUCER_LINGER_MS", "2"),
                ("STREAMS_PRODUCER_RETRY_BACKOFF_MS", "5"),
                ("STREAMS_PRODUCER_BATCH_SIZE", "131072"),
                ("STREAMS_MAX_POLL_RECORDS", "5000"),
                // As ours: a process that comes back is the same member, one that does not is missed within six seconds.
                ("STREAMS_CONSUMER_GROUP_INSTANCE_ID", "race"),
                ("STREAMS_CONSUMER_SESSION_TIMEOUT_MS", "6000"),
            ]
        };
        vec![
            Settings::new("Streams exactly once, plain", &["-Xmx512m"], &[("GUARANTEE", "exactly_once_v2")]),
            Settings::new("Streams exactly once, tuned, 20 ms", &tuned, &equal("exactly_once_v2")),
            Settings::new("Streams at least once, tuned, 20 ms", &tuned, &equal("at_least_once")),
        ]
    }
}

/// Who transforms.
#[derive(Clone, Debug)]
enum Who {
    Ours,
    Peer(Peer, Settings),
}

impl Who {
    fn name(&self) -> &'static str {
        match self {
            Self::Ours => "ours, exactly once",
            Self::Peer(_, settings) => settings.name,
        }
    }

    fn is_exactly_once(&self) -> bool {
        self.name().contains("exactly once")
    }
}

/// What depends on the length, beside peers.
impl Options {
    fn has(&self, who: &Who) -> bool {
        self.length.pick([true, true, who.is_exactly_once()])
    }

    /// Lives of each program, with a kill in it.
    fn lives(&self) -> usize {
        self.length.full_or(3, 2)
    }

    fn left_out_beside_peers(&self) -> Option<String> {
        self.length.left_out(
            "latencies and kill -9 (`--only latency` has both); Kafka Streams at least once; more than two rounds; of the \
             records four in five",
        )
    }
}

/// A program that transforms as a group of its own.
struct Running {
    /// Ours is told to give up its pipeline before it is ended.
    ours: Option<service::Service>,
    peer: Option<Process>,
    group: String,
}

impl Running {
    fn process(&self) -> anyhow::Result<&Process> {
        let ours = self.ours.as_ref().map(|service| &service.process);
        ours.or(self.peer.as_ref()).context("nothing runs")
    }

    fn started(&self) -> anyhow::Result<Instant> {
        Ok(self.process()?.started)
    }

    async fn end(mut self) -> anyhow::Result<()> {
        match &mut self.ours {
            Some(service) => service.delete(&self.group).await,
            None => Ok(()),
        }
    }
}

/// What all of it runs on.
struct Field {
    bench: Bench,
    built: Built,
    servers: peers::Servers,
}

/// Runs all of it.
///
/// # Errors
/// When a peer cannot be built, outputs differ, or something cannot be measured at all.
pub async fn run(options: Options, peers: &[Peer], dir: &Path) -> anyhow::Result<Report> {
    let machine = Machine::now();
    progress("building the peers");
    let (into, modules) = (dir.join("peers"), options.dir.join("modules"));
    let programs: Vec<Program> = peers.iter().map(|peer| peer.program()).collect();
    let built = tokio::task::spawn_blocking(move || Built::ensure(&into, &programs)).await??;
    progress("starting Kafka and the registry, and building the modules");
    let servers = peers::Servers::start(options.dir.join("stack")).await?;
    let stack = stack::Options::private(options.dir.join("stack"), []);
    let to = modules.clone();
    tokio::task::spawn_blocking(move || deploy::build_modules(&stack, &to, &Progress::default())).await??;
    let ours = servers::Servers::beside(servers.kafka.clone(), servers.registry.clone(), modules);
    let bench = Bench { options, servers: ours, _tasks: Tasks::new() };
    let field = Field { bench, built, servers };

    let peers =
        peers.iter().flat_map(|peer| peer.settings().into_iter().map(move |settings| Who::Peer(*peer, settings)));
    let options = &field.bench.options;
    let all: Vec<Who> = std::iter::once(Who::Ours).chain(peers).filter(|who| options.has(who)).collect();
    progress("comparing outputs");
    let notes = same::check(&field, &all).await.context("the outputs differ, so nothing is measured")?;
    let mut found = Found { notes, ..Found::default() };
    found.notes.extend(options.left_out_beside_peers());
    let wants = |stages: &[Stage]| options.length.runs(&options.only, stages);
    // First: each of them begins with the first record of the topic, and the contest writes many.
    if wants(&[Stage::Latency, Stage::Recovery]) {
        found.extend(life::measure(&field, &all).await?);
    }
    if wants(&[Stage::Throughput]) {
        found.extend(contest::measure(&field, &all).await?);
    }
    let setting = field.setting(&all);
    Ok(Report::new("transforms-peers", machine, setting, found))
}

/// Where a peer of the transforms finds all that it needs, and what it makes of orders.
pub(crate) fn addresses(kafka: &str, registry_api: &str, dir: &Path) -> Vec<(&'static str, String)> {
    let parameters = judges::parameters();
    let of = |name: &str| parameters.get(name).cloned().unwrap_or_default();
    vec![
        ("KAFKA", kafka.to_owned()),
        ("REGISTRY", registry_api.to_owned()),
        ("INPUT", topics::ORDERS_RECEIVED.to_owned()),
        ("OUTPUT", topics::ORDER_PLACED.to_owned()),
        ("STREAMS_STATE_DIR", dir.join("state").display().to_string()),
        ("HOME_CURRENCY", of("home.currency")),
        ("RATES", of("rates")),
    ]
}

impl Field {
    /// Starts it with this group, from the first record on.
    async fn start(&self, who: &Who, group: &str) -> anyhow::Result<Running> {
        let group = group.to_owned();
        match who {
            Who::Ours => {
                let mut service = service::Service::start(&self.bench, &group).await?;
                service.upload(&self.bench).await?;
                service.put_as(&group, &service::config(1)).await?;
                Ok(Running { ours: Some(service), peer: None, group })
            }
            Who::Peer(peer, settings) => {
                let dir = &self.bench.options.dir;
                let mut addresses = addresses(&self.servers.kafka, &self.servers.registry_api, dir);
                addresses.push(("APPLICATION_ID", group.clone()));
                let log = dir.join(format!("{group}.log"));
                let process = self.built.start(peer.program(), settings, &addresses, &log)?;
                Ok(Running { ours: None, peer: Some(process), group })
            }
        }
    }

    /// Starts it again in its place: it knows what it has to do.
    async fn restart(&self, who: &Who, group: &str) -> anyhow::Result<Running> {
        match who {
            Who::Ours => {
                let service = service::Service::start(&self.bench, group).await?;
                Ok(Running { ours: Some(service), peer: None, group: group.to_owned() })
            }
            Who::Peer(..) => self.start(who, group).await,
        }
    }

    /// Starts it, and waits until it has committed all records up to here.
    async fn drain(&self, who: &Who, group: &str, records: i64, within: Duration) -> anyhow::Result<Running> {
        let running = self.start(who, group).await?;
        let until = Instant::now() + within;
        let mut progress = contest::Committed::of(&self.servers.kafka, group)?;
        while progress.now().await? < records {
            ensure!(Instant::now() < until, "{} has not committed {records} records in {within:?}", who.name());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(running)
    }

    fn setting(&self, all: &[Who]) -> Vec<(&'static str, String)> {
        let mut setting = vec![
            ("broker", "Apache Kafka in a JVM on the same machine, 12 partitions, acks=all".to_owned()),
            ("registry", "Apicurio, the same for all".to_owned()),
            ("rules", "clean and enrich with three rates".to_owned()),
            ("length", self.bench.options.length.to_string()),
        ];
        setting.extend(all.iter().map(|who| match who {
            Who::Ours => {
                (who.name(), "as shipped: one task, linger 2 ms, a commit every 20 ms or 5,000 records".to_owned())
            }
            Who::Peer(_, settings) => (who.name(), format!("one thread, {settings}")),
        }));
        setting
    }
}
