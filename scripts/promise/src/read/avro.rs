//! Framed Avro values, read with the writer's schema from the registry's Confluent API.
//!
//! The logical types are taken out of the schema before it is parsed: a decimal stays the bytes that were written, a
//! time stays a number, and nothing in between can round them.

use std::collections::{BTreeSet, HashMap};

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Avro;
use serde::Deserialize;

use super::{ReadError, Reading, Record, body, http};
use crate::decimal::Cents;
use crate::fieldset::{self, Kind};
use crate::row::{Item, Row, Value};

/// Bytes before the datum: 0x00 and the schema's id.
const FRAME: usize = 5;

/// Knows the writers' schemas.
#[derive(Debug)]
pub struct Decoder {
    client: reqwest::Client,
    registry: String,
    schemas: HashMap<u32, Result<Schema, String>>,
}

#[derive(Deserialize)]
struct Answer {
    schema: String,
}

impl Decoder {
    /// A decoder that asks this registry.
    ///
    /// # Errors
    /// When no HTTP client can be built.
    pub fn new(registry: &str) -> Result<Self, ReadError> {
        Ok(Self { client: http()?, registry: registry.to_owned(), schemas: HashMap::new() })
    }

    /// Fetches the schemas that these records were written with.
    ///
    /// # Errors
    /// When the registry cannot be asked. An id that it does not know is no error.
    pub async fn learn(&mut self, records: impl Iterator<Item = &Record>) -> Result<(), ReadError> {
        let ids: BTreeSet<u32> = records.filter_map(|record| frame(record).ok()).map(|(id, _)| id).collect();
        for id in ids {
            let url = format!("{}/schemas/ids/{id}", self.registry);
            let schema = match body(self.client.get(&url), &url).await? {
                None => Err(format!("the registry does not know schema {id}")),
                Some(bytes) => parse(&bytes),
            };
            self.schemas.insert(id, schema);
        }
        Ok(())
    }

    /// What the record says.
    ///
    /// # Errors
    /// In words, when it says nothing that can be read.
    pub fn row(&self, record: &Record) -> Reading {
        let (id, mut datum) = frame(record)?;
        let schema = self.schemas.get(&id).ok_or("its schema was not fetched")?.as_ref().map_err(Clone::clone)?;
        let reader = GenericDatumReader::builder(schema).build().map_err(|error| error.to_string())?;
        let value = reader.read_value(&mut datum).map_err(|error| format!("no datum: {error}"))?;
        if !datum.is_empty() {
            return Err(format!("{} bytes behind the datum", datum.len()));
        }
        match value {
            Avro::Record(fields) => {
                Ok(Row(fields.into_iter().map(|(name, value)| (name.clone(), field(&name, value))).collect()))
            }
            _ => Err("the value is no record".to_owned()),
        }
    }
}

fn frame(record: &Record) -> Result<(u32, &[u8]), String> {
    let value = record.value.as_deref().ok_or("no value")?;
    match value {
        [0, a, b, c, d, ..] => Ok((u32::from_be_bytes([*a, *b, *c, *d]), value.get(FRAME..).unwrap_or_default())),
        _ => Err("not framed for the registry".to_owned()),
    }
}

fn parse(bytes: &[u8]) -> Result<Schema, String> {
    let answer: Answer = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let mut schema: serde_json::Value = serde_json::from_str(&answer.schema).map_err(|error| error.to_string())?;
    without_logical_types(&mut schema);
    Schema::parse(&schema).map_err(|error| error.to_string())
}

fn without_logical_types(schema: &mut serde_json::Value) {
    match schema {
        serde_json::Value::Object(members) => {
            for name in ["logicalType", "precision", "scale"] {
                members.remove(name);
            }
            members.values_mut().for_each(without_logical_types);
        }
        serde_json::Value::Array(elements) => elements.iter_mut().for_each(without_logical_types),
        _ => {}
    }
}

