//! What is done with a record, in the order it happens: unframed and resolved to the output schema ([`read`]), judged by
//! the modules ([`judge`]) under a version's guard ([`guarded`]), finished and framed ([`finish`]), or turned into a dead
//! letter ([`divert`]). [`worker`] ties it together; a candidate beside the live modules looks on through [`tap`], and
//! [`compare`] says what it makes of the same. Most records are read and finished without being decoded: `splice`. No
//! Kafka calls here: bytes with an address come in, bytes with an address go out.

pub mod compare;
pub mod divert;
pub mod finish;
pub mod guarded;
pub mod judge;
pub mod read;
mod splice;
pub(crate) mod storable;
pub mod tap;
pub mod worker;
pub mod writers;
