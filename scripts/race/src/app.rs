//! What can be asked of the command.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use clap::Parser;
use race::{
    edge::{self, Options},
    floor,
    histogram::Histogram,
    length::{Length, names},
    load::{Load, Pace, Plan, Tally},
    page, pipeline,
    report::Report,
    sinks, transforms,
};

mod args;

pub(crate) use args::Args;
use args::{ByHand, Command, Edge, Pipeline, Sinks, Transforms};

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Floor(args) => return floor::serve(args),
        Command::Turn(args) => return transforms::turn(args),
        Command::Judge(args) => return transforms::judge(args),
        Command::Encode { way, count } => return edge::encode(*way, *count),
        Command::All { quick } => return each_of(&ALL, *quick),
        Command::Recovery { quick } => return each_of(&RECOVERY, *quick),
        Command::Report { plots } => return page(plots.as_deref()),
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
        Command::Floor(_)
        | Command::Turn(_)
        | Command::Judge(_)
        | Command::Encode { .. }
        | Command::All { .. }
        | Command::Recovery { .. }
        | Command::Report { .. } => Ok(()),
    }
}

/// In the order of an order's way.
const ALL: [&[&str]; 8] = [
    &["edge"],
    &["edge", "--peers"],
    &["transforms"],
    &["transforms", "--peers"],
    &["sinks"],
    &["sinks", "--peers"],
    &["pipeline"],
    &["pipeline", "--peers"],
];

/// What comes back after kill -9: the parts of the benches that kill.
const RECOVERY: [&[&str]; 3] = [
    &["transforms", "--only", "recovery"],
    &["transforms", "--peers", "--only", "recovery"],
    &["sinks", "--only", "stall"],
];

