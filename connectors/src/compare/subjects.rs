//! Subjects of the registry: the newest schema beside that of the files, field by field, and the rule.

use std::collections::BTreeMap;

use schemas::registry::{Error, Registered, Registry};
use serde_json::Value;

use super::{Deadline, Difference, Place, Refusal, Thing, told};
use crate::apply::Target;
use crate::apply::subjects::COMPATIBILITY;
use crate::contracts::Contracts;
use crate::retry;

pub(super) async fn compare(target: &Target, contracts: &Contracts, deadline: Deadline) -> Result<Vec<Thing>, String> {
    let mut things = Vec::new();
    for contract in contracts.all() {
        let (subject, schema) = (contract.subject, contract.schema.as_str());
        let ask = || one(&target.registry, subject, schema, &contract.file);
        let thing = retry::until(deadline, "the schema registry", ask).await;
        things.push(thing.map_err(|err| told(&format!("subject {subject}"), err))?);
    }
    Ok(things)
}

async fn one(registry: &Registry, subject: &str, schema: &str, file: &str) -> Result<Thing, Error> {
    let mut thing = Thing::new("subject", subject, file);
    let newest = match registry.latest(subject).await {
        Ok(newest) => newest,
        Err(Error::UnknownSubject(_) | Error::UnknownSchema(_)) => {
            thing.place = Place::File;
            thing.differences = fields("{}", schema);
            thing.differences.push(Difference::new("compatibility", None, Some(COMPATIBILITY.to_owned())));
            return Ok(thing);
        }
        Err(err) => return Err(err),
    };
    match registry.id_of(subject, schema).await {
        Ok(id) if id == newest.id => {}
        Ok(id) => older(&mut thing, &newest, schema, id),
        Err(Error::UnknownSchema(_) | Error::UnknownSubject(_)) => {
            thing.differences = changed(&newest.schema, schema);
            let against = registry.incompatibilities(subject, schema).await?;
            let refusals = against.into_iter().map(|reason| Refusal::new("schema", reason));
            thing.refused.extend(refusals);
        }
        Err(err) => return Err(err),
    }
    let rule = registry.compatibility(subject).await?;
    if rule.as_deref() != Some(COMPATIBILITY) {
        thing.differences.push(Difference::new("compatibility", rule, Some(COMPATIBILITY.to_owned())));
    }
    Ok(thing)
}

/// Registering what is registered already makes nothing newer.
fn older(thing: &mut Thing, newest: &Registered, schema: &str, id: u32) {
    thing.differences = changed(&newest.schema, schema).into_iter().map(Difference::left).collect();
    thing.notes.push(format!(
        "the newest schema there has id {}, that of {} is id {id} and older: take the newer file or build, or delete its \
         version in the registry",
        newest.id, thing.file
    ));
}

/// Never nothing: a schema may differ in what is no field.
fn changed(there: &str, wanted: &str) -> Vec<Difference> {
    match fields(there, wanted) {
        found if found.is_empty() => {
            let text = |schema: &str| Some(schema.to_owned());
            vec![Difference::new("schema", text("another text"), text("the file's text"))]
        }
        found => found,
    }
}

/// The fields in which two record schemas differ.
fn fields(there: &str, wanted: &str) -> Vec<Difference> {
    let (there, wanted) = (by_name(there), by_name(wanted));
    let mut found = Vec::new();
    for (name, says) in &wanted {
        let has = there.get(name);
        if has != Some(says) {
            found.push(Difference::new(&format!("fields.{name}"), has.map(words), Some(words(says))));
        }
    }
    for (name, has) in there.iter().filter(|(name, _)| !wanted.contains_key(*name)) {
        found.push(Difference::new(&format!("fields.{name}"), Some(words(has)), None));
    }
    found
}

fn by_name(schema: &str) -> BTreeMap<String, Value> {
    let schema: Value = serde_json::from_str(schema).unwrap_or_default();
    let fields = schema.get("fields").and_then(Value::as_array).cloned().unwrap_or_default();
    let name = |field: &Value| Some(field.get("name")?.as_str()?.to_owned());
    fields.into_iter().filter_map(|field| Some((name(&field)?, field))).collect()
}

/// Its type, and its default.
fn words(field: &Value) -> String {
    let kind = field.get("type").map(kind).unwrap_or_default();
    match field.get("default") {
        Some(default) => format!("{kind} = {default}"),
        None => kind,
    }
}

fn kind(kind: &Value) -> String {
    match kind {
        Value::String(name) => name.clone(),
        Value::Array(branches) => branches.iter().map(self::kind).collect::<Vec<_>>().join("|"),
        Value::Object(complex) => match (complex.get("logicalType").and_then(Value::as_str), complex.get("type")) {
            (Some("decimal"), _) => {
                let part = |key: &str| complex.get(key).map(Value::to_string).unwrap_or_default();
                format!("decimal({},{})", part("precision"), part("scale"))
            }
            (Some(logical), _) => logical.to_owned(),
            (None, Some(Value::String(name))) if name == "array" => {
                format!("array of {}", complex.get("items").map(self::kind).unwrap_or_default())
            }
            (None, Some(Value::String(name))) if name == "record" => {
                complex.get("name").and_then(Value::as_str).unwrap_or("record").to_owned()
            }
            (None, Some(inner)) => self::kind(inner),
            (None, None) => kind.to_string(),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => kind.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_told_by_type_and_default() {
        let there = r#"{"type":"record","name":"O","fields":[{"name":"a","type":"string"},{"name":"gone","type":"int"},
            {"name":"m","type":{"type":"bytes","logicalType":"decimal","precision":15,"scale":2}}]}"#;
        let wanted = r#"{"type":"record","name":"O","fields":[{"name":"a","type":"string"},
            {"name":"m","type":["null",{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}],"default":null},
            {"name":"new","type":{"type":"array","items":"long"},"default":[]}]}"#;
        let found: Vec<_> = fields(there, wanted).into_iter().map(|one| (one.key, one.server, one.file)).collect();
        let text = |text: &str| Some(text.to_owned());
        let expected = [
            ("fields.m".to_owned(), text("decimal(15,2)"), text("null|decimal(12,2) = null")),
            ("fields.new".to_owned(), None, text("array of long = []")),
            ("fields.gone".to_owned(), text("int"), None),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn schemas_that_differ_in_words_only_still_differ() {
        assert_eq!(changed("{}", "{\"doc\":\"\"}").len(), 1);
    }
}
