//! A record as it came and as it goes: bytes with an address. What the bytes mean is [`crate::record`]'s.

use std::sync::Arc;

use rdkafka::message::{BorrowedMessage, Message};

use super::{Place, native};

/// Headers in order; a name is bytes, because anybody may write one that is no text.
pub type Headers = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// A record that was read, copied out of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Where it lay.
    pub topic: Arc<str>,
    /// Where it lay.
    pub partition: i32,
    /// Where it lay.
    pub offset: i64,
    /// When it was written, in milliseconds since 1970; `None` where the broker knows none.
    pub timestamp_ms: Option<i64>,
    /// Its key; null is not the same as empty.
    pub key: Option<Vec<u8>>,
    /// Its value; null is not the same as empty.
    pub value: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Headers,
}

/// Where a record lies.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
}

/// A record to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Where to.
    pub topic: Arc<str>,
    /// Its key; null is not the same as empty.
    pub key: Option<Vec<u8>>,
    /// Its value; null is not the same as empty.
    pub value: Option<Vec<u8>>,
    /// The input's timestamp.
    pub timestamp_ms: Option<i64>,
    /// Its headers.
    pub headers: Headers,
}

/// What a record costs on the wire beside its own bytes: the batch's head and the record's lengths, rounded up.
const WIRE_OVERHEAD: usize = 128;

impl Input {
    pub(crate) fn copy(message: &BorrowedMessage<'_>, topic: Arc<str>) -> Self {
        Self {
            topic,
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: native::headers(message),
        }
    }

    /// Where it lay.
    #[must_use]
    pub fn address(&self) -> Address {
        Address { topic: Arc::clone(&self.topic), partition: self.partition, offset: self.offset }
    }

    /// Its partition.
    pub(super) fn place(&self) -> Place {
        Place { topic: Arc::clone(&self.topic), partition: self.partition }
    }

    /// Roughly what it holds in memory.
    #[must_use]
    pub fn size(&self) -> usize {
        size(self.key.as_deref(), self.value.as_deref(), &self.headers)
    }
}

impl Outgoing {
    /// At least what it takes of the topic's `max.message.bytes`.
    #[must_use]
    pub fn size(&self) -> usize {
        size(self.key.as_deref(), self.value.as_deref(), &self.headers)
    }
}

fn size(key: Option<&[u8]>, value: Option<&[u8]>, headers: &Headers) -> usize {
    let headers: usize = headers.iter().map(|(name, value)| 16 + name.len() + value.as_ref().map_or(0, Vec::len)).sum();
    WIRE_OVERHEAD + key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len) + headers
}
