//! The contracts that every room leans on: the typed order, the names of topics and headers, the Avro codec,
//! the registry's framing and a client of the registry.
//!
//! Reads in this order: [`order`], [`codec`], [`framing`], [`resolution`], [`registry`]; [`names`] and [`contracts`] are tables,
//! [`partition`] says where a key lies, [`mark`] which connectors are ours, [`dealt`] what was done with a dead letter,
//! [`fields`] and [`json`] show what a datum says, [`widen`] writes old data as a newer schema.
//! Nothing here knows HTTP requests, Kafka clients or modules.

pub mod codec;
pub mod contracts;
pub mod dealt;
pub mod fields;
pub mod framing;
pub mod json;
pub mod mark;
pub mod money;
pub mod names;
pub mod order;
pub mod partition;
pub mod registry;
pub mod resolution;
pub mod widen;

pub use money::Money;
pub use order::{Item, Order, OrderId};
