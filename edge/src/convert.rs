//! From an admitted body to the typed order. With the shipped schema this cannot fail (a property test holds that);
//! a user may have loosened the schema, and then what the records or the stores behind them cannot hold is refused here,
//! as a violation.

use std::ops::{Range, RangeInclusive};

use schemas::{Item, Money, Order, OrderId, order::Timestamp};

use crate::{
    check::Violations,
    json::{Json, push_key},
    timestamp,
};

pub(crate) const ORDER: [&str; 9] =
    ["orderId", "amount", "customer", "currency", "items", "email", "country", "channel", "createdAt"];
pub(crate) const ITEM: [&str; 3] = ["sku", "quantity", "unitPrice"];

/// The rule's name when the schema admitted what the records cannot hold.
const RECORD: &str = "record";

// What table, mapping and modules are made for, as the shipped schema says it.
pub(crate) const CUSTOMER: usize = 256;
pub(crate) const CURRENCY: usize = 3;
pub(crate) const EMAIL: usize = 254;
pub(crate) const COUNTRY: usize = 2;
pub(crate) const CHANNEL: usize = 32;
pub(crate) const SKU: usize = 64;
pub(crate) const QUANTITY: RangeInclusive<i32> = 1..=1_000_000;
/// From 2000 to before 2100, in milliseconds.
pub(crate) const TIMES: Range<i64> = 946_684_800_000..4_102_444_800_000;

/// The order in a body that the schema admits.
///
/// # Errors
/// The first field that a record cannot hold.
pub fn order(body: &Json<'_>, received_at: Timestamp) -> Result<Order, Violations> {
    let root = Place { parent: None, key: Key::Root };
    only(body, &root, &ORDER)?;
    Ok(Order {
        order_id: order_id(body, &root)?,
        amount: money(body, &root, "amount")?,
        customer: required(body, &root, "customer", CUSTOMER)?,
        currency: text(body, &root, "currency", CURRENCY)?,
        items: items(body, &root)?,
        email: text(body, &root, "email", EMAIL)?,
        country: text(body, &root, "country", COUNTRY)?,
        channel: text(body, &root, "channel", CHANNEL)?,
        created_at: created_at(body, &root)?.unwrap_or(received_at),
        received_at,
    })
}

/// Where a value stands; written out only for a violation.
struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    key: Key<'a>,
}

enum Key<'a> {
    Root,
    Name(&'a str),
    Index(usize),
}

impl<'a> Place<'a> {
    fn at(&'a self, name: &'a str) -> Self {
        Self { parent: Some(self), key: Key::Name(name) }
    }

    fn pointer(&self) -> String {
        let mut pointer = self.parent.map(Self::pointer).unwrap_or_default();
        match self.key {
            Key::Root => {}
            Key::Name(name) => push_key(&mut pointer, name),
            Key::Index(index) => push_key(&mut pointer, &index.to_string()),
        }
        pointer
    }

    fn refuse(&self, detail: &str) -> Violations {
        Violations::one(self.pointer(), RECORD, detail)
    }
}

/// Nothing is left out in silence: a member that no record has is refused.
fn only(object: &Json<'_>, place: &Place<'_>, known: &[&str]) -> Result<(), Violations> {
    let Json::Object(members) = object else { return Err(place.refuse("a record is made from an object")) };
    match members.iter().find(|(name, _)| !known.contains(&name.as_ref())) {
        Some((name, _)) => Err(place.at(name).refuse("no record has this field")),
        None => Ok(()),
    }
}

fn order_id(object: &Json<'_>, place: &Place<'_>) -> Result<OrderId, Violations> {
    let text = required(object, place, "orderId", OrderId::MAX_LEN)?;
    text.parse().map_err(|error: schemas::order::OrderIdError| place.at("orderId").refuse(&error.to_string()))
}

/// A text that has to be there.
fn required(object: &Json<'_>, place: &Place<'_>, name: &str, max: usize) -> Result<String, Violations> {
    text(object, place, name, max)?.ok_or_else(|| place.at(name).refuse("a record needs it"))
}

/// A text of 1 to `max` characters that may be absent. U+0000 is refused because PostgreSQL cannot store it, a longer
/// text because Elasticsearch indexes no term above 32,766 bytes.
fn text(object: &Json<'_>, place: &Place<'_>, name: &str, max: usize) -> Result<Option<String>, Violations> {
    let refuse = |detail: &str| Err(place.at(name).refuse(detail));
    let text = match object.get(name) {
        None => return Ok(None),
        Some(Json::String(text)) => text,
        Some(_) => return refuse("a record holds a string here"),
    };
    match text.chars().take(max + 1).count() {
        _ if text.contains('\0') => refuse("a record cannot hold U+0000"),
        length if (1..=max).contains(&length) => Ok(Some(text.clone().into_owned())),
        _ => refuse(&format!("a record holds 1 to {max} characters here")),
    }
}

fn money(object: &Json<'_>, place: &Place<'_>, name: &str) -> Result<Money, Violations> {
    let number = match object.get(name) {
        Some(Json::Number(text)) => text.parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| {
        place.at(name).refuse("a record holds a number from 0 to 9999999999999.99 here, exact in two decimals")
    })
}

fn created_at(object: &Json<'_>, place: &Place<'_>) -> Result<Option<Timestamp>, Violations> {
    let Some(text) = text(object, place, "createdAt", timestamp::MAX_TEXT)? else { return Ok(None) };
    let time = timestamp::parse(&text).filter(|time| TIMES.contains(&time.0));
    time.map(Some).ok_or_else(|| place.at("createdAt").refuse("a record holds a time from 2000 to before 2100 here"))
}

fn items(object: &Json<'_>, place: &Place<'_>) -> Result<Vec<Item>, Violations> {
    let place = place.at("items");
    match object.get("items") {
        None => Ok(Vec::new()),
        Some(Json::Array(items)) => items
            .iter()
            .enumerate()
            .map(|(index, item)| {
                let place = Place { parent: Some(&place), key: Key::Index(index) };
                only(item, &place, &ITEM)?;
                Ok(Item {
                    sku: required(item, &place, "sku", SKU)?,
                    quantity: quantity(item, &place)?,
                    unit_price: money(item, &place, "unitPrice")?,
                })
            })
            .collect(),
        Some(_) => Err(place.refuse("a record holds an array here")),
    }
}

/// A whole number; `2.0` and `1e2` are.
fn quantity(item: &Json<'_>, place: &Place<'_>) -> Result<i32, Violations> {
    let number = match item.get("quantity") {
        // Money reads the text exactly and bounded; a whole number has no hundredths.
        Some(Json::Number(text)) => text.parse::<i32>().ok().or_else(|| {
            let hundredths = text.parse::<Money>().ok()?.hundredths();
            (hundredths % 100 == 0).then_some(hundredths / 100)?.try_into().ok()
        }),
        _ => None,
    };
    let number = number.filter(|number| QUANTITY.contains(number));
    number.ok_or_else(|| place.at("quantity").refuse("a record holds a whole number from 1 to 1000000 here"))
}

#[cfg(test)]
mod tests;
