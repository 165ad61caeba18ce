//! Marks as records.

use std::time::{SystemTime, UNIX_EPOCH};

use schemas::names::topics::DEAD_LETTER_MARKS;

use super::letter::Letter;
use super::marks::{Did, Mark};
use super::replay::key;
use crate::kafka::sender::Outgoing;

/// A mark of this moment.
pub(super) fn new_mark(letter: &Letter, did: Did, by: &str) -> Mark {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Mark {
        did,
        letter: letter.at.to_string(),
        of: letter.of.to_string(),
        at_ms: i64::try_from(now.as_millis()).unwrap_or(i64::MAX),
        by: by.to_owned(),
        because: None,
        to: None,
    }
}

/// As it is written.
pub(super) fn mark(letter: &Letter, mark: &Mark) -> Outgoing {
    Outgoing {
        topic: DEAD_LETTER_MARKS.to_owned(),
        partition: 0,
        key: Some(key(letter).into_bytes()),
        value: serde_json::to_vec(mark).ok(),
        timestamp_ms: None,
        headers: Vec::new(),
    }
}
