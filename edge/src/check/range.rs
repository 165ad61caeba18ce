//! The keyword `x-range`: `{"from": t, "before": t}` for strings of the format `date-time`, both in RFC 3339.
//! A string that is no time is left to the format.

use jsonschema::{
    Keyword, ValidationError,
    json::{Json, Node},
    paths::Location,
};
use serde::Deserialize;
use serde_json::Value;

use crate::{json::representation::Raw, timestamp};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Texts {
    from: String,
    before: String,
}

struct Range {
    texts: Texts,
    from: i64,
    before: i64,
}

pub(super) fn compile<'a>(
    value: &'a Value,
    _at: Location,
) -> Result<Box<dyn for<'i> Keyword<'i, Raw>>, ValidationError<'a>> {
    let texts = Texts::deserialize(value).map_err(|error| ValidationError::schema(format!("x-range: {error}")))?;
    match (timestamp::parse(&texts.from), timestamp::parse(&texts.before)) {
        (Some(from), Some(before)) => Ok(Box::new(Range { texts, from: from.0, before: before.0 })),
        _ => Err(ValidationError::schema("x-range: `from` and `before` must be times in RFC 3339")),
    }
}

impl<'i> Keyword<'i, Raw> for Range {
    fn validate(&self, instance: <Raw as Json>::Node<'i>) -> Result<(), ValidationError<'i>> {
        if self.is_valid(instance) {
            return Ok(());
        }
        let Texts { from, before } = &self.texts;
        Err(ValidationError::custom(format!("time must be from {from} and before {before}")))
    }

    fn is_valid(&self, instance: <Raw as Json>::Node<'i>) -> bool {
        let time = instance.as_string().and_then(|text| timestamp::parse(&text));
        time.is_none_or(|time| (self.from..self.before).contains(&time.0))
    }
}
