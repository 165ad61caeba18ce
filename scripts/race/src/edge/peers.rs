//! `scripts/bench edge --peers`: our edge beside the same edge in other tools, on the same real broker and registry.
//!
//! All programs stay up, so that a JVM keeps what it has learnt; only one at a time gets a load, by turns.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use service_kit::Tasks;

use super::{Bench, Options};
use crate::{
    kafka::Kafka,
    load::Client,
    machine::Machine,
    orders::{Ids, Request},
    peers::{Built, Program, Servers, Settings},
    process::{Process, free_address},
    report::{Found, Report, progress},
};

mod bodies;
mod contest;
mod peer;
mod same;

pub use peer::Peer;

/// A program that takes no order by then does not work.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program that takes orders.
struct Runner {
    /// Whose it is; none is ours.
    peer: Option<Peer>,
    settings: Settings,
    process: Process,
    address: SocketAddr,
    /// From the start of the process to the first order that was answered 202.
    first_order_after: Duration,
}

/// What all of it runs on.
struct Field {
    bench: Bench,
    built: Built,
    servers: Servers,
    dir: PathBuf,
}

/// What depends on the length, beside peers.
impl Options {
    /// Ordinary orders that are compared of each program.
    fn singles(&self) -> usize {
        self.length.full_or(1_000, 200)
    }

    /// How long a program has load before it counts: what is compiled as it runs, above all, needs it.
    fn warm_up(&self, runner: &Runner) -> Duration {
        Duration::from_secs(self.length.full_or(60, if runner.is_on_a_jvm() { 8 } else { 1 }))
    }

    /// Orders a second, far from what any of them can do.
    fn rates(&self) -> &'static [f64] {
        const RATES: &[f64] = &[100.0, 500.0];
        const ONE: &[f64] = &[500.0];
        self.length.full_or(RATES, ONE)
    }

    /// Rounds at each of them.
    fn rounds_at_rates(&self) -> usize {
        self.length.full_or(self.pairs, 1)
    }

    /// Starts of each program without the others in memory.
    fn starts(&self) -> usize {
        self.length.full_or(3, 0)
    }

    fn left_out_beside_peers(&self) -> Option<String> {
        self.length.left_out(
            "latencies at 100/s; more than one round of latencies, and than three else; starts of a program without the \
             others; of the compared orders all but 200; of a warm-up all but 8 s for a JVM and 1 s for others",
        )
    }
}

impl Runner {
    fn is_on_a_jvm(&self) -> bool {
        self.peer.is_some_and(|peer| matches!(peer.program(), Program::Java(_)))
    }
}

/// Runs all of it.
///
/// # Errors
/// When a peer cannot be built, outputs differ, or something cannot be measured at all.
pub async fn run(options: Options, peers: &[Peer], dir: &Path) -> anyhow::Result<Report> {
    let machine = Machine::now();
    progress("building the peers");
    let into = dir.join("peers");
    let programs: Vec<Program> = peers.iter().map(|peer| peer.program()).collect();
    let built = tokio::task::spawn_blocking(move || Built::ensure(&into, &programs)).await??;
    progress("starting Kafka and the registry");
    let dir = options.dir.clone();
    let servers = Servers::start(dir.join("stack")).await?;
    let kafka = Kafka::real(&servers.kafka).await?;
    let (registry, ids) = (servers.registry.clone(), std::sync::Arc::default());
    let bench = Bench { options, kafka, registry, ids, _tasks: Tasks::new() };
    let field = Field { bench, built, servers, dir };

    progress("comparing outputs");
    let mut runners = vec![field.ours().await?];
    for peer in peers {
        for settings in peer.settings() {
            runners.push(field.peer(*peer, settings).await?);
        }
    }
    let mut notes = compared(&field, &runners).await?;
    notes.extend(field.bench.options.left_out_beside_peers());
    let setting = field.setting(&runners);
    let mut found = Found { notes, ..Found::default() };
    found.extend(contest::measure(&field, peers, runners).await?);
    Ok(Report::new("edge-peers", machine, setting, found))
}

/// What each took, refused and stored, compared with ours, which is the first.
async fn compared(field: &Field, runners: &[Runner]) -> anyhow::Result<Vec<String>> {
    let (mut first, mut notes) = (None, Vec::new());
    for runner in runners {
        let name = runner.settings.name;
        let made = same::made(field, runner).await;
        let made = made.with_context(|| format!("{name}: the outputs differ, so nothing is measured"))?;
        match &first {
            None => first = Some(made),
            Some(ours) => notes.push(same::compare(ours, &made, name)?),
        }
    }
    Ok(notes)
}

impl Field {
    /// Our edge, as it is shipped.
    async fn ours(&self) -> anyhow::Result<Runner> {
        let edge = self.bench.edge().await?;
        let settings = Settings { name: "ours", flags: Vec::new(), environment: Vec::new() };
        let first_order_after = first_order(edge.process.started, edge.address, &self.bench.ids).await?;
        Ok(Runner { peer: None, settings, process: edge.process, address: edge.address, first_order_after })
    }

    async fn peer(&self, peer: Peer, settings: Settings) -> anyhow::Result<Runner> {
        let address = free_address()?;
        let addresses = [
            ("PORT", address.port().to_string()),
            ("KAFKA", self.servers.kafka.clone()),
            ("REGISTRY", peer.registry(&self.servers).to_owned()),
        ];
        let log = self.dir.join(format!("{}.log", settings.name.replace([',', ' '], "-")));
        let mut process = self.built.start(peer.program(), &settings, &addresses, &log)?;
        let first = first_order(process.started, address, &self.bench.ids).await;
        process.ensure_runs().with_context(|| format!("its log: {}", log.display()))?;
        let first_order_after = first.with_context(|| format!("its log: {}", log.display()))?;
        Ok(Runner { peer: Some(peer), settings, process, address, first_order_after })
    }

    fn setting(&self, runners: &[Runner]) -> Vec<(&'static str, String)> {
        let mut all = vec![
            ("broker", "Apache Kafka in a JVM on the same machine, 12 partitions, acks=all, idempotent".to_owned()),
            ("registry", "Apicurio, the same for all".to_owned()),
        ];
        all.extend(self.bench.setting().into_iter().filter(|(name, _)| *name != "broker"));
        let peers = runners.iter().skip(1);
        all.extend(peers.map(|runner| (runner.settings.name, runner.settings.to_string())));
        all
    }
}

/// From the start of a program to its first 202.
async fn first_order(started: Instant, address: SocketAddr, ids: &Ids) -> anyhow::Result<Duration> {
    let (mut client, mut request) = (Client::new(address), Request::new(ids, 1));
    loop {
        if client.ask(request.numbered(ids.take(1)), |answer| answer.status).await.ok() == Some(202) {
            return Ok(started.elapsed());
        }
        client.forget();
        ensure!(started.elapsed() < PATIENCE, "no order was taken in {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
