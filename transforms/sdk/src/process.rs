//! From a batch frame to a frame of verdicts: the same on wasm32 and in a native test.

use transform_frame::{Batch, FrameError, Record, RecordParts, TooLarge, VerdictWriter};

use crate::{Datum, DatumError, Emitted, Input, LookupError, Parameters, Verdict, Writer, lookup, verdict::Found};

/// What `#[transform]` makes of an author's function.
pub trait Transform {
    /// The record that goes in and comes out.
    type Record: Datum;
    /// What a pipeline may set.
    type Config: Parameters;

    /// The module's name, `[a-z][a-z0-9-]*`.
    const NAME: &'static str;
    /// The module's version: that of its package.
    const VERSION: &'static str;

    /// The tables that each record is looked up in before it is judged.
    const TABLES: &'static [&'static str] = &[];

    /// The key of a record in one of [`Transform::TABLES`]; `None`: it is not looked up there.
    fn key(_table: usize, _record: &Self::Record, _config: &Self::Config) -> Option<Vec<u8>> {
        None
    }

    /// The author's function.
    fn apply(record: Self::Record, config: &Self::Config, input: &Input<'_>) -> Verdict<Self::Record>;
}

/// Judges a batch. An error is a fault of the host: it wrote no frame.
pub fn process<T: Transform>(config: &T::Config, frame: &[u8]) -> Result<Vec<u8>, FrameError> {
    let mut out = VerdictWriter::with_capacity(frame.len() + frame.len() / 4);
    let mut scratch = Vec::new();
    if T::TABLES.is_empty() {
        for record in Batch::parse(frame)?.records() {
            let record = record?;
            let verdict = judge::<T>(config, record, T::Record::read(record.value), &[]);
            // 4 GiB in one frame cannot be: the memory of a guest is far smaller.
            if write(&mut out, &verdict, &mut scratch).is_err() {
                break;
            }
        }
        return Ok(out.finish());
    }
    let records = Batch::parse(frame)?.records().collect::<Result<Vec<_>, _>>()?;
    let values: Vec<_> = records.iter().map(|record| T::Record::read(record.value)).collect();
    let found = found::<T>(config, &values);
    for ((record, value), found) in records.into_iter().zip(values).zip(found) {
        let verdict = match found {
            Ok(found) => judge::<T>(config, record, value, &found),
            Err(reason) => Verdict::Reject(reason),
        };
        if write(&mut out, &verdict, &mut scratch).is_err() {
            break;
        }
    }
    Ok(out.finish())
}

fn judge<T: Transform>(
    config: &T::Config,
    record: Record<'_>,
    value: Result<T::Record, DatumError>,
    found: &[Found],
) -> Verdict<T::Record> {
    match value {
        Ok(value) => T::apply(value, config, &Input::new(record, found)),
        Err(error) => Verdict::Reject(format!("cannot read the record: {error}")),
    }
}

/// For each record what the tables have for it: one call of the host a table, whatever the number of records.
fn found<T: Transform>(
    config: &T::Config,
    values: &[Result<T::Record, DatumError>],
) -> Vec<Result<Vec<Found>, String>> {
    let mut found: Vec<Result<Vec<Found>, String>> = values.iter().map(|_| Ok(Vec::new())).collect();
    for (at, table) in T::TABLES.iter().enumerate() {
        let key =
            |value: &Result<T::Record, DatumError>| value.as_ref().ok().and_then(|value| T::key(at, value, config));
        let keys: Vec<_> = values.iter().map(key).collect();
        let asked: Vec<Vec<u8>> = keys.iter().flatten().cloned().collect();
        match all(table, &asked) {
            Ok(answers) => {
                let mut answers = answers.into_iter();
                for (place, key) in found.iter_mut().zip(keys) {
                    let value = key.and_then(|_| answers.next().flatten());
                    if let Ok(found) = place {
                        found.push((*table, value));
                    }
                }
            }
            Err(error) => found.iter_mut().for_each(|place| *place = Err(format!("lookup `{table}`: {error}"))),
        }
    }
    found
}

/// As [`lookup`], however many keys there are.
fn all(table: &str, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, LookupError> {
    match lookup(table, keys) {
        Err(LookupError::TooManyKeys(limit)) if limit > 0 => {
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            let mut answers = Vec::with_capacity(keys.len());
            for part in keys.chunks(limit) {
                answers.extend(lookup(table, part)?);
            }
            Ok(answers)
        }
        answer => answer,
    }
}

/// A datum is written to `scratch` first: a field that does not fit must leave nothing in the frame.
fn write<T: Datum>(out: &mut VerdictWriter, verdict: &Verdict<T>, scratch: &mut Vec<u8>) -> Result<(), TooLarge> {
    match verdict {
        Verdict::Drop => out.drop_record(),
        Verdict::Reject(reason) => out.reject(reason),
        Verdict::Emit(value) => {
            scratch.clear();
            match value.write(&mut Writer(scratch)) {
                Ok(()) => out.replace(|out| out.extend_from_slice(scratch)),
                Err(error) => out.reject(&unwritable(&error)),
            }
        }
        Verdict::EmitTo(output, value) => {
            scratch.clear();
            match value.write(&mut Writer(scratch)) {
                Ok(()) => out.route(output, |out| out.extend_from_slice(scratch)),
                Err(error) => out.reject(&unwritable(&error)),
            }
        }
        Verdict::EmitAll(records) => {
            match records.iter().map(|record| datum(&record.value)).collect::<Result<Vec<_>, _>>() {
                Ok(values) => emit_all(out, records, &values),
                Err(error) => out.reject(&unwritable(&error)),
            }
        }
    }
}

fn emit_all<T>(out: &mut VerdictWriter, records: &[Emitted<T>], values: &[Vec<u8>]) -> Result<(), TooLarge> {
    let parts = records.iter().zip(values).map(|(record, value)| {
        let parts = RecordParts {
            key: record.key.as_deref(),
            value: value.as_slice(),
            timestamp_ms: record.timestamp_ms,
            headers: record.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())),
        };
        (record.output, parts)
    });
    if records.iter().any(|record| record.output.is_some()) {
        return out.route_each(&parts.collect::<Vec<_>>());
    }
    out.emit(&parts.map(|(_, parts)| parts).collect::<Vec<_>>())
}

fn datum<T: Datum>(value: &T) -> Result<Vec<u8>, DatumError> {
    let mut bytes = Vec::new();
    value.write(&mut Writer(&mut bytes))?;
    Ok(bytes)
}

fn unwritable(error: &DatumError) -> String {
    format!("cannot write the record: {error}")
}
