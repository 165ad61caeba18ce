//! A dead letter as it was: the modules that it went through, each with the parameters and the tables of then, one after
//! the other on this one record. They run on fuel, so the same record ends the same way on every machine.
//!
//! A time-out has no such number: how far a module came in its time depends on the machine. It is run with twenty times
//! the fuel that the module needs for an ordinary record, and what is still running then is as good as endless.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::{NamesRef, ResolvedSchema};
use schemas::framing;
use schemas::registry::Registry;
use service_kit::Tasks;
use transform_host::{Chain, Engine, Limits, Module, Options, Record, Step, Tables, Verdict};

use super::letter::{Letter, Said};
use super::{Fetched, PATIENCE, Site, state};
use crate::author::fields::{self, Change, Field};
use crate::author::orders::Shape;
use crate::intake::samples;
use crate::lookup::replayed;
use crate::record::divert::{Link, Reason};
use crate::record::finish::Output;
use crate::record::read;
use crate::record::worker::{DEADLINE, class, record};
use crate::record::writers::Writers;
use crate::rest::MODULE_BYTES;
use crate::state::catalog::Catalog;

/// A call gets so much, some seconds of a processor: far more than a time-out in the pipeline leaves.
const FUEL: u64 = 4_000_000_000;
/// An ordinary record gets so much while the median is looked for.
const SAMPLE_FUEL: u64 = 100_000_000;
/// Ordinary records that the median is taken of.
const SAMPLES: usize = 101;
/// So many times the median is endless.
const TIMES: u64 = 20;
/// A median of no fuel is none; a call costs some in any case.
const LEAST: u64 = 1_000;
/// Time never ends a replay before its fuel does.
const NEVER: Duration = Duration::from_secs(600);
/// A table that was larger was not looked up in.
const TABLE: (usize, usize) = (256 << 20, 10_000_000);

/// What a replay shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// The modules that it came to, in order.
    pub steps: Vec<Shown>,
    /// Where it ended.
    pub end: End,
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
    /// The last module dropped it.
    Dropped,
    /// So many records came out.
    Emitted(usize),
}

