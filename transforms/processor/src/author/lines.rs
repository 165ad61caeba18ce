//! One line of JSON as a value of an Avro schema: an order as it is posted (`orderId`, `unitPrice`, …) or as it is stored
//! (`order_id`, …). A number keeps its own digits: nothing goes through a float that is none in the schema.
//!
//! Not the edge's check: what the edge would refuse may pass here.

use std::collections::BTreeMap;

use apache_avro::Schema;
use apache_avro::schema::{NamesRef, RecordSchema, UnionSchema};
use apache_avro::types::Value;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use service_kit::near;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::fields::kind;

/// Why a line is no such value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", if .path.is_empty() { String::new() } else { format!("{path}: ") })]
pub struct Fault {
    /// The field, such as `items[0].quantity`; empty: the line itself.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// A longer text of a number is refused before any arithmetic, and so is a larger exponent.
const MAX_NUMBER: usize = 64;

/// Reads lines as values of one schema.
pub struct Reader<'s> {
    /// The schema.
    pub schema: &'s Schema,
    /// Its named types.
    pub names: &'s NamesRef<'s>,
    /// The time of receipt, in milliseconds since 1970: for a time that a line leaves out.
    pub now_ms: i64,
}

impl Reader<'_> {
    /// The line as a value.
    ///
    /// # Errors
    /// The first field that is wrong, with what would be right.
    pub fn read(&self, line: &str) -> Result<Value, Fault> {
        let raw: &RawValue = serde_json::from_str(line).map_err(|error| {
            let message = format!("is not JSON at column {}; write one order a line", error.column());
            Fault { path: String::new(), message }
        })?;
        self.value(raw, self.schema, "")
    }

    fn value(&self, raw: &RawValue, schema: &Schema, path: &str) -> Result<Value, Fault> {
        let text = raw.get();
        let wrong = || fault(path, format!("{} is not {}", shown(text), kind(schema)));
        match schema {
            Schema::Ref { name } => {
                let schema = self.names.get(name).ok_or_else(|| fault(path, "has a type that the schema lacks"))?;
                self.value(raw, schema, path)
            }
            Schema::Union(union) => self.union(raw, union, path),
            Schema::Record(record) => self.record(raw, record, path),
            Schema::Array(array) => {
                let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| wrong())?;
                let items = items.into_iter().enumerate();
                let items = items.map(|(at, item)| self.value(item, &array.items, &format!("{path}[{at}]")));
                items.collect::<Result<_, _>>().map(Value::Array)
            }
            Schema::Map(map) => {
                let entries: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(|_| wrong())?;
                let entries = entries.into_iter().map(|(key, entry)| {
                    let value = self.value(entry, &map.types, &format!("{path}.{key}"))?;
                    Ok((key, value))
                });
                entries.collect::<Result<_, Fault>>().map(Value::Map)
            }
            Schema::Null => (text == "null").then_some(Value::Null).ok_or_else(wrong),
            Schema::Boolean => json(text).map(Value::Boolean).ok_or_else(wrong),
            Schema::Int => json(text).map(Value::Int).ok_or_else(wrong),
            Schema::Long => json(text).map(Value::Long).ok_or_else(wrong),
            Schema::Float => json(text).map(Value::Float).ok_or_else(wrong),
            Schema::Double => json(text).map(Value::Double).ok_or_else(wrong),
            Schema::String => json(text).map(Value::String).ok_or_else(wrong),
            Schema::Enum(symbols) => {
                let name: String = json(text).ok_or_else(wrong)?;
                let at = symbols.symbols.iter().position(|symbol| *symbol == name).ok_or_else(wrong)?;
                Ok(Value::Enum(u32::try_from(at).map_err(|_| wrong())?, name))
            }
            Schema::Decimal(decimal) => {
                let bytes = unscaled(text, decimal.precision, decimal.scale).map(minimal);
                bytes.map(|bytes| Value::Decimal(bytes.into())).ok_or_else(wrong)
            }
            Schema::TimestampMillis => millis(text).map(Value::TimestampMillis).ok_or_else(wrong),
            Schema::Date => json(text).map(Value::Date).ok_or_else(wrong),
            _ => Err(fault(path, "has a type that a line of JSON cannot say; read a topic with --from-topic")),
        }
    }

    /// Null, or the first other branch that takes it.
    fn union(&self, raw: &RawValue, union: &UnionSchema, path: &str) -> Result<Value, Fault> {
        let mut first = None;
        for (at, branch) in union.variants().iter().enumerate() {
            match self.value(raw, branch, path) {
                Ok(value) => {
                    let at = u32::try_from(at).map_err(|_| fault(path, "has too many types"))?;
                    return Ok(Value::Union(at, Box::new(value)));
                }
                Err(_) if matches!(branch, Schema::Null) => {}
                Err(fault) => first = first.or(Some(fault)),
            }
        }
        Err(first.unwrap_or_else(|| fault(path, "is not null")))
    }

    fn record(&self, raw: &RawValue, record: &RecordSchema, path: &str) -> Result<Value, Fault> {
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(raw.get())
            .map_err(|_| fault(path, format!("{} is not an object with fields", shown(raw.get()))))?;
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let mut given = BTreeMap::new();
        for (member, value) in members {
            let name = if record.lookup.contains_key(&member) { member.clone() } else { snake(&member) };
            if !record.lookup.contains_key(&name) {
                let near = near::suggest(&name, record.lookup.keys().map(String::as_str));
                let hint = near.map_or_else(|| ": take it out".to_owned(), |near| format!("; did you mean {near}?"));
                return Err(fault(&below(&member), format!("is no field of {}{hint}", record.name.name())));
            }
            if given.insert(name, value).is_some() {
                return Err(fault(&below(&member), "is there twice"));
            }
        }
        let fields = record.fields.iter().map(|field| {
            let path = below(&field.name);
            let value = match (given.get(&field.name), &field.default) {
                (Some(raw), _) => self.value(raw, &field.schema, &path)?,
                (None, Some(default)) => self.default(default, &field.schema, &path)?,
                (None, None) if matches!(field.schema, Schema::TimestampMillis) => Value::TimestampMillis(self.now_ms),
                (None, None) => return Err(fault(&path, format!("is missing; it needs {}", kind(&field.schema)))),
            };
            Ok((field.name.clone(), value))
        });
        fields.collect::<Result<_, Fault>>().map(Value::Record)
    }

    fn default(&self, default: &serde_json::Value, schema: &Schema, path: &str) -> Result<Value, Fault> {
        let raw = RawValue::from_string(default.to_string());
        let raw = raw.map_err(|_| fault(path, "has a default that cannot be read; give a value"))?;
        self.value(&raw, schema, path)
    }
}

