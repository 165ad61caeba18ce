//! The read-only tables behind a module's `lookup`. Who fills them is not this crate's business.

/// Tables that modules may read.
///
/// The answer must come from memory: the call stands inside a guest's deadline, and no limit stops a blocked host.
pub trait Tables: Send + Sync {
    /// Whether there is a table of this name.
    fn contains(&self, table: &str) -> bool;

    /// The value under a key.
    fn get(&self, table: &str, key: &[u8]) -> Option<Vec<u8>>;
}

/// Every table is there, and there is nothing in it: as in a dry run, which knows no topics.
#[derive(Debug)]
pub(crate) struct EmptyTables;

impl Tables for EmptyTables {
    fn contains(&self, _: &str) -> bool {
        true
    }

    fn get(&self, _: &str, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

/// No tables at all: while a module describes itself.
#[derive(Debug)]
pub(crate) struct NoTables;

impl Tables for NoTables {
    fn contains(&self, _: &str) -> bool {
        false
    }

    fn get(&self, _: &str, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}
