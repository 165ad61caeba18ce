//! What the command does beside `serve`: one file a subcommand, each with its flags and its `run`. What the author's
//! commands do is [`crate::author`]'s.

pub mod build;
pub mod check_upload;
pub mod client;
pub mod dev;
pub mod file;
pub mod list;
pub mod logs;
pub mod new;
pub mod promote;
pub mod push;
pub mod replay;
pub mod shadow;
pub mod status;
pub mod table;
mod takeover;
pub mod test;
pub mod token;
pub mod validate;
