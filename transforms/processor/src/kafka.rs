//! Everything that speaks Kafka for a slot: the client settings, the session (one consumer with one transactional
//! producer), where a partition starts, and what to do with each failure. Knows bytes, not records' meaning.

pub mod client;
mod cluster;
mod consumer_context;
pub mod fault;
mod identity;
mod input;
mod native;
pub mod offsets;
mod positions;
mod producer_context;
mod rebalance;
pub mod seam;
mod session;

pub use cluster::Cluster;
pub use fault::{Action, Call, Fault, Signal};
pub use identity::Identity;
pub use input::{Address, Headers, Input, Outgoing};
pub use native::Failure;
pub use positions::{Gap, Place};
pub use producer_context::Refusal;
pub use rebalance::{Change, Rebalances};
pub(crate) use session::after;
pub use session::{Gathered, Session};
