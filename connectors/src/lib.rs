//! Connectors: deploys what the JSON files and `stores/` say, shows how it runs, and heals the sinks.
//!
//! Reads in this order: [`files`], [`check`] and [`lint`] (what the user wrote, held to [`rules`]), [`apply`] (the one
//! deploy step), [`compare`] with [`plan`], [`drift`] and [`prune`] (the files beside the servers), [`rehearse`] (what an
//! edit does to the rows), [`evolve`] (a field more, in the right order), [`serve`] (the supervisor), [`status`] and [`watch`], [`trace`] (where an order is),
//! [`dead_letters`], [`verify`] (whether both stores hold what the topic says). [`connect`],
//! [`elastic`], [`postgres`] and [`kafka`] are clients of the servers; [`config`] and [`app`] are settings and wiring.
//! Orders are read only for whoever asks for them ([`decode`]), and written only as dead letters, or as dead letters that
//! are sent again.

pub mod app;
pub mod apply;
pub mod check;
pub mod compare;
pub mod config;
pub mod connect;
pub mod contracts;
pub mod dead_letters;
pub mod decode;
pub mod drift;
pub mod elastic;
pub mod evolve;
pub mod files;
pub mod finding;
pub mod http;
pub mod kafka;
pub mod lint;
pub mod names;
pub mod plan;
pub mod postgres;
pub mod prune;
pub mod rehearse;
pub mod retry;
pub mod rules;
pub mod serve;
pub mod status;
pub mod trace;
pub mod verify;
pub mod watch;
