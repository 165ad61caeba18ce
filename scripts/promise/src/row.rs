//! One order as anybody holds it (the input topic, the output topic, a table, an index, the oracle), in one
//! canonical form, so that field for field comparison is one comparison.
//!
//! Does not read anything from anywhere: each reader makes rows of what it finds.

use std::collections::BTreeMap;
use std::fmt;

use crate::decimal::Cents;

/// Where an order lies in `orders.received`: its receipt, and its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The partition in the receipt.
    pub partition: i32,
    /// The offset in the receipt.
    pub offset: i64,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.partition, self.offset)
    }
}

/// A field's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing there.
    Null,
    /// Text, compared character by character.
    Text(String),
    /// A whole number, or a time in milliseconds.
    Whole(i64),
    /// Money, exact.
    Money(Cents),
    /// Line items.
    Items(Vec<Item>),
    /// Only in what is expected: the time of receipt, which nobody knows beforehand.
    Receipt,
    /// What could not be read as the field's type; equal to nothing that is expected.
    Broken(String),
}

/// One line item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What was ordered.
    pub sku: String,
    /// How many.
    pub quantity: i64,
    /// What one costs.
    pub unit_price: Cents,
}

/// An order: its fields by the names of the columns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row(pub BTreeMap<String, Value>);

impl Row {
    /// The field, or null.
    #[must_use]
    pub fn get(&self, name: &str) -> &Value {
        self.0.get(name).unwrap_or(&Value::Null)
    }

    /// Sets a field.
    pub fn set(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    /// The order id, when there is one.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        match self.get("order_id") {
            Value::Text(id) => Some(id),
            _ => None,
        }
    }

    /// The version that the row says it is, when it says one.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        match (self.get("received_partition"), self.get("received_offset")) {
            (Value::Whole(partition), Value::Whole(offset)) => {
                Some(Version { partition: i32::try_from(*partition).ok()?, offset: *offset })
            }
            _ => None,
        }
    }

    /// A whole number's field, when it is one.
    #[must_use]
    pub fn whole(&self, name: &str) -> Option<i64> {
        match self.get(name) {
            Value::Whole(value) => Some(*value),
            _ => None,
        }
    }

    /// Where this row differs from `expected`, among the fields that `expected` names; `Receipt` equals `receipt`.
    #[must_use]
    pub fn differences(&self, expected: &Self, receipt: Option<i64>) -> Vec<String> {
        let mut found = Vec::new();
        for (name, want) in &expected.0 {
            let have = self.get(name);
            let same = match want {
                Value::Receipt => receipt.is_some() && self.whole(name) == receipt,
                want => have == want,
            };
            if !same {
                found.push(format!("{name}: {have:?} instead of {want:?}"));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(fields: &[(&str, Value)]) -> Row {
        Row(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
    }

    #[test]
    fn a_cent_is_a_difference() {
        let expected = row(&[("amount", Value::Money(Cents(1_250)))]);
        assert!(row(&[("amount", Value::Money(Cents(1_250)))]).differences(&expected, None).is_empty());
        assert_eq!(row(&[("amount", Value::Money(Cents(1_251)))]).differences(&expected, None).len(), 1);
        assert_eq!(row(&[]).differences(&expected, None).len(), 1);
    }

    #[test]
    fn the_time_of_receipt_is_filled_in() {
        let expected = row(&[("created_at", Value::Receipt)]);
        let stored = row(&[("created_at", Value::Whole(5))]);
        assert!(stored.differences(&expected, Some(5)).is_empty());
        assert_eq!(stored.differences(&expected, Some(6)).len(), 1);
        assert_eq!(row(&[]).differences(&expected, None).len(), 1);
    }

    #[test]
    fn what_is_missing_equals_null() {
        assert!(row(&[]).differences(&row(&[("email", Value::Null)]), None).is_empty());
    }
}
