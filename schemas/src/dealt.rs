//! What was done with which dead letter, as it stands in `connectors.dead-letter-marks`. `connectors dead-letters` and
//! `transforms replay --send` write it and go by it, each in one transaction with what it sends, so that neither is ever
//! there without the other. A letter itself is never changed or deleted.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Did {
    /// It was sent again, to the stage that had failed.
    Replayed,
    /// Somebody decided that nothing is to be done.
    Discarded,
}

/// What was done with a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// What.
    pub did: Did,
    /// The letter's address.
    pub letter: String,
    /// Where its record came from: its identity.
    pub of: String,
    /// When.
    pub at_ms: i64,
    /// Who.
    pub by: String,
    /// Why, where a person said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// Where it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// The identity of a letter, under which its mark stands: its topic, and the address that its record came from.
#[must_use]
pub fn key(letters: &str, of: &impl Display) -> String {
    format!("{letters} {of}")
}

/// The transactional id of whoever deals with the letters of a topic: a later one shuts an earlier one out.
#[must_use]
pub fn sender(letters: &str) -> String {
    format!("connectors-replay-{letters}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_earlier_releases_are_read_and_written_as_they_were() {
        assert_eq!(key("orders.dead-letter", &"orders.received/3/41"), "orders.dead-letter orders.received/3/41");
        assert_eq!(sender("orders.dead-letter"), "connectors-replay-orders.dead-letter");
        let letter = r#""letter":"orders.dead-letter/3/9","of":"orders.received/3/41","at_ms":5,"by":"ann""#;
        for (did, text) in [
            (Did::Replayed, format!(r#"{{"did":"replayed",{letter},"to":"orders.received/3/60"}}"#)),
            (Did::Discarded, format!(r#"{{"did":"discarded",{letter},"because":"a test order"}}"#)),
        ] {
            let mark: Mark = serde_json::from_str(&text).unwrap();
            assert_eq!(mark.did, did);
            assert_eq!(serde_json::to_string(&mark).unwrap(), text);
        }
    }
}
