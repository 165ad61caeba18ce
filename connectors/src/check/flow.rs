//! Whether what a pipeline writes can be stored: the fields of a topic's schema, as a sink's transforms leave them, against
//! the table and the mapping that `stores/` has for it. Without this a new field is found out by a sink that stops.
//!
//! Offline, from the files and the schemas of this build. What it cannot know it does not judge: another topic's schema,
//! a table that no file makes, a transform of a type that is not known here.

mod schema;
mod table;

use schemas::contracts::{ORDER_PLACED_AVSC, ORDERS_RECEIVED_AVSC};
use schemas::names::topics;
use serde_json::Value;

use crate::files::{Connector, Deployment, Fault, Index, fault};
use crate::names::{CAMEL_CLASS, JDBC_CLASS};

use schema::{Field, Kind};
use table::Column;

/// Everything that does not fit, over all sinks.
#[must_use]
pub fn faults(all: &Deployment) -> Vec<Fault> {
    let mut found = Vec::new();
    for sink in &all.sinks {
        for topic in sink.setting("topics").split(',').map(str::trim) {
            let Some(fields) = known(topic).and_then(|text| through(sink, schema::fields(text)?)) else { continue };
            match sink.setting("connector.class") {
                JDBC_CLASS => found.extend(into_table(all, sink, topic, &fields)),
                CAMEL_CLASS => found.extend(into_index(all, sink, topic, &fields)),
                _ => {}
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

fn known(topic: &str) -> Option<&'static str> {
    match topic {
        topics::ORDER_PLACED => Some(ORDER_PLACED_AVSC),
        topics::ORDERS_RECEIVED => Some(ORDERS_RECEIVED_AVSC),
        _ => None,
    }
}

/// The fields behind a sink's transforms; `None` when one of them may do anything.
fn through(sink: &Connector, mut fields: Vec<Field>) -> Option<Vec<Field>> {
    for alias in sink.setting("transforms").split(',').map(str::trim).filter(|alias| !alias.is_empty()) {
        let setting = |name: &str| sink.setting(&format!("transforms.{alias}.{name}"));
        let list = |name: &str| setting(name).split(',').map(str::trim).filter(|item| !item.is_empty());
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

fn into_table(all: &Deployment, sink: &Connector, topic: &str, fields: &[Field]) -> Vec<Fault> {
    let name = sink.setting("collection.name.format").replace("${topic}", topic);
    let name = if name.is_empty() { topic.to_owned() } else { name };
    let Some((file, columns)) = all.tables.iter().find_map(|file| Some((file, table::columns(&file.sql, &name)?)))
    else {
        return Vec::new();
    };
    let file = format!("{}.sql", file.name);
    let mut found = Vec::new();
    let grows = !matches!(sink.setting("schema.evolution"), "" | "none");
    for field in fields {
        let says =
            |what: String| fault(&file, &field.name, &format!("{topic} has this field ({}); {what}", field.kind));
        match columns.iter().find(|column| column.name == field.name) {
            None if grows => {}
            None => found.push(says(match field.kind.column() {
                Some(column) => format!(
                    "table {name} has no such column, so {} would stop; add `{} {column}`, or exclude the field in the sink",
                    sink.name, field.name
                ),
                None => format!("no column can hold it; exclude the field in {}", sink.name),
            })),
            Some(column) if !field.kind.fits_column(&column.kind) => found.push(says(format!(
                "column {name}.{} is {}, which does not hold every value of it; make it {}",
                column.name,
                column.kind,
                field.kind.column().unwrap_or_else(|| "another type, or exclude the field".to_owned())
            ))),
            Some(column) if field.nullable && column.required => found.push(says(format!(
                "column {name}.{} is not null and the field may be null; drop the constraint",
                column.name
            ))),
            Some(_) => {}
        }
    }
    let unfilled = |column: &&Column| {
        column.required && !column.has_default && !fields.iter().any(|field| field.name == column.name)
    };
    found.extend(columns.iter().filter(unfilled).map(|column| {
        let what = format!(
            "column {name}.{} is not null and has no default, and {topic} has no such field, so {} would stop; give it a \
             default, or drop the constraint",
            column.name, sink.name
        );
        fault(&file, &column.name, &what)
    }));
    found
}

fn into_index(all: &Deployment, sink: &Connector, topic: &str, fields: &[Field]) -> Vec<Fault> {
    let url = sink.setting("camel.sink.url");
    let options = url.split_once('?').map_or("", |(_, options)| options);
    let name = options.split('&').find_map(|option| option.strip_prefix("indexName=")).unwrap_or_default();
    let Some(index) = all.indexes.iter().find(|index| index.name == name) else { return Vec::new() };
    let mut found = Vec::new();
    let mapping = index.body.get("mappings").unwrap_or(&Value::Null);
    documents(index, sink, topic, ("", mapping, is_strict(mapping, false)), fields, &mut found);
    found
}

fn documents(
    index: &Index,
    sink: &Connector,
    topic: &str,
    (path, mapping, strict): (&str, &Value, bool),
    fields: &[Field],
    found: &mut Vec<Fault>,
) {
    let file = format!("{}.index.json", index.name);
    for field in fields {
        let at = format!("{path}{}", field.name);
        let says = |what: String| fault(&file, &at, &format!("{topic} has this field ({}); {what}", field.kind));
        let property = mapping.get("properties").and_then(|properties| properties.get(&field.name));
        let Some(property) = property else {
            if strict {
                found.push(says(format!(
                    "the mapping is strict and has no such property, so {} would stop; add {{\"type\": \"{}\"}}, or exclude \
                     the field in the sink",
                    sink.name,
                    field.kind.property()
                )));
            }
            continue;
        };
        let kind = property.get("type").and_then(Value::as_str).unwrap_or("object");
        if !field.kind.fits_property(kind) {
            let wanted = field.kind.property();
            found.push(says(format!(
                "the property is of type {kind}, which does not take every value of it; make it {wanted}"
            )));
        } else if let Kind::Items(inner) | Kind::Record(inner) = &field.kind {
            let inside = (format!("{at}."), is_strict(property, strict));
            documents(index, sink, topic, (&inside.0, property, inside.1), inner, found);
        }
    }
}

fn is_strict(mapping: &Value, outer: bool) -> bool {
    mapping.get("dynamic").map_or(outer, |dynamic| dynamic.as_str() == Some("strict"))
}

#[cfg(test)]
mod tests;
