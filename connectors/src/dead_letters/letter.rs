//! A dead letter: the record as it was, where it came from, and what was said of it.

use schemas::names::headers as names;
use serde::Serialize;
use serde_json::Value;

use crate::kafka::record::{Address, Record, header, received};

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Where it lies.
    pub at: Address,
    /// Where the record came from: the letter's identity.
    pub of: Address,
    /// What was said of it.
    pub said: Said,
    /// The modules that it went through, as far as they are known, and the pipeline.
    pub chain: Chain,
    /// How often it was sent again already.
    pub replays: u32,
    /// The record, with the headers that it had before it became a dead letter.
    pub record: Record,
}

/// Why a record is a dead letter.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Said {
    /// The step, in Connect's words.
    pub stage: String,
    /// The kind of failure.
    pub class: String,
    /// In words.
    pub message: String,
    /// The module that rejected it, if it was one: `name@version+sha256:<first 12 digits>`.
    pub module: Option<String>,
}

/// What `transforms` says beside.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Chain {
    /// The pipeline.
    pub pipeline: Option<String>,
    /// The modules that it went through, in order.
    pub modules: Vec<String>,
    /// The parameters of the one that rejected it, as JSON.
    pub parameters: Option<String>,
}

impl Letter {
    /// Takes a record of a dead-letter topic apart.
    ///
    /// # Errors
    /// In words, where it does not say where it comes from.
    pub fn of(mut record: Record) -> Result<Self, String> {
        let text = |name: &str| record.header(name).map(str::to_owned);
        let need = |name: &str| text(name).ok_or_else(|| format!("{} has no header {name}", record.at));
        let number = |name: &str| {
            let value = need(name)?;
            value.parse::<i64>().map_err(|_| format!("{}: header {name} is no number", record.at))
        };
        let partition = i32::try_from(number(names::ERROR_PARTITION)?)
            .map_err(|_| format!("{}: header {} is no partition", record.at, names::ERROR_PARTITION))?;
        let of = Address::new(&need(names::ERROR_TOPIC)?, partition, number(names::ERROR_OFFSET)?);
        let said = Said {
            stage: text(names::ERROR_STAGE).unwrap_or_default(),
            class: text(names::ERROR_CLASS).unwrap_or_default(),
            message: text(names::ERROR_MESSAGE).unwrap_or_default(),
            module: text(names::MODULE),
        };
        let chain = chain(text(names::CHAIN).as_deref(), text(names::PARAMETERS));
        let replays = text(names::REPLAYS).and_then(|count| count.parse().ok()).unwrap_or(0);
        // What was added stands behind what came with the record, beginning with the topic; the record's own may have
        // such names, too.
        let own = record.headers.iter().rposition(|(name, _)| name == names::ERROR_TOPIC.as_bytes());
        record.headers.truncate(own.unwrap_or(0));
        Ok(Self { at: record.at.clone(), of, said, chain, replays, record })
    }

    /// The order's id.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        std::str::from_utf8(self.record.key.as_deref()?).ok()
    }

    /// Partition and offset where it was received, for a letter from there.
    #[must_use]
    pub fn received(&self) -> (i32, i64) {
        received(&self.record.headers, self.of.partition, self.of.offset)
    }

    /// The text of a header that the record had before.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.record.headers, name)
    }
}

fn chain(text: Option<&str>, parameters: Option<String>) -> Chain {
    let told: Value = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let pipeline = told.get("pipeline").and_then(Value::as_str).map(str::to_owned);
    let steps = told.get("steps").and_then(Value::as_array).into_iter().flatten();
    let modules = steps.filter_map(|step| step.get("module")?.as_str()).map(str::to_owned).collect();
    Chain { pipeline, modules, parameters }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn pair(name: &str, value: &str) -> (Vec<u8>, Option<Vec<u8>>) {
        (name.as_bytes().to_vec(), Some(value.as_bytes().to_vec()))
    }

    #[test]
    fn a_letter_becomes_the_record_again_with_the_headers_that_it_had() {
        let headers = vec![
            pair(names::ERROR_TOPIC, "forged"),
            pair(names::REPLAYS, "2"),
            pair(names::ERROR_TOPIC, "orders.received"),
            pair(names::ERROR_PARTITION, "3"),
            pair(names::ERROR_OFFSET, "41"),
            pair(names::ERROR_STAGE, "TRANSFORMATION"),
            pair(names::ERROR_CLASS, "orderflow.Rejected"),
            pair(names::ERROR_MESSAGE, "no"),
            pair(names::MODULE, "m@1.0.0+sha256:0"),
            pair(
                names::CHAIN,
                r#"{"pipeline":"p","schema":7,"steps":[{"module":"m@1.0.0+sha256:0","parameters":{}}]}"#,
            ),
        ];
        let at = Address::new("orders.dead-letter", 3, 9);
        let record = Record { at: at.clone(), timestamp_ms: None, key: Some(b"o".to_vec()), value: None, headers };
        let letter = Letter::of(record.clone()).unwrap();
        assert_eq!((letter.at, letter.of), (at, Address::new("orders.received", 3, 41)));
        assert_eq!(
            (letter.said.class.as_str(), letter.said.module.as_deref()),
            ("orderflow.Rejected", Some("m@1.0.0+sha256:0"))
        );
        assert_eq!((letter.chain.pipeline.as_deref(), letter.chain.modules.len(), letter.replays), (Some("p"), 1, 2));
        assert_eq!(letter.record.headers, record.headers[..2]);
        let err = Letter::of(Record { headers: Vec::new(), ..record }).unwrap_err();
        assert!(err.contains("orders.dead-letter/3/9") && err.contains(names::ERROR_PARTITION), "{err}");
    }
}
