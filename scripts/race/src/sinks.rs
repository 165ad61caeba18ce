//! `scripts/bench sinks`: the shipped sinks on the real servers, beside themselves with their connectors' defaults and
//! beside a native bulk loop into the same stores; a backlog through both at once; the stall when a store comes back.
//!
//! What a store has is compared with what was written before any figure counts.

use std::{
    ops::Range,
    path::PathBuf,
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::Context;
use connectors::{names::sink_group, retry::Transient};

use crate::{
    length::{Length, Part},
    machine::Machine,
    peers::Settings,
    report::{Found, Report, progress},
};

mod backlog;
mod contestant;
mod drain;
mod fill;
mod floor;
mod orders;
mod peers;
mod rates;
mod servers;
mod stall;
pub(crate) mod stores;

pub(crate) use contestant::Contestant;
use drain::Took;
pub(crate) use drain::until;
use fill::Filler;
pub(crate) use peers::addresses as peer_addresses;
pub use peers::{Peer, run as race};
use servers::Servers;
pub use stores::Kind;

/// What is measured, and with what.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the servers' data lies; emptied at the start.
    pub dir: PathBuf,
    /// Orders of one drain.
    pub orders: Option<u32>,
    /// Pairs of runs.
    pub pairs: usize,
    /// How much of it is run.
    pub length: Length,
    /// Stages that are run; all if there is none.
    pub only: Vec<Stage>,
    /// The one store whose sink's rates are measured; both if there is none.
    pub store: Option<Kind>,
    /// Other connector files that take part in the rates.
    pub beside: Vec<PathBuf>,
}

/// A part of the bench. They run in this order.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Stage {
    /// One sink alone, beside its defaults and a native bulk loop.
    Rates,
    /// A backlog through both sinks at once.
    Drain,
    /// From a store's return to the first order in it.
    Stall,
}

impl Part for Stage {
    fn in_quick(self) -> bool {
        match self {
            Self::Rates => true,
            Self::Drain | Self::Stall => false,
        }
    }
}

/// What depends on the length: where there are three figures, in full, in parts that were named, and in a quick run.
impl Options {
    /// Orders of one drain into Elasticsearch, and into both stores at once.
    fn orders(&self) -> u64 {
        self.orders.map_or(self.length.pick([100_000, 20_000, 4_000]), u64::from)
    }

    /// Orders of one drain into this store, and of the native bulk loop beside it. PostgreSQL takes many times as many a
    /// second as Elasticsearch, and the loop as a sink: what is over too soon cannot be measured.
    fn drained(&self, kind: Kind) -> [u64; 2] {
        let each = self.orders();
        match kind {
            Kind::Postgres => [each * self.length.pick::<u64>([5, 5, 10]); 2],
            Kind::Elasticsearch => [each, each * self.length.pick::<u64>([1, 1, 5])],
        }
    }

    /// Orders of the backlog: ten times those of one drain, as far as there is time.
    fn backlog(&self) -> u64 {
        self.length.full_or(self.orders() * 10, self.orders() * 5 / 2)
    }

    /// Times that each store is killed.
    fn kills(&self) -> usize {
        self.length.full_or(7, 3)
    }

    /// Pairs of drains.
    fn drains(&self) -> usize {
        self.length.full_or(self.pairs, self.pairs.min(2))
    }

    /// How many of so many run once before it counts, in their order: our own sink at least, which warms the worker and
    /// the store up.
    fn warmed(&self, all: usize) -> usize {
        self.length.pick([all, all, all.min(1)])
    }

    /// Whether a peer takes part as it is set.
    fn has(&self, settings: &Settings) -> bool {
        self.length.is_full() || settings.is_tuned()
    }

    fn left_out(&self) -> Option<String> {
        let also = "more than two pairs; a warm-up of others than our settings; long drains, in which a worker becomes \
                    quicker";
        self.length.parts_left_out::<Stage>(also)
    }

    fn left_out_beside_peers(&self) -> Option<String> {
        let also = "Spring as it comes; more than two rounds; long backlogs, in which a JVM becomes quicker and a start weighs \
                    less";
        self.length.left_out(also)
    }
}

/// What all stages share.
struct Bench {
    options: Options,
    servers: Servers,
    filler: Arc<Filler>,
    beside: Vec<Contestant>,
    /// Connectors that were deployed: each has a name of its own.
    deployed: AtomicU64,
}

