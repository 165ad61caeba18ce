//! Modules in a row: what one emits is what the next one gets.

use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
    mem,
    sync::Arc,
};

use crate::{
    Engine, FaultKind, Level, LogLine, Metric, Module, NamedOutput, Passed, Record, Rejection, Tables, Usage, Verdict,
    When,
    instance::Settings,
    outputs::Outputs,
    schema::Shape,
    stage::{Hunt, Outcome, Parts, Stage},
    state::Spoken,
    tables::EmptyTables,
};

/// One module of a chain, as a pipeline names it.
#[derive(Clone, Debug)]
pub struct Step {
    /// The pipeline's own name for it: `transforms.<alias>.type`.
    pub alias: String,
    /// The module.
    pub module: Arc<Module>,
    /// What the pipeline sets.
    pub parameters: BTreeMap<String, String>,
    /// Which records it gets; `None`: all. The others pass it unchanged, in their order.
    pub when: Option<When>,
    /// How long an instance lives.
    pub isolation: Isolation,
}

impl Step {
    /// A step that gets every record.
    pub fn new(alias: impl Into<String>, module: Arc<Module>, parameters: BTreeMap<String, String>) -> Self {
        Self { alias: alias.into(), module, parameters, when: None, isolation: Isolation::default() }
    }
}

/// How long an instance of a module lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Until something goes wrong.
    #[default]
    Instance,
    /// For one call: what a module keeps of one batch, the next one never meets. An instantiation and a `configure` a
    /// call are the price: see `isolation` in the tests.
    Batch,
}

/// What a chain may do beside its modules.
#[derive(Clone, Default)]
pub struct Options {
    /// At most one record comes out of an input, under the input's key; this is for the main output.
    pub single_output: bool,
    /// Outputs beside the main one. `None`, as in a dry run: every name that a module says is one.
    pub outputs: Option<BTreeMap<String, NamedOutput>>,
    /// Tables for `lookup`. `None`, as in a dry run: every table is there, and there is nothing in it.
    pub tables: Option<Arc<dyn Tables>>,
}

/// Why a chain cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigureError {
    /// There is no module in it.
    #[error("a chain needs at least one module")]
    Empty,
    /// There are too many.
    #[error("a chain has at most {most} modules, this one has {0}", most = Passed::MOST)]
    TooMany(usize),
    /// The output schema cannot be read.
    #[error("the output schema cannot be read: {0}")]
    OutputSchema(String),
    /// A module comes from another engine.
    #[error("transforms.{alias}: the module was loaded by another engine")]
    OtherEngine {
        /// The step.
        alias: String,
    },
    /// A module was built for another schema.
    #[error(
        "transforms.{alias}: {module} was built for another schema than the output's: {difference}; build it again"
    )]
    ModuleSchema {
        /// The step.
        alias: String,
        /// The module's label.
        module: String,
        /// What is different.
        difference: String,
    },
    /// The pipeline sets a parameter that the module does not have.
    #[error("transforms.{alias}.{parameter}: {module} has no such parameter; it has: {known}")]
    UnknownParameter {
        /// The step.
        alias: String,
        /// The module's label.
        module: String,
        /// The parameter.
        parameter: String,
        /// Those that it has.
        known: String,
    },
    /// The pipeline does not set a parameter that the module needs.
    #[error("transforms.{alias}.{parameter}: {module} needs it; set {expected}")]
    MissingParameter {
        /// The step.
        alias: String,
        /// The module's label.
        module: String,
        /// The parameter.
        parameter: String,
        /// What is needed.
        expected: &'static str,
    },
    /// A parameter's text is not of its kind.
    #[error("transforms.{alias}.{parameter}: `{value}` is not {expected}")]
    ParameterKind {
        /// The step.
        alias: String,
        /// The parameter.
        parameter: String,
        /// The text.
        value: String,
        /// What is needed.
        expected: &'static str,
    },
    /// The module does not take its settings.
    #[error("transforms.{alias}: {module} refuses its settings: {reason}")]
    Refused {
        /// The step.
        alias: String,
        /// The module's label.
        module: String,
        /// The module's own words; they name the parameter.
        reason: String,
    },
    /// The module failed when it was started.
    #[error("transforms.{alias}: {module} cannot be started: {reason}")]
    Start {
        /// The step.
        alias: String,
        /// The module's label.
        module: String,
        /// Why not.
        reason: String,
    },
}

