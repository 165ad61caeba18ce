//! Reads a datum of one schema as another (Avro schema resolution), datum to datum.
//!
//! apache-avro does it, with one detour: its resolution refuses a decimal whose bytes are fewer than the precision
//! could need, which is how every Java producer writes small amounts. So decimals are resolved as the bytes that they
//! are, and compared before, once for each pair of schemas: see `decimals`. A writer's schema is a stranger's: see `bounds`.

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::ResolvedSchema;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;

mod bounds;
mod decimals;

use bounds::{MAX_DEPTH, MAX_TYPES};
use decimals::Pair;

/// A length in a datum may not make apache-avro allocate more than this; its own default is 512 MiB.
const MAX_ALLOCATION: usize = 8 << 20;

/// Why a writer's schema cannot be read as the reader's.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// One of the two does not parse, or they do not match.
    #[error("schemas do not resolve: {0}")]
    Avro(String),
    /// A decimal to the one and not the same to the other: the digits would mean another amount.
    #[error("field {field} is {writer} in the writer's schema and {reader} in the reader's; an amount would change")]
    Decimal {
        /// Path of the field.
        field: String,
        /// The type as written.
        writer: String,
        /// The type as read.
        reader: String,
    },
    /// A type inside itself: a datum may nest without end.
    #[error("type {0} of the writer's schema stands inside itself; write a schema that ends")]
    Recursive(String),
    /// Larger than any honest schema, once every name stands for its type.
    #[error("the writer's schema unfolds to more than {MAX_TYPES} types or {MAX_DEPTH} levels; split it")]
    TooLarge,
    /// A few bytes would make as many values as fit into memory.
    #[error("the writer's schema has an array whose items take no bytes; give the items a type that does")]
    EmptyItems,
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
    /// When the two do not resolve, or the writer's schema is none that data can be decoded by.
    pub fn new(writer: &str, reader: &str) -> Result<Self, SchemaError> {
        apache_avro::util::max_allocation_bytes(MAX_ALLOCATION);
        let (mut from, mut to) = (parse(writer)?, parse(reader)?);
        bounds::check(&from)?;
        let (writer_types, reader_types) =
            (ResolvedSchema::new(&from).map_err(avro)?, ResolvedSchema::new(&to).map_err(avro)?);
        let pair = Pair { writer: writer_types.get_names(), reader: reader_types.get_names() };
        pair.compare(&from, &to, "")?;
        decimals::as_bytes(&mut from);
        decimals::as_bytes(&mut to);
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
        unreadable(&self.writer_name, cause)
    }
}

/// One line of apache-avro's words about a datum.
pub(crate) fn unreadable(schema: &str, cause: &str) -> DatumError {
    let cause: String = cause.lines().next().unwrap_or_default().chars().take(200).collect();
    DatumError::Unreadable { schema: schema.to_owned(), cause }
}

/// A writer's schema by which a stranger's data may be decoded.
pub(crate) fn decodable(text: &str) -> Result<Schema, SchemaError> {
    apache_avro::util::max_allocation_bytes(MAX_ALLOCATION);
    let schema = parse(text)?;
    bounds::check(&schema)?;
    Ok(schema)
}

fn parse(text: &str) -> Result<Schema, SchemaError> {
    Schema::parse_str(text).map_err(avro)
}

#[expect(clippy::needless_pass_by_value, reason = "a function to map errors with")]
fn avro(error: apache_avro::Error) -> SchemaError {
    SchemaError::Avro(error.to_string())
}

#[cfg(test)]
mod tests;
