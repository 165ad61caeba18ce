//! The fields that the checker compares, what each holds, and how each is read from JSON without losing a digit.
//!
//! Whose JSON: the oracle's, Elasticsearch's documents, PostgreSQL's `jsonb`. A number is read from its own text.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::decimal::Cents;
use crate::row::{Item, Row, Value};

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A whole number.
    Whole,
    /// A time, in milliseconds.
    Time,
    /// Money with two decimals.
    Money,
    /// Line items.
    Items,
}

/// Every field of a stored order, in the order of `order_placed.avsc`, and `transformed_by` at the end.
pub const STORED: &[(&str, Kind)] = &[
    ("order_id", Kind::Text),
    ("amount", Kind::Money),
    ("customer", Kind::Text),
    ("currency", Kind::Text),
    ("items", Kind::Items),
    ("email", Kind::Text),
    ("country", Kind::Text),
    ("channel", Kind::Text),
    ("created_at", Kind::Time),
    ("received_at", Kind::Time),
    ("amount_home", Kind::Money),
    ("home_currency", Kind::Text),
    ("region", Kind::Text),
    ("item_count", Kind::Whole),
    ("email_domain", Kind::Text),
    ("value_band", Kind::Text),
    ("received_partition", Kind::Whole),
    ("received_offset", Kind::Whole),
    ("transformed_by", Kind::Text),
];

/// What field `name` holds.
#[must_use]
pub fn kind(name: &str) -> Kind {
    if name == "items_json" {
        return Kind::Items;
    }
    STORED.iter().find(|(known, _)| *known == name).map_or(Kind::Text, |(_, kind)| *kind)
}

/// Members of a JSON object as raw texts.
pub type Raw = BTreeMap<String, Box<RawValue>>;

/// A row from the members of a JSON object.
#[must_use]
pub fn row(members: &Raw) -> Row {
    Row(members.iter().map(|(name, raw)| (name.clone(), value(kind(name), raw.get()))).collect())
}

/// The value that the JSON text `raw` is, as a field of this kind.
#[must_use]
pub fn value(kind: Kind, raw: &str) -> Value {
    if raw == "null" {
        return Value::Null;
    }
    let read = match kind {
        Kind::Text => serde_json::from_str(raw).ok().map(Value::Text),
        Kind::Whole => raw.parse().ok().map(Value::Whole),
        Kind::Time if raw == "\"receipt\"" => Some(Value::Receipt),
        Kind::Time => raw.parse().ok().map(Value::Whole),
        Kind::Money => Cents::parse(raw.trim_matches('"')).map(Value::Money),
        Kind::Items => items(raw).map(Value::Items),
    };
    read.unwrap_or_else(|| Value::Broken(raw.to_owned()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawItem {
    sku: String,
    quantity: i64,
    unit_price: Box<RawValue>,
}

fn items(raw: &str) -> Option<Vec<Item>> {
    let items: Vec<RawItem> = serde_json::from_str(raw).ok()?;
    items
        .into_iter()
        .map(|RawItem { sku, quantity, unit_price }| {
            Some(Item { sku, quantity, unit_price: Cents::parse(unit_price.get().trim_matches('"'))? })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_their_own_text() {
        assert_eq!(value(Kind::Money, "9999999999999.99"), Value::Money(Cents(999_999_999_999_999)));
        assert_eq!(value(Kind::Money, "1.0E13"), Value::Money(Cents(1_000_000_000_000_000)));
        assert_eq!(value(Kind::Money, "\"12.50\""), Value::Money(Cents(1_250)));
        assert_eq!(value(Kind::Time, "\"receipt\""), Value::Receipt);
        assert_eq!(value(Kind::Time, "1700000000000"), Value::Whole(1_700_000_000_000));
        assert_eq!(value(Kind::Whole, "1.5"), Value::Broken("1.5".to_owned()));
        assert_eq!(value(Kind::Text, "null"), Value::Null);
    }

    #[test]
    fn items_keep_their_prices_exact_and_admit_no_stranger() {
        let raw = r#"[{"sku":"a\u00e9","quantity":2,"unit_price":0.10}]"#;
        let item = Item { sku: "aé".to_owned(), quantity: 2, unit_price: Cents(10) };
        assert_eq!(value(Kind::Items, raw), Value::Items(vec![item]));
        let strange = r#"[{"sku":"a","quantity":2,"unit_price":1,"x":1}]"#;
        assert_eq!(value(Kind::Items, strange), Value::Broken(strange.to_owned()));
    }
}
