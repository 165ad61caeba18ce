//! What holds for the house as a whole. Lives here because `schemas` is the one room that depends on nothing of ours.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

mod rooms;
mod versions;
