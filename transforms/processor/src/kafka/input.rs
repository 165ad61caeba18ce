//! A record as it came and as it goes: bytes with an address. What the bytes mean is [`crate::record`]'s.

use std::sync::Arc;

use rdkafka::message::{BorrowedMessage, Message};
use schemas::names::headers;

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

    /// Where it was received: a record that was sent again from the dead letters says so in a header. It can only be older
    /// for that, in its own partition; what else a header says is not believed.
    #[must_use]
    pub fn received(&self) -> (i32, i64) {
        let value = self.header(headers::REPLAY_OF).and_then(|value| value.split_once('/'));
        let said = value.and_then(|(partition, offset)| Some((partition.parse().ok()?, offset.parse::<i64>().ok()?)));
        let older =
            |(partition, offset): &(i32, i64)| *partition == self.partition && (0..self.offset).contains(offset);
        said.filter(older).unwrap_or((self.partition, self.offset))
    }

    /// The text of a header; of more than one with this name the last.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().rfind(|(found, _)| found == name.as_bytes())?;
        std::str::from_utf8(value.as_deref()?).ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_again_keeps_the_version_that_it_was_received_with_if_that_is_older_and_of_its_partition() {
        let received = |said: &[&str]| {
            let header = |said: &&str| (headers::REPLAY_OF.as_bytes().to_vec(), Some(said.as_bytes().to_vec()));
            let input = Input {
                topic: Arc::from("orders.received"),
                partition: 3,
                offset: 50,
                timestamp_ms: None,
                key: None,
                value: None,
                headers: said.iter().map(header).collect(),
            };
            input.received()
        };
        assert_eq!(received(&["3/41"]), (3, 41));
        assert_eq!(received(&["3/7", "3/41"]), (3, 41), "the last word counts");
        for said in [&[][..], &["2/41"], &["3/50"], &["3/51"], &["3/-1"], &["3"], &["3/x"], &["3/41", "x"]] {
            assert_eq!(received(said), (3, 50), "{said:?}");
        }
    }
}
