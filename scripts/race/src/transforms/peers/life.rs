//! How long a record takes at a rate that is far from what any of them can do, and how long nothing comes out when the
//! process is killed and started again in its place.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use schemas::names::topics;

use super::{
    Field, Who,
    contest::{Committed, PATIENCE},
    same,
};
use crate::{
    peers::{claim, told},
    report::{Found, progress},
    spread::Spread,
    transforms::flow::{self, Flow},
};

const RATE: f64 = 500.0;
/// What a JVM needs until its code is compiled.
const WARM_UP: Duration = Duration::from_secs(30);
const RUN: Duration = Duration::from_secs(20);
/// The last records before the kill are not told as latencies.
const MARGIN: Duration = Duration::from_secs(1);
/// What was committed before the kill may be read a moment after.
const SETTLED: Duration = Duration::from_millis(300);
/// Behind the first commit, so that what waited has come out, too.
const AFTER: Duration = Duration::from_secs(3);

/// One life of one program.
#[derive(Clone, Copy, Debug)]
struct Run {
    p50: f64,
    p99: f64,
    /// From the kill to the first record behind it; none for those who are not killed.
    back: Option<f64>,
}

pub(super) async fn measure(field: &Field, all: &[Who]) -> anyhow::Result<Found> {
    let rounds = field.bench.options.lives();
    let mut runs: Vec<Vec<Run>> = all.iter().map(|_| Vec::new()).collect();
    for round in 1..=rounds {
        for (number, (who, runs)) in all.iter().zip(&mut runs).enumerate() {
            progress(&format!("{}, latency and kill -9, {round} of {rounds}", who.name()));
            runs.push(run(field, who, &format!("life-{number}-{round}")).await?);
        }
    }
    rows(all, &runs)
}

async fn run(field: &Field, who: &Who, group: &str) -> anyhow::Result<Run> {
    let kafka = &field.servers.kafka;
    let records = same::ends(kafka, topics::ORDERS_RECEIVED)?.iter().sum();
    let running = field.drain(who, group, records, PATIENCE).await?;
    let flow = flow::Running::start_by(kafka, RATE, field.servers.received_id)?;
    let (warm_up, time) = (field.bench.options.time(WARM_UP), field.bench.options.time(RUN));
    let begun = Instant::now() + warm_up;
    tokio::time::sleep(warm_up + time).await;
    let ended = Instant::now();
    if !who.is_exactly_once() {
        // What it would write twice is no subject here.
        let flow = tokio::task::spawn_blocking(move || flow.finish()).await??;
        running.end().await?;
        return told_of(&flow, begun, ended, None);
    }
    // A second's records more than now: none of the last before the kill is taken for one behind it. Asked before, since
    // nothing may stand between the kill and the restart, and Kafka waits with its answer while a commit is half done.
    let mut committed = Committed::of(kafka, group)?;
    let again = committed.now().await? + RATE as i64;
    // Its value ends a process by SIGKILL.
    drop(running);
    let killed = Instant::now();
    let running = field.restart(who, group).await?;
    while committed.now().await? < again {
        ensure!(killed.elapsed() < PATIENCE, "{} has committed nothing in {PATIENCE:?} after a kill", who.name());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(AFTER).await;
    let flow = tokio::task::spawn_blocking(move || flow.finish()).await??;
    running.end().await?;
    told_of(&flow, begun, ended, Some(killed))
}

fn told_of(flow: &Flow, begun: Instant, ended: Instant, killed: Option<Instant>) -> anyhow::Result<Run> {
    let counted = |(id, due): (&String, &Instant)| {
        let (seen, _) = flow.seen.get(id).filter(|_| begun < *due && *due + MARGIN < ended)?;
        Some(seen.saturating_duration_since(*due).as_secs_f64() * 1000.0)
    };
    let mut took: Vec<f64> = flow.due.iter().filter_map(counted).collect();
    took.sort_by(f64::total_cmp);
    let quantile = |share: f64| took.get((took.len() as f64 * share) as usize).copied().context("no record came");
    let back = |killed: Instant| {
        let first = flow.seen.values().map(|(at, _)| *at).filter(|at| killed + SETTLED < *at).min();
        anyhow::Ok(first.context("nothing came after the kill")?.saturating_duration_since(killed).as_secs_f64())
    };
    Ok(Run { p50: quantile(0.5)?, p99: quantile(0.99)?, back: killed.map(back).transpose()? })
}

fn rows(all: &[Who], runs: &[Vec<Run>]) -> anyhow::Result<Found> {
    let names: Vec<&str> = all.iter().map(Who::name).collect();
    let mut found =
        told(&names, runs, &[("p50 at 500/s", "ms", |run| run.p50), ("p99 at 500/s", "ms", |run| run.p99)])?;
    let back = |runs: &[Run]| runs.iter().filter_map(|run| run.back).collect::<Vec<f64>>();
    let ours = back(runs.first().context("nobody ran")?);
    for (who, theirs) in all.iter().zip(runs).map(|(who, runs)| (who, back(runs))).filter(|(_, runs)| !runs.is_empty())
    {
        found.add(format!("{}, records come out again after kill -9 and a restart", who.name()), "s", &theirs)?;
    }
    for (who, theirs) in all.iter().zip(runs).skip(1).map(|(who, runs)| (who, back(runs))) {
        if let Some(ratio) = Spread::of_ratios(&theirs, &ours).filter(|_| !theirs.is_empty()) {
            found.rows.push(claim(&format!("time until {} is back, of ours", who.name()), ratio, None));
        }
    }
    found.notes.push(format!(
        "latencies at {RATE}/s from when a record was due until a reader of committed records has it; killed under that load"
    ));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_of_those_that_were_due_in_time_and_the_way_back_ends_with_the_first_after_the_kill() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut flow = Flow { due: std::collections::BTreeMap::new(), seen: std::collections::BTreeMap::new() };
        // Warming up; measured; too near to the kill; committed before and read after; and the first that comes again.
        for (id, due, seen) in [
            ("a", 100, 900),
            ("b", 1_100, 1_110),
            ("c", 1_200, 1_230),
            ("d", 3_900, 3_950),
            ("e", 3_990, 4_100),
            ("f", 4_100, 6_500),
        ] {
            flow.due.insert(id.to_owned(), at(due));
            flow.seen.insert(id.to_owned(), (at(seen), String::new()));
        }
        let run = told_of(&flow, at(1_000), at(4_000), Some(at(4_000))).unwrap();
        assert_eq!((run.p50.round(), run.p99.round(), run.back), (30.0, 30.0, Some(2.5)));
        assert!(told_of(&flow, at(1_000), at(4_000), Some(at(7_000))).is_err(), "nothing came after that");
        assert!(told_of(&flow, at(5_000), at(5_500), None).is_err(), "nothing was due");
    }
}
