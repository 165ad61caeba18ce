//! What wasmtime makes of the world in `transforms/wit`.

wasmtime::component::bindgen!({ world: "transform", path: "../wit" });
