//! `transforms status`: what each pipeline does, on one page: state, slots, modules, lag and rate, and in one line each
//! what it waits for, what holds it back and what went wrong last. [`read`](self::read) makes a report of the process's
//! answers, [`page`] writes it for people.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde::Serialize;
use serde_json::Value;

use super::client::{CallError, Client, Server};
use super::list::Format;
use crate::author::show::plain_lines;

mod page;
mod read;

/// The flags of `status`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// One pipeline [default: all]
    pub name: Option<String>,
    /// Which process.
    #[command(flatten)]
    pub server: Server,
    /// For people or for programs
    // Not `format`: clap knows arguments by their fields' names, and that is the one of the logs' format.
    #[arg(long = "format", value_enum, default_value_t)]
    pub answer: Format,
    /// Seconds over which the rate is measured; 0 measures none
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=60))]
    pub rate_over: u64,
}

/// What is going on in one process and its pipelines.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Who was asked.
    pub url: String,
    /// Its version.
    pub version: String,
    /// Every pipeline does what it should.
    pub ok: bool,
    /// The pipelines.
    pub pipelines: Vec<Pipeline>,
}

/// One pipeline.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Pipeline {
    /// Its name.
    pub name: String,
    /// Its state, in Connect's words.
    pub state: String,
    /// What it reads.
    pub reads: String,
    /// Where it writes.
    pub writes: String,
    /// The id that it writes with.
    pub output_schema_id: Option<u64>,
    /// Where what runs is not what the config says, or is held by its breaker, and why.
    pub degraded: Vec<String>,
    /// What it waits for before it can run as its config says.
    pub waits: Option<String>,
    /// Its modules, in order.
    pub modules: Vec<Module>,
    /// Its slots in the process.
    pub slots: Vec<Slot>,
    /// Records still to be read, as far as Kafka told.
    pub lag: Option<i64>,
    /// Records a second.
    pub rate: Option<f64>,
    /// Why Kafka's part is missing.
    pub lag_unknown: Option<String>,
    /// Each partition that it reads, whichever process reads it.
    pub partitions: Vec<Partition>,
}

/// One module of a pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Module {
    /// The pipeline's own name for it.
    pub alias: String,
    /// What the config asks for.
    pub wanted: String,
    /// What that was when the config was put.
    pub module: String,
    /// Its digest.
    pub digest: String,
}

/// One slot of a pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Slot {
    /// Its number.
    pub id: u64,
    /// Its state, in Connect's words.
    pub state: String,
    /// The partitions it reads.
    pub partitions: Vec<String>,
    /// Records that were read and are not committed.
    pub in_flight: u64,
    /// How often its Kafka clients were made anew.
    pub rebuilds: u64,
    /// Why its batch is held back, while it is.
    pub held_back: Option<String>,
    /// The partitions that stand still, and why.
    pub gaps: Vec<String>,
    /// What went wrong last, in one line.
    pub last_error: Option<String>,
}

/// One partition that a pipeline reads.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Partition {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i64,
    /// The next offset to be read; nothing before the first commit.
    pub committed: Option<i64>,
    /// The end of the log.
    pub end: i64,
    /// Offsets between the two.
    pub lag: i64,
    /// Records a second.
    pub rate: Option<f64>,
}

impl Pipeline {
    /// Runs, or is held by an operator, and nothing stands in its way.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let held = matches!(self.state.as_str(), "PAUSED" | "STOPPED");
        let runs = self.state == "RUNNING" && self.slots.iter().all(|slot| slot.state == "RUNNING");
        let hindered = |slot: &Slot| slot.held_back.is_some() || !slot.gaps.is_empty();
        (held || runs) && self.waits.is_none() && self.degraded.is_empty() && !self.slots.iter().any(hindered)
    }
}

/// Asks; gives what is to be printed, and whether all is well.
///
/// # Errors
/// When the process does not answer, or does not know the pipeline.
pub async fn run(args: &Args) -> anyhow::Result<(String, bool)> {
    let client = Client::new(&args.server)?;
    let report = gather(&client, args.name.as_deref(), Duration::from_secs(args.rate_over)).await?;
    let text = match args.answer {
        Format::Json => format!("{}\n", serde_json::to_string_pretty(&report)?),
        // What modules said may stand in it.
        Format::Text => plain_lines(&page::text(&report)),
    };
    Ok((text, report.ok))
}

async fn gather(client: &Client, name: Option<&str>, rate_over: Duration) -> anyhow::Result<Report> {
    let root = client.get("/").await?;
    let all = client.get("/connectors?expand=info&expand=status").await?;
    let entries = all.as_object().into_iter().flatten();
    let chosen: Vec<(&String, &Value)> =
        entries.filter(|(found, _)| name.is_none_or(|name| name == found.as_str())).collect();
    if let Some(name) = name {
        let known: Vec<&str> = all.as_object().into_iter().flatten().map(|(known, _)| known.as_str()).collect();
        ensure!(!chosen.is_empty(), "{} has no pipeline {name}; it has: {}", client.base(), known.join(", "));
    }
    let begun = Instant::now();
    let first = lags(client, &chosen).await;
    let mut later = BTreeMap::new();
    if !rate_over.is_zero() && first.values().any(Result::is_ok) {
        tokio::time::sleep(rate_over).await;
        later = lags(client, &chosen).await;
    }
    let apart = begun.elapsed();
    let pipeline = |(name, entry): &(&String, &Value)| {
        let mut pipeline = read::pipeline(name, entry);
        match first.get(*name) {
            Some(Ok(lag)) => {
                read::positions(&mut pipeline, lag, later.get(*name).and_then(|lag| lag.as_ref().ok()), apart);
            }
            Some(Err(error)) => pipeline.lag_unknown = Some(error.to_string()),
            None => {}
        }
        pipeline
    };
    let pipelines: Vec<Pipeline> = chosen.iter().map(pipeline).collect();
    Ok(Report {
        url: client.base().to_owned(),
        version: root.get("version").and_then(Value::as_str).unwrap_or("?").to_owned(),
        ok: pipelines.iter().all(Pipeline::is_well),
        pipelines,
    })
}

/// What Kafka says of each pipeline. A broker that is away costs the lag and nothing else.
async fn lags(client: &Client, chosen: &[(&String, &Value)]) -> BTreeMap<String, Result<Value, CallError>> {
    let mut lags = BTreeMap::new();
    for (name, _) in chosen {
        let lag = client.get(&format!("/connectors/{name}/lag")).await;
        lags.insert((*name).clone(), lag);
    }
    lags
}
