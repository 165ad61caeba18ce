//! Reads frames, borrowed and without allocation.
//!
//! Nothing here trusts a length or a count: a count is only how often the iterator may go on, and each step checks
//! its own bytes. After an error an iterator ends.

use crate::{ABSENT, FrameError, VERSION, tag};

/// A batch frame, as a guest gets it.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    count: u32,
    body: Cursor<'a>,
}

impl<'a> Batch<'a> {
    /// Reads the head of a frame; the records are read by iterating.
    pub fn parse(frame: &'a [u8]) -> Result<Self, FrameError> {
        let (count, body) = head(frame)?;
        Ok(Self { count, body })
    }

    /// How many records the frame says it has. Not to be trusted with an allocation.
    pub fn announced(&self) -> u32 {
        self.count
    }

    /// The records, in order. An error is the last item.
    pub fn records(&self) -> Records<'a> {
        Records { left: self.count, cursor: self.body, end: End::Frame }
    }
}

/// One record of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The record's key.
    pub key: Option<&'a [u8]>,
    /// The record's value: one datum of the payload.
    pub value: &'a [u8],
    /// Milliseconds since 1970, UTC.
    pub timestamp_ms: i64,
    /// The record's headers.
    pub headers: Headers<'a>,
}

/// One header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The header's name.
    pub name: &'a str,
    /// The header's value.
    pub value: Option<&'a [u8]>,
}

/// The headers of a record: checked when the record was read.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    left: u32,
    cursor: Cursor<'a>,
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        self.left = self.left.checked_sub(1)?;
        self.cursor.header().ok()
    }
}

/// Iterator over records.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    left: u32,
    cursor: Cursor<'a>,
    end: End,
}

/// Whether the end of the records is the end of the frame too.
#[derive(Clone, Copy, Debug)]
enum End {
    Frame,
    Verdict,
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Some(left) = self.left.checked_sub(1) else {
            let end = core::mem::replace(&mut self.end, End::Verdict);
            return match end {
                End::Frame => self.cursor.finish().err().map(Err),
                End::Verdict => None,
            };
        };
        self.left = left;
        let record = self.cursor.record();
        if record.is_err() {
            (self.left, self.end) = (0, End::Verdict);
        }
        Some(record)
    }
}

/// A frame of verdicts, as the host gets it.
#[derive(Clone, Debug)]
pub struct Verdicts<'a> {
    count: u32,
    left: u32,
    cursor: Cursor<'a>,
    done: bool,
}

/// One verdict.
#[derive(Clone, Debug)]
pub enum Verdict<'a> {
    /// Drop the record.
    Drop,
    /// Reject it, with the reason.
    Reject(&'a str),
    /// Emit one record with this value and the input's key, timestamp and headers.
    Replace(&'a [u8]),
    /// Emit these records.
    Emit {
        /// How many.
        count: u32,
        /// The records: checked when the verdict was read.
        records: Records<'a>,
    },
    /// Emit one record to the output of this name, with this value and the input's key, timestamp and headers.
    Route {
        /// The output's name.
        output: &'a str,
        /// The record's value.
        value: &'a [u8],
    },
    /// Emit these records, each to an output of its own.
    RouteEach {
        /// How many.
        count: u32,
        /// The records: checked when the verdict was read.
        records: Routed<'a>,
    },
}

/// The records of [`Verdict::RouteEach`] with the names of their outputs; without a name a record goes on as in
/// [`Verdict::Emit`]. Checked when the verdict was read.
#[derive(Clone, Debug)]
pub struct Routed<'a> {
    left: u32,
    cursor: Cursor<'a>,
}

impl<'a> Iterator for Routed<'a> {
    type Item = (Option<&'a str>, Record<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        self.cursor.routed().ok()
    }
}

impl<'a> Verdicts<'a> {
    /// Reads the head of a frame; the verdicts are read by iterating.
    pub fn parse(frame: &'a [u8]) -> Result<Self, FrameError> {
        let (count, cursor) = head(frame)?;
        Ok(Self { count, left: count, cursor, done: false })
    }

    /// How many verdicts the frame says it has. Not to be trusted with an allocation.
    pub fn announced(&self) -> u32 {
        self.count
    }
}

