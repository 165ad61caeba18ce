//! Outputs beside each other.

use std::sync::Arc;

use transform_host::Rejection;

use super::*;

const SCHEMA: &str = r#"{"type":"record","name":"T","fields":[
    {"name":"customer","type":"string"},
    {"name":"region","type":["null","string"]},
    {"name":"items","type":{"type":"array","items":{"type":"record","name":"I","fields":[{"name":"count","type":"long"}]}}}
]}"#;

/// A datum of the schema.
fn emitted(customer: &str, region: Option<&str>, counts: &[u8]) -> Verdict {
    let text = |text: &str| [&[text.len() as u8 * 2], text.as_bytes()].concat();
    let mut value = text(customer);
    value.extend(region.map_or_else(|| vec![0], |region| [vec![2], text(region)].concat()));
    value.push(counts.len() as u8 * 2);
    value.extend(counts.iter().map(|count| count * 2));
    if !counts.is_empty() {
        value.push(0);
    }
    Verdict::Emit(vec![Record { key: Some(b"k".to_vec()), value, ..Record::default() }])
}

fn rejected(kind: FaultKind) -> Verdict {
    let text = String::new;
    Verdict::Reject(Rejection {
        alias: text(),
        module: text(),
        kind,
        reason: "Jane Doe".to_owned(),
        passed: transform_host::Passed::default(),
    })
}

fn compared(expect: &[&str], pairs: &[(Verdict, Verdict)]) -> Comparison {
    let expect: Vec<String> = expect.iter().map(|field| (*field).to_owned()).collect();
    let mut comparison = Comparison::new(SCHEMA, &expect).unwrap();
    let address = |at: usize| Address { topic: Arc::from("in"), partition: 1, offset: at as i64 };
    let (live, candidate): (Vec<_>, Vec<_>) = pairs.iter().cloned().unzip();
    let sample = Sample {
        addresses: (0..pairs.len()).map(address).collect(),
        records: Vec::new(),
        verdicts: live,
        took: Duration::from_micros(2),
        memory_bytes: 10,
        tables: BTreeMap::new(),
    };
    comparison.add(&sample, &candidate, Duration::from_micros(3), 20);
    comparison
}

#[test]
fn what_differs_is_named_by_field_and_shown_by_shape_only() {
    let found = compared(
        &[],
        &[
            (emitted("john_doe", None, &[]), emitted("john_doe", None, &[])),
            (emitted("Zoë 42", None, &[1, 2]), emitted("ZOË 42", Some("EMEA"), &[1, 3])),
            (emitted("a", None, &[1]), emitted("a", None, &[1, 1])),
        ],
    );
    assert_eq!((found.compared, found.differing, found.faults), (3, 2, 0));
    let expected = [("customer", 1), ("items", 1), ("items.count", 1), ("region", 1)];
    assert_eq!(found.fields, expected.map(|(field, count)| (field.to_owned(), count)).into());
    let example = &found.examples[0];
    assert_eq!((example.partition, example.offset), (1, 1));
    assert_eq!(
        example.fields,
        [
            difference("customer", "Xxx 99", "XXX 99"),
            difference("region", "null", "XXXX"),
            difference("items.count", "9", "9"),
        ]
    );
    assert_eq!(found.examples[1].fields, [difference("items", "list of 1", "list of 2")]);
    let told = serde_json::to_string(&found.examples).unwrap();
    assert!(!told.contains("42") && !told.contains("EMEA"), "{told}");
    assert_eq!(found.times(), (Duration::from_micros(2), Duration::from_micros(3)));
    assert_eq!(found.memory_bytes, (10, 20));
}

#[test]
fn another_outcome_is_a_difference_and_a_new_fault_is_counted() {
    let good = || emitted("a", None, &[]);
    let drop = || Verdict::Drop { module: String::new() };
    let found = compared(
        &[],
        &[
            (good(), rejected(FaultKind::Trap)),
            (good(), rejected(FaultKind::Rejected)),
            (rejected(FaultKind::Trap), good()),
            (rejected(FaultKind::Trap), rejected(FaultKind::Trap)),
            (drop(), drop()),
            (drop(), good()),
        ],
    );
    assert_eq!((found.differing, found.faults), (4, 1));
    let outcomes: Vec<_> = found.outcomes.keys().map(String::as_str).collect();
    assert_eq!(outcomes, ["dropped → emitted", "emitted → rejected", "emitted → trap", "trap → emitted"]);
    assert_eq!(found.fields["(outcome)"], 4);
}

#[test]
fn fields_that_may_differ_are_counted_but_do_not_count() {
    let pair = || (emitted("a", None, &[1]), emitted("a", Some("b"), &[2]));
    let found = compared(&["region", "items"], &[pair()]);
    assert_eq!((found.differing, found.examples.len()), (0, 0));
    assert_eq!((found.fields["region"], found.fields["items.count"]), (1, 1));
    assert_eq!(compared(&["region", "item"], &[pair()]).differing, 1, "a field is not below its prefix");
}

#[test]
fn examples_are_few() {
    let pairs: Vec<_> = (0..50).map(|_| (emitted("a", None, &[]), emitted("b", None, &[]))).collect();
    let found = compared(&[], &pairs);
    assert_eq!((found.differing, found.examples.len()), (50, 5));
}

#[test]
fn another_output_and_a_tombstone_are_differences_too() {
    let changed = |change: fn(&mut Record)| {
        let Verdict::Emit(mut records) = emitted("a", None, &[]) else { unreachable!() };
        records.iter_mut().for_each(change);
        Verdict::Emit(records)
    };
    let live = emitted("a", None, &[]);
    let elsewhere = changed(|record| record.output = Some(Arc::from("vip")));
    let tombstone = changed(|record| record.tombstone = true);
    let found = compared(&[], &[(live.clone(), elsewhere), (live.clone(), tombstone), (live.clone(), live)]);
    assert_eq!((found.compared, found.differing), (3, 2));
    assert_eq!(found.examples[0].fields, [difference("(output)", "the main one", "vip")]);
    assert!(found.examples.len() == 2 && found.examples[1].fields.len() == 1);
}
