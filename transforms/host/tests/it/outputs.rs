//! Records that a module sends to outputs of other names: which, how many, under which key, and what the next module sees.

use std::{collections::BTreeMap, sync::Arc};

use transform_host::{Chain, FaultKind, NamedOutput, Options, Record, Verdict};

use crate::guests::{batch, chain, engine, text};

/// `vip` takes one record an input, `many` takes any number.
fn outputs(single_output: bool) -> Options {
    let output = |single_output| NamedOutput { topic: Arc::from("orders.elsewhere"), single_output };
    let named = [("vip", output(true)), ("many", output(false))];
    let named = named.map(|(name, output)| (name.to_owned(), output));
    Options { single_output, outputs: Some(BTreeMap::from(named)), tables: None }
}

fn routed(chain: &mut Chain, value: &str) -> Verdict {
    let verdicts = chain.apply(&batch(3, &[1], value)).unwrap();
    for good in [0, 2] {
        assert_eq!(verdicts[good], Verdict::Emit(vec![text("good", "fine")]), "{value}");
    }
    verdicts[1].clone()
}

fn to(output: &str, record: Record) -> Record {
    Record { output: Some(Arc::from(output)), ..record }
}

#[test]
fn a_record_goes_to_the_output_that_the_module_names() {
    let mut chain = chain(&engine(), &["router"], outputs(true));
    let evil = |value: &str| text("evil", value);
    for (value, expected) in [
        ("v", vec![to("vip", evil("v"))]),
        ("b", vec![evil("b"), to("vip", evil("b"))]),
        ("m", vec![to("many", text("one", "m")), to("many", text("two", "m"))]),
    ] {
        assert_eq!(routed(&mut chain, value), Verdict::Emit(expected), "{value}");
    }
    assert!(matches!(routed(&mut chain, "x"), Verdict::Drop { module } if module.starts_with("router@")));
}

#[test]
fn an_output_that_is_not_there_or_takes_no_more_rejects_the_record() {
    let mut chain = chain(&engine(), &["router"], outputs(true));
    for (value, words) in [
        ("u", "the pipeline has no output `nowhere`; `outputs` names: many, vip"),
        ("d", "not a datum of the schema"),
        ("2", "2 records from one to the output `vip`, the limit is 1"),
        ("k", "another key than the input's"),
    ] {
        let Verdict::Reject(rejection) = routed(&mut chain, value) else { panic!("{value}") };
        assert_eq!(rejection.kind, FaultKind::Output, "{value}");
        assert!(rejection.reason.contains(words), "{value}: {rejection:?}");
    }
}

#[test]
fn the_next_module_sees_what_was_routed_and_the_rules_hold_for_all_of_them_together() {
    let mut two = chain(&engine(), &["router", "spoiler"], outputs(true));
    assert_eq!(routed(&mut two, "v"), Verdict::Emit(vec![to("vip", text("evil", "v"))]), "the route stays");
    // The first makes two of one, which `many` takes; the second sends both to `vip`, which does not.
    let mut two = chain(&engine(), &["router", "router"], outputs(false));
    let Verdict::Reject(rejection) = routed(&mut two, "c") else { panic!("two versions of one record") };
    assert_eq!(rejection.reason, "2 records from one to the output `vip`, the limit is 1");
    let through = two.header_of(rejection.passed).into_owned();
    assert_eq!(through.matches("router@").count(), 2, "the first one had a part in it: {through}");
}

#[test]
fn a_dry_run_takes_any_output() {
    let mut chain = chain(&engine(), &["router"], Options::default());
    assert_eq!(routed(&mut chain, "u"), Verdict::Emit(vec![to("nowhere", text("evil", "u"))]));
}
