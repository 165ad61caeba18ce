//! Pipelines: what their config says ([`spec`]), which modules it means ([`version`]), and keeping the slots that run
//! them as they should be ([`manager`], [`plan`], `topics`).

pub mod manager;
pub mod plan;
pub mod spec;
mod topics;
pub mod version;
