//! Records at a fixed rate into the pipeline, and a reader of committed records behind it: how long each one took, and
//! that each came out once.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, ensure};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    message::Headers,
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
};
use schemas::names::{headers, topics};

use crate::{
    direct,
    kafka::{PARTITIONS, SCHEMA_ID, enqueue},
    orders::Ids,
};

/// What is not there after this long does not come any more.
const PATIENCE: Duration = Duration::from_secs(30);

/// When records were due and when they were seen.
#[derive(Debug)]
pub(super) struct Flow {
    /// When the record with this id was due.
    pub(super) due: BTreeMap<String, Instant>,
    /// When it was seen behind the pipeline, and under which modules; a peer names none.
    pub(super) seen: BTreeMap<String, (Instant, String)>,
}

/// A flow that runs.
pub(super) struct Running {
    stop: Arc<AtomicBool>,
    writer: JoinHandle<anyhow::Result<BTreeMap<String, Instant>>>,
    reader: JoinHandle<anyhow::Result<BTreeMap<String, (Instant, String)>>>,
}

impl Running {
    /// Begins: `rate` records a second, until [`Running::finish`].
    pub(super) fn start(kafka: &str, rate: f64) -> anyhow::Result<Self> {
        Self::start_by(kafka, rate, SCHEMA_ID)
    }

    /// The same where the registry knows the schema by another number.
    pub(super) fn start_by(kafka: &str, rate: f64, schema_id: u32) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let consumer = reader(kafka)?;
        let written = Arc::new(std::sync::Mutex::new(None));
        let writer = {
            let (kafka, stop, written) = (kafka.to_owned(), Arc::clone(&stop), Arc::clone(&written));
            std::thread::spawn(move || {
                let due = write(&kafka, (rate, schema_id), &stop);
                // Also when it failed: the reader must not wait for it.
                let count = due.as_ref().map_or(0, BTreeMap::len);
                *written.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(count);
                due
            })
        };
        let reader = std::thread::spawn(move || {
            let expected = || *written.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            read(&consumer, expected)
        });
        Ok(Self { stop, writer, reader })
    }

    /// Ends the writing, waits for what is on its way, and checks that every record came out once. Blocks.
    pub(super) fn finish(self) -> anyhow::Result<Flow> {
        self.stop.store(true, Ordering::SeqCst);
        let due = self.writer.join().map_err(|_| anyhow!("the writer panicked"))??;
        let seen = self.reader.join().map_err(|_| anyhow!("the reader panicked"))??;
        let lost = due.keys().filter(|id| !seen.contains_key(*id)).count();
        ensure!(lost == 0, "{lost} of {} records did not come out in {PATIENCE:?}", due.len());
        Ok(Flow { due, seen })
    }
}

impl Flow {
    /// How long each record took from when it was due, in order of when they were due.
    pub(super) fn latencies(&self) -> Vec<Duration> {
        let mut due: Vec<(&Instant, &String)> = self.due.iter().map(|(id, due)| (due, id)).collect();
        due.sort_unstable();
        let took = |(due, id): (&Instant, &String)| Some(self.seen.get(id)?.0.saturating_duration_since(*due));
        due.into_iter().filter_map(took).collect()
    }

    /// The quantile `share` of how long a record took.
    pub(super) fn quantile(&self, share: f64) -> anyhow::Result<Duration> {
        let mut all = self.latencies();
        all.sort_unstable();
        let at = (all.len() as f64 * share).ceil() as usize;
        all.get(at.max(1) - 1).copied().context("no record came")
    }
}

fn write(kafka: &str, (rate, schema_id): (f64, u32), stop: &AtomicBool) -> anyhow::Result<BTreeMap<String, Instant>> {
    let mut config = ClientConfig::new();
    // One record a request would be the broker's limit long before the pipeline's.
    let linger = if rate < 5_000.0 { "0" } else { "5" };
    config.set("bootstrap.servers", kafka).set("linger.ms", linger).set("partitioner", "murmur2_random");
    let producer: ThreadedProducer<DefaultProducerContext> = config.create()?;
    producer.client().fetch_metadata(Some(topics::ORDERS_RECEIVED), PATIENCE)?;
    let (ids, mut due, start) = (Ids::default(), BTreeMap::new(), Instant::now());
    for number in 0_u64.. {
        let intended = start + Duration::from_secs_f64(number as f64 / rate);
        std::thread::sleep(intended.saturating_duration_since(Instant::now()));
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let (key, value) = direct::record_by(&ids.id(number), schema_id)?;
        // Where the broker takes less than is due the record is late, and its latency says so.
        enqueue(&producer, BaseRecord::to(topics::ORDERS_RECEIVED).key(&key).payload(&value), PATIENCE)?;
        due.insert(key, intended);
    }
    producer.flush(PATIENCE).context("not every record was delivered")?;
    Ok(due)
}

/// Stands at the end of every partition before it returns.
fn reader(kafka: &str) -> anyhow::Result<BaseConsumer> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka).set("group.id", "race-flow").set("enable.auto.commit", "false");
    config.set("isolation.level", "read_committed").set("fetch.wait.max.ms", "50").set("fetch.error.backoff.ms", "10");
    let consumer: BaseConsumer = config.create()?;
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        let (_, end) = consumer.fetch_watermarks(topics::ORDER_PLACED, partition, PATIENCE)?;
        all.add_partition_offset(topics::ORDER_PLACED, partition, Offset::Offset(end))?;
    }
    consumer.assign(&all)?;
    Ok(consumer)
}

fn read(
    consumer: &BaseConsumer,
    expected: impl Fn() -> Option<usize>,
) -> anyhow::Result<BTreeMap<String, (Instant, String)>> {
    let (mut seen, mut last) = (BTreeMap::new(), Instant::now());
    let mut quiet_since = Instant::now();
    loop {
        if let Some(message) = consumer.poll(Duration::from_millis(20)) {
            let (message, at) = (message?, Instant::now());
            let key = str::from_utf8(message.key().context("a record without a key")?)?.to_owned();
            let named = |header: rdkafka::message::Header<'_, &[u8]>| {
                (header.key == headers::MODULES)
                    .then(|| String::from_utf8_lossy(header.value.unwrap_or_default()).into_owned())
            };
            let modules = message.headers().and_then(|headers| headers.iter().find_map(named));
            let modules = modules.unwrap_or_default();
            ensure!(seen.insert(key.clone(), (at, modules)).is_none(), "{key} came out twice");
            (last, quiet_since) = (at, at);
            continue;
        }
        let Some(expected) = expected() else {
            last = Instant::now();
            continue;
        };
        // A doubled one would come behind the last, so it is read on for a moment.
        let over = expected <= seen.len() && Duration::from_millis(300) < quiet_since.elapsed();
        if over || PATIENCE < last.elapsed() {
            return Ok(seen);
        }
    }
}
