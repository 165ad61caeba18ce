//! The table itself: a map in shards, so that a snapshot costs a few hundred counters and a change copies one shard and
//! not the whole. Bounded in bytes and entries. Knows no Kafka.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// Parts of a table; a change after a snapshot copies one of them.
const SHARDS: usize = 256;
/// What an entry takes beside its key and value, about.
const OVERHEAD: usize = 96;

type Shard = HashMap<Box<[u8]>, Arc<[u8]>>;

/// A table as it was at some point. Cheap to clone by its `Arc`.
#[derive(Debug, Clone)]
pub struct Snapshot {
    shards: Vec<Arc<Shard>>,
    hasher: RandomState,
    entries: usize,
    bytes: usize,
    /// For each partition the offset after the last record that is in it.
    pub next: BTreeMap<i32, i64>,
}

/// A table that is being read.
#[derive(Debug)]
pub struct Table {
    now: Snapshot,
    max_bytes: usize,
    max_entries: usize,
}

/// More than a table may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// Too many keys.
    #[error("more than {0} keys; raise max.entries of the lookup, or delete keys from the topic")]
    Entries(usize),
    /// Too many bytes.
    #[error("more than {0} bytes of keys and values; raise max.bytes of the lookup, or delete keys from the topic")]
    Bytes(usize),
}

impl Table {
    /// An empty one that may grow to these.
    #[must_use]
    pub fn new(max_bytes: usize, max_entries: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Arc::default()).collect();
        let now = Snapshot { shards, hasher: RandomState::new(), entries: 0, bytes: 0, next: BTreeMap::new() };
        Self { now, max_bytes, max_entries }
    }

    /// Takes in a record; `None` deletes its key. A record without a key cannot be looked up and is passed over.
    ///
    /// # Errors
    /// When the table would be larger than it may be; it is of no use then.
    pub fn take(
        &mut self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        (partition, offset): (i32, i64),
    ) -> Result<(), Full> {
        let now = &mut self.now;
        now.next.insert(partition, offset + 1);
        let Some(key) = key else { return Ok(()) };
        let at = now.shard_of(key);
        let Some(shard) = now.shards.get_mut(at).map(Arc::make_mut) else { return Ok(()) };
        let old = match value {
            Some(value) => shard.insert(key.into(), value.into()),
            None => shard.remove(key),
        };
        if let Some(old) = old {
            now.entries -= 1;
            now.bytes -= OVERHEAD + key.len() + old.len();
        }
        if let Some(value) = value {
            now.entries += 1;
            now.bytes += OVERHEAD + key.len() + value.len();
        }
        if now.entries > self.max_entries {
            return Err(Full::Entries(self.max_entries));
        }
        if now.bytes > self.max_bytes {
            return Err(Full::Bytes(self.max_bytes));
        }
        Ok(())
    }

    /// Where it has come to in a partition.
    #[must_use]
    pub fn next(&self, partition: i32) -> Option<i64> {
        self.now.next.get(&partition).copied()
    }

    /// As it is now; what is taken in later does not change it.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::new(self.now.clone())
    }
}

impl Snapshot {
    /// The value under a key.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.shards.get(self.shard_of(key))?.get(key).map(|value| value.to_vec())
    }

    /// How many keys it has.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.entries
    }

    fn shard_of(&self, key: &[u8]) -> usize {
        let hash = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64);
        hash.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(table: &mut Table, key: &str, value: Option<&str>, offset: i64) -> Result<(), Full> {
        table.take(Some(key.as_bytes()), value.map(str::as_bytes), (0, offset))
    }

    fn text(snapshot: &Snapshot, key: &str) -> Option<String> {
        snapshot.get(key.as_bytes()).map(|value| String::from_utf8(value).unwrap())
    }

    #[test]
    fn a_snapshot_stays_as_it_was() {
        let mut table = Table::new(1 << 20, 1_000);
        for number in 0..500 {
            take(&mut table, &number.to_string(), Some("old"), number).unwrap();
        }
        let before = table.snapshot();
        take(&mut table, "7", Some("new"), 500).unwrap();
        take(&mut table, "8", None, 501).unwrap();
        take(&mut table, "500", Some("more"), 502).unwrap();
        let after = table.snapshot();
        let seen = |snapshot: &Snapshot| ["7", "8", "9", "500"].map(|key| text(snapshot, key));
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(seen(&before), [some("old"), some("old"), some("old"), None]);
        assert_eq!(seen(&after), [some("new"), None, some("old"), some("more")]);
        assert_eq!((before.entries(), after.entries()), (500, 500));
        assert_eq!((before.next[&0], after.next[&0]), (500, 503));
    }

    #[test]
    fn a_table_counts_what_it_keeps_and_not_what_it_read() {
        let mut table = Table::new(2 * (OVERHEAD + 1 + 3), 2);
        for offset in 0..1_000 {
            take(&mut table, "a", Some("one"), offset).unwrap();
            take(&mut table, "b", Some("two"), offset).unwrap();
            take(&mut table, "b", None, offset).unwrap();
            take(&mut table, "none", None, offset).unwrap();
        }
        take(&mut table, "b", Some("two"), 0).unwrap();
        assert_eq!(take(&mut table, "c", Some(""), 0), Err(Full::Entries(2)));
        let mut table = Table::new(OVERHEAD + 1 + 3, 2);
        take(&mut table, "a", Some("one"), 0).unwrap();
        assert_eq!(take(&mut table, "a", Some("four"), 1), Err(Full::Bytes(OVERHEAD + 4)));
    }

    #[test]
    fn a_record_without_a_key_moves_the_offset_and_nothing_else() {
        let mut table = Table::new(1, 1);
        table.take(None, Some(b"value"), (3, 9)).unwrap();
        assert_eq!((table.snapshot().entries(), table.next(3), table.next(0)), (0, Some(10), None));
    }
}
