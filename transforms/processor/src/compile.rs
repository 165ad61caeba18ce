//! How modules are compiled in a process that goes on with them. Who only looks at one, as an author's command or the child
//! that tries an upload, asks the engine itself.

use std::sync::Arc;

use service_kit::heap;
use transform_host::{Engine, LoadError, Module};

/// Compiles a module, and gives back what that needed of memory. Blocks.
pub(crate) fn load(engine: &Arc<Engine>, wasm: &[u8]) -> Result<Arc<Module>, LoadError> {
    let loaded = engine.load(wasm);
    heap::give_back();
    loaded
}
