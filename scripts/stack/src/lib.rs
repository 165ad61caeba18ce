//! The real servers as processes: fetches, starts, watches and stops them, for people (`scripts/up`) and for tests alike.
//!
//! A detached supervisor owns the servers of one *stack*: a folder with their data, logs and ports. The command and
//! the library speak to it over a socket in that folder, so that both do the same things by the same code.
//! Not its job: what the servers are used for; topics, tables and connectors are `connectors apply`'s.
//!
//! ```no_run
//! use stack::{Options, Service, Stack};
//! # fn main() -> Result<(), stack::StackError> {
//! let stack = Stack::start(Options::private("/tmp/my-test", [Service::Kafka, Service::Registry]))?;
//! println!("{}", stack.endpoints().kafka);
//! stack.kill(Service::Kafka)?; // started again by the supervisor
//! stack.wait_ready(Service::Kafka, std::time::Duration::from_secs(60))?;
//! # Ok(()) } // dropping it stops every process
//! ```

mod control;
pub mod deploy;
mod endpoints;
mod error;
pub mod http;
pub mod install;
mod launch;
pub mod layout;
pub mod logs;
pub mod machine;
mod options;
pub mod ports;
mod probe;
mod processes;
pub mod progress;
mod restart;
mod servers;
mod service;
mod stack;
mod supervisor;
mod user;

pub use control::{ServiceStatus, State};
pub use endpoints::{Endpoints, PostgresEndpoint};
pub use error::StackError;
pub use options::{Options, PortChoice};
pub use servers::{Identity, KafkaCluster, LOG4J, SecuredKafka, settings};
pub use service::Service;
pub use stack::{DOWN, Stack};
pub use supervisor::supervise;
