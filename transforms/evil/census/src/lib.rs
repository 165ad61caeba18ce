//! Not hostile: counts the calls of its instance, so that tests see how a batch is cut (`Limits::call_records`,
//! `Limits::call_bytes`) and how long an instance lives. An attack is rejected with the count.
#![cfg(target_arch = "wasm32")]

use std::sync::atomic::{AtomicU64, Ordering};

use evil_kit::bindings;

static CALLS: AtomicU64 = AtomicU64::new(0);

evil_kit::guest!(process);

fn process(batch: &[u8]) -> Vec<u8> {
    let calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
    bindings::metric("calls", 1);
    evil_kit::judge(batch, |_, out| out.reject(&format!("call {calls} of this instance")).expect("small"))
}
