//! The work of a slot: a batch of inputs becomes outputs, dead letters and markers, in the order of the inputs.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use schemas::names::headers as names;
use transform_host::{ChainError, FaultKind, Record, Rejection, Verdict};

use super::divert::{self, Link, Module, Reason, Stage};
use super::finish::{self, Output};
use super::judge::{Judge, Unjudged};
use super::read;
use super::writers::{Reader, Writers};
use crate::kafka::{Headers, Input, Outgoing};
use crate::work::{Hold, Tally, Work};

mod routes;

pub(crate) use routes::options;

/// The kind of failure when an output is larger than its topic takes.
pub(crate) const TOO_LARGE: &str = "orderflow.OutputTooLarge";
/// The kind of failure when the broker takes no output of the record.
pub(crate) const REFUSED: &str = "orderflow.OutputRefused";

/// How long a batch rests that made too many records run out of time.
const BREAKER_PAUSE: Duration = Duration::from_secs(5);
/// Reading a batch takes so long at most: each schema that the registry does not know costs it some calls, and the group
/// waits for the slot.
const READ_TIME: Duration = Duration::from_secs(2);
/// What a transaction becomes is bounded, about: by bytes,
const OUTPUT_BYTES: usize = 32 * 1024 * 1024;
/// and by records.
const OUTPUT_RECORDS: usize = 50_000;

/// A topic that is written.
#[derive(Debug, Clone)]
pub struct Route {
    /// Its name.
    pub topic: Arc<str>,
    /// The largest record that it takes.
    pub max_bytes: usize,
}

/// An output beside the main one.
pub struct Named {
    /// Where it goes.
    pub route: Route,
    /// Its schema.
    pub output: Output,
    /// From the main output's schema, which all modules read and write, to its own; `None`: they are the same.
    pub reader: Option<&'static Reader>,
}

/// Where things go.
#[derive(Debug, Clone)]
pub struct Routes {
    /// Outputs.
    pub output: Route,
    /// Dead letters; `None`: the first bad record stops the slot (`errors.tolerance=none`).
    pub dead_letters: Option<Route>,
    /// Markers of what modules dropped.
    pub dropped: Route,
}

/// The work. One per slot.
pub struct Worker {
    /// The pipeline's name.
    pub pipeline: String,
    /// How long after the last transaction began a batch waits.
    pub commit_interval: Duration,
    /// Where things go.
    pub routes: Routes,
    /// The output schema.
    pub output: Output,
    /// The outputs beside the main one, by the names that modules say.
    pub named: BTreeMap<String, Named>,
    /// The writers' schemas.
    pub writers: Writers,
    /// The modules.
    pub judge: Box<dyn Judge>,
    /// Each step's parameters as JSON, by its alias.
    pub parameters: BTreeMap<String, String>,
    /// The modules by their places: what comes out wrong comes out of the last one that a record went through.
    pub makers: Vec<Module>,
}

/// What an input is before the verdicts.
enum Read {
    Record,
    Bad(Reason),
}

impl Work for Worker {
    fn apply(&mut self, batch: &[Input], out: &mut Vec<Outgoing>) -> Result<Tally, Hold> {
        self.judge.begin();
        let (read, records) = self.read(batch)?;
        let mut verdicts = self.verdicts(batch, &read, &records)?.into_iter();
        let (mut tally, mut room) = (Tally::default(), Room::default());
        for (input, read) in batch.iter().zip(read) {
            let outcome = match read {
                Read::Bad(reason) => Err(reason),
                Read::Record => match verdicts.next() {
                    Some(verdict) => self.outcome(input, verdict, out, &mut tally),
                    // What the chain did not get to comes again: what is done is committed first.
                    None => break,
                },
            };
            if let Err(reason) = outcome {
                if reason.module.is_some() {
                    let blamed = self.judge.blame((tally.done, input), &reason, self.routes.dead_letters.is_none());
                    blamed.map_err(|error| held(&error, input))?;
                }
                let Some(route) = &self.routes.dead_letters else {
                    return stop_at(input, &reason, tally);
                };
                out.push(self.dead_letter(input, route, &reason)?);
                tally.dead += 1;
            }
            tally.done += 1;
            if room.is_full(out) {
                break;
            }
        }
        Ok(tally)
    }

    fn commit_interval(&self) -> Duration {
        self.commit_interval
    }

    fn committed(&mut self, done: usize) {
        self.judge.committed(done);
    }

    fn divert(&mut self, input: &Input, reason: &str, out: &mut Vec<Outgoing>) -> Result<Tally, Hold> {
        let reason = Reason::new(Stage::Produce, REFUSED, reason);
        let Some(route) = &self.routes.dead_letters else { return stop_at(input, &reason, Tally::default()) };
        out.push(self.dead_letter(input, route, &reason)?);
        Ok(Tally { done: 1, dead: 1, ..Tally::default() })
    }
}

