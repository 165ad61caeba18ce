//! The loop and the API against librdkafka's own mock broker: real protocol, injected faults, no server.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, its helpers too"
)]

mod author;
mod branches;
mod cli;
mod connect;
mod group;
mod harness;
mod intake;
mod logs;
mod loop_;
mod members;
mod replay;
mod rest;
mod simulation;
mod steps;
mod swap;
