//! A value field by field, as text, and what is different between two of them. [`Reader`] reads a datum by its writer's
//! schema alone, for people who want to see what was written.

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::{NamesRef, ResolvedSchema};
use apache_avro::types::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::json;
use crate::resolution::{self, DatumError, SchemaError};

/// Characters of a shape.
const SHAPE: usize = 32;

/// One field that holds no further fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Such as `items[0].quantity`.
    pub path: String,
    /// Its value as JSON.
    pub json: String,
    /// Its value for people, where that is another text: a time.
    pub read: Option<String>,
}

/// A field that is not the same before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Such as `items[0].quantity`.
    pub path: String,
    /// `None`: it was not there.
    pub before: Option<Field>,
    /// `None`: it is not there any more.
    pub after: Option<Field>,
}

/// Reads datums of one writer's schema as fields.
#[derive(Debug)]
pub struct Reader(Schema);

impl Reader {
    /// For datums of this schema.
    ///
    /// # Errors
    /// When it does not parse, or is none that data of strangers may be decoded by.
    pub fn new(schema: &str) -> Result<Self, SchemaError> {
        resolution::decodable(schema).map(Self)
    }

    /// What a datum says.
    ///
    /// # Errors
    /// When the bytes are no such datum; nothing of their content is in the error.
    pub fn read(&self, mut datum: &[u8]) -> Result<Vec<Field>, DatumError> {
        let schema = self.0.name().map_or_else(|| "without a name".to_owned(), ToString::to_string);
        let broken = |error: apache_avro::Error| resolution::unreadable(&schema, &error.to_string());
        let resolved = ResolvedSchema::new(&self.0).map_err(broken)?;
        let reader = GenericDatumReader::builder(&self.0).build().map_err(broken)?;
        let value = reader.read_value(&mut datum).map_err(broken)?;
        match datum.len() {
            0 => Ok(flat(&value, &self.0, resolved.get_names())),
            left => Err(DatumError::Left { schema, left }),
        }
    }
}

/// All fields of a value, in the schema's order. What has no JSON form is left out.
#[must_use]
pub fn flat(value: &Value, schema: &Schema, names: &NamesRef<'_>) -> Vec<Field> {
    let mut fields = Vec::new();
    fill(value, schema, names, String::new(), &mut fields);
    fields
}

fn fill(value: &Value, schema: &Schema, names: &NamesRef<'_>, path: String, fields: &mut Vec<Field>) {
    match (value, schema) {
        (value, Schema::Ref { name }) => {
            if let Some(schema) = names.get(name) {
                fill(value, schema, names, path, fields);
            }
        }
        (Value::Union(at, value), Schema::Union(union)) => {
            let branch = usize::try_from(*at).ok().and_then(|at| union.variants().get(at));
            if let Some(branch) = branch {
                fill(value, branch, names, path, fields);
            }
        }
        (Value::Record(values), Schema::Record(record)) => {
            for ((name, value), field) in values.iter().zip(&record.fields) {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                fill(value, &field.schema, names, path, fields);
            }
        }
        (Value::Array(values), Schema::Array(array)) if !values.is_empty() => {
            for (at, value) in values.iter().enumerate() {
                fill(value, &array.items, names, format!("{path}[{at}]"), fields);
            }
        }
        (value, schema) => {
            let mut text = String::new();
            if json::write(value, schema, names, &mut text).is_ok() {
                fields.push(Field { path, json: text, read: time(value) });
            }
        }
    }
}

/// A time as people write it.
fn time(value: &Value) -> Option<String> {
    let Value::TimestampMillis(millis) = value else { return None };
    rfc3339(*millis)
}

/// Milliseconds since 1970 as people write a time; nothing beyond the years that this form knows.
#[must_use]
pub fn rfc3339(millis: i64) -> Option<String> {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis).checked_mul(1_000_000)?).ok()?;
    time.format(&Rfc3339).ok()
}

/// What may be told of a customer's text: its letters and digits masked; case, length and what stands between them remain.
#[must_use]
pub fn shape(text: &str) -> String {
    let mask = |letter: char| match letter {
        letter if letter.is_ascii_digit() => '9',
        letter if letter.is_uppercase() => 'X',
        letter if letter.is_alphanumeric() => 'x',
        letter if letter.is_ascii_punctuation() || letter == ' ' => letter,
        _ => '·',
    };
    let mut shape: String = text.chars().take(SHAPE).map(mask).collect();
    if text.chars().nth(SHAPE).is_some() {
        shape.push('…');
    }
    shape
}

