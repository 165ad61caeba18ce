//! Runs one module in the sandbox, with the limits of `serve`, on orders: what became of each, and how long it took.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::{NamesRef, ResolvedSchema};
use schemas::contracts::ORDER_PLACED_AVSC;
use transform_host::{Chain, ChainError, Engine, FaultKind, Limits, Options, Record, Step, Verdict};

use super::fields::{self, Change, Field};
use super::orders::{Sample, Shape};
use super::report::{Counts, Judged, Line, Outcome, Output, Report};
use crate::kafka::Input;
use crate::logs::word;
use crate::record::finish;

/// A module that runs out of time on so many orders is not asked about more: each costs a tenth of a second and more.
const MAX_TIME_OUTS: usize = 10;
/// How long the time of a record is measured, and how often.
const MEASURE: Duration = Duration::from_millis(200);
const MAX_RUNS: usize = 50;
/// Lines of the module's log that are kept.
const MAX_LINES: usize = 100;

/// An engine with the limits of `serve`.
///
/// # Errors
/// When this machine cannot run WebAssembly.
pub fn engine() -> anyhow::Result<Arc<Engine>> {
    Ok(Engine::new(Limits::default())?)
}

/// A module that is ready for orders.
pub struct Trial {
    /// The schema of what goes in and comes out.
    pub shape: Shape,
    chain: Chain,
    finish: finish::Output,
    parameters: BTreeMap<String, String>,
}

impl Trial {
    /// Loads a module and gives it its parameters, with the checks of an upload and of a pipeline.
    ///
    /// # Errors
    /// What an upload or a pipeline would be refused for.
    pub fn new(engine: &Arc<Engine>, wasm: &[u8], parameters: &BTreeMap<String, String>) -> anyhow::Result<Self> {
        let module = engine.load(wasm)?;
        let schema = module.description().schema.clone();
        let shape = Shape::parse(schema.as_deref().unwrap_or(ORDER_PLACED_AVSC))?;
        let finish = finish::Output::new(1, &shape.text).map_err(anyhow::Error::msg)?;
        // As in a pipeline: a record that carries a version comes out once, under its key.
        let options = Options { single_output: finish.is_versioned(), ..Options::default() };
        let alias = module.description().name.clone();
        let step = Step::new(alias, module, parameters.clone());
        let chain = Chain::with_options(engine, vec![step], &shape.text, options)
            .context("a pipeline would not start with this module; set its parameters with --set NAME=VALUE")?;
        Ok(Self { shape, chain, finish, parameters: parameters.clone() })
    }

    /// Runs the orders and compares before and after.
    ///
    /// # Errors
    /// When nothing can be said: the module runs out of time again and again, or cannot be started any more.
    pub fn run(&mut self, samples: &[Sample]) -> anyhow::Result<Report> {
        let records: Vec<Record> = samples.iter().filter_map(|sample| sample.record.clone().ok()).collect();
        let verdicts = judge(&mut self.chain, &records)?;
        let log = self.chain.take_logs().into_iter().take(MAX_LINES);
        let log = log.map(|line| Line { level: word(line.level), text: line.text }).collect();
        let counters = self.chain.take_metrics().into_iter().map(|metric| (metric.name, metric.by)).collect();
        let time = self.measure(&records, &verdicts)?;
        let mut verdicts = verdicts.into_iter();
        let resolved = ResolvedSchema::try_from(&self.shape.schema)?;
        let mut judged = Vec::with_capacity(samples.len());
        for sample in samples {
            let (key, outcome) = match &sample.record {
                Err(reason) => (None, Outcome::Unread { reason: reason.clone() }),
                Ok(record) => {
                    let verdict = verdicts.next().context("the module judged fewer orders than there are")?;
                    (record.key.as_deref(), self.outcome(record, verdict, resolved.get_names())?)
                }
            };
            let key = key.and_then(|key| std::str::from_utf8(key).ok()).map(str::to_owned);
            judged.push(Judged { at: sample.place.clone(), key, outcome });
        }
        let counts = Counts::of(judged.iter().map(|judged| &judged.outcome));
        let (module, parameters) = (self.chain.header().to_owned(), self.parameters.clone());
        Ok(Report { module, parameters, records: judged, counts, time, log, counters })
    }

