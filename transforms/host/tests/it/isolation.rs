//! How calls are cut, how long an instance lives and what that costs, and what stands beside a hostile guest.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use transform_host::{Chain, Engine, FaultKind, Isolation, Limits, Module, Options, Record, Step, Verdict};

use crate::{
    chains::OneTable,
    guests::{TEXT_SCHEMA, batch, chain, engine, module, patient, single, step, text, wasm},
};

fn isolated(guest: &str, isolation: Isolation) -> Chain {
    let steps = vec![Step { isolation, ..step(&engine(), guest, &[]) }];
    Chain::with_options(&engine(), steps, TEXT_SCHEMA, single()).unwrap()
}

fn reasons(chain: &mut Chain, calls: usize) -> Vec<String> {
    let reason = |verdicts: Vec<Verdict>| match &verdicts[..] {
        [Verdict::Reject(rejection)] => rejection.reason.clone(),
        other => panic!("{other:?}"),
    };
    (0..calls).map(|_| reason(chain.apply(&batch(1, &[0], "")).unwrap())).collect()
}

#[test]
fn a_fresh_instance_for_each_call_remembers_nothing() {
    let first = "call 1 of this instance";
    assert_eq!(reasons(&mut isolated("census", Isolation::Batch), 3), [first; 3]);
    let kept = reasons(&mut isolated("census", Isolation::Instance), 3);
    assert_eq!(kept, [first, "call 2 of this instance", "call 3 of this instance"]);
}

/// The price, for who reads the output: `cargo test -p transform-host --test it price -- --nocapture`.
#[test]
fn the_price_of_a_fresh_instance_is_bounded() {
    let spent = |isolation| {
        let mut chain = isolated("census", isolation);
        let input = batch(240, &[], "");
        let started = Instant::now();
        for _ in 0..50 {
            assert_eq!(chain.apply(&input).unwrap().len(), 240);
        }
        started.elapsed() / 50
    };
    let (kept, fresh) = (spent(Isolation::Instance), spent(Isolation::Batch));
    let more = fresh.saturating_sub(kept);
    println!("a call of 240 records: {kept:?} on a kept instance, {fresh:?} on a fresh one: {:?} a record", more / 240);
    // On a busy machine too: what is bounded is that nothing is compiled again.
    assert!(more < Duration::from_secs(1), "{kept:?} against {fresh:?}");
}

#[test]
fn a_batch_is_cut_into_calls_by_records_and_by_bytes() {
    let calls = |limits| {
        let engine = Engine::new(limits).unwrap();
        let mut chain = chain(&engine, &["census"], single());
        assert_eq!(chain.apply(&batch(25, &[], "")).unwrap().len(), 25);
        chain.take_metrics()[0].by
    };
    assert_eq!(calls(Limits { call_records: 10, ..Limits::default() }), 3);
    // Five bytes a value.
    assert_eq!(calls(Limits { call_bytes: 20, ..Limits::default() }), 7);
    assert_eq!(calls(Limits { call_bytes: 1, ..Limits::default() }), 25, "a longer record goes alone");
    assert_eq!(calls(Limits::default()), 1);
}

#[test]
fn a_lookup_gets_no_more_than_the_host_should_hold() {
    let large = vec![b'x'; 64 << 10];
    let tables = |value| {
        let table = OneTable("things", BTreeMap::from([(b"large".to_vec(), value)]));
        Options { tables: Some(Arc::new(table)), ..single() }
    };
    let mut bombed = chain(&patient(), &["lookup-bomb"], tables(large));
    let verdicts = bombed.apply(&batch(5, &[2], "")).unwrap();
    let Verdict::Reject(rejection) = &verdicts[2] else { panic!("{verdicts:?}") };
    assert_eq!(rejection.kind, FaultKind::Memory);
    assert!(rejection.reason.contains("looked up more than 4194304 bytes at once"), "{rejection:?}");
    assert_eq!(verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Emit(_))).count(), 4);
    let mut fine = chain(&patient(), &["lookup-bomb"], tables(vec![b'x'; 100]));
    let verdicts = fine.apply(&batch(1, &[0], "")).unwrap();
    assert!(matches!(&verdicts[0], Verdict::Reject(found) if found.reason == "it got 1000 answers"), "{verdicts:?}");
}

