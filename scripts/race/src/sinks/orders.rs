//! The orders that the sinks drain, numbered: as the processor writes them to `order_placed`, as the row and as the
//! document that come of them, and as the sums that both stores must have afterwards.

use std::ops::Range;

use anyhow::Context;
use connectors::verify::slices::{self, Slices};
use schemas::{Item, Money, Order, codec, fields, framing, order::Timestamp, partition};
use serde_json::{Value, json};

use crate::kafka::PARTITIONS;

/// What the header of a transformed record says; stored as `transformed_by`.
pub(super) const MODULES: &str = "clean@1.0.0+sha256:2f1c9d0a7b3e,enrich@1.0.0+sha256:8e4b6a15cd90";
/// How wide a slice of the sums is: all orders of a partition lie in one or two.
pub(super) const SLICE_MS: i64 = 24 * 3_600_000;
/// The first order's time of receipt.
const BEGIN: i64 = 1_778_051_289_123;
/// What is made of an order in EUR.
const RATE: (i64, i64) = (108, 100);

/// One order of `order_placed`.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    order: Order,
    amount_home: Money,
    item_count: i32,
    items_json: String,
    /// Where it lies in `orders.received`; the offset is its version.
    pub(super) partition: i32,
    version: i64,
}

impl Placed {
    /// The order with this number.
    pub(super) fn new(number: u64) -> anyhow::Result<Self> {
        let money = |hundredths| Money::from_hundredths(hundredths).context("an amount that is none");
        let count = i64::try_from(number).context("an order's number that is none")?;
        // Two lines, of which no two orders in a row have the same.
        let (quantity, first, second) = (1 + count % 3, 1_000 + count * 37 % 9_000, 500 + count * 91 % 4_000);
        let total = quantity * first + second;
        let items = vec![
            Item {
                sku: format!("SKU-{:04}", count % 1_000),
                quantity: i32::try_from(quantity)?,
                unit_price: money(first)?,
            },
            Item { sku: format!("SKU-{:04}", count % 77), quantity: 1, unit_price: money(second)? },
        ];
        let written = |item: &Item| {
            format!(r#"{{"sku":"{}","quantity":{},"unit_price":{}}}"#, item.sku, item.quantity, item.unit_price)
        };
        let items_json = format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(","));
        let id = format!("race-{number:012}");
        let order = Order {
            order_id: id.parse()?,
            amount: money(total)?,
            customer: format!("Zoe Berg {}", count % 5_000),
            currency: Some("EUR".to_owned()),
            items,
            email: Some(format!("zoe.{}@example.com", count % 5_000)),
            country: Some("DE".to_owned()),
            channel: Some("web".to_owned()),
            created_at: Timestamp(BEGIN - 40),
            received_at: Timestamp(BEGIN + count / 10),
        };
        Ok(Self {
            amount_home: money(total * RATE.0 / RATE.1)?,
            item_count: i32::try_from(quantity + 1)?,
            items_json,
            partition: partition::of(id.as_bytes(), PARTITIONS).context("a topic without partitions")?,
            version: count,
            order,
        })
    }

    /// The record's key.
    pub(super) fn key(&self) -> &str {
        self.order.order_id.as_str()
    }

    /// The record's value, framed by the id of `order_placed`'s schema. Its fields begin as those of `orders.received`.
    pub(super) fn value(&self, schema_id: u32) -> Vec<u8> {
        let mut out = framing::header(schema_id).to_vec();
        codec::encode(&self.order, &mut out);
        codec::put_long(&mut out, 1);
        codec::put_money(&mut out, self.amount_home);
        for text in ["USD", "EMEA"] {
            codec::put_optional(&mut out, Some(text.as_bytes()));
        }
        codec::put_long(&mut out, i64::from(self.item_count));
        for text in ["example.com", "mid", &self.items_json] {
            codec::put_optional(&mut out, Some(text.as_bytes()));
        }
        codec::put_long(&mut out, i64::from(self.partition));
        codec::put_long(&mut out, self.version);
        out
    }

    /// The columns of its row as texts, in the order of [`COLUMNS`].
    pub(super) fn row(self) -> anyhow::Result<[Option<String>; COLUMNS.len()]> {
        let time = |at: Timestamp| fields::rfc3339(at.0).context("a time that is none");
        let Order { order_id, amount, customer, currency, email, country, channel, created_at, received_at, .. } =
            self.order;
        Ok([
            Some(order_id.to_string()),
            Some(amount.to_string()),
            Some(customer),
            currency,
            Some(self.items_json),
            email,
            country,
            channel,
            Some(time(created_at)?),
            Some(time(received_at)?),
            Some(self.amount_home.to_string()),
            Some("USD".to_owned()),
            Some("EMEA".to_owned()),
            Some(self.item_count.to_string()),
            Some("example.com".to_owned()),
            Some("mid".to_owned()),
            Some(self.partition.to_string()),
            Some(self.version.to_string()),
            Some(MODULES.to_owned()),
        ])
    }

