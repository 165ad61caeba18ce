//! What the edge adds to a direct produce, at rates that are far from what it can do. Both are measured from the same
//! intended times, by turns.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context, ensure};

use super::{Bench, Edge, Found, progress};
use crate::{
    direct::Direct,
    histogram::Histogram,
    load::{Load, Pace, Plan},
    report::Row,
    spread::{Goal, Spread},
};

const WARM_UP: Duration = Duration::from_secs(1);
const RUN: Duration = Duration::from_secs(6);
const RATES: [f64; 2] = [500.0, 2000.0];
const CONNECTIONS: usize = 64;

/// A quantile of each run, in milliseconds.
#[derive(Debug, Default)]
struct Runs {
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Runs {
    fn add(&mut self, latencies: &Histogram) -> anyhow::Result<()> {
        let millis = |share| Some(latencies.quantile(share)?.as_secs_f64() * 1000.0);
        self.p50.push(millis(0.5).context("nothing was measured")?);
        self.p99.push(millis(0.99).context("nothing was measured")?);
        Ok(())
    }
}

pub(super) async fn measure(bench: &Bench) -> anyhow::Result<Found> {
    let (edge, mut found) = (bench.edge().await?, Found::default());
    let direct_producer = Arc::new(Direct::connect(&bench.kafka.servers)?);
    for rate in RATES {
        let (mut ours, mut direct, mut behind) = (Runs::default(), Runs::default(), Duration::ZERO);
        Load::run(&Plan { time: WARM_UP, ..plan(&edge, rate) }, &bench.ids).await;
        direct_run(bench, &direct_producer, rate, WARM_UP).await?;
        let pairs = bench.options.open();
        for pair in 1..=pairs {
            progress(&format!("latency at {rate}/s, pair {pair} of {pairs}"));
            direct.add(&*direct_run(bench, &direct_producer, rate, bench.options.time(RUN)).await?)?;
            behind = behind.max(edge_run(bench, &edge, rate, &mut ours).await?);
        }
        found.rows.extend(rows(rate, &ours, &direct)?);
        found.notes.push(format!("at {rate}/s the generator sent 99 % within {behind:?} of the intended time"));
    }
    Ok(found)
}

fn plan(edge: &Edge, rate: f64) -> Plan {
    let (address, pace) = (edge.address, Pace::Open(rate));
    Plan { address, connections: CONNECTIONS, pace, time: RUN, batch: 1, obey_retry_after: false }
}

async fn direct_run(bench: &Bench, direct: &Arc<Direct>, rate: f64, time: Duration) -> anyhow::Result<Arc<Histogram>> {
    let (direct, ids) = (Arc::clone(direct), Arc::clone(&bench.ids));
    tokio::task::spawn_blocking(move || direct.run(rate, time, &ids)).await?
}

/// How late the generator was, too.
async fn edge_run(bench: &Bench, edge: &Edge, rate: f64, runs: &mut Runs) -> anyhow::Result<Duration> {
    let tally = Load::run(&Plan { time: bench.options.time(RUN), ..plan(edge, rate) }, &bench.ids).await;
    ensure!(tally.is_clean(1), "not every order was accepted: {:?}", tally.others());
    ensure!(tally.unsent.load(Ordering::Relaxed) == 0, "the generator could not send everything");
    runs.add(&tally.accepted_after)?;
    Ok(tally.late.quantile(0.99).unwrap_or_default())
}

fn rows(rate: f64, ours: &Runs, direct: &Runs) -> anyhow::Result<Vec<Row>> {
    let spread = |runs: &[f64]| Spread::of(runs).context("a run without a figure");
    let added = |ours: &[f64], direct: &[f64]| Spread::of_differences(ours, direct).context("no difference");
    Ok(vec![
        Row::new(format!("p50 at {rate}/s"), spread(&ours.p50)?, "ms").beside("direct produce", spread(&direct.p50)?),
        Row::new(format!("p99 at {rate}/s"), spread(&ours.p99)?, "ms").beside("direct produce", spread(&direct.p99)?),
        Row::new(format!("p99 added at {rate}/s"), added(&ours.p99, &direct.p99)?, "ms").goal(Goal::AtMost(1.0)),
    ])
}
