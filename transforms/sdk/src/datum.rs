//! Reads and writes Avro datums: the primitives that the generated codec is made of.
//!
//! Bounded by the bytes that are there; nothing is allocated on the word of a length. Not here: schemas (the macro
//! reads them when the guest is built) and resolution (the host does it before the first module).

use std::collections::BTreeMap;

use crate::Decimal;

/// A type that the macro made from an Avro schema.
pub trait Datum: Sized {
    /// The schema, as the file says it.
    const SCHEMA: &'static str;

    /// Reads the one datum that these bytes are.
    fn read(bytes: &[u8]) -> Result<Self, DatumError> {
        let mut input = Reader::new(bytes);
        let value = Self::read_some(&mut input);
        input.finish().map(|()| value)
    }

    /// Reads on. What it returns counts only when [`Reader::finish`] says so.
    #[doc(hidden)]
    fn read_some(input: &mut Reader<'_>) -> Self;

    /// Appends one datum. After an error the writer's bytes are not to be used.
    fn write(&self, out: &mut Writer<'_>) -> Result<(), DatumError>;
}

/// Why a datum cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatumError {
    /// The bytes are not a datum of this schema.
    Read {
        /// What was expected.
        expected: &'static str,
        /// At which byte.
        at: usize,
    },
    /// The value does not fit the schema.
    Write {
        /// Which field.
        field: &'static str,
        /// Why not.
        why: String,
    },
}

impl std::fmt::Display for DatumError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Read { expected, at } => write!(f, "expected {expected} at byte {at} of the datum"),
            Self::Write { field, why } => write!(f, "{field}: {why}"),
        }
    }
}

impl std::error::Error for DatumError {}

/// Reads a datum from bytes.
///
/// A step that fails is remembered, and it and all after it read zeros and nothing: what was read counts only when
/// [`Reader::finish`] says so. So no step returns more than its value, which in WebAssembly is most of what reading costs.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    len: usize,
    rest: &'a [u8],
    failed: Option<DatumError>,
}