    /// Its document.
    pub(super) fn document(&self) -> Value {
        let Order {
            order_id, amount, customer, currency, items, email, country, channel, created_at, received_at, ..
        } = &self.order;
        let decimal = |money: Money| money.hundredths() as f64 / 100.0;
        let items: Vec<Value> = items
            .iter()
            .map(|item| json!({ "sku": item.sku, "quantity": item.quantity, "unit_price": decimal(item.unit_price) }))
            .collect();
        json!({
            "order_id": order_id.as_str(), "amount": decimal(*amount), "customer": customer, "currency": currency,
            "items": items, "email": email, "country": country, "channel": channel, "created_at": created_at.0,
            "received_at": received_at.0, "amount_home": decimal(self.amount_home), "home_currency": "USD",
            "region": "EMEA", "item_count": self.item_count, "email_domain": "example.com", "value_band": "mid",
            "received_partition": self.partition, "received_offset": self.version, "transformed_by": MODULES,
        })
    }
}

/// The table's columns with their types, as [`Placed::row`] gives them.
pub(super) const COLUMNS: [(&str, &str); 19] = [
    ("order_id", "text"),
    ("amount", "numeric"),
    ("customer", "text"),
    ("currency", "text"),
    ("items", "jsonb"),
    ("email", "text"),
    ("country", "text"),
    ("channel", "text"),
    ("created_at", "timestamptz"),
    ("received_at", "timestamptz"),
    ("amount_home", "numeric"),
    ("home_currency", "text"),
    ("region", "text"),
    ("item_count", "integer"),
    ("email_domain", "text"),
    ("value_band", "text"),
    ("received_partition", "integer"),
    ("received_offset", "bigint"),
    ("transformed_by", "text"),
];

/// What both stores must say of the orders with these numbers.
pub(super) fn sums(numbers: Range<u64>) -> anyhow::Result<Slices> {
    let mut all = Slices::new();
    for number in numbers {
        let placed = Placed::new(number)?;
        let slot = (placed.partition, slices::number(placed.order.received_at.0, SLICE_MS));
        all.entry(slot).or_default().add(i128::from(placed.order.amount.hundredths()), placed.version);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use schemas::contracts::ORDER_PLACED_AVSC;

    use super::*;

    #[test]
    fn a_record_is_read_by_the_schema_as_the_order_that_it_was_made_of() {
        let placed = Placed::new(7).unwrap();
        let (id, datum) = framing::split(&placed.value(78)).map(|(id, datum)| (id, datum.to_vec())).unwrap();
        let read = fields::Reader::new(ORDER_PLACED_AVSC).unwrap().read(&datum).unwrap();
        let read: BTreeMap<&str, &str> = read.iter().map(|field| (&*field.path, &*field.json)).collect();
        let quoted = |text: &str| format!("{text:?}");
        assert_eq!((id, read["order_id"]), (78, &*quoted(placed.key())));
        assert_eq!((read["received_offset"], read["received_partition"]), ("7", &*placed.partition.to_string()));
        assert_eq!((read["items[1].quantity"], read["item_count"]), ("1", "3"));
        // Of row and document, each written a second time, the same.
        let document = placed.document();
        let row: BTreeMap<&str, Option<String>> =
            COLUMNS.iter().map(|(name, _)| *name).zip(placed.clone().row().unwrap()).collect();
        for name in ["amount", "amount_home", "item_count", "received_offset"] {
            let number = |text: &str| text.parse::<f64>().unwrap();
            let (stored, sent) = (number(row[name].as_deref().unwrap()), document[name].as_f64().unwrap());
            assert_eq!((stored, sent), (number(read[name].trim_matches('"')), stored), "{name}");
        }
        let items: Value = serde_json::from_str(row["items"].as_deref().unwrap()).unwrap();
        assert_eq!(items, document["items"]);
        assert_eq!(quoted(&placed.items_json).len(), read["items_json"].len());
        assert_eq!(document.as_object().unwrap().len(), COLUMNS.len());
    }

    #[test]
    fn the_sums_of_all_partitions_are_those_of_the_orders() {
        let all = sums(0..1_000).unwrap();
        let count: i64 = all.values().map(|sums| sums.count).sum();
        let versions: i128 = all.values().map(|sums| sums.versions).sum();
        assert_eq!((count, versions, all.len()), (1_000, 499_500, 12));
        assert_ne!(all, sums(1..1_001).unwrap(), "one order in place of another shows");
    }
}
