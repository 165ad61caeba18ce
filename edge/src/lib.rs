//! The edge: takes orders over HTTP, checks them, writes them as Avro to Kafka and answers in the delivery report.
//!
//! The files stand in the order in which an order passes them; [`orders`] is the whole way on one page.

pub mod config;

pub mod transport;

pub mod app;

pub mod orders;

pub mod access;

pub mod request_id;

pub mod keys;
pub mod limits;
pub mod reload;

pub mod body;

pub mod json;

pub mod check;

pub mod timestamp;

pub mod convert;

pub mod fast;

pub mod differential;

pub mod schema_id;

pub mod publish;

pub mod receipt;

pub mod batch;

pub mod refusal;

pub mod openapi;

pub mod health;
pub mod metrics;
