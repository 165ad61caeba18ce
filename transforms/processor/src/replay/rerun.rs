//! A dead letter as it was: the record through a worker of its own, with the schema, the modules, the parameters and the
//! tables of then. So it is read, judged, finished and measured by what a slot does it with. What the letter does not say
//! of its pipeline is looked for ([`super::setting`]); what only the broker can say, a replay does not show.

use std::collections::BTreeMap;
use std::mem;
use std::slice;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use schemas::framing;
use schemas::registry::Registry;
use service_kit::Tasks;
use transform_host::{Engine, FaultKind, Limits, Module, Record, Tables, Verdict};

use super::kind::Kind;
use super::letter::{Letter, Said};
use super::setting::{self, Basis, Setting};
use super::stepwise::{FUEL, Stepwise};
use super::topics::{self, Topics};
use super::{Fetched, Site, state};
use crate::author::fields::Change;
use crate::author::orders::Shape;
use crate::kafka::Outgoing;
use crate::pipeline::spec::Spec;
use crate::record::divert::Chain;
use crate::record::finish::Output;
use crate::record::judge::{Judge, Unjudged};
use crate::record::worker::{DEADLINE, Named, TOO_LARGE, Worker, options};
use crate::record::writers::Writers;
use crate::rest::MODULE_BYTES;
use crate::state::catalog::Catalog;
use crate::work::{Hold, Tally, Work as _};

/// Time never ends a replay before its fuel does.
const NEVER: Duration = Duration::from_secs(600);
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
}

/// One module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// `name@version+sha256:<first 12 digits>`.
    pub module: String,
    /// What it used.
    pub fuel: u64,
    /// What is different in what came out, where exactly one record did.
    pub changes: Vec<Change>,
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
    let text = schemas.0.get(&chain.schema).cloned();
    let text = text.with_context(|| format!("the schema registry has no schema {} any more", chain.schema))?;
    let kind = Kind::of(&letter.said.class);
    let rerun = Rerun {
        letter: letter.clone(),
        schema: chain.schema,
        kind,
        shape: Arc::new(Shape::parse(&text)?),
        schemas: Arc::new(schemas),
    };
    if kind == Kind::Unread {
        return rerun.reading(&Topics::of(site, &registry, &[]).await);
    }
    let engine = Engine::metered(limits(), FUEL)?;
    let tasks = Tasks::new();
    let found = Found::of((site, &registry), (letter, chain), engine, &tasks).await;
    tasks.stop();
    let found = found?;
    tokio::task::spawn_blocking(move || rerun.through(&found, with.as_deref())).await.context("the replay broke")?
}

fn limits() -> Limits {
    Limits {
        module_bytes: MODULE_BYTES,
        call_base: NEVER,
        call_max: NEVER,
        start: NEVER,
        hunt: NEVER,
        ..Limits::default()
    }
}

/// What is found of a letter's pipeline.
struct Found {
    engine: Arc<Engine>,
    catalog: Arc<Catalog>,
    settings: Vec<Setting>,
    topics: Topics,
    tables: Arc<dyn Tables>,
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
        let tables = if chain.steps.is_empty() {
            let spec = settings.first().and_then(|setting| setting.spec.as_ref());
            topics::tables_now(site, spec, tasks).await?
        } else {
            topics::tables_then(site, letter).await?
        };
        Ok(Self { engine, catalog, settings, topics, tables })
    }
}

struct Rerun {
    letter: Letter,
    /// The id of the main output's schema.
    schema: u32,
    kind: Kind,
    shape: Arc<Shape>,
    schemas: Arc<Fetched>,
}

impl Rerun {
    /// Of a record that could not be read: no module had a part in it.
    fn reading(&self, topics: &Topics) -> anyhow::Result<Replayed> {
        let end = self.end(Box::new(Nobody), self.output()?, BTreeMap::new(), (topics, None))?;
        Ok(Replayed { steps: Vec::new(), end, basis: Basis::Same })
    }

    /// In the first setting in which it ends as the letter says, or else in the first one that can be had.
    fn through(&self, found: &Found, with: Option<&[u8]>) -> anyhow::Result<Replayed> {
        let with = with.map(|wasm| found.engine.load(wasm)).transpose()?;
        let mut otherwise: Option<anyhow::Result<Replayed>> = None;
        for setting in &found.settings {
            let replayed = match self.within(found, setting, with.as_ref()) {
                Ok(replayed) if with.is_some() || replayed.is_as(&self.letter.said) => return Ok(replayed),
                replayed => replayed,
            };
            otherwise = Some(match otherwise {
                Some(Ok(first)) => Ok(first),
                Some(Err(first)) => replayed.or(Err(first)),
                None => replayed,
            });
        }
        otherwise.context("nothing is known of its pipeline")?
    }

    fn within(&self, found: &Found, setting: &Setting, with: Option<&Arc<Module>>) -> anyhow::Result<Replayed> {
        let (output, spec) = (self.output()?, setting.spec.as_ref());
        let named = found.topics.named(spec, &self.shape.text)?;
        let failed = setting.behind.checked_sub(1);
        let mut steps = setting.steps.clone();
        if with.is_some() {
            // What another module makes of the record is asked, not what those behind it would.
            steps.truncate(setting.behind);
        }
        let shown: Arc<Mutex<Vec<Shown>>> = Arc::default();
        let judge = Stepwise {
            engine: Arc::clone(&found.engine),
            catalog: Arc::clone(&found.catalog),
            shape: Arc::clone(&self.shape),
            options: options(&output, &named, Arc::clone(&found.tables)),
            steps,
            with: failed.zip(with.cloned()),
            late: failed.filter(|_| self.kind == Kind::Module(FaultKind::Deadline)),
            shown: Arc::clone(&shown),
            last: None,
        };
        let end = self.end(Box::new(judge), output, named, (&found.topics, spec))?;
        let steps = mem::take(&mut *shown.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Replayed { steps, end, basis: setting.basis.clone() })
    }

    fn output(&self) -> anyhow::Result<Output> {
        Output::new(self.schema, &self.shape.text).map_err(anyhow::Error::msg)
    }

    /// What a worker makes of the record, which knows this of its topics.
    fn end(
        &self,
        judge: Box<dyn Judge>,
        output: Output,
        named: BTreeMap<String, Named>,
        (topics, spec): (&Topics, Option<&Spec>),
    ) -> anyhow::Result<End> {
        let mut worker = Worker {
            pipeline: String::new(),
            commit_interval: Duration::ZERO,
            routes: topics.routes(spec),
            output,
            named,
            writers: Writers::new(Arc::clone(&self.schemas) as _, Arc::from(self.shape.text.as_str())),
            judge,
            // Whose fault it is stands in the letter already.
            parameters: BTreeMap::new(),
            makers: Vec::new(),
        };
        let mut out = Vec::new();
        match worker.apply(slice::from_ref(&self.letter.input), &mut out) {
            Ok(tally) => ended(tally, out, topics),
            Err(Hold::Fail(why)) if why == READ => Ok(End::Read),
            Err(hold) => bail!("{hold}"),
        }
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
