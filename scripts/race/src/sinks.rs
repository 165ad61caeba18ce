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
    machine::Machine,
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
    /// Whether runs are few and short.
    pub quick: bool,
    /// Stages that are run; all if there is none.
    pub only: Vec<Stage>,
    /// The one store whose sink's rates are measured; both if there is none.
    pub store: Option<Kind>,
    /// Other connector files that take part in the rates.
    pub beside: Vec<PathBuf>,
}

/// A part of the bench.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Stage {
    /// One sink alone, beside its defaults and a native bulk loop.
    Rates,
    /// A backlog through both sinks at once.
    Drain,
    /// From a store's return to the first order in it.
    Stall,
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
    for stage in [Stage::Rates, Stage::Drain, Stage::Stall] {
        if !bench.options.only.is_empty() && !bench.options.only.contains(&stage) {
            continue;
        }
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
            ("length", if self.options.quick { "quick".to_owned() } else { "full".to_owned() }),
        ]
    }

    /// Orders of one drain into Elasticsearch.
    fn orders(&self) -> u64 {
        self.options.orders.map_or(if self.options.quick { 20_000 } else { 100_000 }, u64::from)
    }

    /// Orders of the backlog: ten times those of one drain, as far as there is time.
    fn backlog(&self) -> u64 {
        if self.options.quick { self.orders() * 5 / 2 } else { self.orders() * 10 }
    }

    /// Times that each store is killed.
    fn rounds(&self) -> usize {
        if self.options.quick { 3 } else { 7 }
    }

    /// Pairs of drains.
    fn pairs(&self) -> usize {
        if self.options.quick { self.options.pairs.min(2) } else { self.options.pairs }
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
