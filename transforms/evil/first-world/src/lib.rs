//! Not hostile: built for world 1.0.0, from that world's own text. Tries that its modules still run.
#![cfg(target_arch = "wasm32")]

mod bindings {
    wit_bindgen::generate!({ world: "transform", path: "wit" });
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

    /// Frames of version 1, by hand: each record is rejected with what the three imports said.
    fn process(batch: Vec<u8>) -> Vec<u8> {
        bindings::log(bindings::Level::Info, "still here");
        bindings::metric("batches", 1);
        let found = bindings::lookup("things", &[b"key".to_vec()]);
        let reason = format!("frame {}, {found:?}", batch[0]);
        let count: [u8; 4] = batch[1..5].try_into().expect("four bytes");
        let mut verdicts = vec![1];
        verdicts.extend(count);
        for _ in 0..u32::from_le_bytes(count) {
            verdicts.push(1);
            verdicts.extend((reason.len() as u32).to_le_bytes());
            verdicts.extend(reason.as_bytes());
        }
        verdicts
    }
}

bindings::export!(Component with_types_in bindings);
