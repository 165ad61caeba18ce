//! Decimals, for which apache-avro's own resolution is not used: see [`super`]. They are compared here, once for each
//! pair of schemas, and then read as the bytes that they are. Whatever else apache-avro would turn into bytes (a text, an
//! array) must therefore be refused under a decimal: `"99.99"` is not the amount that its four bytes make.

use apache_avro::Schema;
use apache_avro::schema::{InnerDecimalSchema, NamesRef, SchemaKind, UnionSchema};

use super::SchemaError;

/// Two schemas that are compared, with the named types of each.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    pub(super) writer: &'a NamesRef<'a>,
    pub(super) reader: &'a NamesRef<'a>,
}

impl Pair<'_> {
    /// Whether what is a decimal to the one is the same decimal to the other, wherever the reader looks. Ends because
    /// each step but one into a name or a union goes down the writer's schema, which is bounded.
    pub(super) fn compare(self, writer: &Schema, reader: &Schema, path: &str) -> Result<(), SchemaError> {
        let (writer, reader) = (named(writer, self.writer), named(reader, self.reader));
        let under = |name: &str| format!("{path}/{name}");
        match (writer, reader) {
            // Where the writer has null, the reader takes null or refuses the datum.
            (Schema::Null, _) => Ok(()),
            (Schema::Union(writer), reader) => {
                writer.variants().iter().try_for_each(|writer| self.compare(writer, reader, path))
            }
            (writer, Schema::Union(reader)) => self.compare_variants(writer, reader, path),
            (Schema::Record(writer), Schema::Record(reader)) => reader.fields.iter().try_for_each(|to| {
                let from = writer.fields.iter().find(|from| from.name == to.name);
                from.map_or(Ok(()), |from| self.compare(&from.schema, &to.schema, &under(&to.name)))
            }),
            // apache-avro reads records as maps and the reverse.
            (Schema::Map(writer), Schema::Record(reader)) => {
                reader.fields.iter().try_for_each(|to| self.compare(&writer.types, &to.schema, &under(&to.name)))
            }
            (Schema::Record(writer), Schema::Map(reader)) => {
                writer.fields.iter().try_for_each(|from| self.compare(&from.schema, &reader.types, &under(&from.name)))
            }
            (Schema::Array(writer), Schema::Array(reader)) => self.compare(&writer.items, &reader.items, path),
            (Schema::Map(writer), Schema::Map(reader)) => self.compare(&writer.types, &reader.types, path),
            (Schema::Decimal(_), Schema::Decimal(_) | Schema::String) | (_, Schema::Decimal(_)) => {
                let (written, read) = (describe(writer), describe(reader));
                if written == read {
                    return Ok(());
                }
                Err(SchemaError::Decimal { field: path.to_owned(), writer: written, reader: read })
            }
            _ => Ok(()),
        }
    }

    /// apache-avro takes the variant of the value's own kind; without one, the first that the value can be turned into.
    fn compare_variants(self, writer: &Schema, reader: &UnionSchema, path: &str) -> Result<(), SchemaError> {
        let variants = || reader.variants().iter().map(|variant| named(variant, self.reader));
        let kind = std::mem::discriminant(writer);
        if variants().any(|variant| std::mem::discriminant(variant) == kind) {
            let mut own = variants().filter(|variant| std::mem::discriminant(*variant) == kind);
            return own.try_for_each(|variant| self.compare(writer, variant, path));
        }
        match writer {
            Schema::Bytes
            | Schema::String
            | Schema::Fixed(_)
            | Schema::Array(_)
            | Schema::Decimal(_)
            | Schema::Map(_)
            | Schema::Record(_) => variants().try_for_each(|variant| self.compare(writer, variant, path)),
            // Numbers and the like never become bytes.
            _ => Ok(()),
        }
    }
}

/// The type behind a name.
fn named<'a>(schema: &'a Schema, names: &'a NamesRef<'a>) -> &'a Schema {
    match schema {
        Schema::Ref { name } => names.get(name).copied().unwrap_or(schema),
        schema => schema,
    }
}

fn describe(schema: &Schema) -> String {
    match schema {
        Schema::Decimal(decimal) => format!("decimal({},{})", decimal.precision, decimal.scale),
        other => format!("{:?}", SchemaKind::from(other)).to_lowercase(),
    }
}

/// Each decimal as the bytes that it is.
pub(super) fn as_bytes(schema: &mut Schema) {
    match schema {
        Schema::Decimal(decimal) => {
            *schema = match &decimal.inner {
                InnerDecimalSchema::Bytes => Schema::Bytes,
                InnerDecimalSchema::Fixed(fixed) => Schema::Fixed(fixed.clone()),
            };
        }
        Schema::Record(record) => record.fields.iter_mut().for_each(|field| as_bytes(&mut field.schema)),
        Schema::Array(array) => as_bytes(&mut array.items),
        Schema::Map(map) => as_bytes(&mut map.types),
        Schema::Union(union) => {
            let mut variants = union.variants().to_vec();
            variants.iter_mut().for_each(as_bytes);
            if let Ok(plain) = UnionSchema::new(variants) {
                *union = plain;
            }
        }
        _ => {}
    }
}
