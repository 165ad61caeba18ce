//! Modules and pipelines as this process has read them from the state topics so far. A module is compiled when somebody
//! needs it: every version that was ever uploaded is here, and a start must not wait for them. What a list needs of a
//! module stands in its metadata.

mod held;
mod read;
mod stored;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use schemas::names::topics;
use tokio::sync::watch;
use transform_host::{Engine, Module};

pub use self::held::{Loaded, module_key};
pub use self::stored::{Pin, Stored, Target};

use self::held::{Entry, Held};
use self::read::Inner;
use super::facts::{Fact, Facts, Known};
use super::hindrance::Hindrance;
use super::parts::Meta;
use crate::pipeline::version::Wanted;

/// What has been read so far. Shared by everybody.
pub struct Catalog {
    engine: Arc<Engine>,
    inner: RwLock<Inner>,
    changes: watch::Sender<u64>,
    heard: Mutex<Option<Instant>>,
    hindrance: Hindrance,
}

impl Catalog {
    /// Nothing read yet.
    #[must_use]
    pub fn new(engine: Arc<Engine>) -> Self {
        Self {
            engine,
            inner: RwLock::default(),
            changes: watch::Sender::new(0),
            heard: Mutex::default(),
            hindrance: Hindrance::default(),
        }
    }

    /// Takes in a record of a state topic.
    pub fn apply(&self, topic: &'static str, offset: i64, key: &[u8], value: Option<&[u8]>) {
        let key = String::from_utf8_lossy(key).into_owned();
        if topic == topics::TRANSFORMS_MODULES {
            self.write().apply_module(&key, value);
        } else if let Some((pipeline, rest)) = key.split_once('/') {
            self.write().facts.entry(pipeline.to_owned()).or_default().read(rest, value);
        } else {
            let stored =
                value.map(|text| serde_json::from_slice(text).map(Arc::new).map_err(|error| error.to_string()));
            put(&mut self.write().pipelines, key, stored);
        }
        self.write().progress.entry(topic).or_default().next = offset + 1;
        self.changed();
    }

    /// The end of a topic was reached.
    pub fn caught_up(&self, topic: &'static str) {
        let mut inner = self.write();
        let progress = inner.progress.entry(topic).or_default();
        if !std::mem::replace(&mut progress.caught_up, true) {
            drop(inner);
            self.changed();
        }
    }

