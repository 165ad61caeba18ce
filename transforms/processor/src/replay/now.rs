//! A dead letter through its pipeline as it is now, with the work that a slot would do, and nothing written.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use schemas::registry::Registry;
use service_kit::Tasks;
use transform_host::{Engine, Limits};

use super::letter::{Letter, Said};
use super::{CLIENT, Site, state};
use crate::kafka::{Input, Outgoing, client};
use crate::logs;
use crate::lookup::Lookups;
use crate::metrics::ModuleMetrics;
use crate::pipeline::plan::{Materials, Plan};
use crate::pipeline::topics;
use crate::work::{Factory as _, Hold, Tally};

/// What is not ready by now is said to be missing: a table is read, say.
const TIME: Duration = Duration::from_secs(30);

/// What would become of the record now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Now {
    /// A dead letter again.
    Dead(Said),
    /// A module would drop it.
    Dropped,
    /// Records for these topics.
    Stored(Vec<String>),
}

/// Runs the record through the pipeline `name`.
///
/// # Errors
/// When there is no such pipeline, or it cannot run now.
pub async fn through(site: &Site, letter: &Letter, name: &str) -> anyhow::Result<Now> {
    let tasks = Tasks::new();
    let now = judged(site, letter, name, &tasks).await;
    tasks.drain(Duration::from_secs(5)).await;
    now
}

async fn judged(site: &Site, letter: &Letter, name: &str, tasks: &Tasks) -> anyhow::Result<Now> {
    let engine = Engine::new(Limits::default())?;
    let catalog = state(&site.kafka, &engine, tasks).await?;
    let stored = catalog.pipeline(name).with_context(|| format!("there is no pipeline {name} any more"))?;
    let stored = stored.map_err(|reason| anyhow::anyhow!("pipeline {name} cannot be read: {reason}"))?;
    let materials = Materials {
        engine,
        registry: Registry::new(&site.registry).context("cannot make a client for the schema registry")?,
        catalog,
        runtime: tokio::runtime::Handle::current(),
        counted: ModuleMetrics::default(),
        // What modules say of a trial is nobody's.
        logs: logs::channel("replay").0,
        lookups: Lookups::new(site.kafka.clone(), "transforms-replay".to_owned(), tasks.clone()),
    };
    let until = Instant::now() + TIME;
    let mut plan = loop {
        match Plan::prepare(name, &stored, &materials).await {
            Ok(plan) => break plan,
            Err(reason) if Instant::now() > until => bail!("pipeline {name} cannot run now: {reason}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    };
    // As a slot has it: what a topic does not take is found before it is sent.
    let written: Vec<String> = topics::written(&plan.spec).collect();
    plan.max_bytes = topics::limits(&client::base(&site.kafka, CLIENT), &written).await;
    let input = letter.input.clone();
    tokio::task::spawn_blocking(move || applied(&plan, input, until)).await.context("the replay broke")?
}

fn applied(plan: &Plan, input: Input, until: Instant) -> anyhow::Result<Now> {
    let mut work = plan.make()?;
    let batch = [input];
    loop {
        let mut out = Vec::new();
        match work.apply(&batch, &mut out) {
            Ok(tally) => return now(tally, out),
            Err(Hold::Wait { reason, .. }) if Instant::now() > until => bail!("it cannot be judged now: {reason}"),
            Err(Hold::Wait { pause, .. }) => std::thread::sleep(pause),
            // Without a topic for dead letters this is how a slot says it.
            Err(Hold::Fail(message)) => {
                return Ok(Now::Dead(Said { stage: "TRANSFORMATION".to_owned(), class: "none".to_owned(), message }));
            }
        }
    }
}

fn now(tally: Tally, mut out: Vec<Outgoing>) -> anyhow::Result<Now> {
    if tally.dead > 0 {
        return Ok(Now::Dead(Said::of(out.pop().context("a dead letter is missing")?)?));
    }
    if tally.dropped > 0 {
        return Ok(Now::Dropped);
    }
    Ok(Now::Stored(out.iter().map(|outgoing| outgoing.topic.to_string()).collect()))
}
