//! One module of a chain: calls it with batches, and when a call fails finds the record that is to blame.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use transform_frame::{BatchWriter, RecordParts, Verdict as Framed, Verdicts};

use crate::{
    ChainError, FaultKind, Limits, Module, Record, Rejection, Tables, datum,
    instance::{Fault, Instance, Settings},
    schema::Shape,
    state::{Spoken, cut},
};

/// What the module said of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Drop,
    Reject(Rejection),
    /// The input with this value.
    Replace(Vec<u8>),
    /// At least one record.
    Emit(Vec<Record>),
}

/// What a record takes beside its value, about.
const OVERHEAD: usize = 256;

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
    alias: String,
    module: Arc<Module>,
    settings: Settings,
    shape: Arc<Shape>,
    tables: Arc<dyn Tables>,
    single_output: bool,
    instance: Option<Instance>,
    /// The most memory that an instance had after a call.
    pub(crate) memory_bytes: usize,
}

/// What a stage is made of.
pub(crate) struct Parts {
    pub(crate) alias: String,
    pub(crate) module: Arc<Module>,
    pub(crate) settings: Settings,
    pub(crate) shape: Arc<Shape>,
    pub(crate) tables: Arc<dyn Tables>,
    pub(crate) single_output: bool,
}

impl Stage {
    /// Starts an instance, so that a refusal is seen at once.
    pub(crate) fn new(parts: Parts) -> Result<Self, Fault> {
        let Parts { alias, module, settings, shape, tables, single_output } = parts;
        let instance = Instance::configured(&module, &settings, Arc::clone(&tables))?;
        Ok(Self {
            label: module.label(),
            alias,
            module,
            settings,
            shape,
            tables,
            single_output,
            memory_bytes: instance.memory_bytes(),
            instance: Some(instance),
        })
    }

    /// Judges records in order. Fewer outcomes than records: the hunt's time is up, the breaker has tripped, or what the
    /// records become is enough for one transaction. `spoken` gets what was said.
    ///
    /// `must` is how many outcomes have to come whatever they cost, so that a transaction always moves on.
    pub(crate) fn judge(
        &mut self,
        records: &[Record],
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
        self.module.engine().limits()
    }

    /// How many records go into the next call: at least one.
    fn call_len(&self, records: &[Record]) -> usize {
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
        records: &[Record],
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
        records: &[Record],
        outcomes: &mut Vec<Outcome>,
        spoken: &mut Vec<Spoken>,
    ) -> Result<Result<(), Fault>, ChainError> {
        let batch = match frame(records) {
            Ok(batch) => batch,
            Err(fault) => return Ok(Err(fault)),
        };
        let mut instance = match self.instance.take() {
            Some(instance) => instance,
            None => Instance::configured(&self.module, &self.settings, Arc::clone(&self.tables))
                .map_err(|fault| ChainError::Start { module: self.label.clone(), reason: fault.reason })?,
        };
        let answer = instance.process(self.limits().call(records.len()), &batch);
        self.memory_bytes = self.memory_bytes.max(instance.memory_bytes());
        let read = answer.and_then(|frame| self.read(&frame, records));
        match read {
            Ok(read) => outcomes.extend(read),
            Err(fault) => return Ok(Err(fault)),
        }
        spoken.push(instance.take_spoken());
        // An instance whose memory grew far is not kept: memory never shrinks.
        if instance.memory_bytes() <= self.limits().memory_bytes / 2 {
            self.instance = Some(instance);
        }
        Ok(Ok(()))
    }

    /// Reads the answer to a call: exactly one verdict a record, or the call has failed.
    fn read(&self, frame: &[u8], records: &[Record]) -> Result<Vec<Outcome>, Fault> {
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
            Framed::Replace(value) => match datum::check(&self.shape, value) {
                Ok(()) => Outcome::Replace(value.to_vec()),
                Err(mismatch) => self.reject(FaultKind::Output, format!("not a datum of the schema: {mismatch}")),
            },
            Framed::Emit { count: 0, .. } => Outcome::Drop,
            Framed::Emit { count, records } => match self.emitted(input, count, records) {
                Ok(records) => Outcome::Emit(records),
                Err(reason) => self.reject(FaultKind::Output, reason),
            },
        }
    }

    fn emitted(
        &self,
        input: &Record,
        count: u32,
        records: transform_frame::Records<'_>,
    ) -> Result<Vec<Record>, String> {
        let limit = if self.single_output { 1 } else { self.limits().output_records };
        if usize::try_from(count).is_ok_and(|count| count > limit) {
            return Err(format!("{count} records from one, the limit is {limit}"));
        }
        let mut emitted = Vec::new();
        for record in records {
            let record = record.map_err(|error| error.to_string())?;
            if self.single_output && record.key != input.key.as_deref() {
                return Err("another key than the input's".to_owned());
            }
            datum::check(&self.shape, record.value)
                .map_err(|mismatch| format!("not a datum of the schema: {mismatch}"))?;
            emitted.push(Record {
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.to_vec(),
                timestamp_ms: record.timestamp_ms,
                headers: record
                    .headers
                    .map(|header| (header.name.to_owned(), header.value.map(<[u8]>::to_vec)))
                    .collect(),
            });
        }
        Ok(emitted)
    }

    fn reject(&self, kind: FaultKind, reason: String) -> Outcome {
        Outcome::Reject(self.rejection(kind, reason))
    }

    /// A rejection by this module.
    pub(crate) fn rejection(&self, kind: FaultKind, reason: String) -> Rejection {
        let reason = cut(reason, self.limits().reason_bytes);
        Rejection { alias: self.alias.clone(), module: self.label.clone(), kind, reason }
    }
}

impl Outcome {
    /// Roughly what it holds in memory.
    fn size(&self) -> usize {
        match self {
            Self::Drop | Self::Reject(_) => OVERHEAD,
            Self::Replace(value) => OVERHEAD + value.len(),
            Self::Emit(records) => records.iter().map(|record| OVERHEAD + record.value.len()).sum(),
        }
    }
}

fn frame(records: &[Record]) -> Result<Vec<u8>, Fault> {
    let bytes: usize = records.iter().map(|record| record.value.len() + 256).sum();
    let mut batch = BatchWriter::with_capacity(bytes);
    for record in records {
        let parts = RecordParts {
            key: record.key.as_deref(),
            value: &record.value,
            timestamp_ms: record.timestamp_ms,
            headers: record.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())),
        };
        // Beyond 4 GiB: such a record can come to no module.
        batch.record(&parts).map_err(|error| Fault { kind: FaultKind::Memory, reason: error.to_string() })?;
    }
    Ok(batch.finish())
}
