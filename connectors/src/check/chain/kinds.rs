//! Transforms and predicates that are known. Options: `connect-transforms` 4.2.2, `debezium-connect-plugins` 3.6.0.Final,
//! `camel-kafka-connector` 0.11.0.

/// A class of transforms or predicates.
pub(super) struct Kind {
    /// Without `$Key` or `$Value`.
    pub(super) class: &'static str,
    /// Comes as `$Key` and as `$Value`.
    pub(super) sided: bool,
    /// Its options; `None` where they are its plugin's to judge.
    pub(super) options: Option<&'static [&'static str]>,
    /// What it cannot do without: one of each.
    pub(super) needs: &'static [&'static [&'static str]],
}

/// A class's last part: `ReplaceField$Value`.
pub(in crate::check) fn short(class: &str) -> &str {
    class.rsplit('.').next().unwrap_or_default()
}

const fn plain(
    class: &'static str,
    options: &'static [&'static str],
    needs: &'static [&'static [&'static str]],
) -> Kind {
    Kind { class, sided: false, options: Some(options), needs }
}

const fn sided(
    class: &'static str,
    options: &'static [&'static str],
    needs: &'static [&'static [&'static str]],
) -> Kind {
    Kind { class, sided: true, options: Some(options), needs }
}

const fn foreign(class: &'static str, sided: bool) -> Kind {
    Kind { class, sided, options: None, needs: &[] }
}

pub(super) static TRANSFORMS: &[Kind] = &[
    sided("org.apache.kafka.connect.transforms.Cast", &["spec", "replace.null.with.default"], &[&["spec"]]),
    plain("org.apache.kafka.connect.transforms.DropHeaders", &["headers"], &[&["headers"]]),
    sided(
        "org.apache.kafka.connect.transforms.ExtractField",
        &["field", "field.syntax.version", "replace.null.with.default"],
        &[&["field"]],
    ),
    plain("org.apache.kafka.connect.transforms.Filter", &[], &[]),
    sided("org.apache.kafka.connect.transforms.Flatten", &["delimiter"], &[]),
    sided(
        "org.apache.kafka.connect.transforms.HeaderFrom",
        &["fields", "headers", "operation", "replace.null.with.default"],
        &[&["fields"], &["headers"], &["operation"]],
    ),
    sided("org.apache.kafka.connect.transforms.HoistField", &["field"], &[&["field"]]),
    sided(
        "org.apache.kafka.connect.transforms.InsertField",
        &[
            "topic.field",
            "partition.field",
            "offset.field",
            "timestamp.field",
            "static.field",
            "static.value",
            "replace.null.with.default",
        ],
        &[],
    ),
    plain(
        "org.apache.kafka.connect.transforms.InsertHeader",
        &["header", "value.literal"],
        &[&["header"], &["value.literal"]],
    ),
    sided(
        "org.apache.kafka.connect.transforms.MaskField",
        &["fields", "replacement", "replace.null.with.default"],
        &[&["fields"]],
    ),
    plain(
        "org.apache.kafka.connect.transforms.RegexRouter",
        &["regex", "replacement"],
        &[&["regex"], &["replacement"]],
    ),
    sided(
        "org.apache.kafka.connect.transforms.ReplaceField",
        &["exclude", "include", "renames", "replace.null.with.default"],
        &[&["exclude", "include", "renames"]],
    ),
    sided(
        "org.apache.kafka.connect.transforms.SetSchemaMetadata",
        &["schema.name", "schema.version", "replace.null.with.default"],
        &[],
    ),
    sided(
        "org.apache.kafka.connect.transforms.TimestampConverter",
        &["field", "target.type", "format", "unix.precision", "replace.null.with.default"],
        &[&["target.type"]],
    ),
    plain("org.apache.kafka.connect.transforms.TimestampRouter", &["topic.format", "timestamp.format"], &[]),
    plain("org.apache.kafka.connect.transforms.ValueToKey", &["fields", "replace.null.with.default"], &[&["fields"]]),
    plain(
        "io.debezium.transforms.HeaderToValue",
        &["headers", "fields", "operation"],
        &[&["headers"], &["fields"], &["operation"]],
    ),
    foreign("io.debezium.transforms.ExtractNewRecordState", false),
    foreign("io.debezium.transforms.ByLogicalTableRouter", false),
    foreign("io.debezium.transforms.TimezoneConverter", false),
    foreign("io.debezium.connector.jdbc.transforms.CollectionNameTransformation", false),
    foreign("io.debezium.connector.jdbc.transforms.FieldNameTransformation", false),
    plain(
        "org.apache.camel.kafkaconnector.transforms.SchemaAndStructToJsonTransform",
        &["schemas.enable", "schemas.cache.size", "converter.type", "decimal.format", "replace.null.with.default"],
        &[&["converter.type"]],
    ),
    foreign("org.apache.camel.kafkaconnector.transforms.CamelTypeConverterTransform", true),
    foreign("org.apache.camel.kafkaconnector.transforms.FieldsToHeadersTransform", true),
    foreign("org.apache.camel.kafkaconnector.transforms.SinkPojoToSchemaAndStructTransform", false),
    foreign("org.apache.camel.kafkaconnector.transforms.SourcePojoToSchemaAndStructTransform", false),
];

pub(super) static PREDICATES: &[Kind] = &[
    plain("org.apache.kafka.connect.transforms.predicates.RecordIsTombstone", &[], &[]),
    plain("org.apache.kafka.connect.transforms.predicates.HasHeaderKey", &["name"], &[&["name"]]),
    plain("org.apache.kafka.connect.transforms.predicates.TopicNameMatches", &["pattern"], &[&["pattern"]]),
    // A pipeline takes them by their short names as well.
    plain("RecordIsTombstone", &[], &[]),
    plain("HasHeaderKey", &["name"], &[&["name"]]),
    plain("TopicNameMatches", &["pattern"], &[&["pattern"]]),
];