fn fault(path: &str, message: impl Into<String>) -> Fault {
    Fault { path: path.to_owned(), message: message.into() }
}

fn json<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}

/// The beginning of a value, for a message.
fn shown(text: &str) -> String {
    const MAX: usize = 40;
    let cut: String = text.chars().take(MAX).collect();
    if cut.len() < text.len() { format!("`{cut}…`") } else { format!("`{cut}`") }
}

/// `unitPrice` as `unit_price`.
fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// Milliseconds since 1970, or a text such as `2026-01-31T12:00:00+01:00`.
fn millis(text: &str) -> Option<i64> {
    if let Some(millis) = json(text) {
        return Some(millis);
    }
    let time = OffsetDateTime::parse(&json::<String>(text)?, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
}

/// A number's text, or that of a string with a number in it, times 10^scale, when that is whole and has at most
/// `precision` digits.
fn unscaled(text: &str, precision: usize, scale: usize) -> Option<i128> {
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    if text.len() > MAX_NUMBER || precision > 38 {
        return None;
    }
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = format!("{whole}{fraction}");
    let shift = exponent - i64::try_from(fraction.len()).ok()? + i64::try_from(scale).ok()?;
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    let digits = if shift < 0 {
        let lost = usize::try_from(-shift).ok()?;
        let at = significant.len().checked_sub(lost)?;
        let (kept, lost) = significant.split_at(at);
        lost.bytes().all(|byte| byte == b'0').then(|| kept.to_owned())?
    } else {
        let zeros = usize::try_from(shift).ok().filter(|zeros| *zeros <= precision)?;
        format!("{significant}{}", "0".repeat(zeros))
    };
    let number: i128 = (digits.len() <= precision).then(|| digits.parse().ok())??;
    Some(if negative { -number } else { number })
}

/// Two's complement, big-endian, in as few bytes as it needs.
fn minimal(number: i128) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let sign = if number < 0 { 0xff } else { 0x00 };
    let spare = bytes.windows(2).take_while(|pair| match pair {
        [first, second] => *first == sign && (second & 0x80) == (sign & 0x80),
        _ => false,
    });
    bytes.iter().skip(spare.count()).copied().collect()
}

