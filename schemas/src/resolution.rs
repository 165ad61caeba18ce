//! Reads a datum of one schema as another (Avro schema resolution), datum to datum.
//!
//! apache-avro does it, with one detour: its resolution refuses a decimal whose bytes are fewer than the precision
//! could need, which is how every Java producer writes small amounts. So decimals are resolved as the bytes that they
//! are, and precision and scale are compared here, once for each pair of schemas.

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::UnionSchema;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;

/// A length in a datum may not make apache-avro allocate more than this; its own default is 512 MiB.
const MAX_ALLOCATION: usize = 8 << 20;

/// Why a writer's schema cannot be read as the reader's.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// One of the two does not parse, or they do not match.
    #[error("schemas do not resolve: {0}")]
    Avro(String),
    /// A decimal of another precision or scale: the digits would mean another amount.
    #[error("field {field} is decimal({writer}) in the writer's schema and decimal({reader}) in the reader's")]
    Decimal {
        /// Path of the field.
        field: String,
        /// Precision and scale as written.
        writer: String,
        /// Precision and scale as read.
        reader: String,
    },
}

/// Why bytes are no datum of the writer's schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatumError {
    /// apache-avro cannot read them, or cannot resolve what it read. Its own words are kept to one line and bounded,
    /// because they may embed the whole schema.
    #[error("not a datum of schema {schema}: {cause}")]
    Unreadable {
        /// The writer's record name.
        schema: String,
        /// What apache-avro says.
        cause: String,
    },
    /// Bytes are left over.
    #[error("{left} bytes are left behind the datum of schema {schema}")]
    Left {
        /// The writer's record name.
        schema: String,
        /// How many.
        left: usize,
    },
}

/// A prepared pair of a writer's and a reader's schema.
///
/// Each resolver keeps its two parsed schemas for the life of the process, since apache-avro's prepared readers borrow
/// them; make one for each writer's schema and keep it.
pub struct Resolver {
    writer_name: String,
    reader: GenericDatumReader<'static>,
    writer: GenericDatumWriter<'static>,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").field("writer_name", &self.writer_name).finish_non_exhaustive()
    }
}

impl Resolver {
    /// Prepares reading datums of `writer` as datums of `reader` (both the text of an Avro schema).
    ///
    /// # Errors
    /// When the two do not resolve.
    pub fn new(writer: &str, reader: &str) -> Result<Self, SchemaError> {
        apache_avro::util::max_allocation_bytes(MAX_ALLOCATION);
        let (mut from, mut to) = (parse(writer)?, parse(reader)?);
        compare_decimals(&from, &to, "")?;
        decimals_as_bytes(&mut from);
        decimals_as_bytes(&mut to);
        let writer_name = from.name().map_or_else(|| "without a name".to_owned(), ToString::to_string);
        let (from, to): (&'static Schema, &'static Schema) = (Box::leak(Box::new(from)), Box::leak(Box::new(to)));
        Ok(Self {
            writer_name,
            reader: GenericDatumReader::builder(from).reader_schema(to).build().map_err(avro)?,
            writer: GenericDatumWriter::builder(to).build().map_err(avro)?,
        })
    }

    /// `datum`, of the writer's schema, as a value of the reader's; decimals are plain bytes in it.
    ///
    /// # Errors
    /// When the bytes are no such datum.
    pub fn read(&self, mut datum: &[u8]) -> Result<Value, DatumError> {
        let value = self.reader.read_value(&mut datum).map_err(|error| self.unreadable(&error.to_string()))?;
        match datum.len() {
            0 => Ok(value),
            left => Err(DatumError::Left { schema: self.writer_name.clone(), left }),
        }
    }

    /// A value that [`Resolver::read`] gave, perhaps changed, as a datum of the reader's schema.
    ///
    /// # Errors
    /// When the value does not fit the schema.
    pub fn write(&self, value: &Value) -> Result<Vec<u8>, DatumError> {
        let mut datum = Vec::with_capacity(256);
        self.writer.write_value_ref(&mut datum, value).map_err(|error| self.unreadable(&error.to_string()))?;
        Ok(datum)
    }

    /// `datum` of the writer's schema as a datum of the reader's.
    ///
    /// # Errors
    /// When the bytes are no such datum.
    pub fn resolve(&self, datum: &[u8]) -> Result<Vec<u8>, DatumError> {
        self.write(&self.read(datum)?)
    }

    fn unreadable(&self, cause: &str) -> DatumError {
        let cause: String = cause.lines().next().unwrap_or_default().chars().take(200).collect();
        DatumError::Unreadable { schema: self.writer_name.clone(), cause }
    }
}

fn parse(text: &str) -> Result<Schema, SchemaError> {
    Schema::parse_str(text).map_err(avro)
}

#[expect(clippy::needless_pass_by_value, reason = "a function to map errors with")]
fn avro(error: apache_avro::Error) -> SchemaError {
    SchemaError::Avro(error.to_string())
}

/// Decimals that stand under the same name must mean the same.
fn compare_decimals(writer: &Schema, reader: &Schema, path: &str) -> Result<(), SchemaError> {
    match (writer, reader) {
        (Schema::Record(writer), Schema::Record(reader)) => reader.fields.iter().try_for_each(|to| {
            let from = writer.fields.iter().find(|from| from.name == to.name);
            from.map_or(Ok(()), |from| compare_decimals(&from.schema, &to.schema, &format!("{path}/{}", to.name)))
        }),
        (Schema::Array(writer), Schema::Array(reader)) => compare_decimals(&writer.items, &reader.items, path),
        (Schema::Map(writer), Schema::Map(reader)) => compare_decimals(&writer.types, &reader.types, path),
        (Schema::Union(writer), reader) => {
            writer.variants().iter().try_for_each(|writer| compare_decimals(writer, reader, path))
        }
        (writer, Schema::Union(reader)) => {
            reader.variants().iter().try_for_each(|reader| compare_decimals(writer, reader, path))
        }
        (Schema::Decimal(writer), Schema::Decimal(reader))
            if (writer.precision, writer.scale) != (reader.precision, reader.scale) =>
        {
            Err(SchemaError::Decimal {
                field: path.to_owned(),
                writer: format!("{},{}", writer.precision, writer.scale),
                reader: format!("{},{}", reader.precision, reader.scale),
            })
        }
        _ => Ok(()),
    }
}

fn decimals_as_bytes(schema: &mut Schema) {
    match schema {
        Schema::Decimal(decimal) => {
            *schema = match &decimal.inner {
                apache_avro::schema::InnerDecimalSchema::Bytes => Schema::Bytes,
                apache_avro::schema::InnerDecimalSchema::Fixed(fixed) => Schema::Fixed(fixed.clone()),
            };
        }
        Schema::Record(record) => record.fields.iter_mut().for_each(|field| decimals_as_bytes(&mut field.schema)),
        Schema::Array(array) => decimals_as_bytes(&mut array.items),
        Schema::Map(map) => decimals_as_bytes(&mut map.types),
        Schema::Union(union) => {
            let mut variants = union.variants().to_vec();
            variants.iter_mut().for_each(decimals_as_bytes);
            if let Ok(plain) = UnionSchema::new(variants) {
                *union = plain;
            }
        }
        _ => {}
    }
}
