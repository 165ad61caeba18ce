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

impl Mismatch {
    fn new(expected: &'static str, at: usize) -> Self {
        Self { expected, at, path: Vec::new() }
    }
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
    let whole =
        walk.value(0, 0).and_then(|()| if walk.rest.is_empty() { Some(()) } else { walk.not("the end of the datum") });
    // No step fails without saying why.
    whole.ok_or_else(|| walk.mismatch.unwrap_or_else(|| Mismatch::new("a datum", bytes.len())))
}

/// How many bytes the datum takes that `bytes` begin with.
pub(crate) fn len(shape: &Shape, bytes: &[u8]) -> Option<usize> {
    let mut walk = Walk::new(shape, bytes);
    walk.value(0, 0).map(|()| walk.at())
}

/// Every output of every module is walked over, so a step returns a value or nothing: why it failed, which is more
/// than fits into registers, is left here.
struct Walk<'a> {
    shape: &'a Shape,
    len: usize,
    rest: &'a [u8],
    steps: usize,
    mismatch: Option<Mismatch>,
}

impl<'a> Walk<'a> {
    fn new(shape: &'a Shape, bytes: &'a [u8]) -> Self {
        // Every step but those of empty types takes a byte; the schema's own size pays for the empty ones.
        let steps = bytes.len().saturating_mul(4).saturating_add(shape.nodes.len()).saturating_add(64);
        Self { shape, len: bytes.len(), rest: bytes, steps, mismatch: None }
    }

    fn at(&self) -> usize {
        self.len - self.rest.len()
    }

    fn not<T>(&mut self, expected: &'static str) -> Option<T> {
        self.not_at(expected, self.at())
    }

    #[cold]
    fn not_at<T>(&mut self, expected: &'static str, at: usize) -> Option<T> {
        self.mismatch = Some(Mismatch::new(expected, at));
        None
    }

    fn value(&mut self, mut id: Id, mut depth: usize) -> Option<()> {
        let shape = self.shape;
        let node = loop {
            let Some(steps) = self.steps.checked_sub(1) else { return self.not("fewer empty values") };
            self.steps = steps;
            if depth > MAX_DEPTH {
                return self.not("less nesting");
            }
            let node = shape.node(id).unwrap_or(&Node::Null);
            let Node::Union(branches) = node else { break node };
            let branch = self.index(branches.len(), "a branch of the union")?;
            let Some(next) = branches.get(branch) else { return Some(()) };
            (id, depth) = (*next, depth + 1);
        };
        match node {
            // A union's branch is followed above.
            Node::Null | Node::Union(_) => Some(()),
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
            Node::Record(fields) => fields.iter().try_for_each(|(name, id)| {
                let read = self.value(*id, depth + 1);
                if let (None, Some(mismatch)) = (read, &mut self.mismatch) {
                    mismatch.path.push(name.clone());
                }
                read
            }),
        }
    }

    #[inline]
    fn take(&mut self, len: usize, expected: &'static str) -> Option<&'a [u8]> {
        let Some((part, rest)) = self.rest.split_at_checked(len) else { return self.not(expected) };
        self.rest = rest;
        Some(part)
    }

    fn boolean(&mut self) -> Option<()> {
        let Some((0 | 1, rest)) = self.rest.split_first() else { return self.not("a boolean") };
        self.rest = rest;
        Some(())
    }

    #[inline]
    fn long(&mut self, expected: &'static str) -> Option<i64> {
        // Lengths, branches and counts are a byte, nearly all of them.
        if let Some((byte @ ..0x80, rest)) = self.rest.split_first() {
            self.rest = rest;
            return Some(i64::from(byte >> 1) ^ -i64::from(byte & 1));
        }
        self.long_of_several(expected)
    }

    #[inline(never)]
    fn long_of_several(&mut self, expected: &'static str) -> Option<i64> {
        let mut zigzag = 0_u64;
        for (place, byte) in self.rest.iter().enumerate().take(10) {
            let part = u64::from(byte & 0x7f);
            if place == 9 && part > 1 {
                break;
            }
            zigzag |= part << (7 * place);
            if byte & 0x80 == 0 {
                self.rest = self.rest.get(place + 1..).unwrap_or_default();
                return Some((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed());
            }
        }
        self.not(expected)
    }

    #[inline]
    fn int(&mut self, expected: &'static str) -> Option<i32> {
        let at = self.at();
        let long = self.long(expected)?;
        i32::try_from(long).ok().or_else(|| self.not_at(expected, at))
    }

    #[inline]
    fn index(&mut self, count: usize, expected: &'static str) -> Option<usize> {
        let at = self.at();
        let index = self.int(expected)?;
        usize::try_from(index).ok().filter(|index| *index < count).or_else(|| self.not_at(expected, at))
    }

    #[inline]
    fn sized(&mut self, expected: &'static str) -> Option<&'a [u8]> {
        let at = self.at();
        let len = self.long(expected)?;
        match usize::try_from(len) {
            Ok(len) => self.take(len, expected),
            Err(_) => self.not_at(expected, at),
        }
    }

    #[inline]
    fn text(&mut self) -> Option<()> {
        let at = self.at();
        let bytes = self.sized("a string")?;
        // The question that is asked faster, of what most texts are.
        if bytes.is_ascii() || std::str::from_utf8(bytes).is_ok() {
            return Some(());
        }
        self.not_at("a string in UTF-8", at)
    }

    fn decimal(&mut self, precision: u32, fixed: Option<usize>) -> Option<()> {
        let at = self.at();
        let bytes = match fixed {
            Some(size) => self.take(size, "a decimal")?,
            None => self.sized("a decimal")?,
        };
        if fits(bytes, precision) { Some(()) } else { self.not_at("a decimal within its precision", at) }
    }

    /// The blocks of an array or a map.
    fn blocks(&mut self, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        loop {
            let at = self.at();
            let count = self.long("a block")?;
            let mut end = None;
            if count < 0 {
                // A negative count is followed by the block's size in bytes, which must be true.
                let size = usize::try_from(self.long("the size of a block")?).ok();
                end = size.and_then(|size| self.at().checked_add(size));
                if end.is_none() {
                    return self.not_at("the size of a block", at);
                }
            }
            for _ in 0..count.unsigned_abs() {
                item(self)?;
            }
            if end.is_some_and(|end| end != self.at()) {
                return self.not_at("a block of the size that it says", at);
            }
            if count == 0 {
                return Some(());
            }
        }
    }
}

/// Whether big-endian two's complement bytes are a number of at most so many digits.
fn fits(bytes: &[u8], precision: u32) -> bool {
    let Some(first) = bytes.first() else { return false };
    let fill = if first & 0x80 == 0 { 0 } else { 0xff };
    if bytes.len() <= 8 {
        let sign = if fill == 0 { 0 } else { -1 };
        let number = bytes.iter().fold(sign, |number: i64, byte| number << 8 | i64::from(*byte));
        return 10_u64.checked_pow(precision).is_none_or(|limit| number.unsigned_abs() < limit);
    }
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
