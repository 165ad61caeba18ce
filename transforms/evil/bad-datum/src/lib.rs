//! Answers with values that are no datum of the schema, and with keys and numbers of records that are not allowed.
//! The value's first letter chooses.
#![cfg(target_arch = "wasm32")]

use evil_kit::emit;

evil_kit::guest!(process);

fn process(batch: &[u8]) -> Vec<u8> {
    evil_kit::judge(batch, |record, out| match record.value.get(1) {
        // A string whose length is above what is there.
        Some(b'l') => {
            out.replace(|bytes| bytes.extend_from_slice(&[0xfe, 0xff, 0xff, 0xff, 0x0f, b'x'])).expect("small")
        }
        // A string that is not UTF-8.
        Some(b'u') => out.replace(|bytes| bytes.extend_from_slice(&[2, 0xff])).expect("small"),
        // Nothing at all.
        Some(b'n') => out.replace(|_| {}).expect("small"),
        // The right datum and something behind it.
        Some(b'b') => out.replace(|bytes| bytes.extend_from_slice(&[2, b'x', 0])).expect("small"),
        // Another key.
        Some(b'k') => emit(record, &[b"stolen"], out),
        // Two records.
        Some(b'2') => emit(record, &[b"evil", b"evil"], out),
        // None by another way, and a reason that is too long.
        Some(b'0') => emit(record, &[], out),
        _ => out.reject(&"r".repeat(100_000)).expect("small"),
    })
}
