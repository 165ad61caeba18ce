//! A JSON body as it was written: numbers keep their own text, so that no amount goes through a float; a key that
//! stands twice is an error, because two readers would disagree on its value. serde_json does the scanning.
//! Which fields an order has is not known here: see `check`.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

pub mod representation;

/// Arrays and objects inside each other; an order has three.
const MAX_DEPTH: usize = 16;
/// Values in one body, so that a small body cannot become a large tree. An order has at most some 2,500.
pub(crate) const MAX_VALUES: usize = 20_000;
/// Below this many members, comparing each with each is faster than hashing.
const FEW_MEMBERS: usize = 16;
/// Bytes of a key that are shown in a pointer.
const MAX_SHOWN_KEY: usize = 64;

/// One JSON value, borrowing from the body where it can.
#[derive(Clone, Debug, PartialEq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as its own text.
    Number(&'a str),
    /// A string without its escapes.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Json<'a>>),
    /// An object in the order of the body; no key stands twice.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// Why bytes are no JSON that we take. The pointer names the place; no value is shown.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// Bytes that are no text.
    #[error("body is not valid UTF-8 at byte {0}")]
    Utf8(usize),
    /// Not JSON, or a string with half a surrogate pair.
    #[error("body is not valid JSON: {what} (line {line}, column {column}, counted from {at:?})")]
    Syntax {
        /// What serde_json says.
        what: String,
        /// Line within the value at `at`.
        line: usize,
        /// Column within the value at `at`.
        column: usize,
        /// Pointer to the innermost value around the fault.
        at: String,
    },
    /// A key that stands twice in one object.
    #[error("key {0:?} stands twice; which of its values counts would be a guess")]
    Duplicate(String),
    /// Too many levels.
    #[error("arrays and objects are nested deeper than {MAX_DEPTH} levels at {0:?}")]
    TooDeep(String),
    /// Too many values.
    #[error("body has more than {MAX_VALUES} values")]
    TooMany,
}

/// Reads a whole body.
///
/// # Errors
/// See [`Malformed`].
pub fn parse(body: &[u8]) -> Result<Json<'_>, Malformed> {
    let text = std::str::from_utf8(body).map_err(|error| Malformed::Utf8(error.valid_up_to()))?;
    let mut reader = Reader { path: Vec::new(), values_left: MAX_VALUES };
    let raw = serde_json::from_str(text).map_err(|error| reader.syntax(&error))?;
    reader.value(raw)
}

impl<'a> Json<'a> {
    /// The member of an object.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Json<'a>> {
        match self {
            Self::Object(members) => members.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }
}

/// Goes down the tree; the path says where, for errors only.
struct Reader<'a> {
    path: Vec<Step<'a>>,
    values_left: usize,
}

enum Step<'a> {
    Key(Cow<'a, str>),
    Index(usize),
}

