//! From two schemas to a [`Splice`], or why there is none. Known are records whose fields are the same in both, or only in
//! the writer's, or have a default in the reader's; and of types those that are copied without a change. What apache-avro
//! would turn into something else (a promotion, an alias, another union) and what it does not write back byte for byte
//! (maps) is not covered.

use apache_avro::Schema;
use apache_avro::schema::{DecimalSchema, InnerDecimalSchema, RecordField, RecordSchema, UnionSchema};
use schemas::codec;
use serde_json::Value as Json;

use super::{Shape, Source, Splice};

/// An order has three levels. Names are not followed, so a type never stands inside itself.
const MAX_DEPTH: usize = 16;

impl Splice {
    /// Prepares copying datums of `writer` as datums of `reader` (both the text of an Avro schema that apache-avro has
    /// resolved before).
    ///
    /// # Errors
    /// The first thing that is not covered.
    pub(crate) fn compile(writer: &str, reader: &str) -> Result<Self, String> {
        Self::of(&record(writer)?, &record(reader)?)
    }

    /// The same of schemas that are parsed.
    ///
    /// # Errors
    /// The first thing that is not covered.
    pub(crate) fn of(from: &RecordSchema, to: &RecordSchema) -> Result<Self, String> {
        let written =
            from.fields.iter().map(|field| shape(&field.schema, 0).map_err(|why| format!("{}: {why}", field.name)));
        let written = written.collect::<Result<Vec<Shape>, String>>()?;
        let read =
            to.fields.iter().map(|field| source(field, from, &written).map_err(|why| format!("{}: {why}", field.name)));
        Ok(Self { read: read.collect::<Result<_, _>>()?, written })
    }
}

fn record(text: &str) -> Result<RecordSchema, String> {
    match Schema::parse_str(text) {
        Ok(Schema::Record(record)) => Ok(record),
        Ok(_) => Err("not a record".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn source(field: &RecordField, from: &RecordSchema, written: &[Shape]) -> Result<Source, String> {
    if !field.aliases.is_empty() {
        return Err("has aliases".to_owned());
    }
    let Some(at) = from.fields.iter().position(|other| other.name == field.name) else {
        let default = field.default.as_ref().and_then(|value| default(&field.schema, value));
        return default.map(Source::Default).ok_or_else(|| "has no default that is known here".to_owned());
    };
    if written.get(at) == Some(&shape(&field.schema, 0)?) {
        return Ok(Source::Writer(at));
    }
    Err("is not the same in both schemas".to_owned())
}

fn shape(schema: &Schema, depth: usize) -> Result<Shape, String> {
    if MAX_DEPTH < depth {
        return Err(format!("has more than {MAX_DEPTH} levels"));
    }
    Ok(match schema {
        Schema::Boolean => Shape::Boolean,
        Schema::Int => Shape::Int,
        Schema::Date => Shape::Date,
        Schema::Long => Shape::Long,
        Schema::TimestampMillis => Shape::TimestampMillis,
        Schema::TimestampMicros => Shape::TimestampMicros,
        Schema::Bytes => Shape::Bytes,
        Schema::Decimal(DecimalSchema { precision, scale, inner: InnerDecimalSchema::Bytes }) => {
            Shape::Decimal { precision: *precision, scale: *scale }
        }
        Schema::String => Shape::Text,
        Schema::Union(union) => optional(union, depth)?,
        Schema::Array(array) => Shape::List(Box::new(shape(&array.items, depth + 1)?)),
        // Without a field it takes no byte, and a list of them has no bound.
        Schema::Record(record) if !record.fields.is_empty() => {
            let fields = record.fields.iter().map(|field| Ok((field.name.clone(), shape(&field.schema, depth + 1)?)));
            Shape::Record { name: record.name.to_string(), fields: fields.collect::<Result<_, String>>()? }
        }
        _ => return Err("is of a type that is not known here".to_owned()),
    })
}

fn optional(union: &UnionSchema, depth: usize) -> Result<Shape, String> {
    match union.variants() {
        [Schema::Null, some] => Ok(Shape::Optional { null: 0, some: Box::new(shape(some, depth + 1)?) }),
        [some, Schema::Null] => Ok(Shape::Optional { null: 1, some: Box::new(shape(some, depth + 1)?) }),
        _ => Err("is a union of more than null and a type".to_owned()),
    }
}

/// A default as bytes, of the kinds that leave no doubt.
fn default(schema: &Schema, value: &Json) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    match (schema, value) {
        (Schema::Union(union), Json::Null) if matches!(union.variants().first(), Some(Schema::Null)) => {
            codec::put_long(&mut bytes, 0);
        }
        (Schema::Int, Json::Number(number)) => {
            codec::put_long(&mut bytes, i32::try_from(number.as_i64()?).ok()?.into());
        }
        (Schema::Long, Json::Number(number)) => codec::put_long(&mut bytes, number.as_i64()?),
        (Schema::Array(_), Json::Array(items)) if items.is_empty() => codec::put_long(&mut bytes, 0),
        (Schema::String, Json::String(text)) if !text.contains('\0') => codec::put_bytes(&mut bytes, text.as_bytes()),
        _ => return None,
    }
    Some(bytes)
}
