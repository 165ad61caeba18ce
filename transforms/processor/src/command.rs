//! What the command does beside `serve`: one file a subcommand, each with its flags and its `run`.

pub mod logs;
