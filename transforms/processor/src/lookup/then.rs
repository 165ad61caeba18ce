//! The tables that a dead letter was judged with, for a replay. Compaction keeps the last record of a key only, so a key
//! that was written again since may have had a value then that nobody has any more: a replay soon after is exact, a late
//! one is as near as the topics allow. Which keys that concerns is found out for those that were asked for; of one that
//! was deleted since nothing may be left to find.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use service_kit::kafka::Brokers;
use transform_host::Tables;

use super::follow;
use super::slot::Told;
use super::table::Snapshot;
use crate::pipeline::spec::Lookup;

/// Keys without a value are noted up to so many bytes of them; an ordinary replay asks for a handful.
const MISSED_BYTES: usize = 1 << 20;

/// Who reads the topics of tables, and what it may take.
#[derive(Debug, Clone)]
pub struct Reader {
    /// The brokers, and who we are to them.
    pub brokers: Brokers,
    /// What we are called there.
    pub client_id: String,
    /// The most bytes and keys of a table.
    pub most: (usize, usize),
    /// A topic must be read in this.
    pub time: Duration,
}

/// Tables as they were.
pub struct Then {
    reader: Reader,
    tables: BTreeMap<String, Table>,
    missed: Mutex<Missed>,
}

struct Table {
    lookup: Lookup,
    next: BTreeMap<i32, i64>,
    snapshot: Arc<Snapshot>,
}

/// Keys that had no value, by their table.
#[derive(Default)]
struct Missed {
    keys: BTreeMap<String, BTreeSet<Vec<u8>>>,
    bytes: usize,
}

/// A table of which keys were asked for that have newer records only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The table, as modules call it.
    pub lookup: String,
    /// Its topic.
    pub topic: String,
    /// Partition and offset of the first newer record of each of these keys.
    pub at: Vec<(i32, i64)>,
}

impl Then {
    /// The tables that a dead letter names in its header `orderflow.lookups`. Blocks.
    ///
    /// # Errors
    /// When the header cannot be read, or a topic not in time.
    pub fn read(reader: Reader, header: &str) -> Result<Self, String> {
        let told: Vec<Told> = serde_json::from_str(header).map_err(|error| format!("orderflow.lookups: {error}"))?;
        let mut tables = BTreeMap::new();
        for Told { lookup: name, topic, next } in told {
            let (max_bytes, max_entries) = reader.most;
            let lookup = Lookup { topic, max_bytes, max_entries };
            let snapshot = follow::until(&reader.brokers, &reader.client_id, &lookup, &next, reader.time)?;
            tables.insert(name, Table { lookup, next, snapshot });
        }
        Ok(Self { reader, tables, missed: Mutex::default() })
    }

    /// Of the keys that had no value so far: which of them have records that are newer than the tables, and no older one.
    /// What such a key had then, if anything, cannot be known. Blocks.
    ///
    /// # Errors
    /// When a topic cannot be read in time.
    pub fn moved(&self) -> Result<Vec<Moved>, String> {
        let missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner).keys.clone();
        let mut moved = Vec::new();
        for (name, keys) in missed {
            let Some(Table { lookup, next, .. }) = self.tables.get(&name) else { continue };
            let Reader { brokers, client_id, time, .. } = &self.reader;
            let at = follow::newer(brokers, client_id, lookup, (next, &keys), *time)?;
            if !at.is_empty() {
                moved.push(Moved { lookup: name, topic: lookup.topic.clone(), at });
            }
        }
        Ok(moved)
    }
}

impl Tables for Then {
    fn contains(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    fn get(&self, table: &str, key: &[u8]) -> Option<Vec<u8>> {
        let value = self.tables.get(table)?.snapshot.get(key);
        if value.is_none() {
            self.missed.lock().unwrap_or_else(PoisonError::into_inner).note(table, key);
        }
        value
    }
}

impl Missed {
    fn note(&mut self, table: &str, key: &[u8]) {
        let bytes = self.bytes.saturating_add(key.len());
        if bytes <= MISSED_BYTES && self.keys.entry(table.to_owned()).or_default().insert(key.to_vec()) {
            self.bytes = bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_noted_once_and_no_more_of_them_than_there_is_room_for() {
        let mut missed = Missed::default();
        let long = vec![b'x'; MISSED_BYTES - 2];
        for key in [b"jo".as_slice(), b"jo", &long, b"ann"] {
            missed.note("tiers", key);
        }
        assert_eq!(missed.keys["tiers"], BTreeSet::from([b"jo".to_vec(), long]));
        assert_eq!(missed.bytes, MISSED_BYTES);
    }
}
