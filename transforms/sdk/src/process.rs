//! From a batch frame to a frame of verdicts: the same on wasm32 and in a native test.

use transform_frame::{Batch, FrameError, RecordParts, TooLarge, VerdictWriter};

use crate::{Datum, DatumError, Emitted, Input, Parameters, Reader, Verdict, Writer};

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

    /// The author's function.
    fn apply(record: Self::Record, config: &Self::Config, input: &Input<'_>) -> Verdict<Self::Record>;
}

/// Judges a batch. An error is a fault of the host: it wrote no frame.
pub fn process<T: Transform>(config: &T::Config, frame: &[u8]) -> Result<Vec<u8>, FrameError> {
    let mut out = VerdictWriter::with_capacity(frame.len() + frame.len() / 4);
    let mut scratch = Vec::new();
    for record in Batch::parse(frame)?.records() {
        let record = record?;
        let verdict = match read(record.value) {
            Ok(value) => T::apply(value, config, &Input::new(record)),
            Err(error) => Verdict::Reject(format!("cannot read the record: {error}")),
        };
        // 4 GiB in one frame cannot be: the memory of a guest is far smaller.
        if write(&mut out, &verdict, &mut scratch).is_err() {
            break;
        }
    }
    Ok(out.finish())
}

fn read<T: Datum>(bytes: &[u8]) -> Result<T, DatumError> {
    let mut input = Reader::new(bytes);
    let value = T::read(&mut input)?;
    input.finish()?;
    Ok(value)
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
        Verdict::EmitAll(records) => {
            match records.iter().map(|record| datum(&record.value)).collect::<Result<Vec<_>, _>>() {
                Ok(values) => emit_all(out, records, &values),
                Err(error) => out.reject(&unwritable(&error)),
            }
        }
    }
}

fn emit_all<T>(out: &mut VerdictWriter, records: &[Emitted<T>], values: &[Vec<u8>]) -> Result<(), TooLarge> {
    let parts: Vec<_> = records
        .iter()
        .zip(values)
        .map(|(record, value)| RecordParts {
            key: record.key.as_deref(),
            value,
            timestamp_ms: record.timestamp_ms,
            headers: record.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())),
        })
        .collect();
    out.emit(&parts)
}

fn datum<T: Datum>(value: &T) -> Result<Vec<u8>, DatumError> {
    let mut bytes = Vec::new();
    value.write(&mut Writer(&mut bytes))?;
    Ok(bytes)
}

fn unwritable(error: &DatumError) -> String {
    format!("cannot write the record: {error}")
}
