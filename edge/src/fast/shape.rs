//! The patterns that are known: three by their text, and those of the form `^[class]{n}…[class]{m,n}$`, in which only
//! the last part has a choice, so that one look at each byte decides. The classes are of ASCII.

use std::fmt;

/// Repetitions that are counted; a pattern with more is not known.
const MAX_REPEAT: usize = 100_000;

/// A pattern.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Pattern {
    /// `\S`: something that is no white space as ECMA-262 has it.
    NotBlank,
    /// `^[^@]+@[^@]+$`
    OneAt,
    /// `^[^\x00]*$`, which holds for every text that comes here.
    NoNul,
    /// Runs of bytes, each of one class.
    Shape(Shape),
}

/// Bytes that must follow each other from the first to the last.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shape {
    /// One class for each byte.
    fixed: Vec<Class>,
    /// For the bytes behind them.
    last: Class,
    min: usize,
    max: usize,
}

#[derive(Clone, PartialEq)]
struct Class(Box<[bool; 256]>);

impl Pattern {
    /// Reads a pattern, if it is a known one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            r"\S" => Some(Self::NotBlank),
            "^[^@]+@[^@]+$" => Some(Self::OneAt),
            r"^[^\x00]*$" => Some(Self::NoNul),
            _ => Shape::parse(text).map(Self::Shape),
        }
    }

    pub(super) fn admits(&self, text: &[u8]) -> bool {
        match self {
            Self::NotBlank => is_not_blank(text),
            Self::OneAt => {
                let mut parts = text.split(|byte| *byte == b'@');
                matches!((parts.next(), parts.next(), parts.next()), (Some([_, ..]), Some([_, ..]), None))
            }
            Self::NoNul => true,
            Self::Shape(shape) => shape.admits(text),
        }
    }
}

impl Shape {
    fn parse(text: &str) -> Option<Self> {
        let mut rest = text.strip_prefix('^')?.strip_suffix('$')?.as_bytes();
        let mut fixed = Vec::new();
        loop {
            let (class, behind) = Class::parse(rest)?;
            let (min, max, behind) = repeats(behind)?;
            match behind {
                [] => return Some(Self { fixed, last: class, min, max }),
                _ if min == max && fixed.len() + min <= MAX_REPEAT => {
                    fixed.extend(std::iter::repeat_n(class, min));
                    rest = behind;
                }
                _ => return None,
            }
        }
    }

    fn admits(&self, text: &[u8]) -> bool {
        let Some((first, last)) = text.split_at_checked(self.fixed.len()) else { return false };
        first.iter().zip(&self.fixed).all(|(byte, class)| class.has(*byte))
            && (self.min..=self.max).contains(&last.len())
            && last.iter().all(|byte| self.last.has(*byte))
    }
}

impl Class {
    /// A class in brackets, or a character that stands for itself, and what follows it.
    fn parse(text: &[u8]) -> Option<(Self, &[u8])> {
        let mut class = Self(Box::new([false; 256]));
        let [b'[', rest @ ..] = text else {
            let (byte, rest) = text.split_first()?;
            class.add(*byte, *byte)?;
            return (!b".+ #".contains(byte)).then_some((class, rest)); // a sign outside of brackets
        };
        let mut rest = rest;
        loop {
            rest = match rest {
                [b']', ..] => return None, // an empty class
                [b'-', b']', behind @ ..] => {
                    class.add(b'-', b'-')?;
                    return Some((class, behind));
                }
                [from, b'-', to, behind @ ..] if *to != b']' => {
                    let is_range = from.is_ascii_alphanumeric() && to.is_ascii_alphanumeric() && from <= to;
                    class.add(*from, *to).filter(|()| is_range)?;
                    behind
                }
                [b'-', ..] => return None, // where it stands for itself is a matter of the dialect
                [byte, behind @ ..] if byte.is_ascii_alphanumeric() || b"._:@+/ #".contains(byte) => {
                    class.add(*byte, *byte)?;
                    behind
                }
                _ => return None,
            };
            if let [b']', behind @ ..] = rest {
                return Some((class, behind));
            }
        }
    }

    fn add(&mut self, from: u8, to: u8) -> Option<()> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._:@+/ #-".contains(&byte);
        if !known(from) || !known(to) {
            return None;
        }
        self.0.get_mut(usize::from(from)..=usize::from(to))?.fill(true);
        Some(())
    }

    fn has(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte)).copied().unwrap_or(false)
    }
}

impl fmt::Debug for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = (0..=u8::MAX).filter(|byte| self.has(*byte)).map(char::from);
        f.debug_tuple("Class").field(&of.collect::<String>()).finish()
    }
}

/// How often a class may be repeated, and what follows.
fn repeats(text: &[u8]) -> Option<(usize, usize, &[u8])> {
    let (min, max, rest) = match text {
        [b'*', rest @ ..] => (0, usize::MAX, rest),
        [b'+', rest @ ..] => (1, usize::MAX, rest),
        [b'{', rest @ ..] => {
            let end = rest.iter().position(|byte| *byte == b'}')?;
            let (inner, rest) = (std::str::from_utf8(rest.get(..end)?).ok()?, rest.get(end + 1..)?);
            let count = |text: &str| {
                let digits = text.bytes().all(|byte| byte.is_ascii_digit());
                text.parse::<usize>().ok().filter(|count| digits && *count <= MAX_REPEAT)
            };
            match inner.split_once(',') {
                None => (count(inner)?, count(inner)?, rest),
                Some((min, "")) => (count(min)?, usize::MAX, rest),
                Some((min, max)) => (count(min)?, count(max)?, rest),
            }
        }
        _ => (1, 1, text),
    };
    // Nothing may be said twice, nor how greedy it is.
    let again = matches!(rest, [b'*' | b'+' | b'?' | b'{', ..]);
    (min <= max && !again).then_some((min, max, rest))
}

fn is_not_blank(text: &[u8]) -> bool {
    match text {
        [b'!'..=b'~', ..] => true,
        _ => std::str::from_utf8(text).is_ok_and(|text| text.chars().any(|character| !is_white(character))),
    }
}

/// What `\s` stands for in ECMA-262.
fn is_white(character: char) -> bool {
    matches!(
        character,
        '\t'..='\r'
            | ' '
            | '\u{a0}'
            | '\u{1680}'
            | '\u{2000}'..='\u{200a}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{202f}'
            | '\u{205f}'
            | '\u{3000}'
            | '\u{feff}'
    )
}
