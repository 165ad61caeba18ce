//! What Avro can say and the stores cannot keep: U+0000 in a text, and a time outside of the years 1 to 9999. The sinks run
//! strict, so one such record would stop them.

use apache_avro::types::Value;

/// Milliseconds from the start of year 1 to the end of year 9999, UTC.
const MILLIS: (i64, i64) = (-62_135_596_800_000, 253_402_300_799_999);
/// Days of the same.
const DAYS: (i32, i32) = (-719_162, 2_932_896);

/// The first field that no store could keep, and why; `None` when all is well. Never with the value itself.
pub(crate) fn fault(value: &Value) -> Option<String> {
    let mut path = Vec::new();
    let why = find(value, &mut path)?;
    path.reverse();
    Some(format!("field {} {why}", path.join(".")))
}

/// Fills `path` with the names that lead there, innermost first.
fn find<'v>(value: &'v Value, path: &mut Vec<&'v str>) -> Option<&'static str> {
    match value {
        Value::String(text) | Value::Enum(_, text) => (!is_text(text)).then_some("holds U+0000"),
        Value::TimestampMillis(at) | Value::LocalTimestampMillis(at) => (!is_millis(*at)).then_some(YEARS),
        Value::TimestampMicros(at) | Value::LocalTimestampMicros(at) => (!is_micros(*at)).then_some(YEARS),
        Value::Date(day) => (!is_date(*day)).then_some(YEARS),
        Value::Union(_, value) => find(value, path),
        Value::Array(values) => values.iter().find_map(|value| find(value, path)),
        Value::Map(values) => {
            values.iter().find_map(
                |(key, value)| {
                    if is_text(key) { find(value, path) } else { Some("has a key that holds U+0000") }
                },
            )
        }
        Value::Record(fields) => fields.iter().find_map(|(name, value)| {
            let why = find(value, path)?;
            path.push(name);
            Some(why)
        }),
        _ => None,
    }
}

const YEARS: &str = "is a time outside of the years 1 to 9999";

/// Whether both stores keep this text.
pub(super) fn is_text(text: &str) -> bool {
    !text.contains('\0')
}

/// Whether both stores keep this time, in milliseconds since 1970.
pub(super) fn is_millis(at: i64) -> bool {
    (MILLIS.0..=MILLIS.1).contains(&at)
}

/// Whether both stores keep this time, in microseconds since 1970.
pub(super) fn is_micros(at: i64) -> bool {
    is_millis(at.div_euclid(1_000))
}

/// Whether both stores keep this day, counted from 1970.
pub(super) fn is_date(day: i32) -> bool {
    (DAYS.0..=DAYS.1).contains(&day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, value: Value) -> Value {
        Value::Record(vec![("fine".to_owned(), Value::String("fine".to_owned())), (name.to_owned(), value)])
    }

    #[test]
    fn the_field_is_named_and_its_value_is_not() {
        let text = |text: &str| Value::String(text.to_owned());
        let items = Value::Array(vec![record("sku", text("a")), record("sku", text("se\0cret"))]);
        for (value, expected) in [
            (record("customer", text("a\u{1}b")), None),
            (record("customer", text("a\0b")), Some("field customer holds U+0000")),
            (record("email", Value::Union(1, Box::new(text("\0")))), Some("field email holds U+0000")),
            (record("items", items), Some("field items.sku holds U+0000")),
            (record("created_at", Value::TimestampMillis(MILLIS.0)), None),
            (record("created_at", Value::TimestampMillis(MILLIS.1)), None),
            (
                record("created_at", Value::TimestampMillis(MILLIS.1 + 1)),
                Some("field created_at is a time outside of the years 1 to 9999"),
            ),
            (
                record("created_at", Value::TimestampMicros(i64::MIN)),
                Some("field created_at is a time outside of the years 1 to 9999"),
            ),
            (record("day", Value::Date(i32::MAX)), Some("field day is a time outside of the years 1 to 9999")),
        ] {
            assert_eq!(fault(&value).as_deref(), expected);
        }
    }
}
