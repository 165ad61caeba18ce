//! kill -9 under load: how long until records flow again, when the process comes back and when it does not.

use std::time::{Duration, Instant};

use anyhow::Context;

use super::{Bench, Found, flow::Running, progress, service::Service};
use crate::{
    report::Row,
    spread::{Goal, Spread},
};

const RATE: f64 = 500.0;
const WARM_UP: Duration = Duration::from_secs(2);
/// Longer than any recovery; what is late is waited for all the same.
const AFTER: Duration = Duration::from_secs(3);

pub(super) async fn measure(bench: &Bench) -> anyhow::Result<Found> {
    let (mut restarted, mut never) = (Vec::new(), Vec::new());
    let pairs = bench.options.long_pairs();
    for pair in 1..=pairs {
        progress(&format!("kill -9 and a restart in place, {pair} of {pairs}"));
        restarted.push(in_place(bench).await?);
        progress(&format!("kill -9 and no restart, {pair} of {pairs}"));
        never.push(on_the_other(bench).await?);
    }
    let spread = |runs: &[f64]| Spread::of(runs).context("a run without a figure");
    let rows = vec![
        Row::new("records flow again after a restart in place", spread(&restarted)?, "s").goal(Goal::AtMost(2.0)),
        Row::new("all records flow again on another process", spread(&never)?, "s").goal(Goal::AtMost(10.0)),
    ];
    let note = "after every kill -9 each record came out once".to_owned();
    Ok(Found { rows, notes: vec![note], ..Found::default() })
}

/// From the new process's start to the first record behind it, in seconds.
async fn in_place(bench: &Bench) -> anyhow::Result<f64> {
    let mut service = Service::start(bench, "race-place").await?;
    service.deploy(bench).await?;
    let running = Running::start(&bench.servers.kafka, RATE)?;
    tokio::time::sleep(WARM_UP).await;
    // Its value ends a process by SIGKILL.
    drop(service);
    let killed = Instant::now();
    let service = Service::start(bench, "race-place").await?;
    tokio::time::sleep(AFTER).await;
    let flow = tokio::task::spawn_blocking(move || running.finish()).await??;
    drop(service);
    // What was committed before may be read a moment after.
    let settled = killed + Duration::from_millis(100);
    let first = flow.seen.values().map(|(at, _)| *at).filter(|at| settled < *at).min().context("nothing came")?;
    Ok(first.saturating_duration_since(killed).as_secs_f64())
}

/// From the kill to the time when the last record that was due before it came out, in seconds.
async fn on_the_other(bench: &Bench) -> anyhow::Result<f64> {
    let mut first = Service::start(bench, "race-one").await?;
    first.deploy(bench).await?;
    let second = Service::start(bench, "race-two").await?;
    let running = Running::start(&bench.servers.kafka, RATE)?;
    // Longer than the group needs to share its partitions.
    tokio::time::sleep(2 * WARM_UP).await;
    drop(first);
    let killed = Instant::now();
    tokio::time::sleep(Duration::from_secs(12)).await;
    let flow = tokio::task::spawn_blocking(move || running.finish()).await??;
    drop(second);
    let waited = |(id, due): (&String, &Instant)| {
        let seen = flow.seen.get(id)?.0;
        (*due < killed + Duration::from_secs(1)).then_some(seen)
    };
    let last = flow.due.iter().filter_map(waited).max().context("nothing came")?;
    Ok(last.saturating_duration_since(killed).as_secs_f64())
}
