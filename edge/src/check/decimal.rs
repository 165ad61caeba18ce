//! The keyword `x-decimal`: `{"precision": p, "scale": s}`. A number is exact in `s` decimals and has at most `p`
//! digits in all, decided on its own text; the text is bounded before anything is computed from it. The sign is free.

use jsonschema::{
    Keyword, ValidationError,
    json::{Json, JsonNumber, Node},
    paths::Location,
};
use schemas::Money;
use serde::Deserialize;
use serde_json::Value;

use crate::json::representation::Raw;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decimal {
    precision: u32,
    scale: u32,
}

/// Reads the keyword's value. It may be tighter than what the records hold, never wider.
pub(super) fn compile<'a>(
    value: &'a Value,
    _at: Location,
) -> Result<Box<dyn for<'i> Keyword<'i, Raw>>, ValidationError<'a>> {
    let decimal =
        Decimal::deserialize(value).map_err(|error| ValidationError::schema(format!("x-decimal: {error}")))?;
    let whole_digits = Money::PRECISION - Money::SCALE;
    let fits = decimal.scale <= Money::SCALE
        && decimal.scale <= decimal.precision
        && decimal.precision - decimal.scale <= whole_digits;
    if !fits {
        return Err(ValidationError::schema(format!(
            "x-decimal must not be wider than decimal({}, {}), which is what the records hold",
            Money::PRECISION,
            Money::SCALE
        )));
    }
    Ok(Box::new(decimal))
}

impl Decimal {
    fn admits(&self, text: &str) -> bool {
        let Ok(money) = text.strip_prefix('-').unwrap_or(text).parse::<Money>() else { return false };
        let hundredths = money.hundredths();
        let unit = 10_i64.pow(Money::SCALE - self.scale);
        let limit = 10_i64.pow(self.precision - self.scale + Money::SCALE);
        hundredths < limit && hundredths % unit == 0
    }
}

impl<'i> Keyword<'i, Raw> for Decimal {
    fn validate(&self, instance: <Raw as Json>::Node<'i>) -> Result<(), ValidationError<'i>> {
        if self.is_valid(instance) {
            return Ok(());
        }
        let Self { precision, scale } = self;
        Err(ValidationError::custom(format!(
            "number must be exact in {scale} decimals and have at most {precision} digits in all"
        )))
    }

    fn is_valid(&self, instance: <Raw as Json>::Node<'i>) -> bool {
        instance.as_number().is_none_or(|number| self.admits(&number.as_str()))
    }
}