impl Replayed {
    /// Whether it ended as the letter says. Of a time-out only the kind can be the same.
    #[must_use]
    pub fn is_as(&self, then: &Said) -> bool {
        match &self.end {
            End::Dead(now) if now.class == DEADLINE => then.class == DEADLINE,
            End::Dead(now) => now == then,
            End::Dropped | End::Emitted(_) => false,
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
        chain.context("it was written by an earlier release, which did not say which modules it went through")?;
    let registry = Registry::new(&site.registry).context("cannot make a client for the schema registry")?;
    let written = letter.input.value.as_deref().and_then(|value| framing::split(value).ok()).map(|(id, _)| id);
    let schemas = Fetched::get(&registry, written.into_iter().chain([chain.schema])).await?;
    let text = schemas.0.get(&chain.schema).cloned();
    let text = text.with_context(|| format!("the schema registry has no schema {} any more", chain.schema))?;
    let limits = Limits {
        module_bytes: MODULE_BYTES,
        call_base: NEVER,
        call_max: NEVER,
        start: NEVER,
        hunt: NEVER,
        ..Limits::default()
    };
    let engine = Engine::metered(limits, FUEL)?;
    let tasks = Tasks::new();
    let catalog = state(&site.kafka, &engine, &tasks).await;
    tasks.stop();
    let catalog = catalog?;
    let (site, letter, links) = (site.clone(), letter.clone(), chain.steps.clone());
    let rerun =
        move || Rerun::new(&site, &letter, engine, &text)?.through(&letter, &links, &catalog, with.as_deref(), schemas);
    tokio::task::spawn_blocking(rerun).await.context("the replay broke")?
}

struct Rerun {
    engine: Arc<Engine>,
    shape: Shape,
    output: Output,
    tables: Arc<dyn Tables>,
}

impl Rerun {
    fn new(site: &Site, letter: &Letter, engine: Arc<Engine>, text: &str) -> anyhow::Result<Self> {
        let shape = Shape::parse(text)?;
        let output = Output::new(1, &shape.text).map_err(anyhow::Error::msg)?;
        let tables = replayed(&site.kafka, "transforms-replay", &letter.lookups, TABLE, PATIENCE);
        Ok(Self { engine, shape, output, tables: tables.map_err(anyhow::Error::msg)? })
    }

    fn through(
        &self,
        letter: &Letter,
        links: &[Link],
        catalog: &Catalog,
        with: Option<&[u8]>,
        schemas: Fetched,
    ) -> anyhow::Result<Replayed> {
        let mut writers = Writers::new(Arc::new(schemas), Arc::from(self.shape.text.as_str()));
        let datum = read::datum(&letter.input, &mut writers, self.output.order_id()).map_err(anyhow::Error::msg)?;
        let mut records = match datum {
            Ok(datum) => vec![record(&letter.input, datum)],
            Err(reason) => return Ok(Replayed { steps: Vec::new(), end: End::Dead(said(&reason)) }),
        };
        let (resolved, mut steps) = (ResolvedSchema::try_from(&self.shape.schema)?, Vec::new());
        for (place, link) in links.iter().enumerate() {
            let last = place + 1 == links.len();
            let module = match with.filter(|_| last) {
                Some(wasm) => self.engine.load(wasm)?,
                None => stored(catalog, &link.module)?,
            };
            let mut chain = self.chain(module, &link.parameters)?;
            let late = last && letter.said.class == DEADLINE;
            let median = if late { Some(self.median(&mut chain)?) } else { None };
            let (emitted, end) = self.step(&mut chain, &records)?;
            let module = chain.header().to_owned();
            let changes = match (records.as_slice(), emitted.as_slice()) {
                ([before], [after]) => self.changes(before, after, resolved.get_names())?,
                _ => Vec::new(),
            };
            steps.push(Shown { module, fuel: self.engine.take_used(), changes });
            if let Some(end) = end {
                return Ok(Replayed { steps, end: with_median(end, median) });
            }
            records = emitted;
        }
        let made = records.iter().map(|record| self.output.framed(&record.value, &letter.input));
        let end = match made.collect::<Result<Vec<_>, Reason>>() {
            Ok(_) => End::Emitted(records.len()),
            Err(reason) => End::Dead(said(&reason)),
        };
        Ok(Replayed { steps, end })
    }

    fn chain(&self, module: Arc<Module>, parameters: &BTreeMap<String, String>) -> anyhow::Result<Chain> {
        let options = Options {
            single_output: self.output.is_versioned(),
            outputs: None,
            tables: Some(Arc::clone(&self.tables)),
        };
        let alias = module.description().name.clone();
        let step = Step::new(alias, module, parameters.clone());
        Ok(Chain::with_options(&self.engine, vec![step], &self.shape.text, options)?)
    }

    /// One module on what the one before made of the record.
    fn step(&self, chain: &mut Chain, records: &[Record]) -> anyhow::Result<(Vec<Record>, Option<End>)> {
        let (mut emitted, mut dropped) = (Vec::new(), false);
        self.engine.take_used();
        for record in records {
            chain.begin();
            match chain.apply(std::slice::from_ref(record))?.pop().context("the sandbox judged nothing")? {
                Verdict::Emit(records) => emitted.extend(records),
                Verdict::Drop { .. } => dropped = true,
                Verdict::Reject(rejection) => {
                    let (class, message) = (class(rejection.kind).to_owned(), rejection.reason);
                    let said = Said { stage: "TRANSFORMATION".to_owned(), class, message };
                    return Ok((Vec::new(), Some(End::Dead(said))));
                }
            }
        }
        let end = (emitted.is_empty() && dropped).then_some(End::Dropped);
        Ok((emitted, end))
    }

    /// What an ordinary record costs the module; from now on a call gets twenty times as much.
    fn median(&self, chain: &mut Chain) -> anyhow::Result<u64> {
        let samples = samples::of(&self.shape.text).map_err(anyhow::Error::msg)?;
        self.engine.set_fuel(SAMPLE_FUEL);
        let mut used = Vec::new();
        for sample in samples.all.iter().take(SAMPLES) {
            self.engine.take_used();
            chain.begin();
            chain.apply(std::slice::from_ref(&sample.record))?;
            used.push(self.engine.take_used());
        }
        used.sort_unstable();
        let median = used.get(used.len() / 2).copied().unwrap_or(0).max(LEAST);
        ensure!(median < SAMPLE_FUEL, "the module does not end on ordinary records either; its median cannot be told");
        self.engine.set_fuel(median.saturating_mul(TIMES));
        Ok(median)
    }

    fn changes(&self, before: &Record, after: &Record, names: &NamesRef<'_>) -> anyhow::Result<Vec<Change>> {
        let reader = GenericDatumReader::builder(&self.shape.schema).human_readable(false).build()?;
        let fields = |record: &Record| -> anyhow::Result<Vec<Field>> {
            let value = reader.read_value(&mut record.value.as_slice()).context("a record cannot be read again")?;
            Ok(fields::flat(&value, &self.shape.schema, names))
        };
        Ok(fields::changes(&fields(before)?, &fields(after)?))
    }
}

/// The module with this label, if it is the same code still.
fn stored(catalog: &Catalog, label: &str) -> anyhow::Result<Arc<Module>> {
    let (key, _) = label.split_once('+').with_context(|| format!("{label} names no module"))?;
    match catalog.module(key) {
        Some(Ok(module)) if module.label() == label => Ok(module),
        Some(Ok(module)) => bail!("{key} is {} now, not {label}", module.label()),
        Some(Err(reason)) => bail!("{key} cannot be loaded: {reason}"),
        None => bail!("{key} is not here any more; upload it again, the digest shows whether it is the same"),
    }
}

fn said(reason: &Reason) -> Said {
    Said { stage: reason.stage.as_str().to_owned(), class: reason.class.to_owned(), message: reason.message.clone() }
}

fn with_median(end: End, median: Option<u64>) -> End {
    match (end, median) {
        (End::Dead(said), Some(median)) if said.class == DEADLINE => {
            let message =
                format!("{}: {TIMES} times the {median} units that it takes for an ordinary record", said.message);
            End::Dead(Said { message, ..said })
        }
        (end, _) => end,
    }
}
