//! From an admitted body to the typed order. With the shipped schema this cannot fail (a property test holds that);
//! a user may have loosened the schema, and then what the records cannot hold is refused here, as a violation.

use schemas::{Item, Money, Order, OrderId, order::Timestamp};

use crate::{
    check::Violations,
    json::{Json, push_key},
    timestamp,
};

const ORDER: [&str; 9] =
    ["orderId", "amount", "customer", "currency", "items", "email", "country", "channel", "createdAt"];
const ITEM: [&str; 3] = ["sku", "quantity", "unitPrice"];

/// The rule's name when the schema admitted what the records cannot hold.
const RECORD: &str = "record";

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
        customer: required(body, &root, "customer")?,
        currency: text(body, &root, "currency")?,
        items: items(body, &root)?,
        email: text(body, &root, "email")?,
        country: text(body, &root, "country")?,
        channel: text(body, &root, "channel")?,
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
    let text = required(object, place, "orderId")?;
    text.parse().map_err(|error: schemas::order::OrderIdError| place.at("orderId").refuse(&error.to_string()))
}

/// A text that has to be there.
fn required(object: &Json<'_>, place: &Place<'_>, name: &str) -> Result<String, Violations> {
    text(object, place, name)?.ok_or_else(|| place.at(name).refuse("a record needs it"))
}

/// A text that may be absent. U+0000 is refused because PostgreSQL cannot store it.
fn text(object: &Json<'_>, place: &Place<'_>, name: &str) -> Result<Option<String>, Violations> {
    match object.get(name) {
        None => Ok(None),
        Some(Json::String(text)) if !text.contains('\0') => Ok(Some(text.clone().into_owned())),
        Some(Json::String(_)) => Err(place.at(name).refuse("a record cannot hold U+0000")),
        Some(_) => Err(place.at(name).refuse("a record holds a string here")),
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
    let Some(text) = text(object, place, "createdAt")? else { return Ok(None) };
    let time = timestamp::parse(&text).ok_or_else(|| place.at("createdAt").refuse("a record holds a time here"))?;
    Ok(Some(time))
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
                    sku: required(item, &place, "sku")?,
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
    number.ok_or_else(|| place.at("quantity").refuse("a record holds a whole number of at most 2147483647 here"))
}

#[cfg(test)]
mod tests;
