//! A store is killed under light load, held down and started again: how long it takes new orders to get into it once it
//! takes writes, with `connectors serve` healing the sinks as it does in a user's stack.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, ensure};
use http::Method;
use schemas::names::topics;
use serde_json::{Value, json};
use stack::Service;

use super::{
    Bench, Found,
    contestant::Contestant,
    fill::Filler,
    orders::{self, Placed},
    retried,
    stores::Kind,
};
use crate::{
    report::{Row, progress},
    spread::{Goal, Spread},
};

const GOAL: Goal = Goal::AtMost(2.0);
/// How long a store is down.
const DOWN: Duration = Duration::from_secs(5);
/// Orders a second: each sink has something to do all the time, and keeps up.
const EVERY: Duration = Duration::from_millis(40);
/// Orders before the first round.
const STEADY: u64 = 25;
/// Between two looks at a store that comes back.
const LOOK: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(120);
/// Orders that are asked for by their ids at once.
const MOST: u64 = 200;

/// What a round found, in seconds.
#[derive(Clone, Copy, Debug)]
struct Stall {
    /// From the start of the server's process until it took writes.
    start: f64,
    /// From then on to the first order that was written to Kafka while it was down.
    stall: f64,
    /// From then on until all orders written before were in it.
    caught_up: f64,
}

pub(super) async fn measure(bench: &Bench) -> anyhow::Result<Found> {
    for kind in Kind::ALL {
        bench.servers.stores.empty(kind).await?;
        // Under their own names: their dead letters have topics of theirs.
        let sink = Contestant::of_file(&bench.servers.files.join(kind.file()), "our settings")?;
        let (connect, name) = (&bench.servers.connect, kind.file().trim_end_matches(".json"));
        bench.begin_at_the_end(name).await?;
        retried(async || connect.put_settings(name, &sink.settings).await).await?;
    }
    bench.servers.stack.start_again(Service::Connectors)?;
    bench.servers.stack.wait_ready(Service::Connectors, PATIENCE)?;
    let load = Load::start(&bench.filler);
    let rounds = rounds(bench, &load).await;
    // Whatever became of the rounds, the load ends.
    let written = load.end()?;
    let rounds = rounds?;
    let expected = orders::sums(0..written)?;
    let mut found = Found::default();
    for (kind, stalls) in Kind::ALL.into_iter().zip(rounds) {
        until(bench, kind, 0..written).await?;
        bench.servers.stores.compare(kind, &expected).await?;
        tell(kind, &stalls, &mut found)?;
    }
    for kind in Kind::ALL {
        bench.servers.connect.delete(kind.file().trim_end_matches(".json")).await?;
    }
    bench.servers.stack.stop(Service::Connectors)?;
    found.notes.push(format!(
        "stall: kill -9, {} s down, {} orders/s meanwhile; all {written} orders are in both stores",
        DOWN.as_secs(),
        1_000 / EVERY.as_millis()
    ));
    Ok(found)
}

async fn rounds(bench: &Bench, load: &Load) -> anyhow::Result<[Vec<Stall>; 2]> {
    let mut all: [Vec<Stall>; 2] = Default::default();
    let begun = Instant::now();
    while load.written() < STEADY {
        ensure!(begun.elapsed() < PATIENCE, "{} orders are written in {PATIENCE:?}", load.written());
        tokio::time::sleep(EVERY).await;
    }
    for kind in Kind::ALL {
        until(bench, kind, 0..load.written()).await.with_context(|| format!("{kind}, before the first round"))?;
    }
    let kills = bench.options.kills();
    for round in 1..=kills {
        for (kind, stalls) in Kind::ALL.into_iter().zip(&mut all) {
            let stall = strike(bench, kind, load).await.with_context(|| format!("stall, {kind}, round {round}"))?;
            progress(&format!("stall, {kind}, {round} of {kills}: {:.2} s", stall.stall));
            stalls.push(stall);
        }
    }
    Ok(all)
}

/// Kills the store, holds it down, and watches it and its sink come back.
async fn strike(bench: &Bench, kind: Kind, load: &Load) -> anyhow::Result<Stall> {
    let (stack, service) = (&bench.servers.stack, kind.service());
    stack.kill(service)?;
    // Else the supervisor would start it again at once.
    stack.stop(service)?;
    // What was under way when it died may be in it.
    tokio::time::sleep(DOWN / 2).await;
    let first = load.written();
    tokio::time::sleep(DOWN / 2).await;
    stack.start_again(service)?;
    let started = Instant::now();
    let writable = takes_writes(bench, kind).await?;
    while !any(bench, kind, first..load.written()).await.unwrap_or_default() {
        ensure!(writable.elapsed() < PATIENCE, "no new order is stored {PATIENCE:?} after the store came back");
        tokio::time::sleep(LOOK).await;
    }
    let stall = writable.elapsed();
    until(bench, kind, first..load.written()).await?;
    let (start, caught_up) = (writable - started, writable.elapsed());
    let [start, stall, caught_up] = [start, stall, caught_up].map(|time| time.as_secs_f64());
    Ok(Stall { start, stall, caught_up })
}

