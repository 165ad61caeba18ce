//! Values for people: unframed, read by the schema that they were written with. The schemas come from the registry.

use std::collections::BTreeMap;

use schemas::fields::{Field, Reader};
use schemas::framing;
use schemas::registry::Registry;

/// Knows the writers' schemas that it was asked to learn.
#[derive(Debug)]
pub struct Decoder {
    registry: Registry,
    readers: BTreeMap<u32, Result<Reader, String>>,
}

impl Decoder {
    /// Asks this registry.
    #[must_use]
    pub fn new(registry: Registry) -> Self {
        Self { registry, readers: BTreeMap::new() }
    }

    /// Fetches the schemas of these values. One that cannot be had is said where a value is read by it.
    pub async fn learn<'a>(&mut self, values: impl Iterator<Item = Option<&'a [u8]>>) {
        for value in values.flatten() {
            let Ok((id, _)) = framing::split(value) else { continue };
            if !self.readers.contains_key(&id) {
                let reader = match self.registry.by_id(id).await {
                    Ok(registered) => Reader::new(&registered.schema).map_err(|err| format!("schema {id}: {err}")),
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
            Ok(registered) => Reader::new(&registered.schema).map_err(|err| format!("schema {id}: {err}")),
            Err(err) if err.is_transient() => return Err(err),
            Err(err) => Err(err.to_string()),
        };
        self.readers.insert(id, reader);
        Ok(())
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
