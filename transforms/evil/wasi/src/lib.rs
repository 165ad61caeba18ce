//! Wants a clock of WASI. Tries that such a module is refused when it is uploaded.
#![cfg(target_arch = "wasm32")]

mod bindings {
    wit_bindgen::generate!({ world: "wants-a-clock", path: "wit", generate_all });
}

struct Component;

impl bindings::Guest for Component {
    fn process() -> u64 {
        bindings::wasi::clocks::monotonic_clock::now()
    }
}

bindings::export!(Component with_types_in bindings);
