//! Modules and pipelines as this process has read them from the state topics so far. A module is compiled when somebody
//! needs it: every version that was ever uploaded is here, and a start must not wait for them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use schemas::names::topics;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use transform_host::{Engine, LoadError, Module, digest};

use crate::pipeline::spec::Config;
use crate::pipeline::version::Wanted;

/// A pipeline as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// As it was put.
    pub config: Config,
    /// What it should be doing.
    pub state: Target,
    /// For each alias the module that was meant when the config was put.
    pub modules: BTreeMap<String, Pin>,
}

/// What a pipeline should be doing, in Connect's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Target {
    /// Running.
    Started,
    /// In the group, but taking nothing.
    Paused,
    /// Not in the group.
    Stopped,
}

/// One module, exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// `name@version`.
    pub module: String,
    /// SHA-256, 64 hexadecimal digits.
    pub digest: String,
}

/// A stored module: compiled, or why not.
pub type Loaded = Result<Arc<Module>, String>;

/// A module as it was read.
struct Entry {
    digest: String,
    held: Mutex<Held>,
}

enum Held {
    /// Nobody has needed it yet.
    Bytes(Vec<u8>),
    Module(Arc<Module>),
    Broken(String),
}

#[derive(Default)]
struct Inner {
    modules: BTreeMap<String, Arc<Entry>>,
    pipelines: BTreeMap<String, Result<Arc<Stored>, String>>,
    progress: BTreeMap<&'static str, Progress>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    next: i64,
    caught_up: bool,
}

/// What has been read so far. Shared by everybody.
pub struct Catalog {
    engine: Arc<Engine>,
    inner: RwLock<Inner>,
    changes: watch::Sender<u64>,
    heard: Mutex<Option<Instant>>,
}

impl Catalog {
    /// Nothing read yet.
    #[must_use]
    pub fn new(engine: Arc<Engine>) -> Self {
        Self { engine, inner: RwLock::default(), changes: watch::Sender::new(0), heard: Mutex::default() }
    }

    /// Takes in a record of a state topic.
    pub fn apply(&self, topic: &'static str, offset: i64, key: &[u8], value: Option<&[u8]>) {
        let key = String::from_utf8_lossy(key).into_owned();
        if topic == topics::TRANSFORMS_MODULES {
            let entry = value.map(|wasm| Arc::new(Entry::new(wasm.to_vec())));
            put(&mut self.write().modules, key, entry);
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

    /// The module stored as `name@version`. Blocks while it is compiled, and nobody else does.
    #[must_use]
    pub fn module(&self, key: &str) -> Option<Loaded> {
        let entry = self.read().modules.get(key).map(Arc::clone)?;
        Some(entry.load(&self.engine, key))
    }

    /// The modules that are here, as `name@version`; none is compiled for it.
    #[must_use]
    pub fn module_keys(&self) -> Vec<String> {
        self.read().modules.keys().cloned().collect()
    }

    /// All modules by `name@version`. Blocks as [`Catalog::module`].
    #[must_use]
    pub fn modules(&self) -> Vec<(String, Loaded)> {
        let entries: Vec<_> = self.read().modules.iter().map(|(key, entry)| (key.clone(), Arc::clone(entry))).collect();
        let load = |(key, entry): (String, Arc<Entry>)| {
            let loaded = entry.load(&self.engine, &key);
            (key, loaded)
        };
        entries.into_iter().map(load).collect()
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

    /// All pipelines.
    #[must_use]
    pub fn pipelines(&self) -> BTreeMap<String, Result<Arc<Stored>, String>> {
        self.read().pipelines.clone()
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

impl Entry {
    fn new(wasm: Vec<u8>) -> Self {
        Self { digest: digest(&wasm), held: Mutex::new(Held::Bytes(wasm)) }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self, engine: &Arc<Engine>, key: &str) -> Loaded {
        let mut held = self.lock();
        let wasm = match &*held {
            Held::Module(module) => return Ok(Arc::clone(module)),
            Held::Broken(reason) => return Err(reason.clone()),
            Held::Bytes(wasm) => wasm,
        };
        let loaded = match engine.load(wasm) {
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

fn put<T>(map: &mut BTreeMap<String, T>, key: String, value: Option<T>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}
