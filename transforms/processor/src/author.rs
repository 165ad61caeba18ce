//! What the author of a module works with: a folder to begin with ([`scaffold`], from the [`kit`] that this command
//! carries), and a look at what a module does to orders. Runs on the author's machine; reads topics and writes none.
//!
//! The way of a look: [`orders`] come from lines or from a [`topic`], [`lines`] and the processor's own reader make
//! records of them, [`trial`] runs the module in the sandbox, [`fields`] compares before and after, [`report`] is what
//! came out, [`show`] puts it on a screen. [`watch`] sees when a source changes.

pub mod kit;
pub mod scaffold;

pub mod lines;
pub mod orders;
pub mod topic;

pub mod report;
pub mod show;
pub mod trial;
pub mod watch;

/// Values field by field, as text.
pub use schemas::fields;
