//! Records per CPU-second of the whole loop: read, resolved, judged, produced, committed. The three loops run by turns
//! over the same records; what each wrote is read back and compared.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io::Read,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
};
use schemas::names::topics;

use super::{
    Bench, Found, progress,
    turn::{By, Delivery, Took},
};
use crate::{
    direct,
    kafka::{PARTITIONS, enqueue},
    orders::Ids,
    process::Process,
    report::Row,
    spread::{Goal, Spread},
};

const RECORDS: usize = 400_000;
const PATIENCE: Duration = Duration::from_secs(150);

pub(super) async fn measure(bench: &Bench) -> anyhow::Result<Found> {
    let count = bench.options.count(RECORDS);
    progress(&format!("writing {count} records"));
    let kafka = bench.servers.kafka.clone();
    tokio::task::spawn_blocking(move || fill(&kafka, topics::ORDERS_RECEIVED, count)).await??;
    let loops = [
        (By::Native, Delivery::ExactlyOnce),
        (By::Sandbox, Delivery::ExactlyOnce),
        (By::Sandbox, Delivery::AtLeastOnce),
    ];
    let mut runs: [Vec<Took>; 3] = Default::default();
    let mut wrote = None;
    let pairs = bench.options.long_pairs();
    for pair in 1..=pairs {
        for ((judge, delivery), runs) in loops.into_iter().zip(&mut runs) {
            progress(&format!("throughput, {judge:?} {delivery:?}, {pair} of {pairs}"));
            let name = format!("race-{judge:?}-{delivery:?}-{pair}").to_lowercase();
            let (took, sum) =
                lap(bench, &Lap { name: &name, input: topics::ORDERS_RECEIVED, judge, delivery, count }).await?;
            runs.push(took);
            ensure!(*wrote.get_or_insert(sum) == sum, "{name} wrote other records than the runs before");
        }
    }
    rows(&runs, count)
}

/// One measured loop over a topic of so many records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lap<'a> {
    /// Its group's name and its output topic's.
    pub(super) name: &'a str,
    pub(super) input: &'a str,
    pub(super) judge: By,
    pub(super) delivery: Delivery,
    pub(super) count: usize,
}

/// What it took, and the sum over what it wrote, of which each record must be there.
pub(super) async fn lap(bench: &Bench, lap: &Lap<'_>) -> anyhow::Result<(Took, u64)> {
    bench.servers.topic(lap.name, PARTITIONS).await?;
    let (own, args) = (bench.options.own.clone(), args(bench, lap));
    let took = tokio::task::spawn_blocking(move || turn(&own, &args)).await??;
    let (kafka, topic, count) = (bench.servers.kafka.clone(), lap.name.to_owned(), lap.count);
    let sum = tokio::task::spawn_blocking(move || sum(&kafka, &topic, count)).await??;
    Ok((took, sum))
}

fn args(bench: &Bench, lap: &Lap<'_>) -> Vec<String> {
    let Lap { name, input, judge, delivery, count } = lap;
    let word = |value: &dyn std::fmt::Debug| match format!("{value:?}").as_str() {
        "Native" => "native",
        "Sandbox" => "sandbox",
        "ExactlyOnce" => "exactly-once",
        _ => "at-least-once",
    };
    vec![
        "turn".to_owned(),
        format!("--kafka={}", bench.servers.kafka),
        format!("--modules={}", bench.servers.modules.display()),
        format!("--name={name}"),
        format!("--input={input}"),
        format!("--output={name}"),
        format!("--judge={}", word(judge)),
        format!("--delivery={}", word(delivery)),
        format!("--count={count}"),
    ]
}

fn turn(own: &std::path::Path, args: &[String]) -> anyhow::Result<Took> {
    let mut process = Process::start(own, args)?;
    let mut text = String::new();
    process.output().context("the loop has no output")?.read_to_string(&mut text)?;
    serde_json::from_str(&text).with_context(|| format!("the loop does not say what it took: {text:?}"))
}

/// Writes the records that loops read.
pub(super) fn fill(kafka: &str, topic: &str, count: usize) -> anyhow::Result<()> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka).set("linger.ms", "20").set("partitioner", "murmur2_random");
    config.set("queue.buffering.max.messages", "1000000").set("queue.buffering.max.kbytes", "1048576");
    let producer: ThreadedProducer<DefaultProducerContext> = config.create()?;
    let ids = Ids::default();
    for number in 0..count {
        let (key, value) = direct::record(&ids.id(number as u64))?;
        enqueue(&producer, BaseRecord::to(topic).key(&key).payload(&value), PATIENCE)?;
    }
    Ok(producer.flush(PATIENCE)?)
}

/// A sum over keys and values of all committed records: equal for equal sets of records, in whatever order.
fn sum(kafka: &str, topic: &str, count: usize) -> anyhow::Result<u64> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka).set("group.id", "race-sum").set("enable.auto.commit", "false");
    config.set("isolation.level", "read_committed").set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.create()?;
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        all.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&all)?;
    let (mut sum, mut seen, mut ended, until) = (0_u64, 0, 0, Instant::now() + PATIENCE);
    while ended < PARTITIONS {
        ensure!(Instant::now() < until, "{seen} of {count} records read back in {PATIENCE:?}");
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            Some(Ok(message)) => {
                let mut hasher = DefaultHasher::new();
                (message.key(), message.payload()).hash(&mut hasher);
                sum = sum.wrapping_add(hasher.finish());
                seen += 1;
            }
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(error)) => bail!("{topic} cannot be read back: {error}"),
        }
    }
    ensure!(seen == count, "{topic} has {seen} records, {count} were read");
    Ok(sum)
}

fn rows([native, sandbox, at_least_once]: &[Vec<Took>; 3], count: usize) -> anyhow::Result<Found> {
    let cpu = |runs: &[Took]| runs.iter().map(|run| run.records as f64 / run.cpu_seconds).collect::<Vec<_>>();
    let rate = |runs: &[Took]| runs.iter().map(|run| run.records as f64 / run.seconds).collect::<Vec<_>>();
    let spread = |runs: &[f64]| Spread::of(runs).context("a run without a figure");
    let ratio = |ours: &[Took], theirs: &[Took]| Spread::of_ratios(&cpu(ours), &cpu(theirs)).context("no ratio");
    let rows = vec![
        Row::new("in the sandbox, exactly once", spread(&cpu(sandbox))?, "records/CPU-s")
            .beside("native, exactly once", spread(&cpu(native))?),
        Row::new("in the sandbox, of native", ratio(sandbox, native)?, "x").goal(Goal::AtLeast(0.6)),
        Row::new("at least once, in the sandbox", spread(&cpu(at_least_once))?, "records/CPU-s"),
        Row::new("exactly once, of at least once", ratio(sandbox, at_least_once)?, "x").goal(Goal::AtLeast(0.85)),
        Row::new("in the sandbox, exactly once, one slot", spread(&rate(sandbox))?, "records/s")
            .beside("at least once", spread(&rate(at_least_once))?),
    ];
    let note = format!("every run's {count} outputs were read back as committed and were equal, native or not");
    Ok(Found { rows, notes: vec![note], ..Found::default() })
}
