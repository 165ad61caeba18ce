//! The figures: orders per CPU-second by turns, latency at fixed rates, memory, and what a start takes.

use std::{sync::atomic::Ordering, time::Duration};

use anyhow::{Context, ensure};

use super::{Field, Peer, Runner};
use crate::{
    edge::throughput::{self, Run},
    load::{Load, Pace, Plan},
    peers::{Settings, claim},
    report::{Found, progress},
    spread::{Goal, Spread},
};

const RUN: Duration = Duration::from_secs(6);
const CONNECTIONS: usize = 64;

pub(super) async fn measure(field: &Field, peers: &[Peer], runners: Vec<Runner>) -> anyhow::Result<Found> {
    let mut found = Found::default();
    throughput(field, &runners, &mut found).await?;
    memory(&runners, &mut found)?;
    latency(field, &runners, &mut found).await?;
    match field.bench.options.starts() {
        0 => first_starts(&runners, &mut found)?,
        count => {
            // A start is measured without the others in memory.
            drop(runners);
            starts(field, peers, count, &mut found).await?;
        }
    }
    Ok(found)
}

async fn throughput(field: &Field, runners: &[Runner], found: &mut Found) -> anyhow::Result<()> {
    let bench = &field.bench;
    for runner in runners {
        let name = runner.settings.name;
        progress(&format!("{name}, cold, then warming up"));
        let cold = throughput::run(bench, &runner.process, runner.address, 1).await?;
        found.add(format!("{name}, cold: its first seconds under load"), "orders/CPU-s", &[cold.per_cpu])?;
        let warm_up = bench.options.warm_up(runner);
        Load::run(&plan(bench.options.connections, runner, Pace::Closed, warm_up), &bench.ids).await;
    }
    let mut runs: Vec<Vec<Run>> = runners.iter().map(|_| Vec::new()).collect();
    let pairs = bench.options.closed();
    for pair in 1..=pairs {
        for (runner, runs) in runners.iter().zip(&mut runs) {
            progress(&format!("throughput, {}, {pair} of {pairs}", runner.settings.name));
            runs.push(throughput::run(bench, &runner.process, runner.address, 1).await?);
        }
    }
    let cpu = |runs: &[Run]| runs.iter().map(|run| run.per_cpu).collect::<Vec<_>>();
    let rate = |runs: &[Run]| runs.iter().map(|run| run.per_second).collect::<Vec<_>>();
    for (runner, runs) in runners.iter().zip(&runs) {
        found.add(format!("{}, warm", runner.settings.name), "orders/CPU-s", &cpu(runs))?;
        found.add(format!("{}, warm, closed loop", runner.settings.name), "orders/s", &rate(runs))?;
    }
    let (ours, theirs) = runs.split_first().context("nobody ran")?;
    for (runner, theirs) in runners.iter().skip(1).zip(theirs) {
        let ratio = Spread::of_ratios(&cpu(ours), &cpu(theirs)).context("no ratio")?;
        let what = format!("orders per CPU-second, of those of {}", runner.settings.name);
        found.rows.push(claim(&what, ratio, runner.peer.map(|peer| Goal::AtLeast(peer.goal()))));
    }
    Ok(())
}

fn plan(connections: usize, runner: &Runner, pace: Pace, time: Duration) -> Plan {
    Plan { address: runner.address, connections, pace, time, batch: 1, obey_retry_after: false }
}

fn memory(runners: &[Runner], found: &mut Found) -> anyhow::Result<()> {
    for runner in runners {
        let (now, most) = runner.process.memory()?;
        let mib = |kib: u64| kib as f64 / 1024.0;
        found.add(format!("{}, RSS after the load", runner.settings.name), "MiB", &[mib(now)])?;
        found.add(format!("{}, the most RSS", runner.settings.name), "MiB", &[mib(most)])?;
    }
    Ok(())
}

async fn latency(field: &Field, runners: &[Runner], found: &mut Found) -> anyhow::Result<()> {
    let bench = &field.bench;
    let pairs = bench.options.rounds_at_rates();
    for rate in bench.options.rates() {
        let mut runs: Vec<[Vec<f64>; 2]> = runners.iter().map(|_| Default::default()).collect();
        for pair in 1..=pairs {
            for (runner, [p50, p99]) in runners.iter().zip(&mut runs) {
                progress(&format!("latency at {rate}/s, {}, {pair} of {pairs}", runner.settings.name));
                let plan = plan(CONNECTIONS, runner, Pace::Open(*rate), bench.options.time(RUN));
                let tally = Load::run(&plan, &bench.ids).await;
                ensure!(tally.is_clean(1), "not every order was accepted: {:?}", tally.others());
                ensure!(tally.unsent.load(Ordering::Relaxed) == 0, "the generator could not send everything");
                let millis = |share| Some(tally.accepted_after.quantile(share)?.as_secs_f64() * 1000.0);
                p50.push(millis(0.5).context("nothing was measured")?);
                p99.push(millis(0.99).context("nothing was measured")?);
            }
        }
        for (runner, [p50, p99]) in runners.iter().zip(&runs) {
            found.add(format!("{}, p50 at {rate}/s", runner.settings.name), "ms", p50)?;
            found.add(format!("{}, p99 at {rate}/s", runner.settings.name), "ms", p99)?;
        }
    }
    Ok(())
}

/// From the start of each process to its first order, of the one start that there was.
fn first_starts(runners: &[Runner], found: &mut Found) -> anyhow::Result<()> {
    for runner in runners {
        let took = runner.first_order_after.as_secs_f64() * 1000.0;
        let what = format!("{}, from start to the first 202, beside those before it", runner.settings.name);
        found.add(what, "ms", &[took])?;
    }
    Ok(())
}

/// From the start of the process to the first order that is stored, of so many starts.
async fn starts(field: &Field, peers: &[Peer], count: usize, found: &mut Found) -> anyhow::Result<()> {
    let all: Vec<(Peer, Settings)> =
        peers.iter().flat_map(|peer| peer.settings().map(|settings| (*peer, settings))).collect();
    let mut figures: Vec<(&'static str, [Vec<f64>; 2])> = Vec::new();
    for start in 1..=count {
        progress(&format!("starts, {start} of {count}"));
        add_start(field.ours().await?, &mut figures)?;
        for (peer, settings) in &all {
            add_start(field.peer(*peer, settings.clone()).await?, &mut figures)?;
        }
    }
    for (name, [took, cpu]) in figures {
        found.add(format!("{name}, from start to the first 202"), "ms", &took)?;
        found.add(format!("{name}, CPU of a start"), "CPU-s", &cpu)?;
    }
    Ok(())
}

/// Counts one start and ends its process.
#[expect(clippy::needless_pass_by_value, reason = "the process ends here")]
fn add_start(runner: Runner, figures: &mut Vec<(&'static str, [Vec<f64>; 2])>) -> anyhow::Result<()> {
    let (name, cpu) = (runner.settings.name, runner.process.cpu_of_tree()?.as_secs_f64());
    let took = runner.first_order_after.as_secs_f64() * 1000.0;
    if !figures.iter().any(|(known, _)| *known == name) {
        figures.push((name, Default::default()));
    }
    if let Some((_, [all, cpus])) = figures.iter_mut().find(|(known, _)| *known == name) {
        all.push(took);
        cpus.push(cpu);
    }
    Ok(())
}
