//! An exact decimal number: what money is made of. Never a float, never rounded unless asked.

use std::{cmp::Ordering, fmt, str::FromStr};

/// Digits that a text may have on each side of the point.
const TEXT_DIGITS: usize = 15;

/// `unscaled × 10^-scale`, exactly.
///
/// Two decimals are equal when they are the same number: 1.5 equals 1.50.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decimal {
    unscaled: i128,
    scale: u32,
}

/// Why there is no decimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecimalError {
    /// The text is not `-?[0-9]{1,15}(\.[0-9]{1,15})?`.
    Text,
    /// The result does not fit into 128 bits.
    Overflow,
    /// The number has more decimals than are asked for; round it first.
    Inexact {
        /// How many decimals were asked for.
        scale: u32,
    },
}

impl fmt::Display for DecimalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => {
                write!(f, "not a decimal number such as -12.50, with up to {TEXT_DIGITS} digits on each side")
            }
            Self::Overflow => f.write_str("the number does not fit into 128 bits"),
            Self::Inexact { scale } => write!(f, "the number has more than {scale} decimals; round it first"),
        }
    }
}

impl std::error::Error for DecimalError {}

impl Decimal {
    /// Zero.
    pub const ZERO: Self = Self { unscaled: 0, scale: 0 };

    /// `unscaled × 10^-scale`.
    pub const fn new(unscaled: i128, scale: u32) -> Self {
        Self { unscaled, scale }
    }

    /// The number without its point.
    pub fn unscaled(&self) -> i128 {
        self.unscaled
    }

    /// How many decimals it has.
    pub fn scale(&self) -> u32 {
        self.scale
    }

    /// The exact sum.
    pub fn checked_add(self, other: Self) -> Result<Self, DecimalError> {
        let scale = self.scale.max(other.scale);
        let (left, right) = (self.with_scale(scale)?, other.with_scale(scale)?);
        let unscaled = left.unscaled.checked_add(right.unscaled).ok_or(DecimalError::Overflow)?;
        Ok(Self { unscaled, scale })
    }

    /// The exact product; its scale is the sum of both.
    pub fn checked_mul(self, other: Self) -> Result<Self, DecimalError> {
        let unscaled = product(self.unscaled, other.unscaled).ok_or(DecimalError::Overflow)?;
        let scale = self.scale.checked_add(other.scale).ok_or(DecimalError::Overflow)?;
        Ok(Self { unscaled, scale })
    }

    /// The same number with this many decimals, if it has one.
    pub fn with_scale(self, scale: u32) -> Result<Self, DecimalError> {
        if scale == self.scale {
            return Ok(self);
        }
        let unscaled = match scale.checked_sub(self.scale) {
            Some(more) => {
                power_of_ten(more).and_then(|power| product(self.unscaled, power)).ok_or(DecimalError::Overflow)?
            }
            None => match self.split(self.scale.saturating_sub(scale)) {
                (quotient, 0, _) => quotient,
                _ => return Err(DecimalError::Inexact { scale }),
            },
        };
        Ok(Self { unscaled, scale })
    }

    /// The nearest number with this many decimals; exactly between two, the one whose last digit is even.
    pub fn round_half_even(self, scale: u32) -> Result<Self, DecimalError> {
        if scale >= self.scale {
            return self.with_scale(scale);
        }
        let (quotient, rest, half) = self.split(self.scale - scale);
        let away = match rest.cmp(&half) {
            Ordering::Greater => true,
            Ordering::Less => false,
            Ordering::Equal => quotient & 1 != 0,
        };
        let step = if away { self.unscaled.signum() } else { 0 };
        let unscaled = quotient.checked_add(step).ok_or(DecimalError::Overflow)?;
        Ok(Self { unscaled, scale })
    }

    /// How many digits its unscaled number has: what Avro calls precision.
    pub fn precision(&self) -> u32 {
        let size = self.unscaled.unsigned_abs();
        let log = match u64::try_from(size) {
            Ok(size) => size.checked_ilog10(),
            Err(_) => size.checked_ilog10(),
        };
        log.map_or(1, |log| log + 1)
    }

    /// Quotient (towards zero), size of the rest, and half of the divisor, for a division by `10^digits`. All three are
    /// exact; where the divisor is beyond 128 bits, the quotient is zero and the half is above every rest.
    fn split(self, digits: u32) -> (i128, u128, u128) {
        let Some(power) = power_of_ten(digits) else { return (0, self.unscaled.unsigned_abs(), u128::MAX) };
        match (i64::try_from(self.unscaled), i64::try_from(power)) {
            (Ok(number), Ok(power)) => {
                ((number / power).into(), (number % power).unsigned_abs().into(), (power.unsigned_abs() / 2).into())
            }
            _ => (self.unscaled / power, (self.unscaled % power).unsigned_abs(), power.unsigned_abs() / 2),
        }
    }
}

/// Most numbers have 64 bits, and WebAssembly has no instruction for a product or quotient of 128, only long code.
fn product(left: i128, right: i128) -> Option<i128> {
    match (i64::try_from(left), i64::try_from(right)) {
        (Ok(left), Ok(right)) => match left.checked_mul(right) {
            Some(product) => Some(product.into()),
            None => i128::from(left).checked_mul(right.into()),
        },
        _ => left.checked_mul(right),
    }
}

fn power_of_ten(exponent: u32) -> Option<i128> {
    match 10_i64.checked_pow(exponent) {
        Some(power) => Some(power.into()),
        None => 10_i128.checked_pow(exponent),
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let scale = self.scale.max(other.scale);
        match (self.with_scale(scale), other.with_scale(scale)) {
            (Ok(left), Ok(right)) => left.unscaled.cmp(&right.unscaled),
            // Only the one with the smaller scale can overflow; it is then further from zero than any number of 128 bits.
            (Err(_), _) => self.unscaled.cmp(&0),
            (_, Err(_)) => 0.cmp(&other.unscaled),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl From<i64> for Decimal {
    fn from(number: i64) -> Self {
        Self { unscaled: number.into(), scale: 0 }
    }
}

impl FromStr for Decimal {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
        let mut unscaled = 0_i128;
        for part in [Some(whole), fraction].into_iter().flatten() {
            if part.is_empty() || part.len() > TEXT_DIGITS || !part.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(DecimalError::Text);
            }
            for digit in part.bytes() {
                unscaled = unscaled * 10 + i128::from(digit - b'0');
            }
        }
        let scale = fraction.map_or(0, str::len);
        let scale = u32::try_from(scale).map_err(|_| DecimalError::Text)?;
        Ok(Self { unscaled: if negative { -unscaled } else { unscaled }, scale })
    }
}

impl fmt::Display for Decimal {
    /// All decimals are shown: 1.50 is `1.50`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.unscaled < 0 { "-" } else { "" };
        let scale = self.scale as usize;
        let digits = format!("{:0>width$}", self.unscaled.unsigned_abs(), width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        match fraction {
            "" => write!(f, "{sign}{whole}"),
            _ => write!(f, "{sign}{whole}.{fraction}"),
        }
    }
}
