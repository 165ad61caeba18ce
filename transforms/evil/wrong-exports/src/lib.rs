//! Exports functions of the right names and wrong types, and not all of them.
#![cfg(target_arch = "wasm32")]

mod bindings {
    wit_bindgen::generate!({ world: "wrong", path: "wit" });
}

struct Component;

impl bindings::Guest for Component {
    fn describe() -> String {
        "trust me".to_owned()
    }
}

bindings::export!(Component with_types_in bindings);
