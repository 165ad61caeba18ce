//! The contract files of this folder, as text, and the table of topics. Does not interpret schemas: see [`crate::codec`].

use std::collections::BTreeMap;

use serde::Deserialize;

/// JSON Schema of the body of `POST /api/orders`, as it was at build time.
pub const ORDER_SCHEMA_JSON: &str = include_str!("../order.schema.json");
/// Avro schema of the values in `orders.received`.
pub const ORDERS_RECEIVED_AVSC: &str = include_str!("../orders.received.avsc");
/// Avro schema of the values in `order_placed`; reads every version of `orders.received`.
pub const ORDER_PLACED_AVSC: &str = include_str!("../order_placed.avsc");
/// Topics and their settings.
pub const TOPICS_JSON: &str = include_str!("../topics.json");

/// A topic that the deploy step makes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// How many partitions; never changed afterwards, since the key fixes the partition.
    pub partitions: i32,
    /// Kafka's topic settings.
    pub config: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TopicsFile {
    topics: Vec<Topic>,
}

/// The topics of `topics.json`, in its order.
///
/// # Errors
/// What is wrong with the file, in the words of `serde_json`.
pub fn topics() -> Result<Vec<Topic>, serde_json::Error> {
    serde_json::from_str::<TopicsFile>(TOPICS_JSON).map(|file| file.topics)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::topics as names;

    #[test]
    fn every_topic_that_has_a_name_has_settings() {
        let listed: Vec<String> = topics().unwrap().into_iter().map(|topic| topic.name).collect();
        let named = [
            names::ORDERS_RECEIVED,
            names::ORDER_PLACED,
            names::ORDERS_DEAD_LETTER,
            names::ORDERS_DROPPED,
            names::POSTGRES_DEAD_LETTER,
            names::ELASTICSEARCH_DEAD_LETTER,
            names::POSTGRES_RETRY,
            names::ELASTICSEARCH_RETRY,
            names::DEAD_LETTER_MARKS,
            names::TRANSFORMS_MODULES,
            names::TRANSFORMS_CONFIG,
            names::TRANSFORMS_LOGS,
            names::TRANSFORMS_AUDIT,
        ];
        for name in named {
            assert!(listed.iter().any(|listed| listed == name), "{name} is not in topics.json");
        }
        assert_eq!(listed.len(), named.len(), "topics.json lists a topic that has no name in names.rs: {listed:?}");
    }

    #[test]
    fn a_keyed_topic_keeps_its_twelve_partitions_and_loses_nothing() {
        for topic in topics().unwrap().into_iter().filter(|topic| topic.name.starts_with("order")) {
            assert_eq!(topic.partitions, 12, "{}", topic.name);
            assert_eq!(topic.config.get("retention.ms").map(String::as_str), Some("-1"), "{}", topic.name);
        }
    }
}