/// One that fails does not keep the others from being measured.
fn each_of(benches: &[&[&str]], quick: bool) -> anyhow::Result<()> {
    let mut failed = Vec::new();
    for bench in benches {
        let name = bench.join(" ");
        eprintln!("race: === {name}");
        let words = std::iter::once("race").chain(bench.iter().copied()).chain(quick.then_some("--quick"));
        if let Err(error) = run(Args::try_parse_from(words)?) {
            eprintln!("race: {name}: {error:#}");
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        bail!("not measured: {}; why stands above", failed.join(", "));
    }
    Ok(())
}

/// Of what a bench found. Parts must not go over the whole, nor what is quick over what took its time:
/// `transforms-peers-recovery-quick`.
fn name_of(bench: &str, parts: Vec<String>, length: Length) -> String {
    let quick = (!length.is_full()).then(|| "quick".to_owned());
    std::iter::once(bench.to_owned()).chain(parts).chain(quick).collect::<Vec<_>>().join("-")
}

/// Where benches leave what they found: beside the folder of the profile.
fn bench_dir() -> anyhow::Result<PathBuf> {
    Ok(std::env::current_exe().context("cannot find this program's own file")?.with_file_name("../bench"))
}

fn page(plots: Option<&Path>) -> anyhow::Result<()> {
    let dir = bench_dir()?;
    page::write(&dir)?;
    plots.map_or(Ok(()), |to| page::write_plots(&dir, to))
}

/// Shows what was found, and leaves it for the page.
fn tell(report: &Report, json: Option<PathBuf>, name: &str) -> anyhow::Result<()> {
    println!("{report}");
    let dir = bench_dir()?;
    report.save(&json.unwrap_or_else(|| dir.join(format!("{name}.json"))))?;
    page::write(&dir)
}

async fn bench(args: Edge) -> anyhow::Result<()> {
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    let edge = args.edge.unwrap_or_else(|| own.with_file_name("edge"));
    ensure!(edge.is_file(), "{} is not there; `cargo build --release --workspace` makes it", edge.display());
    let (pairs, connections) = (args.pairs.into(), args.connections.into());
    let Edge { kafka, quick, only, edge_args, peers, peer, json, .. } = args;
    let all = bench_dir()?;
    let peer = if peers && peer.is_empty() { edge::Peer::ALL.to_vec() } else { peer };
    let name = if peer.is_empty() { "edge" } else { "edge-peers" };
    let length = Length::of(quick, &only);
    let file = name_of(name, names(&only), length);
    let options = Options { dir: all.join(name), kafka, edge, edge_args, own, pairs, connections, length, only };
    let report = match peer.as_slice() {
        [] => edge::run(options).await?,
        peers => edge::race(options, peers, &all).await?,
    };
    tell(&report, json, &file)
}

async fn bench_transforms(args: Transforms) -> anyhow::Result<()> {
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    let transforms = own.with_file_name("transforms");
    ensure!(
        transforms.is_file(),
        "{} is not there; `cargo build --release --workspace` makes it",
        transforms.display()
    );
    let all = bench_dir()?;
    let Transforms { quick, only, peers, peer, json, .. } = args;
    let peer = if peers && peer.is_empty() { transforms::Peer::ALL.to_vec() } else { peer };
    let name = if peer.is_empty() { "transforms" } else { "transforms-peers" };
    let length = Length::of(quick, &only);
    let file = name_of(name, names(&only), length);
    let options = transforms::Options { dir: all.join(name), transforms, own, pairs: args.pairs.into(), length, only };
    let report = match peer.as_slice() {
        [] => transforms::run(options).await?,
        peers => transforms::race(options, peers, &all).await?,
    };
    tell(&report, json, &file)
}

async fn bench_sinks(args: Sinks) -> anyhow::Result<()> {
    let dir = bench_dir()?;
    let Sinks { quick, only, store, orders, beside, peers, .. } = args;
    let name = if peers { "sinks-peers" } else { "sinks" };
    let length = Length::of(quick, &only);
    let file = name_of(name, names(&only), length);
    let options = sinks::Options { dir: dir.join(name), orders, pairs: args.pairs.into(), length, only, store, beside };
    let report = if peers { sinks::race(options, &sinks::Peer::ALL, &dir).await? } else { sinks::run(options).await? };
    tell(&report, args.json, &file)
}

async fn bench_pipeline(args: Pipeline) -> anyhow::Result<()> {
    let Pipeline { quick, peers, mut rates, rounds, json } = args;
    let length = Length::whole(quick);
    if rates.is_empty() {
        rates = pipeline::usual_rates(length, peers);
    }
    let (dir, name) = (bench_dir()?, if peers { "pipeline-peers" } else { "pipeline" });
    let options = pipeline::Options { dir: dir.join(name), rates, rounds: rounds.into(), length };
    let report = if peers { pipeline::race(options, &dir).await? } else { pipeline::run(options).await? };
    tell(&report, json, &name_of(name, Vec::new(), length))
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
    tell_load(&tally, args);
    Ok(())
}

fn tell_load(tally: &Tally, args: &ByHand) {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a bench, as its words on the command line have it with `--quick`.
    fn quick(bench: &[&str]) -> Length {
        let words = ["race"].into_iter().chain(bench.iter().copied()).chain(["--quick"]);
        match Args::try_parse_from(words).unwrap().command {
            Command::Edge(Edge { quick, only, .. }) => Length::of(quick, &only),
            Command::Transforms(Transforms { quick, only, .. }) => Length::of(quick, &only),
            Command::Sinks(Sinks { quick, only, .. }) => Length::of(quick, &only),
            Command::Pipeline(Pipeline { quick, .. }) => Length::whole(quick),
            other => panic!("{other:?} is no bench"),
        }
    }

    #[test]
    fn all_benches_can_be_quick_and_what_kills_is_only_shorter() {
        assert_eq!(ALL.map(quick), [Length::Quick; 8]);
        assert_eq!(RECOVERY.map(quick), [Length::Short; 3]);
    }

    #[test]
    fn what_a_quick_run_or_a_part_found_goes_over_nothing_else() {
        use race::transforms::Stage::{self, Growth, Recovery};
        let name = |only: &[Stage], quick| name_of("transforms", names(only), Length::of(quick, only));
        assert_eq!((name(&[], false), name(&[], true)), ("transforms".to_owned(), "transforms-quick".to_owned()));
        assert_eq!(name(&[Recovery, Growth], false), "transforms-recovery-growth");
        assert_eq!(name(&[Recovery, Growth], true), "transforms-recovery-growth-quick");
    }
}
