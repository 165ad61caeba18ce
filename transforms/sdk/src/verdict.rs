//! What a transform says of a record.

use transform_frame::{Header, Record};

/// What becomes of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict<T> {
    /// This record comes out, with the input's key, timestamp and headers.
    Emit(T),
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
}

/// The record comes out.
pub fn emit<T>(record: T) -> Verdict<T> {
    Verdict::Emit(record)
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
pub struct Input<'a>(Record<'a>);

impl<'a> Input<'a> {
    pub(crate) fn new(record: Record<'a>) -> Self {
        Self(record)
    }

    /// The record's key.
    pub fn key(&self) -> Option<&'a [u8]> {
        self.0.key
    }

    /// Milliseconds since 1970, UTC.
    pub fn timestamp_ms(&self) -> i64 {
        self.0.timestamp_ms
    }

    /// The record's headers.
    pub fn headers(&self) -> impl Iterator<Item = Header<'a>> {
        self.0.headers
    }

    /// A record with the input's key, timestamp and headers, for [`emit_all`].
    pub fn with<T>(&self, value: T) -> Emitted<T> {
        Emitted {
            key: self.key().map(<[u8]>::to_vec),
            value,
            timestamp_ms: self.timestamp_ms(),
            headers: self.headers().map(|header| (header.name.to_owned(), header.value.map(<[u8]>::to_vec))).collect(),
        }
    }
}
