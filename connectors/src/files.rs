//! Reads what the user wrote: `*.json` of a folder and its `stores/`. Findings are collected, never thrown one by one.
//! Whether keys and values make sense is [`crate::check`]'s.

mod document;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::check;
use crate::connect::Settings;
use crate::contracts::{self, Contracts};
use crate::elastic::shape::nested;
use crate::finding::{Finding, Place, Severity};
use crate::names::PIPELINE_CLASS;
use crate::rules;

pub(crate) use document::{At, Document};
pub(crate) use text::Text;

/// A connector file is a page of text; more is a mistake.
const FILE_LIMIT: u64 = 1024 * 1024;
/// The folder of tables and indexes, beside the connector files.
const STORES: &str = "stores";
/// The folder of files that are there to be copied.
const EXAMPLES: &str = "examples";
/// How an index's file ends.
const INDEX: &str = ".index.json";

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
    /// `settings` and `mappings`, as Elasticsearch gives them back: settings below `index`.
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
    /// The schemas.
    pub contracts: Contracts,
    /// What may be meant and is said all the same.
    pub warnings: Vec<Finding>,
}

/// Reads and checks a folder for a deployment. Touches no server.
///
/// # Errors
/// Every finding in every file, where one of them is an error.
pub fn read(folder: &Path) -> Result<Deployment, Vec<Finding>> {
    Folder::whole(folder).deployment()
}

/// Reads and checks one connector file, beside the stores that its folder has. Touches no server.
///
/// # Errors
/// Every finding, where one of them is an error, or where there is no connector in it.
pub fn one(path: &Path) -> Result<(Connector, Vec<Finding>), Vec<Finding>> {
    let (mut connectors, mut found) = (Vec::new(), Vec::new());
    for folder in folders(&[path.to_owned()]) {
        found.extend(folder.findings());
        connectors.extend(folder.documents.into_iter().map(|document| document.connector));
    }
    let is_fine = found.iter().all(|finding| finding.severity != Severity::Error);
    match <[Connector; 1]>::try_from(connectors) {
        Ok([connector]) if is_fine => Ok((connector, found)),
        Err(others) if is_fine => {
            let what = format!("has {} connectors, and one is rehearsed at a time", others.len());
            let place = (&*path.display().to_string(), Place::START);
            Err(vec![Finding::new(&rules::UNREADABLE, place, "", &what, "name one *.json file")])
        }
        _ => Err(found),
    }
}

/// Connector files that are deployed together, with the stores they write to.
#[derive(Debug, Default)]
pub(crate) struct Folder {
    pub(crate) documents: Vec<Document>,
    pub(crate) tables: Vec<(Table, Text)>,
    pub(crate) indexes: Vec<(Index, Text)>,
    /// The schemas that their topics have.
    pub(crate) contracts: Contracts,
    /// They are alternatives to each other, of which none is deployed from here: a folder of examples.
    pub(crate) alternatives: bool,
    /// What was found while they were read.
    found: Vec<Finding>,
}

impl Folder {
    /// Reads the connector files of a folder, only those of `files` where some are given. Where the folder has no
    /// stores of its own, those of the folder above are the ones its files write to, if `above` says so.
    fn read(folder: &Path, files: &[PathBuf], above: bool) -> Self {
        let mut this = Self { alternatives: name(folder) == EXAMPLES, ..Self::default() };
        let listed = if files.is_empty() { this.listed(folder, ".json") } else { files.to_vec() };
        if listed.is_empty() && this.found.is_empty() {
            this.unreadable(folder, "has no *.json file", "name the folder that has the connector files");
        }
        for path in listed {
            if let Some(text) = this.text(&path) {
                this.connector(text);
            }
        }
        this.schemas(folder, above);
        let stores = [folder.join(STORES), self::above(folder).join(STORES)];
        let stores = stores.iter().take(if above { 2 } else { 1 }).find(|stores| stores.is_dir());
        for path in stores.map(|stores| this.listed(stores, "")).unwrap_or_default() {
            if let Some(text) = this.text(&path) {
                this.store(text);
            }
        }
        this
    }

    /// A whole folder for a deployment, as [`read`] reads it.
    pub(crate) fn whole(folder: &Path) -> Self {
        Self::read(folder, &[], false)
    }

    /// What is to be deployed.
    ///
    /// # Errors
    /// Every finding, where one of them is an error.
    pub(crate) fn deployment(self) -> Result<Deployment, Vec<Finding>> {
        let found = self.findings();
        if found.iter().any(|finding| finding.severity == Severity::Error) {
            return Err(found);
        }
        let connectors = self.documents.into_iter().map(|document| document.connector);
        let (pipelines, sinks) = connectors.partition(Connector::is_pipeline);
        let tables = self.tables.into_iter().map(|(table, _)| table).collect();
        let indexes = self.indexes.into_iter().map(|(index, _)| index).collect();
        Ok(Deployment { sinks, pipelines, tables, indexes, contracts: self.contracts, warnings: found })
    }

