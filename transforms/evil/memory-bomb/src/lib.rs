//! Takes memory until it gets none. Tries `Limits::memory_bytes`.
#![cfg(target_arch = "wasm32")]

evil_kit::guest!(process);

fn process(batch: &[u8]) -> Vec<u8> {
    evil_kit::judge(batch, |_, _| {
        let mut kept = Vec::new();
        loop {
            // A byte of each page is touched, since the machine counts only what is.
            let mut taken = Vec::<u8>::with_capacity(1 << 20);
            taken.spare_capacity_mut().iter_mut().step_by(4096).for_each(|byte| {
                byte.write(1);
            });
            kept.push(std::hint::black_box(taken));
        }
    })
}
