//! Each rule has a file that breaks it; the shipped files break none.

use std::path::Path;

use super::*;
use crate::files;

/// Keys with their values.
type Pairs = &'static [(&'static str, &'static str)];

const JDBC: Pairs = &[("connector.class", JDBC_CLASS), ("tasks.max", "2"), ("topics", "order_placed")];
const CAMEL: Pairs = &[
    ("connector.class", CAMEL_CLASS),
    ("topics", "order_placed"),
    ("camel.sink.url", "elasticsearch:o?hostAddresses=h:1&indexName=i"),
    ("camel.error.handler", "no"),
    ("camel.remove.headers.pattern", "(?!indexId$).*"),
];
const PIPELINE: Pairs = &[
    ("connector.class", PIPELINE_CLASS),
    ("topics", "orders.received"),
    ("output.topic", "order_placed"),
    ("transforms", "clean"),
    ("transforms.clean.type", "clean@1"),
    ("transforms.clean.items.sum", "reject"),
];

/// The faults of `base` with `changes`; an empty value takes the key out.
fn faults(base: &[(&str, &str)], changes: &[(&str, &str)]) -> Vec<String> {
    let mut settings: Settings = base.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    for (key, value) in changes {
        if value.is_empty() {
            settings.remove(*key)
        } else {
            settings.insert((*key).to_owned(), (*value).to_owned())
        };
    }
    let subject = Connector { file: "f.json".to_owned(), name: "f".to_owned(), settings };
    connector(&subject).iter().map(ToString::to_string).collect()
}

#[test]
fn each_rule_is_broken_by_one_change_and_names_the_key() {
    let cases: &[(Pairs, (&str, &str), &str)] = &[
        (JDBC, ("connector.class", ""), "connector.class: is missing"),
        (JDBC, ("connector.class", "io.debezium.connector.jdbc.JdbcSinkConector"), "did you mean io.debezium"),
        (JDBC, ("connector.class", "x.Y"), "known are"),
        (JDBC, ("insert.mod", "upsert"), "insert.mod: is not known; did you mean insert.mode?"),
        (JDBC, ("colour", "blue"), "colour: is not known for this connector"),
        (JDBC, ("topics", ""), "topics: is missing"),
        (JDBC, ("tasks.max", "none"), "tasks.max: `none` is not a number"),
        (JDBC, ("tasks.max", "0"), "tasks.max: `0` is not a number"),
        (JDBC, ("connection.password", "hunter2"), "connection.password: holds a secret in the open"),
        (JDBC, ("connection.password", "x${env:P}"), "connection.password: holds a secret in the open"),
        (JDBC, ("connection.url", "jdbc:postgresql://h/d?user=u&password=p"), "connection.url: holds a password"),
        (JDBC, ("connection.url", "jdbc:postgresql://u:p@h/d"), "connection.url: holds a password"),
        (JDBC, ("errors.tolerance", "all"), "errors.tolerance: `all` diverts good orders"),
        (JDBC, ("errors.deadletterqueue.topic.name", "d"), "errors.deadletterqueue.topic.name: has no effect"),
        (JDBC, ("transforms", "pick"), "transforms.pick.type: is missing"),
        (JDBC, ("transforms.pick.type", "x.Y"), "transforms.pick.type: belongs to no name"),
        (CAMEL, ("camel.sink.url", ""), "camel.sink.url: is missing"),
        (CAMEL, ("camel.error.handler", "default"), "camel.error.handler: must be"),
        (CAMEL, ("camel.remove.headers.pattern", ""), "camel.remove.headers.pattern: is missing"),
        (CAMEL, ("camel.sink.url", "elasticsearch:o?hostAdresses=h:1&indexName=i"), "did you mean hostAddresses?"),
        (CAMEL, ("camel.sink.url", "elasticsearch:o?hostAddresses=h:1"), "option `indexName` is missing"),
        (
            CAMEL,
            ("camel.sink.url", "elasticsearch:o?hostAddresses=h&indexName=i&user=${env:U}"),
            "`user` would be logged",
        ),
        (PIPELINE, ("output.topic", ""), "output.topic: is missing"),
        (PIPELINE, ("transforms.clean.type", ""), "transforms.clean.type: is missing"),
        (PIPELINE, ("output.topics", "x"), "did you mean output.topic?"),
        (PIPELINE, ("outputs", "vip"), "outputs.vip.topic: is missing; each name in the list needs a topic"),
        (PIPELINE, ("outputs.vip.topic", "x"), "outputs.vip.topic: belongs to no name in `outputs`"),
        (PIPELINE, ("lookups", "tiers"), "lookups.tiers.topic: is missing"),
        (PIPELINE, ("predicates", "old"), "predicates.old.type: is missing"),
        (PIPELINE, ("transforms.clean.predicate", "old"), "`old` is not in `predicates`"),
        (PIPELINE, ("isolaton", "batch"), "did you mean isolation?"),
    ];
    for (base, change, wanted) in cases {
        assert_eq!(faults(base, &[]), Vec::<String>::new(), "the case's base must be fine");
        let found = faults(base, &[*change]);
        assert!(found.iter().any(|fault| fault.contains(wanted)), "{change:?}: {found:?} lacks {wanted:?}");
    }
}

