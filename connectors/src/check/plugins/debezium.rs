//! Debezium's JDBC sink. Keys and values: the configuration classes of `debezium-connector-jdbc` and `debezium-sink`
//! 3.6.0.Final, and debezium.io/documentation, "Debezium connector for JDBC".

use super::Kind::{Barred, Class, Flag, Least, OneOf, Secret, Text};
use super::{Plugin, Rows, Store};
use crate::names::JDBC_CLASS;

const LOADS: &str = "names a class that the worker would load, and that would get the database's password";
const PASSED: &str = "is handed on to Hibernate, and is not among its settings that load no class, run no script, open no \
                      file and name no other server";
const LIST: &str = "take it out; one that does none of that can be put on the list in \
                    connectors/src/check/plugins/debezium.rs";

pub(super) static JDBC: Plugin = Plugin {
    class: JDBC_CLASS,
    title: "Debezium's JDBC sink",
    version: "3.6.0.Final",
    store: Store::Rows(&Rows {
        key_mode: "primary.key.mode",
        key_fields: "primary.key.fields",
        table: &["collection.name.format", "table.name.format"],
        dots_become_underscores: true,
        retries: ("flush.max.retries", 5),
        pause: ("flush.retry.delay.ms", 1000),
        grows: &[("schema.evolution", "none")],
    }),
    keys: &[
        ("connection.provider", Barred(LOADS, "take it out; the plugin brings its pool along")),
        ("connection.url", Text),
        ("connection.username", Text),
        ("connection.password", Secret),
        ("connection.pool.min_size", Least(0)),
        ("connection.pool.max_size", Least(1)),
        ("connection.pool.timeout", Least(0)),
        ("connection.restart.on.errors", Flag),
        ("use.time.zone", Text),
        ("insert.mode", OneOf(&["insert", "upsert", "update"])),
        ("delete.enabled", Flag),
        ("truncate.enabled", Flag),
        ("primary.key.mode", OneOf(&["none", "kafka", "record_key", "record_value", "record_header"])),
        ("primary.key.fields", Text),
        ("schema.evolution", OneOf(&["none", "basic"])),
        ("quote.identifiers", Flag),
        ("collection.name.format", Text),
        ("collection.naming.strategy", Class(&["io.debezium."])),
        ("collection.naming.prefix", Text),
        ("collection.naming.suffix", Text),
        ("collection.naming.style", Text),
        ("collection.table.format", Text),
        ("column.naming.strategy", Class(&["io.debezium."])),
        ("column.naming.prefix", Text),
        ("column.naming.suffix", Text),
        ("column.naming.style", Text),
        ("field.include.list", Text),
        ("field.exclude.list", Text),
        ("batch.size", Least(1)),
        ("use.reduction.buffer", Flag),
        ("flush.max.retries", Least(0)),
        ("flush.retry.delay.ms", Least(0)),
        ("dialect.postgres.postgis.schema", Text),
        ("dialect.postgres.unnest.insert.enabled", Flag),
        ("dialect.sqlserver.identity.insert", Flag),
        ("cloud.events.schema.name.pattern", Text),
        ("hibernate.dialect", Class(&["org.hibernate.dialect.", "org.hibernate.community.dialect."])),
        ("hibernate.default_catalog", Text),
        ("hibernate.default_schema", Text),
        ("hibernate.jdbc.batch_size", Least(0)),
        ("hibernate.jdbc.fetch_size", Least(0)),
        ("hibernate.jdbc.time_zone", Text),
        ("hibernate.order_inserts", Flag),
        ("hibernate.order_updates", Flag),
        // The pool's sizes and times; it also takes names of classes and statements.
        ("hibernate.agroal.minSize", Least(0)),
        ("hibernate.agroal.maxSize", Least(1)),
        ("hibernate.agroal.initialSize", Least(0)),
        ("hibernate.agroal.acquisitionTimeout", Text),
        ("hibernate.agroal.leakTimeout", Text),
        ("hibernate.agroal.maxLifetime", Text),
        ("hibernate.agroal.reapTimeout", Text),
        ("hibernate.agroal.validationTimeout", Text),
        ("hibernate.*", Barred(PASSED, LIST)),
    ],
    retired: &[
        ("table.name.format", "it is collection.name.format now"),
        ("table.naming.strategy", "it is collection.naming.strategy now"),
        ("database.time_zone", "it is use.time.zone now"),
        ("connection.pool.acquire_increment", "the pool of 3.6 has no such setting; take it out"),
    ],
    meant: &[
        ("connection.user", "connection.username"),
        ("pk.mode", "primary.key.mode"),
        ("pk.fields", "primary.key.fields"),
        ("auto.create", "schema.evolution"),
        ("auto.evolve", "schema.evolution"),
        ("max.retries", "flush.max.retries"),
        ("retry.backoff.ms", "flush.retry.delay.ms"),
        ("fields.whitelist", "field.include.list"),
        ("db.timezone", "use.time.zone"),
        ("connection.attempts", "flush.max.retries"),
        ("quote.sql.identifiers", "quote.identifiers"),
        ("sql.quote.identifiers", "quote.identifiers"),
    ],
};
