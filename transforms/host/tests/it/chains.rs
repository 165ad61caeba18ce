//! Chains: their parameters, their tables, and what a verdict on several records is.

use std::{collections::BTreeMap, sync::Arc};

use transform_host::{Chain, ConfigureError, Engine, Limits, Options, Record, Step, Tables, Verdict};

use crate::guests::{ORDER_SCHEMA, TEXT_SCHEMA, batch, chain, engine, step, text};

fn configured(steps: Vec<Step>, schema: &str) -> Result<Chain, ConfigureError> {
    Chain::new(&engine(), steps, schema)
}

fn refusal(steps: Vec<Step>, schema: &str) -> String {
    configured(steps, schema).err().expect("refused").to_string()
}

#[test]
fn parameters_are_checked_against_what_the_module_describes() {
    let engine = engine();
    for (parameters, words) in [
        (&[("items.sun", "reject")][..], "transforms.clean.items.sun: "),
        (&[("items.sun", "reject")], "has no such parameter; it has: items.sum"),
        (&[("items.sum", "maybe")], "refuses its settings: items.sum: `maybe` is neither `ignore` nor `reject`"),
    ] {
        let error = refusal(vec![step(&engine, "clean", parameters)], ORDER_SCHEMA);
        assert!(error.contains(words), "{error}");
    }
    let error = refusal(vec![step(&engine, "spin", &[("any", "1")])], TEXT_SCHEMA);
    assert!(error.contains("it has: none"), "{error}");
    assert!(configured(vec![step(&engine, "clean", &[("items.sum", "reject")])], ORDER_SCHEMA).is_ok());
}

#[test]
fn a_chain_needs_modules_a_schema_and_one_engine() {
    let engine = engine();
    assert_eq!(configured(Vec::new(), TEXT_SCHEMA).err(), Some(ConfigureError::Empty));
    assert!(refusal(vec![step(&engine, "spin", &[])], "{").starts_with("the output schema cannot be read"));
    let other = Engine::new(Limits::default()).unwrap();
    let error = configured(vec![step(&other, "spin", &[])], TEXT_SCHEMA).err();
    assert_eq!(error, Some(ConfigureError::OtherEngine { alias: "spin".to_owned() }));
}

#[test]
fn a_module_built_for_another_schema_is_refused() {
    let error = refusal(vec![step(&engine(), "clean", &[])], TEXT_SCHEMA);
    assert!(
        error.contains("was built for another schema than the output's: it lacks text and has order_id"),
        "{error}"
    );
    let wider = ORDER_SCHEMA.replace(
        r#"{ "name": "received_partition""#,
        r#"{ "name": "gift", "type": "boolean", "default": false }, { "name": "received_partition""#,
    );
    let error = refusal(vec![step(&engine(), "clean", &[])], &wider);
    assert!(error.contains("it lacks gift"), "{error}");
    // What changes no byte does not matter.
    let reworded = ORDER_SCHEMA.replace("As posted", "Just as posted").replace("\"orderflow\"", "\"elsewhere\"");
    assert!(configured(vec![step(&engine(), "clean", &[])], &reworded).is_ok());
}

#[test]
fn the_header_names_the_modules_in_order() {
    let chain = configured(vec![step(&engine(), "enrich", &[]), step(&engine(), "clean", &[])], ORDER_SCHEMA).unwrap();
    let labels: Vec<_> = chain.header().split(',').collect();
    assert!(
        labels[0].starts_with("enrich@1.0.1+sha256:") && labels[1].starts_with("clean@1.0.1+sha256:"),
        "{labels:?}"
    );
}

#[test]
fn records_keep_their_key_headers_and_timestamp() {
    let mut chain = chain(&engine(), &["spin", "panic"], Options::default());
    let keyless = Record { key: None, headers: Vec::new(), timestamp_ms: -1, ..text("", "x") };
    let input = vec![text("a", "one"), keyless, text("", "")];
    let expected: Vec<_> = input.iter().map(|record| Verdict::Emit(vec![record.clone()])).collect();
    assert_eq!(chain.apply(&input).unwrap(), expected);
    assert_eq!(chain.apply(&[]).unwrap(), Vec::new());
}

