//! How many records wait before each pipeline, for the metrics. Kafka is asked beside the loop: a slot that stands still
//! would not say. What a pipeline was last given counts, whoever runs it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::KafkaResult;
use service_kit::Tasks;

use super::manager::Site;
use super::spec;
use crate::kafka::offsets::{Offsets, Position};
use crate::metrics::Lag;
use crate::state::catalog::{Catalog, Stored};

/// Between two looks. Each asks for two offsets of every partition.
const EVERY: Duration = Duration::from_secs(10);

/// Looks until the process stops.
pub async fn watch(site: Site, catalog: Arc<Catalog>, lag: Lag, tasks: Tasks) {
    while !tasks.is_stopping() {
        look(&site, &catalog, &lag, &tasks).await;
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = tasks.stopping() => {}
        }
    }
}

async fn look(site: &Site, catalog: &Catalog, lag: &Lag, tasks: &Tasks) {
    let topics = topics(catalog);
    lag.keep(|pipeline| topics.contains_key(pipeline));
    for (pipeline, topics) in topics {
        let asked = (site.clone(), pipeline.clone());
        let found = tasks.spawn_blocking(move || waiting(&asked.0, &asked.1, &topics)).await;
        // A lag that nobody knows is no lag of before.
        match found {
            Ok(Ok(records)) => lag.set(&pipeline, Some(records)),
            Ok(Err(error)) => {
                tracing::debug!(pipeline, error = %error, "lag is not known");
                lag.set(&pipeline, None);
            }
            Err(error) => tracing::warn!(pipeline, error = %error, "asking for the lag ended early"),
        }
    }
}

/// The topics that each pipeline reads.
fn topics(catalog: &Catalog) -> BTreeMap<String, Vec<String>> {
    let read = |(name, stored): (String, Result<Arc<Stored>, String>)| {
        let topics = spec::parse(&name, &stored.ok()?.config).ok()?.topics;
        Some((name, topics))
    };
    catalog.pipelines().into_iter().filter_map(read).collect()
}

fn waiting(site: &Site, pipeline: &str, topics: &[String]) -> KafkaResult<i64> {
    let offsets = Offsets::of(&site.brokers, &format!("{}-lag", site.client_id), pipeline)?;
    Ok(offsets.positions(topics)?.iter().map(Position::lag).sum())
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;
    use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
    use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
    use schemas::names::topics::TRANSFORMS_CONFIG;
    use serde_json::json;
    use transform_host::{Engine, Limits};

    use super::*;
    use crate::metrics;

    fn write(brokers: &str, (topic, partition): (&str, i32), count: usize) {
        let producer: ThreadedProducer<DefaultProducerContext> =
            ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
        for _ in 0..count {
            let record = BaseRecord::<(), str>::to(topic).partition(partition).payload("x");
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(Duration::from_secs(60)).unwrap();
    }

    fn commit(brokers: &str, group: &str, (topic, partition): (&str, i32), offset: i64) {
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", brokers).set("group.id", group).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
        consumer.commit(&list, CommitMode::Sync).unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_waits_in_all_partitions_is_told_while_kafka_says_it_and_the_pipeline_is_there() {
        let cluster = MockCluster::new(1).unwrap();
        let brokers = cluster.bootstrap_servers();
        for (topic, partitions) in [("in", 2), ("more", 1)] {
            cluster.create_topic(topic, partitions, 1).unwrap();
        }
        tokio::task::block_in_place(|| {
            for (place, count) in [(("in", 0), 10), (("in", 1), 3), (("more", 0), 2)] {
                write(&brokers, place, count);
            }
            commit(&brokers, "p", ("in", 0), 4);
        });
        let catalog = Catalog::new(Engine::new(Limits::default()).unwrap());
        let stored = |topics: &str| {
            let config = json!({
                "connector.class": "orderflow.WasmPipeline", "tasks.max": "1", "topics": topics, "output.topic": "out",
            });
            json!({ "config": config, "state": "STARTED", "modules": {} }).to_string().into_bytes()
        };
        catalog.apply(TRANSFORMS_CONFIG, 0, b"p", Some(&stored("in,more")));
        catalog.apply(TRANSFORMS_CONFIG, 1, b"q", Some(&stored("in")));
        let site = Site { brokers: brokers.into(), instance: "a".to_owned(), client_id: "transforms-a".to_owned() };
        let ((registry, metrics), tasks) = (metrics::registry(), Tasks::new());
        let told = async || {
            look(&site, &catalog, &metrics.lag(), &tasks).await;
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            let lines = text.lines().filter_map(|line| line.strip_prefix("transforms_lag_records{pipeline="));
            let mut lines: Vec<String> = lines.map(str::to_owned).collect();
            lines.sort_unstable();
            lines
        };
        // What was never committed waits from the start.
        let both = told().await;
        catalog.apply(TRANSFORMS_CONFIG, 2, b"q", None);
        let one = told().await;
        cluster.broker_down(-1).unwrap();
        let none = told().await;
        let text = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            [both, one, none],
            [text(&[r#""p"} 11"#, r#""q"} 13"#]), text(&[r#""p"} 11"#]), text(&[])],
            "of both, without the one that was deleted, and while nobody answers"
        );
    }
}
