//! What `connectors plan`, `drift` and `prune` are told.

use std::path::PathBuf;
use std::time::Duration;

use super::rehearse::Extent;
use super::search::Format;
use super::seconds;
use schemas::mark;

/// The files, and whose they are.
#[derive(Debug, Clone, clap::Args)]
pub struct Files {
    /// The folder with *.json and stores/
    #[arg(long, env = "CONNECTORS_DIR", default_value = "connectors")]
    pub files: PathBuf,
    /// Whose files these are, where several sets of files go to one Kafka Connect: each prunes only its own
    #[arg(long, env = "CONNECTORS_OWNER", default_value = mark::OWNER, value_parser = owner)]
    pub owner: String,
}

/// What `plan` and `drift` are told.
#[derive(Debug, Clone, clap::Args)]
pub struct Compare {
    /// Which files
    #[command(flatten)]
    pub files: Files,
    /// How to print
    #[arg(id = "output-format", long = "format", value_enum, default_value_t)]
    pub format: Format,
    /// How many seconds a server gets that is starting or busy
    #[arg(long, default_value = "10", value_parser = seconds)]
    pub wait: Duration,
}

/// What `plan` is told.
#[derive(Debug, Clone, clap::Args)]
pub struct Plan {
    /// As `drift`
    #[command(flatten)]
    pub compare: Compare,
    /// Also rehearse each sink that would be made or changed, and show what becomes of the rows
    #[arg(long)]
    pub rehearse: bool,
    /// How much of it
    #[command(flatten)]
    pub extent: Extent,
}

/// What `prune` is told.
#[derive(Debug, Clone, clap::Args)]
pub struct Prune {
    /// Which files
    #[command(flatten)]
    pub files: Files,
    /// Do it
    #[arg(long)]
    pub yes: bool,
    /// How many seconds a server gets that is starting or busy
    #[arg(long, default_value = "30", value_parser = seconds)]
    pub wait: Duration,
}

fn owner(text: &str) -> Result<String, String> {
    if mark::is_owner(text) {
        Ok(text.to_owned())
    } else {
        Err("give up to 64 letters, digits, `-`, `_` or `.`".to_owned())
    }
}
