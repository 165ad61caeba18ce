//! The files as they would be: which are edited and how, with nothing written yet.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use schemas::widen::Widener;
use serde_json::{Value, json};

use super::field::{NewField, Places};
use super::{EvolveError, edit, rules};
use crate::check::flow;
use crate::check::target::{self, Target};
use crate::contracts::Contract;
use crate::elastic::shape::nested;
use crate::files::{Connector, Document, Folder, Text};

/// The folder of versions, beside the schemas.
const VERSIONS: &str = "versions";

/// A file that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) path: PathBuf,
    /// `None`: it is new.
    pub(crate) before: Option<String>,
    pub(crate) after: String,
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Draft {
    /// The files with the edits in them.
    pub(crate) folder: Folder,
    pub(crate) edits: Vec<Edit>,
    /// The folder of versions, where there is one.
    pub(crate) versions: Option<PathBuf>,
}

impl Edit {
    /// That the file is as it was read: minutes of rehearsal may lie between, in which a person edits it.
    ///
    /// # Errors
    /// [`EvolveError::Meddled`] where it is not.
    pub(crate) fn is_as_read(&self) -> Result<(), EvolveError> {
        let file = || self.path.display().to_string();
        let now = match fs::read_to_string(&self.path) {
            Ok(now) => Some(now),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(EvolveError::File { file: file(), source }),
        };
        // A new one may be there from a run that was stopped on the way.
        let holds = now == self.before || now.as_ref() == Some(&self.after);
        if holds { Ok(()) } else { Err(EvolveError::Meddled(file())) }
    }

    /// Writes it, whole or not at all.
    pub(crate) fn write(&self) -> io::Result<()> {
        let mut beside = self.path.clone().into_os_string();
        beside.push(".new");
        fs::write(&beside, &self.after)?;
        fs::rename(&beside, &self.path)
    }
}

impl Draft {
    /// Of a folder, with a field that is asked for. What is there already is left as it is, so that one that was stopped
    /// half way is finished by the same words.
    pub(crate) fn new(path: &Path, add: Option<&NewField>) -> Result<Self, EvolveError> {
        let folder = Folder::whole(path);
        let Some(schema) = folder.contracts.placed.path.clone() else {
            return Err(EvolveError::NoSchema(path.join("../schemas/order_placed.avsc").display().to_string()));
        };
        let versions = schema.parent().map(|folder| folder.join(VERSIONS)).filter(|folder| folder.is_dir());
        let mut draft = Self { folder, edits: Vec::new(), versions };
        if let Some(field) = add {
            draft.schema(&schema, field)?;
            draft.stores(path, field)?;
        }
        draft.version()?;
        Ok(draft)
    }

    fn schema(&mut self, path: &Path, field: &NewField) -> Result<(), EvolveError> {
        let before = self.folder.contracts.placed.schema.clone();
        let wanted = field.json();
        let fields = rules::fields(&before).unwrap_or_default();
        if let Some(there) = fields.iter().find(|there| rules::name(there) == field.name) {
            let same = |key: &str| there.get(key) == wanted.get(key);
            if same("type") && same("default") {
                return Ok(());
            }
            let (there, wanted) = (there.get("type").map(Value::to_string), wanted.get("type").map(Value::to_string));
            return Err(EvolveError::Taken {
                name: field.name.clone(),
                there: there.unwrap_or_default(),
                wanted: wanted.unwrap_or_default(),
            });
        }
        let after = edit::schema(&before, &wanted)
            .ok_or_else(|| EvolveError::ByHand { file: path.display().to_string(), line: wanted.to_string() })?;
        self.folder.contracts.placed.schema.clone_from(&after);
        self.edits.push(Edit { path: path.to_owned(), before: Some(before), after });
        Ok(())
    }

    /// The tables and indexes that the topic's sinks write to.
    fn stores(&mut self, path: &Path, field: &NewField) -> Result<(), EvolveError> {
        let places = Places::of(&field.json()).ok_or_else(|| EvolveError::NoPlace(field.name.clone()))?;
        let (tables, indexes) = self.targets();
        let stores = path.join("stores");
        for (table, text) in self.folder.tables.iter_mut().filter(|(table, _)| tables.contains(&table.name)) {
            let columns = flow::columns(&table.sql, &table.name).unwrap_or_default();
            if columns.iter().any(|column| column.name == field.name) {
                continue;
            }
            let file = stores.join(format!("{}.sql", table.name));
            let after = edit::table(&table.sql, &table.name, &field.name, &places.column_type);
            let after = after.ok_or_else(|| EvolveError::ByHand {
                file: file.display().to_string(),
                line: format!("alter table {} add column if not exists {};", table.name, places.column),
            })?;
            self.edits.push(Edit { path: file, before: Some(table.sql.clone()), after: after.clone() });
            *text = Text::new(text.file.clone(), after.clone());
            table.sql = after;
        }
        for (index, text) in self.folder.indexes.iter_mut().filter(|(index, _)| indexes.contains(&index.name)) {
            let pointer = format!("/mappings/properties/{}", field.name);
            if index.body.pointer(&pointer).is_some() {
                continue;
            }
            let file = stores.join(format!("{}.index.json", index.name));
            let after = edit::index(&text.text, &field.name, &places.property);
            let after = after.ok_or_else(|| EvolveError::ByHand {
                file: file.display().to_string(),
                line: format!("\"{}\": {}", field.name, places.property),
            })?;
            self.edits.push(Edit { path: file, before: Some(text.text.clone()), after: after.clone() });
            index.body = nested(serde_json::from_str(&after).unwrap_or_default());
            *text = Text::new(text.file.clone(), after);
        }
        Ok(())
    }

