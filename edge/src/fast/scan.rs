//! A cursor over the bytes of a body: what of JSON's grammar an ordinary order is written in, exactly as serde_json reads
//! it. `None` everywhere means that the full way has to look: a fault, or a form that is legal and rare.

use std::borrow::Cow;

/// What is left of a body.
pub(super) struct Cursor<'a>(&'a [u8]);

/// A string without its escapes. It is valid UTF-8 and has no U+0000.
#[derive(Debug)]
pub(super) struct Text<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    /// Its length in characters.
    pub(super) chars: usize,
}

/// Digits before the point that an amount can have, and behind it, where beyond the second only zeros may stand.
const WHOLE_DIGITS: usize = 13;
const MAX_FRACTION: usize = 40;

impl<'a> Cursor<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self(body)
    }

    /// Passes over white space.
    pub(super) fn white(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.0 {
            self.0 = rest;
        }
    }

    /// Passes over white space and the next byte, which it gives.
    pub(super) fn next(&mut self) -> Option<u8> {
        self.white();
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Passes over white space and this byte.
    pub(super) fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    /// Passes over white space and this byte, if it comes next.
    pub(super) fn passed(&mut self, byte: u8) -> bool {
        self.white();
        match self.0.split_first() {
            Some((first, rest)) if *first == byte => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    /// Nothing but white space is left.
    pub(super) fn end(&mut self) -> Option<()> {
        self.white();
        self.0.is_empty().then_some(())
    }

    /// A key without escapes, and the colon behind it.
    pub(super) fn key(&mut self) -> Option<&'a [u8]> {
        self.expect(b'"')?;
        let Run { len, stop: b'"', .. } = run(self.0)? else { return None };
        let key = self.cut(len)?;
        self.expect(b':')?;
        Some(key)
    }

    /// A string.
    pub(super) fn text(&mut self) -> Option<Text<'a>> {
        self.expect(b'"')?;
        match run(self.0)? {
            Run { len, stop: b'"', ascii } => {
                let bytes = self.cut(len)?;
                let chars = if ascii { len } else { std::str::from_utf8(bytes).ok()?.chars().count() };
                Some(Text { bytes: Cow::Borrowed(bytes), chars })
            }
            Run { stop: b'\\', .. } => self.escaped(),
            Run { .. } => None,
        }
    }

    /// So many bytes and the quote behind them.
    fn cut(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest.get(1..)?;
        Some(bytes)
    }

    /// A string with escapes, behind its first quote; serde_json reads it.
    #[cold]
    fn escaped(&mut self) -> Option<Text<'a>> {
        let mut len = 0;
        loop {
            let Run { len: plain, stop, .. } = run(self.0.get(len..)?)?;
            len += plain;
            match stop {
                b'"' => break,
                b'\\' => len += 2,
                _ => return None,
            }
        }
        let inner = std::str::from_utf8(self.cut(len)?).ok()?;
        let text: String = serde_json::from_str(&format!("\"{inner}\"")).ok()?;
        let chars = text.chars().count();
        (!text.contains('\0')).then(|| Text { bytes: Cow::Owned(text.into_bytes()), chars })
    }

    /// A number in hundredths: no sign, no exponent, exact in two decimals.
    pub(super) fn hundredths(&mut self) -> Option<i64> {
        let whole = self.whole()?;
        let [b'.', rest @ ..] = self.0 else { return Some(whole * 100) };
        let (tenths, mut rest) = digit(rest)?;
        let mut hundredths = 0;
        if let Some((digit, behind)) = digit(rest) {
            (hundredths, rest) = (digit, behind);
            let mut zeros = 0;
            while let [b'0', behind @ ..] = rest {
                rest = behind;
                zeros += 1;
            }
            if MAX_FRACTION < zeros {
                return None;
            }
        }
        self.0 = rest; // what follows a number is looked at by who reads on: no digit can stand there
        Some(whole * 100 + tenths * 10 + hundredths)
    }

    /// A whole number: no sign, no point, no exponent, no zero before another digit.
    pub(super) fn whole(&mut self) -> Option<i64> {
        self.white();
        let is_zero = self.0.first() == Some(&b'0');
        let (mut value, mut digits) = (0, 0);
        while let Some((digit, rest)) = digit(self.0) {
            digits += 1;
            if WHOLE_DIGITS < digits {
                return None;
            }
            value = value * 10 + digit;
            self.0 = rest;
        }
        (digits == 1 || (1 < digits && !is_zero)).then_some(value)
    }
}

fn digit(bytes: &[u8]) -> Option<(i64, &[u8])> {
    match bytes {
        [digit @ b'0'..=b'9', rest @ ..] => Some((i64::from(digit - b'0'), rest)),
        _ => None,
    }
}

/// Bytes of a string up to one that ends the string, begins an escape or must not stand in a string.
struct Run {
    len: usize,
    ascii: bool,
    stop: u8,
}

const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);

/// Eight bytes at a time.
fn run(bytes: &[u8]) -> Option<Run> {
    let (mut len, mut high, mut rest) = (0, 0, bytes);
    while let Some((eight, behind)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight);
        let stops = stops(word);
        if stops != 0 {
            let bits = stops.trailing_zeros() & !7;
            high |= word & ((1 << bits) - 1);
            let stop = (word >> bits) as u8;
            return Some(Run { len: len + bits as usize / 8, ascii: high & HIGHS == 0, stop });
        }
        high |= word;
        len += 8;
        rest = behind;
    }
    for byte in rest {
        if matches!(byte, b'"' | b'\\' | ..0x20) {
            return Some(Run { len, ascii: high & HIGHS == 0, stop: *byte });
        }
        high |= u64::from(*byte);
        len += 1;
    }
    None
}

/// The high bit of each byte that is a quote, a backslash or a control character. Of these bits the lowest is right; one
/// above it may be wrong, by a borrow.
fn stops(word: u64) -> u64 {
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word;
    let quote = zeros(word ^ (ONES * b'"' as u64));
    let backslash = zeros(word ^ (ONES * b'\\' as u64));
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (quote | backslash | control) & HIGHS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_ends_where_one_byte_after_the_other_would_have_ended_it() {
        for len in 0..40 {
            for stop in 0..=255_u8 {
                for before in [b'a', 0x20, 0x7f, 0x80, 0xff, b'!', b'#', b'[', b']'] {
                    let mut bytes = vec![before; len];
                    bytes.extend([stop, before, 0, b'"', 0x1f, b'\\', b'"', before, before]);
                    let found = run(&bytes).unwrap();
                    let expected = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..0x20)).unwrap();
                    let ascii = bytes[..expected].is_ascii();
                    assert_eq!((found.len, found.stop, found.ascii), (expected, bytes[expected], ascii), "{bytes:?}");
                }
            }
            assert!(run(&vec![b'a'; len]).is_none(), "a string that does not end");
        }
    }
}
