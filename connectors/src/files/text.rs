//! A file's text and the places in it. JSON is read by `serde_json` alone; the places come from where its raw values lie
//! in the text.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::finding::{Finding, Place, Rule};

/// A text with the name of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) file: String,
    pub(crate) text: String,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl Text {
    pub(crate) fn new(file: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(breaks).collect();
        Self { file: file.into(), text, lines }
    }

    /// The place of a byte; behind the end it is the end's.
    pub(crate) fn place(&self, at: usize) -> Place {
        let at = self.text.floor_char_boundary(at.min(self.text.len()));
        let line = self.lines.partition_point(|start| *start <= at).max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or_default();
        let column = self.text.get(start..at).map_or(0, |before| before.chars().count()) + 1;
        Place { line, column }
    }

    /// Where an error of `serde_json` lies.
    pub(crate) fn error_at(&self, error: &serde_json::Error) -> Place {
        let start = self.lines.get(error.line().saturating_sub(1)).copied().unwrap_or_default();
        self.place(start + error.column().saturating_sub(1))
    }

    /// A finding at a byte.
    pub(crate) fn finding(&self, rule: &'static Rule, at: usize, key: &str, message: &str, fix: &str) -> Finding {
        Finding::new(rule, (&self.file, self.place(at)), key, message, fix)
    }

    /// The pairs of an object that is a part of this text, in its order, the same key as often as it stands there;
    /// `None` where the part is no object.
    pub(crate) fn pairs<'t>(&'t self, part: &'t str) -> Option<Vec<Pair<'t>>> {
        let pairs = serde_json::from_str::<Pairs<'t>>(part).ok()?.0;
        let pair = |(key, value): (&'t RawValue, &'t RawValue)| {
            let (key_at, value_at) = (self.offset(key.get())?, self.offset(value.get())?);
            Some(Pair { key: serde_json::from_str(key.get()).ok()?, key_at, value: value.get(), value_at })
        };
        pairs.into_iter().map(pair).collect()
    }

    /// Where the member at the end of a path of keys stands: its key.
    pub(crate) fn member(&self, path: &[&str]) -> Option<usize> {
        let (mut part, mut at) = (self.text.as_str(), None);
        for key in path {
            let pair = self.pairs(part)?.into_iter().find(|pair| pair.key == *key)?;
            (part, at) = (pair.value, Some(pair.key_at));
        }
        at
    }

    fn offset(&self, part: &str) -> Option<usize> {
        part.as_ptr().addr().checked_sub(self.text.as_ptr().addr())
    }
}

/// A key and a value of an object, and where they begin.
#[derive(Debug, Clone)]
pub(crate) struct Pair<'t> {
    pub(crate) key: String,
    pub(crate) key_at: usize,
    /// As written.
    pub(crate) value: &'t str,
    pub(crate) value_at: usize,
}

/// An object's pairs in order, so that a key given twice is seen; JSON's usual readers keep the last in silence.
struct Pairs<'t>(Vec<(&'t RawValue, &'t RawValue)>);

impl<'de: 't, 't> serde::Deserialize<'de> for Pairs<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Vec<(&'de RawValue, &'de RawValue)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(pairs)
            }
        }
        deserializer.deserialize_map(Read).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let text = Text::new("f", "a\nüb\n");
        for (at, line, column) in [(0, 1, 1), (1, 1, 2), (2, 2, 1), (3, 2, 1), (4, 2, 2), (6, 3, 1), (99, 3, 1)] {
            assert_eq!(text.place(at), Place { line, column }, "{at}");
        }
        assert_eq!(Text::new("f", "").place(7), Place::START);
    }

    #[test]
    fn keys_and_values_are_found_where_they_stand_and_as_often_as_they_stand_there() {
        let text = Text::new("f", "{ \"ü\": 1,\n  \"a\\u0062\": {\"c\": []}, \"ü\": 2 }");
        let pairs = text.pairs(&text.text).unwrap();
        let told: Vec<_> = pairs.iter().map(|p| (p.key.as_str(), text.place(p.key_at), p.value)).collect();
        let at = |line, column| Place { line, column };
        assert_eq!(told, [("ü", at(1, 3), "1"), ("ab", at(2, 3), "{\"c\": []}"), ("ü", at(2, 25), "2")]);
        assert_eq!(text.place(text.member(&["ab", "c"]).unwrap()), at(2, 15));
        assert_eq!(text.member(&["ab", "d"]), None);
        assert!(text.pairs("[]").is_none());
    }

    #[test]
    fn an_error_of_syntax_has_its_place() {
        let text = Text::new("f", "{\n  \"ü\" 1 }");
        let error = serde_json::from_str::<serde_json::Value>(&text.text).unwrap_err();
        assert_eq!(text.error_at(&error), Place { line: 2, column: 7 });
    }
}