impl<'a> Reader<'a> {
    /// Begins at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { len: bytes.len(), rest: bytes, failed: None }
    }

    /// Everything was there, and nothing is left.
    pub fn finish(self) -> Result<(), DatumError> {
        match self.failed {
            Some(error) => Err(error),
            None if self.rest.is_empty() => Ok(()),
            None => Err(DatumError::Read { expected: "the end", at: self.at() }),
        }
    }

    fn at(&self) -> usize {
        self.len - self.rest.len()
    }

    /// The first failure counts. Without bytes whatever follows fails as well, but for an empty type.
    #[cold]
    fn fail(&mut self, expected: &'static str, at: usize) {
        self.failed.get_or_insert(DatumError::Read { expected, at });
        self.len = 0;
        self.rest = &[];
    }

    fn take(&mut self, len: usize, expected: &'static str) -> &'a [u8] {
        let Some((part, rest)) = self.rest.split_at_checked(len) else {
            self.fail(expected, self.at());
            return &[];
        };
        self.rest = rest;
        part
    }

    fn array_of<const N: usize>(&mut self, expected: &'static str) -> [u8; N] {
        let Some((part, rest)) = self.rest.split_first_chunk() else {
            self.fail(expected, self.at());
            return [0; N];
        };
        self.rest = rest;
        *part
    }

    /// A boolean.
    pub fn boolean(&mut self) -> bool {
        let at = self.at();
        let [byte] = self.array_of("a boolean");
        if byte > 1 {
            self.fail("a boolean", at);
        }
        byte == 1
    }

    /// An int.
    pub fn int(&mut self) -> i32 {
        let at = self.at();
        i32::try_from(self.long()).unwrap_or_else(|_| {
            self.fail("an int", at);
            0
        })
    }

    /// A long.
    #[inline]
    pub fn long(&mut self) -> i64 {
        // Lengths, branches and counts are a byte, nearly all of them.
        if let Some((byte @ ..0x80, rest)) = self.rest.split_first() {
            self.rest = rest;
            return i64::from(byte >> 1) ^ -i64::from(byte & 1);
        }
        self.long_of_several()
    }

    #[inline(never)]
    fn long_of_several(&mut self) -> i64 {
        let mut zigzag = 0_u64;
        for (place, byte) in self.rest.iter().enumerate().take(10) {
            let part = u64::from(byte & 0x7f);
            if place == 9 && part > 1 {
                break;
            }
            zigzag |= part << (7 * place);
            if byte & 0x80 == 0 {
                self.rest = self.rest.get(place + 1..).unwrap_or_default();
                return (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed();
            }
        }
        self.fail("a long", self.at());
        0
    }

    /// A float.
    pub fn float(&mut self) -> f32 {
        f32::from_le_bytes(self.array_of("a float"))
    }

    /// A double.
    pub fn double(&mut self) -> f64 {
        f64::from_le_bytes(self.array_of("a double"))
    }

    fn sized(&mut self, expected: &'static str) -> &'a [u8] {
        let at = self.at();
        match usize::try_from(self.long()) {
            Ok(len) => self.take(len, expected),
            Err(_) => {
                self.fail(expected, at);
                &[]
            }
        }
    }

    /// Bytes.
    pub fn bytes(&mut self) -> Vec<u8> {
        self.sized("bytes").to_vec()
    }

    /// A fixed.
    pub fn fixed<const N: usize>(&mut self) -> [u8; N] {
        self.array_of("a fixed")
    }

    /// A string.
    pub fn string(&mut self) -> String {
        let at = self.at();
        let bytes = self.sized("a string");
        // The question that is asked faster, of what most texts are.
        if bytes.is_ascii() {
            // SAFETY: ASCII is UTF-8.
            return unsafe { String::from_utf8_unchecked(bytes.to_vec()) };
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => {
                self.fail("a string in UTF-8", at);
                String::new()
            }
        }
    }

    /// A decimal in bytes.
    pub fn decimal(&mut self, scale: u32) -> Decimal {
        let at = self.at();
        let bytes = self.sized("a decimal");
        self.unscaled(bytes, scale, at)
    }

    /// A decimal in a fixed.
    pub fn fixed_decimal(&mut self, size: usize, scale: u32) -> Decimal {
        let at = self.at();
        let bytes = self.take(size, "a decimal");
        self.unscaled(bytes, scale, at)
    }

    fn unscaled(&mut self, bytes: &[u8], scale: u32, at: usize) -> Decimal {
        let number = unscaled(bytes).unwrap_or_else(|| {
            self.fail("a decimal", at);
            0
        });
        Decimal::new(number, scale)
    }

    /// The index of an enum's symbol.
    pub fn symbol(&mut self, symbols: usize) -> usize {
        let at = self.at();
        match usize::try_from(self.int()) {
            Ok(index) if index < symbols => index,
            _ => {
                self.fail("a symbol of the enum", at);
                0
            }
        }
    }

    /// A union of null and one type; `null` is the branch of null. A type must not contain itself by it, which the macro
    /// refuses: after a failure it would go on for ever.
    #[inline]
    pub fn option<T>(&mut self, null: i64, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let at = self.at();
        match self.long() {
            branch if branch == null => None,
            0 | 1 => Some(read(self)),
            _ => {
                self.fail("null or a value", at);
                None
            }
        }
    }

    /// The blocks of an array or a map; `item` reads one item.
    fn blocks(&mut self, mut item: impl FnMut(&mut Self)) {
        loop {
            let count = match self.long() {
                0 => return,
                // A negative count is followed by the block's size in bytes.
                negative @ ..0 => {
                    self.long();
                    negative.unsigned_abs()
                }
                count => count.unsigned_abs(),
            };
            for _ in 0..count {
                item(self);
                if self.failed.is_some() {
                    return;
                }
            }
        }
    }

    /// An array.
    pub fn array<T>(&mut self, mut read: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let mut items = Vec::new();
        self.blocks(|input| items.push(read(input)));
        items
    }

    /// A map.
    pub fn map<T>(&mut self, mut read: impl FnMut(&mut Self) -> T) -> BTreeMap<String, T> {
        let mut entries = BTreeMap::new();
        self.blocks(|input| {
            let key = input.string();
            entries.insert(key, read(input));
        });
        entries
    }
}

/// The number that big-endian two's complement bytes are; none or more than 16 bytes are refused.
fn unscaled(bytes: &[u8]) -> Option<i128> {
    let first = *bytes.first()?;
    if bytes.len() <= 8 {
        let sign = if first & 0x80 == 0 { 0 } else { -1 };
        return Some(bytes.iter().fold(sign, |number: i64, byte| number << 8 | i64::from(*byte)).into());
    }
    let mut wide = [if first & 0x80 == 0 { 0 } else { 0xff }; 16];
    let start = wide.len().checked_sub(bytes.len())?;
    wide.get_mut(start..)?.copy_from_slice(bytes);
    Some(i128::from_be_bytes(wide))
}

/// Appends a datum to bytes.
#[derive(Debug)]
pub struct Writer<'a>(pub &'a mut Vec<u8>);

impl Writer<'_> {
    /// A boolean.
    pub fn boolean(&mut self, value: bool) {
        self.0.push(value.into());
    }

    /// An int or a long.
    #[inline]
    pub fn long(&mut self, value: i64) {
        match ((value << 1) ^ (value >> 63)).cast_unsigned() {
            byte @ ..0x80 => self.0.push(byte as u8),
            zigzag => self.long_of_several(zigzag),
        }
    }

    #[inline(never)]
    fn long_of_several(&mut self, mut zigzag: u64) {
        while zigzag > 0x7f {
            self.0.push((zigzag & 0x7f) as u8 | 0x80);
            zigzag >>= 7;
        }
        self.0.push(zigzag as u8);
    }

    /// A float.
    pub fn float(&mut self, value: f32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// A double.
    pub fn double(&mut self, value: f64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// A length.
    fn len(&mut self, len: usize) {
        // A Vec never has more than i64::MAX bytes.
        self.long(len as i64);
    }

    /// Bytes, or a string's.
    pub fn bytes(&mut self, value: &[u8]) {
        self.len(value.len());
        self.0.extend_from_slice(value);
    }

    /// A fixed.
    pub fn fixed(&mut self, value: &[u8]) {
        self.0.extend_from_slice(value);
    }

    fn exact(value: Decimal, precision: u32, scale: u32, field: &'static str) -> Result<i128, DatumError> {
        let exact =
            value.with_scale(scale).map_err(|error| DatumError::Write { field, why: format!("{value}: {error}") })?;
        if exact.precision() > precision {
            let why = format!("{value} has more than {precision} digits with {scale} decimals");
            return Err(DatumError::Write { field, why });
        }
        Ok(exact.unscaled())
    }

    /// A decimal in bytes: the number must fit exactly.
    pub fn decimal(
        &mut self,
        value: Decimal,
        precision: u32,
        scale: u32,
        field: &'static str,
    ) -> Result<(), DatumError> {
        let number = Self::exact(value, precision, scale, field)?;
        match i64::try_from(number) {
            Ok(number) => self.shortest(&number.to_be_bytes(), (number ^ (number >> 63)).leading_zeros()),
            Err(_) => self.shortest(&number.to_be_bytes(), (number ^ (number >> 127)).leading_zeros()),
        }
        Ok(())
    }

    /// As few of these bytes as hold the number and its sign; so many of its first bits are the sign.
    fn shortest(&mut self, number: &[u8], sign_bits: u32) {
        let spare = ((sign_bits - 1) / 8) as usize;
        self.bytes(number.get(spare..).unwrap_or_default());
    }

    /// A decimal in a fixed: the number must fit exactly.
    pub fn fixed_decimal(
        &mut self,
        value: Decimal,
        size: usize,
        precision: u32,
        scale: u32,
        field: &'static str,
    ) -> Result<(), DatumError> {
        let bytes = Self::exact(value, precision, scale, field)?.to_be_bytes();
        let fill = if bytes.first().is_some_and(|first| first & 0x80 != 0) { 0xff } else { 0 };
        let (spare, used) = bytes.split_at(bytes.len().saturating_sub(size));
        let sign_kept = used.first().is_some_and(|first| first & 0x80 == fill & 0x80);
        if !sign_kept || spare.iter().any(|byte| *byte != fill) {
            return Err(DatumError::Write { field, why: format!("{value} does not fit into {size} bytes") });
        }
        self.0.extend(std::iter::repeat_n(fill, size.saturating_sub(used.len())));
        self.fixed(used);
        Ok(())
    }

    /// A union of null and one type; `null` is the branch of null.
    pub fn option<T>(
        &mut self,
        value: Option<&T>,
        null: i64,
        write: impl FnOnce(&mut Self, &T) -> Result<(), DatumError>,
    ) -> Result<(), DatumError> {
        match value {
            None => {
                self.long(null);
                Ok(())
            }
            Some(value) => {
                self.long(1 - null);
                write(self, value)
            }
        }
    }

    /// An array, as one block.
    pub fn array<T>(
        &mut self,
        items: &[T],
        mut write: impl FnMut(&mut Self, &T) -> Result<(), DatumError>,
    ) -> Result<(), DatumError> {
        if !items.is_empty() {
            self.len(items.len());
            items.iter().try_for_each(|item| write(self, item))?;
        }
        self.long(0);
        Ok(())
    }

    /// A map, as one block, in the order of its keys.
    pub fn map<T>(
        &mut self,
        entries: &BTreeMap<String, T>,
        mut write: impl FnMut(&mut Self, &T) -> Result<(), DatumError>,
    ) -> Result<(), DatumError> {
        if !entries.is_empty() {
            self.len(entries.len());
            for (key, value) in entries {
                self.bytes(key.as_bytes());
                write(self, value)?;
            }
        }
        self.long(0);
        Ok(())
    }
}