impl Worker {
    fn read(&mut self, batch: &[Input]) -> Result<(Vec<Read>, Vec<Record>), Hold> {
        let mut records = Vec::with_capacity(batch.len());
        let mut read = Vec::with_capacity(batch.len());
        let started = Instant::now();
        for input in batch {
            // A tombstone of something that is no order: it passes where the predicates let it pass every module.
            if input.value.is_none() && self.output.order_id().is_none() {
                records.push(Record { tombstone: true, ..record(input, Vec::new()) });
                read.push(Read::Record);
                continue;
            }
            match read::datum(input, &mut self.writers, self.output.order_id()) {
                Ok(Ok(datum)) => {
                    records.push(record(input, datum));
                    read.push(Read::Record);
                }
                Ok(Err(reason)) => read.push(Read::Bad(reason)),
                Err(hold) if read.is_empty() => return Err(hold),
                // What stands before it is done first; then it is the first.
                Err(_) => break,
            }
            if started.elapsed() > READ_TIME {
                break;
            }
        }
        Ok((read, records))
    }

    fn verdicts(&mut self, batch: &[Input], read: &[Read], records: &[Record]) -> Result<Vec<Verdict>, Hold> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        match (self.judge.judge(records), read.first(), batch.first()) {
            (Ok(verdicts), _, _) => {
                let records_of = |(input, read)| matches!(read, &Read::Record).then_some(input);
                self.judge.judged(&mut batch.iter().zip(read).filter_map(records_of), records, &verdicts);
                Ok(verdicts)
            }
            (Err(error), Some(Read::Record), Some(input)) => Err(held(&error, input)),
            // What stands before the first record needs no verdict, and is done first.
            (Err(_), _, _) => Ok(Vec::new()),
        }
    }

    fn outcome(
        &self,
        input: &Input,
        verdict: Verdict,
        out: &mut Vec<Outgoing>,
        tally: &mut Tally,
    ) -> Result<(), Reason> {
        match verdict {
            Verdict::Drop { module } => {
                out.push(self.marker(input, &module)?);
                tally.dropped += 1;
                Ok(())
            }
            Verdict::Emit(records) if records.is_empty() => {
                out.push(self.marker(input, self.judge.header())?);
                tally.dropped += 1;
                Ok(())
            }
            Verdict::Emit(records) => {
                let outputs = records.into_iter().map(|record| self.finished(input, record));
                let outputs = outputs.collect::<Result<Vec<_>, Reason>>()?;
                tally.out += outputs.len() as u64;
                out.extend(outputs);
                Ok(())
            }
            Verdict::Reject(rejection) => Err(self.rejected(rejection)),
        }
    }

    fn finished(&self, input: &Input, record: Record) -> Result<Outgoing, Reason> {
        let maker = record.passed.last().and_then(|place| self.makers.get(place));
        let unmade = |reason| {
            let module = maker.map(|maker| Module { lookups: self.judge.lookups(), ..maker.clone() });
            Reason { module, passed: record.passed, ..reason }
        };
        // The codec meets bytes of a module: should they make it panic, that costs this record, not the slot.
        let framed = catch_unwind(AssertUnwindSafe(|| self.framed(&record, input)));
        let framed = framed.unwrap_or_else(|_| {
            Err(Reason::new(Stage::Transformation, finish::CLASS, "the codec of the output broke on the value"))
        });
        let (value, route) = framed.map_err(unmade)?;
        let mut headers: Headers = input.headers.iter().filter(|(name, _)| divert::travels(name)).cloned().collect();
        divert::add(&mut headers, names::MODULES, &self.judge.header_of(record.passed));
        let topic = Arc::clone(&route.topic);
        let output = Outgoing { topic, key: record.key, value, timestamp_ms: input.timestamp_ms, headers };
        fitting(output, route, "output").map_err(unmade)
    }

    /// The value as its output's schema wants it, and where it goes.
    fn framed(&self, record: &Record, input: &Input) -> Result<(Option<Vec<u8>>, &Route), Reason> {
        let broken = |why: String| Reason::new(Stage::Transformation, finish::CLASS, why);
        let Some(name) = &record.output else {
            let value = if record.tombstone { None } else { Some(self.output.framed(&record.value, input)?) };
            return Ok((value, &self.routes.output));
        };
        // The chain has checked it already.
        let named = self.named.get(&**name).ok_or_else(|| broken(format!("the pipeline has no output {name}")))?;
        let resolved = named.reader.map(|reader| reader.resolve(&record.value)).transpose();
        let resolved = resolved.map_err(|error| broken(format!("output {name}: {error}")))?;
        let value = named.output.framed(resolved.as_deref().unwrap_or(&record.value), input)?;
        Ok((Some(value), &named.route))
    }

    fn marker(&self, input: &Input, module: &str) -> Result<Outgoing, Reason> {
        fitting(divert::marker(input, &self.routes.dropped.topic, module), &self.routes.dropped, "marker")
    }

    fn rejected(&self, rejection: Rejection) -> Reason {
        let class = class(rejection.kind);
        let parameters = self.parameters.get(&rejection.alias).cloned().unwrap_or_else(|| "{}".to_owned());
        let module = Module { label: rejection.module, parameters, lookups: self.judge.lookups() };
        let (module, passed) = (Some(module), rejection.passed);
        Reason { module, passed, ..Reason::new(Stage::Transformation, class, rejection.reason) }
    }

    /// A dead letter must fit, or the record could go nowhere and would be tried for ever.
    fn dead_letter(&self, input: &Input, route: &Route, reason: &Reason) -> Result<Outgoing, Hold> {
        let makers = self.makers.iter().enumerate().filter(|(place, _)| reason.passed.has(*place));
        let link = |(_, maker): (usize, &Module)| Link {
            module: maker.label.clone(),
            parameters: serde_json::from_str(&maker.parameters).unwrap_or_default(),
        };
        let (pipeline, schema) = (self.pipeline.clone(), self.output.id());
        let chain = divert::Chain { pipeline, schema, steps: makers.map(link).collect() };
        let letter = divert::dead_letter(input, &route.topic, reason, &chain);
        let (size, limit) = (letter.size(), route.max_bytes);
        if size <= limit {
            return Ok(letter);
        }
        Err(Hold::Fail(format!(
            "a dead letter for {} would have {size} bytes, it takes at most {limit}; raise its max.message.bytes",
            route.topic
        )))
    }
}