/// When the store took writes again: of the sink's own table or index.
async fn takes_writes(bench: &Bench, kind: Kind) -> anyhow::Result<Instant> {
    let (begun, stores) = (Instant::now(), &bench.servers.stores);
    loop {
        let refusal = match kind {
            Kind::Postgres => stores.postgres.probe(Some(topics::ORDER_PLACED)).await.err().map(anyhow::Error::from),
            Kind::Elasticsearch => stores.elastic.probe(topics::ORDER_PLACED).await.err().map(anyhow::Error::from),
        };
        match refusal {
            None => return Ok(Instant::now()),
            Some(error) if PATIENCE < begun.elapsed() => return Err(error.context("the store does not come back")),
            Some(_) => tokio::time::sleep(LOOK).await,
        }
    }
}

/// How many of the last of these orders are stored; what is asked for by its id is seen at once.
async fn stored(bench: &Bench, kind: Kind, numbers: std::ops::Range<u64>) -> anyhow::Result<(u64, u64)> {
    let numbers = numbers.start.max(numbers.end.saturating_sub(MOST))..numbers.end;
    let asked = numbers.end.saturating_sub(numbers.start);
    if asked == 0 {
        return Ok((0, 0));
    }
    let ids = numbers.map(|number| Ok(Placed::new(number)?.key().to_owned())).collect::<anyhow::Result<Vec<_>>>()?;
    let found = match kind {
        Kind::Postgres => {
            let ask = format!("select count(*) from {} where order_id = any($1)", topics::ORDER_PLACED);
            let row = bench.servers.stores.sql().await?.query_one(&ask, &[&ids]).await?;
            u64::try_from(row.try_get::<_, i64>(0)?)?
        }
        Kind::Elasticsearch => {
            let path = format!("/{}/_mget?_source=false&filter_path=docs.found", topics::ORDER_PLACED);
            let body = format!("{}\n", json!({ "ids": ids }));
            let mut client = bench.servers.stores.elasticsearch();
            // By POST: a body of a GET is not everybody's.
            let answer = client.call(Method::POST, &path, body.as_bytes()).await?;
            let docs = answer.get("docs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            docs.iter().filter(|doc| doc.get("found") == Some(&true.into())).count() as u64
        }
    };
    Ok((found, asked))
}

async fn any(bench: &Bench, kind: Kind, numbers: std::ops::Range<u64>) -> anyhow::Result<bool> {
    Ok(0 < stored(bench, kind, numbers).await?.0)
}

/// Waits until the last of these orders are stored.
async fn until(bench: &Bench, kind: Kind, numbers: std::ops::Range<u64>) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let (found, asked) = stored(bench, kind, numbers.clone()).await?;
        if found == asked {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "{found} of the last {asked} orders are in {kind} after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What a round is asked for.
type Figure = fn(&Stall) -> f64;

fn tell(kind: Kind, stalls: &[Stall], found: &mut Found) -> anyhow::Result<()> {
    let all = |of: Figure| stalls.iter().map(of).collect::<Vec<f64>>();
    let figures: [(&str, Figure); 3] = [
        ("from taking writes to the first new order", |stall| stall.stall),
        ("from taking writes to having caught up", |stall| stall.caught_up),
        ("from the server's start to taking writes", |stall| stall.start),
    ];
    for (place, (what, of)) in figures.into_iter().enumerate() {
        let figure = Spread::of(&all(of)).context("a round without a figure")?;
        let row = Row::new(format!("{kind} killed: {what}"), figure, "s");
        found.rows.push(if place == 0 { row.goal(GOAL) } else { row });
    }
    Ok(())
}

/// A few orders a second into `order_placed`, each committed before the next.
struct Load {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    writer: std::thread::JoinHandle<anyhow::Result<()>>,
}

impl Load {
    fn start(filler: &Arc<Filler>) -> Self {
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let writer = {
            let (filler, stop, written) = (Arc::clone(filler), Arc::clone(&stop), Arc::clone(&written));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let number = written.load(Ordering::Relaxed);
                    filler.fill(number..number + 1)?;
                    written.store(number + 1, Ordering::Relaxed);
                    std::thread::sleep(EVERY);
                }
                Ok(())
            })
        };
        Self { stop, written, writer }
    }

    /// Orders that are committed.
    fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Ends it; how many orders there were.
    fn end(self) -> anyhow::Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.writer.join().map_err(|_| anyhow!("the writer panicked"))??;
        Ok(self.written.load(Ordering::Relaxed))
    }
}
