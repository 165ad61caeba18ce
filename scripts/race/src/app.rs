//! What can be asked of the command.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, sync::atomic::Ordering, time::Duration};

use anyhow::{Context, ensure};
use race::{
    edge::{self, Options, Stage},
    floor,
    histogram::Histogram,
    load::{Load, Pace, Plan, Tally},
    pipeline, sinks, transforms,
};

/// Measures our programs beside their floors and peers
#[derive(Debug, clap::Parser)]
#[command(name = "race", version, max_term_width = 110)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// The edge beside a bare hyper server and a direct produce
    Edge(Edge),
    /// The transforms beside the same code without a sandbox, and exactly once beside at least once
    Transforms(Transforms),
    /// The sinks beside their connectors' defaults and a native bulk loop, and how they come back after a store's death
    Sinks(Sinks),
    /// An order's whole way, everything deployed: until it is answered, SELECTed and found, and what that costs
    Pipeline(Pipeline),
    /// Sends orders to an edge that runs, and tells what came back
    Load(ByHand),
    /// Is a bare hyper server; `edge` starts it
    #[command(hide = true)]
    Floor(floor::Args),
    /// Transforms so many records; `transforms` starts it
    #[command(hide = true)]
    Turn(transforms::TurnArgs),
}

#[derive(Debug, clap::Args)]
struct Transforms {
    /// Some three minutes in place of twenty; ranges are wider
    #[arg(long)]
    quick: bool,
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<transforms::Stage>,
    /// In place of all that: our transforms beside Kafka Streams with the same rules, on a real broker and registry
    #[arg(long, conflicts_with = "only")]
    peers: bool,
    /// The same with these peers only
    #[arg(long, value_enum, value_delimiter = ',', conflicts_with = "only")]
    peer: Vec<transforms::Peer>,
    /// Pairs of runs
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=100))]
    pairs: u8,
    /// Where the figures go as JSON; bench/transforms.json in the target folder if absent
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Sinks {
    /// Some eight minutes in place of an hour; ranges are wider
    #[arg(long)]
    quick: bool,
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<sinks::Stage>,
    /// Of the rates, only those of this store
    #[arg(long, value_enum)]
    store: Option<sinks::Kind>,
    /// Orders of one drain into Elasticsearch, five times as many into PostgreSQL; 100,000 if absent, 20,000 when quick
    #[arg(long, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    orders: Option<u32>,
    /// Pairs of runs
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=100))]
    pairs: u8,
    /// Another connector file that takes part in the rates, beside the shipped one of its store; may be given several times
    #[arg(long, value_name = "FILE")]
    beside: Vec<PathBuf>,
    /// In place of all that: both our sinks beside a consumer in Spring that writes both stores
    #[arg(long, conflicts_with_all = ["only", "store", "beside"])]
    peers: bool,
    /// Where the figures go as JSON; bench/sinks.json in the target folder if absent
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Pipeline {
    /// Some three minutes in place of fifteen: one start, one short round of each rate
    #[arg(long)]
    quick: bool,
    /// Orders a second
    #[arg(long, value_delimiter = ',', default_values_t = [100, 500, 1_000], value_parser = clap::value_parser!(u32).range(1..=20_000))]
    rates: Vec<u32>,
    /// Rounds of each rate, and starts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=100))]
    rounds: u8,
    /// Where the figures go as JSON; bench/pipeline.json in the target folder if absent
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Edge {
    /// A real broker in place of librdkafka's mock one; millions of orders are written to its topic orders.received. For
    /// the part "overload" give it a quota for the client edge-race, below what this machine can send
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// About a minute in place of several; ranges are wider
    #[arg(long)]
    quick: bool,
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Stage>,
    /// Pairs of runs
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=100))]
    pairs: u8,
    /// Connections of the closed loops
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..=4000))]
    connections: u16,
    /// In place of all that: our edge beside the same edge in other tools, on a real broker and registry of its own
    #[arg(long, conflicts_with_all = ["kafka", "only"])]
    peers: bool,
    /// The same with these peers only
    #[arg(long, value_enum, value_delimiter = ',', conflicts_with_all = ["kafka", "only"])]
    peer: Vec<edge::Peer>,
    /// The edge's program; the one beside this program if absent
    #[arg(long, value_name = "FILE")]
    edge: Option<PathBuf>,
    /// A flag for the edge, such as --edge-arg=--max-body-bytes=65536; may be given several times
    #[arg(long = "edge-arg", value_name = "FLAG", allow_hyphen_values = true)]
    edge_args: Vec<String>,
    /// Where the figures go as JSON; bench/edge.json in the target folder if absent
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct ByHand {
    /// Where the edge listens
    #[arg(default_value = "127.0.0.1:8080")]
    address: SocketAddr,
    /// Requests a second, at times that do not move when the edge is slow
    #[arg(long, default_value_t = 500.0)]
    rate: f64,
    /// In place of a rate: each connection sends when it has its answer
    #[arg(long, conflicts_with = "rate")]
    closed: bool,
    /// Connections, and requests under way at once
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// How long
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Orders in one request
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// A refused client waits as long as it is told and sends its order once more
    #[arg(long)]
    obey_retry_after: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Floor(args) => return floor::serve(args),
        Command::Turn(args) => return transforms::turn(args),
        Command::Edge(_) | Command::Transforms(_) | Command::Sinks(_) | Command::Pipeline(_) | Command::Load(_) => {}
    }
    // One thread: what it does not take is left to what is measured.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _ = service_kit::open_files::connections(usize::MAX);
    match args.command {
        Command::Edge(args) => runtime.block_on(bench(args)),
        Command::Load(args) => runtime.block_on(by_hand(&args)),
        Command::Transforms(args) => runtime.block_on(bench_transforms(args)),
        Command::Sinks(args) => runtime.block_on(bench_sinks(args)),
        Command::Pipeline(args) => runtime.block_on(bench_pipeline(args)),
        Command::Floor(_) | Command::Turn(_) => Ok(()),
    }
}

