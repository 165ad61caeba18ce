//! Whether a peer does what it is measured for: it takes and refuses the same bodies as ours, and what it stores of the
//! same orders is the same Avro record under the same schema, where its receipt says.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use schemas::{Order, order::Timestamp, partition};

use super::{super::same, Field, Runner, bodies};
use crate::{
    kafka::{PARTITIONS, Stored},
    load::Client,
    orders::Request,
};

/// What one program made of the bodies.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Made {
    /// By key, without what differs from run to run.
    orders: BTreeMap<String, Order>,
    taken: usize,
    refused: usize,
    /// Ordinary orders, beside the bodies.
    singles: usize,
}

/// Lets a program take all bodies, and ordinary orders before.
pub(super) async fn made(field: &Field, runner: &Runner) -> anyhow::Result<Made> {
    let singles = field.bench.options.singles();
    ordinary(field, runner, singles).await?;
    let (kafka, schema_id) = (&field.bench.kafka, field.servers.received_id);
    let (before, mut client) = (kafka.ends()?, Client::new(runner.address));
    let (mut wrong, mut timeless, mut made) = (Vec::new(), Vec::new(), [0, 0]);
    for (number, body) in bodies::all().enumerate() {
        let id = format!("body-{number:02}");
        let text = body.with_id(&id);
        let status = client.ask(&post(&text), |answer| answer.status).await?;
        let [taken, refused] = &mut made;
        match (body.is_order, status) {
            (true, 202) => *taken += 1,
            (false, 400 | 422) => *refused += 1,
            _ => wrong.push(format!("{status} to {text}")),
        }
        if !body.has_time() {
            timeless.push(id);
        }
    }
    if !wrong.is_empty() {
        bail!("{} answers {}", runner.settings.name, wrong.join("; "));
    }
    let stored = kafka.since(&before)?;
    ensure!(stored.iter().all(|record| record.schema_id == schema_id), "another schema than {schema_id}");
    written_as_ours(&stored)?;
    let mut orders: BTreeMap<String, Order> = stored.into_iter().map(|record| (record.key, record.order)).collect();
    for (key, order) in &mut orders {
        order.received_at = Timestamp(0);
        if timeless.contains(key) {
            order.created_at = Timestamp(0);
        }
    }
    let [taken, refused] = made;
    ensure!(orders.len() == taken, "{} orders are stored, {taken} were accepted", orders.len());
    Ok(Made { orders, taken, refused, singles })
}

/// Each ordinary order lies once where its receipt says, and is what was posted.
async fn ordinary(field: &Field, runner: &Runner, singles: usize) -> anyhow::Result<()> {
    let (kafka, ids) = (&field.bench.kafka, &field.bench.ids);
    let (before, mut client) = (kafka.ends()?, Client::new(runner.address));
    let (mut receipts, mut request) = (BTreeMap::new(), Request::new(ids, 1));
    for _ in 0..singles {
        let bytes = request.numbered(ids.take(1));
        let (status, places) = client.ask(bytes, |answer| (answer.status, same::places(&answer.body))).await?;
        ensure!(status == 202, "{} answers {status} to an ordinary order", runner.settings.name);
        receipts.extend(places.context("an answer without a receipt")?);
    }
    let stored = kafka.since(&before)?;
    written_as_ours(&stored)?;
    let count = same::compare(&receipts, &stored, field.servers.received_id)?;
    ensure!(count == singles, "{count} of {singles} orders are stored");
    Ok(())
}

/// Each record is byte for byte what ours would have written of its order, in the partition that ours would have chosen.
fn written_as_ours(stored: &[Stored]) -> anyhow::Result<()> {
    for Stored { partition, key, order, is_as_ours, .. } in stored {
        ensure!(is_as_ours, "{key} holds {order:?} in other bytes than ours");
        let ours = partition::of(key.as_bytes(), PARTITIONS);
        ensure!(Some(*partition) == ours, "{key} lies in partition {partition}, ours is {ours:?}");
    }
    Ok(())
}

fn post(body: &str) -> Vec<u8> {
    let (path, len) = (edge::orders::PATH, body.len());
    let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n");
    format!("{head}content-length: {len}\r\n\r\n{body}").into_bytes()
}

/// What was compared, for the report.
pub(super) fn compare(ours: &Made, theirs: &Made, name: &str) -> anyhow::Result<String> {
    for (key, order) in &ours.orders {
        let other = theirs.orders.get(key);
        ensure!(other == Some(order), "{name} stores {key} as {other:?}, ours as {order:?}");
    }
    ensure!(ours == theirs, "{name} stores more than ours");
    Ok(format!(
        "compared first: ours and {name} took the same {} bodies, refused the same {}, and stored equal records under the \
         same schema, in the bytes and partitions of ours; {} ordinary orders each lie where their receipts say",
        ours.taken, ours.refused, ours.singles
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::direct;

    fn made(ids: &[&str]) -> Made {
        let orders = ids.iter().map(|id| ((*id).to_owned(), direct::order(id).unwrap())).collect();
        Made { orders, taken: ids.len(), refused: 1, singles: 1 }
    }

    #[test]
    fn other_bytes_or_another_partition_are_found() {
        let key = "order-1".to_owned();
        let (partition, order) = (partition::of(key.as_bytes(), PARTITIONS).unwrap(), direct::order(&key).unwrap());
        let record = Stored { partition, offset: 0, key, schema_id: 1, order, is_as_ours: true };
        written_as_ours(std::slice::from_ref(&record)).unwrap();
        let fault = |record| written_as_ours(&[record]).unwrap_err().to_string();
        assert!(fault(Stored { is_as_ours: false, ..record.clone() }).contains("other bytes"));
        assert!(fault(Stored { partition: partition + 1, ..record }).contains("lies in partition"));
    }

    #[test]
    fn a_peer_that_stores_something_else_is_found() {
        let ours = made(&["a", "b"]);
        compare(&ours, &made(&["a", "b"]), "peer").unwrap();
        assert!(compare(&ours, &made(&["a"]), "peer").is_err());
        assert!(compare(&ours, &made(&["a", "b", "c"]), "peer").is_err());
        let mut theirs = made(&["a", "b"]);
        theirs.orders.get_mut("b").unwrap().customer.push(' ');
        let fault = compare(&ours, &theirs, "peer").unwrap_err().to_string();
        assert!(fault.contains("peer stores b as"), "{fault}");
    }
}
