//! Measures our programs beside their floors and peers, in one run, after their outputs were compared.
//!
//! A figure is orders per CPU-second of the measured process, or a latency from the *intended* time of a request. A
//! claim is a ratio of alternate runs with its range: on a shared machine one figure alone says little. The parts: what
//! is sent ([`orders`], [`load`]), how much is run ([`length`]), what is counted ([`histogram`], [`spread`], [`curve`],
//! [`process`]), whom we measure beside ([`floor`], [`direct`], `peers`), one module for each thing that is measured
//! ([`edge`], [`transforms`], [`sinks`], [`pipeline`]), and how it is told ([`report`], [`page`]).

pub mod orders;

pub mod answer;

pub mod load;

pub mod length;

pub mod histogram;

pub mod spread;

pub mod curve;

pub mod process;

mod callgrind;

pub mod floor;

pub mod direct;

mod peers;

mod contract;

pub mod kafka;

pub mod edge;

pub mod transforms;

pub mod sinks;

pub mod pipeline;

pub mod machine;
pub mod report;

pub mod page;
