//! Configs, and what is said of them.

use transform_host::TopicPattern;

use super::*;
use crate::pipeline::policy::Breaker;

fn config(changes: &[(&str, &str)]) -> Config {
    let mut config: Config = [
        ("connector.class", CLASS),
        ("tasks.max", "2"),
        ("topics", "orders.received"),
        ("output.topic", "order_placed"),
        ("transforms", "clean, enrich"),
        ("transforms.clean.type", "clean@1"),
        ("transforms.enrich.type", "enrich@1"),
        ("transforms.enrich.home.currency", "USD"),
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "orders.dead-letter"),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect();
    for (key, value) in changes {
        match *value {
            "-" => config.remove(*key),
            value => config.insert((*key).to_owned(), value.to_owned()),
        };
    }
    config
}

#[test]
fn the_shipped_pipeline_is_understood() {
    let spec = parse("orders-transforms", &config(&[])).unwrap();
    assert_eq!((spec.tasks, spec.topics.as_slice()), (2, &["orders.received".to_owned()][..]));
    assert_eq!(spec.steps.iter().map(|step| step.alias.as_str()).collect::<Vec<_>>(), ["clean", "enrich"]);
    assert_eq!(spec.steps[1].parameters, BTreeMap::from([("home.currency".to_owned(), "USD".to_owned())]));
    assert_eq!(spec.dead_letters.as_deref(), Some("orders.dead-letter"));
    assert_eq!(spec.dropped, "orders.dropped");
}

#[test]
fn each_fault_names_its_key() {
    for (changes, keys) in [
        (&[("tasks.max", "0")][..], &["tasks.max"][..]),
        (&[("tasks.max", "two")], &["tasks.max"]),
        (&[("connector.class", "org.example.Other")], &["connector.class"]),
        (&[("name", "another")], &["name"]),
        (&[("topics", " , ")], &["topics"]),
        (&[("topics", "a b")], &["topics"]),
        (&[("topics", "order_placed")], &["topics"]),
        (&[("output.topic", "-")], &["output.topic"]),
        (&[("errors.tolerance", "some")], &["errors.tolerance"]),
        (&[("errors.deadletterqueue.topic.name", "-")], &["errors.deadletterqueue.topic.name"]),
        (&[("transforms.clean.type", "-")], &["transforms.clean.type"]),
        (&[("transforms.clean.type", "Clean!")], &["transforms.clean.type"]),
        (&[("transforms", "clean,clean,enrich")], &["transforms"]),
        (&[("transforms", "clean")], &["transforms.enrich.home.currency", "transforms.enrich.type"]),
        (&[("swap.watch.records", "-1")], &["swap.watch.records"]),
        (&[("commit.interval.ms", "1001")], &["commit.interval.ms"]),
        (&[("swap.max.time.per.record.us", "0")], &["swap.max.time.per.record.us"]),
        (&[("breaker.policy", "explode")], &["breaker.policy"]),
        (&[("breaker.max.errors", "60"), ("breaker.window.records", "50")], &["breaker.max.errors"]),
        (&[("transforms.clean.predicate", "none")], &["transforms.clean.predicate"]),
        (&[("transforms.clean.negate", "true")], &["transforms.clean.negate"]),
        (&[("transforms.clean.negate", "yes")], &["transforms.clean.negate"]),
        (&[("predicates", "p")], &["predicates.p.type"]),
        (&[("predicates", "p,p"), ("predicates.p.type", "RecordIsTombstone")], &["predicates"]),
        (&[("predicates", "p"), ("predicates.p.type", "org.example.P")], &["predicates.p.type"]),
        (&[("predicates", "p"), ("predicates.p.type", "HasHeaderKey")], &["predicates.p.name"]),
        (&[("predicates", "p"), ("predicates.p.type", "TopicNameMatches")], &["predicates.p.pattern"]),
        (
            &[("predicates", "p"), ("predicates.p.type", "TopicNameMatches"), ("predicates.p.pattern", "(")],
            &["predicates.p.pattern"],
        ),
        (
            &[("predicates", "p"), ("predicates.p.type", "RecordIsTombstone"), ("predicates.p.name", "x")],
            &["predicates.p.name"],
        ),
        (&[("predicates.q.type", "RecordIsTombstone")], &["predicates.q.type"]),
        (&[("outputs", "vip")], &["outputs.vip.topic"]),
        (&[("outputs", "vip"), ("outputs.vip.topic", "order_placed")], &["outputs.vip.topic"]),
        (&[("outputs", "vip"), ("outputs.vip.topic", "orders.received")], &["topics"]),
        (&[("outputs", "a,b"), ("outputs.a.topic", "x"), ("outputs.b.topic", "x")], &["outputs.b.topic"]),
        (&[("outputs", "v.p")], &["outputs"]),
        (&[("lookups", "tiers")], &["lookups.tiers.topic"]),
        (
            &[
                ("lookups", "t"),
                ("lookups.t.topic", "x"),
                ("lookups.t.max.bytes", "0"),
                ("lookups.t.max.entries", "-1"),
            ],
            &["lookups.t.max.bytes", "lookups.t.max.entries"],
        ),
        (&[("isolation", "process")], &["isolation"]),
        (&[("errors.tolerence", "all"), ("tasks.max", "x")], &["errors.tolerence", "tasks.max"]),
    ] {
        let faults = parse("orders-transforms", &config(changes)).unwrap_err();
        assert_eq!(faults.iter().map(|fault| fault.key.as_str()).collect::<Vec<_>>(), keys, "{changes:?}: {faults:?}");
    }
}

