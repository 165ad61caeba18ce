//! A dead letter back into the topic that it came from, with the version that it was received with; not where the same
//! order was received again since, which may be stored by now, nor where the letter was sent again or discarded already.
//!
//! The record and the mark that it was sent are one transaction, under the name that `connectors dead-letters` has for the
//! letters of that topic: each of them shuts out an earlier one, and sees what it did. So nothing is sent twice, and what was
//! cut off is simply done again.

use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use schemas::dealt::{self, Did, Mark};
use schemas::names::headers as names;
use schemas::names::topics::DEAD_LETTER_MARKS;

use super::letter::{Address, Letter};
use super::newer::{Search, Since};
use super::sender::Sender;
use super::{Site, marks};
use crate::kafka::{Input, Outgoing};
use crate::record::divert::add;
use crate::state::facts::now_ms;

/// Writes the record of the letter that lies `at` again, in the name of `by`; gives where it lies now. Blocks.
///
/// # Errors
/// When it was sent again `most` times already, when this letter was dealt with or the order was received again since, or
/// when the broker did not say that it has it.
pub fn again(site: &Site, (at, letter): (&Address, &Letter), most: u32, by: &str) -> anyhow::Result<Address> {
    ensure!(
        letter.replays < most,
        "it was sent again {} times already and came back each time, the limit is {most}; see what is wrong with it first, \
         or raise --max-replays",
        letter.replays
    );
    // From here on nobody else deals with letters of this topic, and what is read stays true.
    let sender = Sender::new(&site.kafka, &dealt::sender(&at.topic))?;
    if let Some(mark) = marks::of(&site.kafka, &dealt::key(&at.topic, &origin(letter)))? {
        bail!("not sent again: {}", marks::words(&mark));
    }
    let mut search = Search::new(&site.kafka, letter);
    match search.committed()? {
        None => {}
        Some(Since::Newer(later)) => bail!(superseded(&later)),
        Some(Since::Copy(copy)) => bail!("not sent again: it was sent again already, as {copy}"),
    }
    sender.begin()?;
    let written = written(&sender, &mut search, (at, letter), by);
    if written.is_err() {
        // The cause is what is told; what an abort that fails leaves open is undone by the next sender.
        let _ = sender.abort();
        return written;
    }
    if let Err(error) = sender.commit() {
        // Open, it would hold back all who read the topic until it has timed out.
        let _ = sender.abort();
        return Err(error).context("whether it was sent again is not known; run it again, it looks first");
    }
    written
}

/// Within the open transaction.
fn written(
    sender: &Sender,
    search: &mut Search<'_>,
    (at, letter): (&Address, &Letter),
    by: &str,
) -> anyhow::Result<Address> {
    let (record, partition) = (record(letter), letter.input.partition);
    let offset = sender.send(&record, partition)?;
    let to = Address { topic: record.topic.to_string(), partition, offset };
    if let Some(later) = search.up_to(offset)? {
        bail!(superseded(&later));
    }
    let mark = Mark {
        did: Did::Replayed,
        letter: at.to_string(),
        of: origin(letter).to_string(),
        at_ms: now_ms(),
        by: by.to_owned(),
        because: None,
        to: Some(to.to_string()),
    };
    let mark = Outgoing {
        topic: Arc::from(DEAD_LETTER_MARKS),
        key: Some(dealt::key(&at.topic, &origin(letter)).into_bytes()),
        value: Some(serde_json::to_vec(&mark)?),
        timestamp_ms: None,
        headers: Vec::new(),
    };
    sender.send(&mark, marks::PARTITION)?;
    Ok(to)
}

/// Where the letter's record lay: its identity.
fn origin(letter: &Letter) -> Address {
    let Input { topic, partition, offset, .. } = &letter.input;
    Address { topic: topic.to_string(), partition: *partition, offset: *offset }
}

fn superseded(later: &Address) -> String {
    format!(
        "not sent again: the order was received again since, at {later}, and the older one would go over it in a store \
         that keeps no versions; `connectors dead-letters discard` closes the letter"
    )
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
