//! What a candidate makes of records beside what the live chain makes of them: outputs are compared after decoding,
//! field by field. Values of orders do not leave: of each one only its shape is told, such as `xxxx_xxx` or `99.99`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use schemas::fields::shape;
use serde::Serialize;
use transform_host::{FaultKind, Record, Verdict};

use super::finish::kept;
use super::tap::Sample;
use super::writers::short;
use crate::kafka::Address;

/// Examples that a verdict shows.
const EXAMPLES: usize = 5;
/// Fields of one example.
const EXAMPLE_FIELDS: usize = 20;
/// Different pairs of outcomes: there are few.
const OUTCOMES: usize = 100;
/// Samples of time that are kept.
const SAMPLES: usize = 10_000;

/// One record whose outputs differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    /// Where the input lay.
    pub topic: String,
    /// Where the input lay.
    pub partition: i32,
    /// Where the input lay.
    pub offset: i64,
    /// What differs.
    pub fields: Vec<Difference>,
}

/// One field that differs, with the shapes of its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Its path, without places in lists; `(outcome)` when not both were emitted.
    pub field: String,
    /// In the live output.
    pub live: String,
    /// In the candidate's.
    pub candidate: String,
}

/// The comparison so far.
pub struct Comparison {
    reader: GenericDatumReader<'static>,
    expected: BTreeSet<String>,
    /// Records that were compared.
    pub compared: u64,
    /// Of these, how many differ in a field that may not.
    pub differing: u64,
    /// Of these, how many broke the candidate and not the live chain.
    pub faults: u64,
    /// In how many records each field differs, expected ones too.
    pub fields: BTreeMap<String, u64>,
    /// How often one outcome stands for another.
    pub outcomes: BTreeMap<String, u64>,
    /// Some records that differ.
    pub examples: Vec<Example>,
    /// The most memory of both.
    pub memory_bytes: (usize, usize),
    times: (Vec<Duration>, Vec<Duration>),
}

impl Comparison {
    /// Nothing compared yet. Fields in `expect` may differ, with all that is below them.
    ///
    /// # Errors
    /// When the schema cannot be read.
    pub fn new(schema: &str, expect: &[String]) -> Result<Self, String> {
        let reader = GenericDatumReader::builder(kept(schema)?).human_readable(false).build();
        Ok(Self {
            reader: reader.map_err(|error| short(&error.to_string()))?,
            expected: expect.iter().cloned().collect(),
            compared: 0,
            differing: 0,
            faults: 0,
            fields: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            examples: Vec::new(),
            memory_bytes: (0, 0),
            times: (Vec::new(), Vec::new()),
        })
    }

    /// Adds what the candidate made of a sample: one verdict a record, in `took` a record.
    pub fn add(&mut self, sample: &Sample, verdicts: &[Verdict], took: Duration, memory_bytes: usize) {
        for ((address, live), candidate) in sample.addresses.iter().zip(&sample.verdicts).zip(verdicts) {
            self.record(address, live, candidate);
        }
        if self.times.0.len() < SAMPLES {
            self.times.0.push(sample.took);
            self.times.1.push(took);
        }
        let (live, candidate) = self.memory_bytes;
        self.memory_bytes = (live.max(sample.memory_bytes), candidate.max(memory_bytes));
    }

    /// The medians of what a record took: live, and in the candidate.
    #[must_use]
    pub fn times(&self) -> (Duration, Duration) {
        (median(&self.times.0), median(&self.times.1))
    }

