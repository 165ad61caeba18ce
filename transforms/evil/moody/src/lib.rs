//! Does what its parameter says. Tries what only shows when a module runs: the dry run and the purity check of an upload.
#![cfg(target_arch = "wasm32")]

use std::cell::{Cell, RefCell};

use evil_kit::{bindings, frame, pass};

use frame::{Batch, VerdictWriter};

thread_local! {
    static MOOD: RefCell<String> = const { RefCell::new(String::new()) };
    /// What an honest module does not keep.
    static SEEN: Cell<u64> = const { Cell::new(0) };
    /// The number at the end of the last key.
    static LAST: Cell<u64> = const { Cell::new(0) };
    /// Whether the first record of this instance was the first sample.
    static FIRST: Cell<bool> = const { Cell::new(false) };
}

/// Samples are called `golden-<corner>-<number>`, the numbers in order.
fn number(key: Option<&[u8]>) -> u64 {
    let number = key.and_then(|key| std::str::from_utf8(key).ok()).and_then(|key| key.rsplit('-').next());
    number.and_then(|number| number.parse().ok()).unwrap_or_default()
}

struct Component;

impl bindings::Guest for Component {
    fn describe() -> bindings::Description {
        let mood = bindings::Parameter {
            name: "mood".to_owned(),
            kind: bindings::ParameterKind::Text,
            required: false,
            default: Some("good".to_owned()),
            description: "good, counting, panicking, short, of-seven, backwards, first-born, numbering".to_owned(),
        };
        bindings::Description { parameters: vec![mood], ..evil_kit::description("moody") }
    }

    fn configure(settings: bindings::Settings) -> Result<(), String> {
        let mood = settings.parameters.into_iter().find(|(name, _)| name == "mood").map(|(_, value)| value);
        MOOD.set(mood.unwrap_or_else(|| "good".to_owned()));
        Ok(())
    }

    fn process(batch: Vec<u8>) -> Vec<u8> {
        let mood = MOOD.with_borrow(Clone::clone);
        let mut out = VerdictWriter::with_capacity(batch.len());
        let records: Vec<_> =
            Batch::parse(&batch).expect("a frame").records().map(|one| one.expect("a record")).collect();
        for record in &records {
            SEEN.set(SEEN.get() + 1);
            let last = LAST.replace(number(record.key));
            if SEEN.get() == 1 {
                FIRST.set(record.key == Some(&b"golden-plain-0"[..]));
            }
            match mood.as_str() {
                "of-seven" if records.len() == 7 => out.drop_record().expect("small"),
                "backwards" if last == number(record.key) + 1 => out.drop_record().expect("small"),
                "first-born" if !FIRST.get() => out.drop_record().expect("small"),
                "numbering" => out.reject(&format!("this is record {}", SEEN.get())).expect("small"),
                "counting" if SEEN.get() % 5 == 0 => out.drop_record().expect("small"),
                "panicking" if record.value.len() > 4_000 => panic!("cannot take {} bytes", record.value.len()),
                "short" if record.value.len() > 1 => {
                    out.replace(|bytes| bytes.extend_from_slice(&record.value[..record.value.len() - 1])).expect("small");
                }
                _ => pass(record, &mut out),
            }
        }
        out.finish()
    }
}

transform_sdk::bindings::export!(Component);