impl<'a> Reader<'a> {
    fn value(&mut self, raw: &'a RawValue) -> Result<Json<'a>, Malformed> {
        self.values_left = self.values_left.checked_sub(1).ok_or(Malformed::TooMany)?;
        let text = raw.get();
        Ok(match text.as_bytes().first() {
            Some(b'n') => Json::Null,
            Some(b't') => Json::Bool(true),
            Some(b'f') => Json::Bool(false),
            Some(b'"') => Json::String(self.read::<Text<'a>>(text)?.0),
            Some(b'[') => Json::Array(self.array(text)?),
            Some(b'{') => Json::Object(self.object(text)?),
            _ => Json::Number(text),
        })
    }

    fn array(&mut self, text: &'a str) -> Result<Vec<Json<'a>>, Malformed> {
        let Elements(raw) = self.open(text)?;
        let mut values = Vec::with_capacity(raw.len());
        for (index, element) in raw.into_iter().enumerate() {
            self.path.push(Step::Index(index));
            values.push(self.value(element)?);
            self.path.pop();
        }
        Ok(values)
    }

    fn object(&mut self, text: &'a str) -> Result<Vec<(Cow<'a, str>, Json<'a>)>, Malformed> {
        let Members(raw) = self.open(text)?;
        if let Some(key) = duplicate(&raw) {
            return Err(Malformed::Duplicate(pointer(&self.path, Some(key))));
        }
        let mut members = Vec::with_capacity(raw.len());
        for (key, member) in raw {
            self.path.push(Step::Key(key));
            let value = self.value(member)?;
            if let Some(Step::Key(key)) = self.path.pop() {
                members.push((key, value));
            }
        }
        Ok(members)
    }

    /// One level deeper.
    fn open<T: Deserialize<'a>>(&self, text: &'a str) -> Result<T, Malformed> {
        if MAX_DEPTH <= self.path.len() {
            return Err(Malformed::TooDeep(pointer(&self.path, None)));
        }
        self.read(text)
    }

    fn read<T: Deserialize<'a>>(&self, text: &'a str) -> Result<T, Malformed> {
        serde_json::from_str(text).map_err(|error| match error.to_string().starts_with(TOO_MANY) {
            true => Malformed::TooMany,
            false => self.syntax(&error),
        })
    }

    fn syntax(&self, error: &serde_json::Error) -> Malformed {
        let text = error.to_string();
        let what = text.split(" at line ").next().unwrap_or_default().to_owned();
        Malformed::Syntax { what, line: error.line(), column: error.column(), at: pointer(&self.path, None) }
    }
}

fn duplicate<'m>(members: &'m [(Cow<'_, str>, &RawValue)]) -> Option<&'m str> {
    if members.len() <= FEW_MEMBERS {
        let twice = members
            .iter()
            .enumerate()
            .find(|(index, (key, _))| members.iter().take(*index).any(|(earlier, _)| earlier == key));
        return twice.map(|(_, (key, _))| key.as_ref());
    }
    let mut seen = HashSet::with_capacity(members.len());
    members.iter().map(|(key, _)| key.as_ref()).find(|key| !seen.insert(*key))
}

/// The JSON Pointer of a place, with long keys cut.
fn pointer(path: &[Step<'_>], last: Option<&str>) -> String {
    let mut pointer = String::new();
    for step in path {
        match step {
            Step::Key(key) => push_key(&mut pointer, key),
            Step::Index(index) => {
                pointer.push('/');
                pointer.push_str(&index.to_string());
            }
        }
    }
    if let Some(key) = last {
        push_key(&mut pointer, key);
    }
    pointer
}

/// Appends a key to a JSON Pointer, escaped; a key longer than any honest one is cut.
pub fn push_key(pointer: &mut String, key: &str) {
    pointer.push('/');
    let shown = key.floor_char_boundary(MAX_SHOWN_KEY);
    for character in key.get(..shown).unwrap_or_default().chars() {
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
    if shown < key.len() {
        pointer.push('…');
    }
}

// === what serde_json reads for us ===

/// A string that borrows when it has no escapes.
struct Text<'a>(Cow<'a, str>);
/// The elements of an array, not read yet.
struct Elements<'a>(Vec<&'a RawValue>);
/// The members of an object, values not read yet.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

const TOO_MANY: &str = "too many values";

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Read)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Elements<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Elements<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Elements<'de>, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = seq.next_element()? {
                    bounded::<A::Error>(elements.len())?;
                    elements.push(element);
                }
                Ok(Elements(elements))
            }
        }
        deserializer.deserialize_seq(Read)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((Text(key), value)) = map.next_entry()? {
                    bounded::<A::Error>(members.len())?;
                    members.push((key, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Read)
    }
}

fn bounded<E: de::Error>(values: usize) -> Result<(), E> {
    if values < MAX_VALUES { Ok(()) } else { Err(E::custom(TOO_MANY)) }
}

#[cfg(test)]
mod tests;
