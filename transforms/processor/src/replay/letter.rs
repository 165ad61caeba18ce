//! A dead letter: fetched by its address, and taken apart into the record as it was received and what was said of it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Context;
use schemas::names::headers as names;
use service_kit::kafka::Brokers;

use super::records::Reading;
use crate::kafka::{Input, Outgoing};
use crate::record::divert::Chain;

/// Where a record lies: `TOPIC/PARTITION/OFFSET`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// A dead letter.
#[derive(Debug, Clone)]
pub struct Letter {
    /// The record as it was received.
    pub input: Input,
    /// What was said of it.
    pub said: Said,
    /// The modules that it went through; `None` on letters of earlier releases.
    pub chain: Option<Chain>,
    /// The tables that they could look up in.
    pub lookups: String,
    /// How often it was sent again already.
    pub replays: u32,
}

/// Why a record is a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The step, in Connect's words.
    pub stage: String,
    /// The kind of failure.
    pub class: String,
    /// In words.
    pub message: String,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.rsplitn(3, '/');
        let (offset, partition, topic) = (parts.next(), parts.next(), parts.next());
        let number = |text: Option<&str>| text.and_then(|text| text.parse::<u32>().ok()?.try_into().ok());
        let offset = offset.and_then(|text| text.parse::<i64>().ok()).filter(|offset| *offset >= 0);
        match (topic.filter(|topic| !topic.is_empty()), number(partition), offset) {
            (Some(topic), Some(partition), Some(offset)) => Ok(Self { topic: topic.to_owned(), partition, offset }),
            _ => Err("write TOPIC/PARTITION/OFFSET, such as orders.dead-letter/3/17".to_owned()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.class, self.stage, self.message)
    }
}

/// Fetches a dead letter, read only: in no group, nothing committed. Blocks.
///
/// # Errors
/// When the broker does not answer, or there is no dead letter of `transforms` at the address.
pub fn fetch(kafka: &Brokers, at: &Address) -> anyhow::Result<Letter> {
    let record = Reading::by_command(kafka).one(at)?;
    Letter::of(record).with_context(|| format!("{at} is no dead letter of transforms"))
}

impl Said {
    /// What a dead letter says that a worker made just now, and that lies nowhere yet.
    ///
    /// # Errors
    /// As [`Letter::of`].
    pub(super) fn of(letter: Outgoing) -> anyhow::Result<Self> {
        let Outgoing { topic, key, value, timestamp_ms, headers } = letter;
        Ok(Letter::of(Input { topic, partition: 0, offset: 0, timestamp_ms, key, value, headers })?.said)
    }
}

impl Letter {
    /// Takes a record of a dead-letter topic apart.
    ///
    /// # Errors
    /// When it does not say where it comes from.
    pub fn of(mut record: Input) -> anyhow::Result<Self> {
        let text = |name: &str| record.header(name).map(str::to_owned);
        let need = |name: &str| text(name).with_context(|| format!("it has no header {name}"));
        let number = |name: &str| -> anyhow::Result<i64> {
            let value = need(name)?;
            value.parse().with_context(|| format!("its header {name} is {value:?}"))
        };
        let topic = need(names::ERROR_TOPIC)?;
        let partition = i32::try_from(number(names::ERROR_PARTITION)?).context("its partition is no partition")?;
        let offset = number(names::ERROR_OFFSET)?;
        let said = Said {
            stage: need(names::ERROR_STAGE)?,
            class: need(names::ERROR_CLASS)?,
            message: need(names::ERROR_MESSAGE)?,
        };
        let chain = text(names::CHAIN).map(|text| serde_json::from_str(&text)).transpose();
        let chain = chain.with_context(|| format!("its header {} cannot be read", names::CHAIN))?;
        let lookups = text(names::LOOKUPS).unwrap_or_else(|| "[]".to_owned());
        let replays = text(names::REPLAYS).and_then(|count| count.parse().ok()).unwrap_or(0);
        // Ours stand behind what came with the record, beginning with the topic; the record's own may have such names, too.
        let own = record.headers.iter().rposition(|(name, _)| name == names::ERROR_TOPIC.as_bytes());
        record.headers.truncate(own.unwrap_or(0));
        let input = Input { topic: Arc::from(topic), partition, offset, ..record };
        Ok(Self { input, said, chain, lookups, replays })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::divert::{self, Link, Module, Reason, Stage};

    #[test]
    fn an_address_is_a_topic_a_partition_and_an_offset() {
        let address: Address = "a/b.c/3/17".parse().unwrap();
        assert_eq!((address.topic.as_str(), address.partition, address.offset), ("a/b.c", 3, 17));
        assert_eq!(address.to_string(), "a/b.c/3/17");
        for wrong in
            ["", "/", "orders", "orders/3", "/3/17", "orders/-3/17", "orders/3/-17", "orders/x/17", "orders/3/"]
        {
            let error = wrong.parse::<Address>().unwrap_err();
            assert!(error.contains("orders.dead-letter/3/17"), "{wrong}: {error}");
        }
    }

    #[test]
    fn what_a_worker_writes_as_a_dead_letter_becomes_the_record_again() {
        let header = |name: &str, value: &str| (name.as_bytes().to_vec(), Some(value.as_bytes().to_vec()));
        let input = Input {
            topic: Arc::from("orders.received"),
            partition: 3,
            offset: 41,
            timestamp_ms: Some(5),
            key: Some(b"o-1".to_vec()),
            value: Some(vec![0, 1]),
            // Somebody wrote a dead letter's headers into the input topic.
            headers: vec![
                header(names::ERROR_TOPIC, "forged"),
                header(names::REPLAYS, "2"),
                header("traceparent", "t"),
            ],
        };
        let module =
            Module { label: "m@1.0.0+sha256:0".to_owned(), parameters: "{}".to_owned(), lookups: "[1]".to_owned() };
        let reason = Reason { module: Some(module), ..Reason::new(Stage::Transformation, "orderflow.Rejected", "no") };
        let link = Link { module: "m@1.0.0+sha256:0".to_owned(), parameters: [("a".into(), "b".into())].into() };
        let chain = Chain { pipeline: "p".to_owned(), schema: 7, steps: vec![link] };
        let letter = divert::dead_letter(&input, &Arc::from("dead"), &reason, &chain);
        let (key, value, headers, timestamp_ms) = (letter.key, letter.value, letter.headers, letter.timestamp_ms);
        let lying = Input { topic: letter.topic, partition: 0, offset: 9, timestamp_ms, key, value, headers };
        let read = Letter::of(lying.clone()).unwrap();
        assert_eq!(read.input, input);
        assert_eq!(read.said.to_string(), "orderflow.Rejected (TRANSFORMATION): no");
        assert_eq!((read.chain, read.lookups.as_str(), read.replays), (Some(chain), "[1]", 2));
        let error = Letter::of(Input { headers: Vec::new(), ..lying }).unwrap_err().to_string();
        assert_eq!(error, "it has no header __connect.errors.topic");
    }
}
