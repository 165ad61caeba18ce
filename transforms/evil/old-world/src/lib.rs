//! Says that it was built for a world of another version. Tries that an upload is refused by it.
#![cfg(target_arch = "wasm32")]

use evil_kit::bindings;

struct Component;

impl bindings::Guest for Component {
    fn describe() -> bindings::Description {
        bindings::Description { world: "orderflow:transform@0.9.0".to_owned(), ..evil_kit::description("old-world") }
    }

    fn configure(_: bindings::Settings) -> Result<(), String> {
        Ok(())
    }

    fn process(batch: Vec<u8>) -> Vec<u8> {
        batch
    }
}

transform_sdk::bindings::export!(Component);
