//! Steps that get some records and not others.

use std::{collections::BTreeMap, sync::Arc};

use transform_host::{
    Chain, ChainError, Engine, FaultKind, Limits, NamedOutput, Options, Predicate, Record, Step, TopicPattern, Verdict,
    When,
};

use crate::guests::{TEXT_SCHEMA, batch, engine, step, text};

fn only(engine: &Arc<Engine>, guest: &str, predicate: Predicate, negate: bool) -> Step {
    Step { when: Some(When { predicate, negate }), ..step(engine, guest, &[]) }
}

fn made(steps: Vec<Step>) -> Chain {
    let vip = NamedOutput { topic: Arc::from("orders.vip"), single_output: true };
    let outputs = Some(BTreeMap::from([("vip".to_owned(), vip)]));
    Chain::with_options(&engine(), steps, TEXT_SCHEMA, Options { single_output: true, outputs, tables: None }).unwrap()
}

fn topic(pattern: &str) -> Predicate {
    Predicate::TopicNameMatches(TopicPattern::parse(pattern).unwrap())
}

fn from(topic: &str, record: Record) -> Record {
    Record { topic: Some(Arc::from(topic)), ..record }
}

#[test]
fn a_record_that_is_excluded_skips_the_module_and_keeps_its_place() {
    let mut chain = made(vec![only(&engine(), "panic", topic("evil.*"), false), step(&engine(), "spoiler", &[])]);
    let input: Vec<Record> =
        (0..40).map(|at| from(if at % 3 == 0 { "evil.in" } else { "in" }, text("evil", "x"))).collect();
    let verdicts = chain.apply(&input).unwrap();
    assert_eq!(verdicts.len(), input.len());
    for (at, (verdict, input)) in verdicts.iter().zip(&input).enumerate() {
        match verdict {
            Verdict::Reject(rejection) if at % 3 == 0 => assert!(rejection.module.starts_with("panic@"), "{at}"),
            Verdict::Emit(records) if at % 3 != 0 => {
                assert_eq!(records, &vec![input.clone()], "{at}");
                let header = chain.header_of(records[0].passed);
                assert!(header.starts_with("spoiler@") && !header.contains(','), "{at}: {header}");
            }
            other => panic!("{at}: {other:?}"),
        }
    }
}

#[test]
fn the_header_names_the_modules_that_the_record_went_through() {
    let header = Predicate::HasHeaderKey("trace".to_owned());
    let steps = vec![step(&engine(), "spoiler", &[]), only(&engine(), "panic", header, true)];
    let mut chain = made(steps);
    let bare = Record { headers: Vec::new(), ..text("good", "fine") };
    let verdicts = chain.apply(&[text("good", "fine"), bare]).unwrap();
    let headers: Vec<_> = verdicts
        .iter()
        .map(|verdict| match verdict {
            Verdict::Emit(records) => chain.header_of(records[0].passed).into_owned(),
            other => panic!("{other:?}"),
        })
        .collect();
    let both = chain.header().to_owned();
    assert_eq!(headers, [both.split(',').next().unwrap().to_owned(), both]);
}

#[test]
fn where_a_module_sent_it_is_the_topic_that_the_next_predicate_sees() {
    let mut chain = made(vec![step(&engine(), "router", &[]), only(&engine(), "probe", topic(r"orders\.vip"), true)]);
    let verdicts = chain.apply(&[from("in", text("evil", "b"))]).unwrap();
    // It was sent to both: the probe rejects what goes to the main output, and one is enough.
    assert!(matches!(&verdicts[..], [Verdict::Reject(rejection)] if rejection.module.starts_with("probe@")));
    let verdicts = chain.apply(&[from("in", text("evil", "v"))]).unwrap();
    assert!(matches!(&verdicts[..], [Verdict::Emit(records)] if records[0].output.as_deref() == Some("vip")));
}

#[test]
fn a_tombstone_passes_only_where_every_module_is_told_to_leave_it() {
    let tombstone = Record { tombstone: true, value: Vec::new(), ..text("gone", "") };
    let mut chain = made(vec![only(&engine(), "spoiler", Predicate::RecordIsTombstone, true)]);
    let verdicts = chain.apply(&[tombstone.clone(), text("good", "fine")]).unwrap();
    assert_eq!(verdicts, [Verdict::Emit(vec![tombstone.clone()]), Verdict::Emit(vec![text("good", "fine")])]);
    let Verdict::Emit(records) = &verdicts[0] else { panic!() };
    assert_eq!(chain.header_of(records[0].passed), "");
    let mut chain = made(vec![step(&engine(), "spoiler", &[])]);
    let verdicts = chain.apply(&[tombstone]).unwrap();
    let Verdict::Reject(rejection) = &verdicts[0] else { panic!("{verdicts:?}") };
    assert_eq!(rejection.kind, FaultKind::Rejected);
    assert!(rejection.reason.contains("RecordIsTombstone"), "{rejection:?}");
}

#[test]
fn a_hunt_that_is_cut_short_moves_on_over_what_is_excluded() {
    let engine = Engine::new(Limits { hunt: std::time::Duration::ZERO, ..Limits::default() }).unwrap();
    let steps = vec![only(&engine, "panic", topic("evil.*"), false)];
    let mut chain = Chain::with_options(&engine, steps, TEXT_SCHEMA, Options::default()).unwrap();
    let input: Vec<_> = batch(32, &[], "")
        .into_iter()
        .enumerate()
        .map(|(at, record)| match at % 2 {
            0 => from("in", record),
            _ => from("evil.in", if at % 10 == 1 { text("evil", "x") } else { record }),
        })
        .collect();
    let mut rest = &input[..];
    let mut verdicts = Vec::new();
    while !rest.is_empty() {
        chain.begin();
        let proven = chain.apply(rest).unwrap();
        assert!(!proven.is_empty() && proven.len() <= rest.len(), "it moves on");
        rest = &rest[proven.len()..];
        verdicts.extend(proven);
    }
    let rejected = verdicts.iter().enumerate().filter(|(_, verdict)| matches!(verdict, Verdict::Reject(_)));
    assert_eq!(rejected.map(|(at, _)| at).collect::<Vec<_>>(), [1, 11, 21, 31]);
}

#[test]
fn a_breaker_opens_for_the_records_that_the_module_got() {
    let mut chain = made(vec![only(&engine(), "spin", topic("evil.*"), false)]);
    let input: Vec<_> = (0..4).map(|at| from(if at == 0 { "in" } else { "evil.in" }, text("evil", "x"))).collect();
    assert_eq!(chain.apply(&input).unwrap(), [Verdict::Emit(vec![input[0].clone()])], "what stands before is kept");
    chain.begin();
    assert!(matches!(chain.apply(&input[1..]), Err(ChainError::Breaker { time_outs: 3, .. })));
}
