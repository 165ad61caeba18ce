//! What proves the promise: a seeded [`generator`], open-loop [`load`] with a [`ledger`], an [`oracle`] in another
//! language, readers of every topic and both stores ([`read`]), and the checker ([`check`]) that counts.
//!
//! Knows the services only from outside: HTTP, Kafka, SQL, the index. Nothing here is linked with the edge, the
//! transforms or the modules.

pub mod check;
pub mod decimal;
pub mod fieldset;
pub mod figures;
pub mod generator;
pub mod ledger;
pub mod link;
pub mod load;
pub mod oracle;
pub mod read;
pub mod report;
pub mod rng;
pub mod row;
pub mod schedule;
pub mod settle;
pub mod world;
