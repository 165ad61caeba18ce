//! Reads what the user wrote: `*.json` of a folder and its `stores/`. Faults are collected, never thrown one by one.
//! Whether keys and values make sense is [`crate::check`]'s.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::check;
use crate::connect::Settings;
use crate::names::PIPELINE_CLASS;

/// A connector file is a page of text; more is a mistake.
const FILE_LIMIT: u64 = 1024 * 1024;

/// One thing that is wrong, with its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The file's name.
    pub file: String,
    /// The key in it, or nothing where the whole file is meant.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => write!(f, "{}: {}", self.file, self.message),
            key => write!(f, "{}: {key}: {}", self.file, self.message),
        }
    }
}

/// A connector or a pipeline, as its file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connector {
    /// The file it stands in.
    pub file: String,
    /// Its name, which is also its consumer group's.
    pub name: String,
    /// Its settings, with `${env:…}` as written.
    pub settings: Settings,
}

impl Connector {
    /// A setting, or "".
    #[must_use]
    pub fn setting(&self, key: &str) -> &str {
        self.settings.get(key).map_or("", String::as_str)
    }

    /// Runs in `transforms`, not in Kafka Connect.
    #[must_use]
    pub fn is_pipeline(&self) -> bool {
        self.setting("connector.class") == PIPELINE_CLASS
    }

    /// How many tasks it asks for; Connect's default is one.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.setting("tasks.max").parse().unwrap_or(1)
    }
}

/// A table's statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The table's name: the file's, without `.sql`.
    pub name: String,
    /// Statements that may run again and again.
    pub sql: String,
}

/// An index's settings and mapping.
#[derive(Debug, Clone, PartialEq)]
pub struct Index {
    /// The index's name: the file's, without `.index.json`.
    pub name: String,
    /// `settings` and `mappings`, as Elasticsearch takes them.
    pub body: Value,
}

/// Everything that the deploy step deploys from a folder.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Deployment {
    /// What runs in Kafka Connect.
    pub sinks: Vec<Connector>,
    /// What runs in `transforms`.
    pub pipelines: Vec<Connector>,
    /// Tables of PostgreSQL.
    pub tables: Vec<Table>,
    /// Indexes of Elasticsearch.
    pub indexes: Vec<Index>,
}

/// Reads and checks a folder. Touches no server.
///
/// # Errors
/// Every fault of every file.
pub fn read(folder: &Path) -> Result<Deployment, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut all = Deployment::default();
    for path in listed(folder, ".json", &mut faults) {
        let Some(connector) = text(&path, &mut faults).and_then(|text| connector(&name(&path), &text, &mut faults))
        else {
            continue;
        };
        faults.extend(check::connector(&connector));
        if connector.is_pipeline() { all.pipelines.push(connector) } else { all.sinks.push(connector) }
    }
    if faults.is_empty() && all.sinks.is_empty() && all.pipelines.is_empty() {
        faults.push(fault(&folder.display().to_string(), "", "has no *.json file; is it the right folder?"));
    }
    faults.extend(doubled(all.sinks.iter().chain(&all.pipelines)));
    stores(&folder.join("stores"), &mut all, &mut faults);
    faults.extend(check::flow::faults(&all));
    faults.sort();
    if faults.is_empty() { Ok(all) } else { Err(faults) }
}

fn stores(folder: &Path, all: &mut Deployment, faults: &mut Vec<Fault>) {
    if !folder.is_dir() {
        return;
    }
    for path in listed(folder, ".sql", faults) {
        if let Some(sql) = text(&path, faults) {
            all.tables.push(Table { name: name(&path).trim_end_matches(".sql").to_owned(), sql });
        }
    }
    for path in listed(folder, ".index.json", faults) {
        let file = name(&path);
        match text(&path, faults).map(|text| serde_json::from_str::<Value>(&text)) {
            Some(Ok(body)) => {
                all.indexes.push(Index { name: file.trim_end_matches(".index.json").to_owned(), body });
            }
            Some(Err(err)) => faults.push(fault(&file, "", &format!("is not JSON: {err}"))),
            None => {}
        }
    }
}

