//! The processor: reads a topic, runs the modules of a pipeline on each record, writes what comes out, in Kafka
//! transactions, so that each record is there once whatever dies.
//!
//! The way of a record: [`slot`] gathers a batch from [`kafka`], [`record`] makes outputs or dead letters of it, and
//! slot commits both with the offsets. Around it: [`pipeline`] decides which slots run, [`state`] is what all
//! processes share, [`rest`] is how users change it. Wiring: [`app`]. What a module's author does with this command stands
//! apart: [`command`] and [`author`].

pub mod config;
pub mod names;

pub mod app;
pub mod author;
pub mod command;
pub mod pipeline;
pub mod push;
pub mod rest;
pub mod state;

pub mod control;
pub mod kafka;
pub mod record;
pub mod slot;
pub mod work;

pub mod metrics;
pub mod status;
