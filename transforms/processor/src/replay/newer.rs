//! What became of a letter's order since: whether it was received again, so that the older one must not go over it in a
//! store that keeps no versions, and whether this very version was sent again already.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, ensure};
use rdkafka::message::{BorrowedMessage, Message};
use service_kit::kafka::Brokers;

use super::letter::{Address, Letter};
use super::records::{Reading, each};
use crate::kafka::Input;

/// All that was received since is looked through within this.
const TIME: Duration = Duration::from_secs(60);
/// What comes during a search is little.
const CATCH_UP: Duration = Duration::from_secs(10);

/// What speaks against sending a letter's record again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Since {
    /// A later version of the order lies here.
    Newer(Address),
    /// The same version lies here, behind the letter's own record.
    Copy(Address),
}

/// Looks for that in the partition where the order was received.
pub(super) struct Search<'s> {
    kafka: &'s Brokers,
    input: &'s Input,
    /// All before this was looked at.
    next: i64,
}

impl<'s> Search<'s> {
    /// Has seen nothing yet.
    pub(super) fn new(kafka: &'s Brokers, letter: &'s Letter) -> Self {
        let input = &letter.input;
        Self { kafka, input, next: input.received().1 + 1 }
    }

    /// Looks at all that is committed by now. A later version is told before a copy. Blocks.
    ///
    /// # Errors
    /// When the broker does not answer, or there is more than can be read in a minute.
    pub(super) fn committed(&mut self) -> anyhow::Result<Option<Since>> {
        // Nobody knows which order it is.
        if self.input.key.is_none() {
            return Ok(None);
        }
        let (topic, partition) = (&*self.input.topic, self.input.partition);
        let (consumer, Range { start, end }) = Reading::by_command(self.kafka).open(topic, partition)?;
        let mut found = None;
        let came =
            each(&consumer, (topic, partition), start.max(self.next)..end, TIME, |message| match self.of(message) {
                None => ControlFlow::Continue(()),
                Some(copy @ Since::Copy(_)) => {
                    found = Some(copy);
                    ControlFlow::Continue(())
                }
                Some(newer @ Since::Newer(_)) => {
                    found = Some(newer);
                    ControlFlow::Break(())
                }
            })?;
        if found.is_none() && came < end {
            bail!(
                "{topic}/{partition} was searched for a later version of the order up to offset {came} of {end} in {} s; \
                 `connectors dead-letters replay --time-limit` searches for as long as you say",
                TIME.as_secs()
            );
        }
        self.next = came;
        Ok(found)
    }

    /// Looks for later versions that came since, up to `end`, where the letter's record lies by now: what lies behind that
    /// comes after it on the whole way, and wins by itself. Sees records of open transactions, since one's own would hide
    /// what lies before it. Blocks.
    ///
    /// # Errors
    /// When the broker does not answer in time.
    pub(super) fn up_to(&mut self, end: i64) -> anyhow::Result<Option<Address>> {
        if self.input.key.is_none() || end <= self.next {
            return Ok(None);
        }
        let (topic, partition) = (&*self.input.topic, self.input.partition);
        let consumer = Reading::by_command(self.kafka).of_everything()?;
        let mut newer = None;
        let came = each(&consumer, (topic, partition), self.next..end, CATCH_UP, |message| match self.of(message) {
            Some(Since::Newer(at)) => {
                newer = Some(at);
                ControlFlow::Break(())
            }
            // One's own, of a transaction that was aborted.
            Some(Since::Copy(_)) | None => ControlFlow::Continue(()),
        })?;
        ensure!(
            newer.is_some() || end <= came,
            "{topic}/{partition} was searched for a later version of the order up to offset {came} of {end} in {} s",
            CATCH_UP.as_secs()
        );
        self.next = came;
        Ok(newer)
    }

    fn of(&self, message: &BorrowedMessage<'_>) -> Option<Since> {
        if message.key() != self.input.key.as_deref() {
            return None;
        }
        let Input { topic, offset, .. } = self.input;
        let record = Input::copy(message, Arc::clone(topic));
        let at = Address { topic: topic.to_string(), partition: record.partition, offset: record.offset };
        let (version, found) = (self.input.received().1, record.received().1);
        if version < found {
            return Some(Since::Newer(at));
        }
        (version == found && *offset < record.offset).then_some(Since::Copy(at))
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;
    use rdkafka::message::{Header, OwnedHeaders};
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
    use schemas::names::headers;

    use super::super::letter::Said;
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Writes a record, as one that was first received at this offset where there is one.
    fn write(brokers: &str, key: &str, first: Option<i64>) {
        let producer: ThreadedProducer<DefaultProducerContext> =
            ClientConfig::new().set("bootstrap.servers", brokers).set("linger.ms", "0").create().unwrap();
        let mut headers = OwnedHeaders::new();
        if let Some(first) = first {
            headers = headers.insert(Header { key: headers::REPLAY_OF, value: Some(&format!("0/{first}")) });
        }
        let record = BaseRecord::to("in").key(key).payload("v").partition(0).headers(headers);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(PATIENCE).unwrap();
    }

    /// The letter of what lies at this offset.
    fn letter(key: &str, offset: i64, first: Option<i64>) -> Letter {
        let of = |first| (headers::REPLAY_OF.as_bytes().to_vec(), Some(format!("0/{first}").into_bytes()));
        let input = Input {
            topic: Arc::from("in"),
            partition: 0,
            offset,
            timestamp_ms: None,
            key: Some(key.as_bytes().to_vec()),
            value: Some(b"v".to_vec()),
            headers: first.map(of).into_iter().collect(),
        };
        let said = Said { stage: String::new(), class: String::new(), message: String::new() };
        Letter { input, said, chain: None, lookups: "[]".to_owned(), replays: 0 }
    }

    fn at(offset: i64) -> Address {
        Address { topic: "in".to_owned(), partition: 0, offset }
    }

    #[test]
    fn a_copy_behind_the_letter_and_a_later_version_are_found_also_one_that_comes_during_the_search() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("in", 1, 1).unwrap();
        let (servers, kafka) = (cluster.bootstrap_servers(), Brokers::from(cluster.bootstrap_servers()));
        write(&servers, "o", None);
        write(&servers, "p", None);
        write(&servers, "o", Some(0));
        let found = |letter: &Letter| Search::new(&kafka, letter).committed().unwrap();
        assert_eq!(found(&letter("o", 0, None)), Some(Since::Copy(at(2))));
        assert_eq!(found(&letter("o", 2, Some(0))), None, "the copy came back itself");

        let p = letter("p", 1, None);
        let mut search = Search::new(&kafka, &p);
        assert_eq!(search.committed().unwrap(), None);
        write(&servers, "o", None);
        write(&servers, "p", None);
        assert_eq!(search.up_to(4).unwrap(), None, "what lies behind it wins by itself");
        assert_eq!(search.up_to(5).unwrap(), Some(at(4)));
        assert_eq!(found(&p), Some(Since::Newer(at(4))));
        assert_eq!(found(&letter("o", 0, None)), Some(Since::Newer(at(3))), "sooner than that it was sent again");
    }
}
