//! The same work, delivered at least once, as most consumers do it: produce, wait for the acknowledgements, commit the
//! offsets. Its commits come as often as those of the transactions.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    message::{BorrowedMessage, Header, Headers, OwnedHeaders},
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
};
use service_kit::kafka::Brokers;
use transforms::{
    kafka::{Identity, Input, Outgoing, client},
    work::Work,
};

use super::turn::Args;
use crate::kafka::{PARTITIONS, enqueue};

/// As the processor's.
const BATCH: usize = 5_000;
/// As the processor's.
const GATHER: Duration = Duration::from_millis(20);
const POLL: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(120);

/// Transforms as many records as it is told from the beginning of the topic.
///
/// # Errors
/// When it does not come to its end.
pub(super) fn run(args: &Args, work: &mut dyn Work) -> anyhow::Result<()> {
    let Args { kafka, name, input, count, .. } = args;
    let brokers = Brokers::from(kafka.as_str());
    let identity = Identity::new(name, "race", 0);
    let consumer: BaseConsumer =
        client::consumer(&brokers, &identity, client::Protocol::default()).create().context("no consumer")?;
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        all.add_partition_offset(input, partition, Offset::Beginning)?;
    }
    consumer.assign(&all)?;
    let producer: ThreadedProducer<DefaultProducerContext> = client::base(&brokers, name)
        .set("enable.idempotence", "true")
        .set("linger.ms", "2")
        .set("partitioner", "murmur2_random")
        .set("queue.buffering.max.messages", "200000")
        .set("queue.buffering.max.kbytes", "262144")
        .create()
        .context("no producer")?;
    let (topic, until) = (Arc::<str>::from(input.as_str()), Instant::now() + PATIENCE);
    let (mut done, mut batch, mut out) = (0, Vec::new(), Vec::new());
    while done < *count {
        ensure!(Instant::now() < until, "{done} of {count} records in {PATIENCE:?}");
        gather(&consumer, &topic, &mut batch)?;
        let mut rest = batch.as_slice();
        while !rest.is_empty() {
            out.clear();
            let tally = work.apply(rest, &mut out)?;
            out.iter().try_for_each(|output| produce(&producer, output))?;
            rest = rest.get(tally.done..).unwrap_or_default();
        }
        while 0 < producer.in_flight_count() {
            thread::sleep(Duration::from_micros(200));
        }
        commit(&consumer, &batch)?;
        done += batch.len() as u64;
    }
    Ok(())
}

fn gather(consumer: &BaseConsumer, topic: &Arc<str>, batch: &mut Vec<Input>) -> anyhow::Result<()> {
    batch.clear();
    let Some(first) = consumer.poll(POLL) else { return Ok(()) };
    batch.push(input(&first?, topic));
    let end = Instant::now() + GATHER;
    while batch.len() < BATCH {
        // As the processor: what is there is taken, and nobody waits for more.
        match consumer.poll(Duration::ZERO) {
            Some(message) => batch.push(input(&message?, topic)),
            None => break,
        }
        if end <= Instant::now() {
            break;
        }
    }
    Ok(())
}

fn input(message: &BorrowedMessage<'_>, topic: &Arc<str>) -> Input {
    let owned = |header: Header<'_, &[u8]>| (header.key.as_bytes().to_vec(), header.value.map(<[u8]>::to_vec));
    Input {
        topic: Arc::clone(topic),
        partition: message.partition(),
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: message.headers().map(|headers| headers.iter().map(owned).collect()).unwrap_or_default(),
    }
}

fn produce(producer: &ThreadedProducer<DefaultProducerContext>, output: &Outgoing) -> anyhow::Result<()> {
    let mut headers = OwnedHeaders::new_with_capacity(output.headers.len());
    for (name, value) in &output.headers {
        headers = headers.insert(Header { key: str::from_utf8(name)?, value: value.as_deref() });
    }
    let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&output.topic).headers(headers);
    record.key = output.key.as_deref();
    record.payload = output.value.as_deref();
    record.timestamp = output.timestamp_ms;
    enqueue(producer, record, PATIENCE)
}

fn commit(consumer: &BaseConsumer, batch: &[Input]) -> anyhow::Result<()> {
    let mut next = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        let last = batch.iter().rev().find(|input| input.partition == partition);
        if let Some(last) = last {
            next.add_partition_offset(&last.topic, partition, Offset::Offset(last.offset + 1))?;
        }
    }
    if 0 < next.count() {
        consumer.commit(&next, CommitMode::Sync)?;
    }
    Ok(())
}