    /// Whether everything that was there at the start has been read.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let inner = self.read();
        [topics::TRANSFORMS_MODULES, topics::TRANSFORMS_CONFIG]
            .iter()
            .all(|topic| inner.progress.get(topic).is_some_and(|progress| progress.caught_up))
    }

    /// The broker answered just now.
    pub fn heard(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.hindrance.heard();
    }

    /// Why it is not read, where it is not.
    #[must_use]
    pub fn hindrance(&self) -> &Hindrance {
        &self.hindrance
    }

    /// How long the broker has been silent; `None` when it never answered.
    #[must_use]
    pub fn silence(&self) -> Option<Duration> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).map(|heard| heard.elapsed())
    }

    /// Waits until the record at `offset` has been taken in; `false` when that took longer than `time`.
    pub async fn taken_in(&self, topic: &'static str, offset: i64, time: Duration) -> bool {
        let mut changes = self.changes.subscribe();
        let there = || self.read().progress.get(topic).is_some_and(|progress| offset < progress.next);
        tokio::time::timeout(time, changes.wait_for(|_| there())).await.is_ok_and(|waited| waited.is_ok())
    }

    /// Changes of anything.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The digest of the module stored as `name@version`.
    #[must_use]
    pub fn digest(&self, key: &str) -> Option<String> {
        self.read().modules.get(key).map(|entry| entry.digest.clone())
    }

    /// All modules' `name@version`.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.read().modules.keys().cloned().collect()
    }

    /// The `name@version` of the module with this digest.
    #[must_use]
    pub fn key_of(&self, digest: &str) -> Option<String> {
        self.read().modules.iter().find(|(_, entry)| entry.digest == digest).map(|(key, _)| key.clone())
    }

    /// What is known of the module stored as `name@version` without compiling it; `None` also for a whole record of an
    /// earlier release.
    #[must_use]
    pub fn meta(&self, key: &str) -> Option<Meta> {
        self.read().modules.get(key).and_then(|entry| entry.meta.clone())
    }

    /// Whether the module stored as `name@version` must get a fresh instance for each batch.
    #[must_use]
    pub fn is_stateful(&self, key: &str) -> bool {
        self.meta(key).is_some_and(|meta| meta.stateful)
    }

    /// Parts of this module that belong to no stored one: of uploads that broke off. Their keys.
    #[must_use]
    pub fn leftovers(&self, key: &str) -> Vec<String> {
        let digests = self.read().waiting.digests(key);
        let keys =
            digests.iter().flat_map(|(digest, parts)| parts.iter().map(|at| super::parts::part_key(key, digest, *at)));
        keys.collect()
    }

    /// The module stored as `name@version`. Blocks while it is compiled, and nobody else does.
    #[must_use]
    pub fn module(&self, key: &str) -> Option<Loaded> {
        let entry = self.read().modules.get(key).map(Arc::clone)?;
        Some(entry.load(&self.engine, key))
    }

    /// What is known of all modules, by `name@version`, or why one cannot be used. Compiles only whole records of an
    /// earlier release, which have no metadata; blocks for those.
    #[must_use]
    pub fn list(&self) -> Vec<(String, Result<Meta, String>)> {
        let entries: Vec<_> = self.read().modules.iter().map(|(key, entry)| (key.clone(), Arc::clone(entry))).collect();
        let known = |(key, entry): (String, Arc<Entry>)| {
            let meta = entry.meta.clone();
            let found = match (meta, entry.fault()) {
                (_, Some(fault)) => Err(fault),
                (Some(meta), None) => Ok(meta),
                (None, None) => entry.load(&self.engine, &key).map(|module| Meta::of(&module, entry.size())),
            };
            (key, found)
        };
        entries.into_iter().map(known).collect()
    }

    /// Takes over a module that was compiled for an upload, so that it is not compiled again.
    pub fn keep(&self, module: &Arc<Module>) {
        if let Some(entry) =
            self.read().modules.get(&module_key(module)).filter(|entry| entry.digest == module.digest())
        {
            *entry.lock() = Held::Module(Arc::clone(module));
        }
    }

    /// The newest module that `wanted` means and that can be loaded. Blocks as [`Catalog::module`].
    #[must_use]
    pub fn newest(&self, wanted: &Wanted) -> Option<Arc<Module>> {
        let keys: Vec<String> = self.read().modules.keys().cloned().collect();
        let named =
            |key: &String| key.split_once('@').filter(|(name, _)| *name == wanted.name).map(|(_, v)| v.to_owned());
        let mut versions: Vec<String> = keys.iter().filter_map(named).collect();
        while let Some(version) = wanted.newest(versions.iter().map(String::as_str)).map(str::to_owned) {
            if let Some(Ok(module)) = self.module(&format!("{}@{version}", wanted.name)) {
                return Some(module);
            }
            versions.retain(|other| *other != version);
        }
        None
    }

    /// The pipeline `name`, or why what is stored cannot be read.
    #[must_use]
    pub fn pipeline(&self, name: &str) -> Option<Result<Arc<Stored>, String>> {
        self.read().pipelines.get(name).cloned()
    }

    /// What is known of a pipeline's versions.
    #[must_use]
    pub fn facts(&self, pipeline: &str) -> Facts {
        self.read().facts.get(pipeline).map(Known::facts).unwrap_or_default()
    }

    /// Takes a fact for told before it is written: what this process found out, it acts on at once.
    pub fn assume(&self, pipeline: &str, fact: &Fact) {
        self.assume_if(pipeline, fact, |_| true);
    }

    /// [`Catalog::assume`], if what is known by now lets it; `false` if it does not.
    pub fn assume_if(&self, pipeline: &str, fact: &Fact, fits: impl FnOnce(&Facts) -> bool) -> bool {
        let (key, value) = fact.record(pipeline);
        let Some((_, rest)) = key.split_once('/') else { return false };
        let mut inner = self.write();
        let known = inner.facts.entry(pipeline.to_owned()).or_default();
        if !fits(&known.facts()) {
            return false;
        }
        known.assume(rest, value);
        drop(inner);
        self.changed();
        true
    }

    /// What is still known of pipelines that were deleted.
    #[must_use]
    pub fn orphans(&self) -> Vec<(String, Facts)> {
        let inner = self.read();
        let orphan = |(name, known): (&String, &Known)| {
            let facts = Some(known.facts()).filter(|facts| !facts.is_empty() && !inner.pipelines.contains_key(name))?;
            Some((name.clone(), facts))
        };
        inner.facts.iter().filter_map(orphan).collect()
    }

    /// All pipelines.
    #[must_use]
    pub fn pipelines(&self) -> BTreeMap<String, Result<Arc<Stored>, String>> {
        self.read().pipelines.clone()
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

fn put<T>(map: &mut BTreeMap<String, T>, key: String, value: Option<T>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}
