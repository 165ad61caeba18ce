//! A dead letter as it was: its record run ([`super::run`]) with the schema, the modules, the parameters and the tables of
//! then. What the letter does not say of its pipeline is looked for ([`super::setting`]); what only the broker can say, a
//! replay does not show.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use schemas::framing;
use schemas::registry::Registry;
use service_kit::Tasks;
use transform_host::{Engine, FaultKind, Limits, Module, Record, Tables, Verdict};

use super::kind::Kind;
use super::letter::{Letter, Said};
use super::run::{Ground, Ran, Run, Shown, likeliest};
use super::setting::{self, Basis, Setting};
use super::stepwise::{Course, FUEL};
use super::topics::{self, Topics};
use super::{CLIENT, Fetched, Site, state};
use crate::compile;
use crate::kafka::Outgoing;
use crate::lookup::{Lookups, Moved, Then};
use crate::record::divert::Chain;
use crate::record::judge::{Judge, Unjudged};
use crate::record::worker::{DEADLINE, TOO_LARGE};
use crate::work::{Hold, Tally};

/// Time never ends a replay before its fuel does.
const NEVER: Duration = Duration::from_secs(600);
/// A table is read within this.
const TABLE_TIME: Duration = Duration::from_secs(30);
/// What a replay of the reading alone stops for.
const READ: &str = "it was read";

/// What a replay shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// The modules that it came to, in order.
    pub steps: Vec<Shown>,
    /// Where it ended.
    pub end: End,
    /// How near what it ran in is to what the letter's worker had.
    pub basis: Basis,
    /// The tables in which it may have missed what was there then.
    pub moved: Vec<Moved>,
}

/// Where a replay ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It is a dead letter for this.
    Dead(Said),
    /// A module dropped it.
    Dropped,
    /// These records came out.
    Emitted(Vec<Came>),
    /// It could not be read then, and can be now.
    Read,
}

/// A record that came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Came {
    /// Where it would go.
    pub topic: String,
    /// At most so much of what its topic takes.
    pub bytes: usize,
    /// What that is, where the broker told it.
    pub most: Option<usize>,
}

impl Replayed {
    /// Whether it ended as the letter says. Of a time-out only the kind can be the same, and of an output that is too large
    /// need be: what its topic takes may have changed.
    #[must_use]
    pub fn is_as(&self, then: &Said) -> bool {
        match &self.end {
            End::Dead(now) if [DEADLINE, TOO_LARGE].contains(&now.class.as_str()) => then.class == now.class,
            End::Dead(now) => now == then,
            End::Dropped | End::Emitted(_) | End::Read => false,
        }
    }
}

/// Runs a dead letter again. `with` stands for the module that failed.
///
/// # Errors
/// When what was then is not there any more: the schema, a module, a table.
pub async fn run(site: &Site, letter: &Letter, with: Option<Vec<u8>>) -> anyhow::Result<Replayed> {
    let chain = letter.chain.as_ref();
    let chain =
        chain.context("it does not say which modules it went through; an earlier release wrote it, or a sink did")?;
    ensure!(
        with.is_none() || !chain.steps.is_empty(),
        "the letter names no module that failed, so there is none that --with could stand for"
    );
    let registry = Registry::new(&site.registry).context("cannot make a client for the schema registry")?;
    let written = letter.input.value.as_deref().and_then(|value| framing::split(value).ok()).map(|(id, _)| id);
    let schemas = Fetched::get(&registry, written.into_iter().chain([chain.schema])).await?;
    let kind = Kind::of(&letter.said.class);
    let run = Run::new(letter.input.clone(), chain.schema, schemas)?;
    let rerun = Rerun { run, said: letter.said.clone(), kind };
    if kind == Kind::Unread {
        return rerun.reading(&Topics::of(site, &registry, &[]).await);
    }
    let engine = Engine::metered(limits(), FUEL)?;
    let tasks = Tasks::new();
    let found = Found::of((site, &registry), (letter, chain), engine, &tasks).await;
    tasks.stop();
    let found = found?;
    let through = move || -> anyhow::Result<Replayed> {
        let replayed = rerun.through(&found, with.as_deref())?;
        let moved = found.then.as_ref().map(|then| then.moved()).transpose().map_err(anyhow::Error::msg)?;
        Ok(Replayed { moved: moved.unwrap_or_default(), ..replayed })
    };
    tokio::task::spawn_blocking(through).await.context("the replay broke")?
}

fn limits() -> Limits {
    Limits { call_base: NEVER, call_max: NEVER, start: NEVER, hunt: NEVER, ..Limits::default() }
}

