//! The processor: reads a topic, runs the modules of a pipeline on each record, writes what comes out, in Kafka
//! transactions, so that each record is there once whatever dies.
//!
//! The way of a record: [`slot`] gathers a batch from [`kafka`], [`record`] makes outputs or dead letters of it, and
//! slot commits both with the offsets. Around it: [`pipeline`] decides which slots run, [`state`] is what all
//! processes share, [`lookup`] is the tables that modules read, [`intake`] is what a module must pass, [`rest`] is how
//! users change it, [`replay`] runs a dead letter again, or a record that was written, [`command`] is what they type. What
//! a module's author does with this command stands apart: [`author`]. Wiring: [`app`].

pub mod command;
pub mod config;
pub mod names;

pub mod app;
pub mod author;
mod compile;
pub mod intake;
pub mod pipeline;
pub mod push;
pub mod replay;
pub mod rest;
pub mod state;

pub mod control;
pub mod kafka;
pub mod lookup;
pub mod record;
pub mod slot;
pub mod work;

pub mod logs;
pub mod metrics;
pub mod status;
