//! Whether a peer does what it is measured for: of the same records it makes the same outputs, byte for byte, and the same
//! dead letters for the same reasons.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{bail, ensure};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::{BorrowedMessage, Headers},
};
use schemas::names::{headers, topics};

use super::{Field, Who, orders};
use crate::kafka::PARTITIONS;

const RECORDS: usize = 4_000;
const PATIENCE: Duration = Duration::from_secs(90);
/// The isolation of whoever must not see what is aborted.
const COMMITTED: &str = "read_committed";

/// Where a topic ended, by partition.
type Ends = Vec<i64>;

/// A dead letter's record and its reason, by the place that it comes from.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Made {
    /// Partitions and values by key.
    placed: BTreeMap<Vec<u8>, (i32, Vec<u8>)>,
    /// What the rules refused, and what could not be read.
    refused: BTreeMap<String, Refused>,
}

/// Key, value, and why. What is no order is described in each program's own words, which are left out.
#[derive(Debug, Eq, PartialEq)]
struct Refused {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    stage: String,
    reason: Option<String>,
}

/// Compares all of them; what was compared, for the report.
pub(super) async fn check(field: &Field, all: &[Who]) -> anyhow::Result<Vec<String>> {
    let (kafka, id) = (field.servers.kafka.clone(), field.servers.received_id);
    let to = kafka.clone();
    tokio::task::spawn_blocking(move || orders::write(&to, orders::odd(RECORDS, id))).await??;
    let (mut first, mut notes): (Option<Made>, Vec<String>) = (None, Vec::new());
    for (number, who) in all.iter().enumerate() {
        let before = (ends(&kafka, topics::ORDER_PLACED)?, ends(&kafka, topics::ORDERS_DEAD_LETTER)?);
        let running = field.drain(who, &format!("race-same-{number}"), RECORDS as i64, PATIENCE).await?;
        let made = made(&kafka, &before)?;
        running.end().await?;
        ensure!(made.placed.len() + made.refused.len() == RECORDS, "{} lost records", who.name());
        match &first {
            None => first = Some(made),
            Some(ours) => notes.push(compare(ours, &made, who.name())?),
        }
    }
    Ok(notes)
}

fn compare(ours: &Made, theirs: &Made, name: &str) -> anyhow::Result<String> {
    for (key, value) in &ours.placed {
        let (key, other) = (String::from_utf8_lossy(key), theirs.placed.get(key));
        ensure!(other == Some(value), "{name} makes of {key} {other:?}, ours {value:?}");
    }
    for (place, letter) in &ours.refused {
        let other = theirs.refused.get(place);
        ensure!(other == Some(letter), "{name} refuses {place} as {other:?}, ours as {letter:?}");
    }
    ensure!(ours == theirs, "{name} makes more than ours");
    Ok(format!(
        "compared first: of {RECORDS} records ours and {name} made the same {} outputs, byte for byte and in the same partitions, and the same {} \
         dead letters for the same reasons",
        ours.placed.len(),
        ours.refused.len()
    ))
}

/// Everything that came since then, each once.
fn made(kafka: &str, (placed, refused): &(Ends, Ends)) -> anyhow::Result<Made> {
    let mut made = Made::default();
    read(kafka, topics::ORDER_PLACED, placed, |message| {
        let key = message.key().unwrap_or_default().to_vec();
        let value = (message.partition(), message.payload().unwrap_or_default().to_vec());
        let twice = made.placed.insert(key, value);
        ensure!(twice.is_none(), "an output came twice");
        Ok(())
    })?;
    read(kafka, topics::ORDERS_DEAD_LETTER, refused, |message| {
        let of = |name: &str| {
            let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
            let value = headers.filter(|header| header.key == name).filter_map(|header| header.value).last();
            String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
        };
        let place = [headers::ERROR_TOPIC, headers::ERROR_PARTITION, headers::ERROR_OFFSET].map(of).join("/");
        let stage = of(headers::ERROR_STAGE);
        let reason = (stage == "TRANSFORMATION").then(|| of(headers::ERROR_MESSAGE));
        let (key, value) = (message.key().map(<[u8]>::to_vec), message.payload().map(<[u8]>::to_vec));
        let twice = made.refused.insert(place, Refused { key, value, stage, reason });
        ensure!(twice.is_none(), "a dead letter came twice");
        Ok(())
    })?;
    Ok(made)
}

fn consumer(kafka: &str, isolation: &str) -> anyhow::Result<BaseConsumer> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka).set("group.id", "race-read").set("enable.auto.commit", "false");
    config.set("isolation.level", isolation).set("enable.partition.eof", "true");
    Ok(config.create()?)
}

/// Where a topic ends now.
pub(super) fn ends(kafka: &str, topic: &str) -> anyhow::Result<Ends> {
    ends_of(&consumer(kafka, COMMITTED)?, topic)
}

fn ends_of(consumer: &BaseConsumer, topic: &str) -> anyhow::Result<Ends> {
    (0..PARTITIONS).map(|partition| Ok(consumer.fetch_watermarks(topic, partition, PATIENCE)?.1)).collect()
}

/// Waits until no transaction is open in a topic. A group's offsets are there when a transaction is committed, and its
/// records can be read only when their partition has its marker, which comes later.
fn settle(kafka: &str, topic: &str) -> anyhow::Result<()> {
    let (committed, all, begun) = (consumer(kafka, COMMITTED)?, consumer(kafka, "read_uncommitted")?, Instant::now());
    while ends_of(&committed, topic)? != ends_of(&all, topic)? {
        ensure!(begun.elapsed() < PATIENCE, "a transaction in {topic} is open for {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Gives every committed record since then to `each`; how many they were.
pub(super) fn read(
    kafka: &str,
    topic: &str,
    since: &[i64],
    mut each: impl FnMut(&BorrowedMessage<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<usize> {
    settle(kafka, topic)?;
    let (consumer, mut all) = (consumer(kafka, COMMITTED)?, TopicPartitionList::new());
    for (partition, begin) in (0..).zip(since) {
        all.add_partition_offset(topic, partition, Offset::Offset(*begin))?;
    }
    consumer.assign(&all)?;
    let (mut seen, mut ended, until) = (0, 0, Instant::now() + PATIENCE);
    while ended < PARTITIONS {
        ensure!(Instant::now() < until, "{topic} was not read in {PATIENCE:?}");
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            Some(Ok(message)) => {
                each(&message)?;
                seen += 1;
            }
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(error)) => bail!("{topic} cannot be read back: {error}"),
        }
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(customer: &[u8], reason: &str) -> Made {
        let (stage, reason) = ("TRANSFORMATION".to_owned(), Some(reason.to_owned()));
        let letter = Refused { key: None, value: None, stage, reason };
        Made {
            placed: BTreeMap::from([(b"a".to_vec(), (3, customer.to_vec()))]),
            refused: BTreeMap::from([("t/0/1".to_owned(), letter)]),
        }
    }

    #[test]
    fn a_peer_that_makes_something_else_is_found() {
        let ours = made(b"x", "no");
        compare(&ours, &made(b"x", "no"), "peer").unwrap();
        let fault = compare(&ours, &made(b"y", "no"), "peer").unwrap_err().to_string();
        assert!(fault.contains("peer makes of a"), "{fault}");
        let fault = compare(&ours, &made(b"x", "other"), "peer").unwrap_err().to_string();
        assert!(fault.contains("peer refuses t/0/1"), "{fault}");
        let mut more = made(b"x", "no");
        more.placed.insert(b"b".to_vec(), (0, Vec::new()));
        assert!(compare(&ours, &more, "peer").unwrap_err().to_string().contains("more"));
    }
}
