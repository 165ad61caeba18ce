//! Judges a record step by step, so that each module's part in it can be shown: by the first module, by the first two, and
//! so on, each time as a chain. So the last verdict is the chain's own, with all its rules on what comes out of one record,
//! and what a step costs is the difference. For a dead letter they run on fuel, so the same record ends the same way on
//! every machine.
//!
//! A time-out has no such number: how far a module came in its time depends on the machine. It is run with twenty times
//! the fuel that the module needs for an ordinary record, and what is still running then is as good as endless.

use std::borrow::Cow;
use std::ops::Range;
use std::slice;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, bail, ensure};
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::ResolvedSchema;
use transform_host::{Chain, Engine, FaultKind, Module, Options, Passed, Record, Rejection, Step, Verdict};

use super::run::Shown;
use super::setting::Part;
use crate::author::fields::{self, Change, Field};
use crate::author::orders::Shape;
use crate::intake::samples;
use crate::record::judge::{Judge, Unjudged};
use crate::state::catalog::Catalog;

/// A call gets so much, some seconds of a processor: far more than a time-out in the pipeline leaves.
pub(super) const FUEL: u64 = 4_000_000_000;
/// An ordinary record gets so much while the median is looked for.
const SAMPLE_FUEL: u64 = 100_000_000;
/// Ordinary records that the median is taken of.
const SAMPLES: usize = 101;
/// So many times the median is endless.
const TIMES: u64 = 20;
/// A median of no fuel is none; a call costs some in any case.
const LEAST: u64 = 1_000;

/// Whether nobody waits for what comes of it any more.
pub(super) type IsOver = Arc<dyn Fn() -> bool + Send + Sync>;

/// The modules of a run.
pub(super) struct Stepwise {
    pub(super) engine: Arc<Engine>,
    pub(super) catalog: Arc<Catalog>,
    pub(super) shape: Arc<Shape>,
    pub(super) options: Options,
    pub(super) course: Course,
    /// The modules that the record came to.
    pub(super) shown: Arc<Mutex<Vec<Shown>>>,
    /// The chain of the last verdict.
    pub(super) last: Option<Chain>,
}

/// Which modules, and what of them is looked at.
pub(super) struct Course {
    pub(super) steps: Vec<Part>,
    /// What stands for the module at this place.
    pub(super) with: Option<(usize, Arc<Module>)>,
    /// The place of the module that ran out of time.
    pub(super) late: Option<usize>,
    /// Where the record goes whose way is shown, should several come out of one: the outputs as modules call them, the main
    /// one without a name. Empty: then there is nothing to show.
    pub(super) towards: Vec<Option<String>>,
    pub(super) is_over: IsOver,
}

impl Course {
    /// Through these modules, for as long as it takes.
    pub(super) fn of(steps: Vec<Part>) -> Self {
        Self { steps, with: None, late: None, towards: Vec::new(), is_over: Arc::new(|| false) }
    }
}

impl Judge for Stepwise {
    fn begin(&mut self) {}

    fn judge(&mut self, records: &[Record]) -> Result<Vec<Verdict>, Unjudged> {
        let mut verdicts = Vec::with_capacity(records.len());
        for record in records {
            let verdict = self.verdict(record).map_err(|error| Unjudged::Stopped(format!("{error:#}")))?;
            verdicts.push(verdict);
        }
        Ok(verdicts)
    }

    fn header(&self) -> &str {
        self.last.as_ref().map_or("", Chain::header)
    }

    fn header_of(&self, passed: Passed) -> Cow<'_, str> {
        self.last.as_ref().map_or(Cow::Borrowed(""), |chain| chain.header_of(passed))
    }
}

impl Stepwise {
    fn verdict(&mut self, record: &Record) -> anyhow::Result<Verdict> {
        self.engine.set_fuel(FUEL);
        let (mut stand, mut used) = (vec![record.clone()], 0);
        for place in 0..self.course.steps.len() {
            ensure!(!(self.course.is_over)(), "nobody waits for it any more");
            if let Some(verdict) = self.endless(place, &stand)? {
                return Ok(verdict);
            }
            let mut chain = self.chain(0..place + 1, true)?;
            self.engine.take_used();
            let verdict = judged(&mut chain, record)?;
            let all = self.engine.take_used();
            self.last = Some(chain);
            if self.came_to(place, &verdict) {
                let emitted = if let Verdict::Emit(records) = &verdict { records.as_slice() } else { &[] };
                self.show(place, all.saturating_sub(used), &stand, emitted)?;
            }
            used = all;
            match verdict {
                Verdict::Emit(records) => stand = records,
                Verdict::Drop { .. } | Verdict::Reject(_) => return Ok(verdict),
            }
        }
        Ok(Verdict::Emit(stand))
    }

