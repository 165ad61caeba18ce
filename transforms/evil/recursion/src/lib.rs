//! Calls itself without end, in both ways that there are. Tries `Limits::stack_bytes`.
#![cfg(target_arch = "wasm32")]

evil_kit::guest!(process);

fn process(batch: &[u8]) -> Vec<u8> {
    evil_kit::judge(batch, |record, out| {
        match record.value.len() % 2 {
            // With memory: Rust's own stack inside of the guest's memory ends first.
            0 => std::hint::black_box(with_memory(1, [0; 64])),
            // Without: the machine's stack ends.
            _ => std::hint::black_box(ackermann(std::hint::black_box(4), std::hint::black_box(100_000))),
        };
        evil_kit::pass(record, out);
    })
}

#[expect(unconditional_recursion, reason = "that is the attack")]
fn with_memory(depth: u64, mut page: [u64; 64]) -> u64 {
    page[(depth % 64) as usize] = depth;
    let page = std::hint::black_box(page);
    with_memory(depth + 1, page) + page[0]
}

fn ackermann(m: u64, n: u64) -> u64 {
    match (m, n) {
        (0, n) => n + 1,
        (m, 0) => ackermann(m - 1, 1),
        (m, n) => ackermann(m - 1, ackermann(m, n - 1)),
    }
}
