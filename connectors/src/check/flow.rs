//! Whether what a pipeline writes can be stored: the fields of a topic's schema, as a sink's transforms and its own list
//! of fields leave them, against the table and the mapping that `stores/` has for it. Without this a new field is found out
//! by a sink that stops.
//!
//! Offline, from the files and the schemas beside them. What it cannot know it does not judge: another topic's schema,
//! a table that no file makes, a transform of a type that is not known here, columns that a strategy names.

mod list;
pub(crate) mod schema;
mod table;

pub(crate) use table::{columns, statements};

use schemas::names::topics::ORDER_PLACED;
use serde_json::Value;

use super::plugins::{self, Store};
use super::split;
use super::target::{self, Target};
use crate::files::{At, Connector, Document, Folder, Index, Text};
use crate::finding::{Finding, Rule};
use crate::rules;

use list::List;
use schema::{Field, Kind};
use table::Column;

/// Everything that does not fit, over all sinks.
pub(crate) fn findings(folder: &Folder) -> Vec<Finding> {
    let mut found = Vec::new();
    for document in &folder.documents {
        let sink = &document.connector;
        for topic in split(sink.setting("topics")) {
            let known = folder.contracts.of_topic(topic);
            let Some(record) = known.and_then(|text| written(sink, topic, schema::fields(text)?)) else { continue };
            match target::of(sink, topic) {
                Some(Target::Table(name)) => found.extend(into_table(folder, document, (topic, &name), &record)),
                Some(Target::Index(name)) => found.extend(into_index(folder, document, (topic, &name), &record.fields)),
                None => {}
            }
        }
    }
    // Two sinks of one table tell the same.
    found.sort();
    found.dedup();
    found
}

/// What of these fields of `order_placed` a sink writes; `None` where that cannot be told.
pub(crate) fn through(sink: &Connector, fields: Vec<Field>) -> Option<Vec<Field>> {
    Some(written(sink, ORDER_PLACED, fields)?.fields)
}

/// What a sink writes of a record.
struct Written {
    fields: Vec<Field>,
    /// What its own list leaves out.
    left_out: Vec<Field>,
}

/// What a sink writes of a topic with these fields; `None` where that cannot be told.
fn written(sink: &Connector, topic: &str, fields: Vec<Field>) -> Option<Written> {
    // Columns may have other names than fields.
    if sink.settings.keys().any(|key| key.starts_with("column.naming.")) {
        return None;
    }
    let fields = transformed(sink, fields)?;
    let Some(list) = List::of(sink) else { return Some(Written { fields, left_out: Vec::new() }) };
    if list.is_provided() {
        return None;
    }
    let (fields, left_out) = fields.into_iter().partition(|field| list.takes(topic, &field.name));
    Some(Written { fields, left_out })
}

/// The fields behind a sink's transforms; `None` when one of them may do anything.
fn transformed(sink: &Connector, mut fields: Vec<Field>) -> Option<Vec<Field>> {
    for alias in split(sink.setting("transforms")) {
        let setting = |name: &str| sink.setting(&format!("transforms.{alias}.{name}"));
        let list = |name: &str| split(setting(name));
        let kind = setting("type").rsplit('.').next().unwrap_or_default();
        match kind {
            // They look, add headers or change the writing, not the fields.
            "Filter" | "InsertHeader" | "DropHeaders" | "SchemaAndStructToJsonTransform" => {}
            _ if !setting("predicate").is_empty() => return None,
            "HeaderFrom$Value" if setting("operation") == "copy" => {}
            "HeaderFrom$Value" => fields.retain(|field| !list("fields").any(|name| name == field.name)),
            "HeaderToValue" => fields.extend(list("fields").map(Field::header)),
            "ReplaceField$Value" => {
                fields.retain(|field| !list("exclude").any(|name| name == field.name));
                if !setting("include").is_empty() {
                    fields.retain(|field| list("include").any(|name| name == field.name));
                }
                for (from, to) in list("renames").filter_map(|pair| pair.split_once(':')) {
                    fields.iter_mut().filter(|field| field.name == from).for_each(|field| field.name = to.to_owned());
                }
            }
            _ => return None,
        }
    }
    Some(fields)
}

/// A finding in a file of `stores/`, at a byte of it.
struct Misfit<'a> {
    rule: &'static Rule,
    text: &'a Text,
    at: usize,
    field: &'a str,
}

impl Misfit<'_> {
    fn says(&self, message: &str, fix: &str) -> Finding {
        self.text.finding(self.rule, self.at, self.field, message, fix)
    }
}

fn no_store(document: &Document, (topic, name): (&str, &str), what: &str, file: &str) -> Finding {
    let message = format!("`{topic}` goes into the {what} `{name}`, which no file of stores/ makes");
    let fix = format!("add stores/{file}, or write to what is there");
    let place = document.place(At::Part("topics", topic));
    Finding::new(&rules::NO_STORE, (&document.text.file, place), "topics", &message, &fix)
}

