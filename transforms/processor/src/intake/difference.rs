//! In what two verdicts on one record differ: the first difference, by the field's name where data are data of the schema.
//! The records are samples of ours, so their values may be told.

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use transform_host::{Record, Verdict};

/// A value in words is cut to so many letters.
const MAX: usize = 80;

/// The first difference.
pub(super) fn between(schema: &str, first: &Verdict, second: &Verdict) -> String {
    match (first, second) {
        (Verdict::Emit(first), Verdict::Emit(second)) => records(schema, first, second),
        (Verdict::Reject(first), Verdict::Reject(second)) => {
            format!("the reason is {:?} and then {:?}", cut(&first.reason), cut(&second.reason))
        }
        _ => format!("it is {} and then {}", kind(first), kind(second)),
    }
}

fn kind(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Emit(records) => format!("emitted as {} records", records.len()),
        Verdict::Drop { .. } => "dropped".to_owned(),
        Verdict::Reject(rejection) => format!("rejected ({}: {})", rejection.kind.name(), cut(&rejection.reason)),
    }
}

fn records(schema: &str, first: &[Record], second: &[Record]) -> String {
    if first.len() != second.len() {
        return format!("it becomes {} records and then {}", first.len(), second.len());
    }
    let Some((first, second)) = first.iter().zip(second).find(|(first, second)| first != second) else {
        return "nothing".to_owned();
    };
    if first.value != second.value {
        return field(schema, first, second).unwrap_or_else(|| "the value's bytes differ".to_owned());
    }
    if first.key != second.key {
        return "the key differs".to_owned();
    }
    if first.timestamp_ms != second.timestamp_ms {
        return format!("the timestamp is {} and then {}", first.timestamp_ms, second.timestamp_ms);
    }
    let names: Vec<&str> = first.headers.iter().chain(&second.headers).map(|(name, _)| name.as_str()).collect();
    let of = |record: &Record, name: &str| -> Vec<Option<Vec<u8>>> {
        record.headers.iter().filter(|(own, _)| own == name).map(|(_, value)| value.clone()).collect()
    };
    match names.into_iter().find(|name| of(first, name) != of(second, name)) {
        Some(name) => format!("header {name} differs"),
        None => "the order of the headers differs".to_owned(),
    }
}

fn field(schema: &str, first: &Record, second: &Record) -> Option<String> {
    let schema = Schema::parse_str(schema).ok()?;
    let reader = GenericDatumReader::builder(&schema).build().ok()?;
    let read = |record: &Record| reader.read_value(&mut &record.value[..]).ok();
    match (read(first)?, read(second)?) {
        (Value::Record(first), Value::Record(second)) => {
            let ((name, first), (_, second)) = first.into_iter().zip(second).find(|(first, second)| first != second)?;
            Some(format!("field {name} is {} and then {}", shown(&first), shown(&second)))
        }
        (first, second) => Some(format!("the value is {} and then {}", shown(&first), shown(&second))),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Union(_, inner) => shown(inner),
        Value::Null => "null".to_owned(),
        Value::String(text) => format!("{:?}", cut(text)),
        Value::Int(number) => number.to_string(),
        Value::Long(number) | Value::TimestampMillis(number) => number.to_string(),
        Value::Boolean(truth) => truth.to_string(),
        other => cut(&format!("{other:?}")),
    }
}

fn cut(text: &str) -> String {
    let mut cut: String = text.chars().take(MAX).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}