    /// Names a module in the file of the one pipeline that writes the topic.
    pub(crate) fn fill(&mut self, module: &str) -> Result<(), EvolveError> {
        let topic = self.contract().topic;
        let writes = |document: &&mut Document| {
            document.connector.is_pipeline() && document.connector.setting("output.topic") == topic
        };
        let mut found: Vec<&mut Document> = self.folder.documents.iter_mut().filter(writes).collect();
        let count = found.len();
        let [document] = found.as_mut_slice() else {
            return Err(EvolveError::Pipelines { topic, count, module: module.to_owned() });
        };
        let (file, before) = (document.text.file.clone(), document.text.text.clone());
        let by_hand = || EvolveError::ModuleByHand { file: file.clone(), module: module.to_owned() };
        let after = edit::pipeline(&before, module).ok_or_else(by_hand)?;
        if after != before {
            let (text, mut found) = (Text::new(file.clone(), after.clone()), Vec::new());
            let edited = Document::read(text, &mut found);
            if !found.is_empty() {
                return Err(EvolveError::Findings(found));
            }
            **document = edited.ok_or_else(by_hand)?;
            self.edits.push(Edit { path: PathBuf::from(&file), before: Some(before), after });
        }
        Ok(())
    }

    /// Names of tables and of indexes.
    fn targets(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let (mut tables, mut indexes) = (BTreeSet::new(), BTreeSet::new());
        for sink in self.sinks() {
            match target::of(sink, self.contract().topic) {
                Some(Target::Table(name)) => tables.insert(name),
                Some(Target::Index(name)) => indexes.insert(name),
                None => false,
            };
        }
        (tables, indexes)
    }

    /// Those that read the topic.
    pub(crate) fn sinks(&self) -> impl Iterator<Item = &Connector> {
        let topic = self.contract().topic;
        let connectors = self.folder.documents.iter().map(|document| &document.connector);
        connectors
            .filter(move |one| !one.is_pipeline() && crate::connect::topics(&one.settings).iter().any(|t| t == topic))
    }

    pub(crate) fn contract(&self) -> &Contract {
        &self.folder.contracts.placed
    }

    /// The next version with its example: a record of the newest that was written, with samples in the new fields.
    fn version(&mut self) -> Result<(), EvolveError> {
        let Some(folder) = self.versions.clone() else { return Ok(()) };
        let failed = |source| EvolveError::File { file: folder.display().to_string(), source };
        let head = format!("{}.v", self.contract().topic);
        let number = |path: &PathBuf| path.file_stem()?.to_str()?.strip_prefix(&head)?.parse::<u32>().ok();
        let newest =
            rules::versions(&folder).map_err(failed)?.into_iter().filter_map(|path| Some((number(&path)?, path)));
        let Some((newest, path)) = newest.max() else { return Ok(()) };
        let older = fs::read_to_string(&path).map_err(failed)?;
        let schema = self.contract().schema.clone();
        let same = |one: &str, other: &str| {
            let json = |text: &str| serde_json::from_str::<Value>(text).ok();
            json(one).is_some() && json(one) == json(other)
        };
        let example = |number: u32| folder.join(format!("{head}{number}.example.json"));
        if same(&older, &schema) {
            return Ok(());
        }
        let before = fs::read_to_string(example(newest)).map_err(failed)?;
        // What is wrong with the schema is told by the rules, with the way out.
        if let Some(text) = example_of(&before, &older, &schema) {
            let next = newest + 1;
            self.edits.push(Edit { path: folder.join(format!("{head}{next}.avsc")), before: None, after: schema });
            self.edits.push(Edit { path: example(next), before: None, after: text });
        }
        Ok(())
    }
}

/// An example of the newer schema, made of one of the older.
fn example_of(example: &str, older: &str, newer: &str) -> Option<String> {
    let mut example: Value = serde_json::from_str(example).ok()?;
    let added: Vec<String> =
        rules::judge(older, newer).added.iter().map(|field| rules::name(field).to_owned()).collect();
    let widener = Widener::new(older, newer, &added).ok()?;
    let datum = bytes(example.get("datum")?.as_str()?)?;
    let written = widener.widen(&datum, true).ok()?;
    let hex: String = written.iter().map(|byte| format!("{byte:02x}")).collect();
    let reads_as = example.get_mut("reads_as")?.as_object_mut()?;
    for (name, shown) in widener.shown() {
        reads_as.insert(name.to_owned(), shown.clone());
    }
    let reads_as = reads_as.clone();
    serde_json::to_string_pretty(&json!({ "datum": hex, "reads_as": reads_as })).ok().map(|text| text + "\n")
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
