//! Says too much. Tries the limits on lines, names of metrics, and keys of a lookup. The value `n` makes it use a few
//! names that it never used before.
#![cfg(target_arch = "wasm32")]

use std::sync::atomic::{AtomicU64, Ordering};

use evil_kit::{bindings, pass};

static USED: AtomicU64 = AtomicU64::new(0);

evil_kit::guest!(process);

fn process(batch: &[u8]) -> Vec<u8> {
    evil_kit::judge(batch, |record, out| {
        if record.value == b"\x02n" {
            for _ in 0..5 {
                bindings::metric(&format!("fresh_{}", USED.fetch_add(1, Ordering::Relaxed)), 1);
            }
            return pass(record, out);
        }
        let line = "\u{fc}".repeat(2_000);
        for _ in 0..500 {
            bindings::log(bindings::Level::Info, &line);
        }
        for number in 0..100 {
            bindings::metric(&format!("counter_{number}"), 1);
        }
        bindings::metric("Not A Name", 1);
        bindings::metric("counter_0", u64::MAX);
        let keys = vec![Vec::new(); 1_001];
        assert!(matches!(bindings::lookup("table", &keys), Err(bindings::LookupError::TooManyKeys(_))));
        pass(record, out);
    })
}