fn field(name: &str, value: Avro) -> Value {
    let kind = fieldset::kind(name);
    match (kind, value) {
        (_, Avro::Union(_, inner)) => field(name, *inner),
        (_, Avro::Null) => Value::Null,
        (Kind::Text, Avro::String(text)) => Value::Text(text),
        (Kind::Whole | Kind::Time, Avro::Int(number)) => Value::Whole(i64::from(number)),
        (Kind::Whole | Kind::Time, Avro::Long(number)) => Value::Whole(number),
        (Kind::Money, Avro::Bytes(bytes)) => {
            cents(&bytes).map_or_else(|| Value::Broken(format!("{bytes:?}")), Value::Money)
        }
        (Kind::Items, Avro::String(json)) => items_json(&json),
        (Kind::Items, Avro::Array(items)) => {
            let broken = format!("{items:?}");
            items.into_iter().map(item).collect::<Option<Vec<Item>>>().map_or(Value::Broken(broken), Value::Items)
        }
        (_, other) => Value::Broken(format!("{other:?}")),
    }
}

/// The text for the table; its prices are numbers with two digits behind the point.
fn items_json(json: &str) -> Value {
    #[derive(Deserialize)]
    struct Price {
        unit_price: Box<serde_json::value::RawValue>,
    }
    let prices: Vec<Price> = serde_json::from_str(json).unwrap_or_default();
    let two_digits = |price: &Price| {
        Cents::parse(price.unit_price.get()).is_some_and(|cents| cents.to_string() == price.unit_price.get())
    };
    match fieldset::value(Kind::Items, json) {
        Value::Items(items) if items.len() == prices.len() && prices.iter().all(two_digits) => Value::Items(items),
        _ => Value::Broken(json.to_owned()),
    }
}

fn item(value: Avro) -> Option<Item> {
    let Avro::Record(fields) = value else { return None };
    let mut fields: HashMap<String, Avro> = fields.into_iter().collect();
    match (fields.remove("sku")?, fields.remove("quantity")?, fields.remove("unit_price")?) {
        (Avro::String(sku), Avro::Int(quantity), Avro::Bytes(price)) => {
            Some(Item { sku, quantity: i64::from(quantity), unit_price: cents(&price)? })
        }
        _ => None,
    }
}

/// Two's complement, big-endian, of any length up to 16 bytes.
fn cents(bytes: &[u8]) -> Option<Cents> {
    let first = bytes.first()?;
    let mut wide = [if first & 0x80 == 0 { 0 } else { 0xff }; 16];
    let start = wide.len().checked_sub(bytes.len())?;
    wide.get_mut(start..)?.copy_from_slice(bytes);
    Some(Cents(i128::from_be_bytes(wide)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_from_their_bytes() {
        for (bytes, expected) in [
            (&[0][..], Some(0)),
            (&[4, 226], Some(1_250)),
            (&[0, 128], Some(128)),
            (&[0xff], Some(-1)),
            (&[], None),
            (&[1; 17], None),
        ] {
            assert_eq!(cents(bytes), expected.map(Cents));
        }
    }

    #[test]
    fn what_is_no_frame_is_said() {
        let record = |value: Option<&[u8]>| Record {
            at: crate::row::Version { partition: 0, offset: 0 },
            key: None,
            value: value.map(<[u8]>::to_vec),
            headers: Vec::new(),
        };
        let decoder = Decoder::new("http://127.0.0.1:1").unwrap();
        assert_eq!(decoder.row(&record(None)).unwrap_err(), "no value");
        assert_eq!(decoder.row(&record(Some(b""))).unwrap_err(), "not framed for the registry");
        assert_eq!(decoder.row(&record(Some(b"\0\0\0\0\x07x"))).unwrap_err(), "its schema was not fetched");
    }

    #[test]
    fn prices_in_the_text_for_the_table_have_two_digits() {
        assert!(matches!(items_json(r#"[{"sku":"a","quantity":1,"unit_price":0.10}]"#), Value::Items(_)));
        assert!(matches!(items_json(r#"[{"sku":"a","quantity":1,"unit_price":0.1}]"#), Value::Broken(_)));
    }
}
