//! A backlog through both sinks at once, as after an outage of both stores: how long each takes, and how its rate goes.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::{
    Bench, Found,
    contestant::Contestant,
    drain::{Poised, drain},
    fill, orders,
    stores::Kind,
};
use crate::{
    report::{Row, Sample, progress},
    spread::Spread,
};

/// No sink that works is slower than so many orders a second, beside the other one too.
const SLOWEST: f64 = 60.0;
/// Between two looks at how much is stored.
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(5);
/// The parts of the backlog over which a rate is told.
const PARTS: [(&str, f64, f64); 3] =
    [("the first tenth", 0.0, 0.1), ("a tenth in the middle", 0.45, 0.55), ("the last tenth", 0.9, 1.0)];

/// How much was stored when.
type Looks = Vec<(f64, f64)>;

pub(super) async fn measure(bench: &Bench) -> anyhow::Result<Found> {
    let count = bench.options.backlog();
    let contestants = Kind::ALL.map(|kind| Contestant::of_file(&bench.servers.files.join(kind.file()), "our settings"));
    let [table, index] = contestants;
    let (table, index) = (table?, index?);
    if bench.is_cold() {
        progress("drain: warming up");
        for sink in [&table, &index] {
            drain(bench, sink, bench.options.orders()).await?;
        }
    }
    let (table, index) = (Poised::deploy(bench, &table).await?, Poised::deploy(bench, &index).await?);
    progress(&format!("drain: writing {count} orders"));
    bench.fill(0..count).await?;
    let begun = Instant::now();
    table.go().await?;
    index.go().await?;
    let looks = tokio::try_join!(watch(bench, &table, begun, count), watch(bench, &index, begun, count));
    table.remove().await?;
    index.remove().await?;
    let (table, index) = looks?;
    let expected = orders::sums(0..count)?;
    let mut found = Found::default();
    for (kind, looks) in Kind::ALL.into_iter().zip([table, index]) {
        bench.servers.stores.compare(kind, &expected).await?;
        tell(kind, &looks, count, &mut found)?;
    }
    fill::throw_away(bench.servers.kafka()).await?;
    found.notes.push(format!("the backlog of {count} orders is in both stores, by count, amounts and versions"));
    Ok(found)
}

/// Looks until all is stored.
async fn watch(bench: &Bench, sink: &Poised<'_>, begun: Instant, count: u64) -> anyhow::Result<Looks> {
    let kind = sink.kind;
    let mut gauge = bench.servers.stores.gauge(kind).await?;
    let end = Duration::from_secs_f64(60.0 + count as f64 / SLOWEST);
    let (mut looks, mut told) = (vec![(0.0, 0.0)], Instant::now());
    loop {
        let stored = gauge.look().await?;
        let seconds = begun.elapsed().as_secs_f64();
        looks.push((seconds, stored as f64));
        if count <= stored {
            return Ok(looks);
        }
        ensure!(begun.elapsed() < end, "{kind}: {stored} of {count} orders are stored after {seconds:.0} s");
        if Duration::from_secs(15) < told.elapsed() {
            told = Instant::now();
            progress(&format!("drain, {kind}: {stored} of {count} after {seconds:.0} s"));
            sink.ensure_runs().await.with_context(|| kind.to_string())?;
        }
        // A look costs the more, the more there is, and the end is to be seen closely.
        let guess = seconds * (count - stored) as f64 / stored.max(1) as f64 / 2.0;
        tokio::time::sleep(Duration::from_secs_f64(guess.clamp(0.02, 60.0)).min(pace(count))).await;
    }
}

/// Some hundred looks at a drain.
fn pace(count: u64) -> Duration {
    Duration::from_secs_f64(count as f64 / 200_000.0).clamp(SHORTEST, LONGEST)
}

fn tell(kind: Kind, looks: &Looks, count: u64, found: &mut Found) -> anyhow::Result<()> {
    let one = |value: f64| Spread::of(&[value]).context("a drain without a figure");
    let (seconds, _) = looks.last().copied().context("a drain that nobody looked at")?;
    let row = |what: String, figure, unit| Row::new(format!("{kind}, both at once: {what}"), figure, unit);
    found.rows.push(row(format!("{count} orders drained"), one(seconds)?, "s"));
    found.rows.push(row("over all".to_owned(), one(count as f64 / seconds)?, kind.unit()));
    for (what, from, to) in PARTS {
        let rate = rate(looks, count as f64 * from, count as f64 * to).context("a part without a time")?;
        found.rows.push(row(what.to_owned(), one(rate)?, kind.unit()));
    }
    let sample = |what: &str, unit, runs| Sample { what: format!("{kind}, both at once, {what}"), unit, runs };
    found.samples.push(sample("time of each look", "s", looks.iter().map(|(seconds, _)| *seconds).collect()));
    found.samples.push(sample("stored at each look", "orders", looks.iter().map(|(_, stored)| *stored).collect()));
    Ok(())
}

/// Orders a second between two amounts; between two looks they are taken to have come evenly.
fn rate(looks: &Looks, from: f64, to: f64) -> Option<f64> {
    let at = |amount: f64| {
        let after = looks.iter().position(|(_, stored)| amount <= *stored)?;
        let (end, most) = looks.get(after)?;
        let Some((begin, least)) = after.checked_sub(1).and_then(|before| looks.get(before)) else { return Some(*end) };
        Some(begin + (end - begin) * (amount - least) / (most - least))
    };
    let seconds = at(to)? - at(from)?;
    (0.0 < seconds).then(|| (to - from) / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_its_part_of_the_drain() {
        // Nothing for a second, 100/s for ten, a pause of five, 10/s to the end.
        let looks = vec![(0.0, 0.0), (1.0, 0.0), (6.0, 500.0), (11.0, 1_000.0), (16.0, 1_000.0), (26.0, 1_100.0)];
        assert_eq!(rate(&looks, 250.0, 750.0), Some(100.0));
        assert_eq!(rate(&looks, 1_000.0, 1_100.0), Some(100.0 / 15.0), "the pause is in it");
        assert_eq!(rate(&looks, 0.0, 500.0), Some(500.0 / 6.0), "so is the first second");
        assert_eq!((rate(&looks, 500.0, 2_000.0), rate(&looks, 5.0, 5.0)), (None, None));
    }

    #[test]
    fn a_long_drain_is_looked_at_less_often() {
        assert_eq!((pace(50_000), pace(400_000), pace(1_000_000_000)), (SHORTEST, Duration::from_secs(2), LONGEST));
    }
}
