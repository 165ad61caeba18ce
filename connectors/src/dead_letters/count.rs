//! How many dead letters wait to be dealt with, for whoever asks again and again: what `dead-letters list` calls open.
//! Each count reads on where the one before ended. Offsets alone would count the markers of transactions, too, and the
//! letters that were dealt with.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};

use rdkafka::Message as _;
use schemas::names::topics::DEAD_LETTER_MARKS;
use serde::Serialize;
use service_kit::kafka::Brokers;

use super::letter::Letter;
use super::{marks, select};
use crate::kafka::KafkaError;
use crate::kafka::record::Record;
use crate::kafka::scan::Scanner;

/// The letters of a topic with which nothing was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Open {
    /// How many.
    pub open: u64,
    /// Not all of the topic was read: there may be more.
    pub at_least: bool,
}

/// By topic.
pub type Counts = BTreeMap<String, Open>;

/// How much one count reads of a topic, and how long it may take for it.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// Offsets; markers of transactions have some, and letters that were dealt with.
    pub records: i64,
    /// So many open letters of a topic are remembered.
    pub kept: usize,
    /// So many letters that were dealt with are remembered.
    pub done: usize,
    /// As much again for the marks.
    pub time: Duration,
}

impl Default for Bound {
    fn default() -> Self {
        Self { records: 1_000_000, kept: 10_000, done: 10_000_000, time: Duration::from_secs(2) }
    }
}

/// What was counted so far, and how far. All calls block.
pub struct Counter {
    scanner: Scanner,
    bound: Bound,
    topics: BTreeMap<String, Seen>,
    /// Topics that only pipelines name.
    pipelines: Vec<String>,
    /// The letters that were dealt with, by [`short`] of their [`marks::key`].
    done: BTreeSet<u64>,
    /// The next mark to be read.
    mark: i64,
}

impl Counter {
    /// Has counted nothing yet. Does not connect yet.
    ///
    /// # Errors
    /// [`KafkaError::Client`] where the client cannot be made.
    pub fn new(servers: &Brokers, bound: Bound) -> Result<Self, KafkaError> {
        let (topics, pipelines, done) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
        Ok(Self { scanner: Scanner::new(servers)?, bound, topics, pipelines, done, mark: 0 })
    }

    /// Counts these as well from now on, which [`select::of_pipelines`] found.
    pub fn also(&mut self, pipelines: &[String]) {
        self.pipelines = pipelines.to_vec();
        let all = select::all_topics(pipelines);
        self.topics.retain(|topic, _| all.contains(topic));
    }

    /// Counts on with the counter of before, or with a new one under the ordinary bounds; answers it for the next time.
    pub(crate) fn go_on(
        known: Option<Self>,
        servers: &Brokers,
        pipelines: &[String],
    ) -> (Option<Self>, Result<Counts, KafkaError>) {
        let mut counter = match known.map_or_else(|| Self::new(servers, Bound::default()), Ok) {
            Ok(counter) => counter,
            Err(err) => return (None, Err(err)),
        };
        counter.also(pipelines);
        let counted = counter.count();
        (Some(counter), counted)
    }

    /// The open letters of all dead-letter topics. After a failure the next count goes on where this one was.
    ///
    /// # Errors
    /// [`KafkaError`]; also where the marks were not read to their end in time, or are too many to be remembered:
    /// without them letters count that nobody waits for.
    pub fn count(&mut self) -> Result<Counts, KafkaError> {
        self.read_marks()?;
        let mut counts = Counts::new();
        for topic in select::all_topics(&self.pipelines) {
            let seen = self.topics.entry(topic.clone()).or_default();
            let told = match seen.read_on(&self.scanner, &topic, &self.done, self.bound) {
                Ok(()) => seen.told(),
                // A pipeline's own that we may not read keeps nobody from counting the others.
                Err(KafkaError::Topic { .. }) if self.pipelines.contains(&topic) => Open { open: 0, at_least: true },
                Err(err) => return Err(err),
            };
            counts.insert(topic, told);
        }
        Ok(counts)
    }

    fn read_marks(&mut self) -> Result<(), KafkaError> {
        if self.scanner.partitions(DEAD_LETTER_MARKS)? == 0 {
            return Ok(());
        }
        let (low, end) = self.scanner.watermarks(DEAD_LETTER_MARKS, 0)?;
        if end < self.mark {
            // It was made anew.
            (self.mark, self.done) = (low, BTreeSet::new());
        }
        let (range, until) = (self.mark.max(low)..end, Instant::now() + self.bound.time);
        let mut more = false;
        let whole = self.scanner.read(DEAD_LETTER_MARKS, 0, range, until, |message| {
            if let Some((key, _)) = marks::of(message) {
                if self.bound.done <= self.done.len() {
                    more = true;
                    return ControlFlow::Break(());
                }
                for seen in self.topics.values_mut() {
                    seen.open.remove(key);
                }
                self.done.insert(short(key));
            }
            self.mark = message.offset() + 1;
            ControlFlow::Continue(())
        })?;
        if more {
            return Err(KafkaError::Many { topic: DEAD_LETTER_MARKS.to_owned(), most: self.bound.done });
        }
        if !whole {
            return Err(KafkaError::Late { topic: DEAD_LETTER_MARKS.to_owned(), partition: 0 });
        }
        self.mark = end;
        Ok(())
    }
}