/// Why a batch could not be judged. The chain can be used again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Too many records ran out of time since [`Chain::begin`].
    #[error("{time_outs} records ran out of time in one transaction, the last in {module}; the breaker is open")]
    Breaker {
        /// Label of the module that ran out of time last.
        module: String,
        /// How many records did.
        time_outs: u32,
    },
    /// A table that modules look records up in is not there.
    #[error("a lookup cannot be answered: {0}")]
    Lookup(String),
    /// A module that passed its checks cannot be started any more.
    #[error("cannot start {module}: {reason}")]
    Start {
        /// Label of the module.
        module: String,
        /// Why.
        reason: String,
    },
}

/// Lines that a chain keeps until they are taken; the oldest go first.
const KEPT_LINES: usize = 1_000;

/// A chain of modules, ready for batches. One chain belongs to one thread at a time.
pub struct Chain {
    header: String,
    stages: Vec<Stage>,
    outputs: Arc<Outputs>,
    hunt: Hunt,
    lines: VecDeque<LogLine>,
    counters: Counters,
}

/// For each module its counters. A name stays when its count is taken, so that a module's names can be numbered.
type Counters = BTreeMap<String, BTreeMap<String, u64>>;

impl Chain {
    /// A chain with the default options.
    pub fn new(engine: &Arc<Engine>, steps: Vec<Step>, output_schema: &str) -> Result<Self, ConfigureError> {
        Self::with_options(engine, steps, output_schema, Options::default())
    }

    /// A chain. Checks every parameter against what its module describes, and configures an instance of each.
    pub fn with_options(
        engine: &Arc<Engine>,
        steps: Vec<Step>,
        output_schema: &str,
        options: Options,
    ) -> Result<Self, ConfigureError> {
        if steps.is_empty() {
            return Err(ConfigureError::Empty);
        }
        if steps.len() > Passed::MOST {
            return Err(ConfigureError::TooMany(steps.len()));
        }
        let shape = Arc::new(Shape::parse(output_schema).map_err(ConfigureError::OutputSchema)?);
        let tables = options.tables.unwrap_or_else(|| Arc::new(EmptyTables));
        let outputs = Arc::new(Outputs::new(options.single_output, options.outputs));
        let mut stages = Vec::with_capacity(steps.len());
        for (place, step) in steps.into_iter().enumerate() {
            check(engine, &step, &shape)?;
            let Step { alias, module, parameters, when, isolation } = step;
            let label = module.label();
            let is_brief = module.shape().is_some_and(|built_for| *built_for != *shape);
            let schema =
                module.description().schema.as_deref().filter(|_| is_brief).unwrap_or(output_schema).to_owned();
            let settings = Settings { schema, parameters: parameters.into_iter().collect() };
            let (shape, tables, outputs) = (Arc::clone(&shape), Arc::clone(&tables), Arc::clone(&outputs));
            let alias_ = alias.clone();
            let parts =
                Parts { place, alias: alias_, module, settings, when, isolation, shape, is_brief, tables, outputs };
            let stage = Stage::new(parts).map_err(|fault| match fault.kind {
                FaultKind::Rejected => ConfigureError::Refused { alias, module: label, reason: fault.reason },
                _ => ConfigureError::Start { alias, module: label, reason: fault.reason },
            })?;
            stages.push(stage);
        }
        let header = stages.iter().map(|stage| stage.label.as_str()).collect::<Vec<_>>().join(",");
        let (hunt, lines, counters) = (Hunt::default(), VecDeque::new(), Counters::new());
        Ok(Self { header, stages, outputs, hunt, lines, counters })
    }

    /// The labels of the modules, comma-joined, in order: the value of the header `orderflow.modules` of a record that
    /// went through all of them.
    pub fn header(&self) -> &str {
        &self.header
    }

