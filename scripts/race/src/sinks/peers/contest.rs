//! One backlog into both stores, by each in turn: how long each store took, and what the writer and the stores needed.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::{Field, Held, Who};
use crate::{
    peers::{self, claim, told},
    process,
    report::progress,
    sinks::{Bench, Found, fill, orders, stores::Kind},
    spread::Spread,
};

/// No writer that works is slower than so many orders a second.
const SLOWEST: f64 = 60.0;
/// How long the first order may take: a JVM may be starting.
const FIRST: f64 = 120.0;

/// One run of one writer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// Orders a second, the table's and the index's, from the moment when it was let go.
    rates: [f64; 2],
    /// CPU-seconds of the writer for an order in both stores.
    writer: f64,
    /// The same of the stores.
    stores: [f64; 2],
    /// The most memory that the writer held, in MiB.
    most: f64,
}

pub(super) async fn measure(field: &Field, all: &[Who]) -> anyhow::Result<Found> {
    let (count, pairs) = (field.bench.options.orders(), field.bench.options.drains());
    let mut runs: Vec<Vec<Run>> = vec![Vec::new(); all.len()];
    for round in 1..=pairs {
        for (who, runs) in all.iter().zip(&mut runs) {
            let run = drain(field, who, count, count).await.with_context(|| who.name())?;
            let [rows, documents] = run.rates;
            let told = format!("{round} of {pairs}: {rows:.0} rows/s, {documents:.0} documents/s");
            progress(&format!("{}, {told}", who.name()));
            runs.push(run);
        }
    }
    let mut found = rows(all, &runs)?;
    found.notes.push(format!(
        "each run: {count} orders into both stores, after as many of warm-up; count, amounts and versions compared after each"
    ));
    Ok(found)
}

/// Lets it write so many orders, after a warm-up of so many.
pub(super) async fn drain(field: &Field, who: &Who, warm_up: u64, count: u64) -> anyhow::Result<Run> {
    let (bench, held) = (&field.bench, field.hold(who, warm_up).await?);
    bench.fill(0..count).await?;
    let run = measured(field, &held, count).await;
    held.end().await?;
    let run = run?;
    let expected = orders::sums(0..count)?;
    for kind in Kind::ALL {
        bench.servers.stores.compare(kind, &expected).await?;
    }
    fill::throw_away(bench.servers.kafka()).await?;
    Ok(run)
}

async fn measured(field: &Field, held: &Held<'_>, count: u64) -> anyhow::Result<Run> {
    let (bench, writer) = (&field.bench, held.pid(field)?);
    let [table, index] = Kind::ALL.map(|kind| bench.servers.stack.pid(kind.service()));
    let (table, index) = (table?, index?);
    let cpu = || anyhow::Ok([writer, table, index].map(process::cpu_of_tree));
    let before = cpu()?;
    held.go().await?;
    let seconds = until_stored(bench, count).await?;
    let mut used = Vec::new();
    for (after, before) in cpu()?.into_iter().zip(before) {
        used.push(after?.saturating_sub(before?).as_secs_f64() / count as f64);
    }
    let [writer_used, table_used, index_used] = used[..] else { anyhow::bail!("three processes were asked for") };
    Ok(Run {
        rates: seconds.map(|seconds| count as f64 / seconds),
        writer: writer_used,
        stores: [table_used, index_used],
        most: process::most_memory(writer)? as f64 / 1024.0,
    })
}

/// Waits until both stores have so many; seconds until each had.
pub(super) async fn until_stored(bench: &Bench, count: u64) -> anyhow::Result<[f64; 2]> {
    let begun = Instant::now();
    let one = async |kind: Kind| {
        let mut gauge = bench.servers.stores.gauge(kind).await?;
        loop {
            let stored = gauge.look().await?;
            let seconds = begun.elapsed().as_secs_f64();
            if count <= stored {
                return anyhow::Ok(seconds);
            }
            ensure!(seconds < FIRST + count as f64 / SLOWEST, "{kind}: {stored} of {count} after {seconds:.0} s");
            // A look costs the store something: the nearer the end, the more often.
            let guess = seconds * (count - stored) as f64 / stored.max(1) as f64 / 2.0;
            tokio::time::sleep(Duration::from_secs_f64(guess.clamp(0.01, 0.5))).await;
        }
    };
    let (table, index) = tokio::try_join!(one(Kind::Postgres), one(Kind::Elasticsearch))?;
    Ok([table, index])
}

/// What is told of a run.
type Figure = fn(&Run) -> f64;

fn rows(all: &[Who], runs: &[Vec<Run>]) -> anyhow::Result<Found> {
    let of = |runs: &[Run], figure: Figure| runs.iter().map(figure).collect::<Vec<_>>();
    let figures: [peers::Figure<Run>; 6] = [
        ("into the table", "rows/s", |run| run.rates[0]),
        ("into the index", "documents/s", |run| run.rates[1]),
        ("CPU of the writer", "µs/order", |run| run.writer * 1e6),
        ("CPU of PostgreSQL", "µs/order", |run| run.stores[0] * 1e6),
        ("CPU of Elasticsearch", "µs/order", |run| run.stores[1] * 1e6),
        ("the most RSS of the writer", "MiB", |run| run.most),
    ];
    let names: Vec<&str> = all.iter().map(Who::name).collect();
    let mut found = told(&names, runs, &figures)?;
    let (ours, theirs) = runs.split_first().context("nobody ran")?;
    let claims: [(&str, bool, Figure); 4] = [
        ("rows/s, of those of", true, |run| run.rates[0]),
        ("documents/s, of those of", true, |run| run.rates[1]),
        ("orders per CPU-second of the writer, of those of", false, |run| run.writer),
        ("memory, of that of", true, |run| run.most),
    ];
    for (who, theirs) in all.iter().skip(1).zip(theirs) {
        for (what, ours_over, figure) in claims {
            let (ours, theirs) = (of(ours, figure), of(theirs, figure));
            let (over, under) = if ours_over { (&ours, &theirs) } else { (&theirs, &ours) };
            let ratio = Spread::of_ratios(over, under).context("no ratio")?;
            found.rows.push(claim(&format!("our {what} {}", who.name()), ratio, None));
        }
    }
    Ok(found)
}