/// Stands for a key in a set that may become large. That two keys have the same one does not happen: it has 64 bits.
fn short(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// What was read of a topic.
#[derive(Debug, Default)]
struct Seen {
    /// The next offset to be read, by partition.
    next: BTreeMap<i32, i64>,
    /// The open letters by [`marks::key`], and how many copies there are of each.
    open: BTreeMap<String, u64>,
    /// Letters were passed over, since there were too many.
    cut: bool,
    /// It was not read to its end.
    behind: bool,
}

/// A partition, its first offset and its end.
type Place = (i32, i64, i64);

impl Seen {
    fn read_on(
        &mut self,
        scanner: &Scanner,
        topic: &str,
        done: &BTreeSet<u64>,
        bound: Bound,
    ) -> Result<(), KafkaError> {
        let until = Instant::now() + bound.time;
        let partitions = 0..scanner.partitions(topic)?;
        let place = |partition| scanner.watermarks(topic, partition).map(|(low, end)| (partition, low, end));
        let places = partitions.map(place).collect::<Result<Vec<Place>, KafkaError>>()?;
        if places.iter().any(|(partition, _, end)| self.next.get(partition).is_some_and(|next| end < next)) {
            // The topic was made anew.
            *self = Self::default();
        }
        for (partition, range) in self.plan(&places, bound.records) {
            let (mut next, end) = (range.start, range.end);
            let read = scanner.read(topic, partition, range, until, |message| {
                next = message.offset() + 1;
                if let Ok(letter) = Letter::of(Record::of(message)) {
                    let key = marks::key(topic, &letter.of);
                    if !done.contains(&short(&key)) {
                        self.take(key, bound.kept);
                    }
                }
                ControlFlow::Continue(())
            });
            // Also after a failure: nothing is counted twice.
            self.next.insert(partition, if matches!(read, Ok(true)) { end } else { next });
            read?;
        }
        self.behind = places.iter().any(|(partition, _, end)| self.next.get(partition).is_none_or(|next| next < end));
        Ok(())
    }

    /// What is read now: what is new, from its beginning; of a partition that was not read before the newest, as
    /// `dead-letters list` does. Little is read whole, so that a full partition hides no other.
    fn plan(&mut self, places: &[Place], records: i64) -> Vec<(i32, Range<i64>)> {
        let unread = |(partition, low, end): &Place| {
            let from = self.next.get(partition).map_or(*low, |next| *low.max(next));
            (*partition, from.min(*end)..*end)
        };
        let mut plan: Vec<(i32, Range<i64>)> = places.iter().map(unread).collect();
        plan.sort_by_key(|(_, range)| range.end - range.start);
        let (mut left, mut others) = (records, i64::try_from(plan.len()).unwrap_or(i64::MAX));
        for (partition, range) in &mut plan {
            let (partition, size) = (*partition, range.end - range.start);
            let share = size.min(left / others);
            if self.next.contains_key(&partition) {
                range.end = range.start + share;
            } else {
                range.start = range.end - share;
                self.cut |= share < size;
                self.next.insert(partition, range.start);
            }
            (left, others) = (left - share, others - 1);
        }
        plan
    }

    fn take(&mut self, key: String, most: usize) {
        if most <= self.open.len() && !self.open.contains_key(&key) {
            self.cut = true;
        } else {
            *self.open.entry(key).or_default() += 1;
        }
    }

    fn told(&self) -> Open {
        Open { open: self.open.values().sum(), at_least: self.cut || self.behind }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_partition_hides_no_other_and_what_is_new_is_read_from_its_beginning() {
        let mut seen = Seen::default();
        let first = seen.plan(&[(0, 0, 100), (1, 0, 2), (2, 7, 7)], 10);
        assert_eq!(first, [(2, 7..7), (1, 0..2), (0, 92..100)]);
        assert!(seen.told().at_least, "92 letters were passed over");

        let mut seen = Seen { next: BTreeMap::from([(0, 90), (1, 2)]), ..Seen::default() };
        let next = seen.plan(&[(0, 0, 100), (1, 5, 6), (2, 0, 3)], 9);
        assert_eq!(next, [(1, 5..6), (2, 0..3), (0, 90..95)]);
        assert!(!seen.cut, "the rest is for the next count");
    }

    #[test]
    fn a_letter_that_is_open_and_one_too_many_is_no_number_but_the_least() {
        let mut seen = Seen::default();
        for key in ["a", "a", "b"] {
            seen.take(key.to_owned(), 2);
        }
        assert_eq!(seen.told(), Open { open: 3, at_least: false }, "copies count, as in the list");
        seen.take("c".to_owned(), 2);
        assert_eq!(seen.told(), Open { open: 3, at_least: true });
    }
}
