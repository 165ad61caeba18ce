//! Writes orders into `order_placed` as the processor does: in transactions, with its headers, each in its key's partition.

use std::{ops::Range, time::Duration};

use anyhow::Context;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, CommitMode, Consumer},
    message::{Header, OwnedHeaders},
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
    topic_partition_list::{Offset, TopicPartitionList},
};
use schemas::names::{headers, topics};

use super::orders::{MODULES, Placed};
use crate::kafka::{PARTITIONS, enqueue};

/// Records of one transaction.
const BATCH: u64 = 5_000;
const PATIENCE: Duration = Duration::from_secs(60);

/// The one writer of the topic.
pub(super) struct Filler {
    producer: ThreadedProducer<DefaultProducerContext>,
    schema_id: u32,
}

impl Filler {
    /// Connects to the broker. Blocks.
    pub(super) fn connect(kafka: &str, schema_id: u32) -> anyhow::Result<Self> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", kafka).set("transactional.id", "race-sinks").set("linger.ms", "5");
        config.set("queue.buffering.max.messages", "100000");
        let producer: ThreadedProducer<DefaultProducerContext> = config.create()?;
        producer.init_transactions(PATIENCE).context("the producer of the orders has no identity")?;
        Ok(Self { producer, schema_id })
    }

    /// Writes the orders with these numbers, each committed when this returns. Blocks.
    pub(super) fn fill(&self, numbers: Range<u64>) -> anyhow::Result<()> {
        let mut begin = numbers.start;
        while begin < numbers.end {
            let end = numbers.end.min(begin + BATCH);
            self.producer.begin_transaction()?;
            for number in begin..end {
                self.send(&Placed::new(number)?)?;
            }
            self.producer.commit_transaction(PATIENCE).context("a transaction of orders was not committed")?;
            begin = end;
        }
        Ok(())
    }

    fn send(&self, placed: &Placed) -> anyhow::Result<()> {
        let value = placed.value(self.schema_id);
        let header = |key, value| Header { key, value: Some(value) };
        let written = OwnedHeaders::new()
            .insert(header(headers::REQUEST_ID, placed.key()))
            .insert(header(headers::TRACEPARENT, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"))
            .insert(header(headers::MODULES, MODULES));
        let record = BaseRecord::to(topics::ORDER_PLACED)
            .partition(placed.partition)
            .key(placed.key())
            .payload(&value)
            .headers(written);
        enqueue(&self.producer, record, PATIENCE)
    }
}

/// Lets a group that has no member begin where the topic ends now. Blocks.
pub(super) fn begin_at_the_end(kafka: &str, group: &str) -> anyhow::Result<()> {
    let consumer = consumer(kafka, group)?;
    let ends = ends(&consumer)?;
    consumer.commit(&ends, CommitMode::Sync).with_context(|| format!("the offsets of {group} cannot be set"))
}

/// Throws away what is in the topic: it was drained, and the disk is no part of what is measured.
pub(super) async fn throw_away(kafka: &str) -> anyhow::Result<()> {
    let servers = kafka.to_owned();
    let ends = tokio::task::spawn_blocking(move || ends(&consumer(&servers, "race-ends")?)).await??;
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", kafka).create()?;
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
    admin.delete_records(&ends, &options).await.context("the drained records cannot be thrown away")?;
    Ok(())
}

fn consumer(kafka: &str, group: &str) -> anyhow::Result<BaseConsumer> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka).set("group.id", group).set("enable.auto.commit", "false");
    config.create().context("cannot make a consumer")
}

fn ends(consumer: &BaseConsumer) -> anyhow::Result<TopicPartitionList> {
    let mut ends = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        let (_, end) = consumer.fetch_watermarks(topics::ORDER_PLACED, partition, PATIENCE)?;
        ends.add_partition_offset(topics::ORDER_PLACED, partition, Offset::Offset(end))?;
    }
    Ok(ends)
}
