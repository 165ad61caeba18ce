//! The commands of an author, each with its flags: what they print and how they end. What they do is
//! [`crate::author`]'s.

pub mod build;
pub mod dev;
pub mod new;
pub mod push;
pub mod test;
