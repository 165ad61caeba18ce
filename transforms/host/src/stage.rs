//! One module of a chain: calls it with batches, and when a call fails finds the record that is to blame.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use transform_frame::{BatchWriter, RecordParts, Verdict as Framed, Verdicts};

use crate::{
    ChainError, FaultKind, Isolation, Limits, Module, Passed, Record, Rejection, Tables, When, datum,
    instance::{Fault, Instance, Settings},
    outputs::Outputs,
    schema::Shape,
    state::{Spoken, cut},
    usage::Usage,
};

/// What the module said of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing: the module did not get it.
    Pass,
    Drop,
    Reject(Rejection),
    /// The input with this value.
    Replace(Vec<u8>),
    /// At least one record.
    Emit(Vec<Record>),
}

/// Why a record without a value is rejected.
const NO_TOMBSTONE: &str =
    "its value is null, which no module can take; exclude such records by a predicate RecordIsTombstone with negate";

/// What a record takes beside its key, its value and its headers, about.
const OVERHEAD: usize = 256;

/// What a header takes beside its letters: a module may emit very many that are empty.
const HEADER: usize = size_of::<(String, Option<Vec<u8>>)>();

/// How much of its patience a transaction has used.
#[derive(Debug, Default)]
pub(crate) struct Hunt {
    pub(crate) spent: Duration,
    pub(crate) time_outs: u32,
    /// Label of the module in which one record too many ran out of time.
    pub(crate) tripped: Option<String>,
}

/// A module with its settings and an instance that is kept between calls.
pub(crate) struct Stage {
    pub(crate) label: String,
    parts: Parts,
    instance: Option<Instance>,
    pub(crate) usage: Usage,
}

/// What a stage is made of.
pub(crate) struct Parts {
    /// Its place in the chain, from 0.
    pub(crate) place: usize,
    pub(crate) alias: String,
    pub(crate) module: Arc<Module>,
    pub(crate) settings: Settings,
    pub(crate) when: Option<When>,
    pub(crate) isolation: Isolation,
    /// The output's.
    pub(crate) shape: Arc<Shape>,
    /// The module was built for fewer fields. It gets and gives data without those behind, and they stay as they came in.
    pub(crate) is_brief: bool,
    pub(crate) tables: Arc<dyn Tables>,
    pub(crate) outputs: Arc<Outputs>,
}

/// Whether a record is for a module.
enum Admission {
    Take,
    Pass,
    Refuse,
}

impl Stage {
    /// Starts an instance, so that a refusal is seen at once.
    pub(crate) fn new(parts: Parts) -> Result<Self, Fault> {
        let instance = Instance::configured(&parts.module, &parts.settings, Arc::clone(&parts.tables))?;
        let label = parts.module.label();
        let usage = Usage { module: label.clone(), memory_bytes: instance.memory_bytes(), ..Usage::default() };
        Ok(Self { label, parts, instance: Some(instance), usage })
    }

    /// Its place in the chain.
    pub(crate) fn place(&self) -> usize {
        self.parts.place
    }

