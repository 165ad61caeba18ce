//! The records that a module is tried on: orders where its schema reads orders, else data made from the schema itself.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use apache_avro::Schema;
use schemas::codec;
use schemas::contracts::ORDERS_RECEIVED_AVSC;
use schemas::resolution::Resolver;
use transform_host::Record;

use super::{corners, golden};

/// At least one batch of 500.
const RECORDS: usize = 512;
/// Schemas whose resolvers are kept.
const MAX_SCHEMAS: usize = 64;
const TIMESTAMP: i64 = 1_704_067_200_002;

/// A record with a name that a refusal can tell.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Which corner it stands in.
    pub name: String,
    /// The record as a chain takes it.
    pub record: Record,
}

/// What modules are tried on.
#[derive(Debug, Clone)]
pub struct Samples {
    /// All of them.
    pub all: Vec<Sample>,
    /// How many there are before they repeat with other ids.
    pub distinct: usize,
}

impl Samples {
    /// Lets them come from these topics, from one with each turn. A pipeline has no more than there are turns of orders.
    pub(super) fn come_from(&mut self, topics: &[Arc<str>]) {
        let (turn, count) = (self.distinct.max(1), topics.len().max(1));
        for (at, sample) in self.all.iter_mut().enumerate() {
            sample.record.topic = topics.get((at / turn) % count).map(Arc::clone);
        }
    }
}

/// Samples of this schema.
///
/// # Errors
/// When none can be made, with the reason.
pub fn of(schema_text: &str) -> Result<Samples, String> {
    let schema = Schema::parse_str(schema_text).map_err(|error| error.to_string())?;
    match orders(schema_text) {
        Some(samples) => Ok(samples),
        None => corners::of(&schema).map(|data| repeated(&data)),
    }
}

/// Golden orders as data of the schema; `None` when it is not one that reads orders.
fn orders(schema_text: &str) -> Option<Samples> {
    let resolver = resolver(schema_text)?;
    let distinct = golden::orders(0).len();
    let mut all = Vec::new();
    for turn in 0..RECORDS.div_ceil(distinct.max(1)) {
        for (name, order) in golden::orders(turn) {
            let mut datum = Vec::new();
            codec::encode(&order, &mut datum);
            let value = resolver.resolve(&datum).ok()?;
            let key = Some(order.order_id.as_str().as_bytes().to_vec());
            all.push(Sample { name: name.to_owned(), record: record(key, value) });
        }
    }
    Some(Samples { all, distinct })
}

/// What reads orders as data of a schema, as in a pipeline. Kept, because each keeps its schemas for as long as the
/// process runs; beyond a number of schemas that no deployment has, samples are made from the schema alone.
fn resolver(schema_text: &str) -> Option<Arc<Resolver>> {
    static KEPT: LazyLock<Mutex<HashMap<String, Option<Arc<Resolver>>>>> = LazyLock::new(Mutex::default);
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(resolver) = kept.get(schema_text) {
        return resolver.clone();
    }
    if kept.len() >= MAX_SCHEMAS {
        return None;
    }
    let resolver = Resolver::new(ORDERS_RECEIVED_AVSC, schema_text).ok().map(Arc::new);
    kept.insert(schema_text.to_owned(), resolver.clone());
    resolver
}

fn repeated(data: &[Vec<u8>]) -> Samples {
    let sample = |at: usize, datum: &Vec<u8>| Sample {
        name: format!("datum-{}", at % data.len().max(1)),
        record: record(Some(format!("sample-{at}").into_bytes()), datum.clone()),
    };
    let all = data.iter().cycle().take(RECORDS).enumerate().map(|(at, datum)| sample(at, datum)).collect();
    Samples { all, distinct: data.len() }
}

fn record(key: Option<Vec<u8>>, value: Vec<u8>) -> Record {
    let headers = vec![("orderflow.request-id".to_owned(), Some(b"sample".to_vec())), ("empty".to_owned(), None)];
    Record { key, value, timestamp_ms: TIMESTAMP, headers, ..Record::default() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use apache_avro::reader::datum::GenericDatumReader;

    use super::*;

    #[test]
    fn a_schema_that_reads_orders_gets_orders() {
        let samples = of(schemas::contracts::ORDER_PLACED_AVSC).unwrap();
        assert!(samples.all.len() >= 500 && samples.distinct >= 20, "{} {}", samples.all.len(), samples.distinct);
        assert_eq!(samples.all[1].name, "least");
        assert_eq!(samples.all[0].record.key.as_deref(), Some(&b"golden-plain-0"[..]));
    }

    #[test]
    fn samples_come_from_every_topic_that_a_pipeline_may_read() {
        let mut samples = of(schemas::contracts::ORDER_PLACED_AVSC).unwrap();
        let topics: Vec<Arc<str>> = (0..16).map(|number| Arc::from(format!("t-{number}"))).collect();
        samples.come_from(&topics);
        for topic in &topics {
            let from = samples.all.iter().filter(|sample| sample.record.topic.as_ref() == Some(topic));
            let corners: BTreeSet<&str> = from.map(|sample| sample.name.as_str()).collect();
            assert_eq!(corners.len(), samples.distinct, "each corner once from {topic}");
        }
        samples.come_from(&[]);
        assert!(samples.all.iter().all(|sample| sample.record.topic.is_none()));
    }

    #[test]
    fn any_other_schema_gets_data_of_its_own() {
        for (schema, least) in [
            (r#"{"type":"record","name":"Text","fields":[{"name":"text","type":"string"}]}"#, 3),
            (r#""long""#, 3),
            (
                r#"{"type":"record","name":"T","fields":[
                    {"name":"u","type":["null","int",{"type":"array","items":"T"}]},
                    {"name":"m","type":{"type":"map","values":"double"}},
                    {"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]}},
                    {"name":"f","type":{"type":"fixed","name":"F","size":4}},
                    {"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
                    {"name":"t","type":{"type":"long","logicalType":"timestamp-millis"}},
                    {"name":"again","type":"E"}]}"#,
                3,
            ),
        ] {
            let samples = of(schema).unwrap_or_else(|error| panic!("{schema}: {error}"));
            assert!(samples.distinct >= least && samples.all.len() == RECORDS, "{schema}: {}", samples.distinct);
            let schema = Schema::parse_str(schema).unwrap();
            let reader = GenericDatumReader::builder(&schema).build().unwrap();
            for sample in samples.all {
                let mut datum = &sample.record.value[..];
                reader.read_value(&mut datum).unwrap();
                assert!(datum.is_empty());
            }
        }
        let endless = r#"{"type":"record","name":"T","fields":[{"name":"t","type":"T"}]}"#;
        assert!(of(endless).unwrap_err().contains("never ends"));
    }
}
