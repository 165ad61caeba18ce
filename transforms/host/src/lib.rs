//! Runs transforms: small WebAssembly components that change records, in process, inside limits.
//!
//! Knows records (key, value, headers), Avro schemas as text, and modules. Knows no Kafka, no HTTP and no orders: what
//! to do with a verdict is the processor's business. The way of a batch: [`Engine`] compiles and refuses, [`Module`]
//! is what passed, [`Chain`] is modules with their parameters, [`Chain::apply`] gives one [`Verdict`] a record.
mod limits;

mod bindings;
mod describe;
mod engine;
mod module;

mod chain;
mod outputs;
mod predicate;
mod record;
mod stage;
mod tables;
mod usage;

mod instance;
mod state;

mod datum;
mod schema;

pub mod build;

pub use chain::{Chain, ChainError, ConfigureError, Isolation, Options, Step};
pub use describe::{Description, Parameter, ParameterKind, Payload};
pub use engine::{Engine, EngineError};
pub use limits::Limits;
pub use module::{LoadError, Module, digest};
pub use outputs::NamedOutput;
pub use predicate::{Predicate, TopicPattern, When};
pub use record::{FaultKind, Level, LogLine, Metric, Passed, Record, Rejection, Verdict};
pub use tables::Tables;
pub use transform_frame::WORLD;
pub use usage::Usage;