    /// The verdict of the module that ran out of time once, if it runs out of what is as good as endless for it.
    fn endless(&self, place: usize, stand: &[Record]) -> anyhow::Result<Option<Verdict>> {
        if self.course.late != Some(place) {
            return Ok(None);
        }
        let median = self.median(&mut self.chain(place..place + 1, false)?)?;
        let mut alone = self.chain(place..place + 1, true)?;
        self.engine.set_fuel(median.saturating_mul(TIMES));
        self.engine.take_used();
        let mut ended = None;
        for record in stand {
            if let Verdict::Reject(rejection) = judged(&mut alone, record)?
                && rejection.kind == FaultKind::Deadline
            {
                ended = Some(rejection);
                break;
            }
        }
        self.engine.set_fuel(FUEL);
        let Some(rejection) = ended else { return Ok(None) };
        self.show(place, self.engine.take_used(), stand, &[])?;
        let ordinary = format!("{TIMES} times the {median} units that it takes for an ordinary record");
        let reason = format!("{}: {ordinary}", rejection.reason);
        Ok(Some(Verdict::Reject(Rejection { reason, ..rejection })))
    }

    /// What an ordinary record costs the one module of this chain.
    fn median(&self, chain: &mut Chain) -> anyhow::Result<u64> {
        let samples = samples::of(&self.shape.text).map_err(anyhow::Error::msg)?;
        self.engine.set_fuel(SAMPLE_FUEL);
        let mut used = Vec::new();
        for sample in samples.all.iter().take(SAMPLES) {
            self.engine.take_used();
            judged(chain, &sample.record)?;
            used.push(self.engine.take_used());
        }
        used.sort_unstable();
        let median = used.get(used.len() / 2).copied().unwrap_or(0).max(LEAST);
        ensure!(median < SAMPLE_FUEL, "the module does not end on ordinary records either; its median cannot be told");
        Ok(median)
    }

    /// The modules at these places; `asked`: with their predicates.
    fn chain(&self, places: Range<usize>, asked: bool) -> anyhow::Result<Chain> {
        let step = |(place, part): (usize, &Part)| -> anyhow::Result<Step> {
            let module = self.module(place, part)?;
            // The letter proves that the record came to the module that another one stands for.
            let stands_in = self.course.with.as_ref().is_some_and(|(at, _)| *at == place);
            let when = part.when.clone().filter(|_| asked && !stands_in);
            let alias = module.description().name.clone();
            Ok(Step { when, ..Step::new(alias, module, part.link.parameters.clone()) })
        };
        let steps = self.course.steps.iter().enumerate().skip(places.start).take(places.len());
        let steps = steps.map(step).collect::<anyhow::Result<Vec<Step>>>()?;
        Ok(Chain::with_options(&self.engine, steps, &self.shape.text, self.options.clone())?)
    }

    fn module(&self, place: usize, part: &Part) -> anyhow::Result<Arc<Module>> {
        match &self.course.with {
            Some((at, module)) if *at == place => Ok(Arc::clone(module)),
            Some(_) | None => stored(&self.catalog, &part.link.module),
        }
    }

    /// Whether the module at this place, the last one, had a part in it. Its predicate may have let the record by.
    fn came_to(&self, place: usize, verdict: &Verdict) -> bool {
        match verdict {
            Verdict::Emit(records) => match self.on_the_way(records) {
                Some(record) => record.passed.has(place),
                None => records.iter().any(|record| record.passed.has(place)),
            },
            // Those before it had let the record on.
            Verdict::Drop { .. } | Verdict::Reject(_) => true,
        }
    }

    /// The record of these whose way is shown.
    fn on_the_way<'r>(&self, records: &'r [Record]) -> Option<&'r Record> {
        if let [only] = records {
            return Some(only);
        }
        let goes =
            |record: &&Record| self.course.towards.iter().any(|output| output.as_deref() == record.output.as_deref());
        let mut going = records.iter().filter(goes);
        going.next().filter(|_| going.next().is_none())
    }

    /// Keeps what there is to show of a step.
    fn show(&self, place: usize, fuel: u64, before: &[Record], after: &[Record]) -> anyhow::Result<()> {
        let Some(part) = self.course.steps.get(place) else { return Ok(()) };
        let module = self.module(place, part)?.label();
        let changes = match (self.on_the_way(before), self.on_the_way(after)) {
            (Some(before), Some(after)) => self.changes(before, after)?,
            _ if self.course.towards.is_empty() || after.is_empty() => Vec::new(),
            _ => bail!("{module} makes several records of one, and which of them became this one is not known"),
        };
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).push(Shown { module, fuel, changes });
        Ok(())
    }

    fn changes(&self, before: &Record, after: &Record) -> anyhow::Result<Vec<Change>> {
        let schema = &self.shape.schema;
        let resolved = ResolvedSchema::try_from(schema)?;
        let reader = GenericDatumReader::builder(schema).human_readable(false).build()?;
        let fields = |record: &Record| -> anyhow::Result<Vec<Field>> {
            let value = reader.read_value(&mut record.value.as_slice()).context("a record cannot be read again")?;
            Ok(fields::flat(&value, schema, resolved.get_names()))
        };
        Ok(fields::changes(&fields(before)?, &fields(after)?))
    }
}

fn judged(chain: &mut Chain, record: &Record) -> anyhow::Result<Verdict> {
    chain.begin();
    chain.apply(slice::from_ref(record))?.pop().context("the sandbox judged nothing")
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
