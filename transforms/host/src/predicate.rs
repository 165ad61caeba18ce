//! Which records a module gets, in the words of Kafka Connect. Knows a record's topic, headers and whether it is a
//! tombstone; never its value.

use regex_lite::Regex;

use crate::Record;

/// A question about a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Predicate {
    /// The whole name of the record's topic matches: of the one that it was read from, or, once a module sent it to a
    /// named output, of that output's.
    TopicNameMatches(TopicPattern),
    /// The record has a header of this name.
    HasHeaderKey(String),
    /// The record's value is null.
    RecordIsTombstone,
}

/// A pattern for the whole name of a topic.
#[derive(Clone, Debug)]
pub struct TopicPattern(Regex);

impl PartialEq for TopicPattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for TopicPattern {}

/// Bytes that a compiled pattern may have.
const PATTERN_BYTES: usize = 256 << 10;

impl TopicPattern {
    /// Reads a regular expression. It is matched in linear time, so look-around and back-references are refused.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn parse(pattern: &str) -> Result<Self, String> {
        // Connect's matches the whole name too.
        let whole = format!(r"\A(?:{pattern})\z");
        let mut builder = regex_lite::RegexBuilder::new(&whole);
        builder.size_limit(PATTERN_BYTES).build().map(Self).map_err(|error| {
            let text = error.to_string();
            text.lines().last().unwrap_or("not a regular expression").trim().to_owned()
        })
    }

    fn matches(&self, topic: &str) -> bool {
        self.0.is_match(topic)
    }
}

/// When a step is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct When {
    /// The question.
    pub predicate: Predicate,
    /// Whether the step is done where the answer is no.
    pub negate: bool,
}

impl When {
    /// Whether the step is done to this record. `topic` is where the record stands now.
    pub(crate) fn admits(&self, record: &Record, topic: &str) -> bool {
        let yes = match &self.predicate {
            Predicate::TopicNameMatches(pattern) => pattern.matches(topic),
            Predicate::HasHeaderKey(name) => record.headers.iter().any(|(own, _)| own == name),
            Predicate::RecordIsTombstone => record.tombstone,
        };
        yes != self.negate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(predicate: Predicate, negate: bool, topic: &str) -> bool {
        let record = Record { headers: vec![("trace".to_owned(), None)], ..Record::default() };
        When { predicate, negate }.admits(&record, topic)
    }

    #[test]
    fn a_pattern_is_matched_against_the_whole_name() {
        for (pattern, topic, expected) in [
            ("orders", "orders", true),
            ("orders", "orders.received", false),
            (r"orders\..*", "orders.received", true),
            ("a|orders", "orders", true),
            ("a|orders", "xorders", false),
            ("(?i)ORDERS", "orders", true),
        ] {
            let predicate = || Predicate::TopicNameMatches(TopicPattern::parse(pattern).unwrap());
            assert_eq!(admits(predicate(), false, topic), expected, "{pattern} on {topic}");
            assert_eq!(admits(predicate(), true, topic), !expected, "{pattern} on {topic}, negated");
        }
    }

    #[test]
    fn a_pattern_that_cannot_be_bounded_is_refused() {
        for pattern in ["(", "(?=x)", r"(a)\1", "(((a{100}){100}){100})"] {
            let error = TopicPattern::parse(pattern).unwrap_err();
            assert!(!error.is_empty() && !error.contains('\n'), "{pattern}: {error}");
        }
    }

    #[test]
    fn headers_and_tombstones_are_seen() {
        assert!(admits(Predicate::HasHeaderKey("trace".to_owned()), false, ""));
        assert!(!admits(Predicate::HasHeaderKey("Trace".to_owned()), false, ""));
        assert!(!admits(Predicate::RecordIsTombstone, false, ""));
        let tombstone = Record { tombstone: true, ..Record::default() };
        assert!(When { predicate: Predicate::RecordIsTombstone, negate: false }.admits(&tombstone, ""));
    }
}
