//! Never comes back. Tries `Limits::call_base` and its neighbours, the hunt and the breaker.
#![cfg(target_arch = "wasm32")]

evil_kit::guest!(process);

fn process(batch: &[u8]) -> Vec<u8> {
    evil_kit::judge(batch, |_, _| {
        let mut turns = 0_u64;
        loop {
            turns = std::hint::black_box(turns.wrapping_add(1));
        }
    })
}
