//! Names that others depend on: topics, subjects, headers. A name stands here once and nowhere else in Rust.

/// Topics; their settings stand in `topics.json`.
pub mod topics {
    /// What the edge took, as Avro `orders.received`.
    pub const ORDERS_RECEIVED: &str = "orders.received";
    /// What the transforms made of it; table and index have the same name.
    pub const ORDER_PLACED: &str = "order_placed";
    /// What no transform would take, unchanged, with the reason in headers.
    pub const ORDERS_DEAD_LETTER: &str = "orders.dead-letter";
    /// A keyed marker for each record that a module dropped on purpose.
    pub const ORDERS_DROPPED: &str = "orders.dropped";
    /// What the PostgreSQL sink would not take.
    pub const POSTGRES_DEAD_LETTER: &str = "order_placed.postgres.dead-letter";
    /// What the Elasticsearch sink would not take.
    pub const ELASTICSEARCH_DEAD_LETTER: &str = "order_placed.elasticsearch.dead-letter";
    /// Dead letters of the PostgreSQL sink, sent again: only that sink reads it, beside [`ORDER_PLACED`].
    pub const POSTGRES_RETRY: &str = "order_placed.postgres.retry";
    /// Dead letters of the Elasticsearch sink, sent again: only that sink reads it, beside [`ORDER_PLACED`].
    pub const ELASTICSEARCH_RETRY: &str = "order_placed.elasticsearch.retry";
    /// What was done with which dead letter; kept.
    pub const DEAD_LETTER_MARKS: &str = "connectors.dead-letter-marks";
    /// Uploaded modules by `name@version`; compacted.
    pub const TRANSFORMS_MODULES: &str = "transforms.modules";
    /// Pipeline configs by name; compacted.
    pub const TRANSFORMS_CONFIG: &str = "transforms.config";
    /// What modules log; kept for a week.
    pub const TRANSFORMS_LOGS: &str = "transforms.logs";
    /// Who deployed what and when; kept.
    pub const TRANSFORMS_AUDIT: &str = "transforms.audit";
}

/// Subjects in the schema registry (`TopicNameStrategy`).
pub mod subjects {
    /// Schema of the values in `orders.received`.
    pub const ORDERS_RECEIVED_VALUE: &str = "orders.received-value";
    /// Schema of the values in `order_placed`.
    pub const ORDER_PLACED_VALUE: &str = "order_placed-value";
}

/// Record headers.
pub mod headers {
    /// The modules that made a record: `name@version+sha256:<first 12 hex>`, comma-joined, in order.
    pub const MODULES: &str = "orderflow.modules";
    /// The request id that the edge took or made.
    pub const REQUEST_ID: &str = "orderflow.request-id";
    /// W3C trace context.
    pub const TRACEPARENT: &str = "traceparent";
    /// On a dead letter: the module that rejected or broke, as in [`MODULES`].
    pub const MODULE: &str = "orderflow.module";
    /// On a dead letter: that module's parameters, as JSON.
    pub const PARAMETERS: &str = "orderflow.parameters";
    /// On a dead letter: the lookup tables that the module could read, with their positions.
    pub const LOOKUPS: &str = "orderflow.lookups";
    /// On a dead letter: all that a replay needs beside these, as JSON: the pipeline, the id of its output's schema, and
    /// the modules with their parameters that the record went through, the last one being [`MODULE`].
    pub const CHAIN: &str = "orderflow.chain";
    /// On a record that was sent again from the dead letters: `partition/offset` where it was received, which stay its
    /// version.
    pub const REPLAY_OF: &str = "orderflow.replay-of";
    /// On such a record: how often it was sent again.
    pub const REPLAYS: &str = "orderflow.replays";
    /// Connect's own: the topic that the dead letter comes from. With partition and offset its identity.
    pub const ERROR_TOPIC: &str = "__connect.errors.topic";
    /// Connect's own: the partition that the dead letter comes from.
    pub const ERROR_PARTITION: &str = "__connect.errors.partition";
    /// Connect's own: the offset that the dead letter comes from.
    pub const ERROR_OFFSET: &str = "__connect.errors.offset";
    /// Connect's own: the step that failed.
    pub const ERROR_STAGE: &str = "__connect.errors.stage";
    /// Connect's own: the kind of the failure.
    pub const ERROR_CLASS: &str = "__connect.errors.exception.class.name";
    /// Connect's own: the failure in words.
    pub const ERROR_MESSAGE: &str = "__connect.errors.exception.message";
}
