//! The subcommands beside `serve`, a file each.

pub mod check_upload;
pub mod token;
