//! What has been read, and what a record of the modules' topic changes of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use transform_host::digest;

use super::held::{Entry, Held};
use super::stored::Stored;
use crate::state::facts::Known;
use crate::state::parts::{Key, Meta, Waiting};

#[derive(Default)]
pub(super) struct Inner {
    pub(super) modules: BTreeMap<String, Arc<Entry>>,
    pub(super) waiting: Waiting,
    pub(super) pipelines: BTreeMap<String, Result<Arc<Stored>, String>>,
    pub(super) facts: BTreeMap<String, Known>,
    pub(super) progress: BTreeMap<&'static str, Progress>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Progress {
    pub(super) next: i64,
    pub(super) caught_up: bool,
}

impl Inner {
    pub(super) fn apply_module(&mut self, key: &str, value: Option<&[u8]>) {
        match (Key::of(key), value) {
            (Key::Other, _) => {}
            (Key::Module(key), None) => {
                self.modules.remove(key);
            }
            (Key::Module(key), Some(value)) => self.apply_head(key, value),
            (Key::Part { module, digest, at }, part) => {
                let waits = |entry: &&Arc<Entry>| entry.digest == digest;
                match self.modules.get(module).filter(waits).map(Arc::clone) {
                    // Written again by somebody: it is here.
                    Some(entry) if !entry.is_waiting() => {}
                    Some(entry) => {
                        self.waiting.put(module, digest, at, part);
                        self.fill(&entry);
                    }
                    None => self.waiting.put(module, digest, at, part),
                }
            }
        }
    }

    fn apply_head(&mut self, key: &str, value: &[u8]) {
        let old = self.modules.get(key).map(Arc::clone);
        let entry = match serde_json::from_slice::<Meta>(value) {
            Ok(meta) if meta.key() == key => {
                let same = old.as_ref().filter(|old| old.digest == meta.digest);
                let held = same.map_or_else(|| Arc::new(Mutex::new(Held::Waiting)), |old| Arc::clone(&old.held));
                Entry { digest: meta.digest.clone(), meta: Some(meta), held }
            }
            Ok(meta) => Entry::broken(format!("its metadata is of {}", meta.key())),
            Err(_) if value.starts_with(b"\0asm") => Entry::new(digest(value), Held::Bytes(value.to_vec())),
            Err(error) => Entry::broken(format!("its metadata cannot be read: {error}")),
        };
        // Two processes may take in two modules of one version at the same moment. The first one stays, everywhere; who
        // wrote the second one sees that, and says so. What is unusable may be replaced.
        if let Some(old) = old.filter(|old| old.digest != entry.digest && old.fault().is_none()) {
            tracing::warn!(module = key, digest = entry.digest, stays = old.digest, "a second module of one version");
            return;
        }
        let entry = Arc::new(entry);
        self.fill(&entry);
        self.modules.insert(key.to_owned(), entry);
    }

    /// Gives a waiting module its bytes, once all are there.
    fn fill(&mut self, entry: &Arc<Entry>) {
        if let Some(meta) = entry.meta.as_ref().filter(|_| entry.is_waiting())
            && let Some(whole) = self.waiting.whole(meta)
        {
            *entry.lock() = Held::Bytes(whole);
        }
    }
}
