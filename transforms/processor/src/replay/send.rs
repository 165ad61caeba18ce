//! A dead letter back into the topic that it came from, with the version that it was received with; not where the same
//! order was received again since, which may be stored by now.

use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use schemas::names::headers as names;

use super::letter::{Address, Letter};
use super::newer::newer;
use super::{CLIENT, Site};
use crate::kafka::{Input, Outgoing};
use crate::record::divert::add;
use crate::state::write::Writer;

/// Writes the record again; gives where it lies now.
///
/// # Errors
/// When it was sent again `most` times already, when the order was received again since, or when the broker did not say
/// that it has it.
pub async fn again(site: &Site, letter: &Letter, most: u32) -> anyhow::Result<Address> {
    ensure!(
        letter.replays < most,
        "it was sent again {} times already and came back each time, the limit is {most}; see what is wrong with it first, \
         or raise --max-replays",
        letter.replays
    );
    if let Some(later) = tokio::task::block_in_place(|| newer(&site.kafka, letter))? {
        bail!(
            "not sent again: the order was received again since, at {later}, and the older one would go over it in a store \
             that keeps no versions; `connectors dead-letters discard` closes the letter"
        );
    }
    let writer = Writer::new(&site.kafka, CLIENT).context("cannot make a Kafka producer")?;
    let record = record(letter);
    let partition = letter.input.partition;
    let offset = writer.send(&record, partition).await?;
    Ok(Address { topic: record.topic.to_string(), partition, offset })
}

fn record(letter: &Letter) -> Outgoing {
    let Input { topic, key, value, timestamp_ms, .. } = &letter.input;
    let own = [names::REPLAY_OF, names::REPLAYS].map(str::as_bytes);
    let headers = letter.input.headers.iter().filter(|(name, _)| !own.contains(&name.as_slice()));
    let mut headers = headers.cloned().collect();
    let (partition, offset) = letter.input.received();
    add(&mut headers, names::REPLAY_OF, &format!("{partition}/{offset}"));
    add(&mut headers, names::REPLAYS, &(letter.replays + 1).to_string());
    Outgoing { topic: Arc::clone(topic), key: key.clone(), value: value.clone(), timestamp_ms: *timestamp_ms, headers }
}

#[cfg(test)]
mod tests {
    use super::super::letter::Said;
    use super::*;

    #[test]
    fn what_is_sent_again_is_the_record_with_its_first_version_and_one_replay_more() {
        let header = |name: &str, value: &str| (name.as_bytes().to_vec(), Some(value.as_bytes().to_vec()));
        let input = Input {
            topic: Arc::from("orders.received"),
            partition: 3,
            offset: 60,
            timestamp_ms: Some(5),
            key: Some(b"o-1".to_vec()),
            value: Some(vec![0, 1]),
            headers: vec![header(names::REPLAY_OF, "3/41"), header("traceparent", "t"), header(names::REPLAYS, "1")],
        };
        let said = Said { stage: String::new(), class: String::new(), message: String::new() };
        let letter = Letter { input, said, chain: None, lookups: "[]".to_owned(), replays: 1 };
        let again = record(&letter);
        assert_eq!(
            (&*again.topic, again.key, again.value),
            ("orders.received", Some(b"o-1".to_vec()), Some(vec![0, 1]))
        );
        let expected = [header("traceparent", "t"), header(names::REPLAY_OF, "3/41"), header(names::REPLAYS, "2")];
        assert_eq!(again.headers, expected);
    }
}
