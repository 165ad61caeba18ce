//! Takes its record well and spoils the instance: whatever comes after it on the same instance traps. Tries that a
//! verdict is made on a fresh instance only.
#![cfg(target_arch = "wasm32")]

use std::sync::atomic::{AtomicBool, Ordering};

static SPOILED: AtomicBool = AtomicBool::new(false);

evil_kit::guest!(process);

fn process(batch: &[u8]) -> Vec<u8> {
    let mut out = evil_kit::frame::VerdictWriter::with_capacity(batch.len());
    for record in evil_kit::frame::Batch::parse(batch).expect("a frame").records() {
        let record = record.expect("a record");
        assert!(!SPOILED.load(Ordering::Relaxed), "spoiled");
        SPOILED.store(record.key == Some(b"evil"), Ordering::Relaxed);
        evil_kit::pass(&record, &mut out);
    }
    out.finish()
}
