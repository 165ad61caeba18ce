//! A module as it is held: its bytes until somebody needs it, then compiled, or why it cannot be.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use transform_host::{Engine, LoadError, Module};

use crate::compile;
use crate::state::parts::Meta;

/// Of a module whose parts are not all there.
const MISSING: &str = "not all of its parts are in the topic; upload it again";

/// A stored module: compiled, or why not.
pub type Loaded = Result<Arc<Module>, String>;

/// A module as it was read.
pub(super) struct Entry {
    pub(super) digest: String,
    /// `None` for a whole record of an earlier release.
    pub(super) meta: Option<Meta>,
    /// Shared with the entry that takes this one's place when the metadata is written again.
    pub(super) held: Arc<Mutex<Held>>,
}

pub(super) enum Held {
    /// Its metadata is there, and not yet all of its parts.
    Waiting,
    /// Nobody has needed it yet.
    Bytes(Vec<u8>),
    Module(Arc<Module>),
    Broken(String),
}

impl Entry {
    pub(super) fn new(digest: String, held: Held) -> Self {
        Self { digest, meta: None, held: Arc::new(Mutex::new(held)) }
    }

    pub(super) fn broken(reason: String) -> Self {
        Self::new(String::new(), Held::Broken(reason))
    }

    /// Who holds the lock compiles it, so it has its bytes: nobody waits for that here.
    pub(super) fn is_waiting(&self) -> bool {
        self.held.try_lock().is_ok_and(|held| matches!(&*held, Held::Waiting))
    }

    /// Why it cannot be used, as far as that is known.
    pub(super) fn fault(&self) -> Option<String> {
        match &*self.held.try_lock().ok()? {
            Held::Waiting => Some(MISSING.to_owned()),
            Held::Broken(reason) => Some(reason.clone()),
            Held::Bytes(_) | Held::Module(_) => None,
        }
    }

    pub(super) fn size(&self) -> usize {
        match &*self.lock() {
            Held::Bytes(bytes) => bytes.len(),
            Held::Waiting | Held::Module(_) | Held::Broken(_) => 0,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn load(&self, engine: &Arc<Engine>, key: &str) -> Loaded {
        let mut held = self.lock();
        let wasm = match &*held {
            Held::Module(module) => return Ok(Arc::clone(module)),
            Held::Broken(reason) => return Err(reason.clone()),
            Held::Waiting => return Err(MISSING.to_owned()),
            Held::Bytes(wasm) => wasm,
        };
        let loaded = match compile::load(engine, wasm) {
            // Whoever may write the topic could put other parts in.
            Ok(module) if module.digest() != self.digest => {
                Err(format!("its parts are of {}, its metadata says {}", module.digest(), self.digest))
            }
            Ok(module) if module_key(&module) == key => Ok(module),
            Ok(module) => Err(format!("it says that it is {}", module_key(&module))),
            // It described itself when it was uploaded. This machine may be busy, so the next one who needs it tries again.
            Err(error @ LoadError::Describe(_)) => return Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        *held = loaded.clone().map_or_else(Held::Broken, Held::Module);
        loaded
    }
}

/// `name@version`: the key of a module in its topic.
#[must_use]
pub fn module_key(module: &Module) -> String {
    let description = module.description();
    format!("{}@{}", description.name, description.version)
}
