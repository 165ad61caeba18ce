//! `scripts/bench transforms`: the sandboxed chain beside the same code without a sandbox, exactly once beside at least
//! once, on a real broker; then latencies, swaps and restarts of the whole command.
//!
//! Outputs are compared before anything counts: a loop that writes something else is not measured.

use std::{path::PathBuf, time::Duration};

use anyhow::Context;
use service_kit::Tasks;

use crate::{
    length::{Length, Part},
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
    /// How much of it is run.
    pub length: Length,
    /// Stages that are run; all if there is none.
    pub only: Vec<Stage>,
}

/// A part of the bench. They run in this order.
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
    /// Whether the whole command is measured, with the records' way through it.
    fn runs_service(self) -> bool {
        matches!(self, Self::Latency | Self::Swaps | Self::Recovery)
    }
}

impl Part for Stage {
    fn in_quick(self) -> bool {
        match self {
            Self::Sandbox | Self::Throughput | Self::Latency => true,
            Self::Swaps | Self::Recovery | Self::Growth | Self::Instructions => false,
        }
    }
}

/// What depends on the length: where there are three figures, in full, in parts that were named, and in a quick run.
impl Options {
    /// This long in full, else a fifth of it.
    fn time(&self, full: Duration) -> Duration {
        self.length.full_or(full, full / 5)
    }

    /// So many in full, else a fifth of them.
    fn count(&self, full: usize) -> usize {
        self.length.full_or(full, full / 5)
    }

    /// Pairs where each takes long.
    fn long_pairs(&self) -> usize {
        self.length.pick([self.pairs, self.pairs.min(3), self.pairs.min(2)])
    }

    /// Rounds of what has no pair.
    fn rounds(&self) -> usize {
        self.length.full_or(self.pairs.min(3), 1)
    }

    /// How long a broker that has just started does what will be measured: it is slower at first.
    fn warm_up(&self) -> Duration {
        Duration::from_secs(self.length.pick([20, 20, 5]))
    }

    /// Whether latencies are told at other rates than the one that has goals.
    fn has_all_rates(&self) -> bool {
        self.length.pick([true, true, false])
    }

    fn left_out(&self) -> Option<String> {
        let also = "latencies at 1, 100 and 20,000/s; more than two pairs; of the broker's warm-up all but 5 s";
        self.length.parts_left_out::<Stage>(also)
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
    found.notes.extend(bench.options.left_out());
    for stage in bench.options.length.parts(&bench.options.only) {
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
            ("length", self.options.length.to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_run_is_less_than_the_named_parts_and_these_less_than_all() {
        let of = |length| {
            let (dir, transforms, own, only) = (PathBuf::new(), PathBuf::new(), PathBuf::new(), Vec::new());
            let all = Options { dir, transforms, own, pairs: 5, length, only };
            (all.long_pairs(), all.rounds(), all.count(50), all.warm_up().as_secs(), all.has_all_rates())
        };
        assert_eq!(of(Length::Full), (5, 3, 50, 20, true));
        assert_eq!(of(Length::Short), (3, 1, 10, 20, true));
        assert_eq!(of(Length::Quick), (2, 1, 10, 5, false));
    }
}
