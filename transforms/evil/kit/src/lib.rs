//! What the hostile guests share: a record with the key `evil` is attacked, every other one passes unchanged. Guests
//! speak the frame by hand, since the SDK would not let them misbehave.
#![cfg(target_arch = "wasm32")]

pub use transform_sdk::{bindings, frame};

use frame::{Batch, Record, RecordParts, VerdictWriter};

/// Judges a batch: `attack` gets the record with the key `evil`.
pub fn judge(batch: &[u8], mut attack: impl FnMut(&Record<'_>, &mut VerdictWriter)) -> Vec<u8> {
    let mut out = VerdictWriter::with_capacity(batch.len());
    for record in Batch::parse(batch).expect("a frame").records() {
        let record = record.expect("a record");
        match record.key {
            Some(b"evil") => attack(&record, &mut out),
            _ => pass(&record, &mut out),
        }
    }
    out.finish()
}

/// The record as it is.
pub fn pass(record: &Record<'_>, out: &mut VerdictWriter) {
    out.replace(|bytes| bytes.extend_from_slice(record.value)).expect("small");
}

/// Copies of the record, each under a key of its own.
pub fn emit<'a>(record: &Record<'a>, keys: &[&'a [u8]], out: &mut VerdictWriter) {
    let copies: Vec<_> = keys
        .iter()
        .map(|key| RecordParts {
            key: Some(*key),
            value: record.value,
            timestamp_ms: record.timestamp_ms,
            headers: std::iter::empty::<(&str, Option<&[u8]>)>(),
        })
        .collect();
    out.emit(&copies).expect("small");
}

/// Never comes back.
pub fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

/// What a guest says of itself.
pub fn description(name: &str) -> bindings::Description {
    bindings::Description {
        world: frame::WORLD.to_owned(),
        name: name.to_owned(),
        version: "0.1.0".to_owned(),
        payload: bindings::Payload::Avro,
        schema: None,
        parameters: Vec::new(),
    }
}

/// Makes a component of a function from a batch to verdicts.
#[macro_export]
macro_rules! guest {
    ($process:path) => {
        struct Component;

        impl $crate::bindings::Guest for Component {
            fn describe() -> $crate::bindings::Description {
                $crate::description(env!("CARGO_PKG_NAME"))
            }

            fn configure(_: $crate::bindings::Settings) -> Result<(), String> {
                std::panic::set_hook(Box::new(|panic| {
                    $crate::bindings::log($crate::bindings::Level::Error, &panic.to_string());
                }));
                Ok(())
            }

            fn process(batch: Vec<u8>) -> Vec<u8> {
                $process(&batch)
            }
        }

        transform_sdk::bindings::export!(Component);
    };
}