#[test]
fn a_pipeline_needs_neither_modules_nor_tolerance() {
    let minimal = [("transforms", "-"), ("transforms.clean.type", "-"), ("transforms.enrich.type", "-")];
    let minimal =
        [&minimal[..], &[("transforms.enrich.home.currency", "-"), ("errors.tolerance", "-"), ("tasks.max", "-")]]
            .concat();
    let spec = parse("p", &config(&minimal)).unwrap();
    assert_eq!((spec.steps.len(), spec.tasks, spec.dead_letters), (0, 1, None));
}

#[test]
fn what_a_version_may_cost_has_sensible_values_of_its_own() {
    assert_eq!(parse("p", &config(&[])).unwrap().policy, Policy::default());
    let some = [
        ("swap.watch.records", "80"),
        ("swap.max.errors", "2"),
        ("swap.max.time.per.record.us", "250"),
        ("breaker.policy", "rollback"),
        ("breaker.window.records", "50"),
        ("breaker.max.retries", "0"),
    ];
    let policy = parse("p", &config(&some)).unwrap().policy;
    let expected = Policy {
        watch: 80,
        watch_errors: 2,
        watch_rejects: 40,
        watch_time: Duration::from_micros(250),
        breaker: Breaker::Rollback,
        breaker_errors: 50,
        breaker_window: 50,
        retries: 0,
    };
    assert_eq!(policy, expected);
}

#[test]
fn transactions_follow_on_each_other_at_once_unless_the_file_says_otherwise() {
    for (value, expected) in [("-", 0), ("0", 0), ("20", 20), ("1000", 1_000)] {
        let spec = parse("p", &config(&[("commit.interval.ms", value)])).unwrap();
        assert_eq!(spec.commit_interval, Duration::from_millis(expected), "{value}");
    }
}

#[test]
fn predicates_are_written_as_connects() {
    let changes = [
        ("predicates", "old, traced, gone"),
        ("predicates.old.type", "org.apache.kafka.connect.transforms.predicates.TopicNameMatches"),
        ("predicates.old.pattern", r"orders\.(old|older)"),
        ("predicates.traced.type", "HasHeaderKey"),
        ("predicates.traced.name", "traceparent"),
        ("predicates.gone.type", "RecordIsTombstone"),
        ("transforms.clean.predicate", "old"),
        ("transforms.enrich.predicate", "gone"),
        ("transforms.enrich.negate", "true"),
    ];
    let spec = parse("p", &config(&changes)).unwrap();
    let old = TopicPattern::parse(r"orders\.(old|older)").unwrap();
    let when = |predicate, negate| Some(When { predicate, negate });
    assert_eq!(spec.steps[0].when, when(Predicate::TopicNameMatches(old), false));
    assert_eq!(spec.steps[1].when, when(Predicate::RecordIsTombstone, true));
    assert_eq!(spec.steps[1].parameters, BTreeMap::from([("home.currency".to_owned(), "USD".to_owned())]));
}

#[test]
fn outputs_lookups_and_isolation_are_read() {
    let changes = [
        ("outputs", "vip"),
        ("outputs.vip.topic", "orders.vip"),
        ("lookups", "tiers,rates"),
        ("lookups.tiers.topic", "customer-tiers"),
        ("lookups.rates.topic", "rates"),
        ("lookups.rates.max.bytes", "1000"),
        ("lookups.rates.max.entries", "10"),
        ("isolation", "batch"),
    ];
    let spec = parse("p", &config(&changes)).unwrap();
    assert_eq!(spec.outputs, BTreeMap::from([("vip".to_owned(), "orders.vip".to_owned())]));
    let lookup = |topic: &str, max_bytes, max_entries| Lookup { topic: topic.to_owned(), max_bytes, max_entries };
    assert_eq!(spec.lookups["tiers"], lookup("customer-tiers", 64 << 20, 1_000_000));
    assert_eq!(spec.lookups["rates"], lookup("rates", 1_000, 10));
    assert_eq!(spec.isolation, Isolation::Batch);
    assert_eq!(parse("p", &config(&[])).unwrap().isolation, Isolation::Instance);
}

#[test]
fn a_pipeline_is_local_only_when_it_says_so() {
    for (value, expected) in [("-", false), ("false", false), ("true", true)] {
        assert_eq!(parse("p", &config(&[("local", value)])).unwrap().local, expected, "{value}");
    }
    let faults = parse("p", &config(&[("local", "yes")])).unwrap_err();
    assert_eq!(faults, [Fault::new("local", "\"yes\" is neither true nor false")]);
}

#[test]
fn the_mark_of_the_deploy_step_is_known_and_changes_nothing() {
    let marked = schemas::mark::marked(&config(&[]), schemas::mark::OWNER);
    assert_eq!(parse("orders-transforms", &marked), parse("orders-transforms", &config(&[])));
    assert!(parse("orders-transforms", &config(&[("orderflow.other", "1")])).is_err());
}
