//! Writes frames into one growing buffer.
//!
//! The writers count what they write, so a frame's head cannot disagree with its body.

use alloc::vec::Vec;

use crate::{ABSENT, VERSION, tag};

/// Something is longer than the frame can say (2^32 - 2 bytes or records).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge(pub usize);

impl core::fmt::Display for TooLarge {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "a frame cannot hold {} bytes or records in one place; the limit is {}", self.0, ABSENT - 1)
    }
}

impl core::error::Error for TooLarge {}

/// What makes a record, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct RecordParts<'a, H> {
    /// The record's key.
    pub key: Option<&'a [u8]>,
    /// The record's value.
    pub value: &'a [u8],
    /// Milliseconds since 1970, UTC.
    pub timestamp_ms: i64,
    /// Name and value of each header.
    pub headers: H,
}

/// Writes a batch frame.
#[derive(Debug)]
pub struct BatchWriter(Frame);

impl BatchWriter {
    /// Begins a frame; `capacity` bytes are reserved.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Frame::begin(capacity))
    }

    /// Adds a record. After an error the frame is not to be used.
    pub fn record<'h, H>(&mut self, parts: &RecordParts<'_, H>) -> Result<(), TooLarge>
    where
        H: Clone + IntoIterator<Item = (&'h str, Option<&'h [u8]>)>,
    {
        self.0.count()?;
        self.0.record(parts)
    }

    /// Ends the frame.
    pub fn finish(self) -> Vec<u8> {
        self.0.bytes
    }
}

/// Writes a frame of verdicts.
#[derive(Debug)]
pub struct VerdictWriter(Frame);

impl VerdictWriter {
    /// Begins a frame; `capacity` bytes are reserved.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Frame::begin(capacity))
    }

    /// The record is dropped.
    pub fn drop_record(&mut self) -> Result<(), TooLarge> {
        self.0.count()?;
        self.0.bytes.push(tag::DROP);
        Ok(())
    }

    /// The record is rejected with a reason.
    pub fn reject(&mut self, reason: &str) -> Result<(), TooLarge> {
        self.0.count()?;
        self.0.bytes.push(tag::REJECT);
        self.0.sized(reason.as_bytes())
    }

    /// One record is emitted with the input's key, timestamp and headers. `write` appends its value.
    pub fn replace(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), TooLarge> {
        self.0.count()?;
        self.0.bytes.push(tag::REPLACE);
        self.0.written(write)
    }

    /// One record is emitted to the output of this name, with the input's key, timestamp and headers.
    pub fn route(&mut self, output: &str, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), TooLarge> {
        self.0.count()?;
        self.0.bytes.push(tag::ROUTE);
        self.0.sized(output.as_bytes())?;
        self.0.written(write)
    }

    /// These records are emitted.
    pub fn emit<'h, H>(&mut self, records: &[RecordParts<'_, H>]) -> Result<(), TooLarge>
    where
        H: Clone + IntoIterator<Item = (&'h str, Option<&'h [u8]>)>,
    {
        self.0.count()?;
        self.0.bytes.push(tag::EMIT);
        self.0.u32(length(records.len())?);
        records.iter().try_for_each(|record| self.0.record(record))
    }

    /// These records are emitted, each to the output of its name; without a name as by [`VerdictWriter::emit`].
    pub fn route_each<'h, H>(&mut self, records: &[(Option<&str>, RecordParts<'_, H>)]) -> Result<(), TooLarge>
    where
        H: Clone + IntoIterator<Item = (&'h str, Option<&'h [u8]>)>,
    {
        self.0.count()?;
        self.0.bytes.push(tag::ROUTE_EACH);
        self.0.u32(length(records.len())?);
        records.iter().try_for_each(|(output, record)| {
            self.0.optional(output.map(str::as_bytes))?;
            self.0.record(record)
        })
    }

    /// Ends the frame.
    pub fn finish(self) -> Vec<u8> {
        self.0.bytes
    }
}

/// Where the count stands: behind the version.
const COUNT_AT: usize = 1;

#[derive(Debug)]
struct Frame {
    bytes: Vec<u8>,
    count: u32,
}

impl Frame {
    fn begin(capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity.max(5));
        bytes.push(VERSION);
        bytes.extend_from_slice(&0_u32.to_le_bytes());
        Self { bytes, count: 0 }
    }

    fn count(&mut self) -> Result<(), TooLarge> {
        self.count = self.count.checked_add(1).ok_or(TooLarge(usize::MAX))?;
        self.patch(COUNT_AT, self.count);
        Ok(())
    }

    fn patch(&mut self, at: usize, number: u32) {
        if let Some(place) = self.bytes.get_mut(at..at + 4) {
            place.copy_from_slice(&number.to_le_bytes());
        }
    }

    fn u32(&mut self, number: u32) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    fn sized(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        self.u32(length(bytes.len())?);
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// What `write` appends, behind its length.
    fn written(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), TooLarge> {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        write(&mut self.bytes);
        let len = length(self.bytes.len().saturating_sub(at + 4))?;
        self.patch(at, len);
        Ok(())
    }

    fn optional(&mut self, bytes: Option<&[u8]>) -> Result<(), TooLarge> {
        match bytes {
            Some(bytes) => self.sized(bytes),
            None => {
                self.u32(ABSENT);
                Ok(())
            }
        }
    }

    fn record<'h, H>(&mut self, parts: &RecordParts<'_, H>) -> Result<(), TooLarge>
    where
        H: Clone + IntoIterator<Item = (&'h str, Option<&'h [u8]>)>,
    {
        self.optional(parts.key)?;
        self.sized(parts.value)?;
        self.bytes.extend_from_slice(&parts.timestamp_ms.to_le_bytes());
        let at = self.bytes.len();
        self.u32(0);
        let mut headers = 0_usize;
        for (name, value) in parts.headers.clone() {
            self.sized(name.as_bytes())?;
            self.optional(value)?;
            headers += 1;
        }
        self.patch(at, length(headers)?);
        Ok(())
    }
}

fn length(len: usize) -> Result<u32, TooLarge> {
    u32::try_from(len).ok().filter(|len| *len != ABSENT).ok_or(TooLarge(len))
}
