//! Times of orders: RFC 3339 with an offset, kept as milliseconds in UTC; digits beyond are cut.

use schemas::order::Timestamp;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Longer texts are refused before they are read.
pub const MAX_TEXT: usize = 64;

/// The time that a text says, if it says one.
#[must_use]
pub fn parse(text: &str) -> Option<Timestamp> {
    if MAX_TEXT < text.len() {
        return None;
    }
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    millis(time)
}

/// Now.
#[must_use]
pub fn now() -> Timestamp {
    millis(OffsetDateTime::now_utc()).unwrap_or(Timestamp(0))
}

fn millis(time: OffsetDateTime) -> Option<Timestamp> {
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).ok().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_offset() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1970-01-01T00:00:00.001Z", Some(1)),
            ("1970-01-01T00:00:00.0019999999Z", Some(1)),
            ("1970-01-01T02:00:00+02:00", Some(0)),
            ("2000-01-01T00:00:00-00:30", Some(946_686_600_000)),
            ("1970-01-01t00:00:00z", Some(0)),
            ("1970-01-01T00:00:00", None),
            ("1970-01-01", None),
            ("1970-02-30T00:00:00Z", None),
            ("1970-01-01T24:00:00Z", None),
            ("1970-01-01T00:00:61Z", None),
            ("1970-01-01T00:00:00+0200", None),
            ("", None),
            ("now", None),
        ] {
            assert_eq!(parse(text), expected.map(Timestamp), "{text}");
        }
        assert_eq!(parse(&format!("1970-01-01T00:00:00.{}Z", "0".repeat(60))), None);
    }
}
