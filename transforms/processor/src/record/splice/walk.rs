//! A walk over a datum's bytes along its shape. It goes on only where apache-avro would read the same and write it back as
//! it is: numbers in as few bytes as they need, an array in one block. And where the stores can keep it.

use std::ops::Range;

use super::{MAX_ITEMS, Shape};
use crate::record::storable;

/// The bytes, and how far they were walked.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// Where the next value lies.
    pub(super) fn span(&mut self, shape: &Shape) -> Option<Range<usize>> {
        let start = self.at;
        self.value(shape)?;
        Some(start..self.at)
    }

    fn value(&mut self, shape: &Shape) -> Option<()> {
        match shape {
            Shape::Boolean => self.boolean().map(drop),
            Shape::Int => self.int().map(drop),
            Shape::Date => storable::is_date(self.int()?).then_some(()),
            Shape::Long => self.long().map(drop),
            Shape::TimestampMillis => storable::is_millis(self.long()?).then_some(()),
            Shape::TimestampMicros => storable::is_micros(self.long()?).then_some(()),
            Shape::Bytes => self.bytes().map(drop),
            Shape::Decimal { .. } => self.decimal().map(drop),
            Shape::Text => storable::is_text(self.text()?).then_some(()),
            Shape::Optional { null, some } => {
                if self.is_some(*null)? {
                    self.value(some)?;
                }
                Some(())
            }
            Shape::List(item) => {
                for _ in 0..self.count()? {
                    self.value(item)?;
                }
                self.end_of_list()
            }
            Shape::Record { fields, .. } => fields.iter().try_for_each(|(_, shape)| self.value(shape)),
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    pub(super) fn boolean(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(super) fn long(&mut self) -> Option<i64> {
        let mut zigzag = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            // The tenth byte holds the one bit that is left.
            if shift == 63 && 1 < byte {
                return None;
            }
            zigzag |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                let shortest = byte != 0 || shift == 0;
                return shortest.then_some((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed());
            }
        }
        None
    }

    pub(super) fn int(&mut self) -> Option<i32> {
        i32::try_from(self.long()?).ok()
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.long()?).ok()?;
        let bytes = self.bytes.get(self.at..)?.get(..len)?;
        self.at += len;
        Some(bytes)
    }

    pub(super) fn decimal(&mut self) -> Option<&'a [u8]> {
        self.bytes().filter(|bytes| (1..=16).contains(&bytes.len()))
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// Whether the union's branch is the one that is not null.
    pub(super) fn is_some(&mut self, null: u8) -> Option<bool> {
        match self.long()? {
            branch @ 0..=1 => Some(branch != i64::from(null)),
            _ => None,
        }
    }

    /// How many items the list has: all in one block.
    pub(super) fn count(&mut self) -> Option<i64> {
        if self.bytes.get(self.at) == Some(&0) {
            return Some(0);
        }
        self.long().filter(|count| (1..=MAX_ITEMS).contains(count))
    }

    pub(super) fn end_of_list(&mut self) -> Option<()> {
        (self.byte()? == 0).then_some(())
    }
}
