//! One sink at work: deployed, paused with all its tasks assigned, let go on a backlog, measured until the last order is
//! stored, compared, removed. What a start costs is not in a figure: no class is loaded and no group is shared out.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use connectors::{connect::Connect, kafka::lag, names::sink_group};
use schemas::names::topics;

use super::{
    Bench,
    contestant::Contestant,
    fill, orders, retried,
    stores::{Gauge, Kind},
};
use crate::{kafka::PARTITIONS, process};

/// How long a connector may take to run, to pause, or to share its partitions out.
const PATIENCE: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(50);
/// No sink that works is slower than so many orders a second.
const SLOWEST: f64 = 60.0;
/// How long the first order may take.
const FIRST: Duration = Duration::from_secs(60);
/// How often a connector that drains is asked whether it still runs.
const ASK: Duration = Duration::from_secs(2);

/// What a drain took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Took {
    /// Orders a second, from the first that was seen to the last.
    pub(super) rate: f64,
    /// CPU-seconds of Kafka Connect for an order.
    pub(super) connect: f64,
    /// CPU-seconds of the store for an order.
    pub(super) store: f64,
}

/// A deployed sink that waits.
pub(super) struct Poised<'b> {
    bench: &'b Bench,
    name: String,
    /// Its store.
    pub(super) kind: Kind,
}

/// Empties the store, writes the orders and lets the sink have them.
pub(super) async fn drain(bench: &Bench, contestant: &Contestant, count: u64) -> anyhow::Result<Took> {
    let poised = Poised::deploy(bench, contestant).await?;
    bench.fill(0..count).await?;
    let took = poised.measured(count).await;
    poised.remove().await?;
    let took = took.with_context(|| format!("{}, {}", contestant.kind, contestant.name))?;
    bench.servers.stores.compare(contestant.kind, &orders::sums(0..count)?).await?;
    fill::throw_away(bench.servers.kafka()).await?;
    Ok(took)
}

impl<'b> Poised<'b> {
    /// Deploys a sink under a name that no other run has, on an empty store, and pauses it once all its tasks have their
    /// partitions.
    pub(super) async fn deploy(bench: &'b Bench, contestant: &Contestant) -> anyhow::Result<Self> {
        bench.servers.stores.empty(contestant.kind).await?;
        let name = bench.name();
        let poised = Self { bench, name, kind: contestant.kind };
        bench.begin_at_the_end(&poised.name).await?;
        let connect = &bench.servers.connect;
        retried(async || connect.put_settings(&poised.name, &contestant.settings).await).await?;
        until(connect, &poised.name, "RUNNING", contestant.tasks()).await?;
        poised.until_assigned().await?;
        retried(async || connect.pause(&poised.name).await).await?;
        until(connect, &poised.name, "PAUSED", contestant.tasks()).await?;
        Ok(poised)
    }

    /// Lets it go and measures until so many orders are stored.
    async fn measured(&self, count: u64) -> anyhow::Result<Took> {
        let mut gauge = self.bench.servers.stores.gauge(self.kind).await?;
        let cpu = self.cpu()?;
        self.go().await?;
        let (already, first) = self.first(&mut gauge).await?;
        let end = first + Duration::from_secs_f64(count as f64 / SLOWEST);
        let (mut stored, mut asked) = (already, Instant::now());
        while stored < count {
            // A look costs the store something: the nearer the end, the more often.
            let (left, passed) = ((count - stored) as f64, first.elapsed().as_secs_f64());
            let guess = left * passed / (stored - already).max(1) as f64 / 2.0;
            tokio::time::sleep(Duration::from_secs_f64(guess.clamp(0.01, 1.0))).await;
            stored = gauge.look().await?;
            ensure!(Instant::now() < end, "{stored} of {count} orders are stored after {:?}", first.elapsed());
            if ASK < asked.elapsed() {
                asked = Instant::now();
                self.ensure_runs().await?;
            }
        }
        let seconds = first.elapsed().as_secs_f64();
        let used = self.cpu()?;
        let each = |now: Duration, before: Duration| now.saturating_sub(before).as_secs_f64() / count as f64;
        Ok(Took {
            rate: count.saturating_sub(already) as f64 / seconds,
            connect: each(used.0, cpu.0),
            store: each(used.1, cpu.1),
        })
    }

    /// Lets it have what is there.
    pub(super) async fn go(&self) -> anyhow::Result<()> {
        let connect = &self.bench.servers.connect;
        retried(async || connect.resume(&self.name).await).await
    }

    /// How many orders were stored when the first were seen, and when that was.
    async fn first(&self, gauge: &mut Gauge) -> anyhow::Result<(u64, Instant)> {
        let begun = Instant::now();
        loop {
            let stored = gauge.look().await?;
            if 0 < stored {
                return Ok((stored, Instant::now()));
            }
            self.ensure_runs().await?;
            ensure!(begun.elapsed() < FIRST, "nothing is stored in {FIRST:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// CPU time of Connect and of the store so far.
    fn cpu(&self) -> anyhow::Result<(Duration, Duration)> {
        let of = |service| process::cpu_of_tree(self.bench.servers.stack.pid(service)?);
        Ok((of(stack::Service::Connect)?, of(self.kind.service())?))
    }

    /// Whether nothing of it has failed.
    pub(super) async fn ensure_runs(&self) -> anyhow::Result<()> {
        let status = self.bench.servers.connect.status(&self.name).await?.context("the connector is gone")?;
        if let Some(reason) = status.failure() {
            bail!("the sink failed: {reason}");
        }
        Ok(())
    }

    /// Until every partition of the topic is some task's.
    async fn until_assigned(&self) -> anyhow::Result<()> {
        let (kafka, group) = (self.bench.servers.kafka().to_owned(), sink_group(&self.name));
        let look = move || {
            let reader = lag::Reader::new(&kafka.into(), &group)?;
            let begun = Instant::now();
            loop {
                let owned = reader.owners()?;
                let placed = owned.keys().filter(|(topic, _)| topic == topics::ORDER_PLACED).count();
                if i32::try_from(placed) == Ok(PARTITIONS) {
                    return Ok(());
                }
                ensure!(begun.elapsed() < PATIENCE, "{placed} of {PARTITIONS} partitions have a task of {group}");
                std::thread::sleep(LOOK);
            }
        };
        tokio::task::spawn_blocking(look).await?
    }

    /// Removes it. Its group stays, and nobody reads on.
    pub(super) async fn remove(self) -> anyhow::Result<()> {
        let connect = &self.bench.servers.connect;
        retried(async || connect.delete(&self.name).await).await
    }
}

/// Waits until a connector and all of its tasks are in this state.
pub(crate) async fn until(connect: &Connect, name: &str, state: &str, tasks: usize) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        // A worker that shares its work out answers later.
        if let Ok(Some(status)) = connect.status(name).await {
            if let Some(reason) = status.failure() {
                bail!("{name} failed at once: {reason}");
            }
            let all = status.parts().all(|part| part.state == state);
            if all && status.tasks.len() == tasks {
                return Ok(());
            }
        }
        ensure!(begun.elapsed() < PATIENCE, "{name} is not {state} in {tasks} tasks after {PATIENCE:?}");
        tokio::time::sleep(LOOK).await;
    }
}
