//! Modules and pipelines as this process has read them from the state topics so far.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use schemas::names::topics;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use transform_host::{Engine, Module};

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

#[derive(Default)]
struct Inner {
    modules: BTreeMap<String, Loaded>,
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
            // Compiling takes a while; nobody waits for the lock meanwhile.
            let loaded = value.map(|wasm| self.load(&key, wasm));
            put(&mut self.write().modules, key, loaded);
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

    /// The module stored as `name@version`.
    #[must_use]
    pub fn module(&self, key: &str) -> Option<Loaded> {
        self.read().modules.get(key).cloned()
    }

    /// All modules by `name@version`.
    #[must_use]
    pub fn modules(&self) -> Vec<(String, Loaded)> {
        self.read().modules.iter().map(|(key, loaded)| (key.clone(), loaded.clone())).collect()
    }

    /// The newest module that `wanted` means.
    #[must_use]
    pub fn newest(&self, wanted: &Wanted) -> Option<Arc<Module>> {
        let inner = self.read();
        let usable = inner.modules.values().filter_map(|loaded| loaded.as_ref().ok());
        let named: Vec<_> = usable.filter(|module| module.description().name == wanted.name).collect();
        let version = wanted.newest(named.iter().map(|module| module.description().version.as_str()))?;
        named.iter().find(|module| module.description().version == version).map(|module| Arc::clone(module))
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

    fn load(&self, key: &str, wasm: &[u8]) -> Loaded {
        let module = self.engine.load(wasm).map_err(|error| error.to_string())?;
        let own = module_key(&module);
        if own == key { Ok(module) } else { Err(format!("it says that it is {own}")) }
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
