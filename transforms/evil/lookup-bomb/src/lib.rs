//! Asks for more than the host should hold at once. Tries `Limits::lookup_bytes`: one key, as often as a call may name it.
#![cfg(target_arch = "wasm32")]

use evil_kit::bindings;

evil_kit::guest!(process);

fn process(batch: &[u8]) -> Vec<u8> {
    evil_kit::judge(batch, |_, out| {
        let answers = bindings::lookup("things", &vec![b"large".to_vec(); 1_000]).expect("a table of this name");
        out.reject(&format!("it got {} answers", answers.len())).expect("small");
    })
}
