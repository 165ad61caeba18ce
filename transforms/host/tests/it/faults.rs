//! Each limit and the guest that tries to break it: the attack costs its own record and nothing else.

use std::time::Duration;

use transform_host::{Chain, Engine, FaultKind, Limits, Options, Record, Rejection, Verdict};

use crate::guests::{batch, chain, engine, patient, single, text};

/// Runs a guest over good records with one attack among them, and returns the attack's rejection.
fn attacked(guest: &str, value: &str) -> Rejection {
    let engine = if guest == "spin" { engine() } else { patient() };
    survived(chain(&engine, &[guest], single()), guest, value)
}

/// The same with a chain of this guest.
pub(crate) fn survived(mut chain: Chain, guest: &str, value: &str) -> Rejection {
    let input = batch(50, &[20], value);
    let mut verdicts = chain.apply(&input).unwrap();
    assert_eq!(verdicts.len(), input.len(), "{guest}");
    let attack = verdicts.remove(20);
    for verdict in verdicts {
        assert_eq!(verdict, Verdict::Emit(vec![text("good", "fine")]), "{guest}");
    }
    // The chain is as good as new.
    let again = chain.apply(&batch(3, &[], "")).unwrap();
    assert_eq!(again, vec![Verdict::Emit(vec![text("good", "fine")]); 3], "{guest}");
    match attack {
        Verdict::Reject(rejection) => {
            assert!(rejection.module.starts_with(&format!("{guest}@0.1.0+sha256:")), "{rejection:?}");
            assert!(rejection.reason.len() <= Limits::default().reason_bytes, "{rejection:?}");
            rejection
        }
        other => panic!("{guest}: {other:?}"),
    }
}

#[test]
fn each_attack_costs_its_own_record() {
    for (guest, value, kind, words) in [
        ("spin", "", FaultKind::Deadline, "it ran out of time"),
        ("memory-bomb", "", FaultKind::Memory, "bytes of memory, the limit is 67108864"),
        ("recursion", "x", FaultKind::Trap, "memory"),
        ("recursion", "", FaultKind::Trap, "call stack exhausted"),
        ("output-bomb", "x", FaultKind::Output, "2000 records from one, the limit is 1"),
        ("output-bomb", "xx", FaultKind::Output, "fuel"),
        ("panic", "", FaultKind::Trap, "cannot take 1 bytes"),
        ("bad-frame", "v", FaultKind::Output, "frame version 9"),
        ("bad-frame", "c", FaultKind::Output, "2 verdicts for 1 records"),
        ("bad-frame", "s", FaultKind::Output, "frame ends early"),
        ("bad-frame", "t", FaultKind::Output, "1 bytes behind its end"),
        ("bad-frame", "e", FaultKind::Output, "frame ends early"),
        ("bad-frame", "g", FaultKind::Output, "unknown verdict 77"),
        ("bad-frame", "l", FaultKind::Output, "frame ends early"),
        ("bad-datum", "l", FaultKind::Output, "expected a string at byte 5, in /text"),
        ("bad-datum", "u", FaultKind::Output, "expected a string in UTF-8 at byte 0, in /text"),
        ("bad-datum", "n", FaultKind::Output, "expected a string at byte 0, in /text"),
        ("bad-datum", "b", FaultKind::Output, "expected the end of the datum at byte 2"),
        ("bad-datum", "k", FaultKind::Output, "another key than the input's"),
        ("bad-datum", "2", FaultKind::Output, "2 records from one, the limit is 1"),
        ("bad-datum", "r", FaultKind::Rejected, "rrrr"),
    ] {
        let rejection = attacked(guest, value);
        assert_eq!(rejection.kind, kind, "{guest} {value}: {rejection:?}");
        assert!(rejection.reason.contains(words), "{guest} {value}: {rejection:?}");
    }
}

#[test]
fn a_pointer_outside_of_the_guests_memory_is_not_followed() {
    let mut chain = chain(&engine(), &["bad-pointer"], single());
    for verdict in chain.apply(&batch(3, &[], "")).unwrap() {
        let Verdict::Reject(rejection) = verdict else { panic!("{verdict:?}") };
        assert_eq!(rejection.kind, FaultKind::Output);
        assert!(rejection.reason.contains("out of bounds"), "{rejection:?}");
    }
}

#[test]
fn a_memory_bomb_costs_the_host_no_more_than_the_limit() {
    let mut chain = chain(&patient(), &["memory-bomb"], single());
    chain.apply(&batch(1, &[], "")).unwrap();
    let before = resident();
    let input = batch(64, &(0..64).step_by(8).collect::<Vec<_>>(), "");
    let verdicts = chain.apply(&input).unwrap();
    let memory =
        verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Reject(found) if found.kind == FaultKind::Memory));
    assert_eq!(memory.count(), 8);
    let grown = resident().saturating_sub(before);
    // The bombs touch what they take: eight of them would be 512 MiB if they were kept. Other tests run beside this one.
    assert!(grown < 400 << 20, "{grown} bytes");
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn emitting_nothing_is_a_drop() {
    let mut chain = chain(&engine(), &["bad-datum"], single());
    let verdicts = chain.apply(&[text("evil", "0")]).unwrap();
    assert!(matches!(&verdicts[..], [Verdict::Drop { module }] if module.starts_with("bad-datum@")), "{verdicts:?}");
}

