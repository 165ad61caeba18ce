//! What an order that was answered 202 outlives, by what the brokers say of the topic. Only told, never decided by.

use rdkafka::metadata::MetadataPartition;
use serde_json::{Value, json};

/// The topic's replicas, each as it is in the partition that has fewest of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Durability {
    partitions: usize,
    replicas: usize,
    in_sync: usize,
}

impl Durability {
    pub(super) fn of(partitions: &[MetadataPartition]) -> Self {
        let least = |count: fn(&MetadataPartition) -> usize| partitions.iter().map(count).min().unwrap_or(0);
        Self {
            partitions: partitions.len(),
            replicas: least(|partition| partition.replicas().len()),
            in_sync: least(|partition| partition.isr().len()),
        }
    }

    /// As `/readyz?verbose` tells it.
    #[must_use]
    pub fn told(&self, topic: &str) -> Value {
        let Self { partitions, replicas, in_sync } = self;
        json!({ "topic": topic, "partitions": partitions, "replicas": replicas, "inSync": in_sync, "meaning": self.meaning() })
    }

    /// Kafka acknowledges what is in its machine's memory: it does not wait for the disk unless `flush.messages` says so.
    fn meaning(&self) -> String {
        match (self.replicas, self.in_sync) {
            (0 | 1, _) => "202 says that one broker has the order. It outlives a kill of Kafka; it is lost with that \
                           broker's disk, and the last ones may be lost when its machine loses power"
                .to_owned(),
            (replicas, in_sync) => format!(
                "202 says that every replica in sync has the order: at least {in_sync} of {replicas} now, and never \
                 fewer than the topic's min.insync.replicas, which the edge does not ask for. It outlives the loss of \
                 all of them but one"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_what_the_replicas_hold() {
        let told = |replicas, in_sync| Durability { partitions: 12, replicas, in_sync }.told("t");
        let one = told(1, 1);
        assert_eq!((&one["topic"], &one["partitions"], &one["replicas"]), (&json!("t"), &json!(12), &json!(1)));
        assert!(one["meaning"].as_str().unwrap().contains("lost with that broker's disk"), "{one}");
        let three = told(3, 2);
        assert_eq!((&three["replicas"], &three["inSync"]), (&json!(3), &json!(2)));
        assert!(three["meaning"].as_str().unwrap().contains("at least 2 of 3"), "{three}");
    }
}
