//! Answers with what is no frame of verdicts. The value's first letter chooses how.
#![cfg(target_arch = "wasm32")]

evil_kit::guest!(process);

fn process(batch: &[u8]) -> Vec<u8> {
    let mut kind = None;
    let mut frame = evil_kit::judge(batch, |record, out| {
        kind = record.value.get(1).copied();
        evil_kit::pass(record, out);
    });
    match kind {
        Some(b'v') => frame[0] = 9,                        // another version
        Some(b'c') => frame[1] = frame[1].wrapping_add(1), // one verdict too many, by count
        Some(b's') => frame.truncate(frame.len() - 1),     // one byte short
        Some(b't') => frame.push(0),                       // one byte too many
        Some(b'e') => frame.clear(),                       // nothing
        Some(b'g') => frame[5] = 77,                       // no such verdict
        Some(b'l') => frame[6..10].fill(0xfe),             // a length of 4 GB
        _ => {}
    }
    frame
}
