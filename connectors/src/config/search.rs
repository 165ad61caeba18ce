//! What `connectors trace` and `connectors dead-letters` are told.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Subcommand, ValueEnum};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::seconds;
use crate::kafka::record::Address;
use crate::trace::Asked;

/// How an answer is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// How far a search in topics goes.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Bound {
    /// So many records of a partition are looked at, the newest; where that is not all of them, the answer says so
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(i64).range(1..=1_000_000_000))]
    pub records: i64,
    /// How many seconds the search takes at most; where that is too short, the answer says so
    #[arg(long, default_value = "30", value_parser = seconds)]
    pub time_limit: Duration,
}

/// What `connectors trace` is told.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Exit codes: 0 in every store it is stored or replaced, or a module dropped it or sent it to \
                        another output; 1 it could not be traced; 2 anything else, such as waiting or a dead letter.")]
pub struct Trace {
    /// An order's id, or TOPIC/PARTITION/OFFSET of any record of it, such as the receipt's
    #[arg(value_name = "ORDER_ID|TOPIC/PARTITION/OFFSET")]
    pub asked: Asked,
    /// How far to search
    #[command(flatten)]
    pub bound: Bound,
    /// Only records as new as this: a time such as 2026-01-31T12:00:00Z, or an age such as 90s, 30m, 12h, 7d
    #[arg(long, value_parser = since)]
    pub since: Option<i64>,
    /// How to print
    #[arg(id = "output-format", long = "format", value_enum, default_value_t)]
    pub format: Format,
    /// Where `connectors serve` answers, for what it is healing
    #[arg(long, env = "CONNECTORS_URL", hide_env_values = true, default_value = "http://127.0.0.1:8086")]
    pub supervisor: String,
}

/// What `connectors dead-letters` is told.
#[derive(Debug, Clone, clap::Args)]
pub struct DeadLetters {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands of `connectors dead-letters`.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Count letters and reasons, open and dealt with
    List(List),
    /// Show one letter: what it says, why it is there, through what it went
    Show(Show),
    /// Send letters again to the stage that refused them; without --yes say what would be sent
    Replay(Replay),
    /// Mark letters as dealt with; they stay in their topic. Without --yes say which
    Discard(Discard),
}

/// Which letters.
#[derive(Debug, Clone, clap::Args)]
pub struct Which {
    /// Only letters of this topic; may be given again
    #[arg(long = "topic", value_name = "TOPIC")]
    pub topics: Vec<String>,
    /// Only those with this text in class or message
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Only of this stage, such as TRANSFORMATION
    #[arg(long)]
    pub stage: Option<String>,
    /// Only of the module whose label begins so, such as clean@1
    #[arg(long)]
    pub module: Option<String>,
    /// Only of this order
    #[arg(long, value_name = "ORDER_ID")]
    pub order: Option<String>,
    /// Only of records received since: a time such as 2026-01-31T12:00:00Z, or an age such as 90s, 30m, 12h, 7d
    #[arg(long, value_parser = since)]
    pub since: Option<i64>,
    /// How far to read
    #[command(flatten)]
    pub bound: Bound,
    /// How to print
    #[arg(id = "output-format", long = "format", value_enum, default_value_t)]
    pub format: Format,
}

/// What `list` is told.
#[derive(Debug, Clone, clap::Args)]
pub struct List {
    /// Which letters
    #[command(flatten)]
    pub which: Which,
}

/// What `show` is told.
#[derive(Debug, Clone, clap::Args)]
pub struct Show {
    /// Where it lies: TOPIC/PARTITION/OFFSET
    pub letter: Address,
    /// How far to read
    #[command(flatten)]
    pub bound: Bound,
    /// How to print
    #[arg(id = "output-format", long = "format", value_enum, default_value_t)]
    pub format: Format,
}

/// Letters, and whether it is meant.
#[derive(Debug, Clone, clap::Args)]
pub struct Some {
    /// Only these: TOPIC/PARTITION/OFFSET
    #[arg(value_name = "LETTER")]
    pub letters: Vec<Address>,
    /// Which letters
    #[command(flatten)]
    pub which: Which,
    /// At most so many; the next run goes on behind them
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
    /// Do it
    #[arg(long)]
    pub yes: bool,
    /// Who does it, for the record
    #[arg(long, env = "USER", default_value = "unknown")]
    pub by: String,
}

/// What `replay` is told.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Exit codes: 0 nothing is left to send; 1 it could not be done; 2 letters would be sent (without \
                        --yes), or some were left, each with its reason."
)]
pub struct Replay {
    /// Which letters
    #[command(flatten)]
    pub some: Some,
    /// At most so many a second
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rate: u32,
    /// Leave a letter that was sent again so often already
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub max_replays: u32,
}

/// What `discard` is told.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Exit codes: 0 nothing is left to discard; 1 it could not be done; 2 letters would be discarded \
                        (without --yes)."
)]
pub struct Discard {
    /// Which letters
    #[command(flatten)]
    pub some: Some,
    /// Why nothing more is to be done with them
    #[arg(long, value_name = "TEXT")]
    pub because: String,
}

/// Milliseconds since 1970 of a time, or of now less an age.
pub(super) fn since(text: &str) -> Result<i64, String> {
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return i64::try_from(time.unix_timestamp_nanos() / 1_000_000).map_err(|err| err.to_string());
    }
    let wrong = |_| format!("`{text}` is no time; write 2026-01-31T12:00:00Z, or an age such as 90s, 30m, 12h, 7d");
    let age = age(text).map_err(wrong)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|err| err.to_string())?;
    i64::try_from(now.saturating_sub(age).as_millis()).map_err(|err| err.to_string())
}

/// How long, and not nothing.
pub(super) fn age(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no length of time; write such as 90s, 30m, 12h, 7d");
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return Err(wrong()),
    };
    let count = text.get(..text.len() - 1).and_then(|count| count.parse::<u32>().ok());
    count.filter(|count| 0 < *count).map(|count| Duration::from_secs(unit * u64::from(count))).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_time_or_an_age() {
        assert_eq!(since("1970-01-01T00:00:01Z"), Ok(1_000));
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
        let hour = now - since("1h").unwrap();
        assert!((3_590_000..=3_660_000).contains(&hour), "{hour}");
        for wrong in ["", "h", "1", "1x", "-1h", "yesterday"] {
            assert!(since(wrong).unwrap_err().contains("30m"), "{wrong}");
        }
    }
}
