//! An Avro value as JSON text, exactly: a decimal becomes a number with all the digits of its scale, never a float.

use std::fmt::Write;

use apache_avro::Schema;
use apache_avro::schema::NamesRef;
use apache_avro::types::Value;

/// Why a value has no JSON text here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} has no JSON form here")]
pub struct NoText(&'static str);

/// Appends `value` of `schema` to `out`.
///
/// # Errors
/// When a part of it has no JSON form here; what was written before it stays.
pub fn write(value: &Value, schema: &Schema, names: &NamesRef<'_>, out: &mut String) -> Result<(), NoText> {
    match (value, schema) {
        (value, Schema::Ref { name }) => {
            let schema = names.get(name).copied().ok_or(NoText("a type that the schema does not define"))?;
            return write(value, schema, names, out);
        }
        (Value::Union(at, value), Schema::Union(union)) => {
            let branch = usize::try_from(*at).ok().and_then(|at| union.variants().get(at));
            return write(value, branch.ok_or(NoText("an unknown branch of a union"))?, names, out);
        }
        (Value::Null, _) => out.push_str("null"),
        (Value::Boolean(value), _) => out.push_str(if *value { "true" } else { "false" }),
        (Value::Int(value) | Value::Date(value) | Value::TimeMillis(value), _) => number(out, value),
        (
            Value::Long(value)
            | Value::TimeMicros(value)
            | Value::TimestampMillis(value)
            | Value::TimestampMicros(value)
            | Value::TimestampNanos(value)
            | Value::LocalTimestampMillis(value)
            | Value::LocalTimestampMicros(value)
            | Value::LocalTimestampNanos(value),
            _,
        ) => number(out, value),
        (Value::String(text) | Value::Enum(_, text), _) => string(out, text),
        (Value::Decimal(decimal), Schema::Decimal(schema)) => {
            let bytes = Vec::<u8>::try_from(decimal).map_err(|_| NoText("a decimal that is too long"))?;
            out.push_str(&decimal_text(&bytes, schema.scale).ok_or(NoText("a decimal of more than 16 bytes"))?);
        }
        (Value::Array(values), Schema::Array(schema)) => {
            list(out, ['[', ']'], values, |value, out| write(value, &schema.items, names, out))?;
        }
        (Value::Map(values), Schema::Map(schema)) => {
            let mut sorted: Vec<_> = values.iter().collect();
            sorted.sort_by_key(|(key, _)| *key);
            list(out, ['{', '}'], sorted, |(key, value), out| {
                string(out, key);
                out.push(':');
                write(value, &schema.types, names, out)
            })?;
        }
        (Value::Record(values), Schema::Record(schema)) => {
            list(out, ['{', '}'], values.iter().zip(&schema.fields), |((name, value), field), out| {
                string(out, name);
                out.push(':');
                write(value, &field.schema, names, out)
            })?;
        }
        _ => return Err(NoText("a value of this type")),
    }
    Ok(())
}

fn number(out: &mut String, value: impl std::fmt::Display) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{value}");
}

fn string(out: &mut String, text: &str) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

fn list<T>(
    out: &mut String,
    [open, close]: [char; 2],
    values: impl IntoIterator<Item = T>,
    mut each: impl FnMut(T, &mut String) -> Result<(), NoText>,
) -> Result<(), NoText> {
    out.push(open);
    for (at, value) in values.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        each(value, out)?;
    }
    out.push(close);
    Ok(())
}

/// Two's complement, big-endian, with `scale` digits behind the point. `None` beyond 16 bytes.
#[must_use]
pub fn decimal_text(bytes: &[u8], scale: usize) -> Option<String> {
    let mut wide = [if bytes.first().is_some_and(|first| *first >= 0x80) { 0xff } else { 0 }; 16];
    wide.get_mut(16_usize.checked_sub(bytes.len())?..)?.copy_from_slice(bytes);
    let unscaled = i128::from_be_bytes(wide);
    let digits = format!("{:0width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if unscaled < 0 { "-" } else { "" };
    Some(if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_keeps_every_digit() {
        for (bytes, scale, expected) in [
            (&[][..], 2, Some("0.00")),
            (&[0][..], 2, Some("0.00")),
            (&[5][..], 2, Some("0.05")),
            (&[0x04, 0xe2][..], 2, Some("12.50")),
            (&[0xff][..], 2, Some("-0.01")),
            (&[0x00, 0xff][..], 0, Some("255")),
            (&[0x03, 0x8d, 0x7e, 0xa4, 0xc6, 0x7f, 0xff][..], 2, Some("9999999999999.99")),
            (&[0; 17][..], 2, None),
        ] {
            assert_eq!(decimal_text(bytes, scale).as_deref(), expected, "{bytes:?}");
        }
    }
}
