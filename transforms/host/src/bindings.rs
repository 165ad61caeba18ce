//! What wasmtime makes of the world in `transforms/wit`.

// A lookup may end the call: its answer is bounded, and the world has no word for that.
wasmtime::component::bindgen!({ world: "transform", path: "../wit", imports: { "lookup": trappable } });
