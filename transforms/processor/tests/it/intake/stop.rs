//! A trial that nobody waits for any more ends at its next batch.

use std::cell::Cell;
use std::collections::BTreeMap;

use schemas::contracts::ORDER_PLACED_AVSC;
use transform_host::{Engine, Limits, Step};
use transforms::intake::trial::{Around, Trial};

use super::wasm;

/// Says stop when it was asked more often than this.
fn after(batches: u32, asked: &Cell<u32>) -> impl Fn() -> bool {
    move || {
        asked.set(asked.get() + 1);
        asked.get() > batches
    }
}

#[test]
fn a_trial_that_is_to_stop_tries_no_further_batch() {
    let engine = Engine::new(Limits::default()).unwrap();
    let module = engine.load(&wasm("panic")).unwrap();
    let steps = vec![Step::new("m", module, BTreeMap::new())];
    let schema = ORDER_PLACED_AVSC;
    let trial = Trial { engine: &engine, steps, schema, single_output: false, stateful: false };
    let asked = Cell::new(0_u32);
    let never = after(u32::MAX, &asked);
    let tried = trial.run_in(&Around { stop: Some(&never), ..Around::default() }).unwrap();
    assert!(tried.records > 0 && asked.get() > 3, "{} batches", asked.get());
    asked.set(0);
    let soon = after(3, &asked);
    let ended = trial.run_in(&Around { stop: Some(&soon), ..Around::default() }).unwrap_err();
    assert_eq!((ended.text.as_str(), ended.impure), ("the sample was not tried to its end", false));
    assert_eq!(asked.get(), 4, "the fourth batch is not tried, and no other");
}
