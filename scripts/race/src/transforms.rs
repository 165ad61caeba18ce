//! `scripts/bench transforms`: the sandboxed chain beside the same code without a sandbox, exactly once beside at least
//! once, on a real broker; then latencies, swaps and restarts of the whole command.
//!
//! Outputs are compared before anything counts: a loop that writes something else is not measured.

use std::{path::PathBuf, time::Duration};

use anyhow::Context;
use service_kit::Tasks;

use crate::{
    machine::Machine,
    report::{Found, Report, progress},
};

mod at_least_once;
mod counting;
mod flow;
mod growth;
mod instructions;
mod judges;
mod latency;
mod peers;
mod recovery;
mod sandbox;
mod servers;
mod service;
mod swaps;
mod throughput;
mod turn;

pub use instructions::{Judge, judge};
pub(crate) use judges::parameters;
pub(crate) use peers::addresses as peer_addresses;
pub use peers::{Peer, run as race};
pub use turn::{Args as TurnArgs, run as turn};

use servers::Servers;

/// What is measured, and with what.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the servers' data and the built modules lie; emptied at the start.
    pub dir: PathBuf,
    /// The program `transforms`.
    pub transforms: PathBuf,
    /// This program, which is also the measured loop.
    pub own: PathBuf,
    /// Pairs of runs.
    pub pairs: usize,
    /// Whether runs are short.
    pub quick: bool,
    /// Stages that are run; all if there is none.
    pub only: Vec<Stage>,
}

/// A part of the bench.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Stage {
    /// The chain alone, in the sandbox and without one.
    Sandbox,
    /// Records per CPU-second of the whole loop.
    Throughput,
    /// From the producer to a reader of committed records.
    Latency,
    /// Hot swaps under load.
    Swaps,
    /// kill -9 under load.
    Recovery,
    /// How costs grow with a chain's modules, with partitions and with a backlog.
    Growth,
    /// Instructions of one record, counted by callgrind.
    Instructions,
}

impl Stage {
    /// In the order in which they are run.
    const ALL: [Self; 7] =
        [Self::Sandbox, Self::Throughput, Self::Latency, Self::Swaps, Self::Recovery, Self::Growth, Self::Instructions];

    /// Whether the whole command is measured, with the records' way through it.
    fn runs_service(self) -> bool {
        matches!(self, Self::Latency | Self::Swaps | Self::Recovery)
    }
}

/// What all stages share.
struct Bench {
    options: Options,
    servers: Servers,
    /// The stub registry runs as long as this.
    _tasks: Tasks,
}

/// Runs all of it.
///
/// # Errors
/// When outputs differ, or something cannot be measured at all. A goal that is missed is a result and no error.
pub async fn run(options: Options) -> anyhow::Result<Report> {
    let machine = Machine::now();
    let tasks = Tasks::new();
    progress("starting Kafka and building the modules");
    let servers = Servers::start(&options, &tasks).await?;
    let bench = Bench { options, servers, _tasks: tasks };
    progress("comparing outputs");
    let compared = judges::compare(&bench.servers.modules).context("the outputs differ, so nothing is measured")?;
    let mut found = Found { notes: vec![compared], ..Found::default() };
    let mut is_warm = false;
    for stage in Stage::ALL {
        if !bench.options.only.is_empty() && !bench.options.only.contains(&stage) {
            continue;
        }
        if stage.runs_service() && !is_warm {
            progress("warming the broker up");
            service::warm_up(&bench).await?;
            is_warm = true;
        }
        found.extend(match stage {
            Stage::Sandbox => sandbox::measure(&bench)?,
            Stage::Throughput => throughput::measure(&bench).await?,
            Stage::Latency => latency::measure(&bench).await?,
            Stage::Swaps => swaps::measure(&bench).await?,
            Stage::Recovery => recovery::measure(&bench).await?,
            Stage::Growth => growth::measure(&bench).await?,
            Stage::Instructions => instructions::measure(&bench)?,
        });
    }
    let setting = bench.setting();
    Ok(Report::new("transforms", machine, setting, found))
}

impl Bench {
    fn setting(&self) -> Vec<(&'static str, String)> {
        vec![
            ("broker", "Apache Kafka, one broker in a JVM on the same machine, 12 partitions".to_owned()),
            ("modules", "the shipped clean and enrich, with three rates".to_owned()),
            ("tasks", "two for latencies, swaps and restarts, as the pipeline is shipped; one loop else".to_owned()),
            ("length", if self.options.quick { "quick".to_owned() } else { "full".to_owned() }),
        ]
    }

    /// This long in full, a fifth of it when quick.
    fn time(&self, full: Duration) -> Duration {
        if self.options.quick { full / 5 } else { full }
    }

    /// So many in full, a fifth of them when quick.
    fn count(&self, full: usize) -> usize {
        if self.options.quick { full / 5 } else { full }
    }

    /// Pairs where each takes long.
    fn pairs(&self) -> usize {
        if self.options.quick { self.options.pairs.min(3) } else { self.options.pairs }
    }
}
