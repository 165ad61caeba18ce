//! For native tests of a transform: tables to look up in, and records as the host would bring them.
//!
//! ```text
//! let given = testing::Given::key("order-1").found("tiers", "gold");
//! assert_eq!(customer_tier(order.clone(), &config, &given.input()), emit_to("vip", order));
//! ```

use std::{cell::RefCell, collections::BTreeMap};

use transform_frame::{Batch, BatchWriter, RecordParts};

use crate::{Input, verdict::Found};

thread_local! {
    // Each test has a thread of its own, and so its own tables.
    static TABLES: RefCell<BTreeMap<String, Table>> = const { RefCell::new(BTreeMap::new()) };
}

type Table = BTreeMap<Vec<u8>, Vec<u8>>;

/// Gives this thread's tests a table of texts; one of the same name is replaced.
pub fn table(name: &str, entries: &[(&str, &str)]) {
    let bytes = |text: &str| text.as_bytes().to_vec();
    let entries = entries.iter().map(|(key, value)| (bytes(key), bytes(value))).collect();
    TABLES.with_borrow_mut(|tables| tables.insert(name.to_owned(), entries));
}

/// What a lookup answers here.
pub(crate) fn lookup(table: &str, keys: &[Vec<u8>]) -> Option<Vec<Option<Vec<u8>>>> {
    TABLES.with_borrow(|tables| {
        let table = tables.get(table)?;
        Some(keys.iter().map(|key| table.get(key).cloned()).collect())
    })
}

/// What comes with a record's value: the third argument of a transform.
#[derive(Clone, Debug)]
pub struct Given {
    frame: Vec<u8>,
    found: Vec<Found>,
}

impl Given {
    /// A record under this key.
    #[must_use]
    pub fn key(key: &str) -> Self {
        Self::with(key, 0, &[])
    }

    /// A record with everything of its own.
    #[must_use]
    pub fn with(key: &str, timestamp_ms: i64, headers: &[(&str, &str)]) -> Self {
        let mut batch = BatchWriter::with_capacity(64);
        let headers = headers.iter().map(|(name, value)| (*name, Some(value.as_bytes())));
        let written = batch.record(&RecordParts { key: Some(key.as_bytes()), value: &[], timestamp_ms, headers });
        Self { frame: written.map(|()| batch.finish()).unwrap_or_default(), found: Vec::new() }
    }

    /// The table has this text under the record's key in it.
    #[must_use]
    pub fn found(mut self, table: &'static str, value: &str) -> Self {
        self.found.push((table, Some(value.as_bytes().to_vec())));
        self
    }

    /// The argument.
    ///
    /// # Panics
    /// When the key or a header is too long for a frame.
    #[must_use]
    #[expect(clippy::panic, reason = "it runs in tests only")]
    pub fn input(&self) -> Input<'_> {
        match Batch::parse(&self.frame).map(|batch| batch.records().next()) {
            Ok(Some(Ok(record))) => Input::new(record, &self.found),
            other => panic!("this record fits into no frame: {other:?}"),
        }
    }
}
