//! What one slot looks up in: a snapshot of each table, taken when a transaction begins and kept until the next one
//! does. So a batch that is judged again (to find a poison, after an abort within it) sees the same, and its dead
//! letters can say what that was.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use transform_host::Tables;

use super::Followed;
use super::table::Snapshot;

/// The tables of one slot.
#[derive(Default)]
pub struct SlotTables {
    tables: BTreeMap<String, Arc<Followed>>,
    taken: Mutex<Taken>,
}

/// Tables as they were at a moment, by the names that modules say.
pub type Taken = BTreeMap<String, Arc<Snapshot>>;

/// What a dead letter says of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) lookup: String,
    pub(super) topic: String,
    /// For each partition the offset after the last record that the table had.
    pub(super) next: BTreeMap<i32, i64>,
}

impl SlotTables {
    /// These tables, by the names that modules say.
    #[must_use]
    pub fn new(tables: BTreeMap<String, Arc<Followed>>) -> Arc<Self> {
        Arc::new(Self { tables, taken: Mutex::default() })
    }

    /// A transaction begins: what the tables are now holds for all of it.
    ///
    /// # Errors
    /// Which table is not there, and why. Nothing can be judged then.
    pub fn begin(&self) -> Result<(), String> {
        let now = |(name, table): (&String, &Arc<Followed>)| match table.now() {
            Ok(snapshot) => Ok((name.clone(), snapshot)),
            Err(reason) => Err(format!("{name}: {reason}")),
        };
        let taken = self.tables.iter().map(now).collect::<Result<_, String>>()?;
        self.take(taken);
        Ok(())
    }

    /// What was taken.
    #[must_use]
    pub fn taken(&self) -> Taken {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks up in what others took, from now on.
    pub fn take(&self, taken: Taken) {
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner) = taken;
    }

    /// What was taken, for the header `orderflow.lookups`.
    #[must_use]
    pub fn header(&self) -> String {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let told = taken.iter().filter_map(|(name, snapshot)| {
            let topic = self.tables.get(name)?.lookup.topic.clone();
            Some(Told { lookup: name.clone(), topic, next: snapshot.next.clone() })
        });
        serde_json::to_string(&told.collect::<Vec<_>>()).unwrap_or_default()
    }
}

impl Tables for SlotTables {
    fn contains(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    fn get(&self, table: &str, key: &[u8]) -> Option<Vec<u8>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).get(table)?.get(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookup::table::Table;
    use crate::pipeline::spec::Lookup;

    fn followed() -> Arc<Followed> {
        Arc::new(Followed::new(Lookup { topic: "customer-tiers".to_owned(), max_bytes: 1 << 20, max_entries: 10 }))
    }

    #[test]
    fn what_a_transaction_looks_up_does_not_change_while_it_runs() {
        let followed = followed();
        let tables = SlotTables::new(BTreeMap::from([("tiers".to_owned(), Arc::clone(&followed))]));
        let words = tables.begin().unwrap_err();
        assert_eq!(words, "tiers: topic customer-tiers is being read, 0 records so far");
        let mut table = Table::new(1 << 20, 10);
        table.take(Some(b"jo"), Some(b"gold"), (0, 7)).unwrap();
        followed.publish(table.snapshot());
        tables.begin().unwrap();
        table.take(Some(b"jo"), Some(b"none"), (1, 3)).unwrap();
        followed.publish(table.snapshot());
        assert_eq!(tables.get("tiers", b"jo").as_deref(), Some(&b"gold"[..]), "as it was at the begin");
        assert_eq!(tables.header(), r#"[{"lookup":"tiers","topic":"customer-tiers","next":{"0":8}}]"#);
        tables.begin().unwrap();
        assert_eq!(tables.get("tiers", b"jo").as_deref(), Some(&b"none"[..]));
        assert_eq!(tables.header(), r#"[{"lookup":"tiers","topic":"customer-tiers","next":{"0":8,"1":4}}]"#);
        // Who looks on later, as a candidate beside the live modules does, is given the same.
        let (beside, taken) = (SlotTables::new(BTreeMap::new()), tables.taken());
        table.take(Some(b"jo"), Some(b"later"), (1, 4)).unwrap();
        followed.publish(table.snapshot());
        tables.begin().unwrap();
        beside.take(taken);
        assert_eq!(beside.get("tiers", b"jo").as_deref(), Some(&b"none"[..]));
        followed.refuse("too large".to_owned());
        assert_eq!(tables.begin().unwrap_err(), "tiers: too large");
        assert!(tables.contains("tiers") && !tables.contains("others"));
    }

    #[test]
    fn without_tables_the_header_is_an_empty_list() {
        let tables = SlotTables::default();
        tables.begin().unwrap();
        assert_eq!(tables.header(), "[]");
    }
}
