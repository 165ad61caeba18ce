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

    /// Reads one datum.
    fn read(input: &mut Reader<'_>) -> Result<Self, DatumError>;

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
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Begins at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Nothing may be left.
    pub fn finish(&self) -> Result<(), DatumError> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.expected("the end")) }
    }

    fn expected(&self, expected: &'static str) -> DatumError {
        DatumError::Read { expected, at: self.at }
    }

    fn take(&mut self, len: usize, expected: &'static str) -> Result<&'a [u8], DatumError> {
        let part = self.at.checked_add(len).and_then(|end| self.bytes.get(self.at..end));
        let part = part.ok_or_else(|| self.expected(expected))?;
        self.at += len;
        Ok(part)
    }

    fn array_of<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], DatumError> {
        let at = self.at;
        self.take(N, expected)?.try_into().map_err(|_| DatumError::Read { expected, at })
    }

    /// A boolean.
    pub fn boolean(&mut self) -> Result<bool, DatumError> {
        let at = self.at;
        match self.array_of::<1>("a boolean")? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(DatumError::Read { expected: "a boolean", at }),
        }
    }

    /// An int.
    pub fn int(&mut self) -> Result<i32, DatumError> {
        let at = self.at;
        i32::try_from(self.long()?).map_err(|_| DatumError::Read { expected: "an int", at })
    }

    /// A long.
    pub fn long(&mut self) -> Result<i64, DatumError> {
        let at = self.at;
        // Lengths, branches and counts are a byte, nearly all of them.
        if let Some(byte @ ..0x80) = self.bytes.get(at).copied() {
            self.at += 1;
            return Ok(i64::from(byte >> 1) ^ -i64::from(byte & 1));
        }
        let mut zigzag = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array_of::<1>("a long")?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                break;
            }
            zigzag |= part << shift;
            if byte & 0x80 == 0 {
                return Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed());
            }
        }
        Err(DatumError::Read { expected: "a long", at })
    }

    /// A float.
    pub fn float(&mut self) -> Result<f32, DatumError> {
        self.array_of("a float").map(f32::from_le_bytes)
    }

    /// A double.
    pub fn double(&mut self) -> Result<f64, DatumError> {
        self.array_of("a double").map(f64::from_le_bytes)
    }

    fn sized(&mut self, expected: &'static str) -> Result<&'a [u8], DatumError> {
        let at = self.at;
        let len = usize::try_from(self.long()?).map_err(|_| DatumError::Read { expected, at })?;
        self.take(len, expected)
    }

    /// Bytes.
    pub fn bytes(&mut self) -> Result<Vec<u8>, DatumError> {
        self.sized("bytes").map(<[u8]>::to_vec)
    }

    /// A fixed.
    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DatumError> {
        self.array_of("a fixed")
    }

    /// A string.
    pub fn string(&mut self) -> Result<String, DatumError> {
        let at = self.at;
        let text = std::str::from_utf8(self.sized("a string")?);
        text.map(str::to_owned).map_err(|_| DatumError::Read { expected: "a string in UTF-8", at })
    }

    /// A decimal in bytes.
    pub fn decimal(&mut self, scale: u32) -> Result<Decimal, DatumError> {
        let at = self.at;
        let bytes = self.sized("a decimal")?;
        unscaled(bytes).map(|number| Decimal::new(number, scale)).ok_or(DatumError::Read { expected: "a decimal", at })
    }

    /// A decimal in a fixed.
    pub fn fixed_decimal(&mut self, size: usize, scale: u32) -> Result<Decimal, DatumError> {
        let at = self.at;
        let bytes = self.take(size, "a decimal")?;
        unscaled(bytes).map(|number| Decimal::new(number, scale)).ok_or(DatumError::Read { expected: "a decimal", at })
    }

    /// The index of an enum's symbol.
    pub fn symbol(&mut self, symbols: usize) -> Result<usize, DatumError> {
        let at = self.at;
        let index = usize::try_from(self.int()?).ok().filter(|index| *index < symbols);
        index.ok_or(DatumError::Read { expected: "a symbol of the enum", at })
    }

    /// A union of null and one type; `null` is the branch of null.
    pub fn option<T>(
        &mut self,
        null: i64,
        read: impl FnOnce(&mut Self) -> Result<T, DatumError>,
    ) -> Result<Option<T>, DatumError> {
        let at = self.at;
        match self.long()? {
            branch if branch == null => Ok(None),
            0 | 1 => read(self).map(Some),
            _ => Err(DatumError::Read { expected: "null or a value", at }),
        }
    }

    /// The blocks of an array or a map; `item` reads one item.
    fn blocks(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), DatumError>) -> Result<(), DatumError> {
        loop {
            let count = match self.long()? {
                0 => return Ok(()),
                // A negative count is followed by the block's size in bytes.
                negative @ ..0 => {
                    self.long()?;
                    negative.unsigned_abs()
                }
                count => count.unsigned_abs(),
            };
            for _ in 0..count {
                item(self)?;
            }
        }
    }

    /// An array.
    pub fn array<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T, DatumError>) -> Result<Vec<T>, DatumError> {
        let mut items = Vec::new();
        self.blocks(|input| {
            items.push(read(input)?);
            Ok(())
        })?;
        Ok(items)
    }

    /// A map.
    pub fn map<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, DatumError>,
    ) -> Result<BTreeMap<String, T>, DatumError> {
        let mut entries = BTreeMap::new();
        self.blocks(|input| {
            let key = input.string()?;
            entries.insert(key, read(input)?);
            Ok(())
        })?;
        Ok(entries)
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
    pub fn long(&mut self, value: i64) {
        let mut zigzag = ((value << 1) ^ (value >> 63)).cast_unsigned();
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
        // As few bytes as hold the number and its sign.
        if let Ok(number) = i64::try_from(number) {
            let sign_bits = if number < 0 { number.leading_ones() } else { number.leading_zeros() };
            let spare = ((sign_bits - 1) / 8) as usize;
            self.bytes(number.to_be_bytes().get(spare..).unwrap_or_default());
            return Ok(());
        }
        let sign_bits = if number < 0 { number.leading_ones() } else { number.leading_zeros() };
        let spare = ((sign_bits - 1) / 8) as usize;
        self.bytes(number.to_be_bytes().get(spare..).unwrap_or_default());
        Ok(())
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