#[test]
fn other_keys_and_several_records_are_fine_where_a_pipeline_allows_them() {
    let mut chain = chain(&engine(), &["bad-datum"], Options::default());
    let record = |key: &str, value: &str| Record { headers: Vec::new(), ..text(key, value) };
    for (value, keys) in [("k", &["stolen"][..]), ("2", &["evil", "evil"])] {
        let expected = keys.iter().map(|key| record(key, value)).collect();
        assert_eq!(chain.apply(&[text("evil", value)]).unwrap(), [Verdict::Emit(expected)]);
    }
    let mut chain = crate::guests::chain(&engine(), &["output-bomb"], Options::default());
    let verdicts = chain.apply(&[text("evil", "x")]).unwrap();
    let words = "2000 records from one, the limit is 1000";
    assert!(matches!(&verdicts[..], [Verdict::Reject(found)] if found.reason == words), "{verdicts:?}");
}

#[test]
fn what_a_guest_says_is_bounded() {
    let limits = Limits::default();
    let mut chain = chain(&patient(), &["log-bomb"], single());
    let verdicts = chain.apply(&batch(2, &[0], "")).unwrap();
    assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Emit(_))), "{verdicts:?}");
    let lines = chain.take_logs();
    assert_eq!(lines.len(), limits.log_lines + 1);
    assert!(lines.iter().all(|line| line.text.len() <= limits.log_line_bytes && line.module.starts_with("log-bomb@")));
    assert_eq!(lines.last().unwrap().text, "400 more lines in one call were not kept");
    let metrics = chain.take_metrics();
    assert_eq!(metrics.len(), limits.metric_names);
    let first = metrics.iter().find(|metric| metric.name == "counter_0").unwrap();
    assert_eq!(first.by, u64::MAX);
    assert_eq!((chain.take_logs(), chain.take_metrics()), (Vec::new(), Vec::new()));
}

#[test]
fn names_that_are_new_in_each_call_do_not_fill_the_host() {
    let limits = Limits::default();
    let mut chain = chain(&engine(), &["log-bomb"], single());
    let mut names = std::collections::BTreeSet::new();
    for _ in 0..100 {
        chain.apply(&batch(1, &[0], "n")).unwrap();
        names.extend(chain.take_metrics().into_iter().map(|metric| metric.name));
    }
    assert_eq!(names.len(), limits.metric_names, "{names:?}");
}

#[test]
fn what_a_discarded_run_said_is_discarded() {
    let mut chain = chain(&engine(), &["panic"], single());
    chain.apply(&batch(4, &[2], "")).unwrap();
    assert_eq!(chain.take_logs(), Vec::new());
}

#[test]
fn what_a_module_does_is_counted_where_it_is_called() {
    let mut chain = chain(&patient(), &["panic"], single());
    chain.apply(&batch(50, &[20], "")).unwrap();
    let usage = chain.take_usage();
    let [usage] = usage.as_slice() else { panic!("{usage:?}") };
    assert!(usage.module.starts_with("panic@0.1.0+sha256:"), "{usage:?}");
    assert_eq!((usage.records, usage.dropped, &usage.rejected[..]), (50, 0, &[(FaultKind::Trap, 1)][..]));
    assert!(usage.calls.len() > 2 && usage.memory_bytes > 64 << 10, "the hunt's calls count, too: {usage:?}");
    let [again] = &chain.take_usage()[..] else { panic!("there is one module") };
    assert_eq!((again.records, again.calls.len(), again.rejected.len()), (0, 0, 0), "taken is taken");
}

#[test]
fn fuel_ends_a_call_and_is_the_same_for_the_same_record() {
    let hour = Duration::from_secs(3600);
    let limits = Limits { call_base: hour, call_max: hour, start: hour, ..Limits::default() };
    let engine = Engine::metered(limits, 1_000_000).unwrap();
    let used = |name: &str, batch: &[Record]| {
        let mut chain = chain(&engine, &[name], single());
        engine.take_used();
        let verdicts = chain.apply(batch).unwrap();
        (engine.take_used(), verdicts)
    };
    let (fuel, verdicts) = used("panic", &batch(1, &[], ""));
    assert!((1_000..1_000_000).contains(&fuel) && matches!(verdicts[..], [Verdict::Emit(_)]), "{fuel} {verdicts:?}");
    assert_eq!(used("panic", &batch(1, &[], "")).0, fuel);
    let (spent, verdicts) = used("spin", &batch(1, &[0], ""));
    let [Verdict::Reject(rejection)] = &verdicts[..] else { panic!("{verdicts:?}") };
    assert_eq!((rejection.kind, rejection.reason.as_str()), (FaultKind::Deadline, "it ran out of fuel"));
    assert!(spent >= 1_000_000, "{spent}");
    engine.set_fuel(fuel / 2);
    let (_, verdicts) = used("panic", &batch(1, &[], ""));
    assert!(
        matches!(&verdicts[..], [Verdict::Reject(rejection)] if rejection.kind == FaultKind::Deadline),
        "{verdicts:?}"
    );
    assert_eq!(super::guests::engine().take_used(), 0, "an engine that does not count");
}
