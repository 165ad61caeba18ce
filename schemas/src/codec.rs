//! Avro datums of `orders.received`, written and read straight from the typed order.
//!
//! Written by hand because the edge answers each client only after this step, and apache-avro's generic path costs
//! several times as much; apache-avro is the judge in the tests, where it reads what is written here and the reverse.
//! Follows the field order of `orders.received.avsc`; a test fails when the two part. Does not frame: see
//! [`crate::framing`].

use crate::order::{Item, Order, OrderIdError, Timestamp};
use crate::{Money, OrderId};

/// Appends `order` as a datum of `orders.received.avsc`.
pub fn encode(order: &Order, out: &mut Vec<u8>) {
    put_bytes(out, order.order_id.as_str().as_bytes());
    put_money(out, order.amount);
    put_bytes(out, order.customer.as_bytes());
    put_optional(out, order.currency.as_deref().map(str::as_bytes));
    put_items(out, &order.items);
    put_optional(out, order.email.as_deref().map(str::as_bytes));
    put_optional(out, order.country.as_deref().map(str::as_bytes));
    put_optional(out, order.channel.as_deref().map(str::as_bytes));
    put_long(out, order.created_at.0);
    put_long(out, order.received_at.0);
}

fn put_items(out: &mut Vec<u8>, items: &[Item]) {
    if !items.is_empty() {
        put_len(out, items.len());
        for item in items {
            put_bytes(out, item.sku.as_bytes());
            put_long(out, i64::from(item.quantity));
            put_money(out, item.unit_price);
        }
    }
    put_long(out, 0); // the empty block that ends an array
}

/// Appends a text that may be absent: the union of null and string.
#[inline]
pub fn put_optional(out: &mut Vec<u8>, text: Option<&[u8]>) {
    match text {
        None => put_long(out, 0),
        Some(text) => {
            put_long(out, 1);
            put_bytes(out, text);
        }
    }
}

/// Appends an amount: two's complement, big-endian, in as few bytes as hold it, which is what Java's `BigInteger` writes.
#[inline]
pub fn put_money(out: &mut Vec<u8>, money: Money) {
    let bytes = money.hundredths().to_be_bytes();
    let spare = bytes.windows(2).take_while(|pair| matches!(pair, [0, next] if next & 0x80 == 0)).count();
    put_bytes(out, bytes.get(spare..).unwrap_or(&bytes));
}

/// Appends a string or bytes.
#[inline]
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_len(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends a length, or the count of a block.
#[inline]
pub fn put_len(out: &mut Vec<u8>, len: usize) {
    // A slice is never longer than isize::MAX.
    put_long(out, len as i64);
}

/// Appends an int or a long: zigzag, then seven bits a byte, the lowest first.
#[inline]
pub fn put_long(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Why bytes are no datum of `orders.received`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside a field, or a length points behind the end.
    #[error("the datum ends inside field {0}")]
    End(&'static str),
    /// Bytes are left over.
    #[error("{0} bytes are left behind the last field")]
    Left(usize),
    /// A field holds what its type does not allow.
    #[error("field {0} does not hold what its type allows")]
    Value(&'static str),
    /// The order id breaks its rule.
    #[error("field order_id: {0}")]
    OrderId(OrderIdError),
}

/// Reads a datum of `orders.received.avsc`. Never allocates more than the input is long.
///
/// # Errors
/// When the bytes are no such datum; nothing of their content is in the error.
pub fn decode(datum: &[u8]) -> Result<Order, DecodeError> {
    let mut input = Input(datum);
    let order = Order {
        order_id: input.text("order_id")?.parse::<OrderId>().map_err(DecodeError::OrderId)?,
        amount: input.money("amount")?,
        customer: input.text("customer")?.to_owned(),
        currency: input.optional("currency")?,
        items: input.items()?,
        email: input.optional("email")?,
        country: input.optional("country")?,
        channel: input.optional("channel")?,
        created_at: Timestamp(input.long("created_at")?),
        received_at: Timestamp(input.long("received_at")?),
    };
    if input.0.is_empty() { Ok(order) } else { Err(DecodeError::Left(input.0.len())) }
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        let (first, rest) = self.0.split_first().ok_or(DecodeError::End(field))?;
        self.0 = rest;
        Ok(*first)
    }

    fn long(&mut self, field: &'static str) -> Result<i64, DecodeError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(field)?;
            // The tenth byte holds the one bit that is left.
            if shift == 63 && byte > 1 {
                return Err(DecodeError::Value(field));
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err(DecodeError::Value(field))
    }

    fn bytes(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let len = usize::try_from(self.long(field)?).map_err(|_| DecodeError::Value(field))?;
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(DecodeError::End(field))?;
        self.0 = rest;
        Ok(bytes)
    }

    fn text(&mut self, field: &'static str) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes(field)?).map_err(|_| DecodeError::Value(field))
    }

    fn optional(&mut self, field: &'static str) -> Result<Option<String>, DecodeError> {
        match self.long(field)? {
            0 => Ok(None),
            1 => Ok(Some(self.text(field)?.to_owned())),
            _ => Err(DecodeError::Value(field)),
        }
    }

    fn money(&mut self, field: &'static str) -> Result<Money, DecodeError> {
        let bytes = self.bytes(field)?;
        let sign = match bytes.first() {
            None => return Err(DecodeError::Value(field)),
            Some(first) if first & 0x80 == 0 => 0_u8,
            Some(_) => 0xff,
        };
        let mut wide = [sign; 8];
        let start = wide.len().checked_sub(bytes.len()).ok_or(DecodeError::Value(field))?;
        wide.get_mut(start..).ok_or(DecodeError::Value(field))?.copy_from_slice(bytes);
        Money::from_hundredths(i64::from_be_bytes(wide)).ok_or(DecodeError::Value(field))
    }

    fn items(&mut self) -> Result<Vec<Item>, DecodeError> {
        let mut items = Vec::new();
        loop {
            let mut count = self.long("items")?;
            if count == 0 {
                return Ok(items);
            }
            if count < 0 {
                // A negative count is followed by the block's size in bytes.
                self.long("items")?;
                count = count.checked_neg().ok_or(DecodeError::Value("items"))?;
            }
            for _ in 0..count {
                items.push(Item {
                    sku: self.text("items.sku")?.to_owned(),
                    quantity: i32::try_from(self.long("items.quantity")?)
                        .map_err(|_| DecodeError::Value("items.quantity"))?,
                    unit_price: self.money("items.unit_price")?,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests;
