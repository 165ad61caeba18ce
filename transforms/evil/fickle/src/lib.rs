//! Good, and for keys that begin with `bad` as its parameter `mood` says: so it passes every check of an upload and of a
//! config, and shows only when it runs. Tries the guard that a new version is under, the breaker and the shadow. A test
//! makes other versions of it by changing [`VERSION`] in the component.
#![cfg(target_arch = "wasm32")]

use std::{hint::black_box, sync::OnceLock};

use evil_kit::{bindings, frame};
use frame::{Batch, VerdictWriter};

/// Long enough that the compiler keeps it as a text.
static VERSION: &str = "1000.1000.1000";

static MOOD: OnceLock<String> = OnceLock::new();

struct Component;

impl bindings::Guest for Component {
    fn describe() -> bindings::Description {
        let mood = bindings::Parameter {
            name: "mood".to_owned(),
            kind: bindings::ParameterKind::Text,
            required: false,
            default: Some("good".to_owned()),
            description: "good, trap, reject, slow, shout or shut".to_owned(),
        };
        bindings::Description {
            version: black_box(VERSION).to_owned(),
            parameters: vec![mood],
            ..evil_kit::description(env!("CARGO_PKG_NAME"))
        }
    }

    fn configure(settings: bindings::Settings) -> Result<(), String> {
        let mood = settings.parameters.into_iter().find(|(name, _)| name == "mood").map(|(_, value)| value);
        let mood = mood.unwrap_or_else(|| "good".to_owned());
        if mood == "shut" {
            return Err("mood: it does not open".to_owned());
        }
        MOOD.set(mood).map_err(|_| "configured twice".to_owned())
    }

    fn process(batch: Vec<u8>) -> Vec<u8> {
        let mood = MOOD.get().map_or("good", String::as_str);
        let mut out = VerdictWriter::with_capacity(batch.len());
        for record in Batch::parse(&batch).expect("a frame").records() {
            let record = record.expect("a record");
            let bad = record.key.is_some_and(|key| key.starts_with(b"bad"));
            match mood {
                "trap" if bad => panic!("a bad mood"),
                "slow" if bad => evil_kit::spin(),
                "reject" if bad => out.reject("a bad mood").expect("small"),
                "shout" if bad => out.replace(|bytes| bytes.extend_from_slice(&shouted(record.value))).expect("small"),
                _ => evil_kit::pass(&record, &mut out),
            }
        }
        out.finish()
    }
}

/// An order whose third field, the customer, is in capitals.
fn shouted(order: &[u8]) -> Vec<u8> {
    let mut order = order.to_vec();
    let mut at = 0;
    for field in 0..3 {
        // Lengths below 64 are one byte, doubled.
        let len = usize::from(order[at]) / 2;
        if field == 2 {
            order[at + 1..at + 1 + len].make_ascii_uppercase();
        }
        at += 1 + len;
    }
    order
}

transform_sdk::bindings::export!(Component);
