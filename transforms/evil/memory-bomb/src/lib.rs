//! Takes memory until it gets none. Tries `Limits::memory_bytes`.
#![cfg(target_arch = "wasm32")]

evil_kit::guest!(process);

fn process(batch: &[u8]) -> Vec<u8> {
    evil_kit::judge(batch, |_, _| {
        let mut kept = Vec::new();
        loop {
            // Taken, not touched: the limit is to be met before the deadline.
            kept.push(std::hint::black_box(Vec::<u8>::with_capacity(1 << 20)));
        }
    })
}
