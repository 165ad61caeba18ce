//! A record as it lies in a topic, and where it lies. Bytes only: what they mean is said by those who read them.

use std::ffi::CStr;
use std::fmt;
use std::str::FromStr;

use rdkafka::Message;
use rdkafka::bindings as sys;
use rdkafka::message::BorrowedMessage;
use schemas::names::headers as names;
use serde::{Serialize, Serializer};

/// Where a record lies: `TOPIC/PARTITION/OFFSET`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

impl Address {
    /// Of these three.
    #[must_use]
    pub fn new(topic: &str, partition: i32, offset: i64) -> Self {
        Self { topic: topic.to_owned(), partition, offset }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.rsplitn(3, '/');
        let offset = parts.next().and_then(|text| text.parse::<i64>().ok()).filter(|offset| *offset >= 0);
        let partition = parts.next().and_then(|text| text.parse::<i32>().ok()).filter(|partition| *partition >= 0);
        match (parts.next().filter(|topic| !topic.is_empty()), partition, offset) {
            (Some(topic), Some(partition), Some(offset)) => Ok(Self::new(topic, partition, offset)),
            _ => Err(format!("`{text}` is no address; write TOPIC/PARTITION/OFFSET, such as orders.dead-letter/3/17")),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Headers in order; names are bytes, since anybody may write such a record.
pub type Headers = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// A record, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it lies.
    pub at: Address,
    /// Its time, as its writer or the broker says.
    pub timestamp_ms: Option<i64>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The headers.
    pub headers: Headers,
}

impl Record {
    /// How much it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let size = |part: &Option<Vec<u8>>| part.as_ref().map_or(0, Vec::len);
        let headers = self.headers.iter().map(|(name, value)| name.len() + size(value));
        size(&self.key) + size(&self.value) + headers.sum::<usize>()
    }

    /// A copy.
    #[must_use]
    pub fn of(message: &BorrowedMessage<'_>) -> Self {
        Self {
            at: Address::new(message.topic(), message.partition(), message.offset()),
            timestamp_ms: message.timestamp().to_millis(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers(message),
        }
    }

    /// The text of a header; of more than one with this name the last.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// Where the order was received, its version: see [`received`].
    #[must_use]
    pub fn received(&self) -> (i32, i64) {
        received(&self.headers, self.at.partition, self.at.offset)
    }
}

/// The text of a header; of more than one with this name the last.
#[must_use]
pub fn header<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    let (_, value) = headers.iter().rfind(|(found, _)| found == name.as_bytes())?;
    std::str::from_utf8(value.as_deref()?).ok()
}

/// Partition and offset where what lies at these was received: a record that was sent again says so in a header. It can
/// only be older for that, in its own partition; what else a header says is not believed, as in `transforms`.
#[must_use]
pub fn received(headers: &Headers, partition: i32, offset: i64) -> (i32, i64) {
    let said = header(headers, names::REPLAY_OF).and_then(|value| value.split_once('/'));
    let said = said.and_then(|(partition, offset)| Some((partition.parse().ok()?, offset.parse::<i64>().ok()?)));
    said.filter(|(there, older)| *there == partition && (0..offset).contains(older)).unwrap_or((partition, offset))
}

/// A message's headers. The crate's own access panics on a name that is not UTF-8.
pub(crate) fn headers(message: &BorrowedMessage<'_>) -> Headers {
    let mut list = std::ptr::null_mut();
    // SAFETY: the message is alive for the whole call; on success `list` points to headers that the message owns.
    let found = unsafe { sys::rd_kafka_message_headers(message.ptr(), &raw mut list) };
    let mut headers = Headers::new();
    if found != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || list.is_null() {
        return headers;
    }
    loop {
        let (mut name, mut value, mut size) = (std::ptr::null(), std::ptr::null(), 0);
        // SAFETY: `list` is valid as above; past the last index librdkafka answers with an error and writes nothing.
        let found =
            unsafe { sys::rd_kafka_header_get_all(list, headers.len(), &raw mut name, &raw mut value, &raw mut size) };
        if found != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || name.is_null() {
            return headers;
        }
        // SAFETY: the name ends with a NUL, the value (if there is one) has `size` bytes, and both live as long as the
        // message; they are copied here.
        let copied = unsafe {
            let name = CStr::from_ptr(name).to_bytes().to_vec();
            let value = (!value.is_null()).then(|| std::slice::from_raw_parts(value.cast::<u8>(), size).to_vec());
            (name, value)
        };
        headers.push(copied);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_topic_a_partition_and_an_offset() {
        let address: Address = "a/b.c/3/17".parse().unwrap();
        assert_eq!(address, Address::new("a/b.c", 3, 17));
        assert_eq!(address.to_string(), "a/b.c/3/17");
        for wrong in ["", "/", "orders", "orders/3", "/3/17", "orders/-3/17", "orders/3/-17", "orders/x/17"] {
            assert!(wrong.parse::<Address>().unwrap_err().contains("orders.dead-letter/3/17"), "{wrong}");
        }
    }

    #[test]
    fn a_replay_makes_a_record_older_in_its_own_partition_and_nothing_else() {
        let headers = |value: &str| vec![(names::REPLAY_OF.as_bytes().to_vec(), Some(value.as_bytes().to_vec()))];
        assert_eq!(received(&headers("3/17"), 3, 20), (3, 17));
        for forged in ["3/20", "3/99", "4/17", "3/-1", "x"] {
            assert_eq!(received(&headers(forged), 3, 20), (3, 20), "{forged}");
        }
    }
}
