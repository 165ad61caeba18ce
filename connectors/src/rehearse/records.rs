//! The newest records of a sink's topics, as they are, in an order in which each partition's stay in theirs.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::Instant;

use service_kit::kafka::Brokers;

use crate::kafka::KafkaError;
use crate::kafka::record::{Headers, Record};
use crate::kafka::scan::Scanner;

/// The most bytes that are rehearsed with.
const BYTES: usize = 64 * 1024 * 1024;
/// If the newest offsets are markers of transactions, so many times more are looked at.
const GROWTH: i64 = 8;
/// Orders to Camel in a record's headers begin so.
const TO_CAMEL: &str = "camelheader.";
/// The one that only names the document.
const DOCUMENT_ID: &str = "camelheader.indexid";

/// What was taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// In the order of their times, as far as their partitions' order lets them.
    pub(super) records: Vec<Record>,
    /// Headers that were left out.
    pub(super) headers_out: usize,
    /// More were asked for, and would have been too many bytes.
    pub(super) cut: bool,
}

/// The newest `last` records of all partitions of these topics. Blocks, until `until` at most.
///
/// # Errors
/// [`KafkaError`]; also where a partition cannot be read in time.
pub(super) fn newest(brokers: &Brokers, topics: &[String], last: usize, until: Instant) -> Result<Taken, KafkaError> {
    let scanner = Scanner::new(brokers)?;
    let mut spots = Vec::new();
    for topic in topics {
        for partition in 0..scanner.partitions(topic)? {
            let (low, end) = scanner.watermarks(topic, partition)?;
            if low < end {
                spots.push((topic.as_str(), partition, low, end));
            }
        }
    }
    let mut window = 2 * i64::try_from(last).unwrap_or(i64::MAX / 16);
    loop {
        let (mut newest, mut is_whole) = (Newest::new(last), true);
        for (topic, partition, low, end) in &spots {
            let from = (*low).max(end - window);
            is_whole &= from == *low;
            let mut own = VecDeque::new();
            let read = scanner.read(topic, *partition, from..*end, until, |message| {
                if last <= own.len() {
                    own.pop_front();
                }
                own.push_back(Record::of(message));
                ControlFlow::Continue(())
            })?;
            if !read {
                return Err(KafkaError::Late { topic: (*topic).to_owned(), partition: *partition });
            }
            newest.add(own);
        }
        if is_whole || last <= newest.records.len() {
            return Ok(newest.taken());
        }
        window = window.saturating_mul(GROWTH);
    }
}

/// The newest so far.
struct Newest {
    last: usize,
    /// With the time that each counts for.
    records: Vec<(i64, Record)>,
    cut: bool,
}

impl Newest {
    fn new(last: usize) -> Self {
        Self { last, records: Vec::new(), cut: false }
    }

    /// A partition's records, in its order. A time that goes back counts as the one before it: the order must stay.
    fn add(&mut self, partition: impl IntoIterator<Item = Record>) {
        let mut latest = i64::MIN;
        for record in partition {
            latest = latest.max(record.timestamp_ms.unwrap_or(i64::MIN));
            self.records.push((latest, record));
        }
        self.records.sort_by_key(|(time, _)| *time);
        let spare = self.records.len().saturating_sub(self.last);
        self.records.drain(..spare);
        let mut bytes = 0;
        let fits = |(_, record): &&(i64, Record)| {
            bytes += record.bytes();
            bytes <= BYTES
        };
        let fitting = self.records.iter().rev().take_while(fits).count();
        self.cut |= fitting < self.records.len();
        self.records.drain(..self.records.len() - fitting);
    }

    fn taken(self) -> Taken {
        let mut taken = Taken { cut: self.cut, ..Taken::default() };
        for (_, mut record) in self.records {
            let before = record.headers.len();
            record.headers = harmless(record.headers);
            taken.headers_out += before - record.headers.len();
            taken.records.push(record);
        }
        taken
    }
}

/// Without what could send the copy to another index, or make Camel delete: the edited file may have lost the setting
/// that removes such headers.
fn harmless(headers: Headers) -> Headers {
    let is_order = |name: &[u8]| {
        let name = String::from_utf8_lossy(name).to_lowercase();
        name.starts_with(TO_CAMEL) && name != DOCUMENT_ID
    };
    headers.into_iter().filter(|(name, _)| !is_order(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::record::Address;

    fn record(partition: i32, offset: i64, time: i64, bytes: usize) -> Record {
        let at = Address::new("t", partition, offset);
        Record { at, timestamp_ms: Some(time), key: None, value: Some(vec![0; bytes]), headers: Headers::new() }
    }

    fn places(newest: Newest) -> Vec<(i32, i64)> {
        newest.taken().records.iter().map(|record| (record.at.partition, record.at.offset)).collect()
    }

    #[test]
    fn the_newest_of_all_partitions_are_taken_and_each_partition_keeps_its_order() {
        let mut newest = Newest::new(4);
        newest.add([record(0, 0, 10, 1), record(0, 1, 40, 1), record(0, 2, 5, 1)]);
        newest.add([record(1, 7, 20, 1), record(1, 8, 30, 1), record(1, 9, 50, 1)]);
        assert_eq!(places(newest), [(1, 8), (0, 1), (0, 2), (1, 9)]);
    }

    #[test]
    fn too_many_bytes_leave_the_oldest_out_and_say_so() {
        let mut newest = Newest::new(10);
        newest.add((0..3).map(|at| record(0, at, at, BYTES / 2)));
        assert!(newest.cut);
        assert_eq!(places(newest), [(0, 1), (0, 2)]);
    }

    #[test]
    fn orders_to_camel_are_left_out() {
        let headers =
            |names: &[&str]| -> Headers { names.iter().map(|name| (name.as_bytes().to_vec(), None)).collect() };
        let given =
            headers(&["orderflow.modules", "CamelHeader.indexName", "CAMELHEADER.operation", "CamelHeader.indexId"]);
        assert_eq!(harmless(given), headers(&["orderflow.modules", "CamelHeader.indexId"]));
    }
}
