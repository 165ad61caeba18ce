//! Records per CPU-second of the whole program, seen from outside: CPU time of the process between two counts of committed
//! records, the first after a warm-up. The backlog is the same for all and is written before.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use connectors::kafka::lag::Reader;
use rdkafka::Message;
use schemas::names::topics;

use super::{Field, Who, orders, same};
use crate::{
    peers::{self, claim, told},
    report::{Found, progress},
    spread::{Goal, Spread},
};

/// Records before those that count: a JVM has compiled its code by then.
const WARM_UP: usize = 1_000_000;
const RECORDS: usize = 500_000;
pub(super) const PATIENCE: Duration = Duration::from_secs(400);
const LOOK: Duration = Duration::from_millis(50);
/// How much better than Kafka Streams ours is to be at exactly-once, per CPU-second, and in memory.
const GOAL: f64 = 3.0;
const MEMORY_GOAL: f64 = 8.0;

/// Records that a group has committed.
pub(super) struct Committed {
    reader: Option<Reader>,
    last: i64,
}

impl Committed {
    pub(super) fn of(kafka: &str, group: &str) -> anyhow::Result<Self> {
        Ok(Self { reader: Some(Reader::new(&kafka.into(), group)?), last: 0 })
    }

    /// How many now; as many as before where the broker does not say: it makes us wait while a commit is half done.
    pub(super) async fn now(&mut self) -> anyhow::Result<i64> {
        let reader = self.reader.take().context("the last question was not answered")?;
        let asked = tokio::task::spawn_blocking(move || {
            let places = reader.places(&[topics::ORDERS_RECEIVED.to_owned()]);
            (reader, places)
        });
        let (reader, places) = asked.await?;
        self.reader = Some(reader);
        if let Ok(places) = places {
            self.last = places.iter().map(|place| place.committed).sum();
        }
        Ok(self.last)
    }
}

/// One run of one program.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Records per CPU-second, from the process's start to the end of the warm-up.
    cold: f64,
    /// After the warm-up.
    per_cpu: f64,
    per_second: f64,
    /// From the start to the first commit that was seen.
    first_after: f64,
    most_mib: f64,
}

pub(super) async fn measure(field: &Field, all: &[Who]) -> anyhow::Result<Found> {
    let (bench, id) = (&field.bench, field.servers.received_id);
    let (warm_up, count) = (bench.options.count(WARM_UP), bench.options.count(RECORDS));
    progress(&format!("writing {} records", warm_up + count));
    let kafka = field.servers.kafka.clone();
    tokio::task::spawn_blocking(move || orders::write(&kafka, orders::ordinary(warm_up + count, id))).await??;
    let total: i64 = same::ends(&field.servers.kafka, topics::ORDERS_RECEIVED)?.iter().sum();
    let mut runs: Vec<Vec<Run>> = all.iter().map(|_| Vec::new()).collect();
    let mut wrote = None;
    let pairs = bench.options.long_pairs();
    for pair in 1..=pairs {
        for (number, (who, runs)) in all.iter().zip(&mut runs).enumerate() {
            progress(&format!("{}, {pair} of {pairs}", who.name()));
            let before = same::ends(&field.servers.kafka, topics::ORDER_PLACED)?;
            runs.push(run(field, who, &format!("race-{number}-{pair}"), total - count as i64, total).await?);
            let kafka = field.servers.kafka.clone();
            let sum = tokio::task::spawn_blocking(move || sum(&kafka, &before)).await??;
            ensure!(*wrote.get_or_insert(sum) == sum, "{} wrote other records than ours", who.name());
        }
    }
    let mut found = rows(all, &runs)?;
    let (_, outputs) = wrote.context("nobody ran")?;
    found.notes.push(format!("every run's {outputs} outputs were read back as committed and were equal, ours or not"));
    Ok(found)
}

/// One program over the whole backlog.
async fn run(field: &Field, who: &Who, group: &str, warm: i64, total: i64) -> anyhow::Result<Run> {
    let running = field.start(who, group).await?;
    let (process, started) = (running.process()?, running.started()?);
    let mut committed = Committed::of(&field.servers.kafka, group)?;
    let (mut first, mut mark) = (None, None);
    let end = loop {
        let done = committed.now().await?;
        let now = (done, Instant::now(), process.cpu_of_tree()?);
        if 0 < done {
            first.get_or_insert(now.1);
        }
        if warm <= done {
            mark.get_or_insert(now);
        }
        if total <= done {
            break now;
        }
        ensure!(started.elapsed() < PATIENCE, "{} has committed {done} of {total} in {PATIENCE:?}", who.name());
        tokio::time::sleep(LOOK).await;
    };
    let (_, most) = process.memory()?;
    running.end().await?;
    let (first, mark) = (first.context("nothing was committed")?, mark.context("no warm-up")?);
    let records = (end.0 - mark.0) as f64;
    ensure!(0.0 < records, "{} was through before it was looked at; more records are needed", who.name());
    Ok(Run {
        cold: mark.0 as f64 / mark.2.as_secs_f64(),
        per_cpu: records / end.2.saturating_sub(mark.2).as_secs_f64(),
        per_second: records / end.1.saturating_duration_since(mark.1).as_secs_f64(),
        first_after: first.saturating_duration_since(started).as_secs_f64() * 1000.0,
        most_mib: most as f64 / 1024.0,
    })
}

/// A sum over keys and values of what came since then, in whatever order; and how many they are.
fn sum(kafka: &str, since: &[i64]) -> anyhow::Result<(u64, usize)> {
    let mut sum = 0_u64;
    let count = same::read(kafka, topics::ORDER_PLACED, since, |message| {
        let mut hasher = DefaultHasher::new();
        (message.key(), message.payload()).hash(&mut hasher);
        sum = sum.wrapping_add(hasher.finish());
        Ok(())
    })?;
    Ok((sum, count))
}

/// What is told of a run.
type Figure = fn(&Run) -> f64;

fn rows(all: &[Who], runs: &[Vec<Run>]) -> anyhow::Result<Found> {
    let of = |runs: &[Run], figure: Figure| runs.iter().map(figure).collect::<Vec<_>>();
    let figures: [peers::Figure<Run>; 5] = [
        ("warm", "records/CPU-s", |run| run.per_cpu),
        ("cold: from the start to the end of the warm-up", "records/CPU-s", |run| run.cold),
        ("warm, one thread or task", "records/s", |run| run.per_second),
        ("from start to the first commit", "ms", |run| run.first_after),
        ("the most RSS", "MiB", |run| run.most_mib),
    ];
    let names: Vec<&str> = all.iter().map(Who::name).collect();
    let mut found = told(&names, runs, &figures)?;
    let (ours, theirs) = runs.split_first().context("nobody ran")?;
    for (who, theirs) in all.iter().skip(1).zip(theirs) {
        let ratio = |ours: &[f64], theirs: &[f64]| Spread::of_ratios(ours, theirs).context("no ratio");
        let cpu = ratio(&of(ours, |run| run.per_cpu), &of(theirs, |run| run.per_cpu))?;
        let memory = ratio(&of(theirs, |run| run.most_mib), &of(ours, |run| run.most_mib))?;
        let goal = Some(Goal::AtLeast(GOAL)).filter(|_| who.is_exactly_once());
        found.rows.push(claim(&format!("records per CPU-second, of those of {}", who.name()), cpu, goal));
        let memory_goal = Some(Goal::AtLeast(MEMORY_GOAL));
        found.rows.push(claim(&format!("memory of {}, of ours", who.name()), memory, memory_goal));
    }
    Ok(found)
}
