//! The chain alone, without Kafka around it: what the sandbox costs a record, and what a second thread adds.

use std::{sync::Barrier, thread, time::Instant};

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
const THREADS: usize = 2;

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
    let mut rows = vec![
        Row::new("clean and enrich in the sandbox", spread(&boxed)?, "ns/record").beside(beside, spread(&unboxed)?),
        Row::new("added by the sandbox", added, "ns/record").goal(Goal::AtMost(150.0)),
    ];
    rows.push(two_threads(bench, &records, rounds)?);
    Ok(Found { rows, ..Found::default() })
}

/// What two threads with a chain each judge in a second, of what one does. The same code without a sandbox says what the
/// machine gives a second thread: its two cores may be one, or a neighbour's.
fn two_threads(bench: &Bench, records: &[Record], rounds: usize) -> anyhow::Result<Row> {
    let mut chains = judges::chains(&bench.servers.modules, 2, THREADS)?;
    let header = chains.first().context("no chain")?.header().to_owned();
    let mut natives = (0..THREADS).map(|_| judges::Unboxed::new(header.clone())).collect::<anyhow::Result<Vec<_>>>()?;
    let (mut boxed, mut unboxed) = (Vec::new(), Vec::new());
    for pair in 1..=bench.options.pairs {
        progress(&format!("two threads, pair {pair} of {}", bench.options.pairs));
        boxed.push(gain(&mut chains, rounds, |chain| judge(chain, records))?);
        unboxed.push(gain(&mut natives, rounds, |native| judge_natively(native, records))?);
    }
    let spread = |runs: &[f64]| Spread::of(runs).context("a run without a figure");
    Ok(Row::new("two threads, of one", spread(&boxed)?, "x").beside("native, same frames", spread(&unboxed)?))
}

/// All threads' rate, of that of the first alone.
fn gain<T: Send>(
    judges: &mut [T],
    rounds: usize,
    judge: impl Fn(&mut T) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<f64> {
    let alone = seconds(judges.get_mut(..1).context("no judge")?, rounds, &judge)?;
    Ok(judges.len() as f64 * alone / seconds(judges, rounds, &judge)?)
}

/// Until the last of the threads has made all of its rounds.
fn seconds<T: Send>(
    judges: &mut [T],
    rounds: usize,
    judge: &(impl Fn(&mut T) -> anyhow::Result<()> + Sync),
) -> anyhow::Result<f64> {
    let barrier = &Barrier::new(judges.len());
    let run = |judged: &mut T| {
        barrier.wait();
        let begun = Instant::now();
        (0..rounds.max(1)).try_for_each(|_| judge(judged))?;
        anyhow::Ok(begun.elapsed().as_secs_f64())
    };
    thread::scope(|scope| {
        let running: Vec<_> = judges.iter_mut().map(|judged| scope.spawn(move || run(judged))).collect();
        let times =
            running.into_iter().map(|thread| thread.join().unwrap_or_else(|_| anyhow::bail!("a thread panicked")));
        times.collect::<anyhow::Result<Vec<_>>>().map(|times| times.into_iter().fold(0.0, f64::max))
    })
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
