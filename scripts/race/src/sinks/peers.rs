//! `scripts/bench sinks --peers`: both our sinks, in the one Kafka Connect, beside a consumer in Spring that writes both
//! stores. The same backlog by turns, the stores compared after each; what is told is of processes that are warm.

use std::{path::Path, sync::Arc, sync::atomic::AtomicU64};

use anyhow::Context;
use connectors::names::sink_group;
use schemas::names::topics;
use stack::Endpoints;

use super::{Bench, Options, contestant::Contestant, drain::Poised, fill::Filler, servers::Servers, stores::Kind};
use crate::{
    machine::Machine,
    peers::{Built, Program, Settings, registry_api},
    process::Process,
    report::{Report, progress},
};

mod contest;
mod same;

/// Sinks in other tools.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Peer {
    /// A Spring Boot consumer with JdbcTemplate and Elasticsearch's Java client.
    Spring,
}

impl Peer {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::Spring];

    pub(crate) fn program(self) -> Program {
        match self {
            Self::Spring => Program::Java("sinks-spring/sinks-spring.jar"),
        }
    }

    /// As it comes; and with more threads, larger batches, statements of many rows, and the collector for throughput.
    pub(crate) fn settings(self) -> [Settings; 2] {
        let Self::Spring = self;
        let tuned = [("CONCURRENCY", "2"), ("MAX_POLL_RECORDS", "2000"), ("REWRITE_BATCHES", "true")];
        [
            Settings::new("Spring, plain", &["-Xmx512m"], &[]),
            Settings::new("Spring, tuned", &["-Xmx512m", "-XX:+UseParallelGC"], &tuned),
        ]
    }
}

/// Who drains.
#[derive(Clone, Debug)]
enum Who {
    Ours,
    Peer(Peer, Settings),
}

impl Who {
    fn name(&self) -> &'static str {
        match self {
            Self::Ours => "our sinks",
            Self::Peer(_, settings) => settings.name,
        }
    }
}

/// A writer of both stores that waits to be let go.
enum Held<'f> {
    Ours([Poised<'f>; 2]),
    Peer(Process),
}

/// What all of it runs on.
struct Field {
    bench: Bench,
    built: Built,
}

/// Runs all of it.
///
/// # Errors
/// When a peer cannot be built, a store has something else than was written, or something cannot be measured at all.
pub async fn run(options: Options, peers: &[Peer], dir: &Path) -> anyhow::Result<Report> {
    let machine = Machine::now();
    progress("building the peers");
    let (into, programs) = (dir.join("peers"), peers.iter().map(|peer| peer.program()).collect::<Vec<_>>());
    let built = tokio::task::spawn_blocking(move || Built::ensure(&into, &programs)).await??;
    progress("starting the servers");
    let servers = Servers::start(options.dir.clone()).await?;
    let (kafka, schema_id) = (servers.kafka().to_owned(), servers.schema_id);
    let filler = tokio::task::spawn_blocking(move || Filler::connect(&kafka, schema_id)).await??;
    let deployed = AtomicU64::new(0);
    let bench = Bench { options, servers, filler: Arc::new(filler), beside: Vec::new(), deployed };
    let field = Field { bench, built };
    let settings = peers.iter().flat_map(|peer| peer.settings().map(|settings| (*peer, settings)));
    let settings = settings.filter(|(_, settings)| field.bench.options.has(settings));
    let theirs = settings.map(|(peer, settings)| Who::Peer(peer, settings));
    let all: Vec<Who> = std::iter::once(Who::Ours).chain(theirs).collect();
    progress("comparing outputs");
    let compared = same::check(&field, &all).await.context("the outputs differ, so nothing is measured")?;
    let mut found = contest::measure(&field, &all).await?;
    found.notes.insert(0, compared);
    found.notes.extend(field.bench.options.left_out_beside_peers());
    let setting = field.setting(&all);
    Ok(Report::new("sinks-peers", machine, setting, found))
}

impl Field {
    /// Empties both stores and gets the writer so far that it only waits for orders, or to be let go on them. A peer has
    /// written so many by then; Connect is warm from the comparison, which has ours write as many.
    async fn hold(&self, who: &Who, warm_up: u64) -> anyhow::Result<Held<'_>> {
        let bench = &self.bench;
        match who {
            Who::Ours => {
                let sink = |kind: Kind| Contestant::of_file(&bench.servers.files.join(kind.file()), "our settings");
                let (table, index) = (sink(Kind::Postgres)?, sink(Kind::Elasticsearch)?);
                Ok(Held::Ours([Poised::deploy(bench, &table).await?, Poised::deploy(bench, &index).await?]))
            }
            Who::Peer(peer, settings) => {
                self.empty().await?;
                let name = bench.name();
                bench.begin_at_the_end(&name).await?;
                let process = self.start(*peer, settings, &name)?;
                bench.fill(0..warm_up).await?;
                contest::until_stored(bench, warm_up).await?;
                self.empty().await?;
                // It must not begin while the backlog is written.
                process.signal("STOP")?;
                Ok(Held::Peer(process))
            }
        }
    }

    async fn empty(&self) -> anyhow::Result<()> {
        for kind in Kind::ALL {
            self.bench.servers.stores.empty(kind).await?;
        }
        Ok(())
    }

    fn start(&self, peer: Peer, settings: &Settings, name: &str) -> anyhow::Result<Process> {
        let mut addresses = addresses(self.bench.servers.stack.endpoints());
        addresses.push(("GROUP", sink_group(name)));
        let log = self.bench.options.dir.join(format!("{name}.log"));
        self.built.start(peer.program(), settings, &addresses, &log)
    }

    fn setting(&self, all: &[Who]) -> Vec<(&'static str, String)> {
        let mut setting = self.bench.setting();
        setting.extend(all.iter().map(|who| match who {
            Who::Ours => (who.name(), "both shipped connector files in one Kafka Connect, heap 512 MB".to_owned()),
            Who::Peer(_, settings) => (who.name(), settings.to_string()),
        }));
        setting
    }
}

/// Where a peer of the sinks finds all that it needs.
pub(crate) fn addresses(endpoints: &Endpoints) -> Vec<(&'static str, String)> {
    let postgres = &endpoints.postgres;
    vec![
        ("KAFKA", endpoints.kafka.clone()),
        ("REGISTRY", registry_api(&endpoints.registry)),
        ("ELASTICSEARCH", endpoints.elasticsearch.clone()),
        ("JDBC_URL", postgres.jdbc_url()),
        ("POSTGRES_USER", postgres.user.clone()),
        ("POSTGRES_PASSWORD", postgres.password.clone()),
        ("TOPIC", topics::ORDER_PLACED.to_owned()),
    ]
}

impl Held<'_> {
    /// The process that writes.
    fn pid(&self, field: &Field) -> anyhow::Result<u32> {
        match self {
            Self::Ours(_) => Ok(field.bench.servers.stack.pid(stack::Service::Connect)?),
            Self::Peer(process) => Ok(process.id()),
        }
    }

    /// Lets it have what is there.
    async fn go(&self) -> anyhow::Result<()> {
        match self {
            Self::Ours([table, index]) => {
                table.go().await?;
                index.go().await
            }
            Self::Peer(process) => process.signal("CONT"),
        }
    }

    async fn end(self) -> anyhow::Result<()> {
        if let Self::Ours(sinks) = self {
            for sink in sinks {
                sink.remove().await?;
            }
        }
        Ok(())
    }
}
