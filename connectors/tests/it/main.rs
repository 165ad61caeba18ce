//! The commands against servers of our own making: what they ask, and what they do with each answer. The real servers
//! are in the end-to-end run.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper of a test ends the test")]

mod apply;
mod command;
mod dead_letters;
mod duty;
mod evolve;
mod house;
mod lag;
mod letters;
mod lint;
mod parity;
mod plan;
mod postgres;
mod rehearse;
mod serve;
mod status;
mod stub;
mod tls;
mod trace;
mod verify;