/// Runs all of it.
///
/// # Errors
/// When a store has something else than was written, or something cannot be measured at all. A goal that is missed is a
/// result and no error.
pub async fn run(options: Options) -> anyhow::Result<Report> {
    let machine = Machine::now();
    let beside = options.beside.iter().map(|path| Contestant::beside(path)).collect::<anyhow::Result<_>>()?;
    progress("starting the servers");
    let servers = Servers::start(options.dir.clone()).await?;
    let (kafka, schema_id) = (servers.kafka().to_owned(), servers.schema_id);
    let filler = tokio::task::spawn_blocking(move || Filler::connect(&kafka, schema_id)).await??;
    let bench = Bench { options, servers, filler: Arc::new(filler), beside, deployed: AtomicU64::new(0) };
    let mut found = Found::default();
    found.notes.extend(bench.options.left_out());
    for stage in bench.options.length.parts(&bench.options.only) {
        found.extend(match stage {
            Stage::Rates => rates::measure(&bench).await?,
            Stage::Drain => backlog::measure(&bench).await?,
            Stage::Stall => stall::measure(&bench).await?,
        });
    }
    let setting = bench.setting();
    Ok(Report::new("sinks", machine, setting, found))
}

impl Bench {
    fn setting(&self) -> Vec<(&'static str, String)> {
        vec![
            ("servers", "Kafka, registry, Connect, PostgreSQL, Elasticsearch, one of each on this machine".to_owned()),
            ("orders", "two nested items, the processor's headers, in transactions, 12 partitions".to_owned()),
            ("length", self.options.length.to_string()),
        ]
    }

    /// Whether no sink has run yet: a worker is slow until it is warm.
    fn is_cold(&self) -> bool {
        self.deployed.load(Ordering::Relaxed) == 0
    }

    /// A connector's name that no other run has.
    fn name(&self) -> String {
        format!("race-{}", self.deployed.fetch_add(1, Ordering::Relaxed))
    }

    /// Writes the orders with these numbers.
    async fn fill(&self, numbers: Range<u64>) -> anyhow::Result<()> {
        let filler = Arc::clone(&self.filler);
        tokio::task::spawn_blocking(move || filler.fill(numbers)).await?
    }

    /// A connector that is deployed next under this name reads what is written from now on.
    async fn begin_at_the_end(&self, connector: &str) -> anyhow::Result<()> {
        let (kafka, group) = (self.servers.kafka().to_owned(), sink_group(connector));
        tokio::task::spawn_blocking(move || fill::begin_at_the_end(&kafka, &group)).await?
    }
}

/// Asks again while a worker shares its work out.
pub(crate) async fn retried<E: Transient + std::error::Error + Send + Sync + 'static>(
    mut ask: impl AsyncFnMut() -> Result<(), E>,
) -> anyhow::Result<()> {
    const PAUSE: Duration = Duration::from_millis(200);
    for _ in 0..100 {
        match ask().await {
            Err(error) if error.is_transient() => tokio::time::sleep(PAUSE).await,
            answer => return Ok(answer?),
        }
    }
    ask().await.context("Kafka Connect did not take it in 20 s")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(length: Length) -> Options {
        let (dir, only, beside) = (PathBuf::new(), Vec::new(), Vec::new());
        Options { dir, orders: None, pairs: 3, length, only, store: None, beside }
    }

    #[test]
    fn a_quick_run_is_less_than_the_named_parts_and_these_less_than_all() {
        let of = |length| {
            let all = options(length);
            (Kind::ALL.map(|kind| all.drained(kind)), all.drains(), all.kills(), all.warmed(3))
        };
        assert_eq!(of(Length::Full), ([[500_000; 2], [100_000; 2]], 3, 7, 3));
        assert_eq!(of(Length::Short), ([[100_000; 2], [20_000; 2]], 2, 3, 3));
        assert_eq!(of(Length::Quick), ([[40_000; 2], [4_000, 20_000]], 2, 3, 1));
        assert_eq!((options(Length::Full).backlog(), options(Length::Short).backlog()), (1_000_000, 50_000));
    }

    #[test]
    fn beside_peers_a_quick_run_has_each_as_an_expert_would_set_it() {
        let of = |length| Peer::Spring.settings().iter().filter(|settings| options(length).has(settings)).count();
        assert_eq!((of(Length::Full), of(Length::Quick)), (2, 1));
    }
}
