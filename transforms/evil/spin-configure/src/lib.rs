//! Never takes its settings. Tries `Limits::start` when a chain is made.
#![cfg(target_arch = "wasm32")]

use evil_kit::bindings;

struct Component;

impl bindings::Guest for Component {
    fn describe() -> bindings::Description {
        evil_kit::description(env!("CARGO_PKG_NAME"))
    }

    fn configure(_: bindings::Settings) -> Result<(), String> {
        evil_kit::spin()
    }

    fn process(batch: Vec<u8>) -> Vec<u8> {
        batch
    }
}

transform_sdk::bindings::export!(Component);
