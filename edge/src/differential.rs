//! Holds the fast path against the full way: whenever the fast path takes a body, the full way takes it too, with the
//! same id and the same bytes. The bodies are made from seeds: the seed of a body makes it again. Tests run this in a
//! number that a build can wait for, benchmarks in millions. Nothing of it is in an edge that serves.

use std::fmt;

use schemas::order::Timestamp;

use crate::{
    check::{Rules, SchemaError},
    fast::{Fast, NotCovered},
    orders::encode_in_full,
};

mod bodies;
mod headers;
mod mutate;
mod random;
mod values;

pub use bodies::{body, ordinary};
pub use headers::headers;
pub use mutate::mutated;
pub use random::Random;

const SCHEMA_ID: u32 = 0x0102_0304;
const RECEIVED_AT: Timestamp = Timestamp(1_700_000_000_123);
/// Bytes of a body that a difference shows.
const MAX_SHOWN: usize = 4096;

/// Both ways by one schema.
pub struct Both {
    /// The full way.
    pub rules: Rules,
    /// The fast path.
    pub fast: Fast,
}

/// Why there are not both ways.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// There is no way at all.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// There is no fast path.
    #[error(transparent)]
    NotCovered(#[from] NotCovered),
}

/// What both ways say of a body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Agreed {
    /// Both take it.
    Fast,
    /// The full way takes it, which the fast path could not tell.
    Full,
    /// The full way refuses it.
    Refused,
}

/// What became of many bodies.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// Bodies that both take.
    pub fast: usize,
    /// Bodies that only the full way takes.
    pub full: usize,
    /// Bodies that are refused.
    pub refused: usize,
}

/// A body on which the ways differ: the fast path is wrong.
#[derive(Debug)]
pub struct Difference {
    /// What makes the body again; see [`body`].
    pub seed: u64,
    /// The body.
    pub body: Vec<u8>,
    /// What the fast path makes of it: the id and the record's value.
    pub fast: (String, Vec<u8>),
    /// What the full way makes of it.
    pub full: Result<(String, Vec<u8>), String>,
}

impl Both {
    /// Compiles a schema for both ways.
    ///
    /// # Errors
    /// When one of them cannot use it.
    pub fn compile(schema: &str) -> Result<Self, Unusable> {
        Ok(Self { rules: Rules::compile(schema)?, fast: Fast::compile(schema)? })
    }

    /// Lets both ways look at a body.
    ///
    /// # Errors
    /// When the fast path takes what the full way refuses, or makes something else of it.
    pub fn compare(&self, seed: u64, body: Vec<u8>) -> Result<Agreed, Box<Difference>> {
        let full = encode_in_full(&self.rules, &body, SCHEMA_ID, RECEIVED_AT);
        let mut value = b"before".to_vec();
        let fast = self.fast.encode(&body, SCHEMA_ID, RECEIVED_AT, &mut value);
        let appended = value.split_off(b"before".len().min(value.len()));
        match (fast, full) {
            (None, full) if appended.is_empty() && value == b"before" => {
                Ok(if full.is_ok() { Agreed::Full } else { Agreed::Refused })
            }
            (Some(id), Ok(full)) if value == b"before" && full == (id.clone(), appended.clone()) => Ok(Agreed::Fast),
            (fast, full) => {
                let fast = (fast.unwrap_or_default(), appended);
                let full = full.map_err(|refusal| refusal.to_string());
                Err(Box::new(Difference { seed, body, fast, full }))
            }
        }
    }

    /// Compares as many bodies, beginning with this seed.
    ///
    /// # Errors
    /// The first difference.
    pub fn run(&self, seed: u64, bodies: usize, make: fn(u64) -> Vec<u8>) -> Result<Tally, Box<Difference>> {
        let mut tally = Tally::default();
        for seed in (seed..).take(bodies) {
            match self.compare(seed, make(seed))? {
                Agreed::Fast => tally.fast += 1,
                Agreed::Full => tally.full += 1,
                Agreed::Refused => tally.refused += 1,
            }
        }
        Ok(tally)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.body.get(..MAX_SHOWN).unwrap_or(&self.body);
        writeln!(f, "seed {}, {} bytes: {}", self.seed, self.body.len(), shown.escape_ascii())?;
        let (id, value) = &self.fast;
        writeln!(f, "the fast path made {id:?}, {}", value.escape_ascii())?;
        match &self.full {
            Ok((id, value)) => write!(f, "the full way made {id:?}, {}", value.escape_ascii()),
            Err(refusal) => write!(f, "the full way refuses it: {refusal}"),
        }
    }
}

#[cfg(test)]
mod tests;
