//! Checks that bytes are one datum of a schema, by walking the schema over them.
//!
//! Nothing is decoded and nothing allocated, so that no length or count in hostile bytes can cost memory; the number
//! of steps is bounded by the bytes, so that none can cost time.

#[cfg(test)]
mod tests;

use crate::schema::{Id, MAX_DEPTH, Node, Shape};

/// Why bytes are not a datum of the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    expected: &'static str,
    at: usize,
    /// Names of the fields that lead there, innermost first.
    path: Vec<String>,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "expected {} at byte {}", self.expected, self.at)?;
        if self.path.is_empty() {
            return Ok(());
        }
        f.write_str(", in ")?;
        self.path.iter().rev().try_for_each(|field| write!(f, "/{field}"))
    }
}

/// Checks one datum; nothing may stand behind it.
pub(crate) fn check(shape: &Shape, bytes: &[u8]) -> Result<(), Mismatch> {
    let mut walk = Walk::new(shape, bytes);
    walk.value(0, 0)?;
    if walk.at == bytes.len() { Ok(()) } else { Err(walk.expected("the end of the datum")) }
}

/// How many bytes the datum takes that `bytes` begin with.
pub(crate) fn len(shape: &Shape, bytes: &[u8]) -> Option<usize> {
    let mut walk = Walk::new(shape, bytes);
    walk.value(0, 0).ok().map(|()| walk.at)
}

struct Walk<'a> {
    shape: &'a Shape,
    bytes: &'a [u8],
    at: usize,
    steps: usize,
}

impl<'a> Walk<'a> {
    fn new(shape: &'a Shape, bytes: &'a [u8]) -> Self {
        // Every step but those of empty types takes a byte; the schema's own size pays for the empty ones.
        let steps = bytes.len().saturating_mul(4).saturating_add(shape.nodes.len()).saturating_add(64);
        Self { shape, bytes, at: 0, steps }
    }

    fn expected(&self, expected: &'static str) -> Mismatch {
        Mismatch { expected, at: self.at, path: Vec::new() }
    }

    fn value(&mut self, id: Id, depth: usize) -> Result<(), Mismatch> {
        self.steps = self.steps.checked_sub(1).ok_or_else(|| self.expected("fewer empty values"))?;
        if depth > MAX_DEPTH {
            return Err(self.expected("less nesting"));
        }
        let shape = self.shape;
        match shape.node(id).unwrap_or(&Node::Null) {
            Node::Null => Ok(()),
            Node::Boolean => self.boolean(),
            Node::Int(_) => self.int("an int").map(|_| ()),
            Node::Long(_) => self.long("a long").map(|_| ()),
            Node::Float => self.take(4, "a float").map(|_| ()),
            Node::Double => self.take(8, "a double").map(|_| ()),
            Node::Bytes => self.sized("bytes").map(|_| ()),
            Node::Text => self.text(),
            Node::Fixed(size) => self.take(*size, "a fixed").map(|_| ()),
            Node::Decimal { precision, fixed, .. } => self.decimal(*precision, *fixed),
            Node::Enum(symbols) => self.index(symbols.len(), "a symbol of the enum").map(|_| ()),
            Node::Array(item) => self.blocks(|walk| walk.value(*item, depth + 1)),
            Node::Map(value) => self.blocks(|walk| {
                walk.text()?;
                walk.value(*value, depth + 1)
            }),
            Node::Union(branches) => {
                let branch = self.index(branches.len(), "a branch of the union")?;
                branches.get(branch).map_or(Ok(()), |id| self.value(*id, depth + 1))
            }
            Node::Record(fields) => fields.iter().try_for_each(|(name, id)| {
                self.value(*id, depth + 1).map_err(|mut mismatch| {
                    mismatch.path.push(name.clone());
                    mismatch
                })
            }),
        }
    }

