//! The chain alone, in one thread: what the sandbox costs a record, without Kafka around it.

use std::time::Instant;

use anyhow::{Context, ensure};
use transform_host::{Chain, Record};

use super::{Bench, Found, judges, progress};
use crate::{
    report::Row,
    spread::{Goal, Spread},
};

/// As the host's.
const BATCH: usize = 240;
pub(super) const RECORDS: u64 = 2_400;
const ROUNDS: usize = 250;

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Found> {
    let records = judges::records(RECORDS)?;
    let mut chain = judges::sandboxed(&bench.servers.modules)?;
    let native = judges::Unboxed::new(chain.header().to_owned())?;
    let rounds = bench.options.count(ROUNDS);
    let (mut boxed, mut unboxed) = (Vec::new(), Vec::new());
    for pair in 1..=bench.options.pairs {
        progress(&format!("the chain alone, pair {pair} of {}", bench.options.pairs));
        boxed.push(nanoseconds(rounds, || judge(&mut chain, &records))?);
        unboxed.push(nanoseconds(rounds, || judge_natively(&native, &records))?);
    }
    let spread = |runs: &[f64]| Spread::of(runs).context("a run without a figure");
    let added = Spread::of_differences(&boxed, &unboxed).context("no difference")?;
    let beside = "native, same frames";
    let rows = vec![
        Row::new("clean and enrich in the sandbox", spread(&boxed)?, "ns/record").beside(beside, spread(&unboxed)?),
        Row::new("added by the sandbox", added, "ns/record").goal(Goal::AtMost(150.0)),
    ];
    Ok(Found { rows, ..Found::default() })
}

/// One round of the chain in its sandbox.
pub(super) fn judge(chain: &mut Chain, records: &[Record]) -> anyhow::Result<()> {
    for batch in records.chunks(BATCH) {
        chain.begin();
        ensure!(chain.apply(batch)?.len() == batch.len(), "the chain stopped early");
    }
    Ok(())
}

/// One round of the same code without a sandbox.
pub(super) fn judge_natively(native: &judges::Unboxed, records: &[Record]) -> anyhow::Result<()> {
    for batch in records.chunks(BATCH) {
        let verdicts = native.apply(batch).map_err(anyhow::Error::msg)?;
        ensure!(verdicts.len() == batch.len(), "the native code stopped early");
    }
    Ok(())
}

/// Of a record, the best of the rounds, since whatever else runs only ever adds to one.
pub(super) fn nanoseconds(rounds: usize, mut round: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..rounds.max(1) {
        let begun = Instant::now();
        round()?;
        best = best.min(begun.elapsed().as_secs_f64() * 1e9 / RECORDS as f64);
    }
    Ok(best)
}
