//! The measured loop: a process of its own that transforms so many records of a topic and says what that took.
//!
//! It is the processor's own slot and worker. Only the judge differs, or what it delivers with.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use schemas::{contracts, names::topics};
use serde::{Deserialize, Serialize};
use transforms::{
    control::Control,
    kafka::{Cluster, Identity},
    logs,
    lookup::SlotTables,
    metrics,
    record::{
        finish::Output,
        judge::{Judge, Modules},
        worker::{Route, Routes, Worker},
        writers::{Source, Writers},
    },
    slot::Slot,
    status::Status,
    work::Work,
};

use super::{
    at_least_once,
    counting::{Counting, Passed},
    judges,
    servers::PLACED_ID,
};
use crate::{kafka::SCHEMA_ID, process::most_memory};

/// A loop that takes longer than this does not end any more.
const PATIENCE: Duration = Duration::from_secs(300);
const MAX_BYTES: usize = 1 << 20;

/// Who judges.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum By {
    /// The modules in their sandbox.
    Sandbox,
    /// The same code without one.
    Native,
}

/// How records are delivered.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Delivery {
    /// In transactions, with the offsets.
    ExactlyOnce,
    /// Flushed, then the offsets.
    AtLeastOnce,
}

/// One loop.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The broker
    #[arg(long)]
    pub kafka: String,
    /// The folder of the built modules
    #[arg(long)]
    pub modules: PathBuf,
    /// Name of the pipeline, which is the group's
    #[arg(long)]
    pub name: String,
    /// What to read
    #[arg(long, default_value = topics::ORDERS_RECEIVED)]
    pub input: String,
    /// Where to write
    #[arg(long)]
    pub output: String,
    /// Who judges
    #[arg(long, value_enum)]
    pub judge: By,
    /// How records are delivered
    #[arg(long, value_enum)]
    pub delivery: Delivery,
    /// Records
    #[arg(long)]
    pub count: u64,
}

/// What it took, from the first record to the last commit.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Took {
    pub(super) records: u64,
    pub(super) cpu_seconds: f64,
    pub(super) seconds: f64,
    /// The most memory of the whole process, in MiB.
    pub(super) most_mib: f64,
}

/// Runs one loop, and prints what it took as JSON.
///
/// # Errors
/// When it does not come to its end.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let passed = Arc::new(Passed::default());
    match args.delivery {
        Delivery::ExactlyOnce => exactly_once(args, &passed)?,
        Delivery::AtLeastOnce => {
            at_least_once::run(args, &mut *counted(args, &passed)?)?;
        }
    }
    let (time, cpu) = passed.since_first().context("no record came")?;
    let most_mib = most_memory(std::process::id())? as f64 / 1024.0;
    let (records, cpu_seconds, seconds) = (passed.records(), cpu.as_secs_f64(), time.as_secs_f64());
    let took = Took { records, cpu_seconds, seconds, most_mib };
    println!("{}", serde_json::to_string(&took)?);
    Ok(())
}

fn exactly_once(args: &Args, passed: &Arc<Passed>) -> anyhow::Result<()> {
    let own = args.clone();
    let factory = Counting { make: move || work(&own), passed: Arc::clone(passed) };
    let control = Arc::new(Control::new(Arc::new(factory), false, Arc::new(|what: &str| eprintln!("race: {what}"))));
    let status = Arc::new(Status::default());
    let (_registry, metrics) = metrics::registry();
    let slot = Slot {
        kafka: Arc::new(Cluster::new(args.kafka.as_str())),
        identity: Identity::new(&args.name, "race", 0),
        topics: vec![args.input.clone()],
        control: Arc::clone(&control),
        status: Arc::clone(&status),
        metrics: metrics.slot(&args.name, 0),
    };
    let thread = thread::Builder::new().name("slot".to_owned()).spawn(move || slot.run())?;
    let until = Instant::now() + PATIENCE;
    // What is counted is committed when nothing is in flight any more.
    while passed.records() < args.count || 0 < status.in_flight() {
        if until < Instant::now() {
            bail!(
                "{} of {} records in {PATIENCE:?}; the slot says {:?}",
                passed.records(),
                args.count,
                status.report()
            );
        }
        thread::sleep(Duration::from_millis(1));
    }
    // The loop's own end is not part of it.
    let took = passed.since_first();
    control.stop();
    ensure!(thread.join().is_ok(), "the slot panicked");
    ensure!(took.is_some(), "no record came");
    Ok(())
}

fn counted(args: &Args, passed: &Arc<Passed>) -> anyhow::Result<Box<dyn Work>> {
    Ok(Box::new(super::counting::Counted { inner: work(args)?, passed: Arc::clone(passed) }))
}

/// The processor's worker as a plan makes it.
fn work(args: &Args) -> anyhow::Result<Box<dyn Work>> {
    let chain = judges::sandboxed(&args.modules)?;
    let header = chain.header().to_owned();
    let judge: Box<dyn Judge> = match args.judge {
        By::Sandbox => Box::new(Modules {
            chain,
            counted: metrics::registry().1.modules(),
            logs: logs::channel("race").0,
            pipeline: args.name.clone(),
            tables: SlotTables::new(BTreeMap::new()),
            unfit: None,
        }),
        By::Native => Box::new(judges::Unboxed::new(header)?),
    };
    let route = |topic: &str| Route { topic: Arc::from(topic), max_bytes: MAX_BYTES };
    let schema: Arc<str> = Arc::from(contracts::ORDER_PLACED_AVSC);
    Ok(Box::new(Worker {
        pipeline: "race".to_owned(),
        commit_interval: Duration::ZERO,
        routes: Routes {
            output: route(&args.output),
            dead_letters: Some(route(topics::ORDERS_DEAD_LETTER)),
            dropped: route(topics::ORDERS_DROPPED),
        },
        output: Output::new(PLACED_ID, &schema).map_err(anyhow::Error::msg)?,
        writers: Writers::new(Arc::new(OneWriter), schema),
        judge,
        parameters: BTreeMap::new(),
        named: BTreeMap::new(),
        makers: Vec::new(),
    }))
}

/// Knows the one schema of the bench's input.
struct OneWriter;

impl Source for OneWriter {
    fn schema(&self, id: u32) -> Result<Option<String>, String> {
        Ok((id == SCHEMA_ID).then(|| contracts::ORDERS_RECEIVED_AVSC.to_owned()))
    }
}
