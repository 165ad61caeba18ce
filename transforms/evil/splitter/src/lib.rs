//! Not hostile: makes three records of the one with the key `evil`, for chains that may.
#![cfg(target_arch = "wasm32")]

evil_kit::guest!(process);

fn process(batch: &[u8]) -> Vec<u8> {
    evil_kit::judge(batch, |record, out| evil_kit::emit(record, &[b"one", b"two", b"evil"], out))
}