    /// Gives the module those records that its predicate admits; the others pass. As [`Stage::judge`] in all else.
    pub(crate) fn take(
        &mut self,
        records: &[Record],
        must: usize,
        hunt: &mut Hunt,
        spoken: &mut Vec<Spoken>,
    ) -> Result<Vec<Outcome>, ChainError> {
        let admissions: Vec<Admission> = records.iter().map(|record| self.admission(record)).collect();
        let admitted = |admission: &&Admission| matches!(admission, Admission::Take);
        let must = admissions.iter().take(must).filter(admitted).count();
        let taken = records.iter().zip(&admissions).filter(|(_, admission)| admitted(admission));
        let taken: Vec<&Record> = taken.map(|(record, _)| record).collect();
        let judged = self.judge(&taken, must, hunt, spoken)?;
        self.usage.judged(&judged);
        let mut judged = judged.into_iter();
        let mut outcomes = Vec::with_capacity(records.len());
        for admission in admissions {
            let outcome = match admission {
                Admission::Take => judged.next(),
                Admission::Pass => Some(Outcome::Pass),
                Admission::Refuse => Some(self.reject(FaultKind::Rejected, NO_TOMBSTONE.to_owned())),
            };
            let Some(outcome) = outcome else { break };
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    fn admission(&self, record: &Record) -> Admission {
        let admits = |when: &When| when.admits(record, self.parts.outputs.topic_of(record));
        match (self.parts.when.as_ref().is_none_or(admits), record.tombstone) {
            (false, _) => Admission::Pass,
            (true, true) => Admission::Refuse,
            (true, false) => Admission::Take,
        }
    }

    /// Judges records in order. Fewer outcomes than records: the hunt's time is up, the breaker has tripped, or what the
    /// records become is enough for one transaction. `spoken` gets what was said.
    ///
    /// `must` is how many outcomes have to come whatever they cost, so that a transaction always moves on.
    fn judge(
        &mut self,
        records: &[&Record],
        must: usize,
        hunt: &mut Hunt,
        spoken: &mut Vec<Spoken>,
    ) -> Result<Vec<Outcome>, ChainError> {
        let mut outcomes = Vec::with_capacity(records.len());
        let mut rest = records;
        let (mut bytes, mut counted) = (0_usize, 0);
        while !rest.is_empty() {
            bytes = outcomes.iter().skip(counted).map(Outcome::size).fold(bytes, usize::saturating_add);
            counted = outcomes.len();
            if bytes > self.limits().batch_output_bytes && counted >= must {
                break;
            }
            let (call, later) = rest.split_at(self.call_len(rest));
            if let Err(fault) = self.call(call, &mut outcomes, spoken)? {
                let done = self.hunt(call, fault, (must, hunt), &mut outcomes, spoken)?;
                if !done {
                    break;
                }
            }
            rest = later;
        }
        Ok(outcomes)
    }

    pub(crate) fn limits(&self) -> &Arc<Limits> {
        self.parts.module.engine().limits()
    }

    /// How many records go into the next call: at least one.
    fn call_len(&self, records: &[&Record]) -> usize {
        let limits = self.limits();
        let mut bytes = 0_usize;
        let fitting = records.iter().take(limits.call_records).take_while(|record| {
            bytes = bytes.saturating_add(record.value.len());
            bytes <= limits.call_bytes
        });
        fitting.count().clamp(1, records.len().max(1))
    }

    /// Finds the records that make a call fail, by halves, each tried on a fresh instance. False: the time is up,
    /// or the breaker has tripped.
    fn hunt(
        &mut self,
        records: &[&Record],
        mut fault: Fault,
        (must, hunt): (usize, &mut Hunt),
        outcomes: &mut Vec<Outcome>,
        spoken: &mut Vec<Spoken>,
    ) -> Result<bool, ChainError> {
        let mut open = vec![records];
        while let Some(part) = open.pop() {
            if outcomes.len() >= must && hunt.spent >= self.limits().hunt {
                return Ok(false);
            }
            let started = Instant::now();
            self.instance = None;
            // The whole is tried once more only when it is one record: it may have failed on an instance that another
            // record had spoiled.
            let again = part.len() < records.len() || records.len() == 1;
            let result = if again { self.call(part, outcomes, spoken)? } else { Err(fault.clone()) };
            hunt.spent += started.elapsed();
            match (result, part) {
                (Ok(()), _) => {}
                (Err(found), [_]) => {
                    outcomes.push(self.blame(found, hunt));
                    if hunt.tripped.is_some() {
                        return Ok(false);
                    }
                }
                (Err(found), _) => {
                    let (left, right) = part.split_at(part.len() / 2);
                    open.extend([right, left]);
                    fault = found;
                }
            }
        }
        Ok(true)
    }

    /// The verdict on a record that failed alone, on a fresh instance.
    fn blame(&self, fault: Fault, hunt: &mut Hunt) -> Outcome {
        if fault.kind == FaultKind::Deadline {
            hunt.time_outs += 1;
            if hunt.time_outs >= self.limits().time_outs {
                hunt.tripped = Some(self.label.clone());
            }
        }
        self.reject(fault.kind, fault.reason)
    }

    /// One call. The outer error: the module cannot be started; the inner: this call failed, and nothing was added.
    fn call(
        &mut self,
        records: &[&Record],
        outcomes: &mut Vec<Outcome>,
        spoken: &mut Vec<Spoken>,
    ) -> Result<Result<(), Fault>, ChainError> {
        let batch = match self.frame(records) {
            Ok(batch) => batch,
            Err(fault) => return Ok(Err(fault)),
        };
        let mut instance = match self.instance.take() {
            Some(instance) => instance,
            None => Instance::configured(&self.parts.module, &self.parts.settings, Arc::clone(&self.parts.tables))
                .map_err(|fault| ChainError::Start { module: self.label.clone(), reason: fault.reason })?,
        };
        let started = Instant::now();
        let answer = instance.process(self.parts.module.engine(), self.limits().call(records.len()), &batch);
        self.usage.called(started.elapsed(), instance.memory_bytes());
        let read = answer.and_then(|frame| self.read(&frame, records));
        match read {
            Ok(read) => outcomes.extend(read),
            Err(fault) => return Ok(Err(fault)),
        }
        spoken.push(instance.take_spoken());
        // An instance whose memory grew far is not kept: memory never shrinks.
        if self.parts.isolation == Isolation::Instance && instance.memory_bytes() <= self.limits().memory_bytes / 2 {
            self.instance = Some(instance);
        }
        Ok(Ok(()))
    }

    /// Reads the answer to a call: exactly one verdict a record, or the call has failed.
    fn read(&self, frame: &[u8], records: &[&Record]) -> Result<Vec<Outcome>, Fault> {
        let broken = |reason: String| Fault { kind: FaultKind::Output, reason };
        let verdicts = Verdicts::parse(frame).map_err(|error| broken(error.to_string()))?;
        if usize::try_from(verdicts.announced()) != Ok(records.len()) {
            return Err(broken(format!("{} verdicts for {} records", verdicts.announced(), records.len())));
        }
        let mut outcomes = Vec::with_capacity(records.len());
        let mut verdicts = verdicts;
        for record in records {
            let verdict = verdicts.next().unwrap_or(Err(transform_frame::FrameError::Truncated { at: frame.len() }));
            outcomes.push(self.outcome(record, verdict.map_err(|error| broken(error.to_string()))?));
        }
        match verdicts.next() {
            Some(Err(error)) => Err(broken(error.to_string())),
            _ => Ok(outcomes),
        }
    }

    fn outcome(&self, input: &Record, verdict: Framed<'_>) -> Outcome {
        match verdict {
            Framed::Drop => Outcome::Drop,
            Framed::Reject(reason) => self.reject(FaultKind::Rejected, reason.to_owned()),
            Framed::Replace(value) => match self.whole(input, value) {
                Ok(value) => Outcome::Replace(value),
                Err(reason) => self.reject(FaultKind::Output, reason),
            },
            Framed::Emit { count: 0, .. } | Framed::RouteEach { count: 0, .. } => Outcome::Drop,
            Framed::Emit { count, records } => {
                let limit =
                    if self.parts.outputs.is_single(input.output.as_ref()) { 1 } else { self.limits().output_records };
                let routed =
                    records.map(|record| record.map(|record| (None, record)).map_err(|error| error.to_string()));
                self.emission(input, (count, limit), routed)
            }
            Framed::Route { output, value } => {
                let record = self.whole(input, value).and_then(|value| {
                    let output = Some(self.parts.outputs.named(output)?);
                    Ok(Record { output, ..self.emitted(input, value) })
                });
                self.emission_of(input, record.map(|record| vec![record]))
            }
            Framed::RouteEach { count, records } => {
                self.emission(input, (count, self.limits().output_records), records.map(Ok))
            }
        }
    }

    /// What a module makes of an input, checked, with the fields of the input that the module does not know.
    fn whole(&self, input: &Record, value: &[u8]) -> Result<Vec<u8>, String> {
        let shape = self.brief().unwrap_or(&self.parts.shape);
        datum::check(shape, value).map_err(|mismatch| format!("not a datum of the schema: {mismatch}"))?;
        let (_, unknown) = self.split(&input.value);
        Ok([value, unknown].concat())
    }

    /// A datum's fields that the module knows, and those behind them.
    fn split<'r>(&self, value: &'r [u8]) -> (&'r [u8], &'r [u8]) {
        let known = self.brief().and_then(|shape| datum::len(shape, value));
        value.split_at(known.unwrap_or(value.len()))
    }

    /// The shape that the module was built for, where it has fewer fields than the output's.
    fn brief(&self) -> Option<&Shape> {
        self.parts.module.shape().filter(|_| self.parts.is_brief)
    }

    fn frame(&self, records: &[&Record]) -> Result<Vec<u8>, Fault> {
        let bytes: usize = records.iter().map(|record| record.value.len() + 256).sum();
        let mut batch = BatchWriter::with_capacity(bytes);
        for record in records {
            let parts = RecordParts {
                key: record.key.as_deref(),
                value: self.split(&record.value).0,
                timestamp_ms: record.timestamp_ms,
                headers: record.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())),
            };
            // Beyond 4 GiB: such a record can come to no module.
            batch.record(&parts).map_err(|error| Fault { kind: FaultKind::Memory, reason: error.to_string() })?;
        }
        Ok(batch.finish())
    }

    /// What comes out of `input` when nothing but its value changes.
    pub(crate) fn emitted(&self, input: &Record, value: Vec<u8>) -> Record {
        Record {
            key: input.key.clone(),
            value,
            timestamp_ms: input.timestamp_ms,
            headers: input.headers.clone(),
            tombstone: false,
            topic: input.topic.clone(),
            output: input.output.clone(),
            passed: input.passed.and(self.parts.place),
        }
    }

    fn emission<'f>(
        &self,
        input: &Record,
        (count, limit): (u32, usize),
        records: impl Iterator<Item = Result<(Option<&'f str>, transform_frame::Record<'f>), String>>,
    ) -> Outcome {
        if usize::try_from(count).is_ok_and(|count| count > limit) {
            return self.reject(FaultKind::Output, format!("{count} records from one, the limit is {limit}"));
        }
        let record = |routed: Result<(Option<&str>, transform_frame::Record<'_>), String>| {
            let (output, record) = routed?;
            let value = self.whole(input, record.value)?;
            let named = output.map(|name| self.parts.outputs.named(name)).transpose()?;
            let header =
                |header: transform_frame::Header<'_>| (header.name.to_owned(), header.value.map(<[u8]>::to_vec));
            Ok(Record {
                key: record.key.map(<[u8]>::to_vec),
                value,
                timestamp_ms: record.timestamp_ms,
                headers: record.headers.map(header).collect(),
                tombstone: false,
                topic: input.topic.clone(),
                output: named.or_else(|| input.output.clone()),
                passed: input.passed.and(self.parts.place),
            })
        };
        self.emission_of(input, records.map(record).collect())
    }

    /// What comes out of an input, where the rules of the outputs allow it.
    fn emission_of(&self, input: &Record, records: Result<Vec<Record>, String>) -> Outcome {
        let allowed = records.and_then(|records| {
            self.parts.outputs.check(input.key.as_deref(), &records)?;
            Ok(records)
        });
        match allowed {
            Ok(records) => Outcome::Emit(records),
            Err(reason) => self.reject(FaultKind::Output, reason),
        }
    }

    fn reject(&self, kind: FaultKind, reason: String) -> Outcome {
        Outcome::Reject(self.rejection(kind, reason))
    }

    /// A rejection by this module.
    pub(crate) fn rejection(&self, kind: FaultKind, reason: String) -> Rejection {
        let reason = cut(reason, self.limits().reason_bytes);
        let (alias, module) = (self.parts.alias.clone(), self.label.clone());
        // Which modules stand before this one is the chain's to say.
        Rejection { alias, module, kind, reason, passed: Passed::default().and(self.parts.place) }
    }
}

