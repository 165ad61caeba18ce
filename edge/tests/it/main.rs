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
mod coded;
mod command;
mod drain;
mod encoders;
mod fast_path;
mod faults;
#[path = "../../service-kit/tests/it/frames.rs"]
mod frames;
mod hostile;
mod keys;
mod openapi;
mod orders;
mod refusals;
mod refused_by_kafka;
mod registry_trouble;
mod settings;
mod stuck;
mod tls;
mod trouble;
mod watching;
mod world;
