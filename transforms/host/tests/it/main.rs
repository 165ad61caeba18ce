//! The host with real guests: those that it ships, and those that want to break it.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod build;
mod chains;
mod counts;
mod faults;
mod features;
mod guests;
mod hunt;
mod isolation;
mod load;
mod outputs;
mod predicates;
mod rewrite;
mod shipped;
