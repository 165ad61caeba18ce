//! The subcommands beside `serve`, a file each.

pub mod client;
pub mod file;
pub mod list;
pub mod promote;
pub mod status;
pub mod table;
pub mod validate;
