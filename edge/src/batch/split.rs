//! Splits a batch into its orders as the bytes come: the lines of an NDJSON body, or the elements of a JSON array.
//! Keeps at most one order that is not whole yet. Judges nothing: whether an order is JSON, the parser of single orders
//! says. In an array whose brackets do not match nobody can tell where the next order begins, so there one fault may
//! take further elements with it; in NDJSON never.

use bytes::{Buf, Bytes, BytesMut};

/// How the orders of a batch stand in its body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// One JSON text a line. A line ends with LF or CRLF; the last one need not. Lines of white space are passed over.
    Lines,
    /// The elements of one JSON array.
    Array,
}

/// One order of a batch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Found {
    /// The line's number in the body or the element's in the array, from 1.
    pub(super) line: usize,
    /// Its text.
    pub(super) text: Text,
}

/// The text of one order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Text {
    /// Whole; it may have white space around it.
    Whole(Bytes),
    /// It had this many bytes, more than the limit, and was not kept.
    TooLong(usize),
    /// There was no memory for it.
    GivenUp,
}

/// What is wrong with a batch around its orders.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Form {
    /// The body ended before the array did.
    #[error("the body ends before its JSON array does; what follows the last whole element is not taken")]
    Unfinished,
    /// Something stands behind the array.
    #[error("only white space may follow the end of the JSON array; what stands there is not taken")]
    Trailing,
}

/// Splits one body.
#[derive(Debug)]
pub(super) struct Splitter {
    array: Option<Array>,
    limit: usize,
    /// Has come and was not looked at.
    chunk: Bytes,
    /// What has come of the order that is not whole yet.
    part: BytesMut,
    /// Its size, whether it is kept or not.
    size: usize,
    given_up: bool,
    line: usize,
}

impl Splitter {
    /// For a body of this format, with at most `limit` bytes an order.
    #[must_use]
    pub(super) fn new(format: Format, limit: usize) -> Self {
        let array = match format {
            Format::Lines => None,
            Format::Array => Some(Array::default()),
        };
        let (chunk, part) = (Bytes::new(), BytesMut::new());
        Self { array, limit, chunk, part, size: 0, given_up: false, line: 1 }
    }

    /// Takes the next piece of the body; the one before must have been used up by [`Splitter::next`].
    pub(super) fn push(&mut self, chunk: Bytes) {
        debug_assert!(self.chunk.is_empty(), "pieces are taken one after the other");
        self.chunk = chunk;
    }

    /// Whether the last piece is used up.
    #[must_use]
    pub(super) fn wants_more(&self) -> bool {
        self.chunk.is_empty()
    }

    /// The line or element that comes next or has begun.
    #[must_use]
    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// Bytes that are kept until their order is whole.
    #[must_use]
    pub(super) fn kept(&self) -> usize {
        self.part.len()
    }

    /// There is no memory for the order that has begun: it is not kept, and is told as such when it ends. One that has
    /// not begun may lie whole in the next piece.
    pub(super) fn give_up(&mut self) {
        self.given_up |= !self.part.is_empty();
        self.part = BytesMut::new();
    }

    /// The next order; `None` when more of the body is needed.
    ///
    /// # Errors
    /// What stands behind an array, once.
    pub(super) fn next(&mut self) -> Result<Option<Found>, Form> {
        while !self.chunk.is_empty() {
            let end = match &mut self.array {
                None => self.chunk.iter().position(|byte| *byte == b'\n').map_or(End::NotHere, End::Order),
                Some(array) => array.end(&self.chunk),
            };
            match end {
                End::NotHere => self.keep(),
                End::Begin(at) => self.chunk.advance(at + 1),
                End::Order(at) => {
                    let found = self.finish(at);
                    if found.is_some() {
                        return Ok(found);
                    }
                }
                End::Trailing => {
                    self.chunk.clear();
                    return Err(Form::Trailing);
                }
            }
        }
        Ok(None)
    }

    /// The body has ended in order: its last line, if that has no line end.
    ///
    /// # Errors
    /// When an array has not ended.
    pub(super) fn end(&mut self) -> Result<Option<Found>, Form> {
        match &self.array {
            None => Ok(self.finish(0)),
            Some(array) if array.at == At::After => Ok(None),
            Some(_) => Err(Form::Unfinished),
        }
    }

    /// The rest of the chunk belongs to an order that is not whole.
    fn keep(&mut self) {
        self.size += self.chunk.len();
        if self.limit < self.size {
            self.part = BytesMut::new();
        } else if !self.given_up {
            self.part.extend_from_slice(&self.chunk);
        }
        self.chunk.clear();
    }

    /// The order that ends before this byte of the chunk, which is passed over; `None` for an empty line and for an
    /// empty array.
    fn finish(&mut self, at: usize) -> Option<Found> {
        let last = self.chunk.split_to(at);
        self.chunk.advance(1.min(self.chunk.len()));
        let (size, given_up) = (std::mem::take(&mut self.size) + last.len(), std::mem::take(&mut self.given_up));
        let text = if self.limit < size {
            self.part = BytesMut::new();
            Text::TooLong(size)
        } else if given_up {
            Text::GivenUp
        } else if self.part.is_empty() {
            Text::Whole(last)
        } else {
            self.part.extend_from_slice(&last);
            Text::Whole(self.part.split().freeze())
        };
        let line = self.line;
        let empty = matches!(&text, Text::Whole(text) if text.iter().all(|byte| is_white(*byte)));
        let passed_over = empty && self.array.as_ref().is_none_or(|array| array.at == At::After && line == 1);
        // An empty line has a number as any other; an empty array has no element.
        if !passed_over || self.array.is_none() {
            self.line += 1;
        }
        (!passed_over).then_some(Found { line, text })
    }
}

/// JSON's white space.
#[must_use]
pub fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Where an order ends in a chunk.
enum End {
    NotHere,
    /// It has not begun: the array begins here.
    Begin(usize),
    /// Before this byte.
    Order(usize),
    Trailing,
}

/// Where in an array we are.
#[derive(Debug, Default)]
struct Array {
    at: At,
    /// Brackets that are open within the element.
    depth: usize,
    in_string: bool,
    escaped: bool,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum At {
    #[default]
    Before,
    Elements,
    After,
}

impl Array {
    fn end(&mut self, chunk: &[u8]) -> End {
        for (at, byte) in chunk.iter().enumerate() {
            let state = self.at;
            match state {
                At::Elements if self.ends_before(*byte) => return End::Order(at),
                At::Elements => {}
                At::Before if *byte == b'[' => {
                    self.at = At::Elements;
                    return End::Begin(at);
                }
                _ if is_white(*byte) => {}
                At::Before | At::After => return End::Trailing,
            }
        }
        match self.at {
            At::Elements => End::NotHere,
            At::Before | At::After => End::Begin(chunk.len() - 1), // white space only, which belongs to nothing
        }
    }

    /// Whether the element ends before this byte.
    fn ends_before(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'[' | b'{' => self.depth += 1,
            b',' if self.depth == 0 => return true,
            b']' if self.depth == 0 => {
                self.at = At::After;
                return true;
            }
            // A brace that closes nothing is the parser's to refuse, with its element.
            b']' | b'}' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests;
