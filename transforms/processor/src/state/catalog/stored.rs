//! A pipeline as it stands in its topic.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::pipeline::spec::Config;

/// A pipeline as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// As it was put.
    pub config: Config,
    /// What it should be doing.
    pub state: Target,
    /// For each alias the module that was meant when the config was put.
    pub modules: BTreeMap<String, Pin>,
}

/// What a pipeline should be doing, in Connect's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Target {
    /// Running.
    Started,
    /// In the group, but taking nothing.
    Paused,
    /// Not in the group.
    Stopped,
}

/// One module, exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// `name@version`.
    pub module: String,
    /// SHA-256, 64 hexadecimal digits.
    pub digest: String,
}