    fn record(&mut self, address: &Address, live: &Verdict, candidate: &Verdict) {
        self.compared += 1;
        if is_fault(candidate) && !is_fault(live) {
            self.faults += 1;
        }
        let differences = self.differences(live, candidate);
        if differences.is_empty() {
            return;
        }
        let names: BTreeSet<&String> = differences.iter().map(|difference| &difference.field).collect();
        for name in &names {
            *self.fields.entry((*name).clone()).or_default() += 1;
        }
        if names.iter().all(|name| self.is_expected(name)) {
            return;
        }
        self.differing += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(Example {
                topic: address.topic.to_string(),
                partition: address.partition,
                offset: address.offset,
                fields: differences.into_iter().take(EXAMPLE_FIELDS).collect(),
            });
        }
    }

    fn is_expected(&self, field: &str) -> bool {
        let below = |expected: &String| {
            field.strip_prefix(expected.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.expected.iter().any(below)
    }

    fn differences(&mut self, live: &Verdict, candidate: &Verdict) -> Vec<Difference> {
        let (before, after) = (outcome(live), outcome(candidate));
        if before != after {
            let pair = format!("{before} → {after}");
            if self.outcomes.len() < OUTCOMES || self.outcomes.contains_key(&pair) {
                *self.outcomes.entry(pair).or_default() += 1;
            }
            return vec![difference("(outcome)", before, after)];
        }
        let mut found = Vec::new();
        if let (Verdict::Emit(live), Verdict::Emit(candidate)) = (live, candidate) {
            live.iter().zip(candidate).for_each(|(live, candidate)| self.outputs(live, candidate, &mut found));
        }
        found
    }

    fn outputs(&self, live: &Record, candidate: &Record, found: &mut Vec<Difference>) {
        let shown = |key: &Option<Vec<u8>>| {
            key.as_ref().map_or_else(|| "null".to_owned(), |key| shape(&String::from_utf8_lossy(key)))
        };
        if live.key != candidate.key {
            found.push(difference("(key)", shown(&live.key), shown(&candidate.key)));
        }
        if live.output != candidate.output {
            let name = |record: &Record| record.output.as_deref().unwrap_or("the main one").to_owned();
            found.push(difference("(output)", name(live), name(candidate)));
        }
        if live.timestamp_ms != candidate.timestamp_ms {
            found.push(difference("(timestamp)", "time", "time"));
        }
        if live.headers != candidate.headers {
            let count = |record: &Record| format!("{} headers", record.headers.len());
            found.push(difference("(headers)", count(live), count(candidate)));
        }
        if (live.tombstone, &live.value) == (candidate.tombstone, &candidate.value) {
            return;
        }
        if live.tombstone != candidate.tombstone {
            let what = |record: &Record| if record.tombstone { "null" } else { "bytes" };
            found.push(difference("(value)", what(live), what(candidate)));
            return;
        }
        let read = |record: &Record| self.reader.read_value(&mut record.value.as_slice()).ok();
        match (read(live), read(candidate)) {
            (Some(live), Some(candidate)) => fields(&live, &candidate, &mut Vec::new(), found),
            // The host checks every datum, so this is not met.
            _ => found.push(difference("(value)", "bytes", "bytes")),
        }
    }
}

fn difference(field: &str, live: impl Into<String>, candidate: impl Into<String>) -> Difference {
    Difference { field: field.to_owned(), live: live.into(), candidate: candidate.into() }
}

fn is_fault(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Reject(rejection) if rejection.kind != FaultKind::Rejected)
}

fn outcome(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Emit(records) if records.len() == 1 => "emitted".to_owned(),
        Verdict::Emit(records) => format!("emitted {}", records.len()),
        Verdict::Drop { .. } => "dropped".to_owned(),
        Verdict::Reject(rejection) => rejection.kind.name().to_owned(),
    }
}

/// Where two values differ.
fn fields<'v>(live: &'v Value, candidate: &'v Value, path: &mut Vec<&'v str>, found: &mut Vec<Difference>) {
    match (inner(live), inner(candidate)) {
        (Value::Record(live), Value::Record(candidate)) => {
            for ((name, live), (_, candidate)) in live.iter().zip(candidate) {
                path.push(name);
                fields(live, candidate, path, found);
                path.pop();
            }
        }
        (Value::Array(live), Value::Array(candidate)) if live.len() == candidate.len() => {
            live.iter().zip(candidate).for_each(|(live, candidate)| fields(live, candidate, path, found));
        }
        (live, candidate) if live == candidate => {}
        (live, candidate) => found.push(difference(&path.join("."), masked(live), masked(candidate))),
    }
}

fn inner(value: &Value) -> &Value {
    match value {
        Value::Union(_, value) => inner(value),
        value => value,
    }
}

/// What may be told of a value.
fn masked(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Boolean(_) => "boolean".to_owned(),
        Value::Int(number) => shape(&number.to_string()),
        Value::Long(number) => shape(&number.to_string()),
        Value::Float(_) | Value::Double(_) => "float".to_owned(),
        Value::String(text) | Value::Enum(_, text) => shape(text),
        Value::Decimal(_) | Value::BigDecimal(_) => "decimal".to_owned(),
        Value::Bytes(bytes) | Value::Fixed(_, bytes) => format!("{} bytes", bytes.len()),
        Value::Array(values) => format!("list of {}", values.len()),
        Value::Map(values) => format!("map of {}", values.len()),
        Value::Record(_) => "record".to_owned(),
        Value::Uuid(_) => "uuid".to_owned(),
        _ => "time".to_owned(),
    }
}

fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