async fn bench(args: Edge) -> anyhow::Result<()> {
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    let edge = args.edge.unwrap_or_else(|| own.with_file_name("edge"));
    ensure!(edge.is_file(), "{} is not there; `cargo build --release --workspace` makes it", edge.display());
    let (pairs, connections) = (args.pairs.into(), args.connections.into());
    let Edge { kafka, quick, only, edge_args, peers, peer, json, .. } = args;
    let options = Options { kafka, edge, edge_args, pairs, connections, quick, only };
    // Beside the folder of the profile.
    let dir = own.with_file_name("../bench");
    let peer = if peers && peer.is_empty() { edge::Peer::ALL.to_vec() } else { peer };
    let (report, name) = match peer.as_slice() {
        [] => (edge::run(options).await?, "edge.json"),
        peers => (edge::race(options, peers, &dir).await?, "edge-peers.json"),
    };
    println!("{report}");
    report.save(&json.unwrap_or_else(|| dir.join(name)))
}

async fn bench_transforms(args: Transforms) -> anyhow::Result<()> {
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    let transforms = own.with_file_name("transforms");
    ensure!(
        transforms.is_file(),
        "{} is not there; `cargo build --release --workspace` makes it",
        transforms.display()
    );
    let all = own.with_file_name("../bench");
    let Transforms { quick, only, peers, peer, json, .. } = args;
    let peer = if peers && peer.is_empty() { transforms::Peer::ALL.to_vec() } else { peer };
    let name = if peer.is_empty() { "transforms" } else { "transforms-peers" };
    let options = transforms::Options { dir: all.join(name), transforms, own, pairs: args.pairs.into(), quick, only };
    let report = match peer.as_slice() {
        [] => transforms::run(options).await?,
        peers => transforms::race(options, peers, &all).await?,
    };
    println!("{report}");
    report.save(&json.unwrap_or_else(|| all.join(format!("{name}.json"))))
}

async fn bench_sinks(args: Sinks) -> anyhow::Result<()> {
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    let dir = own.with_file_name("../bench");
    let Sinks { quick, only, store, orders, beside, peers, .. } = args;
    let name = if peers { "sinks-peers" } else { "sinks" };
    let options = sinks::Options { dir: dir.join(name), orders, pairs: args.pairs.into(), quick, only, store, beside };
    let report = if peers { sinks::race(options, &sinks::Peer::ALL, &dir).await? } else { sinks::run(options).await? };
    println!("{report}");
    report.save(&args.json.unwrap_or_else(|| dir.join(format!("{name}.json"))))
}

async fn bench_pipeline(args: Pipeline) -> anyhow::Result<()> {
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    let Pipeline { quick, rates, rounds, json } = args;
    let options =
        pipeline::Options { dir: own.with_file_name("../bench/pipeline"), rates, rounds: rounds.into(), quick };
    let report = pipeline::run(options).await?;
    println!("{report}");
    report.save(&json.unwrap_or_else(|| own.with_file_name("../bench/pipeline.json")))
}

async fn by_hand(args: &ByHand) -> anyhow::Result<()> {
    ensure!((0.1..=1_000_000.0).contains(&args.rate), "--rate: from 0.1 to 1000000 is possible");
    ensure!((0.1..=86_400.0).contains(&args.seconds), "--seconds: from 0.1 to 86400 is possible");
    ensure!((1..=60_000).contains(&args.connections), "--connections: from 1 to 60000 is possible");
    ensure!((1..=10_000).contains(&args.batch), "--batch: from 1 to 10000 is possible");
    let plan = Plan {
        address: args.address,
        connections: args.connections,
        pace: if args.closed { Pace::Closed } else { Pace::Open(args.rate) },
        time: Duration::from_secs_f64(args.seconds),
        batch: args.batch,
        obey_retry_after: args.obey_retry_after,
    };
    let tally = Load::run(&plan, &Arc::default()).await;
    tell(&tally, args);
    Ok(())
}

fn tell(tally: &Tally, args: &ByHand) {
    let of = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    println!("accepted: {} orders, {:.0}/s", tally.accepted(), tally.accepted() as f64 / args.seconds);
    println!(
        "refused: {} requests; sent again: {}; refused again: {}",
        of(&tally.refused),
        of(&tally.second_tries),
        of(&tally.refused_again)
    );
    println!(
        "no answer: {}; not sent in time: {}; other answers: {:?}",
        of(&tally.failed),
        of(&tally.unsent),
        tally.others()
    );
    println!("accepted, from the intended time: {}", quantiles(&tally.accepted_after));
    println!("accepted, from sending:           {}", quantiles(&tally.accepted_since_sent));
    println!("sent after the intended time:     {}", quantiles(&tally.late));
}

fn quantiles(histogram: &Histogram) -> String {
    let of = |(name, share)| Some(format!("{name} {:?}", histogram.quantile(share)?));
    let all = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];
    all.into_iter().filter_map(of).collect::<Vec<_>>().join(", ")
}
