//! Orders per CPU-second of the process, which other processes on the machine disturb less than orders per second. The
//! floor and the edge run by turns; each round gives one ratio.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, ensure};

use super::{Bench, Found, progress};
use crate::{
    floor::{self, Parse},
    load::{Load, Pace, Plan},
    orders::Ids,
    process::Process,
    report::Row,
    spread::{Goal, Spread},
};

const WARM_UP: Duration = Duration::from_secs(1);
const RUN: Duration = Duration::from_secs(5);
const BATCH: usize = 100;
/// The edge's goal is told for a machine on which the floor has this.
const FLOOR_OF_GOAL: f64 = 70_000.0;

/// One run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// Orders per CPU-second of the process and of what it started.
    pub(super) per_cpu: f64,
    /// Orders per second.
    pub(super) per_second: f64,
}

pub(super) async fn measure(bench: &Bench) -> anyhow::Result<Found> {
    let (floor, floor_address) = floor::start(&floor::Args { parse: Parse::Value, threads: 0, kafka: None })?;
    let edge = bench.edge().await?;
    let (mut floors, mut singles, mut batches) = (Vec::new(), Vec::new(), Vec::new());
    let pairs = bench.options.closed();
    for pair in 1..=pairs {
        progress(&format!("throughput, pair {pair} of {pairs}"));
        floors.push(run(bench, &floor, floor_address, 1).await?);
        singles.push(run(bench, &edge.process, edge.address, 1).await?);
        batches.push(run(bench, &edge.process, edge.address, BATCH).await?);
    }
    drop(floor);
    let mut found = rows(&floors, &singles, &batches)?;
    let kafka = Some(bench.kafka.servers.clone());
    let others = [
        (Parse::Value, 0, kafka, "bare hyper, into a Value, and produce"),
        (Parse::Typed, 0, None, "bare hyper, into a struct"),
        (Parse::Value, 1, None, "bare hyper, one thread"),
        (Parse::Typed, 1, None, "bare hyper, into a struct, one thread"),
    ];
    for (parse, threads, kafka, name) in others.into_iter().take(bench.options.floors()) {
        progress(name);
        let (floor, address) = floor::start(&floor::Args { parse, threads, kafka })?;
        let mut runs = Vec::new();
        for _ in 0..bench.options.rounds() {
            runs.push(run(bench, &floor, address, 1).await?.per_cpu);
        }
        found.rows.push(Row::new(name, spread(&runs)?, "orders/CPU-s"));
    }
    Ok(found)
}

fn rows(floors: &[Run], singles: &[Run], batches: &[Run]) -> anyhow::Result<Found> {
    let cpu = |runs: &[Run]| runs.iter().map(|run| run.per_cpu).collect::<Vec<_>>();
    let rate = |runs: &[Run]| runs.iter().map(|run| run.per_second).collect::<Vec<_>>();
    let (floor, single, batch) = (spread(&cpu(floors))?, spread(&cpu(singles))?, spread(&cpu(batches))?);
    let to_floor = Spread::of_ratios(&cpu(singles), &cpu(floors)).context("no ratio")?;
    let scaled = to_floor.times(FLOOR_OF_GOAL);
    let to_single = Spread::of_ratios(&cpu(batches), &cpu(singles)).context("no ratio")?;
    let beside = "bare hyper, into a Value";
    let rows = vec![
        Row::new("single orders", single.clone(), "orders/CPU-s").beside(beside, floor),
        Row::new("single orders, of the floor", to_floor, "x").goal(Goal::AtLeast(0.65)),
        Row::new("single orders, were the floor 70,000", scaled, "orders/CPU-s").goal(Goal::AtLeast(45_000.0)),
        Row::new("batches of 100", batch, "orders/CPU-s").beside("single orders", single),
        Row::new("batches of 100, of single orders", to_single, "x").goal(Goal::AtLeast(3.0)),
        Row::new("single orders, closed loop", spread(&rate(singles))?, "orders/s")
            .beside(beside, spread(&rate(floors))?),
        Row::new("batches of 100, closed loop", spread(&rate(batches))?, "orders/s"),
    ];
    Ok(Found { rows, ..Found::default() })
}

fn spread(runs: &[f64]) -> anyhow::Result<Spread> {
    Spread::of(runs).context("a run without a figure")
}

/// One closed loop, counted after its warm-up.
pub(super) async fn run(bench: &Bench, process: &Process, address: SocketAddr, batch: usize) -> anyhow::Result<Run> {
    run_of(bench, &bench.ids, process, address, batch).await
}

/// The same with these orders.
pub(super) async fn run_of(
    bench: &Bench,
    ids: &Arc<Ids>,
    process: &Process,
    address: SocketAddr,
    batch: usize,
) -> anyhow::Result<Run> {
    let (warm_up, time) = (bench.options.time(WARM_UP), bench.options.time(RUN));
    // A batch has a hundred orders under way, so fewer connections keep the edge as busy.
    let connections = if batch == 1 { bench.options.connections } else { (bench.options.connections / 8).max(1) };
    let pace = Pace::Closed;
    let plan = Plan { address, connections, pace, time: warm_up + time, batch, obey_retry_after: false };
    let load = Load::start(&plan, ids);
    tokio::time::sleep(warm_up).await;
    let (cpu, accepted, begun) = (process.cpu_of_tree()?, load.tally.accepted(), std::time::Instant::now());
    tokio::time::sleep(time.saturating_sub(Duration::from_millis(50))).await;
    let (cpu, accepted) = (process.cpu_of_tree()?.saturating_sub(cpu), load.tally.accepted() - accepted);
    let elapsed = begun.elapsed();
    let tally = load.finish().await;
    ensure!(tally.is_clean(batch), "not every order was accepted: {:?}", tally.others());
    Ok(Run { per_cpu: accepted as f64 / cpu.as_secs_f64(), per_second: accepted as f64 / elapsed.as_secs_f64() })
}
