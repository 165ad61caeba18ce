//! From the time a record was due at the producer to the time a reader of committed records has it, at fixed rates.

use std::time::Duration;

use anyhow::Context;

use super::{Bench, Found, flow::Running, progress, service::Service};
use crate::{
    report::Row,
    spread::{Goal, Spread},
};

/// Records a second, and how long in full.
const RATES: [(f64, Duration); 4] = [
    (1.0, Duration::from_secs(20)),
    (100.0, Duration::from_secs(10)),
    (1_000.0, Duration::from_secs(10)),
    (20_000.0, Duration::from_secs(10)),
];
/// The rate that has goals.
const GOAL_RATE: f64 = 1_000.0;
const WARM_UP: Duration = Duration::from_secs(2);

pub(super) async fn measure(bench: &Bench) -> anyhow::Result<Found> {
    let mut service = Service::start(bench, "race-latency").await?;
    service.deploy(bench).await?;
    run(bench, GOAL_RATE, WARM_UP).await?;
    let (mut found, pairs) = (Found::default(), bench.options.long_pairs());
    let rates = RATES.into_iter().filter(|(rate, _)| bench.options.has_all_rates() || *rate == GOAL_RATE);
    for (rate, time) in rates {
        let (mut p50, mut p99, mut commits) = (Vec::new(), Vec::new(), Vec::new());
        for pair in 1..=pairs {
            progress(&format!("latency at {rate}/s, run {pair} of {pairs}"));
            let (before, time) = (service.counter("transforms_transactions_total").await?, bench.options.time(time));
            let (fifty, ninety_nine) = run(bench, rate, time).await?;
            let after = service.counter("transforms_transactions_total").await?;
            p50.push(fifty);
            p99.push(ninety_nine);
            commits.push((after - before) / time.as_secs_f64());
        }
        let spread = |runs: &[f64]| Spread::of(runs).context("a run without a figure");
        let (mut median, mut tail) = (
            Row::new(format!("due to readable at {rate}/s, p50"), spread(&p50)?, "ms"),
            Row::new(format!("due to readable at {rate}/s, p99"), spread(&p99)?, "ms"),
        );
        if rate == GOAL_RATE {
            (median, tail) = (median.goal(Goal::AtMost(15.0)), tail.goal(Goal::AtMost(50.0)));
        }
        found.rows.extend([median, tail, Row::new(format!("commits at {rate}/s"), spread(&commits)?, "/s")]);
    }
    let (now, most) = service.process.memory()?;
    let mib = |kib: u64| Spread::of(&[kib as f64 / 1024.0]).context("no memory");
    found.rows.push(
        Row::new("RSS with two modules, afterwards", mib(now)?, "MiB")
            .beside("the most", mib(most)?)
            .goal(Goal::AtMost(64.0)),
    );
    Ok(found)
}

/// p50 and p99 in milliseconds.
async fn run(bench: &Bench, rate: f64, time: Duration) -> anyhow::Result<(f64, f64)> {
    let running = Running::start(&bench.servers.kafka, rate)?;
    tokio::time::sleep(time).await;
    let flow = tokio::task::spawn_blocking(move || running.finish()).await??;
    let millis = |share| anyhow::Ok(flow.quantile(share)?.as_secs_f64() * 1000.0);
    Ok((millis(0.5)?, millis(0.99)?))
}