#[cfg(test)]
mod tests {
    use apache_avro::schema::ResolvedSchema;
    use schemas::contracts::ORDER_PLACED_AVSC;

    use super::*;
    use crate::author::fields;

    fn read(line: &str) -> Result<Vec<fields::Field>, String> {
        let schema = Schema::parse_str(ORDER_PLACED_AVSC).unwrap();
        let resolved = ResolvedSchema::try_from(&schema).unwrap();
        let names = resolved.get_names();
        let reader = Reader { schema: &schema, names, now_ms: 1_700_000_000_000 };
        let value = reader.read(line).map_err(|fault| fault.to_string())?;
        Ok(fields::flat(&value, &schema, names))
    }

    fn text(line: &str, path: &str) -> String {
        let fields = read(line).unwrap();
        fields.iter().find(|field| field.path == path).map(|field| field.json.clone()).unwrap()
    }

    #[test]
    fn an_order_is_read_as_posted_and_as_stored() {
        let posted = r#"{"orderId":"a","amount":12.5,"customer":"c","items":[{"sku":"s","quantity":2,"unitPrice":1e1}],
            "createdAt":"2026-01-31T12:00:00+01:00","receivedAt":1700000000000}"#;
        let stored = r#"{"order_id":"a","amount":"12.50","customer":"c","items":[{"sku":"s","quantity":2,"unit_price":10.00}],
            "created_at":1769857200000,"received_at":1700000000000}"#;
        assert_eq!(read(posted).unwrap(), read(stored).unwrap());
        for (path, expected) in [
            ("amount", "12.50"),
            ("items[0].unit_price", "10.00"),
            ("created_at", "1769857200000"),
            ("currency", "null"),
            ("received_offset", "-1"),
        ] {
            assert_eq!(text(posted, path), expected, "{path}");
        }
        let short = r#"{"orderId":"a","amount":1,"customer":"c"}"#;
        assert_eq!(text(short, "created_at"), "1700000000000", "the time of receipt");
    }

    #[test]
    fn a_wrong_line_is_named_by_its_field_with_the_fix() {
        for (line, expected) in [
            ("{", "is not JSON at column"),
            ("7", "`7` is not an object with fields"),
            (r#"{"amount":1,"customer":"c"}"#, "order_id: is missing; it needs a string"),
            (r#"{"orderId":"a","amount":1.005,"customer":"c"}"#, "amount: `1.005` is not a number of decimal(15,2)"),
            (r#"{"orderId":"a","amount":1,"custmer":"c"}"#, "custmer: is no field of Order; did you mean customer?"),
            (r#"{"orderId":"a","amount":1,"customer":"c","x":1}"#, "x: is no field of Order: take it out"),
            (r#"{"orderId":"a","amount":1,"customer":7}"#, "customer: `7` is not a string"),
            (r#"{"orderId":"a","amount":1,"customer":"c","currency":1}"#, "currency: `1` is not a string"),
            (
                r#"{"orderId":"a","amount":1,"customer":"c","items":[{"sku":"s","quantity":"2","unitPrice":1}]}"#,
                "items[0].quantity: `\"2\"` is not a whole number of 32 bits",
            ),
            (
                r#"{"orderId":"a","amount":1,"customer":"c","createdAt":"yesterday"}"#,
                "created_at: `\"yesterday\"` is not a time such as 2026-01-31T12:00:00Z",
            ),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }

    #[test]
    fn a_decimal_is_exact_or_refused() {
        for (text, expected) in [
            ("0", Some(0)),
            ("12.50", Some(1_250)),
            ("-0.01", Some(-1)),
            ("1e2", Some(10_000)),
            ("12.5000", Some(1_250)),
            ("\"7\"", Some(700)),
            ("9999999999999.99", Some(999_999_999_999_999)),
            ("10000000000000.00", None),
            ("0.001", None),
            ("12.505", None),
            ("1e999", None),
            ("1e-99", None),
            ("0e99", Some(0)),
            ("", None),
            ("1,5", None),
            ("NaN", None),
        ] {
            assert_eq!(unscaled(text, 15, 2), expected, "{text}");
        }
        for (number, bytes) in
            [(0, vec![0]), (127, vec![0x7f]), (128, vec![0, 0x80]), (-1, vec![0xff]), (-129, vec![0xff, 0x7f])]
        {
            assert_eq!(minimal(number), bytes, "{number}");
        }
    }
}
