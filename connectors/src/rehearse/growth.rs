//! A schema with new fields, rehearsed before any server knows it: the edited side gets its records written by it, the
//! newer half of them with samples in the new fields, and a store that has a place for them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use schemas::framing;
use schemas::registry::{Error, Registry};
use schemas::widen::{WidenError, Widener};
use serde_json::Value;

use super::RehearseError;
use crate::kafka::record::Record;

/// What is new.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Growth {
    /// The whole schema.
    pub schema: String,
    /// The fields that are new in it.
    pub fields: Vec<String>,
    /// The columns that a table gets, as `alter table … add column` takes them.
    pub columns: Vec<String>,
    /// The properties that an index gets.
    pub properties: BTreeMap<String, Value>,
}

impl Growth {
    /// These records, written by the new schema under its id for the time of the rehearsal. What is no order of a schema
    /// that is known stays as it is: it is poison before and after.
    pub(super) async fn grown(
        &self,
        registry: &Registry,
        id: u32,
        records: &[Record],
    ) -> Result<Vec<Record>, RehearseError> {
        let mut wideners = BTreeMap::<u32, Option<Widener>>::new();
        let mut grown = Vec::with_capacity(records.len());
        for (at, record) in records.iter().enumerate() {
            let framed = record.value.as_deref().and_then(|value| framing::split(value).ok());
            let Some((writer, datum)) = framed else {
                grown.push(record.clone());
                continue;
            };
            let widener = match wideners.entry(writer) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => place.insert(self.widener(registry, writer).await?),
            };
            let widened = widener.as_ref().and_then(|widener| widener.widen(datum, records.len() <= 2 * at + 1).ok());
            let value =
                widened.map(|datum| [&framing::header(id)[..], &datum].concat()).or_else(|| record.value.clone());
            grown.push(Record { value, ..record.clone() });
        }
        Ok(grown)
    }

    async fn widener(&self, registry: &Registry, writer: u32) -> Result<Option<Widener>, RehearseError> {
        let older = match registry.by_id(writer).await {
            Ok(registered) => registered,
            Err(Error::UnknownId(_)) => return Ok(None),
            Err(err) => return Err(err.into()),
        };
        match Widener::new(&older.schema, &self.schema, &self.fields) {
            Ok(widener) => Ok(Some(widener)),
            Err(err @ WidenError::NoSample(_)) => Err(RehearseError::Growth(err)),
            Err(WidenError::Schema(_)) => Ok(None),
        }
    }
}
