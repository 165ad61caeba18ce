//! Money as an exact decimal with two places: `decimal(15,2)` from the text of the number to the column, never a float.

use std::fmt;

/// An amount of 0 to 9999999999999.99, held in hundredths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Money(i64);

impl Money {
    /// Digits in all, as in Avro, PostgreSQL and `x-decimal`.
    pub const PRECISION: u32 = 15;
    /// Digits behind the point.
    pub const SCALE: u32 = 2;
    /// The largest amount.
    pub const MAX: Self = Self(999_999_999_999_999);

    /// From hundredths; `None` when negative or above [`Money::MAX`].
    #[must_use]
    pub fn from_hundredths(hundredths: i64) -> Option<Self> {
        (0..=Self::MAX.0).contains(&hundredths).then_some(Self(hundredths))
    }

    /// In hundredths.
    #[must_use]
    pub fn hundredths(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Money {
    /// Always with two places: `99.90`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// Why a number's text is no [`Money`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not a JSON number, or longer than any honest one.
    #[error("not a decimal number of at most {MAX_TEXT} characters")]
    Text,
    /// More than two digits behind the point, or above the limit, or negative.
    #[error("not a number from 0 to {max} that is exact in two decimals", max = Money::MAX)]
    Range,
}

/// A longer text of a number is refused before any arithmetic.
const MAX_TEXT: usize = 64;
/// A larger exponent is refused before any arithmetic; `0e999` is refused with it.
const MAX_EXPONENT: u64 = 64;

impl std::str::FromStr for Money {
    type Err = MoneyError;

    /// Reads a JSON number's own text exactly: `1e2`, `12.50` and `99.9900` are amounts, `0.001` is not.
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        if text.len() > MAX_TEXT {
            return Err(MoneyError::Text);
        }
        let (negative, unsigned) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
            Some(at) => {
                let (mantissa, exponent) = unsigned.split_at(at);
                (mantissa, exponent.get(1..).and_then(|digits| digits.parse::<i64>().ok()).ok_or(MoneyError::Text)?)
            }
            None => (unsigned, 0),
        };
        if exponent.unsigned_abs() > MAX_EXPONENT {
            return Err(MoneyError::Range);
        }
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
            return Err(MoneyError::Text);
        }
        let digits = format!("{whole}{fraction}");
        let fraction_digits = i64::try_from(fraction.len()).map_err(|_| MoneyError::Text)?;
        // The value is `digits` × 10^shift hundredths.
        let shift = exponent - fraction_digits + i64::from(Self::SCALE);
        let hundredths = shifted(digits.trim_start_matches('0'), shift).ok_or(MoneyError::Range)?;
        if negative && hundredths != 0 {
            return Err(MoneyError::Range);
        }
        Self::from_hundredths(hundredths).ok_or(MoneyError::Range)
    }
}

/// `digits` × 10^`shift`, when that is a whole number of at most [`Money::PRECISION`] digits.
fn shifted(digits: &str, shift: i64) -> Option<i64> {
    let digits = if shift < 0 {
        let cut = digits.len().saturating_sub(usize::try_from(-shift).ok()?);
        let (kept, lost) = digits.split_at(cut);
        lost.bytes().all(|byte| byte == b'0').then(|| kept.to_owned())?
    } else if digits.is_empty() {
        String::new()
    } else {
        format!("{digits}{}", "0".repeat(usize::try_from(shift).ok()?))
    };
    match digits.as_str() {
        "" => Some(0),
        digits if digits.len() > Money::PRECISION as usize => None,
        digits => digits.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_text_of_a_number_is_read_exactly() {
        let cases: [(&str, Result<i64, MoneyError>); 28] = [
            ("0", Ok(0)),
            ("-0", Ok(0)),
            ("-0.00", Ok(0)),
            ("99.99", Ok(9_999)),
            ("12.50", Ok(1_250)),
            ("12.5000", Ok(1_250)),
            ("1e2", Ok(10_000)),
            ("1E+2", Ok(10_000)),
            ("1250e-2", Ok(1_250)),
            ("0.01", Ok(1)),
            ("1e-2", Ok(1)),
            ("0e60", Ok(0)),
            ("9999999999999.99", Ok(999_999_999_999_999)),
            ("9999999999999.990", Ok(999_999_999_999_999)),
            ("10000000000000", Err(MoneyError::Range)),
            ("9999999999999.995", Err(MoneyError::Range)),
            ("0.001", Err(MoneyError::Range)),
            ("1e-3", Err(MoneyError::Range)),
            ("-0.01", Err(MoneyError::Range)),
            ("1e65", Err(MoneyError::Range)),
            ("1e-65", Err(MoneyError::Range)),
            ("1e9223372036854775807", Err(MoneyError::Range)),
            ("1e-9223372036854775808", Err(MoneyError::Range)),
            ("1e-9223372036854775809", Err(MoneyError::Text)),
            ("1e99999999999999999999", Err(MoneyError::Text)),
            ("", Err(MoneyError::Text)),
            ("1,5", Err(MoneyError::Text)),
            (".5", Err(MoneyError::Text)),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Money>().map(Money::hundredths), expected, "{text}");
        }
        assert_eq!("0".repeat(65).parse::<Money>(), Err(MoneyError::Text));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_the_same_amount(hundredths in 0..=Money::MAX.0, zeros in 0..20_usize) {
            let money = Money(hundredths);
            prop_assert_eq!(money.to_string().parse(), Ok(money));
            prop_assert_eq!(format!("{money}{}", "0".repeat(zeros)).parse(), Ok(money));
            prop_assert_eq!(format!("{hundredths}e-2").parse(), Ok(money));
        }

        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,80}|-?[0-9]{1,4}(\\.[0-9]{0,4})?[eE][+-]?[0-9]{0,22}") {
            let _ = text.parse::<Money>();
        }
    }
}
