//! The loop and the API against librdkafka's own mock broker: real protocol, injected faults, no server.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod author;
mod group;
mod harness;
mod loop_;
mod rest;