    /// The same for a record that went through these: those whose predicate excluded it are not named.
    pub fn header_of(&self, passed: Passed) -> Cow<'_, str> {
        let labels = || self.stages.iter().enumerate().filter(|(place, _)| passed.has(*place));
        if labels().count() == self.stages.len() {
            return Cow::Borrowed(&self.header);
        }
        Cow::Owned(labels().map(|(_, stage)| stage.label.as_str()).collect::<Vec<_>>().join(","))
    }

    /// Begins a transaction: the time for hunting poison and the count of time-outs start anew. The processor calls it
    /// at the start of each transaction, however many batches the transaction has.
    pub fn begin(&mut self) {
        self.hunt = Hunt::default();
    }

    /// Judges a batch: one verdict an input, in order.
    ///
    /// **There may be fewer verdicts than inputs** (at least one): the hunt for poison is over its time, too many records
    /// ran out of time, or the batch became more than one transaction should have; what is there is the proven prefix.
    /// Commit it, [`Chain::begin`] the next transaction and hand in the rest again.
    ///
    /// A fault of a module costs the one record that caused it: it is found by bisection on fresh instances. Where an
    /// input became several records and a later module rejects one of them, the input is rejected.
    pub fn apply(&mut self, batch: &[Record]) -> Result<Vec<Verdict>, ChainError> {
        let mut verdicts: Vec<Verdict> = Vec::new();
        let Self { stages, outputs, hunt, lines, counters, .. } = self;
        for (index, stage) in stages.iter_mut().enumerate() {
            let mut spoken = Vec::new();
            let result = if index == 0 {
                first(stage, batch, hunt, &mut spoken).map(|first| verdicts = first)
            } else {
                next(stage, (batch, outputs), &mut verdicts, hunt, &mut spoken)
            };
            spoken.into_iter().for_each(|spoken| keep(lines, counters, stage, spoken));
            result?;
            if let Some(module) = hunt.tripped.take() {
                // Nobody knows whether the records are bad or the module is: those that ran out of time are not judged.
                verdicts.truncate(verdicts.iter().position(ran_out_of_time).unwrap_or(verdicts.len()));
                if verdicts.is_empty() {
                    return Err(ChainError::Breaker { module, time_outs: hunt.time_outs });
                }
            }
        }
        Ok(verdicts)
    }

    /// The most memory that the modules' instances took: the sum of each one's most.
    pub fn memory_bytes(&self) -> usize {
        self.stages.iter().map(|stage| stage.usage.memory_bytes).sum()
    }

    /// What each module did since the last call, in the order of the chain.
    pub fn take_usage(&mut self) -> Vec<Usage> {
        let taken = self.stages.iter_mut().map(|stage| {
            let (module, memory_bytes) = (stage.label.clone(), stage.usage.memory_bytes);
            mem::replace(&mut stage.usage, Usage { module, memory_bytes, ..Usage::default() })
        });
        taken.collect()
    }

    /// What the modules logged since the last call, oldest first; bounded.
    pub fn take_logs(&mut self) -> Vec<LogLine> {
        mem::take(&mut self.lines).into()
    }

    /// What the modules counted since the last call; bounded.
    pub fn take_metrics(&mut self) -> Vec<Metric> {
        let mut taken = Vec::new();
        for (module, counters) in &mut self.counters {
            for (name, count) in counters.iter_mut().filter(|(_, count)| **count > 0) {
                taken.push(Metric { module: module.clone(), name: name.clone(), by: mem::take(count) });
            }
        }
        taken
    }
}

fn ran_out_of_time(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Reject(rejection) if rejection.kind == FaultKind::Deadline)
}

