//! How the cost of a record grows: with the modules in its chain, with the partitions of its topic, and with the backlog
//! that it lies in.

use super::{
    Bench, Found, judges, progress, sandbox,
    throughput::{Lap, fill, lap},
    turn::{By, Delivery, Took},
};
use crate::curve::{Curve, Point};

const MODULES: [usize; 4] = [1, 2, 4, 8];
const PARTITIONS: [i32; 5] = [1, 3, 6, 12, 48];
/// Of each topic, whatever its partitions.
const RECORDS: usize = 200_000;
const BACKLOGS: [usize; 4] = [10_000, 100_000, 1_000_000, 5_000_000];
/// Of the chain alone.
const ROUNDS: usize = 100;

pub(super) async fn measure(bench: &Bench) -> anyhow::Result<Found> {
    let mut found = Found::default();
    found.curves.push(modules(bench)?);
    found.curves.extend(partitions(bench).await?);
    found.curves.extend(backlog(bench).await?);
    Ok(found)
}

/// The chain alone, without Kafka: `clean` and `enrich` in turn, since both leave alone what they made themselves.
fn modules(bench: &Bench) -> anyhow::Result<Curve> {
    let (records, times) = (judges::records(sandbox::RECORDS)?, bench.options.count(ROUNDS));
    let mut points = Vec::new();
    for count in MODULES {
        progress(&format!("a chain of {count} modules"));
        let mut chain = judges::chain(&bench.servers.modules, count)?;
        let mut runs = Vec::new();
        for _ in 0..bench.options.rounds() {
            runs.push(sandbox::nanoseconds(times, || sandbox::judge(&mut chain, &records))? / 1000.0);
        }
        points.push(Point::of(count as f64, &runs)?);
    }
    Ok(Curve::new("A chain's length: time of a record in the chain alone", "µs", "modules").line("transforms", points))
}

fn cost(took: &Took) -> f64 {
    took.cpu_seconds * 1e6 / took.records as f64
}

/// CPU time, and memory.
async fn partitions(bench: &Bench) -> anyhow::Result<[Curve; 2]> {
    let (mut costs, mut memory) = (Vec::new(), Vec::new());
    for partitions in PARTITIONS {
        progress(&format!("{partitions} partitions"));
        let took = backlog_of(bench, &format!("growth-{partitions}"), partitions, bench.options.count(RECORDS)).await?;
        costs.push(Point::of(partitions, &took.iter().map(cost).collect::<Vec<_>>())?);
        memory.push(Point::of(partitions, &took.iter().map(|took| took.most_mib).collect::<Vec<_>>())?);
    }
    let against = "partitions of the input, one task";
    Ok([
        Curve::new("Partitions: CPU time of a record", "µs", against).line("transforms", costs),
        Curve::new("Partitions: the most memory of the loop", "MiB", against).line("transforms", memory),
    ])
}

/// CPU time, and the time until all of it is committed.
async fn backlog(bench: &Bench) -> anyhow::Result<[Curve; 2]> {
    let (mut costs, mut times) = (Vec::new(), Vec::new());
    for count in BACKLOGS.into_iter().map(|count| bench.options.count(count)) {
        progress(&format!("a backlog of {count} records"));
        let took = backlog_of(bench, &format!("growth-backlog-{count}"), crate::kafka::PARTITIONS, count).await?;
        costs.push(Point::of(count as f64, &took.iter().map(cost).collect::<Vec<_>>())?);
        times.push(Point::of(count as f64, &took.iter().map(|took| took.seconds).collect::<Vec<_>>())?);
    }
    let against = "records of the backlog";
    Ok([
        Curve::new("A backlog: CPU time of a record", "µs", against).line("transforms", costs),
        Curve::new("A backlog: time until all of it is committed, one task", "s", against).line("transforms", times),
    ])
}

/// Writes the backlog and has it transformed, several times over; each record of it must come out.
async fn backlog_of(bench: &Bench, name: &str, partitions: i32, count: usize) -> anyhow::Result<Vec<Took>> {
    bench.servers.topic(name, partitions).await?;
    let (kafka, topic) = (bench.servers.kafka.clone(), name.to_owned());
    tokio::task::spawn_blocking(move || fill(&kafka, &topic, count)).await??;
    let mut all = Vec::new();
    for round in 1..=bench.options.rounds() {
        let output = format!("{name}-out-{round}");
        let (judge, delivery) = (By::Sandbox, Delivery::ExactlyOnce);
        all.push(lap(bench, &Lap { name: &output, input: name, judge, delivery, count }).await?.0);
    }
    Ok(all)
}
