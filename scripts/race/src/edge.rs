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
    /// Whether runs are short.
    pub quick: bool,
    /// Stages that are run; all if there is none.
    pub only: Vec<Stage>,
}

/// A part of the bench.
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

impl Stage {
    /// In the order in which they are run.
    const ALL: [Self; 7] =
        [Self::Encode, Self::Throughput, Self::Latency, Self::Memory, Self::Overload, Self::Growth, Self::Instructions];
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
    for stage in Stage::ALL {
        if !bench.options.only.is_empty() && !bench.options.only.contains(&stage) {
            continue;
        }
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
            ("length", if self.options.quick { "quick".to_owned() } else { "full".to_owned() }),
        ]
    }

    /// This long in full, a fifth of it when quick.
    fn time(&self, full: Duration) -> Duration {
        if self.options.quick { full / 5 } else { full }
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