/// Checks a step against what its module describes.
fn check(engine: &Arc<Engine>, step: &Step, shape: &Shape) -> Result<(), ConfigureError> {
    let (alias, module) = (step.alias.clone(), step.module.label());
    if !Arc::ptr_eq(engine, step.module.engine()) {
        return Err(ConfigureError::OtherEngine { alias });
    }
    // What was built for an older version, which only lacks the last fields, goes on: they pass it by.
    let misfit = step.module.shape().filter(|built_for| !shape.begins_with(built_for));
    if let Some(difference) = misfit.and_then(|built_for| built_for.difference(shape)) {
        return Err(ConfigureError::ModuleSchema { alias, module, difference });
    }
    let known = &step.module.description().parameters;
    for (name, value) in &step.parameters {
        let Some(parameter) = known.iter().find(|parameter| parameter.name == *name) else {
            let known: Vec<_> = known.iter().map(|parameter| parameter.name.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(ConfigureError::UnknownParameter { alias, module, parameter: name.clone(), known });
        };
        if !parameter.kind.admits(value) {
            let (parameter, expected) = (name.clone(), parameter.kind.expected());
            return Err(ConfigureError::ParameterKind { alias, parameter, value: value.clone(), expected });
        }
    }
    let missing = known.iter().find(|parameter| parameter.required && !step.parameters.contains_key(&parameter.name));
    match missing {
        Some(missing) => {
            let (parameter, expected) = (missing.name.clone(), missing.kind.expected());
            Err(ConfigureError::MissingParameter { alias, module, parameter, expected })
        }
        None => Ok(()),
    }
}

/// The first module, which reads the caller's records.
fn first(
    stage: &mut Stage,
    batch: &[Record],
    hunt: &mut Hunt,
    spoken: &mut Vec<Spoken>,
) -> Result<Vec<Verdict>, ChainError> {
    let outcomes = stage.take(batch, 1, hunt, spoken)?;
    let verdicts = outcomes.into_iter().zip(batch).map(|(outcome, record)| match outcome {
        Outcome::Pass => Verdict::Emit(vec![record.clone()]),
        Outcome::Drop => Verdict::Drop { module: stage.label.clone() },
        Outcome::Reject(rejection) => Verdict::Reject(behind(record, rejection)),
        Outcome::Emit(records) => Verdict::Emit(records),
        Outcome::Replace(value) => Verdict::Emit(vec![stage.emitted(record, value)]),
    });
    Ok(verdicts.collect())
}

/// A later module, which reads what is still in the verdicts. Shortens them to what is proven.
fn next(
    stage: &mut Stage,
    (batch, outputs): (&[Record], &Outputs),
    verdicts: &mut Vec<Verdict>,
    hunt: &mut Hunt,
    spoken: &mut Vec<Spoken>,
) -> Result<(), ChainError> {
    let mut records = Vec::with_capacity(verdicts.len());
    let mut counts = Vec::with_capacity(verdicts.len());
    for verdict in verdicts.iter_mut() {
        let emitted = if let Verdict::Emit(emitted) = verdict { mem::take(emitted) } else { Vec::new() };
        counts.push(emitted.len());
        records.extend(emitted);
    }
    // The first input with anything in it must be done, so that the transaction moves on; those before it are done.
    let must = match counts.iter().find(|count| **count > 0) {
        Some(count) if matches!(verdicts.first(), Some(Verdict::Emit(_))) => *count,
        _ => 0,
    };
    let outcomes = stage.take(&records, must, hunt, spoken)?;
    let mut settled = records.into_iter().zip(outcomes);
    for index in 0..verdicts.len() {
        let count = counts.get(index).copied().unwrap_or(0);
        let part: Vec<_> = settled.by_ref().take(count).collect();
        if part.len() < count {
            verdicts.truncate(index);
            break;
        }
        if let Some(verdict) = verdicts.get_mut(index).filter(|_| count > 0) {
            *verdict = combined(stage, part);
            let key = batch.get(index).and_then(|input| input.key.as_deref());
            if let Verdict::Emit(records) = &verdict
                && let Err(reason) = outputs.check(key, records)
            {
                *verdict = unfit(stage, records, reason);
            }
        }
    }
    Ok(())
}

/// What came of an input cannot be written. It had gone through all that its records have.
fn unfit(stage: &Stage, records: &[Record], reason: String) -> Verdict {
    let rejection = stage.rejection(FaultKind::Output, reason);
    Verdict::Reject(records.iter().fold(rejection, |rejection, record| behind(record, rejection)))
}

/// One verdict for all records of one input.
fn combined(stage: &Stage, part: Vec<(Record, Outcome)>) -> Verdict {
    let mut emitted = Vec::with_capacity(part.len());
    for (record, outcome) in part {
        match outcome {
            Outcome::Drop => {}
            Outcome::Pass => emitted.push(record),
            Outcome::Reject(rejection) => return Verdict::Reject(behind(&record, rejection)),
            Outcome::Emit(records) => emitted.extend(records),
            Outcome::Replace(value) => {
                let passed = record.passed.and(stage.place());
                emitted.push(Record { value, passed, ..record });
            }
        }
        // Each module keeps to the limit for what it gets, so a chain of them could multiply.
        let (count, limit) = (emitted.len(), stage.limits().output_records);
        if count > limit {
            let reason = format!("{count} records from one input of the chain, the limit is {limit}");
            return unfit(stage, &emitted, reason);
        }
    }
    if emitted.is_empty() { Verdict::Drop { module: stage.label.clone() } } else { Verdict::Emit(emitted) }
}

/// A rejection of a record that had gone through some modules before.
fn behind(record: &Record, rejection: Rejection) -> Rejection {
    Rejection { passed: record.passed.with(rejection.passed), ..rejection }
}

/// Keeps what a call said, within bounds.
fn keep(lines: &mut VecDeque<LogLine>, counters: &mut Counters, stage: &Stage, spoken: Spoken) {
    let lost = (spoken.lost_lines > 0)
        .then(|| (Level::Warn, format!("{} more lines in one call were not kept", spoken.lost_lines)));
    for (level, text) in spoken.lines.into_iter().chain(lost) {
        if lines.len() >= KEPT_LINES {
            lines.pop_front();
        }
        lines.push_back(LogLine { module: stage.label.clone(), level, text });
    }
    if spoken.counters.is_empty() {
        return;
    }
    // A call has so many names at most, and so has the module in all its calls: a name that is new each time must not
    // fill the host.
    let own = counters.entry(stage.label.clone()).or_default();
    for (name, by) in spoken.counters {
        if let Some(counter) = own.get_mut(&name) {
            *counter = counter.saturating_add(by);
        } else if own.len() < stage.limits().metric_names {
            own.insert(name, by);
        }
    }
}
