//! The output schema, and what the processor alone writes into a record after the last module: the line items as JSON,
//! and where the input lay. Then Avro, then the registry's frame with the pinned id.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::{NamesRef, ResolvedSchema};
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use schemas::{codec, framing, json};

use super::divert::{Reason, Stage};
use super::read::text_at;
use super::splice::Splice;
use super::storable;
use super::writers::short;
use crate::kafka::Input;

/// The fields that the processor knows by name; an output schema without them is left alone.
mod field {
    pub(super) const ORDER_ID: &str = "order_id";
    pub(super) const ITEMS: &str = "items";
    pub(super) const ITEMS_JSON: &str = "items_json";
    pub(super) const PARTITION: &str = "received_partition";
    pub(super) const OFFSET: &str = "received_offset";
}

/// The kind of failure, where Connect has the exception's class.
pub const CLASS: &str = "orderflow.InvalidOutput";

/// The output schema, prepared.
pub struct Output {
    id: u32,
    /// The short way, where it is known.
    short: Option<Splice>,
    reader: GenericDatumReader<'static>,
    writer: GenericDatumWriter<'static>,
    names: NamesRef<'static>,
    order_id: Option<usize>,
    items: Option<(usize, &'static Schema)>,
    items_json: Option<Slot>,
    partition: Option<usize>,
    offset: Option<usize>,
}

/// Where a text goes: which field, and which branch of it when it is a union.
#[derive(Debug, Clone, Copy)]
struct Slot {
    at: usize,
    branch: Option<u32>,
}

impl Output {
    /// Prepares the output schema that values are framed with `id` for.
    ///
    /// # Errors
    /// When it is no record, or a field that the processor writes has another type.
    pub fn new(id: u32, text: &str) -> Result<Self, String> {
        let schema = kept(text)?;
        let Schema::Record(record) = schema else { return Err("the output schema is not a record".to_owned()) };
        let at = |name: &str| record.lookup.get(name).copied();
        let typed = |name: &str, fits: fn(&Schema) -> bool| match at(name).and_then(|at| record.fields.get(at)) {
            None => Ok(None),
            Some(field) if fits(&field.schema) => Ok(at(name)),
            Some(_) => Err(format!("field {name} of the output schema has a type that the processor cannot write")),
        };
        let items = at(field::ITEMS).and_then(|at| record.fields.get(at).map(|field| (at, &field.schema)));
        let items_json = at(field::ITEMS_JSON).and_then(|at| record.fields.get(at).map(|field| (at, &field.schema)));
        let items_json = match items_json {
            None => None,
            Some((at, schema)) => {
                Some(Slot::new(at, schema).ok_or("field items_json of the output schema must be a string")?)
            }
        };
        let resolved = ResolvedSchema::try_from(schema).map_err(|error| short(&error.to_string()))?;
        let failed = |error: apache_avro::Error| short(&error.to_string());
        Ok(Self {
            id,
            short: Splice::of(record, record).inspect_err(|why| tracing::debug!(why, "no short way for outputs")).ok(),
            reader: GenericDatumReader::builder(schema).human_readable(false).build().map_err(failed)?,
            // What is written was read with the same schema, or is one of the fields that were checked above.
            writer: GenericDatumWriter::builder(schema)
                .validate(false)
                .human_readable(false)
                .build()
                .map_err(failed)?,
            names: resolved.get_names().clone(),
            order_id: at(field::ORDER_ID),
            items,
            items_json,
            partition: typed(field::PARTITION, |schema| matches!(schema, Schema::Int))?,
            offset: typed(field::OFFSET, |schema| matches!(schema, Schema::Long))?,
        })
    }

    /// The id that values are framed with.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Which field must be the record's key; `None` when the output knows no orders.
    #[must_use]
    pub fn order_id(&self) -> Option<usize> {
        self.order_id
    }

    /// Whether its records carry the version by which the stores compare them.
    #[must_use]
    pub fn is_versioned(&self) -> bool {
        self.offset.is_some()
    }

    /// A datum from the last module as a framed value, with the processor's own fields set from `input`.
    ///
    /// # Errors
    /// When it is not a datum of the schema, or the order's id was changed.
    pub fn framed(&self, datum: &[u8], input: &Input) -> Result<Vec<u8>, Reason> {
        self.spliced(datum, input).map_or_else(|| self.framed_in_full(datum, input), Ok)
    }