/// What is different, in the order of the fields before; what is new stands at the end.
#[must_use]
pub fn changes(before: &[Field], after: &[Field]) -> Vec<Change> {
    let mut changes = Vec::new();
    for field in before {
        let now = after.iter().find(|now| now.path == field.path);
        if now.is_none_or(|now| now.json != field.json) {
            changes.push(Change { path: field.path.clone(), before: Some(field.clone()), after: now.cloned() });
        }
    }
    for field in after.iter().filter(|field| !before.iter().any(|old| old.path == field.path)) {
        changes.push(Change { path: field.path.clone(), before: None, after: Some(field.clone()) });
    }
    changes
}

/// What a value of a schema is, for people.
#[must_use]
pub fn kind(schema: &Schema) -> String {
    match schema {
        Schema::Null => "null".to_owned(),
        Schema::Boolean => "true or false".to_owned(),
        Schema::Int => "a whole number of 32 bits".to_owned(),
        Schema::Long => "a whole number of 64 bits".to_owned(),
        Schema::Float | Schema::Double => "a number".to_owned(),
        Schema::String => "a string".to_owned(),
        Schema::Decimal(decimal) => format!("a number of decimal({},{})", decimal.precision, decimal.scale),
        Schema::TimestampMillis => "a time such as 2026-01-31T12:00:00Z".to_owned(),
        Schema::Date => "a number of days since 1970".to_owned(),
        Schema::Enum(symbols) => format!("one of {}", symbols.symbols.join(", ")),
        Schema::Array(_) => "a list".to_owned(),
        Schema::Map(_) | Schema::Record(_) | Schema::Ref { .. } => "an object".to_owned(),
        Schema::Union(union) => {
            let kinds: Vec<String> = union.variants().iter().map(kind).collect();
            kinds.join(" or ")
        }
        _ => "of its type".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(path: &str, json: &str) -> Field {
        Field { path: path.to_owned(), json: json.to_owned(), read: None }
    }

    #[test]
    fn a_datum_is_read_by_its_writers_schema_and_no_more_than_it() {
        let schema = r#"{"type":"record","name":"o","fields":[{"name":"id","type":"string"},{"name":"amount","type":
            {"type":"bytes","logicalType":"decimal","precision":15,"scale":2}},{"name":"at","type":
            {"type":"long","logicalType":"timestamp-millis"}}]}"#;
        let reader = Reader::new(schema).unwrap();
        let datum = [2, b'a', 4, 0x04, 0xe2, 0];
        let read = reader.read(&datum).unwrap();
        let texts: Vec<_> = read.iter().map(|field| (field.path.as_str(), field.json.as_str())).collect();
        assert_eq!(texts, [("id", "\"a\""), ("amount", "12.50"), ("at", "0")]);
        assert_eq!(read[2].read.as_deref(), Some("1970-01-01T00:00:00Z"));
        assert!(matches!(reader.read(&[2, b'a', 4]), Err(DatumError::Unreadable { .. })));
        assert!(matches!(reader.read(&[&datum[..], &[9]].concat()), Err(DatumError::Left { left: 1, .. })));
        assert!(Reader::new(r#"{"type":"array","items":"null"}"#).is_err(), "a few bytes would fill the memory");
    }

    #[test]
    fn a_shape_is_short() {
        assert_eq!(shape(&"a".repeat(100)), format!("{}…", "x".repeat(32)));
        assert_eq!(shape("E-mail: ü@x\u{7}"), "X-xxxx: x@x·");
    }

    #[test]
    fn changes_name_what_is_other_gone_and_new() {
        let before = [field("a", "1"), field("b", "2"), field("c", "3")];
        let after = [field("a", "1"), field("b", "null"), field("d", "4")];
        let found = changes(&before, &after);
        let found: Vec<_> = found
            .iter()
            .map(|change| {
                let text = |field: &Option<Field>| field.as_ref().map(|field| field.json.clone());
                (change.path.as_str(), text(&change.before), text(&change.after))
            })
            .collect();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(found, [("b", text("2"), text("null")), ("c", text("3"), None), ("d", None, text("4"))]);
        assert!(changes(&before, &before).is_empty());
    }
}
