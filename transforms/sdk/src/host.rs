//! What a transform may ask of the host: a log, counters, tables. Nothing else is there.
//!
//! In a native test the log goes to standard error, counters go nowhere, and tables are those of [`crate::testing`].

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For the author.
    Debug,
    /// For the curious.
    Info,
    /// For the operator, some time.
    Warn,
    /// For the operator, now.
    Error,
}

/// Why a lookup could not be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupError {
    /// The pipeline has no table of this name.
    NoSuchTable,
    /// More keys at once than the host takes; the number is the limit.
    TooManyKeys(u32),
}

impl std::fmt::Display for LookupError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoSuchTable => f.write_str("the pipeline has no table of this name"),
            Self::TooManyKeys(limit) => write!(f, "more than {limit} keys in one lookup"),
        }
    }
}

impl std::error::Error for LookupError {}

/// Says something to the operator.
pub fn log(level: Level, text: &str) {
    imp::log(level, text);
}

/// Adds to a counter of this module; names are `[a-z][a-z0-9_]*`.
pub fn count(name: &str, by: u64) {
    imp::count(name, by);
}

/// Reads from a table that the pipeline names: one answer a key, in order.
pub fn lookup(table: &str, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, LookupError> {
    imp::lookup(table, keys)
}

#[cfg(target_arch = "wasm32")]
mod imp {
    use super::{Level, LookupError};
    use crate::bindings;

    pub(super) fn log(level: Level, text: &str) {
        let level = match level {
            Level::Debug => bindings::Level::Debug,
            Level::Info => bindings::Level::Info,
            Level::Warn => bindings::Level::Warn,
            Level::Error => bindings::Level::Error,
        };
        bindings::log(level, text);
    }

    pub(super) fn count(name: &str, by: u64) {
        bindings::metric(name, by);
    }

    pub(super) fn lookup(table: &str, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, LookupError> {
        bindings::lookup(table, keys).map_err(|error| match error {
            bindings::LookupError::NoSuchTable => LookupError::NoSuchTable,
            bindings::LookupError::TooManyKeys(limit) => LookupError::TooManyKeys(limit),
        })
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod imp {
    use super::{Level, LookupError};

    pub(super) fn log(level: Level, text: &str) {
        eprintln!("{level:?}: {text}");
    }

    pub(super) fn count(_: &str, _: u64) {}

    pub(super) fn lookup(table: &str, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, LookupError> {
        crate::testing::lookup(table, keys).ok_or(LookupError::NoSuchTable)
    }
}
