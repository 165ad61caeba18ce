//! Whether the edge does what it is measured for: each order that was answered 202 lies once in the topic, where its
//! receipt says, and is the order that was posted; and the floor takes the same bodies.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use schemas::Order;
use serde_json::Value;

use super::Bench;
use crate::{
    direct,
    floor::{self, Parse},
    kafka::{SCHEMA_ID, Stored},
    load::Client,
    orders::Request,
};

const SINGLES: usize = 1000;
const BATCHES: usize = 10;
const BATCH: usize = 100;

/// An order's place, as its receipt has it.
pub(super) type Place = (i64, i64);

/// Compares; what was compared, for the report.
pub(super) async fn check(bench: &Bench) -> anyhow::Result<String> {
    let before = bench.kafka.ends()?;
    let edge = bench.edge().await?;
    let mut client = Client::new(edge.address);
    let mut receipts = BTreeMap::new();
    for batch in [1, BATCH] {
        let mut request = Request::new(&bench.ids, batch);
        for _ in 0..if batch == 1 { SINGLES } else { BATCHES } {
            let bytes = request.numbered(bench.ids.take(batch));
            let told = client.ask(bytes, |answer| (answer.accepted(batch), places(&answer.body))).await?;
            let (accepted, places) = told;
            ensure!(accepted == batch, "{accepted} of {batch} orders of a request were accepted");
            receipts.extend(places.context("an answer without a receipt")?);
        }
    }
    let stored = bench.kafka.since(&before)?;
    let count = compare(&receipts, &stored, SCHEMA_ID)?;
    ensure!(count == SINGLES + BATCHES * BATCH, "{count} orders are stored");
    for parse in [Parse::Value, Parse::Typed] {
        check_floor(bench, parse).await?;
    }
    Ok(format!(
        "compared first: {count} orders, {SINGLES} of them single, lie once each where their receipts say and are what \
         was posted; the floors took {SINGLES} of the same bodies each and refused half a body"
    ))
}

/// Ids and places in an answer: one receipt, or one on each line.
pub(super) fn places(body: &[u8]) -> Option<Vec<(String, Place)>> {
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(place).collect()
}

fn place(receipt: &[u8]) -> Option<(String, Place)> {
    let receipt: Value = serde_json::from_slice(receipt).ok()?;
    let number = |name: &str| receipt.get(name)?.as_i64();
    Some((receipt.get("orderId")?.as_str()?.to_owned(), (number("partition")?, number("offset")?)))
}

/// Every receipt has its record and every record its receipt; how many.
pub(super) fn compare(receipts: &BTreeMap<String, Place>, stored: &[Stored], id: u32) -> anyhow::Result<usize> {
    for Stored { partition, offset, key, schema_id, order, .. } in stored {
        let place = receipts.get(key).with_context(|| format!("{key} was stored and not posted"))?;
        ensure!(*place == (i64::from(*partition), *offset), "{key} lies at {partition}/{offset}, not at {place:?}");
        ensure!(*schema_id == id, "{key} has schema {schema_id}");
        let posted = Order { received_at: order.received_at, ..direct::order(key)? };
        ensure!(*order == posted, "{key} is stored as {order:?}, posted was {posted:?}");
    }
    // Places differ from each other, so as many records as receipts are the same ones.
    ensure!(stored.len() == receipts.len(), "{} receipts, {} records", receipts.len(), stored.len());
    Ok(stored.len())
}

async fn check_floor(bench: &Bench, parse: Parse) -> anyhow::Result<()> {
    let (_process, address) = floor::start(&floor::Args { parse, threads: 0, kafka: None })?;
    let (mut client, mut request) = (Client::new(address), Request::new(&bench.ids, 1));
    for _ in 0..SINGLES {
        let status = client.ask(request.numbered(bench.ids.take(1)), |answer| answer.status).await?;
        ensure!(status == 202, "the floor ({parse:?}) answered {status}");
    }
    let half = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n{\"orderId\"";
    let status = client.ask(half, |answer| answer.status).await?;
    ensure!(status == 400, "the floor ({parse:?}) answered {status} to half a body, so it does not parse");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(offset: i64) -> Stored {
        let key = format!("order-{offset}");
        let order = direct::order(&key).unwrap();
        Stored { partition: 1, offset, key, schema_id: SCHEMA_ID, order, is_as_ours: true }
    }

    #[test]
    fn what_is_not_the_same_is_found() {
        let receipts: BTreeMap<_, _> = (0..2).map(|offset| (format!("order-{offset}"), (1, offset))).collect();
        let right = [stored(0), stored(1)];
        assert_eq!(compare(&receipts, &right, SCHEMA_ID).unwrap(), 2);
        let fault = |change: &dyn Fn(&mut Vec<Stored>)| {
            let mut records = right.to_vec();
            change(&mut records);
            compare(&receipts, &records, SCHEMA_ID).unwrap_err().to_string()
        };
        assert!(fault(&|records| drop(records.pop())).contains("2 receipts, 1 records"));
        assert!(fault(&|records| records[1].offset = 7).contains("not at"));
        assert!(fault(&|records| records.push(stored(2))).contains("not posted"));
        assert!(fault(&|records| records[0].schema_id = 1).contains("schema"));
        assert!(fault(&|records| records[0].order.customer.push('x')).contains("is stored as"));
    }

    #[test]
    fn receipts_are_read_from_one_or_many() {
        let one = br#"{"orderId":"a","partition":3,"offset":4}"#;
        assert_eq!(places(one), Some(vec![("a".to_owned(), (3, 4))]));
        assert_eq!(places(&[&one[..], b"\n", one].concat()).unwrap().len(), 2);
        assert_eq!(places(br#"{"orderId":"a","partition":3,"offset":null}"#), None);
    }
}
