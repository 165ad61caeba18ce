//! The short way from a datum of one schema to a datum of another: its fields' bytes are checked and copied, nothing is
//! decoded. It says yes only where the full way (apache-avro, see [`schemas::resolution`] and [`super::storable`]) says
//! yes, and then with the same bytes; on any doubt it says nothing, and the full way decides and explains. So it refuses
//! nothing itself, and what it does not know costs speed, never truth: see [`compile`]. That both ways agree is held by
//! the tests here.

use std::ops::Range;

mod compile;
mod json;
mod walk;

use walk::Walk;

/// A longer datum takes the full way, whose bound on allocations is not known here.
const MAX_DATUM: usize = 4 << 20;
/// The same for the items of an array.
const MAX_ITEMS: i64 = 10_000;

/// What a field's bytes must be.
#[derive(Debug, PartialEq, Eq)]
enum Shape {
    Boolean,
    Int,
    Date,
    Long,
    TimestampMillis,
    TimestampMicros,
    Bytes,
    /// Of 1 to 16 bytes.
    Decimal {
        precision: usize,
        scale: usize,
    },
    Text,
    /// A union of null, as the branch of this number, and another type.
    Optional {
        null: u8,
        some: Box<Shape>,
    },
    List(Box<Shape>),
    Record {
        name: String,
        fields: Vec<(String, Shape)>,
    },
}

/// Where a field of the reader's schema comes from.
#[derive(Debug)]
enum Source {
    /// The writer's field of this number.
    Writer(usize),
    /// The field's default, encoded.
    Default(Vec<u8>),
}

/// A writer's and a reader's schema, prepared.
#[derive(Debug)]
pub(crate) struct Splice {
    written: Vec<Shape>,
    read: Vec<Source>,
}

/// A datum, field by field in the reader's order, each as its bytes.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    splice: &'a Splice,
    bytes: Vec<&'a [u8]>,
}

impl Splice {
    /// The fields of a datum of the writer's schema that is surely one, and that the stores can keep. `None` says nothing.
    pub(crate) fn read<'a>(&'a self, datum: &'a [u8]) -> Option<Fields<'a>> {
        if MAX_DATUM < datum.len() {
            return None;
        }
        let mut walk = Walk::new(datum);
        let spans = self.written.iter().map(|shape| walk.span(shape)).collect::<Option<Vec<Range<usize>>>>()?;
        let bytes = self.read.iter().map(|source| match source {
            Source::Writer(at) => datum.get(spans.get(*at)?.clone()),
            Source::Default(bytes) => Some(bytes.as_slice()),
        });
        let bytes = bytes.collect::<Option<Vec<&[u8]>>>()?;
        walk.is_at_end().then_some(Fields { splice: self, bytes })
    }

    fn shape(&self, at: usize) -> Option<&Shape> {
        match self.read.get(at)? {
            Source::Writer(at) => self.written.get(*at),
            Source::Default(_) => None,
        }
    }
}

impl<'a> Fields<'a> {
    /// The text of a field that is a string and was written.
    pub(crate) fn text(&self, at: usize) -> Option<&'a str> {
        match self.splice.shape(at)? {
            Shape::Text => Walk::new(self.bytes.get(at)?).text(),
            _ => None,
        }
    }

    /// A field that was written, as JSON, as [`schemas::json`] has it.
    pub(crate) fn json(&self, at: usize) -> Option<String> {
        let mut text = Vec::new();
        json::write(&mut Walk::new(self.bytes.get(at)?), self.splice.shape(at)?, &mut text)?;
        String::from_utf8(text).ok()
    }

    /// The datum's fields in order, each as its bytes.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'a [u8]> {
        self.bytes.iter().copied()
    }

    /// The datum of the reader's schema.
    pub(crate) fn datum(&self) -> Vec<u8> {
        self.bytes.concat()
    }
}

#[cfg(test)]
mod tests;
