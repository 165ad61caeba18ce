//! Panics on one record. Tries that a trap costs that record and no other.
#![cfg(target_arch = "wasm32")]

evil_kit::guest!(process);

fn process(batch: &[u8]) -> Vec<u8> {
    evil_kit::judge(batch, |record, _| panic!("cannot take {} bytes", record.value.len()))
}