/// What is found of a letter's pipeline.
struct Found {
    ground: Ground,
    settings: Vec<Setting>,
    tables: Arc<dyn Tables>,
    /// The same, where they are those of then.
    then: Option<Arc<Then>>,
}

impl Found {
    async fn of(
        (site, registry): (&Site, &Registry),
        (letter, chain): (&Letter, &Chain),
        engine: Arc<Engine>,
        tasks: &Tasks,
    ) -> anyhow::Result<Self> {
        let catalog = state(&site.kafka, &engine, tasks).await?;
        let settings = setting::all(&catalog, chain)?;
        let topics = Topics::of(site, registry, &settings).await;
        // A letter that names no module names no table either.
        let (tables, then) = if chain.steps.is_empty() {
            let spec = settings.first().and_then(|setting| setting.spec.as_ref());
            let lookups = Lookups::new(site.kafka.clone(), CLIENT.to_owned(), tasks.clone());
            (topics::tables_now(&lookups, spec, TABLE_TIME).await?, None)
        } else {
            let then = topics::tables_then(site, letter).await?;
            (Arc::clone(&then) as Arc<dyn Tables>, Some(then))
        };
        Ok(Self { ground: Ground { engine, catalog, topics }, settings, tables, then })
    }
}

struct Rerun {
    run: Run,
    /// What the letter says of its end.
    said: Said,
    kind: Kind,
}

impl Rerun {
    /// Of a record that could not be read: no module had a part in it.
    fn reading(&self, topics: &Topics) -> anyhow::Result<Replayed> {
        let outputs = (self.run.output()?, BTreeMap::new());
        let end = match self.run.judged(Box::new(Nobody), outputs, (topics, None)) {
            Ok((tally, out)) => ended(tally, out, topics)?,
            Err(Hold::Fail(why)) if why == READ => End::Read,
            Err(hold) => bail!("{hold}"),
        };
        Ok(Replayed { steps: Vec::new(), end, basis: Basis::Same, moved: Vec::new() })
    }

    /// In the first setting in which it ends as the letter says, or else in the first one that can be had.
    fn through(&self, found: &Found, with: Option<&[u8]>) -> anyhow::Result<Replayed> {
        let with = with.map(|wasm| compile::load(&found.ground.engine, wasm)).transpose()?;
        let tries = found.settings.iter().map(|setting| self.within(found, setting, with.as_ref()));
        let replayed = likeliest(tries, |replayed| with.is_some() || replayed.is_as(&self.said));
        replayed.context("nothing is known of its pipeline")?
    }

    fn within(&self, found: &Found, setting: &Setting, with: Option<&Arc<Module>>) -> anyhow::Result<Replayed> {
        let failed = setting.behind.checked_sub(1);
        let mut course = Course::of(setting.steps.clone());
        if with.is_some() {
            // What another module makes of the record is asked, not what those behind it would.
            course.steps.truncate(setting.behind);
        }
        course.with = failed.zip(with.cloned());
        course.late = failed.filter(|_| self.kind == Kind::Module(FaultKind::Deadline));
        let (ground, tables) = (&found.ground, Arc::clone(&found.tables));
        let Ran { steps, tally, out } = self.run.within(ground, setting.spec.as_ref(), tables, course)?;
        let end = ended(tally, out, &ground.topics)?;
        Ok(Replayed { steps, end, basis: setting.basis.clone(), moved: Vec::new() })
    }
}

fn ended(tally: Tally, out: Vec<Outgoing>, topics: &Topics) -> anyhow::Result<End> {
    ensure!(tally.done == 1, "the sandbox judged nothing");
    if tally.dead > 0 {
        let letter = out.into_iter().next().context("a dead letter is missing")?;
        return Ok(End::Dead(Said::of(letter)?));
    }
    if tally.dropped > 0 {
        return Ok(End::Dropped);
    }
    let came = |output: Outgoing| Came {
        bytes: output.size(),
        most: topics.most(&output.topic),
        topic: output.topic.to_string(),
    };
    Ok(End::Emitted(out.into_iter().map(came).collect()))
}

/// Stands where the modules would, for a record that they did not come to.
struct Nobody;

impl Judge for Nobody {
    fn begin(&mut self) {}

    fn judge(&mut self, _: &[Record]) -> Result<Vec<Verdict>, Unjudged> {
        Err(Unjudged::Stopped(READ.to_owned()))
    }

    fn header(&self) -> &'static str {
        ""
    }
}