    /// The same without decoding. `None` says nothing about the datum.
    fn spliced(&self, datum: &[u8], input: &Input) -> Option<Vec<u8>> {
        let fields = self.short.as_ref()?.read(datum)?;
        if let Some(at) = self.order_id.filter(|_| self.is_versioned()) {
            fields.text(at).filter(|id| input.key.as_deref() == Some(id.as_bytes()))?;
        }
        let items = match (self.items_json, self.items) {
            (Some(slot), Some((at, _))) => Some((slot, fields.json(at)?)),
            _ => None,
        };
        let (partition, offset) = input.received();
        let mut framed = Vec::with_capacity(datum.len() + 256);
        framed.extend_from_slice(&framing::header(self.id));
        for (at, field) in fields.iter().enumerate() {
            match &items {
                Some((slot, text)) if slot.at == at => slot.put(text, &mut framed),
                _ if self.partition == Some(at) => codec::put_long(&mut framed, partition.into()),
                _ if self.offset == Some(at) => codec::put_long(&mut framed, offset),
                _ => framed.extend_from_slice(field),
            }
        }
        Some(framed)
    }

    fn framed_in_full(&self, datum: &[u8], input: &Input) -> Result<Vec<u8>, Reason> {
        let mut rest = datum;
        let mut value =
            self.reader.read_value(&mut rest).map_err(|error| invalid("is not a datum of the schema", &error))?;
        if !rest.is_empty() {
            return Err(Reason::new(
                Stage::Transformation,
                CLASS,
                format!("output has {} bytes behind its end", rest.len()),
            ));
        }
        if self.is_versioned()
            && self.order_id.is_some_and(|at| text_at(&value, at).map(str::as_bytes) != input.key.as_deref())
        {
            return Err(Reason::new(Stage::Transformation, CLASS, "output has another order_id than its input"));
        }
        self.set_own_fields(&mut value, input)?;
        if let Some(why) = storable::fault(&value) {
            return Err(Reason::new(Stage::Transformation, CLASS, why));
        }
        let mut framed = Vec::with_capacity(datum.len() + 256);
        framed.extend_from_slice(&framing::header(self.id));
        self.writer.write_value_ref(&mut framed, &value).map_err(|error| invalid("cannot be written", &error))?;
        Ok(framed)
    }

    fn set_own_fields(&self, value: &mut Value, input: &Input) -> Result<(), Reason> {
        let Value::Record(fields) = value else {
            return Err(Reason::new(Stage::Transformation, CLASS, "output is not a record"));
        };
        if let (Some(slot), Some((at, schema))) = (self.items_json, self.items) {
            let mut text = String::new();
            if let Some((_, items)) = fields.get(at) {
                json::write(items, schema, &self.names, &mut text)
                    .map_err(|error| Reason::new(Stage::Transformation, CLASS, error.to_string()))?;
            }
            set(fields, slot.at, slot.value(text));
        }
        let (partition, offset) = input.received();
        if let Some(at) = self.partition {
            set(fields, at, Value::Int(partition));
        }
        if let Some(at) = self.offset {
            set(fields, at, Value::Long(offset));
        }
        Ok(())
    }
}

/// The parsed schema, kept for as long as the process runs: what is prepared from it borrows it. There is one for each
/// version of an output's schema.
pub(super) fn kept(text: &str) -> Result<&'static Schema, String> {
    static KEPT: LazyLock<Mutex<HashMap<String, &'static Schema>>> = LazyLock::new(Mutex::default);
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(schema) = kept.get(text) {
        return Ok(schema);
    }
    let schema = Schema::parse_str(text).map_err(|error| short(&error.to_string()))?;
    let schema: &'static Schema = Box::leak(Box::new(schema));
    kept.insert(text.to_owned(), schema);
    Ok(schema)
}

impl Slot {
    fn new(at: usize, schema: &Schema) -> Option<Self> {
        match schema {
            Schema::String => Some(Self { at, branch: None }),
            Schema::Union(union) => {
                let branch = union.variants().iter().position(|schema| matches!(schema, Schema::String))?;
                Some(Self { at, branch: Some(u32::try_from(branch).ok()?) })
            }
            _ => None,
        }
    }

    fn put(self, text: &str, out: &mut Vec<u8>) {
        if let Some(branch) = self.branch {
            codec::put_long(out, branch.into());
        }
        codec::put_bytes(out, text.as_bytes());
    }

    fn value(self, text: String) -> Value {
        let text = Value::String(text);
        self.branch.map_or_else(|| text.clone(), |branch| Value::Union(branch, Box::new(text.clone())))
    }
}

fn set(fields: &mut [(String, Value)], at: usize, value: Value) {
    if let Some(field) = fields.get_mut(at) {
        field.1 = value;
    }
}

fn invalid(what: &str, error: &apache_avro::Error) -> Reason {
    Reason::new(Stage::Transformation, CLASS, format!("output {what}: {}", short(&error.to_string())))
}

#[cfg(test)]
mod tests;
