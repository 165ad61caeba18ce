//! Exact decimals from the text of a number, whoever wrote it: a client, PostgreSQL, or Java's `1.0E13`.
//!
//! Never through a float. Not an arithmetic library: amounts are only compared.

use std::fmt;

/// Longest number text that is looked at; anything longer is no amount of ours.
const MAX_TEXT: usize = 64;
/// Largest exponent that is looked at, so that `1e999999999` costs nothing.
const MAX_EXPONENT: i32 = 40;

/// An amount of money in hundredths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cents(pub i128);

impl Cents {
    /// The amount that `text` (a JSON number) names, or `None` when two decimals do not hold it exactly.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        if exponent.abs() > MAX_EXPONENT {
            return None;
        }
        let (negative, digits) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all = format!("{whole}{fraction}");
        if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let shift = exponent - i32::try_from(fraction.len()).ok()? + 2;
        let unscaled = scale(all.trim_start_matches('0'), shift)?;
        Some(Self(if negative { -unscaled } else { unscaled }))
    }
}

/// `digits` × 10^`shift`, when that is a whole number in range.
fn scale(digits: &str, shift: i32) -> Option<i128> {
    if digits.is_empty() {
        return Some(0);
    }
    let text = if shift >= 0 {
        let zeros = "0".repeat(usize::try_from(shift).ok()?);
        format!("{digits}{zeros}")
    } else {
        let cut = usize::try_from(shift.checked_neg()?).ok()?;
        let dropped_zeros = digits.len().checked_sub(digits.trim_end_matches('0').len())?;
        if dropped_zeros < cut {
            return None;
        }
        digits.get(..digits.len().checked_sub(cut)?)?.to_owned()
    };
    text.parse().ok()
}

impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let positive = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", positive / 100, positive % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, cents: Option<i128>) {
        assert_eq!(Cents::parse(text), cents.map(Cents), "{text}");
    }

    #[test]
    fn every_form_of_a_number_is_read_exactly() {
        for (text, cents) in [
            ("0", 0),
            ("0.00", 0),
            ("0e9", 0),
            ("1e2", 10_000),
            ("12.5", 1_250),
            ("12.50", 1_250),
            ("12.500", 1_250),
            ("1250e-2", 1_250),
            ("0.125E+2", 1_250),
            ("1.0E13", 1_000_000_000_000_000),
            ("9999999999999.99", 999_999_999_999_999),
            ("9.99999999999999E12", 999_999_999_999_999),
            ("-1.25", -125),
        ] {
            check(text, Some(cents));
        }
    }

    #[test]
    fn what_two_decimals_cannot_hold_is_no_amount() {
        for text in ["0.001", "1e-3", "", "-", ".", "1e", "NaN", "1e999999999", "12,5", "--1"] {
            check(text, None);
        }
    }

    #[test]
    fn amounts_print_with_two_digits() {
        assert_eq!(Cents(1_250).to_string(), "12.50");
        assert_eq!(Cents(-5).to_string(), "-0.05");
    }
}
