//! Orders that stand in the corners of the contract: the least and the most that each field can be, absent and present,
//! and what modules are for (white space, case, unknown codes, sums that do not add up). A new field of the contract gets
//! its corners here; a test says so.

use schemas::order::Timestamp;
use schemas::{Item, Money, Order, OrderId};

const Y2000: i64 = 946_684_800_000;
const Y2024: i64 = 1_704_067_200_000;
const Y2100: i64 = 4_102_444_800_000;
const MAX: i64 = 999_999_999_999_999;

/// A corner: its name, and how it differs from a plain order.
type Corner = (&'static str, fn(&mut Order));

const CORNERS: [Corner; 32] = [
    ("plain", |_| {}),
    ("least", |order| {
        *order =
            Order { currency: None, items: Vec::new(), email: None, country: None, channel: None, ..order.clone() };
    }),
    ("amount-zero", |order| order.amount = money(0)),
    ("amount-one-cent", |order| order.amount = money(1)),
    ("amount-most", |order| order.amount = money(MAX)),
    ("amount-half-even", |order| (order.amount, order.currency) = (money(12_345), text("EUR"))),
    ("customer-one-letter", |order| order.customer = "x".to_owned()),
    ("customer-longest", |order| order.customer = "x".repeat(256)),
    ("customer-spaces", |order| order.customer = " \t John \u{a0}  \u{3000} Doe\r\n".to_owned()),
    ("customer-decomposed", |order| order.customer = "Ju\u{308}rgen A\u{30a}".to_owned()),
    ("customer-control", |order| order.customer = "a\u{1}b\u{7f}c\u{85}".to_owned()),
    ("customer-only-control", |order| order.customer = " \u{7} ".to_owned()),
    ("customer-wide", |order| order.customer = "\u{5e97}\u{1f6d2}\u{200f}\u{5d0}".to_owned()),
    ("currency-lower", |order| order.currency = text("eur")),
    ("currency-none", |order| order.currency = None),
    ("currency-unknown", |order| order.currency = text("ZZZ")),
    ("currency-no-cents", |order| order.currency = text("JPY")),
    ("items-none", |order| order.items.clear()),
    ("items-add-up", |order| (order.amount, order.items) = (money(3_000), items(3, 2, 500))),
    ("items-do-not-add-up", |order| (order.amount, order.items) = (money(1), items(3, 2, 500))),
    ("items-most", |order| order.items = items(500, 1, 1)),
    ("items-largest", |order| order.items = items(2, 1_000_000, MAX)),
    ("items-free", |order| order.items = items(1, 1, 0)),
    ("items-odd-sku", |order| {
        order.items = items(1, 1, 1);
        order.items.iter_mut().for_each(|item| item.sku = "\u{e9} \"\\/\n".to_owned());
    }),
    ("email-none", |order| order.email = None),
    ("email-spaces", |order| order.email = text(" Jo@EXAMPLE.com ")),
    ("email-longest", |order| order.email = text(&format!("{}@{}.example", "a".repeat(64), "b".repeat(181)))),
    ("country-lower", |order| order.country = text("br")),
    ("country-unknown", |order| order.country = text("ZZ")),
    ("channel-longest", |order| order.channel = text(&"Z-".repeat(16))),
    ("created-first", |order| order.created_at = Timestamp(Y2000)),
    ("created-last", |order| (order.created_at, order.received_at) = (Timestamp(Y2100), Timestamp(Y2100))),
];

/// All of them, in this order, with `turn` in their ids.
pub(super) fn orders(turn: usize) -> Vec<(&'static str, Order)> {
    let order = |(name, change): &Corner| {
        let id: OrderId = format!("golden-{name}-{turn}").parse().ok()?;
        let mut order = plain(id);
        change(&mut order);
        Some((*name, order))
    };
    CORNERS.iter().filter_map(order).collect()
}

fn plain(order_id: OrderId) -> Order {
    Order {
        order_id,
        amount: money(9_999),
        customer: "john_doe".to_owned(),
        currency: text("USD"),
        items: items(1, 1, 9_999),
        email: text("john@example.com"),
        country: text("DE"),
        channel: text("web"),
        created_at: Timestamp(Y2024),
        received_at: Timestamp(Y2024 + 1),
    }
}

fn items(count: usize, quantity: i32, unit_price: i64) -> Vec<Item> {
    let item = |at: usize| Item { sku: format!("sku-{at}"), quantity, unit_price: money(unit_price) };
    (0..count).map(item).collect()
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Every amount above is one.
fn money(hundredths: i64) -> Money {
    Money::from_hundredths(hundredths).unwrap_or(Money::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_corner_becomes_an_order_of_its_own_id() {
        let orders = orders(3);
        let ids: BTreeSet<&str> = orders.iter().map(|(_, order)| order.order_id.as_str()).collect();
        assert_eq!((orders.len(), ids.len()), (CORNERS.len(), CORNERS.len()));
    }

    #[test]
    fn every_field_of_the_contract_is_in_a_corner() {
        let schema: serde_json::Value = serde_json::from_str(schemas::contracts::ORDERS_RECEIVED_AVSC).unwrap();
        for field in schema["fields"].as_array().unwrap() {
            let name = field["name"].as_str().unwrap().trim_start_matches("received_");
            let stem = name.split('_').next().unwrap();
            // An id is another in each, and the time of receipt is the server's.
            let told = ["order", "at"].contains(&stem);
            assert!(told || CORNERS.iter().any(|(corner, _)| corner.starts_with(stem)), "{name} has no corner");
        }
    }
}
