//! Data of older versions of a record's schema written as the newest one, with samples in the fields that are new: what a
//! new field does to whoever reads it shows before any record has it.

use apache_avro::Schema;
use apache_avro::schema::InnerDecimalSchema;
use apache_avro::types::Value;
use serde_json::{Value as Json, json};

use crate::resolution::{DatumError, Resolver, SchemaError};

/// Text of a sample.
const TEXT: &str = "sample";
/// 2023-11-14T22:13:20.123Z, with milliseconds that a store could lose.
const TIME: i64 = 1_700_000_000_123;

/// A value for a field, and how an example of a version writes it: amounts as whole numbers, times in milliseconds.
#[derive(Debug, Clone, PartialEq)]
struct Sample {
    at: usize,
    value: Value,
    shown: Json,
}

/// Writes data of one older schema as a newer one.
#[derive(Debug)]
pub struct Widener {
    resolver: Resolver,
    samples: Vec<Sample>,
    names: Vec<String>,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum WidenError {
    /// The older cannot be read as the newer.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// No value is known for such a field.
    #[error("field {0} has a type that no sample is known for")]
    NoSample(String),
}

impl Widener {
    /// For data of `older`, with samples in these fields of `newer`.
    ///
    /// # Errors
    /// [`WidenError`].
    pub fn new(older: &str, newer: &str, fields: &[String]) -> Result<Self, WidenError> {
        let resolver = Resolver::new(older, newer)?;
        let schema = Schema::parse_str(newer).map_err(|error| SchemaError::Avro(error.to_string()))?;
        let Schema::Record(record) = schema else { return Err(WidenError::NoSample("of no record".to_owned())) };
        let sample = |name: &String| {
            let field = record.lookup.get(name).and_then(|at| Some((*at, record.fields.get(*at)?)));
            let found = field.and_then(|(at, field)| {
                let (value, shown) = sample(&field.schema)?;
                Some(Sample { at, value, shown })
            });
            found.ok_or_else(|| WidenError::NoSample(name.clone()))
        };
        let samples = fields.iter().map(sample).collect::<Result<_, _>>()?;
        Ok(Self { resolver, samples, names: fields.to_vec() })
    }

    /// A datum of the newer schema, with its defaults or with samples in the new fields.
    ///
    /// # Errors
    /// When the bytes are no datum of the older schema.
    pub fn widen(&self, datum: &[u8], with_samples: bool) -> Result<Vec<u8>, DatumError> {
        let mut value = self.resolver.read(datum)?;
        if let (Value::Record(fields), true) = (&mut value, with_samples) {
            for sample in &self.samples {
                if let Some((_, field)) = fields.get_mut(sample.at) {
                    *field = sample.value.clone();
                }
            }
        }
        self.resolver.write(&value)
    }

    /// What the samples read as, by field.
    pub fn shown(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.names.iter().map(String::as_str).zip(self.samples.iter().map(|sample| &sample.shown))
    }
}

/// A value that shows whether all of the type fits: all digits of a decimal, the largest of the numbers. Decimals are plain
/// bytes, as [`Resolver`] has them.
fn sample(schema: &Schema) -> Option<(Value, Json)> {
    Some(match schema {
        Schema::Boolean => (Value::Boolean(true), json!(true)),
        Schema::Int => (Value::Int(i32::MAX), json!(i32::MAX)),
        Schema::Long => (Value::Long(i64::MAX), json!(i64::MAX)),
        Schema::Double => (Value::Double(0.5), json!(0.5)),
        Schema::String => (Value::String(TEXT.to_owned()), json!(TEXT)),
        Schema::TimestampMillis => (Value::TimestampMillis(TIME), json!(TIME)),
        Schema::Decimal(decimal) if matches!(decimal.inner, InnerDecimalSchema::Bytes) => {
            let digits = u32::try_from(decimal.precision).ok()?;
            let most = 10_i64.checked_pow(digits)?.checked_sub(1)?;
            (Value::Bytes(most.to_be_bytes().to_vec()), json!(most))
        }
        Schema::Union(union) => {
            let mut branches = union.variants().iter().enumerate();
            let (at, (value, shown)) = branches.find_map(|(at, branch)| Some((at, sample(branch)?)))?;
            (Value::Union(u32::try_from(at).ok()?, Box::new(value)), shown)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Reader;

    const OLD: &str = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"string"}]}"#;

    fn newer(kind: &str, default: &str) -> String {
        OLD.replace("]}", &format!(r#",{{"name":"b","type":{kind},"default":{default}}}]}}"#))
    }

    fn read(schema: &str, datum: &[u8]) -> Vec<String> {
        Reader::new(schema).unwrap().read(datum).unwrap().into_iter().map(|field| field.json).collect()
    }

    #[test]
    fn old_data_get_the_default_or_a_sample() {
        for (kind, default, at_default, with_sample) in [
            (r#"["null","string"]"#, "null", "null", "\"sample\""),
            (r#""boolean""#, "false", "false", "true"),
            (r#"["null","int"]"#, "null", "null", "2147483647"),
            (r#""long""#, "7", "7", "9223372036854775807"),
            (
                r#"["null",{"type":"bytes","logicalType":"decimal","precision":15,"scale":2}]"#,
                "null",
                "null",
                "9999999999999.99",
            ),
            (r#"["null",{"type":"long","logicalType":"timestamp-millis"}]"#, "null", "null", "1700000000123"),
        ] {
            let schema = newer(kind, default);
            let widener = Widener::new(OLD, &schema, &["b".to_owned()]).unwrap();
            let read = |with_samples| read(&schema, &widener.widen(b"\x02x", with_samples).unwrap());
            assert_eq!(read(false), ["\"x\"", at_default], "{kind}");
            assert_eq!(read(true), ["\"x\"", with_sample], "{kind}");
            assert!(widener.widen(b"\x02", true).is_err());
        }
    }

    #[test]
    fn a_field_without_a_sample_and_one_without_a_default_are_told() {
        let list = newer(r#"{"type":"array","items":"int"}"#, "[]");
        assert!(matches!(Widener::new(OLD, &list, &["b".to_owned()]), Err(WidenError::NoSample(name)) if name == "b"));
        let bare = OLD.replace("]}", r#",{"name":"b","type":"int"}]}"#);
        let widener = Widener::new(OLD, &bare, &["b".to_owned()]);
        assert!(widener.is_err() || widener.unwrap().widen(b"\x02x", false).is_err(), "older data lack the field");
    }
}
