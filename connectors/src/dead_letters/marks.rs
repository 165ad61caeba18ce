//! What was done with which dead letter. A letter itself is never changed or deleted; that it was sent again or discarded
//! is a record of its own, written in one transaction with what was sent, so that neither is ever there without the other.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Instant;

use rdkafka::Message as _;
use rdkafka::message::BorrowedMessage;
use schemas::names::topics::DEAD_LETTER_MARKS;

use crate::kafka::KafkaError;
use crate::kafka::record::Address;
use crate::kafka::scan::Scanner;

pub use schemas::dealt::{Did, Mark};

/// The newest mark of each letter, by [`key`].
pub type Marks = BTreeMap<String, Mark>;

/// The identity of a letter: its topic, and where its record came from.
#[must_use]
pub fn key(letters: &str, of: &Address) -> String {
    schemas::dealt::key(letters, of)
}

/// All marks. There are as many as letters were dealt with.
///
/// # Errors
/// [`KafkaError`]; also where the time is over first: a letter whose mark was not seen could be sent twice.
pub fn read(scanner: &Scanner, until: Instant) -> Result<Marks, KafkaError> {
    let mut marks = Marks::new();
    if scanner.partitions(DEAD_LETTER_MARKS)? == 0 {
        return Ok(marks);
    }
    let (low, end) = scanner.watermarks(DEAD_LETTER_MARKS, 0)?;
    let whole = scanner.read(DEAD_LETTER_MARKS, 0, low..end, until, |message| {
        if let Some((key, mark)) = of(message) {
            marks.insert(key.to_owned(), mark);
        }
        ControlFlow::Continue(())
    })?;
    if whole { Ok(marks) } else { Err(KafkaError::Late { topic: DEAD_LETTER_MARKS.to_owned(), partition: 0 }) }
}

/// The letter's [`key`] and what was done with it, of a record that is a mark.
pub(super) fn of<'m>(message: &'m BorrowedMessage<'_>) -> Option<(&'m str, Mark)> {
    let key = std::str::from_utf8(message.key()?).ok()?;
    Some((key, serde_json::from_slice(message.payload()?).ok()?))
}