    /// The schemas beside these files. The folder above counts for files of examples, as its stores do.
    fn schemas(&mut self, folder: &Path, above: bool) {
        let parent = self::above(folder);
        let mut folders = vec![parent.join(contracts::FOLDER)];
        if above {
            folders.push(self::above(&parent).join(contracts::FOLDER));
        }
        let mut unusable = Vec::new();
        self.contracts = Contracts::beside(&folders, &mut unusable);
        for one in unusable {
            self.unreadable(Path::new(&one.file), &one.why, "mend the file");
        }
    }

    /// As if these files had been read, in a folder of their own.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let mut this = Self::default();
        for (file, text) in files {
            let text = Text::new(*file, *text);
            if file.starts_with(STORES) { this.store(text) } else { this.connector(text) }
        }
        this
    }

    /// Everything that is found in them, in the order of files and lines.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let mut found = self.found.clone();
        found.extend(check::folder(self));
        found.sort();
        found.dedup();
        found
    }

    fn connector(&mut self, text: Text) {
        self.documents.extend(Document::read(text, &mut self.found));
    }

    fn store(&mut self, text: Text) {
        let file = name(Path::new(&text.file));
        if let Some(table) = file.strip_suffix(".sql") {
            self.tables.push((Table { name: table.to_owned(), sql: text.text.clone() }, text));
        } else if let Some(index) = file.strip_suffix(INDEX) {
            match serde_json::from_str::<Value>(&text.text) {
                Ok(body) => {
                    self.doubled(&text, &text.text, 0);
                    self.indexes.push((Index { name: index.to_owned(), body: nested(body) }, text));
                }
                Err(error) => self.found.push(document::syntax(&text, &error)),
            }
        }
    }

    /// Keys that are given twice in an object of JSON, or in one inside of it.
    fn doubled(&mut self, text: &Text, part: &str, depth: usize) {
        // As deep as `serde_json` reads.
        const DEEPEST: usize = 128;
        if DEEPEST < depth {
            return;
        }
        for pair in document::unique(text, text.pairs(part).unwrap_or_default(), &mut self.found) {
            self.doubled(text, pair.value, depth + 1);
        }
    }

    fn listed(&mut self, folder: &Path, ending: &str) -> Vec<PathBuf> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(err) => {
                let fix =
                    "go to where it is, such as the checkout, or name another folder; and look whether it may be read";
                self.unreadable(folder, &format!("cannot be read: {err}"), fix);
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

    fn text(&mut self, path: &Path) -> Option<Text> {
        let mut bytes = Vec::new();
        let read = fs::File::open(path).and_then(|file| file.take(FILE_LIMIT + 1).read_to_end(&mut bytes));
        let file = path.display().to_string();
        let (what, fix) = match (read, String::from_utf8(bytes)) {
            (Err(err), _) => (format!("cannot be read: {err}"), "look whether it is there and may be read"),
            (Ok(read), _) if u64::try_from(read).unwrap_or(u64::MAX) > FILE_LIMIT => {
                (format!("is more than {FILE_LIMIT} bytes, which is the most that is read"), "name a connector file")
            }
            (Ok(_), Ok(text)) => return Some(Text::new(file, text)),
            (Ok(_), Err(err)) => (format!("is not UTF-8: {err}"), "save it as UTF-8"),
        };
        self.unreadable(path, &what, fix);
        None
    }

    fn unreadable(&mut self, path: &Path, what: &str, fix: &str) {
        let place = (&*path.display().to_string(), Place::START);
        self.found.push(Finding::new(&rules::UNREADABLE, place, "", what, fix));
    }
}

/// The folders of these files and folders. Files of one folder are looked at together, since they are deployed together;
/// a file of a store stands for the folder whose connectors write to it.
pub(crate) fn folders(paths: &[PathBuf]) -> Vec<Folder> {
    let (mut wholes, mut parts) = (BTreeSet::new(), BTreeMap::<PathBuf, BTreeSet<PathBuf>>::new());
    let mut folders = Vec::new();
    for path in paths {
        let parent = above(path);
        if path.is_dir() {
            wholes.insert(path.clone());
        } else if name(&parent) == STORES && path.exists() {
            wholes.insert(above(&parent));
        } else if name(path).ends_with(".json") || !path.exists() {
            parts.entry(parent).or_default().insert(path.clone());
        } else {
            let mut none = Folder::default();
            none.unreadable(path, "is not a connector file", "name a *.json file, or the folder that has them");
            folders.push(none);
        }
    }
    folders.extend(wholes.iter().map(|whole| Folder::read(whole, &[], true)));
    let parts = parts.iter().filter(|(folder, _)| !wholes.contains(*folder));
    folders.extend(parts.map(|(folder, files)| Folder::read(folder, &Vec::from_iter(files.iter().cloned()), true)));
    folders
}

/// The folder that a file or a folder lies in.
fn above(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if path.file_name().is_none() => parent.join(".."),
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ if path == Path::new(".") => PathBuf::from(".."),
        _ => PathBuf::from("."),
    }
}

/// The name stands in URLs, consumer groups and metrics.
fn is_name(name: &str) -> bool {
    (1..=100).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// The last part of a path.
pub(crate) fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
