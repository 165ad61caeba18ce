//! What `connectors rehearse` is told.

use std::path::PathBuf;
use std::time::Duration;

use super::search::Format;
use super::seconds;

/// What `connectors rehearse` is told.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "The answer shows rows, with customers' values in them; nothing of that is logged. Exit codes: 0 \
                        nothing is different; 1 it could not be rehearsed; 2 rows differ, or records are not taken."
)]
pub struct Rehearse {
    /// A sink's file: that of one that runs now, or a new one's
    pub file: PathBuf,
    /// How much of it
    #[command(flatten)]
    pub extent: Extent,
    /// How to print
    #[arg(id = "output-format", long = "format", value_enum, default_value_t)]
    pub format: Format,
}

/// How far a rehearsal goes.
#[derive(Debug, Clone, clap::Args)]
pub struct Extent {
    /// So many of the newest records of its topics, over all partitions
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub last: u32,
    /// How many seconds it takes at most, without the removal of everything temporary
    #[arg(id = "rehearsal-timeout", long = "timeout", default_value = "120", value_parser = seconds)]
    pub timeout: Duration,
    /// So many rows are shown
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub examples: u32,
}