#[test]
fn what_one_module_splits_the_next_one_sees() {
    let mut split = chain(&engine(), &["splitter", "spoiler"], Options::default());
    let verdicts = split.apply(&batch(3, &[1], "x")).unwrap();
    let part = |key: &str| Record { headers: Vec::new(), ..text(key, "x") };
    assert_eq!(verdicts[1], Verdict::Emit(vec![part("one"), part("two"), part("evil")]));
    assert_eq!(verdicts[2], Verdict::Emit(vec![text("good", "fine")]));
    // The second module rejects one of the three: the input is rejected, once.
    let mut split = chain(&engine(), &["splitter", "panic"], Options::default());
    let verdicts = split.apply(&batch(3, &[1], "x")).unwrap();
    assert!(matches!(&verdicts[1], Verdict::Reject(found) if found.module.starts_with("panic@")), "{verdicts:?}");
    assert_eq!(verdicts[2], Verdict::Emit(vec![text("good", "fine")]));
}

#[test]
fn a_chain_of_splitters_keeps_to_one_limit() {
    let limited = |output_records| {
        let engine = Engine::new(Limits { output_records, ..Limits::default() }).unwrap();
        chain(&engine, &["splitter", "splitter"], Options::default()).apply(&batch(2, &[0], "x")).unwrap()
    };
    assert!(matches!(&limited(5)[..], [Verdict::Emit(five), Verdict::Emit(one)] if five.len() == 5 && one.len() == 1));
    let words = "5 records from one input of the chain, the limit is 4";
    assert!(matches!(&limited(4)[..], [Verdict::Reject(found), Verdict::Emit(_)] if found.reason == words));
}

#[test]
fn a_rejection_names_the_step_and_not_only_the_module() {
    let engine = engine();
    let twice = |alias: &str| Step { alias: alias.to_owned(), ..step(&engine, "probe", &[]) };
    let mut chain = Chain::new(&engine, vec![twice("first"), twice("second")], TEXT_SCHEMA).unwrap();
    let verdicts = chain.apply(&[text("evil", "k")]).unwrap();
    assert!(matches!(&verdicts[..], [Verdict::Reject(found)] if found.alias == "first"), "{verdicts:?}");
}

pub(crate) struct OneTable(pub(crate) &'static str, pub(crate) BTreeMap<Vec<u8>, Vec<u8>>);

impl Tables for OneTable {
    fn contains(&self, table: &str) -> bool {
        table == self.0
    }

    fn get(&self, _: &str, key: &[u8]) -> Option<Vec<u8>> {
        self.1.get(key).cloned()
    }
}

#[test]
fn a_module_reads_tables_where_there_are_some() {
    let found = |options: Options| {
        let mut chain = chain(&engine(), &["probe"], options);
        let verdicts = chain.apply(&[text("evil", "k")]).unwrap();
        let lines = chain.take_logs();
        assert_eq!(lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["looking"]);
        assert_eq!(
            chain.take_metrics().iter().map(|metric| (metric.name.as_str(), metric.by)).collect::<Vec<_>>(),
            [("lookups", 1)]
        );
        match &verdicts[..] {
            [Verdict::Reject(rejection)] => rejection.reason.clone(),
            other => panic!("{other:?}"),
        }
    };
    let tables = |table, entries| Options { tables: Some(Arc::new(OneTable(table, entries))), ..Options::default() };
    assert_eq!(found(tables("others", BTreeMap::new())), "LookupError::NoSuchTable");
    let entries = BTreeMap::from([(b"\x02k".to_vec(), b"value".to_vec())]);
    assert_eq!(found(tables("things", entries)), r#"[Some("value"), None]"#);
    assert_eq!(found(Options::default()), "[None, None]", "a dry run has every table, and nothing in it");
}
