//! Lookups: read-only tables from compacted topics, for the modules' `lookup`. Read to the end before the first record
//! is judged ([`follow`]), followed from then on, shared by all slots that use the same topic ([`Lookups`]), and the
//! same from the begin to the end of a transaction ([`SlotTables`]); for a replay, as they were ([`Then`]). Keys and
//! values are bytes as they lie in the topic: what they mean is the module's business.

pub mod follow;
mod slot;
pub mod table;
mod then;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use service_kit::Tasks;
use service_kit::kafka::Brokers;

pub use self::slot::{SlotTables, Taken};
use self::table::Snapshot;
pub use self::then::{Moved, Reader, Then};
use crate::pipeline::spec::Lookup;

/// A table that nobody uses is kept so long, for a pipeline that is being changed.
const KEPT: Duration = Duration::from_secs(30);
/// More tables than this are not read at once in one process.
const MAX_TABLES: usize = 64;

/// The tables of this process.
pub struct Lookups {
    brokers: Brokers,
    client_id: String,
    tasks: Tasks,
    open: Mutex<BTreeMap<Lookup, Arc<Followed>>>,
}

/// One table, as far as it has been read.
pub struct Followed {
    /// What is read, and how much of it may be kept.
    pub lookup: Lookup,
    stand: Mutex<Stand>,
    read: AtomicUsize,
    wanted: Mutex<Instant>,
}

/// How far reading is.
enum Stand {
    /// Not yet at the end.
    Loading,
    /// As of the last look.
    There(Arc<Snapshot>),
    /// It cannot be had; why.
    Refused(String),
}

// === impl Lookups ===

impl Lookups {
    /// None read yet.
    #[must_use]
    pub fn new(brokers: Brokers, client_id: String, tasks: Tasks) -> Arc<Self> {
        Arc::new(Self { brokers, client_id, tasks, open: Mutex::default() })
    }

    /// The table; it is being read from now on.
    ///
    /// # Errors
    /// When there are too many.
    pub fn open(self: &Arc<Self>, lookup: &Lookup) -> Result<Arc<Followed>, String> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(followed) = open.get(lookup) {
            followed.is_wanted();
            return Ok(Arc::clone(followed));
        }
        if open.len() >= MAX_TABLES {
            return Err(format!("{MAX_TABLES} lookup tables are open in this process, which is the limit"));
        }
        let followed = Arc::new(Followed::new(lookup.clone()));
        open.insert(lookup.clone(), Arc::clone(&followed));
        let (lookups, table) = (Arc::clone(self), Arc::clone(&followed));
        self.tasks.spawn_blocking(move || {
            follow::follow(&lookups.brokers, &lookups.client_id, &table, &|| lookups.is_over(&table));
        });
        Ok(followed)
    }

    /// Whether nobody needs the table any more; it is closed then.
    fn is_over(&self, table: &Arc<Followed>) -> bool {
        if self.tasks.is_stopping() {
            return true;
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // This map and the thread that asks hold one each.
        let over = Arc::strong_count(table) <= 2 && table.wanted.lock().is_ok_and(|wanted| wanted.elapsed() > KEPT);
        if over {
            open.remove(&table.lookup);
        }
        over
    }
}

// === impl Followed ===

impl Followed {
    pub(crate) fn new(lookup: Lookup) -> Self {
        Self {
            lookup,
            stand: Mutex::new(Stand::Loading),
            read: AtomicUsize::new(0),
            wanted: Mutex::new(Instant::now()),
        }
    }

    fn is_wanted(&self) {
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// What the table is now.
    ///
    /// # Errors
    /// Why there is nothing to look up in.
    pub fn now(&self) -> Result<Arc<Snapshot>, String> {
        match &*self.stand.lock().unwrap_or_else(PoisonError::into_inner) {
            Stand::There(snapshot) => Ok(Arc::clone(snapshot)),
            Stand::Loading => {
                let read = self.read.load(Ordering::Relaxed);
                Err(format!("topic {} is being read, {read} records so far", self.lookup.topic))
            }
            Stand::Refused(reason) => Err(reason.clone()),
        }
    }

    /// Waits until the table can be used, at most so long.
    ///
    /// # Errors
    /// As [`Followed::now`].
    pub async fn ready(&self, time: Duration) -> Result<Arc<Snapshot>, String> {
        let until = Instant::now() + time;
        loop {
            match self.now() {
                Err(_) if Instant::now() < until => tokio::time::sleep(Duration::from_millis(20)).await,
                answer => return answer,
            }
        }
    }

    pub(crate) fn loading(&self, read: usize) {
        self.read.store(read, Ordering::Relaxed);
    }

    pub(crate) fn publish(&self, snapshot: Arc<Snapshot>) {
        *self.stand.lock().unwrap_or_else(PoisonError::into_inner) = Stand::There(snapshot);
    }

    pub(crate) fn refuse(&self, reason: String) {
        tracing::warn!(kafka.topic = self.lookup.topic, reason, "lookup table cannot be had");
        *self.stand.lock().unwrap_or_else(PoisonError::into_inner) = Stand::Refused(reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(topic: &str) -> Lookup {
        Lookup { topic: topic.to_owned(), max_bytes: 1, max_entries: 1 }
    }

    #[test]
    fn a_table_is_kept_while_somebody_has_it_and_for_a_while_after_it_was_asked_for() {
        let lookups = Lookups::new("127.0.0.1:1".into(), "test".to_owned(), Tasks::new());
        // As the thread that reads it holds it.
        let table = Arc::new(Followed::new(lookup("t")));
        lookups.open.lock().unwrap().insert(lookup("t"), Arc::clone(&table));
        let long_ago = Instant::now().checked_sub(KEPT * 2).unwrap();
        assert!(!lookups.is_over(&table), "it was asked for just now");
        *table.wanted.lock().unwrap() = long_ago;
        let slot = Arc::clone(&table);
        assert!(!lookups.is_over(&table), "a slot has it");
        drop(slot);
        drop(lookups.open(&lookup("t")).unwrap());
        assert!(!lookups.is_over(&table), "it was asked for again");
        *table.wanted.lock().unwrap() = long_ago;
        assert!(lookups.is_over(&table) && lookups.open.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn more_tables_than_may_be_are_refused_and_one_that_is_open_is_not_another() {
        let tasks = Tasks::new();
        tasks.stop(); // nothing is read here
        let lookups = Lookups::new("127.0.0.1:1".into(), "test".to_owned(), tasks);
        let open = |number: usize| lookups.open(&lookup(&format!("t-{number}")));
        for number in 0..MAX_TABLES {
            open(number).unwrap();
        }
        assert!(Arc::ptr_eq(&open(7).unwrap(), &open(7).unwrap()));
        assert_eq!(open(MAX_TABLES).err().unwrap(), "64 lookup tables are open in this process, which is the limit");
    }
}
