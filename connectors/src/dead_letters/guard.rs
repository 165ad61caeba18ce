//! Keeps an older order from going over a newer one: knows which later POSTs of the same orders there are.
//!
//! A search before the sending finds those that are there; while a letter is being sent, what came meanwhile is read, up to
//! the very place where the letter lies. A POST behind that place comes after it on the whole way, and wins.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use rdkafka::Message as _;
use service_kit::kafka::Brokers;

use super::select::Bounds;
use crate::kafka::KafkaError;
use crate::kafka::record::Record;
use crate::kafka::scan::Scanner;

/// What came since the search is little.
const CATCH_UP: Duration = Duration::from_secs(10);

/// A partition where orders are received.
pub type Lane = (String, i32);

/// An order whose later POSTs matter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// Where it was received.
    pub lane: Lane,
    /// Its key.
    pub key: Vec<u8>,
    /// Its version: the offset there.
    pub version: i64,
}

/// Knows later POSTs.
pub struct Guard {
    committed: Scanner,
    everything: Scanner,
    records: i64,
    /// From where on each lane was searched, and up to where.
    searched: BTreeMap<Lane, (i64, i64)>,
    newest: BTreeMap<(Lane, Vec<u8>), i64>,
    copies: BTreeMap<Wanted, i64>,
}

impl Guard {
    /// Has seen nothing yet.
    ///
    /// # Errors
    /// [`KafkaError`].
    pub fn new(brokers: &Brokers) -> Result<Self, KafkaError> {
        Ok(Self {
            committed: Scanner::new(brokers)?,
            everything: Scanner::of_everything(brokers)?,
            records: 0,
            searched: BTreeMap::new(),
            newest: BTreeMap::new(),
            copies: BTreeMap::new(),
        })
    }

    /// Searches for later POSTs of all these orders, each partition once.
    ///
    /// # Errors
    /// [`KafkaError`].
    pub fn search(&mut self, wanted: &[Wanted], bounds: Bounds) -> Result<(), KafkaError> {
        self.records = bounds.records;
        let mut lanes: BTreeMap<&Lane, i64> = BTreeMap::new();
        for one in wanted {
            self.newest.entry((one.lane.clone(), one.key.clone())).or_insert(one.version);
            let first = lanes.entry(&one.lane).or_insert(one.version);
            *first = one.version.min(*first);
        }
        for (lane, first) in lanes {
            if self.committed.partitions(&lane.0)? <= lane.1 {
                continue;
            }
            let (low, end) = self.committed.watermarks(&lane.0, lane.1)?;
            let from = (first + 1).max(end.saturating_sub(bounds.records)).max(low).min(end.max(first + 1));
            let (newest, copies) = (&mut self.newest, &mut self.copies);
            let whole = self.committed.read(&lane.0, lane.1, from..end, bounds.until, |message| {
                let record = Record::of(message);
                let Some(key) = record.key.clone() else { return ControlFlow::Continue(()) };
                let known = (lane.clone(), key);
                if let Some(found) = newest.get_mut(&known) {
                    let (_, version) = record.received();
                    *found = version.max(*found);
                    if version < record.at.offset {
                        copies.insert(Wanted { lane: known.0, key: known.1, version }, record.at.offset);
                    }
                }
                ControlFlow::Continue(())
            })?;
            if whole {
                self.searched.insert(lane.clone(), (from, end.max(from)));
            }
        }
        Ok(())
    }

    /// The version that has replaced this one, if there is one.
    ///
    /// # Errors
    /// In words, where that is not known.
    pub fn newer(&self, wanted: &Wanted) -> Result<Option<i64>, String> {
        let (topic, partition) = &wanted.lane;
        let newest = self.newest.get(&(wanted.lane.clone(), wanted.key.clone())).copied();
        if let Some(newer) = newest.filter(|newest| wanted.version < *newest) {
            return Ok(Some(newer));
        }
        match self.searched.get(&wanted.lane) {
            None => Err(format!("{topic}/{partition} could not be searched for a later POST in time")),
            Some((from, _)) if wanted.version + 1 < *from => Err(format!(
                "{topic}/{partition} was searched for a later POST back to offset {from} only, the newest {} records; \
                 give --records more",
                self.records
            )),
            Some(_) => Ok(None),
        }
    }

    /// Where this version was sent again already, behind `offset`.
    #[must_use]
    pub fn copy(&self, wanted: &Wanted, offset: i64) -> Option<i64> {
        self.copies.get(wanted).copied().filter(|copy| offset < *copy)
    }

    /// Takes in what came since the search, up to `end`; without one, up to what is there now. Sees records of open
    /// transactions, since one's own would hide what lies behind it.
    ///
    /// # Errors
    /// [`KafkaError`].
    pub fn catch_up(&mut self, lane: &Lane, end: Option<i64>) -> Result<(), KafkaError> {
        let Some((_, next)) = self.searched.get_mut(lane) else { return Ok(()) };
        let end = match end {
            Some(end) => end,
            None => self.everything.watermarks(&lane.0, lane.1)?.1,
        };
        let newest = &mut self.newest;
        let whole = self.everything.read(&lane.0, lane.1, *next..end, Instant::now() + CATCH_UP, |message| {
            let known = message.key().map(|key| (lane.clone(), key.to_vec()));
            if let Some(found) = known.and_then(|known| newest.get_mut(&known)) {
                *found = Record::of(message).received().1.max(*found);
            }
            ControlFlow::Continue(())
        })?;
        if !whole {
            return Err(KafkaError::Late { topic: lane.0.clone(), partition: lane.1 });
        }
        *next = end.max(*next);
        Ok(())
    }
}
