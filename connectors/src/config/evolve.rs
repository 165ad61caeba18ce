//! What `connectors evolve` is told.

use std::path::PathBuf;
use std::time::Duration;

use super::plan::Files;
use super::search::Format;
use super::seconds;
use crate::evolve::field::NewField;

/// What `connectors evolve` is told.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Without --add it takes the files as you edited them, and says what is out of order. A rehearsal reads the \
                  newest records into scratch stores; nothing of them is printed or logged. Exit codes: 0 nothing is left \
                  to do; 1 refused, or it could not be done; 2 something is to do, and --yes does it."
)]
pub struct Evolve {
    /// Which files
    #[command(flatten)]
    pub files: Files,
    /// The field: string, int, long, boolean, decimal(p,s) or timestamp-millis, as in 'gift_note: string'
    #[arg(long, value_name = "NAME: TYPE")]
    pub add: Option<NewField>,
    /// What older orders have; without it they have null
    #[arg(long, value_name = "VALUE", requires = "add", allow_hyphen_values = true)]
    pub default: Option<String>,
    /// A built module that fills it, of the new schema: it is uploaded, named with its version in the file of the pipeline
    /// that writes the topic, behind the modules that are there, and runs when all else is in place
    #[arg(long, value_name = "FILE.wasm")]
    pub module: Option<PathBuf>,
    /// A sentence on what it is for, kept in the schema
    #[arg(long, value_name = "TEXT", requires = "add")]
    pub doc: Option<String>,
    /// Do it
    #[arg(long)]
    pub yes: bool,
    /// Try the sinks on the newest records even if nothing is done yet
    #[arg(long)]
    pub rehearse: bool,
    /// Do it without trying the sinks first, for sinks that cannot be redirected
    #[arg(long, conflicts_with = "rehearse")]
    pub without_rehearsal: bool,
    /// So many of the newest records are rehearsed with
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub last: u32,
    /// How many seconds a rehearsal takes at most
    #[arg(id = "rehearsal-timeout", long = "timeout", default_value = "120", value_parser = seconds)]
    pub timeout: Duration,
    /// How many seconds each stage waits for its server
    #[arg(long, default_value = "60", value_parser = seconds)]
    pub wait: Duration,
    /// How to print
    #[arg(id = "output-format", long = "format", value_enum, default_value_t)]
    pub format: Format,
}
