//! Answers with a pointer outside of its own memory. Tries that the host trusts none.
#![cfg(target_arch = "wasm32")]

mod bindings {
    // The prefix moves what `export!` writes out of the way, so that the exports below are ours.
    wit_bindgen::generate!({ world: "transform", path: "../../wit", export_prefix: "honest-" });
}

struct Component;

impl bindings::Guest for Component {
    fn describe() -> bindings::Description {
        bindings::Description {
            world: "orderflow:transform@1.0.0".to_owned(),
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            payload: bindings::Payload::Avro,
            schema: None,
            parameters: Vec::new(),
        }
    }

    fn configure(_: bindings::Settings) -> Result<(), String> {
        Ok(())
    }

    fn process(batch: Vec<u8>) -> Vec<u8> {
        batch
    }
}

bindings::export!(Component with_types_in bindings);

#[unsafe(export_name = "describe")]
unsafe extern "C" fn describe() -> *mut u8 {
    unsafe { bindings::_export_describe_cabi::<Component>() }
}

#[unsafe(export_name = "configure")]
unsafe extern "C" fn configure(
    schema: *mut u8,
    schema_len: usize,
    parameters: *mut u8,
    parameters_len: usize,
) -> *mut u8 {
    unsafe { bindings::_export_configure_cabi::<Component>(schema, schema_len, parameters, parameters_len) }
}

/// The lie: a list of 4096 bytes that begins 256 bytes below the end of what 32 bits can address.
#[unsafe(export_name = "process")]
unsafe extern "C" fn process(_: *mut u8, _: usize) -> *const u32 {
    static ANSWER: [u32; 2] = [0xffff_ff00, 0x1000];
    ANSWER.as_ptr()
}
