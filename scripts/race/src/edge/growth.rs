//! How the cost of an order grows: with its size, beside a bare hyper server that parses the same bytes, and with the
//! connections over which orders come.

use std::{sync::Arc, time::Duration};

use anyhow::ensure;

use super::{Bench, Found, progress, throughput};
use crate::{
    curve::{Curve, Point},
    floor::{self, Parse},
    load::{Load, Pace, Plan},
    orders::Ids,
    process::Process,
};

/// Items of an order: 0.2, 1, 4, 16 and 55 KB of JSON.
const ITEMS: [usize; 5] = [0, 8, 36, 146, 500];
const CONNECTIONS: [u32; 5] = [1, 10, 100, 1_000, 10_000];
/// Orders a second over all connections, the same however many there are.
const RATE: f64 = 2_000.0;
/// What one connection can have answered, since it waits for each linger.
const RATE_OF_ONE: f64 = 300.0;
const RUN: Duration = Duration::from_secs(5);
/// Behind the time in which every connection has posted once.
const SETTLED: Duration = Duration::from_secs(1);

pub(super) async fn measure(bench: &Bench) -> anyhow::Result<Found> {
    let mut found = Found::default();
    found.curves.push(size(bench).await?);
    found.curves.extend(connections(bench).await?);
    Ok(found)
}

/// From orders per CPU-second.
fn micros(runs: &[f64]) -> Vec<f64> {
    runs.iter().map(|per_cpu| 1e6 / per_cpu).collect()
}

async fn size(bench: &Bench) -> anyhow::Result<Curve> {
    let (floor, floor_address) = floor::start(&floor::Args { parse: Parse::Value, threads: 0, kafka: None })?;
    let edge = bench.edge().await?;
    let (mut ours, mut floors) = (Vec::new(), Vec::new());
    for items in ITEMS {
        let ids = Arc::new(Ids::with_items(items));
        let bytes = ids.order(0).len();
        progress(&format!("orders of {bytes} bytes"));
        let (mut edge_runs, mut floor_runs) = (Vec::new(), Vec::new());
        for _ in 0..bench.options.rounds() {
            floor_runs.push(throughput::run_of(bench, &ids, &floor, floor_address, 1).await?.per_cpu);
            edge_runs.push(throughput::run_of(bench, &ids, &edge.process, edge.address, 1).await?.per_cpu);
        }
        ours.push(Point::of(bytes as f64, &micros(&edge_runs))?);
        floors.push(Point::of(bytes as f64, &micros(&floor_runs))?);
    }
    Ok(Curve::new("An order's size: CPU time of the edge for one", "µs", "bytes of JSON")
        .line("edge", ours)
        .line("bare hyper, into a Value", floors))
}

/// CPU time, and memory.
async fn connections(bench: &Bench) -> anyhow::Result<[Curve; 2]> {
    let (mut costs, mut memory) = (Vec::new(), Vec::new());
    for count in CONNECTIONS {
        let (mut cpu, mut most) = (Vec::new(), Vec::new());
        for round in 1..=bench.options.rounds() {
            progress(&format!("{count} connections, round {round} of {}", bench.options.rounds()));
            let edge = bench.edge().await?;
            cpu.push(over(bench, &edge.process, edge.address, count).await?);
            most.push(edge.process.memory()?.1 as f64 / 1024.0);
        }
        costs.push(Point::of(count, &micros(&cpu))?);
        memory.push(Point::of(count, &most)?);
    }
    let against = format!("connections, each in its turn; {RATE} orders/s over all");
    Ok([
        Curve::new("Connections: CPU time of the edge for an order", "µs", &against).line("edge", costs),
        Curve::new("Connections: the most memory of the edge", "MiB", against).line("edge", memory),
    ])
}

/// Orders per CPU-second once every connection has posted.
async fn over(bench: &Bench, edge: &Process, address: std::net::SocketAddr, count: u32) -> anyhow::Result<f64> {
    let rate = RATE.min(RATE_OF_ONE * f64::from(count));
    let opened = SETTLED + Duration::from_secs_f64(f64::from(count) / rate);
    let (connections, time) = (usize::try_from(count)?, opened + RUN);
    let plan = Plan { address, connections, pace: Pace::Open(rate), time, batch: 1, obey_retry_after: false };
    let load = Load::start(&plan, &bench.ids);
    tokio::time::sleep(opened).await;
    let (cpu, accepted) = (edge.cpu_of_tree()?, load.tally.accepted());
    tokio::time::sleep(RUN.saturating_sub(Duration::from_millis(50))).await;
    let (cpu, accepted) = (edge.cpu_of_tree()?.saturating_sub(cpu), load.tally.accepted() - accepted);
    let tally = load.finish().await;
    ensure!(tally.is_clean(1), "not every order was accepted over {count} connections: {:?}", tally.others());
    Ok(accepted as f64 / cpu.as_secs_f64())
}
