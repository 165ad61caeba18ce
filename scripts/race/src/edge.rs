//! `scripts/bench edge`: the edge beside a bare hyper server and a direct produce, in one run.
//!
//! Outputs are compared before anything is measured: figures of an edge that stores something else are worth nothing.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use service_kit::Tasks;

use crate::{
    kafka::{self, Kafka},
    length::{Length, Part},
    load::Client,
    machine::Machine,
    orders::Ids,
    process::{Process, free_address},
    report::{Found, Report, progress},
};

mod encode;
mod growth;
mod instructions;
mod latency;
mod memory;
mod overload;
mod peers;
mod same;
mod throughput;

pub use instructions::{Way, turn as encode};
pub use peers::{Peer, run as race};

/// An edge must be ready within this, or something is wrong.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is measured, and with what.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where logs lie.
    pub dir: PathBuf,
    /// A real broker in place of the mock one.
    pub kafka: Option<String>,
    /// The edge's program.
    pub edge: PathBuf,
    /// This program, which is also the floors.
    pub own: PathBuf,
    /// Flags for the edge beside those that it needs.
    pub edge_args: Vec<String>,
    /// Pairs of runs.
    pub pairs: usize,
    /// Connections of the closed loops.
    pub connections: usize,
    /// How much of it is run.
    pub length: Length,
    /// Stages that are run; all if there is none.
    pub only: Vec<Stage>,
}

/// A part of the bench. They run in this order.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Stage {
    /// From bytes to Avro by both ways.
    Encode,
    /// Orders per CPU-second.
    Throughput,
    /// Latency at fixed rates.
    Latency,
    /// Memory and start.
    Memory,
    /// Three times as many orders as the broker takes.
    Overload,
    /// How costs grow with an order's size and with connections.
    Growth,
    /// Instructions of one order, counted by callgrind.
    Instructions,
}

impl Part for Stage {
    fn in_quick(self) -> bool {
        match self {
            Self::Encode | Self::Throughput | Self::Latency | Self::Memory => true,
            Self::Overload | Self::Growth | Self::Instructions => false,
        }
    }
}

/// What depends on the length: where there are three figures, in full, in parts that were named, and in a quick run.
impl Options {
    /// This long in full, else a fifth of it.
    fn time(&self, full: Duration) -> Duration {
        self.length.full_or(full, full / 5)
    }

    /// Bodies on which both ways to Avro are compared.
    fn bodies(&self) -> usize {
        self.length.full_or(1_000_000, 100_000)
    }

    /// Pairs of closed loops.
    fn closed(&self) -> usize {
        self.length.pick([self.pairs, self.pairs, self.pairs.min(3)])
    }

    /// Pairs at each fixed rate.
    fn open(&self) -> usize {
        self.length.pick([self.pairs, self.pairs.min(3), self.pairs.min(2)])
    }

    /// Rounds of what has no pair.
    fn rounds(&self) -> usize {
        self.length.full_or(self.pairs.min(3), 1)
    }

    /// Floors beside the one of the pairs; the first of them also produces.
    fn floors(&self) -> usize {
        self.length.pick([4, 4, 1])
    }

    /// Whether memory is told with idle connections, too.
    fn has_idle(&self) -> bool {
        self.length.pick([true, true, false])
    }

    fn left_out(&self) -> Option<String> {
        let also = "10,000 idle connections; three of the floors; more than three pairs, at fixed rates than two";
        self.length.parts_left_out::<Stage>(also)
    }
}

/// What all stages share.
struct Bench {
    options: Options,
    kafka: Kafka,
    registry: String,
    ids: Arc<Ids>,
    /// The stub registry runs as long as this.
    _tasks: Tasks,
}

/// An edge that is ready.
struct Edge {
    process: Process,
    address: SocketAddr,
    /// From the start of the process to the first answer that said so.
    ready_after: Duration,
}