    fn take(&mut self, len: usize, expected: &'static str) -> Result<&'a [u8], Mismatch> {
        let part = self.at.checked_add(len).and_then(|end| self.bytes.get(self.at..end));
        let part = part.ok_or_else(|| self.expected(expected))?;
        self.at += len;
        Ok(part)
    }

    fn byte(&mut self, expected: &'static str) -> Result<u8, Mismatch> {
        let byte = self.bytes.get(self.at).copied().ok_or_else(|| self.expected(expected))?;
        self.at += 1;
        Ok(byte)
    }

    fn boolean(&mut self) -> Result<(), Mismatch> {
        match self.byte("a boolean")? {
            0 | 1 => Ok(()),
            _ => {
                self.at -= 1;
                Err(self.expected("a boolean"))
            }
        }
    }

    fn long(&mut self, expected: &'static str) -> Result<i64, Mismatch> {
        let start = self.at;
        let mut zigzag = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(expected)?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                break;
            }
            zigzag |= part << shift;
            if byte & 0x80 == 0 {
                return Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed());
            }
        }
        Err(Mismatch { expected, at: start, path: Vec::new() })
    }

    fn int(&mut self, expected: &'static str) -> Result<i32, Mismatch> {
        let at = self.at;
        i32::try_from(self.long(expected)?).map_err(|_| Mismatch { expected, at, path: Vec::new() })
    }

    fn index(&mut self, count: usize, expected: &'static str) -> Result<usize, Mismatch> {
        let at = self.at;
        let index = usize::try_from(self.int(expected)?).ok().filter(|index| *index < count);
        index.ok_or(Mismatch { expected, at, path: Vec::new() })
    }

    fn sized(&mut self, expected: &'static str) -> Result<&'a [u8], Mismatch> {
        let at = self.at;
        let len = usize::try_from(self.long(expected)?);
        let len = len.map_err(|_| Mismatch { expected, at, path: Vec::new() })?;
        self.take(len, expected)
    }

    fn text(&mut self) -> Result<(), Mismatch> {
        let at = self.at;
        match std::str::from_utf8(self.sized("a string")?) {
            Ok(_) => Ok(()),
            Err(_) => Err(Mismatch { expected: "a string in UTF-8", at, path: Vec::new() }),
        }
    }

    fn decimal(&mut self, precision: u32, fixed: Option<usize>) -> Result<(), Mismatch> {
        let at = self.at;
        let bytes = match fixed {
            Some(size) => self.take(size, "a decimal")?,
            None => self.sized("a decimal")?,
        };
        match fits(bytes, precision) {
            true => Ok(()),
            false => Err(Mismatch { expected: "a decimal within its precision", at, path: Vec::new() }),
        }
    }

    /// The blocks of an array or a map.
    fn blocks(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Mismatch>) -> Result<(), Mismatch> {
        loop {
            let at = self.at;
            let count = self.long("a block")?;
            let mut end = None;
            if count < 0 {
                // A negative count is followed by the block's size in bytes, which must be true.
                let size = usize::try_from(self.long("the size of a block")?).ok();
                end = size.and_then(|size| self.at.checked_add(size));
                if end.is_none() {
                    return Err(Mismatch { expected: "the size of a block", at, path: Vec::new() });
                }
            }
            for _ in 0..count.unsigned_abs() {
                item(self)?;
            }
            if end.is_some_and(|end| end != self.at) {
                return Err(Mismatch { expected: "a block of the size that it says", at, path: Vec::new() });
            }
            if count == 0 {
                return Ok(());
            }
        }
    }
}

/// Whether big-endian two's complement bytes are a number of at most so many digits.
fn fits(bytes: &[u8], precision: u32) -> bool {
    let Some(first) = bytes.first() else { return false };
    let fill = if first & 0x80 == 0 { 0 } else { 0xff };
    // A fixed may be wider than its number; what is more than 16 bytes must be nothing but the sign.
    let (wide, narrow) = bytes.split_at(bytes.len().saturating_sub(16));
    let sign_kept = wide.is_empty() || narrow.first().is_some_and(|first| first & 0x80 == fill & 0x80);
    if !sign_kept || wide.iter().any(|byte| *byte != fill) {
        return false;
    }
    let mut number = [fill; 16];
    let start = number.len() - narrow.len();
    if let Some(place) = number.get_mut(start..) {
        place.copy_from_slice(narrow);
    }
    let size = i128::from_be_bytes(number).unsigned_abs();
    10_u128.checked_pow(precision).is_none_or(|limit| size < limit)
}
