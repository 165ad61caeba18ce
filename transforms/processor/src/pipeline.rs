//! Pipelines: what their config says ([`spec`], [`policy`]), which modules it means ([`version`]), and keeping the slots
//! that run them as they should be ([`manager`], [`plan`], `topics`). Which version runs, and when it goes, is decided in
//! [`guard`] and [`swap`]; [`shadow`] tries one beside the live one. [`lag`] is for the metrics.

pub mod guard;
pub mod lag;
pub mod manager;
pub mod plan;
pub mod policy;
pub mod shadow;
pub mod spec;
pub mod swap;
pub(crate) mod topics;
pub mod version;
