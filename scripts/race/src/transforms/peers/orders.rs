//! The records that all read: ordinary ones by the hundred thousand, and a few thousand of which many are tidied, rejected
//! or no orders at all.

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
};
use schemas::{Order, codec, framing, names::topics};

use crate::{direct, orders::Ids};

const PATIENCE: Duration = Duration::from_secs(150);

/// A record's key and value.
pub(super) type Pair = (String, Vec<u8>);

fn record(order: &Order, schema_id: u32) -> Pair {
    let mut value = framing::header(schema_id).to_vec();
    codec::encode(order, &mut value);
    (order.order_id.as_str().to_owned(), value)
}

/// So many ordinary ones.
pub(super) fn ordinary(count: usize, schema_id: u32) -> impl Iterator<Item = anyhow::Result<Pair>> {
    let ids = Ids::default();
    (0..count as u64).map(move |number| anyhow::Ok(record(&direct::order(&ids.id(number))?, schema_id)))
}

/// So many of which every rule has its share.
pub(super) fn odd(count: usize, schema_id: u32) -> impl Iterator<Item = anyhow::Result<Pair>> {
    let ids = Ids::default();
    (0..count).map(move |number| {
        let (key, value) = record(&odd_order(&ids.id(number as u64), number)?, schema_id);
        anyhow::Ok(match number % 101 {
            7 => (key, b"no frame".to_vec()),
            8 => (key, value.get(..value.len() / 2).unwrap_or_default().to_vec()),
            9 => (format!("{key}-other"), value),
            _ => (key, value),
        })
    })
}

/// Each list has a length of its own, so that in time every one of it meets every other.
fn odd_order(id: &str, number: usize) -> anyhow::Result<Order> {
    const CUSTOMERS: [&str; 7] = [
        "  Zoe \u{a0}\u{2003} Berg ",
        "Zoe\tBe\u{1}rg",
        "e\u{301}clair \u{1f600}",
        " \u{85}\u{7} ",
        "\u{feff}a\u{200b}b",
        "o'Hara \"quoted\"",
        "Zoe Berg",
    ];
    const CURRENCIES: [Option<&str>; 6] = [Some("EUR"), Some("usd"), Some("jpy"), Some("chf"), Some("XXZ"), None];
    const EMAILS: [Option<&str>; 5] = [Some(" Jo.Doe@EXAMPLE.Com "), Some("a@b@C"), Some("No At"), Some("x@"), None];
    const COUNTRIES: [Option<&str>; 5] = [Some("de"), Some("US"), Some("AQ"), Some("xx"), None];
    const AMOUNTS: [i64; 8] = [0, 1, 49_99, 50_00, 463_425, 12_345_678_901, 999_999_999_999_999, 75];
    let text = |list: &[Option<&str>]| list.get(number % list.len()).copied().flatten().map(str::to_owned);
    let mut order = direct::order(id)?;
    order.customer = CUSTOMERS.get(number % CUSTOMERS.len()).copied().unwrap_or_default().to_owned();
    (order.currency, order.email, order.country) = (text(&CURRENCIES), text(&EMAILS), text(&COUNTRIES));
    let hundredths = AMOUNTS.get(number % AMOUNTS.len()).copied().unwrap_or_default();
    order.amount = schemas::Money::from_hundredths(hundredths).unwrap_or_default();
    order.channel = (number.is_multiple_of(3)).then(|| "Web_Shop-1".to_owned());
    order.items.truncate(number % 4);
    if let Some(item) = order.items.first_mut().filter(|_| number.is_multiple_of(13)) {
        item.sku = "s\"\\\u{8}\n\u{1f}/\u{e9}\u{1f600}".to_owned();
        item.quantity = 2_147_483_647;
    }
    Ok(order)
}

/// Writes them all. Blocks.
pub(super) fn write(kafka: &str, records: impl Iterator<Item = anyhow::Result<Pair>>) -> anyhow::Result<()> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka).set("linger.ms", "20").set("partitioner", "murmur2_random");
    config.set("queue.buffering.max.messages", "2000000").set("queue.buffering.max.kbytes", "2097151");
    let producer: ThreadedProducer<DefaultProducerContext> = config.create()?;
    for record in records {
        let (key, value) = record?;
        let record = BaseRecord::to(topics::ORDERS_RECEIVED).key(&key).payload(&value);
        producer.send(record).map_err(|(error, _)| error)?;
    }
    Ok(producer.flush(PATIENCE)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_records_are_of_every_kind() {
        let all: Vec<Pair> = odd(2_000, 9).map(Result::unwrap).collect();
        let decoded = |(key, value): &Pair| {
            let (_, datum) = framing::split(value).ok()?;
            codec::decode(datum).ok().filter(|order| order.order_id.as_str() == key)
        };
        let broken = all.iter().filter(|pair| decoded(pair).is_none()).count();
        assert!((1..200).contains(&broken), "{broken} are no orders");
        assert!(all.iter().filter_map(decoded).any(|order| order.items.is_empty()));
    }
}