fn into_table(folder: &Folder, document: &Document, (topic, name): (&str, &str), record: &Written) -> Vec<Finding> {
    let sink = &document.connector;
    let made = folder.tables.iter().find_map(|(file, text)| Some((text, columns(&file.sql, name)?)));
    let Some((text, columns)) = made else {
        // Without any store there is nothing to hold it against.
        let any = !folder.tables.is_empty();
        return if any { vec![no_store(document, (topic, name), "table", &format!("{name}.sql"))] } else { Vec::new() };
    };
    let mut found = Vec::new();
    let grows = grows(sink);
    for field in &record.fields {
        let at = table::offset(&text.text, name, &field.name);
        let misfit = Misfit { rule: &rules::TABLE_FIT, text, at, field: &field.name };
        let has = format!("{topic} has this field ({})", field.kind);
        match columns.iter().find(|column| column.name == field.name) {
            None if grows => {}
            None => {
                let fix = match field.kind.column() {
                    Some(column) => format!("add `{} {column}`, or exclude the field in {}", field.name, sink.name),
                    None => format!("no column can hold it; exclude the field in {}", sink.name),
                };
                let message = format!("{has}; table {name} has no such column, so {} would stop", sink.name);
                found.push(misfit.says(&message, &fix));
            }
            Some(column) if !field.kind.fits_column(&column.kind) => {
                let wanted = field.kind.column().unwrap_or_else(|| "another type, or exclude the field".to_owned());
                let message = format!(
                    "{has}; column {name}.{} is {}, which does not hold every value of it",
                    column.name, column.kind
                );
                found.push(misfit.says(&message, &format!("make it {wanted}")));
            }
            Some(column) if field.nullable && column.required => {
                let message = format!("{has}; column {name}.{} is not null and the field may be null", column.name);
                found.push(misfit.says(&message, "drop the constraint"));
            }
            Some(_) => {}
        }
    }
    let unfilled = |column: &&Column| column.required && !column.has_default && !among(&record.fields, &column.name);
    found.extend(columns.iter().filter(unfilled).map(|column| {
        let at = table::offset(&text.text, name, &column.name);
        let misfit = Misfit { rule: &rules::TABLE_FIT, text, at, field: &column.name };
        let what = format!("column {name}.{} is not null and has no default", column.name);
        let change = "give it a default, or drop the constraint";
        match List::of(sink).filter(|_| among(&record.left_out, &column.name)) {
            Some(list) => misfit.says(
                &format!("{what}, and {} leaves this field of {topic} out, so {} would stop", list.key, sink.name),
                &format!("{} of {}, {change}", list.way_out(&column.name), sink.name),
            ),
            None => misfit.says(&format!("{what}, and {topic} has no such field, so {} would stop", sink.name), change),
        }
    }));
    found
}

fn among(fields: &[Field], name: &str) -> bool {
    fields.iter().any(|field| field.name == name)
}

/// The sink adds columns that are not there.
fn grows(sink: &Connector) -> bool {
    let Some(Store::Rows(words)) = plugins::of(sink.setting("connector.class")).map(|plugin| plugin.store) else {
        return false;
    };
    words
        .grows
        .iter()
        .any(|(key, quiet)| !matches!(sink.setting(key), "") && !sink.setting(key).eq_ignore_ascii_case(quiet))
}

fn into_index(folder: &Folder, document: &Document, (topic, name): (&str, &str), fields: &[Field]) -> Vec<Finding> {
    let Some((index, text)) = folder.indexes.iter().find(|(index, _)| index.name == name) else {
        let any = !folder.indexes.is_empty();
        let file = format!("{name}.index.json");
        return if any { vec![no_store(document, (topic, name), "index", &file)] } else { Vec::new() };
    };
    let mapping = index.body.get("mappings").unwrap_or(&Value::Null);
    let mut documents = Documents { text, index, sink: &document.connector, topic, found: Vec::new() };
    documents.check(&mut vec!["mappings".to_owned()], (mapping, is_strict(mapping, false)), fields);
    documents.found
}

/// Documents against the mapping of their index.
struct Documents<'a> {
    text: &'a Text,
    index: &'a Index,
    sink: &'a Connector,
    topic: &'a str,
    found: Vec<Finding>,
}

impl Documents<'_> {
    /// One level of the mapping, at a path of keys in the file.
    fn check(&mut self, path: &mut Vec<String>, (mapping, strict): (&Value, bool), fields: &[Field]) {
        path.push("properties".to_owned());
        for field in fields {
            path.push(field.name.clone());
            let property = mapping.get("properties").and_then(|properties| properties.get(&field.name));
            let Some(property) = property else {
                if strict {
                    self.lacks(path, field);
                }
                path.pop();
                continue;
            };
            let kind = property.get("type").and_then(Value::as_str).unwrap_or("object");
            if !field.kind.fits_property(kind) {
                let message = format!(
                    "{} has this field ({}); the property is of type {kind}, which does not take every value of it",
                    self.topic, field.kind
                );
                self.tell(path, &message, &format!("make it {}", field.kind.property()));
            } else if let Kind::Items(inner) | Kind::Record(inner) = &field.kind {
                self.check(path, (property, is_strict(property, strict)), inner);
            }
            path.pop();
        }
        path.pop();
    }

    fn lacks(&mut self, path: &[String], field: &Field) {
        let message = format!(
            "{} has this field ({}); the mapping of {} is strict and has no such property, so {} would stop",
            self.topic, field.kind, self.index.name, self.sink.name
        );
        let fix =
            format!("add {{\"type\": \"{}\"}}, or exclude the field in {}", field.kind.property(), self.sink.name);
        self.tell(path, &message, &fix);
    }

    fn tell(&mut self, path: &[String], message: &str, fix: &str) {
        let keys: Vec<&str> = path.iter().map(String::as_str).collect();
        // Where the property is missing, its place is where it would stand.
        let at = (1..=keys.len()).rev().find_map(|deep| self.text.member(keys.get(..deep)?)).unwrap_or_default();
        let names: Vec<&str> = keys.iter().skip(1).filter(|key| **key != "properties").copied().collect();
        let misfit = Misfit { rule: &rules::MAPPING_FIT, text: self.text, at, field: &names.join(".") };
        self.found.push(misfit.says(message, fix));
    }
}

fn is_strict(mapping: &Value, outer: bool) -> bool {
    mapping.get("dynamic").map_or(outer, |dynamic| dynamic.as_str() == Some("strict"))
}

#[cfg(test)]
mod tests;
