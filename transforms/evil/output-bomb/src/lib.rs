//! Answers with too much. Tries `Limits::output_bytes` and `Limits::output_records`: a value of one byte chooses.
#![cfg(target_arch = "wasm32")]

use evil_kit::emit;

evil_kit::guest!(process);

fn process(batch: &[u8]) -> Vec<u8> {
    evil_kit::judge(batch, |record, out| match record.value {
        // A text of one letter: very many records. Otherwise: 1 MiB in one.
        [2, _] => emit(record, &[&b"evil"[..]; 2_000], out),
        _ => out.replace(|bytes| bytes.resize(bytes.len() + (1 << 20), b'x')).expect("it fits into a frame"),
    })
}