#[test]
fn an_unknown_option_of_a_known_transform_is_named() {
    let base = [
        JDBC,
        &[("transforms", "pick"), ("transforms.pick.type", "org.apache.kafka.connect.transforms.ReplaceField$Value")],
    ]
    .concat();
    assert_eq!(faults(&base, &[("transforms.pick.exclude", "items")]), Vec::<String>::new());
    let found = faults(&base, &[("transforms.pick.exclud", "items")]);
    assert!(found[0].contains("did you mean exclude?"), "{found:?}");
    let found = faults(&base, &[("transforms.pick.predicate", "nobody")]);
    assert!(found[0].contains("is not in `predicates`"), "{found:?}");
}

#[test]
fn a_pipeline_may_branch_and_look_up() {
    let changes = [
        ("predicates", "old"),
        ("predicates.old.type", "TopicNameMatches"),
        ("predicates.old.pattern", "old.*"),
        ("transforms.clean.predicate", "old"),
        ("transforms.clean.negate", "true"),
        ("outputs", "vip"),
        ("outputs.vip.topic", "orders.vip"),
        ("lookups", "tiers"),
        ("lookups.tiers.topic", "customer-tiers"),
        ("lookups.tiers.max.entries", "10"),
        ("isolation", "batch"),
        ("dropped.topic.name", "dropped"),
        ("swap.watch.records", "100"),
        ("breaker.policy", "rollback"),
    ];
    assert_eq!(faults(PIPELINE, &changes), Vec::<String>::new());
    let changes = [&changes[..], &[("lookups.tiers.max.entrie", "1"), ("predicates.old.patern", "x")]].concat();
    let found = faults(PIPELINE, &changes);
    assert!(found[0].contains("did you mean pattern?") && found[1].contains("did you mean max.entries?"), "{found:?}");
}

#[test]
fn a_secret_by_name_is_fine() {
    let changes = [("connection.password", "${env:POSTGRES_PASSWORD}"), ("connection.url", "${env:POSTGRES_JDBC_URL}")];
    assert_eq!(faults(JDBC, &changes), Vec::<String>::new());
}

#[test]
fn all_faults_are_told_at_once() {
    let changes = [("insert.mod", "x"), ("tasks.max", "-1"), ("connection.password", "p")];
    assert_eq!(faults(JDBC, &changes).len(), 3);
}

#[test]
fn the_shipped_files_have_no_fault() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let all = files::read(folder).unwrap_or_else(|faults| panic!("{faults:#?}"));
    let names = |list: &[Connector]| list.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&all.sinks), ["orders-elasticsearch", "orders-postgres"]);
    assert_eq!(names(&all.pipelines), ["orders-transforms"]);
    assert_eq!(all.tables.len(), 1);
    assert_eq!(all.indexes.len(), 1);
}
