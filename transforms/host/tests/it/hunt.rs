//! The hunt for poison: every culprit is found, nobody else is blamed, and it ends.

use std::time::{Duration, Instant};

use transform_host::{ChainError, Engine, FaultKind, Limits, Verdict};

use crate::guests::{batch, chain, engine, single, text};

#[test]
fn every_place_of_the_poison_is_found() {
    let mut chain = chain(&engine(), &["panic"], single());
    for evil in [vec![0], vec![499], vec![239, 240, 241], (0..500).step_by(37).collect(), (0..16).collect()] {
        let input = batch(500, &evil, "");
        chain.begin();
        let verdicts = chain.apply(&input).unwrap();
        assert_eq!(verdicts.len(), 500);
        for (index, verdict) in verdicts.iter().enumerate() {
            let blamed = matches!(verdict, Verdict::Reject(rejection) if rejection.kind == FaultKind::Trap);
            assert_eq!(blamed, evil.contains(&index), "{index}: {verdict:?}");
        }
    }
}

#[test]
fn a_record_is_not_blamed_for_what_another_did_to_the_instance() {
    let mut chain = chain(&engine(), &["spoiler"], single());
    for input in [batch(8, &[2], ""), batch(1, &[0], ""), batch(1, &[], ""), batch(300, &[100, 101, 299], "")] {
        chain.begin();
        let verdicts = chain.apply(&input).unwrap();
        assert_eq!(verdicts.len(), input.len());
        for (verdict, record) in verdicts.iter().zip(&input) {
            assert_eq!(verdict, &Verdict::Emit(vec![record.clone()]));
        }
    }
}

#[test]
fn a_spinning_record_is_found_in_time() {
    let mut chain = chain(&engine(), &["spin"], single());
    let started = Instant::now();
    let verdicts = chain.apply(&batch(240, &[77], "")).unwrap();
    let spent = started.elapsed();
    assert_eq!(verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Reject(_))).count(), 1);
    // 250 + 130 + 70 + … ms of processor time; the wall-clock bound is four times that.
    assert!(spent < Duration::from_secs(6), "{spent:?}");
}

#[test]
fn three_time_outs_in_a_transaction_trip_the_breaker() {
    let mut chain = chain(&engine(), &["spin"], single());
    let two = batch(2, &[0, 1], "");
    assert_eq!(chain.apply(&two).unwrap().len(), 2);
    match chain.apply(&two) {
        Err(ChainError::Breaker { module, time_outs: 3 }) => assert!(module.starts_with("spin@")),
        other => panic!("{other:?}"),
    }
    chain.begin();
    assert_eq!(chain.apply(&two).unwrap().len(), 2);
}

#[test]
fn what_stands_before_the_records_that_ran_out_of_time_is_kept() {
    for modules in [&["spin"][..], &["log-bomb", "spin"]] {
        let mut chain = chain(&engine(), modules, single());
        let input = batch(12, &[4, 7, 9], "n");
        let expected: Vec<_> = input[..4].iter().map(|record| Verdict::Emit(vec![record.clone()])).collect();
        assert_eq!(chain.apply(&input).unwrap(), expected, "{modules:?}");
        chain.begin();
        assert!(matches!(chain.apply(&input[4..]), Err(ChainError::Breaker { time_outs: 3, .. })), "{modules:?}");
    }
}

#[test]
fn a_batch_that_becomes_too_much_is_cut_but_never_to_nothing() {
    let limits = Limits { batch_output_bytes: 1, call_records: 10, ..Limits::default() };
    let mut chain = chain(&Engine::new(limits).unwrap(), &["panic", "spin"], single());
    assert_eq!(chain.apply(&batch(50, &[], "")).unwrap().len(), 10);
}

#[test]
fn when_the_hunt_is_over_its_time_the_proven_prefix_comes_back() {
    let engine = Engine::new(Limits { hunt: Duration::ZERO, ..Limits::default() }).unwrap();
    let mut chain = chain(&engine, &["panic", "panic"], single());
    let input = batch(32, &[0, 9, 31], "");
    let mut rest = &input[..];
    let mut verdicts = Vec::new();
    let mut rounds = 0;
    while !rest.is_empty() {
        chain.begin();
        let proven = chain.apply(rest).unwrap();
        assert!(!proven.is_empty() && proven.len() <= rest.len(), "it moves on");
        rest = &rest[proven.len()..];
        verdicts.extend(proven);
        rounds += 1;
    }
    assert!(rounds > 1, "the hunt was cut short");
    let blamed: Vec<_> = verdicts
        .iter()
        .enumerate()
        .filter(|(_, verdict)| matches!(verdict, Verdict::Reject(_)))
        .map(|(index, _)| index)
        .collect();
    assert_eq!(blamed, [0, 9, 31]);
    assert_eq!(verdicts.len(), input.len());
}

#[test]
fn a_poison_of_the_second_module_costs_its_input() {
    let mut chain = chain(&engine(), &["probe", "panic"], single());
    // The probe rejects what has the key `evil`; the second module never sees it.
    let verdicts = chain.apply(&batch(5, &[1], "x")).unwrap();
    assert!(matches!(&verdicts[1], Verdict::Reject(found) if found.module.starts_with("probe@")));
    let mut chain = crate::guests::chain(&engine(), &["spoiler", "panic"], single());
    let verdicts = chain.apply(&batch(5, &[1], "x")).unwrap();
    assert!(matches!(&verdicts[1], Verdict::Reject(found) if found.module.starts_with("panic@")));
    assert_eq!(verdicts[2], Verdict::Emit(vec![text("good", "fine")]));
}
