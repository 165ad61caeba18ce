//! Which letters are meant, and reading them: whole dead-letter topics, each partition under a bound.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Instant;

use schemas::names::topics;

use super::letter::Letter;
use super::marks::{self, Mark, Marks};
use crate::connect::{Settings, ends};
use crate::kafka::KafkaError;
use crate::kafka::record::{Address, Record};
use crate::kafka::scan::Scanner;
use crate::names::STAGES;

/// All dead-letter topics: the house's, and those that [`of_pipelines`] found.
#[must_use]
pub fn all_topics(pipelines: &[String]) -> Vec<String> {
    let sinks = STAGES.iter().map(|stage| stage.letters.to_owned());
    let house = std::iter::once(topics::ORDERS_DEAD_LETTER.to_owned()).chain(sinks);
    house.chain(pipelines.iter().cloned()).collect()
}

/// The topics beside the house's that pipelines with these settings name for their dead letters.
pub fn of_pipelines<'a>(all: impl Iterator<Item = &'a Settings>) -> Vec<String> {
    let house = all_topics(&[]);
    let mut own: Vec<String> = all.filter_map(ends::letters).filter(|topic| !house.contains(topic)).collect();
    own.sort();
    own.dedup();
    own
}

/// Which letters are meant; what is not given means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only of these topics.
    pub topics: Vec<String>,
    /// Topics that only pipelines name for their dead letters. They are read as the house's are.
    pub pipelines: Vec<String>,
    /// Only these.
    pub letters: Vec<Address>,
    /// Only those with this text in class or message, whatever its case.
    pub reason: Option<String>,
    /// Only of this stage.
    pub stage: Option<String>,
    /// Only of modules whose label begins so.
    pub module: Option<String>,
    /// Only of this order.
    pub order: Option<String>,
    /// Only of records that are as new as this.
    pub since_ms: Option<i64>,
}

/// How far is read.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Offsets of each partition, counted from its end.
    pub records: i64,
    /// The whole reading ends here.
    pub until: Instant,
}

/// How far was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Read {
    /// Topics of which older letters were not read, or not to the end, in words.
    pub short: BTreeMap<String, String>,
    /// Records that are no dead letters, by topic.
    pub strange: BTreeMap<String, u64>,
}

impl Filter {
    /// The topics to be read.
    #[must_use]
    pub fn topics(&self) -> Vec<String> {
        let mut wanted: Vec<String> = match (&self.topics, &self.letters) {
            (topics, _) if !topics.is_empty() => topics.clone(),
            (_, letters) if !letters.is_empty() => letters.iter().map(|at| at.topic.clone()).collect(),
            _ => all_topics(&self.pipelines),
        };
        wanted.sort();
        wanted.dedup();
        wanted
    }

    /// Whether nobody asked for this one in particular: a pipeline's own topic that may not be read keeps nobody from the
    /// others.
    fn may_lack(&self, topic: &str) -> bool {
        self.topics.is_empty() && self.letters.is_empty() && self.pipelines.iter().any(|own| own == topic)
    }

    /// Whether this letter is meant.
    #[must_use]
    pub fn takes(&self, letter: &Letter) -> bool {
        let said = &letter.said;
        let holds = |text: &str, part: &str| text.to_lowercase().contains(&part.to_lowercase());
        (self.letters.is_empty() || self.letters.contains(&letter.at))
            && self.reason.as_ref().is_none_or(|part| holds(&said.class, part) || holds(&said.message, part))
            && self.stage.as_ref().is_none_or(|stage| said.stage.eq_ignore_ascii_case(stage))
            && self
                .module
                .as_ref()
                .is_none_or(|start| said.module.as_ref().is_some_and(|label| label.starts_with(start)))
            && self.order.as_ref().is_none_or(|order| letter.key() == Some(order))
            && self.since_ms.is_none_or(|since| letter.record.timestamp_ms.is_some_and(|time| since <= time))
    }
}

