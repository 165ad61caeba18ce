//! Versions of a pipeline under load, over a mock broker: they change between two transactions, go back by themselves,
//! and agree in all processes.

mod beside;
mod breaker;
mod change;
mod rollback;
mod shadow;
mod stateful;
mod world;