impl Outcome {
    /// Roughly what it holds in memory.
    fn size(&self) -> usize {
        match self {
            Self::Pass | Self::Drop | Self::Reject(_) => OVERHEAD,
            Self::Replace(value) => OVERHEAD + value.len(),
            Self::Emit(records) => records.iter().map(size_of_record).sum(),
        }
    }
}

/// Roughly what it holds in memory.
fn size_of_record(record: &Record) -> usize {
    let len = |bytes: Option<&Vec<u8>>| bytes.map_or(0, Vec::len);
    let headers: usize = record.headers.iter().map(|(name, value)| HEADER + name.len() + len(value.as_ref())).sum();
    OVERHEAD + len(record.key.as_ref()) + record.value.len() + headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_a_module_can_make_long_counts() {
        let header = |name: usize, value: Option<usize>| Record {
            headers: vec![("n".repeat(name), value.map(|len| vec![0; len]))],
            ..Record::default()
        };
        for (record, size) in [
            (Record::default(), 0),
            (Record { value: vec![0; 1_000], ..Record::default() }, 1_000),
            (Record { key: Some(vec![0; 1_000]), ..Record::default() }, 1_000),
            (header(1_000, None), 1_000 + HEADER),
            (header(0, Some(1_000)), 1_000 + HEADER),
            (Record { headers: vec![(String::new(), None); 1_000], ..Record::default() }, 1_000 * HEADER),
        ] {
            let emitted = Outcome::Emit(vec![record.clone(), record]);
            assert_eq!(emitted.size(), 2 * (OVERHEAD + size), "{size}");
        }
    }
}