/// The kind of failure when a module rejects a record on purpose.
pub const REJECTED: &str = "orderflow.Rejected";
/// The kind of failure when a module runs out of time.
pub const DEADLINE: &str = "orderflow.ModuleDeadline";

/// What a module's fault is called in a dead letter.
#[must_use]
pub fn class(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Rejected => REJECTED,
        FaultKind::Trap => "orderflow.ModuleTrap",
        FaultKind::Deadline => DEADLINE,
        FaultKind::Memory => "orderflow.ModuleMemory",
        FaultKind::Output => "orderflow.ModuleOutput",
    }
}

/// `errors.tolerance=none`: what stands before the bad record is committed, then the slot fails at it.
fn stop_at(input: &Input, reason: &Reason, tally: Tally) -> Result<Tally, Hold> {
    if tally.done > 0 {
        return Ok(tally);
    }
    let (topic, partition, offset) = (&input.topic, input.partition, input.offset);
    Err(Hold::Fail(format!(
        "offset {offset} of partition {partition} of {topic}: {} ({}); errors.tolerance is none",
        reason.message, reason.class
    )))
}

/// What its topic would refuse is not written: the record is a dead letter then.
fn fitting(outgoing: Outgoing, route: &Route, what: &str) -> Result<Outgoing, Reason> {
    let (size, limit) = (outgoing.size(), route.max_bytes);
    if size <= limit {
        return Ok(outgoing);
    }
    let message =
        format!("{what} is {size} bytes, {} takes at most {limit}; let the module make it smaller", route.topic);
    Err(Reason::new(Stage::Produce, TOO_LARGE, message))
}

/// Nothing is diverted for a chain that cannot judge: the batch rests, and is tried again. `first` is where it begins.
fn held(error: &Unjudged, first: &Input) -> Hold {
    match error {
        // Each try costs processor time until the breaker opens again.
        Unjudged::Chain(ChainError::Breaker { .. }) => {
            let (topic, partition, offset) = (&first.topic, first.partition, first.offset);
            let reason = format!("{error}; the first is at offset {offset} of partition {partition} of {topic}");
            Hold::Wait { reason, pause: BREAKER_PAUSE }
        }
        Unjudged::Chain(ChainError::Start { .. } | ChainError::Lookup(_)) => Hold::wait(error.to_string()),
        // The slot is told what follows, and looks up from its rest then.
        Unjudged::Withdrawn(reason) => Hold::Wait { reason: reason.clone(), pause: BREAKER_PAUSE },
        Unjudged::Stopped(reason) => Hold::Fail(reason.clone()),
    }
}

/// Counts what a transaction becomes.
#[derive(Default)]
struct Room {
    counted: usize,
    bytes: usize,
}

impl Room {
    fn is_full(&mut self, out: &[Outgoing]) -> bool {
        self.bytes += out.iter().skip(self.counted).map(Outgoing::size).sum::<usize>();
        self.counted = out.len();
        self.bytes >= OUTPUT_BYTES || self.counted >= OUTPUT_RECORDS
    }
}

/// A record as modules get it.
pub(crate) fn record(input: &Input, value: Vec<u8>) -> Record {
    let text = |(name, value): &(Vec<u8>, Option<Vec<u8>>)| {
        std::str::from_utf8(name).ok().map(|name| (name.to_owned(), value.clone()))
    };
    Record {
        key: input.key.clone(),
        value,
        timestamp_ms: input.timestamp_ms.unwrap_or_default(),
        headers: input.headers.iter().filter_map(text).collect(),
        topic: Some(Arc::clone(&input.topic)),
        ..Record::default()
    }
}

#[cfg(test)]
mod tests;