#[test]
fn a_module_of_the_first_world_still_runs() {
    let old: Arc<Module> = module(&engine(), "first-world");
    let mut chain = Chain::new(&engine(), vec![Step::new("old", old, BTreeMap::new())], TEXT_SCHEMA).unwrap();
    let verdicts = chain.apply(&[text("a", "x"), text("b", "y")]).unwrap();
    for verdict in verdicts {
        assert!(matches!(&verdict, Verdict::Reject(found) if found.reason == "frame 1, Ok([None])"), "{verdict:?}");
    }
    assert_eq!(chain.take_logs()[0].text, "still here");
    // What comes after our world is refused by its name.
    let newer = replaced(wasm("census"), b"orderflow:transform@1.1.0", b"orderflow:transform@1.2.0");
    let error = engine().load(&newer).unwrap_err().to_string();
    assert!(error.contains("`orderflow:transform@1.2.0`, this host runs orderflow:transform@1.0.0 and"), "{error}");
}

/// Every place of one text, with another of the same length.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
    assert!(!places.is_empty() && from.len() == to.len());
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    bytes
}

#[test]
fn a_good_module_beside_hostile_ones_is_not_disturbed() {
    let hostile = ["memory-bomb", "spin", "log-bomb", "panic", "output-bomb"];
    // Processor time is what counts here: a machine that does much else gives little of it in much time.
    let engine = &Engine::new(Limits { wall_factor: 200, ..Limits::default() }).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    let done = &done;
    std::thread::scope(|scope| {
        for guest in hostile {
            scope.spawn(move || {
                let mut chain = chain(engine, &[guest], single());
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    chain.begin();
                    // What becomes of it is tested elsewhere; here it only has to be busy.
                    let _ = chain.apply(&batch(8, &[3], ""));
                }
            });
        }
        let mut good = chain(engine, &["census"], single());
        let input: Vec<Record> = batch(240, &[], "");
        let expected: Vec<_> = input.iter().map(|record| Verdict::Emit(vec![record.clone()])).collect();
        for round in 0..50 {
            good.begin();
            assert_eq!(good.apply(&input).unwrap(), expected, "round {round}");
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

/// Says to the test below that it runs in a process of its own.
const MEASURED: &str = "ORDERFLOW_TEST_MEASURED";

#[test]
fn hostile_guests_cost_the_host_no_more_than_their_memory_and_a_tenth() {
    if std::env::var_os(MEASURED).is_some() {
        return measure();
    }
    wasm("memory-bomb");
    let name = "isolation::hostile_guests_cost_the_host_no_more_than_their_memory_and_a_tenth";
    let mut own = std::process::Command::new(std::env::current_exe().unwrap());
    // The other tests of this process take memory as well.
    let output = own.args(["--exact", name, "--nocapture"]).env(MEASURED, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("lookup-bomb"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn measure() {
    let long = Duration::from_secs(2);
    let limits = Limits { call_base: long, call_max: long, ..Limits::default() };
    let limit = limits.memory_bytes as u64;
    let engine = Engine::new(limits).unwrap();
    for guest in ["memory-bomb", "output-bomb", "recursion", "log-bomb", "lookup-bomb"] {
        let wasm = std::fs::read(crate::guests::out("evil").join(format!("{guest}.wasm"))).unwrap();
        let step = Step::new(guest, engine.load(&wasm).unwrap(), BTreeMap::new());
        let table = OneTable("things", BTreeMap::from([(b"large".to_vec(), vec![b'x'; 64 << 10])]));
        let options = Options { tables: Some(Arc::new(table)), ..single() };
        let mut chain = Chain::with_options(&engine, vec![step], TEXT_SCHEMA, options).unwrap();
        chain.apply(&batch(8, &[], "")).unwrap();
        // The peak counts from here.
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        let before = peak();
        for _ in 0..3 {
            chain.begin();
            assert_eq!(chain.apply(&batch(8, &[3, 5], "")).unwrap().len(), 8, "{guest}");
        }
        let grown = peak().saturating_sub(before);
        println!("{guest}: {} KiB", grown >> 10);
        assert!(grown <= limit + limit / 10, "{guest}: {grown} bytes, the limit is {limit}");
    }
}

/// The most memory that this process had at once.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn every_limit_says_what_tries_it() {
    let page = include_str!("../../src/limits.rs");
    let (_, page) = page.split_once("pub struct Limits {").unwrap();
    let (fields, _) = page.split_once("\n}").unwrap();
    let mut doc = String::new();
    let mut count = 0;
    for line in fields.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            doc.push_str(text);
        } else if let Some(field) = line.strip_prefix("pub ") {
            let (_, tried) = doc.split_once("Tried by ").unwrap_or_else(|| panic!("{field}: nothing tries it"));
            for guest in tried.split('`').filter_map(|name| name.strip_prefix("evil/")) {
                let there = crate::guests::transforms().join("evil").join(guest).join("src/lib.rs").exists();
                assert!(there, "{field}: there is no evil/{guest}");
            }
            (doc, count) = (String::new(), count + 1);
        }
    }
    assert!(count > 20, "the page was read: {count} fields");
}
