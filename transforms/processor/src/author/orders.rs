//! The orders that a module is tried on: lines of a file, or records of a topic; made into records of the module's schema
//! as the processor makes them, with the same refusals.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail, ensure};
use apache_avro::Schema;
use apache_avro::schema::ResolvedSchema;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use schemas::order::OrderId;
use transform_host::Record;

use super::lines::Reader;
use crate::kafka::Input;
use crate::record::writers::{Source, Writers};
use crate::record::{read, storable};

/// More orders than anybody looks at.
pub const MAX_ORDERS: usize = 10_000;
/// A file of them.
const MAX_BYTES: u64 = 64 << 20;
/// Wrong lines that are named at once.
const MAX_FAULTS: usize = 5;
/// As the name of a file: standard input.
const STANDARD_INPUT: &str = "-";
/// The field that is the record's key, where a schema has it.
const ORDER_ID: &str = "order_id";

/// The schema of what goes into a module and comes out.
pub struct Shape {
    /// Its text.
    pub text: String,
    /// The same, parsed.
    pub schema: Schema,
}

impl Shape {
    /// Parses a schema.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let schema = Schema::parse_str(text).context("the module's schema cannot be read")?;
        Ok(Self { text: text.to_owned(), schema })
    }

    /// Which field is called so.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<usize> {
        match &self.schema {
            Schema::Record(record) => record.lookup.get(name).copied(),
            _ => None,
        }
    }
}

/// Orders, not yet made into records: a module that is built again may have another schema.
pub enum Orders {
    /// Lines of JSON.
    Lines {
        /// Where they come from, for messages.
        name: String,
        /// Number and text of each line with something in it.
        lines: Vec<(usize, String)>,
    },
    /// Records of a topic.
    Records {
        /// The records.
        inputs: Vec<Input>,
        /// Knows their schemas.
        source: Arc<dyn Source>,
    },
}

/// One order.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Where it comes from: `line 3`, `orders.received/4@120`.
    pub place: String,
    /// The record, or why the processor would never show it to a module.
    pub record: Result<Record, String>,
}

impl Orders {
    /// The lines of a file; `-` is standard input.
    ///
    /// # Errors
    /// When it cannot be read, is empty or too large.
    pub fn from_file(path: &Path) -> anyhow::Result<Self> {
        let name = if is_standard_input(path) { "standard input".to_owned() } else { path.display().to_string() };
        let mut text = String::new();
        let read = if is_standard_input(path) {
            std::io::stdin().lock().take(MAX_BYTES + 1).read_to_string(&mut text)
        } else {
            std::fs::File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text))
        };
        read.with_context(|| format!("cannot read orders from {name}; name a file with one JSON order a line"))?;
        ensure!(text.len() as u64 <= MAX_BYTES, "{name} has more than {MAX_BYTES} bytes; take a part of it");
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let lines: Vec<_> = lines.map(|(at, line)| (at + 1, line.to_owned())).collect();
        ensure!(!lines.is_empty(), "{name} has no orders in it; write one JSON order a line");
        ensure!(lines.len() <= MAX_ORDERS, "{name} has {} orders, the limit is {MAX_ORDERS}", lines.len());
        Ok(Self::Lines { name, lines })
    }

    /// The orders as records of a schema. `now_ms` is their time of receipt where a line says none.
    ///
    /// # Errors
    /// The lines that are no orders, or a registry that does not answer.
    pub fn samples(&self, shape: &Shape, now_ms: i64) -> anyhow::Result<Vec<Sample>> {
        match self {
            Self::Lines { name, lines } => from_lines(name, lines, shape, now_ms),
            Self::Records { inputs, source } => from_records(inputs, source, shape),
        }
    }
}

/// Whether this is not a file, but what can be read once and does not change.
#[must_use]
pub fn is_standard_input(path: &Path) -> bool {
    path == Path::new(STANDARD_INPUT)
}

fn from_lines(name: &str, lines: &[(usize, String)], shape: &Shape, now_ms: i64) -> anyhow::Result<Vec<Sample>> {
    let resolved = ResolvedSchema::try_from(&shape.schema)?;
    let reader = Reader { schema: &shape.schema, names: resolved.get_names(), now_ms };
    // What is written was made by the same schema just now.
    let writer = GenericDatumWriter::builder(&shape.schema).validate(false).human_readable(false).build()?;
    let (mut samples, mut faults) = (Vec::with_capacity(lines.len()), Vec::new());
    for (number, line) in lines {
        let value = match reader.read(line) {
            Ok(value) => value,
            Err(fault) => {
                faults.push(format!("{name} line {number}: {fault}"));
                continue;
            }
        };
        let id = shape.field(ORDER_ID).and_then(|at| read::text_at(&value, at));
        let refused = id.and_then(|id| id.parse::<OrderId>().err()).map(|error| error.to_string());
        let refused = refused.or_else(|| storable::fault(&value));
        let key = id.map(|id| id.as_bytes().to_vec());
        let record = match refused {
            Some(why) => Err(why),
            None => Ok(Record { key, value: datum(&writer, &value)?, timestamp_ms: now_ms, ..Record::default() }),
        };
        samples.push(Sample { place: format!("line {number}"), record });
    }
    if faults.is_empty() {
        return Ok(samples);
    }
    let more = faults.len().saturating_sub(MAX_FAULTS);
    faults.truncate(MAX_FAULTS);
    if more > 0 {
        faults.push(format!("… and {more} more lines"));
    }
    bail!("{}", faults.join("\n"))
}

fn datum(writer: &GenericDatumWriter<'_>, value: &Value) -> anyhow::Result<Vec<u8>> {
    let mut datum = Vec::with_capacity(256);
    writer.write_value_ref(&mut datum, value).context("an order cannot be written as Avro")?;
    Ok(datum)
}

fn from_records(inputs: &[Input], source: &Arc<dyn Source>, shape: &Shape) -> anyhow::Result<Vec<Sample>> {
    let mut writers = Writers::new(Arc::clone(source), Arc::from(shape.text.as_str()));
    let samples = inputs.iter().map(|input| {
        let place = format!("{}/{}@{}", input.topic, input.partition, input.offset);
        let read = read::datum(input, &mut writers, shape.field(ORDER_ID));
        let read = read.map_err(|hold| anyhow!("{place}: {hold}; is --registry the right one?"))?;
        Ok(Sample { place, record: read.map(|datum| record(input, datum)).map_err(|reason| reason.message) })
    });
    samples.collect()
}

fn record(input: &Input, value: Vec<u8>) -> Record {
    let headers = input.headers.iter().map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.clone()));
    let timestamp_ms = input.timestamp_ms.unwrap_or_default();
    Record { key: input.key.clone(), value, timestamp_ms, headers: headers.collect(), ..Record::default() }
}
