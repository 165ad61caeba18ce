//! What `connectors verify` is told.

use std::time::Duration;

use super::search::{Format, age, since};
use super::seconds;

/// What `connectors verify` is told.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Exit codes: 0 both stores hold what the topic says, as far as it is due; 1 that could not be found \
                        out; 2 there are differences, or some are left after --repair --yes."
)]
pub struct Verify {
    /// Only orders received since: a time such as 2026-01-31T12:00:00Z, or an age such as 90s, 30m, 12h, 7d
    #[arg(long, value_parser = since)]
    pub since: Option<i64>,
    /// Only orders received before: a time or an age
    #[arg(long, value_parser = since)]
    pub until: Option<i64>,
    /// Counts and sums are compared by slices of the time of receipt so wide, such as 30s, 5m, 1h
    #[arg(long, default_value = "5m", value_parser = age)]
    pub slice: Duration,
    /// Compare every field of every order, also where counts and sums are the same
    #[arg(long)]
    pub deep: bool,
    /// So many examples of each kind of difference in each store
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub examples: u32,
    /// Send the newest record of what differs again to the sink of that store; without --yes say what would be sent
    #[arg(long)]
    pub repair: bool,
    /// Do it
    #[arg(long, requires = "repair")]
    pub yes: bool,
    /// How many seconds the sinks may take to read what was sent again
    #[arg(long, default_value = "60", value_parser = seconds)]
    pub wait: Duration,
    /// How many seconds reading the topic takes at most
    #[arg(long, default_value = "3600", value_parser = seconds)]
    pub time_limit: Duration,
    /// How to print
    #[arg(id = "output-format", long = "format", value_enum, default_value_t)]
    pub format: Format,
}
