//! Values for people: unframed, read by the schema that they were written with. The schemas come from the registry.

use std::collections::{BTreeMap, BTreeSet};

use schemas::fields::{Field, Reader};
use schemas::framing;
use schemas::registry::Registry;
use serde_json::Value;

/// Knows the writers' schemas that it was asked to learn.
#[derive(Debug)]
pub struct Decoder {
    registry: Registry,
    readers: BTreeMap<u32, Result<Reader, String>>,
    /// What fields have where a record lacks them, as JSON: fields of the whole value, and no values of bytes.
    defaults: BTreeSet<(String, String)>,
}

impl Decoder {
    /// Asks this registry.
    #[must_use]
    pub fn new(registry: Registry) -> Self {
        Self { registry, readers: BTreeMap::new(), defaults: BTreeSet::new() }
    }

    /// Fetches the schemas of these values. One that cannot be had is said where a value is read by it.
    pub async fn learn<'a>(&mut self, values: impl Iterator<Item = Option<&'a [u8]>>) {
        for value in values.flatten() {
            let Ok((id, _)) = framing::split(value) else { continue };
            if !self.readers.contains_key(&id) {
                let reader = match self.registry.by_id(id).await {
                    Ok(registered) => self.reader(id, &registered.schema),
                    Err(err) => Err(err.to_string()),
                };
                self.readers.insert(id, reader);
            }
        }
    }

    /// Fetches the schema of one value. That the registry does not know it is said where a value is read by it.
    ///
    /// # Errors
    /// Where the registry cannot be asked: then nothing is known of the value.
    pub async fn need(&mut self, value: &[u8]) -> Result<(), schemas::registry::Error> {
        let Ok((id, _)) = framing::split(value) else { return Ok(()) };
        if self.knows(id) {
            return Ok(());
        }
        let reader = match self.registry.by_id(id).await {
            Ok(registered) => self.reader(id, &registered.schema),
            Err(err) if err.is_transient() => return Err(err),
            Err(err) => Err(err.to_string()),
        };
        self.readers.insert(id, reader);
        Ok(())
    }

    fn reader(&mut self, id: u32, schema: &str) -> Result<Reader, String> {
        let reader = Reader::new(schema).map_err(|err| format!("schema {id}: {err}"))?;
        self.defaults.extend(defaults(schema));
        Ok(reader)
    }

    /// Whether a schema that was learned gives this value to a field that a record lacks.
    #[must_use]
    pub fn is_default(&self, field: &str, json: &str) -> bool {
        self.defaults.contains(&(field.to_owned(), json.to_owned()))
    }

    /// Whether it was asked to learn this schema.
    #[must_use]
    pub fn knows(&self, id: u32) -> bool {
        self.readers.contains_key(&id)
    }

    /// What a value says.
    ///
    /// # Errors
    /// In words, where it says nothing that can be read.
    pub fn fields(&self, value: Option<&[u8]>) -> Result<Vec<Field>, String> {
        let value = value.ok_or("it has no value")?;
        let (id, datum) = framing::split(value).map_err(|err| err.to_string())?;
        let reader = self.readers.get(&id).ok_or_else(|| format!("schema {id} was not fetched"))?;
        reader.as_ref().map_err(Clone::clone)?.read(datum).map_err(|err| err.to_string())
    }
}

fn defaults(schema: &str) -> Vec<(String, String)> {
    let schema: Value = serde_json::from_str(schema).unwrap_or_default();
    let fields = schema.get("fields").and_then(Value::as_array);
    let given = |field: &Value| Some((field.get("name")?.as_str()?.to_owned(), field.get("default")?.to_string()));
    fields.into_iter().flatten().filter_map(given).collect()
}

/// The version that an order of `order_placed` carries: partition and offset of its receipt.
#[must_use]
pub fn version(fields: &[Field]) -> Option<(i32, i64)> {
    let number = |path: &str| fields.iter().find(|field| field.path == path)?.json.parse::<i64>().ok();
    let (partition, offset) = (number("received_partition")?, number("received_offset")?);
    (0 <= offset).then_some((i32::try_from(partition).ok().filter(|partition| 0 <= *partition)?, offset))
}

/// Text of strangers for a screen: what would move the cursor is shown as a mark.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_is_what_a_schema_gives_to_a_field_and_to_no_other() {
        let schema = r#"{"type":"record","name":"o","fields":[{"name":"id","type":"string"},
            {"name":"count","type":"int","default":0},{"name":"band","type":"string","default":"low"}]}"#;
        let mut decoder = Decoder::new(Registry::new("http://127.0.0.1:1").unwrap());
        decoder.reader(1, schema).unwrap();
        assert!(decoder.is_default("count", "0") && decoder.is_default("band", "\"low\""));
        assert!(!decoder.is_default("count", "1") && !decoder.is_default("id", "0"));
    }
}
