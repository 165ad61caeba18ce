//! The edge over real sockets, against librdkafka's mock cluster and a stub of the schema registry, all in this
//! process. What real servers do is tested by `scripts/promise`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper that fails fails its test"
)]

mod batch_trouble;
mod batches;
mod command;
mod drain;
mod faults;
mod orders;
mod refusals;
mod refused_by_kafka;
mod registry_trouble;
mod trouble;
mod world;
