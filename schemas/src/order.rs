//! The order as every room means it. Reading this file first explains the rest.
//!
//! Who holds an [`Order`] holds one that encodes: the types have no invalid values. How it is read from JSON is the
//! edge's business, how it is written as Avro is [`crate::codec`]'s.

use std::fmt;

use crate::Money;

/// An order as the edge took it: the fields of `orders.received`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The client's name for it, and the record key everywhere.
    pub order_id: OrderId,
    /// What it costs, in [`Order::currency`].
    pub amount: Money,
    /// Who ordered.
    pub customer: String,
    /// ISO 4217, as posted.
    pub currency: Option<String>,
    /// The line items; may be empty.
    pub items: Vec<Item>,
    /// As posted.
    pub email: Option<String>,
    /// ISO 3166-1 alpha-2, as posted.
    pub country: Option<String>,
    /// Where the order came from, as posted.
    pub channel: Option<String>,
    /// When the client says it was made; else when it was received.
    pub created_at: Timestamp,
    /// When the edge took it.
    pub received_at: Timestamp,
}

/// A line item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What is ordered.
    pub sku: String,
    /// How many, 1 to 1,000,000.
    pub quantity: i32,
    /// What one costs.
    pub unit_price: Money,
}

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// `[A-Za-z0-9][A-Za-z0-9._:-]{0,127}`. The id later stands in URLs of the stores, so the rule is a matter of safety:
/// the edge checks it, and the processor checks it again, whoever wrote the record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(String);

impl OrderId {
    /// The longest id, in bytes.
    pub const MAX_LEN: usize = 128;

    /// The id's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no [`OrderId`]. Never holds the text: it may be anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OrderIdError {
    /// No characters.
    #[error("order id is empty; it needs 1 to {max} characters", max = OrderId::MAX_LEN)]
    Empty,
    /// Too many.
    #[error("order id has {0} bytes, the limit is {max}", max = OrderId::MAX_LEN)]
    TooLong(usize),
    /// A character that the rule does not know.
    #[error("order id breaks ^[A-Za-z0-9][A-Za-z0-9._:-]{{0,127}}$ at byte {0}")]
    Character(usize),
}

impl std::str::FromStr for OrderId {
    type Err = OrderIdError;

    fn from_str(text: &str) -> Result<Self, OrderIdError> {
        match text.len() {
            0 => return Err(OrderIdError::Empty),
            len if len > Self::MAX_LEN => return Err(OrderIdError::TooLong(len)),
            _ => {}
        }
        let allowed = |(at, byte): (usize, u8)| byte.is_ascii_alphanumeric() || (at > 0 && b"._:-".contains(&byte));
        match text.bytes().enumerate().position(|byte| !allowed(byte)) {
            Some(at) => Err(OrderIdError::Character(at)),
            None => Ok(Self(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_id_keeps_to_its_rule() {
        let long = "a".repeat(128);
        let too_long = "a".repeat(129);
        for (text, expected) in [
            ("my-order-123", Ok(())),
            ("0", Ok(())),
            ("a.b_c:d-E", Ok(())),
            (long.as_str(), Ok(())),
            (too_long.as_str(), Err(OrderIdError::TooLong(129))),
            ("", Err(OrderIdError::Empty)),
            ("-a", Err(OrderIdError::Character(0))),
            ("a/b", Err(OrderIdError::Character(1))),
            ("a?x", Err(OrderIdError::Character(1))),
            ("a\n", Err(OrderIdError::Character(1))),
            ("é", Err(OrderIdError::Character(0))),
        ] {
            assert_eq!(text.parse::<OrderId>().map(|_| ()), expected, "{text:?}");
        }
    }
}
