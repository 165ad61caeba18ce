//! What the command does beside `serve`: one file a subcommand, each with its flags and its `run`.

pub mod check_upload;
pub mod client;
pub mod file;
pub mod list;
pub mod logs;
pub mod promote;
pub mod status;
pub mod table;
pub mod token;
pub mod validate;