/// Runs all of it.
///
/// # Errors
/// When outputs differ, or something cannot be measured at all. A goal that is missed is a result and no error.
pub async fn run(options: Options) -> anyhow::Result<Report> {
    let machine = Machine::now();
    let kafka = match &options.kafka {
        Some(servers) => Kafka::real(servers).await?,
        None => Kafka::mock()?,
    };
    let tasks = Tasks::new();
    let registry = kafka::stub_registry(&tasks).await?;
    let bench = Bench { options, kafka, registry, ids: Arc::default(), _tasks: tasks };
    progress("comparing outputs");
    let compared = same::check(&bench).await.context("the outputs differ, so nothing is measured")?;
    let mut found = Found { notes: vec![compared], ..Found::default() };
    found.notes.extend(bench.options.left_out());
    for stage in bench.options.length.parts(&bench.options.only) {
        found.extend(match stage {
            Stage::Encode => encode::measure(&bench)?,
            Stage::Throughput => throughput::measure(&bench).await?,
            Stage::Latency => latency::measure(&bench).await?,
            Stage::Memory => memory::measure(&bench).await?,
            Stage::Overload => overload::measure(&bench).await?,
            Stage::Growth => growth::measure(&bench).await?,
            Stage::Instructions => instructions::measure(&bench).await?,
        });
    }
    let setting = bench.setting();
    Ok(Report::new("edge", machine, setting, found))
}

impl Bench {
    fn setting(&self) -> Vec<(&'static str, String)> {
        let linger = edge::publish::settings::config("", "").get("linger.ms").unwrap_or("unknown").to_owned();
        vec![
            ("broker", self.kafka.description()),
            ("linger", format!("{linger} ms, the edge's and the direct producer's")),
            ("orders", format!("{} bytes of JSON", self.ids.order(0).len())),
            ("closed loops", format!("{} connections", self.options.connections)),
            ("edge's flags", self.options.edge_args.join(" ")),
            ("length", self.options.length.to_string()),
        ]
    }

    /// Starts an edge for this bench's broker and waits until it is ready.
    async fn edge(&self) -> anyhow::Result<Edge> {
        self.edge_for(&self.kafka).await
    }

    async fn edge_for(&self, kafka: &Kafka) -> anyhow::Result<Edge> {
        self.edge_as(Command::new(&self.options.edge), kafka).await
    }

    /// The same by a command to which the edge's arguments are added.
    async fn edge_as(&self, mut command: Command, kafka: &Kafka) -> anyhow::Result<Edge> {
        let (address, admin) = (free_address()?, free_address()?);
        let mut args = vec!["--log=warn".to_owned(), "--instance=race".to_owned()];
        args.push(format!("--listen={address}"));
        args.push(format!("--admin-listen={admin}"));
        args.push(format!("--kafka={}", kafka.servers));
        args.push(format!("--registry={}", self.registry));
        args.extend(self.options.edge_args.iter().cloned());
        command.args(&args).stdout(Stdio::piped());
        let mut process = Process::spawn(command)?;
        let mut client = Client::new(admin);
        let request = b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n";
        while client.ask(request, |answer| answer.status).await.ok() != Some(200) {
            process.ensure_runs()?;
            ensure!(process.started.elapsed() < PATIENCE, "the edge is not ready after {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let ready_after = Instant::now() - process.started;
        Ok(Edge { process, address, ready_after })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_run_is_less_than_the_named_parts_and_these_less_than_all() {
        let of = |length| {
            let (dir, edge, own, only) = (PathBuf::new(), PathBuf::new(), PathBuf::new(), Vec::new());
            let all =
                Options { dir, kafka: None, edge, edge_args: Vec::new(), own, pairs: 5, connections: 1, length, only };
            (all.closed(), all.open(), all.rounds(), all.floors(), all.has_idle(), all.time(Duration::from_secs(5)))
        };
        assert_eq!(of(Length::Full), (5, 5, 3, 4, true, Duration::from_secs(5)));
        assert_eq!(of(Length::Short), (5, 3, 1, 4, true, Duration::from_secs(1)));
        assert_eq!(of(Length::Quick), (3, 2, 1, 1, false, Duration::from_secs(1)));
    }
}
