//! The loop that production runs, against a broker in memory, in virtual time, with errors, delays, crashes, zombies and
//! rebalances at any call. All of a run follows from its seed, so a failing one is played again, with its trace:
//!
//! ```text
//! SEED=4711 cargo test -p transforms --test it simulation::every_record -- --nocapture
//! ```
//!
//! `SEEDS=100000` runs more of them. That the simulation sees what it should is tested by defects made on purpose.

#![expect(clippy::indexing_slicing, reason = "what is not there is a mistake of the simulation, and ends it")]

mod broker;
mod checker;
mod clients;
mod faults;
mod group;
mod membership;
mod rng;
mod run;
mod traffic;
mod work;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use self::faults::Defect;
use self::run::run;

/// Without optimization a run takes many times as long.
const SEEDS: u64 = if cfg!(debug_assertions) { 300 } else { 10_000 };

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Plays a seed again and says what happened.
fn shown(seed: u64) -> String {
    let ran = run(seed, None, true);
    let skipped = if number("SEED").is_some() { 0 } else { ran.trace.len().saturating_sub(150) };
    let trace = ran.trace.get(skipped..).unwrap_or_default().join("\n");
    format!(
        "{trace}\n\nseed {seed}: {}\nplay it again, with all of its trace: SEED={seed} cargo test -p transforms --test \
         it simulation::every_record -- --nocapture",
        ran.violations.join("\n")
    )
}

/// The first seed below `end` that violates something, tried on all cores.
fn first_violation(end: u64, defect: Option<Defect>) -> Option<u64> {
    let (next, found) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
    let search = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end || seed > found.load(Ordering::Relaxed) {
                return;
            }
            if !run(seed, defect, false).violations.is_empty() {
                found.fetch_min(seed, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(search);
        }
    });
    Some(found.into_inner()).filter(|seed| *seed < end)
}

#[test]
fn every_record_comes_out_once_whatever_goes_wrong() {
    if let Some(seed) = number("SEED") {
        println!("{}", shown(seed));
        assert!(run(seed, None, false).violations.is_empty(), "seed {seed} violates something");
        return;
    }
    if let Some(seed) = first_violation(number("SEEDS").unwrap_or(SEEDS), None) {
        panic!("{}", shown(seed));
    }
}

#[test]
fn every_defect_is_seen() {
    let unseen: Vec<Defect> =
        Defect::ALL.into_iter().filter(|defect| first_violation(3_000, Some(*defect)).is_none()).collect();
    assert_eq!(unseen, [], "no seed shows these");
}

#[test]
fn a_seed_is_played_again_call_by_call() {
    for seed in 0..20 {
        assert_eq!(run(seed, None, true).trace, run(seed, None, true).trace, "seed {seed}");
    }
}