impl<'a> Iterator for Verdicts<'a> {
    type Item = Result<Verdict<'a>, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let Some(left) = self.left.checked_sub(1) else {
            self.done = true;
            return self.cursor.finish().err().map(Err);
        };
        self.left = left;
        let verdict = self.cursor.verdict();
        self.done = verdict.is_err();
        Some(verdict)
    }
}

fn head(frame: &[u8]) -> Result<(u32, Cursor<'_>), FrameError> {
    let mut cursor = Cursor { frame, at: 0 };
    match cursor.u8()? {
        VERSION => Ok((cursor.u32()?, cursor)),
        other => Err(FrameError::Version(other)),
    }
}

/// A position in a frame.
#[derive(Clone, Copy, Debug)]
struct Cursor<'a> {
    frame: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], FrameError> {
        let truncated = FrameError::Truncated { at: self.at };
        let end = self.at.checked_add(len).ok_or(truncated)?;
        let part = self.frame.get(self.at..end).ok_or(truncated)?;
        self.at = end;
        Ok(part)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let truncated = FrameError::Truncated { at: self.at };
        self.take(N)?.try_into().map_err(|_| truncated)
    }

    fn u8(&mut self) -> Result<u8, FrameError> {
        self.array().map(u8::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, FrameError> {
        self.array().map(u32::from_le_bytes)
    }

    fn i64(&mut self) -> Result<i64, FrameError> {
        self.array().map(i64::from_le_bytes)
    }

    fn sized(&mut self, len: u32) -> Result<&'a [u8], FrameError> {
        // A length that does not fit into usize (a guest has 32 bits) is longer than any frame.
        self.take(usize::try_from(len).unwrap_or(usize::MAX))
    }

    fn bytes(&mut self) -> Result<&'a [u8], FrameError> {
        let len = self.u32()?;
        self.sized(len)
    }

    fn optional(&mut self) -> Result<Option<&'a [u8]>, FrameError> {
        match self.u32()? {
            ABSENT => Ok(None),
            len => self.sized(len).map(Some),
        }
    }

    fn text(&mut self) -> Result<&'a str, FrameError> {
        let at = self.at;
        core::str::from_utf8(self.bytes()?).map_err(|_| FrameError::Text { at })
    }

    fn name(&mut self) -> Result<Option<&'a str>, FrameError> {
        let at = self.at;
        let name = self.optional()?.map(core::str::from_utf8).transpose();
        name.map_err(|_| FrameError::Text { at })
    }

    fn routed(&mut self) -> Result<(Option<&'a str>, Record<'a>), FrameError> {
        Ok((self.name()?, self.record()?))
    }

    fn header(&mut self) -> Result<Header<'a>, FrameError> {
        Ok(Header { name: self.text()?, value: self.optional()? })
    }

    fn record(&mut self) -> Result<Record<'a>, FrameError> {
        let key = self.optional()?;
        let value = self.bytes()?;
        let timestamp_ms = self.i64()?;
        let left = self.u32()?;
        let headers = Headers { left, cursor: *self };
        for _ in 0..left {
            self.header()?;
        }
        Ok(Record { key, value, timestamp_ms, headers })
    }

    fn verdict(&mut self) -> Result<Verdict<'a>, FrameError> {
        let at = self.at;
        match self.u8()? {
            tag::DROP => Ok(Verdict::Drop),
            tag::REJECT => self.text().map(Verdict::Reject),
            tag::REPLACE => self.bytes().map(Verdict::Replace),
            tag::EMIT => {
                let count = self.u32()?;
                let records = Records { left: count, cursor: *self, end: End::Verdict };
                for _ in 0..count {
                    self.record()?;
                }
                Ok(Verdict::Emit { count, records })
            }
            tag::ROUTE => Ok(Verdict::Route { output: self.text()?, value: self.bytes()? }),
            tag::ROUTE_EACH => {
                let count = self.u32()?;
                let records = Routed { left: count, cursor: *self };
                for _ in 0..count {
                    self.routed()?;
                }
                Ok(Verdict::RouteEach { count, records })
            }
            tag => Err(FrameError::Tag { at, tag }),
        }
    }

    fn finish(&self) -> Result<(), FrameError> {
        match self.frame.len().saturating_sub(self.at) {
            0 => Ok(()),
            bytes => Err(FrameError::Trailing { bytes }),
        }
    }
}