/// One connector file's text, or nothing and at least one fault.
pub fn connector(file: &str, text: &str, faults: &mut Vec<Fault>) -> Option<Connector> {
    let before = faults.len();
    let whole = match serde_json::from_str::<Pairs<Box<RawValue>>>(text) {
        Ok(whole) => whole,
        Err(err) => {
            faults.push(fault(file, "", &format!("is not a JSON object: {err}")));
            return None;
        }
    };
    let (mut name, mut settings) = (None, None);
    for (key, raw) in whole.unique(file, faults) {
        match key.as_str() {
            "name" => name = serde_json::from_str::<String>(raw.get()).ok(),
            "config" => match serde_json::from_str::<Pairs<Value>>(raw.get()) {
                Ok(pairs) => settings = Some(strings(file, pairs, faults)),
                Err(err) => faults.push(fault(file, "config", &format!("is not an object of settings: {err}"))),
            },
            other => faults.push(fault(file, other, "is not known here; a file has `name` and `config`")),
        }
    }
    match name.as_deref() {
        None => faults.push(fault(file, "name", "is missing; give the connector a name")),
        Some(name) if !is_name(name) => {
            faults.push(fault(file, "name", &format!("`{name}` is not a name; use letters, digits, `-`, `_`, `.`")));
        }
        Some(_) => {}
    }
    if settings.is_none() && faults.len() == before {
        faults.push(fault(file, "config", "is missing; it holds the connector's settings"));
    }
    match (name, settings) {
        (Some(name), Some(settings)) => Some(Connector { file: file.to_owned(), name, settings }),
        _ => None,
    }
}

/// Connect keeps settings as text, so a number would differ from itself at each comparison.
fn strings(file: &str, pairs: Pairs<Value>, faults: &mut Vec<Fault>) -> Settings {
    let mut settings = BTreeMap::new();
    for (key, value) in pairs.unique(file, faults) {
        match value {
            Value::String(text) => {
                settings.insert(key, text);
            }
            other => faults.push(fault(file, &key, &format!("{other} is not text; write \"{other}\""))),
        }
    }
    settings
}

/// The name stands in URLs, consumer groups and metrics.
fn is_name(name: &str) -> bool {
    (1..=100).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

fn doubled<'a>(connectors: impl Iterator<Item = &'a Connector>) -> Vec<Fault> {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    connectors
        .filter_map(|connector| {
            let first = seen.insert(&connector.name, &connector.file)?;
            Some(fault(&connector.file, "name", &format!("`{}` is also the name in {first}", connector.name)))
        })
        .collect()
}

fn listed(folder: &Path, ending: &str, faults: &mut Vec<Fault>) -> Vec<PathBuf> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(err) => {
            faults.push(fault(&folder.display().to_string(), "", &format!("cannot be read: {err}")));
            return Vec::new();
        }
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| name(path).ends_with(ending) && path.is_file())
        .collect();
    paths.sort();
    paths
}

fn text(path: &Path, faults: &mut Vec<Fault>) -> Option<String> {
    let size = fs::metadata(path).map_or(0, |metadata| metadata.len());
    if FILE_LIMIT < size {
        faults.push(fault(&name(path), "", &format!("is {size} bytes, at most {FILE_LIMIT} are read")));
        return None;
    }
    match fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(err) => {
            faults.push(fault(&name(path), "", &format!("cannot be read: {err}")));
            None
        }
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A fault at a key of a file.
#[must_use]
pub fn fault(file: &str, key: &str, message: &str) -> Fault {
    Fault { file: file.to_owned(), key: key.to_owned(), message: message.to_owned() }
}

/// An object's pairs in order, so that a key given twice is seen; JSON's usual readers keep the last in silence.
struct Pairs<V>(Vec<(String, V)>);

impl<V> Pairs<V> {
    fn unique(self, file: &str, faults: &mut Vec<Fault>) -> BTreeMap<String, V> {
        let mut map = BTreeMap::new();
        for (key, value) in self.0 {
            if map.contains_key(&key) {
                faults.push(fault(file, &key, "is given twice; keep one"));
            }
            map.insert(key, value);
        }
        map
    }
}

impl<'de, V: serde::Deserialize<'de>> serde::Deserialize<'de> for Pairs<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read<V>(std::marker::PhantomData<V>);
        impl<'de, V: serde::Deserialize<'de>> Visitor<'de> for Read<V> {
            type Value = Pairs<V>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Read(std::marker::PhantomData))
    }
}
