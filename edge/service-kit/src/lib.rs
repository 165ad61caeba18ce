//! What every long-running command of Orderflow shares: tasks and their drain, signals, readiness, telemetry,
//! the HTTP accept loop, problem answers and the admin endpoints. It knows no orders, and of Kafka only where it is and who
//! we are to it.
//!
//! A service is wired in its `app.rs`, in this order:
//!
//! ```no_run
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! use std::{sync::Arc, time::Duration};
//! use service_kit::{Admin, Door, Readiness, Tasks, http, signals};
//!
//! let tasks = Tasks::new();
//! signals::watch(&tasks)?;                              // SIGTERM or SIGINT: stop; a second one: exit at once
//! let readiness = Readiness::new();
//! let kafka = readiness.condition("kafka");             // not ready until someone shows evidence
//! let admin = Admin::new(readiness, Arc::default(), Door::loopback());
//! let listener = http::bind("127.0.0.1:9080".parse()?).await?;
//! let port = http::serve(listener, admin, http::Limits::default(), tasks.clone());
//! tasks.spawn_vital("admin port", port);                // should it panic, the process stops in order
//! kafka.met();
//! tasks.stopping().await;
//! tasks.drain(Duration::from_secs(10)).await;           // finish what was begun, then cut
//! if let Some(task) = tasks.broken() {                  // and leaves with a code that is not 0
//!     return Err(format!("task {task} ended before its time").into());
//! }
//! # Ok(()) }
//! ```

pub mod admin;
pub mod door;
pub mod files;
pub mod heap;
pub mod host;
pub mod http;
pub mod kafka;
pub mod listing;
pub mod near;
pub mod open_files;
pub mod readiness;
pub mod reload;
pub mod signals;
pub mod tasks;
pub mod telemetry;
pub mod tokens;
pub mod traceparent;
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
pub mod waits;
/// Elsewhere librdkafka waits as it does.
#[cfg(not(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64")))]
pub mod waits {
    /// Makes a call.
    pub fn at_most<T>(_: std::time::Duration, call: impl FnOnce() -> T) -> T {
        call()
    }
}

pub use admin::Admin;
pub use door::Door;
pub use readiness::{Condition, Readiness};
pub use reload::Reloads;
pub use tasks::Tasks;
pub use tokens::Tokens;
