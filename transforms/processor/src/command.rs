//! Subcommands of `transforms` that talk to a running process.

pub mod shadow;