    fn outcome(&self, before: &Record, verdict: Verdict, names: &NamesRef<'_>) -> anyhow::Result<Outcome> {
        let emitted = match verdict {
            Verdict::Drop { .. } => return Ok(Outcome::Dropped),
            Verdict::Reject(rejection) => {
                return Ok(match rejection.kind {
                    FaultKind::Rejected => Outcome::Rejected { reason: rejection.reason },
                    kind => Outcome::Broken { kind: kind.name(), reason: rejection.reason },
                });
            }
            Verdict::Emit(emitted) => emitted,
        };
        let input = Input {
            topic: Arc::from(""),
            partition: 0,
            offset: 0,
            timestamp_ms: None,
            key: before.key.clone(),
            value: None,
            headers: Vec::new(),
        };
        let fields = self.fields(&before.value, names)?;
        let mut outputs = Vec::with_capacity(emitted.len());
        for record in emitted {
            // What the processor would not write does not come out.
            if let Err(reason) = self.finish.framed(&record.value, &input) {
                return Ok(Outcome::Broken { kind: FaultKind::Output.name(), reason: reason.message });
            }
            let mut changes = fields::changes(&fields, &self.fields(&record.value, names)?);
            changes.extend(around(before, &record));
            outputs.push(Output { changes });
        }
        Ok(Outcome::Emitted { outputs })
    }

    fn fields(&self, datum: &[u8], names: &NamesRef<'_>) -> anyhow::Result<Vec<Field>> {
        let reader = GenericDatumReader::builder(&self.shape.schema).human_readable(false).build()?;
        let mut rest = datum;
        let value = reader.read_value(&mut rest).context("a record cannot be read again")?;
        Ok(fields::flat(&value, &self.shape.schema, names))
    }

    /// The median of some runs over the orders that the module does not break on.
    fn measure(&mut self, records: &[Record], verdicts: &[Verdict]) -> anyhow::Result<Option<Duration>> {
        let whole = |verdict: &Verdict| match verdict {
            Verdict::Reject(rejection) => rejection.kind == FaultKind::Rejected,
            Verdict::Emit(_) | Verdict::Drop { .. } => true,
        };
        let good = records.iter().zip(verdicts).filter(|(_, verdict)| whole(verdict));
        let good: Vec<Record> = good.map(|(record, _)| record.clone()).collect();
        let Some(count) = u32::try_from(good.len()).ok().filter(|count| *count > 0) else { return Ok(None) };
        let (mut times, started) = (Vec::new(), Instant::now());
        while times.len() < MAX_RUNS && (times.is_empty() || started.elapsed() < MEASURE) {
            let run = Instant::now();
            judge(&mut self.chain, &good)?;
            times.push(run.elapsed());
        }
        // What it said in these runs was said before.
        self.chain.take_logs();
        self.chain.take_metrics();
        times.sort();
        Ok(times.get(times.len() / 2).map(|median| *median / count))
    }
}

/// All records in the sandbox, however often the chain has to begin anew.
fn judge(chain: &mut Chain, records: &[Record]) -> anyhow::Result<Vec<Verdict>> {
    let mut verdicts: Vec<Verdict> = Vec::with_capacity(records.len());
    while let Some(rest) = records.get(verdicts.len()..).filter(|rest| !rest.is_empty()) {
        chain.begin();
        let judged = match chain.apply(rest) {
            Ok(judged) => judged,
            // The next one alone runs out of time, and then what stands behind it is looked at.
            Err(ChainError::Breaker { .. }) => {
                chain.begin();
                chain.apply(rest.get(..1).unwrap_or_default())?
            }
            Err(error @ (ChainError::Start { .. } | ChainError::Lookup(_))) => bail!(error),
        };
        ensure!(!judged.is_empty(), "the sandbox judged nothing");
        verdicts.extend(judged);
        let late = |verdict: &&Verdict| matches!(verdict, Verdict::Reject(why) if why.kind == FaultKind::Deadline);
        let late = verdicts.iter().filter(late).count();
        ensure!(late < MAX_TIME_OUTS, "the module ran out of time on {late} orders; look for a loop that does not end");
    }
    Ok(verdicts)
}

/// What is different beside the value: the key and the headers.
fn around(before: &Record, after: &Record) -> impl Iterator<Item = Change> {
    let text = |bytes: &[u8]| serde_json::Value::from(String::from_utf8_lossy(bytes)).to_string();
    let field = |path: &str, bytes: Option<&[u8]>| {
        let json = bytes.map_or_else(|| "null".to_owned(), text);
        Field { path: path.to_owned(), json, read: None }
    };
    let rows = |record: &Record| {
        let headers = record.headers.iter().map(|(name, value)| field(&format!("header {name}"), value.as_deref()));
        std::iter::once(field("key", record.key.as_deref())).chain(headers).collect::<Vec<_>>()
    };
    fields::changes(&rows(before), &rows(after)).into_iter()
}
