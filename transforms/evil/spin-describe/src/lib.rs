//! Never says what it is. Tries `Limits::start` when it is uploaded.
#![cfg(target_arch = "wasm32")]

use evil_kit::bindings;

struct Component;

impl bindings::Guest for Component {
    fn describe() -> bindings::Description {
        evil_kit::spin()
    }

    fn configure(_: bindings::Settings) -> Result<(), String> {
        Ok(())
    }

    fn process(batch: Vec<u8>) -> Vec<u8> {
        batch
    }
}

transform_sdk::bindings::export!(Component);
