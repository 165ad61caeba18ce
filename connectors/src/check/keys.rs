//! The keys that each class knows, at the versions in `plugins/`. A table, no rules: those are in the parent.
//! A name that ends in `*` stands for all keys that begin so.

use service_kit::near;

/// A set of keys.
pub(super) struct Keys(&'static [&'static str]);

impl Keys {
    pub(super) fn knows(&self, key: &str) -> bool {
        self.0.iter().any(|known| known.strip_suffix('*').map_or(*known == key, |start| key.starts_with(start)))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().copied()
    }
}

/// What Kafka Connect itself reads of any sink.
pub(super) const SINK: Keys = Keys(&[
    "name",
    "connector.class",
    "connector.plugin.version",
    "tasks.max",
    "tasks.max.enforce",
    "topics",
    "topics.regex",
    "key.converter",
    "key.converter.*",
    "value.converter",
    "value.converter.*",
    "header.converter",
    "header.converter.*",
    "transforms",
    "predicates",
    "config.action.reload",
    "errors.retry.timeout",
    "errors.retry.delay.max.ms",
    "errors.tolerance",
    "errors.log.enable",
    "errors.log.include.messages",
    "errors.deadletterqueue.*",
    "consumer.override.*",
]);

/// Debezium's JDBC sink 3.6.
pub(super) const JDBC: Keys = Keys(&[
    "connection.provider",
    "connection.url",
    "connection.username",
    "connection.password",
    "connection.pool.min_size",
    "connection.pool.max_size",
    "connection.pool.acquire_increment",
    "connection.pool.timeout",
    "connection.restart.on.errors",
    "use.time.zone",
    "insert.mode",
    "delete.enabled",
    "truncate.enabled",
    "primary.key.mode",
    "primary.key.fields",
    "schema.evolution",
    "quote.identifiers",
    "collection.name.format",
    "collection.naming.strategy",
    "collection.table.format",
    "table.name.format",
    "table.naming.strategy",
    "database.time_zone",
    "column.naming.strategy",
    "field.include.list",
    "field.exclude.list",
    "batch.size",
    "use.reduction.buffer",
    "flush.max.retries",
    "flush.retry.delay.ms",
    "dialect.postgres.postgis.schema",
    "dialect.postgres.unnest.insert.enabled",
    "dialect.sqlserver.identity.insert",
    "cloud.events.schema.name.pattern",
    "hibernate.*",
]);

/// Camel's Kafka connector 0.11, as a sink.
pub(super) const CAMEL: Keys = Keys(&[
    "camel.sink.url",
    "camel.sink.component",
    "camel.sink.marshal",
    "camel.sink.unmarshal",
    "camel.sink.contentLogLevel",
    "camel.sink.path.*",
    "camel.sink.endpoint.*",
    "camel.component.*",
    "camel.dataformat.*",
    "camel.beans.*",
    "camel.aggregation.*",
    "camel.idempotency.*",
    "camel.map.headers",
    "camel.map.properties",
    "camel.remove.headers.pattern",
    "camel.error.handler",
    "camel.error.handler.max.redeliveries",
    "camel.error.handler.redelivery.delay",
]);

/// Options in the address of Camel's Elasticsearch component 3.21.
pub(super) const ELASTICSEARCH_URL: &[&str] = &[
    "certificatePath",
    "connectionTimeout",
    "disconnect",
    "enableSSL",
    "enableSniffer",
    "from",
    "hostAddresses",
    "indexName",
    "lazyStartProducer",
    "maxRetryTimeout",
    "operation",
    "scrollKeepAliveMs",
    "size",
    "sniffAfterFailureDelay",
    "snifferInterval",
    "socketTimeout",
    "useScroll",
    "waitForActiveShards",
];

/// Our own pipelines; `transforms.<alias>.…`, `predicates.…`, `outputs.…` and `lookups.…` come on top.
pub(super) const PIPELINE: Keys = Keys(&[
    "name",
    "connector.class",
    "tasks.max",
    "topics",
    "output.topic",
    "transforms",
    "predicates",
    "outputs",
    "lookups",
    "isolation",
    "errors.tolerance",
    "errors.deadletterqueue.topic.name",
    "dropped.topic.name",
    "local",
    "swap.watch.records",
    "swap.max.errors",
    "swap.max.rejects",
    "swap.max.time.per.record.us",
    "breaker.policy",
    "breaker.max.errors",
    "breaker.window.records",
    "breaker.max.retries",
]);

/// Keys of an output and of a lookup of a pipeline.
pub(super) const OUTPUT: &[&str] = &["topic"];
/// See [`OUTPUT`].
pub(super) const LOOKUP: &[&str] = &["topic", "max.bytes", "max.entries"];

/// Keys of the transforms (SMTs) that we know; any other type is left to Kafka Connect's own validation.
const TRANSFORMS: &[(&str, &[&str])] = &[
    ("org.apache.kafka.connect.transforms.Filter", &[]),
    ("org.apache.kafka.connect.transforms.HeaderFrom", &["fields", "headers", "operation"]),
    (
        "org.apache.kafka.connect.transforms.ReplaceField",
        &["exclude", "include", "renames", "replace.null.with.default"],
    ),
    ("org.apache.kafka.connect.transforms.InsertHeader", &["header", "value.literal"]),
    ("org.apache.kafka.connect.transforms.DropHeaders", &["headers"]),
    ("org.apache.kafka.connect.transforms.ValueToKey", &["fields", "replace.null.with.default"]),
    ("org.apache.kafka.connect.transforms.RegexRouter", &["regex", "replacement"]),
    ("io.debezium.transforms.HeaderToValue", &["headers", "fields", "operation"]),
    (
        "org.apache.camel.kafkaconnector.transforms.SchemaAndStructToJsonTransform",
        &["schemas.enable", "schemas.cache.size", "converter.type", "decimal.format", "replace.null.with.default"],
    ),
];

const PREDICATES: &[(&str, &[&str])] = &[
    ("org.apache.kafka.connect.transforms.predicates.RecordIsTombstone", &[]),
    ("org.apache.kafka.connect.transforms.predicates.HasHeaderKey", &["name"]),
    ("org.apache.kafka.connect.transforms.predicates.TopicNameMatches", &["pattern"]),
    // A pipeline takes them by their short names as well.
    ("RecordIsTombstone", &[]),
    ("HasHeaderKey", &["name"]),
    ("TopicNameMatches", &["pattern"]),
];

/// `None` where the option is fine or the type is not ours to judge; else perhaps a better name.
pub(super) fn transform(kind: &str, option: &str) -> Option<Option<&'static str>> {
    if matches!(option, "predicate" | "negate") {
        return None;
    }
    judged(TRANSFORMS, kind.trim_end_matches("$Value").trim_end_matches("$Key"), option)
}

/// As [`transform`], for predicates.
pub(super) fn predicate(kind: &str, option: &str) -> Option<Option<&'static str>> {
    judged(PREDICATES, kind, option)
}

/// As [`transform`], for the options of an output or a lookup.
pub(super) fn one_of(options: &'static [&'static str], option: &str) -> Option<Option<&'static str>> {
    if options.contains(&option) { None } else { Some(near::suggest(option, options.iter().copied())) }
}

fn judged(table: &'static [(&str, &[&'static str])], kind: &str, option: &str) -> Option<Option<&'static str>> {
    let (_, options) = table.iter().find(|(name, _)| *name == kind)?;
    one_of(options, option)
}
