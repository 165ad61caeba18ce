//! Camel's Kafka connector as a sink. Keys: `CamelSinkConnectorConfig` of `camel-kafka-connector` 0.11.0; options of its
//! addresses: the endpoints' configurers of `camel-elasticsearch` and `camel-http` 3.21.0.

use super::Kind::{Flag, Least, OneOf, Text};
use super::{Plugin, Store};
use crate::names::CAMEL_CLASS;

pub(super) static SINK: Plugin = Plugin {
    class: CAMEL_CLASS,
    title: "Camel's sink",
    version: "0.11.0",
    store: Store::Camel,
    keys: &[
        ("camel.sink.url", Text),
        ("camel.sink.component", Text),
        ("camel.sink.marshal", Text),
        ("camel.sink.unmarshal", Text),
        ("camel.sink.contentLogLevel", OneOf(&["trace", "debug", "info", "warn", "error", "off"])),
        ("camel.sink.path.*", Text),
        ("camel.sink.endpoint.*", Text),
        ("camel.component.*", Text),
        ("camel.dataformat.*", Text),
        ("camel.beans.*", Text),
        ("camel.aggregation.size", Least(1)),
        ("camel.aggregation.timeout", Least(1)),
        ("camel.idempotency.enabled", Flag),
        ("camel.idempotency.repository.type", OneOf(&["memory", "kafka"])),
        ("camel.idempotency.expression.type", OneOf(&["body", "header"])),
        ("camel.idempotency.expression.header", Text),
        ("camel.idempotency.memory.dimension", Least(1)),
        ("camel.idempotency.kafka.topic", Text),
        ("camel.idempotency.kafka.bootstrap.servers", Text),
        ("camel.idempotency.kafka.max.cache.size", Least(1)),
        ("camel.idempotency.kafka.poll.duration.ms", Least(1)),
        ("camel.map.headers", Flag),
        ("camel.map.properties", Flag),
        ("camel.remove.headers.pattern", Text),
        ("camel.error.handler", OneOf(&["no", "default"])),
        ("camel.error.handler.max.redeliveries", Least(0)),
        ("camel.error.handler.redelivery.delay", Least(0)),
    ],
    retired: &[],
    meant: &[
        ("camel.beans.aggregation.size", "camel.aggregation.size"),
        ("camel.beans.aggregation.timeout", "camel.aggregation.timeout"),
        ("connection.url", "camel.sink.url"),
        ("connection.username", "camel.component.elasticsearch.user"),
        ("connection.password", "camel.component.elasticsearch.password"),
    ],
};
