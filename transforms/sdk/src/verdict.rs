//! What a transform says of a record.

use transform_frame::{Header, Record};

/// What becomes of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict<T> {
    /// This record comes out, with the input's key, timestamp and headers.
    Emit(T),
    /// This record comes out at the output of this name, with the input's key, timestamp and headers.
    EmitTo(&'static str, T),
    /// These records come out, in order.
    EmitAll(Vec<Emitted<T>>),
    /// Nothing comes out; the host leaves a marker.
    Drop,
    /// The record goes to the dead letters with this reason.
    Reject(String),
}

/// A record with everything of its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Emitted<T> {
    /// The record's key.
    pub key: Option<Vec<u8>>,
    /// The record's value.
    pub value: T,
    /// Milliseconds since 1970, UTC.
    pub timestamp_ms: i64,
    /// Name and value of each header.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// The output that it goes to; `None`: where the input would have gone.
    pub output: Option<&'static str>,
}

impl<T> Emitted<T> {
    /// The record for the output of this name.
    #[must_use]
    pub fn to(self, output: &'static str) -> Self {
        Self { output: Some(output), ..self }
    }
}

impl<T> Verdict<T> {
    /// The record comes out at the output of this name, which the pipeline has in `outputs`.
    #[must_use]
    pub fn emit_to(output: &'static str, record: T) -> Self {
        Self::EmitTo(output, record)
    }
}

/// The record comes out.
pub fn emit<T>(record: T) -> Verdict<T> {
    Verdict::Emit(record)
}

/// The record comes out at the output of this name, which the pipeline has in `outputs`.
pub fn emit_to<T>(output: &'static str, record: T) -> Verdict<T> {
    Verdict::EmitTo(output, record)
}

/// These records come out.
pub fn emit_all<T>(records: Vec<Emitted<T>>) -> Verdict<T> {
    Verdict::EmitAll(records)
}

/// The record is dropped on purpose.
pub fn drop_record<T>() -> Verdict<T> {
    Verdict::Drop
}

/// The record goes to the dead letters.
pub fn reject<T>(reason: impl Into<String>) -> Verdict<T> {
    Verdict::Reject(reason.into())
}

/// What came with the value: a transform may take it as its third argument.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    record: Record<'a>,
    found: &'a [Found],
}

/// What one table has under the key of one record.
pub(crate) type Found = (&'static str, Option<Vec<u8>>);

impl<'a> Input<'a> {
    pub(crate) fn new(record: Record<'a>, found: &'a [Found]) -> Self {
        Self { record, found }
    }

    /// The record's key.
    pub fn key(&self) -> Option<&'a [u8]> {
        self.record.key
    }

    /// Milliseconds since 1970, UTC.
    pub fn timestamp_ms(&self) -> i64 {
        self.record.timestamp_ms
    }

    /// The record's headers.
    pub fn headers(&self) -> impl Iterator<Item = Header<'a>> {
        self.record.headers
    }

    /// What the table has under this record's key, as `#[transform(lookup(table = …, key = …))]` says; `None` where the
    /// table has nothing, and where the record has no key for it. All records of a batch were asked for in one call.
    pub fn found(&self, table: &str) -> Option<&'a [u8]> {
        let (_, value) = self.found.iter().find(|(name, _)| *name == table)?;
        value.as_deref()
    }

    /// A record with the input's key, timestamp and headers, for [`emit_all`].
    pub fn with<T>(&self, value: T) -> Emitted<T> {
        Emitted {
            key: self.key().map(<[u8]>::to_vec),
            value,
            timestamp_ms: self.timestamp_ms(),
            headers: self.headers().map(|header| (header.name.to_owned(), header.value.map(<[u8]>::to_vec))).collect(),
            output: None,
        }
    }
}
