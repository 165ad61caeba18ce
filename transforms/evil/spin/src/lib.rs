//! Never comes back. Tries `Limits::call_base` and its neighbours, the hunt and the breaker.
#![cfg(target_arch = "wasm32")]

evil_kit::guest!(process);

fn process(batch: &[u8]) -> Vec<u8> {
    evil_kit::judge(batch, |_, _| evil_kit::spin())
}