/// Gives each letter that is meant to `each`, with what was done with it.
///
/// # Errors
/// [`KafkaError`].
pub fn each(
    scanner: &Scanner,
    filter: &Filter,
    marks: &Marks,
    bounds: Bounds,
    mut each: impl FnMut(Letter, Option<&Mark>) -> ControlFlow<()>,
) -> Result<Read, KafkaError> {
    let mut read = Read::default();
    for topic in filter.topics() {
        let partitions = match scanner.partitions(&topic) {
            Err(err @ KafkaError::Topic { .. }) if filter.may_lack(&topic) => {
                read.short.insert(topic, format!("not at all: {err}"));
                continue;
            }
            partitions => partitions?,
        };
        if partitions == 0 && filter.topics.contains(&topic) {
            // One that was named, and not of ours that is yet to be made.
            return Err(scanner.no_topic(&topic)?);
        }
        for partition in 0..partitions {
            let mine = |at: &&Address| at.topic == topic && at.partition == partition;
            if !filter.letters.is_empty() && !filter.letters.iter().any(|at| mine(&at)) {
                continue;
            }
            let (low, end) = scanner.watermarks(&topic, partition)?;
            let from = match filter.letters.iter().filter(mine).map(|at| at.offset).min() {
                Some(first) => first.max(low),
                None => low.max(end.saturating_sub(bounds.records)),
            };
            if low < from && filter.letters.is_empty() {
                read.short.insert(topic.clone(), format!("only the newest {} of a partition", bounds.records));
            }
            let mut ended = false;
            let whole = scanner.read(&topic, partition, from..end, bounds.until, |message| {
                match Letter::of(Record::of(message)) {
                    Ok(letter) if filter.takes(&letter) => {
                        let mark = marks.get(&marks::key(&letter.at.topic, &letter.of));
                        let flow = each(letter, mark);
                        ended = flow.is_break();
                        return flow;
                    }
                    Ok(_) => {}
                    Err(_) => *read.strange.entry(topic.clone()).or_default() += 1,
                }
                ControlFlow::Continue(())
            })?;
            if ended {
                return Ok(read);
            }
            if !whole {
                read.short.insert(topic.clone(), "not to the end, the time was over".to_owned());
            }
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;

    use super::*;
    use crate::dead_letters::letter::{Chain, Said};

    fn letter(class: &str, stage: &str, module: Option<&str>, timestamp_ms: Option<i64>) -> Letter {
        let said = Said {
            stage: stage.to_owned(),
            class: class.to_owned(),
            message: "amount is below 0".to_owned(),
            module: module.map(str::to_owned),
        };
        let (at, of) = (Address::new("orders.dead-letter", 0, 7), Address::new("orders.received", 0, 3));
        let record =
            Record { at: at.clone(), timestamp_ms, key: Some(b"o".to_vec()), value: None, headers: Vec::new() };
        Letter { at, of, said, chain: Chain::default(), replays: 0, record }
    }

    #[test]
    fn each_filter_takes_its_own_and_all_that_are_given_must_fit() {
        let rejected = letter("orderflow.Rejected", "TRANSFORMATION", Some("clean@1.2.0+sha256:0"), Some(1_000));
        let refused = letter("a.DataException", "VALUE_CONVERTER", None, None);
        let some = |text: &str| Some(text.to_owned());
        let none = Filter::default;
        // Which of the two each takes.
        for (filter, taken) in [
            (none(), [true, true]),
            (Filter { reason: some("rejecTED"), ..none() }, [true, false]),
            (Filter { reason: some("Amount is"), ..none() }, [true, true]),
            (Filter { reason: some("TRANSFORMATION"), ..none() }, [false, false]),
            (Filter { stage: some("value_converter"), ..none() }, [false, true]),
            (Filter { stage: some("value"), ..none() }, [false, false]),
            (Filter { module: some("clean@1"), ..none() }, [true, false]),
            (Filter { module: some("clean@2"), ..none() }, [false, false]),
            (Filter { order: some("o"), ..none() }, [true, true]),
            (Filter { order: some("p"), ..none() }, [false, false]),
            (Filter { since_ms: Some(1_000), ..none() }, [true, false]),
            (Filter { since_ms: Some(1_001), ..none() }, [false, false]),
            (Filter { letters: vec![Address::new("orders.dead-letter", 0, 7)], ..none() }, [true, true]),
            (Filter { letters: vec![Address::new("orders.dead-letter", 0, 8)], ..none() }, [false, false]),
            (Filter { stage: some("TRANSFORMATION"), module: some("enrich"), ..none() }, [false, false]),
        ] {
            assert_eq!([&rejected, &refused].map(|letter| filter.takes(letter)), taken, "{filter:?}");
        }
    }

    #[test]
    fn a_topic_that_is_named_must_be_there_and_one_of_ours_need_not_be_yet() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("orders.dead-letter", 1, 1).unwrap();
        let scanner = Scanner::new(&cluster.bootstrap_servers().into()).unwrap();
        let read = |topics: &[&str]| {
            let filter = Filter { topics: topics.iter().map(|&topic| topic.to_owned()).collect(), ..Filter::default() };
            let bounds = Bounds { records: 10, until: Instant::now() + std::time::Duration::from_secs(10) };
            each(&scanner, &filter, &Marks::default(), bounds, |_, _| ControlFlow::Continue(()))
        };
        assert!(read(&[]).is_ok());
        assert!(read(&["orders.dead-letter"]).is_ok());
        assert!(read(&["orders.dead-lettr"]).unwrap_err().to_string().contains("did you mean orders.dead-letter?"));
    }
}
