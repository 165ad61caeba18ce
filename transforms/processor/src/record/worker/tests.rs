//! Records of every kind through the work of a slot, with closures for the registry and the modules.

mod blamed;
mod held;
mod orders;
mod refused;
mod routed;

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use schemas::contracts::{ORDER_PLACED_AVSC, ORDERS_RECEIVED_AVSC};
use schemas::order::{Item, Order, Timestamp};
use schemas::resolution::Resolver;
use schemas::{Money, codec, framing};
use serde_json::json;

use transform_host::Passed;

use super::*;
use crate::kafka::client::MAX_RECORD_BYTES;
use crate::record::writers::Source;

const RECEIVED: u32 = 11;
const PLACED: u32 = 12;
const LABEL: &str = "clean@1.0.0+sha256:0123456789ab";

type Answer = Box<dyn FnMut(&[Record]) -> Result<Vec<Verdict>, ChainError> + Send>;

struct Told(Answer);

impl Judge for Told {
    fn begin(&mut self) {}

    fn judge(&mut self, records: &[Record]) -> Result<Vec<Verdict>, Unjudged> {
        Ok((self.0)(records)?)
    }

    fn header(&self) -> &'static str {
        LABEL
    }

    fn header_of(&self, passed: Passed) -> Cow<'_, str> {
        Cow::Borrowed(if passed.has(0) { LABEL } else { "" })
    }

    fn lookups(&self) -> String {
        LOOKUPS.to_owned()
    }
}

const LOOKUPS: &str = r#"[{"lookup":"tiers","topic":"customer-tiers","next":{"0":8}}]"#;

/// A registry that knows the two contracts, while it is there.
struct Known(Arc<AtomicBool>);

impl Source for Known {
    fn schema(&self, id: u32) -> Result<Option<String>, String> {
        if !self.0.load(Ordering::Relaxed) {
            return Err("connection refused".to_owned());
        }
        Ok(match id {
            RECEIVED => Some(ORDERS_RECEIVED_AVSC.to_owned()),
            PLACED => Some(ORDER_PLACED_AVSC.to_owned()),
            13 => Some(
                r#"{"type":"record","name":"orderflow.Order","fields":[{"name":"order_id","type":"string"}]}"#
                    .to_owned(),
            ),
            _ => None,
        })
    }
}

fn worker(
    judge: impl FnMut(&[Record]) -> Result<Vec<Verdict>, ChainError> + Send + 'static,
) -> (Arc<AtomicBool>, Worker) {
    let registry = Arc::new(AtomicBool::new(true));
    let worker = Worker {
        pipeline: "p".to_owned(),
        commit_interval: Duration::ZERO,
        routes: Routes {
            output: route("order_placed"),
            dead_letters: Some(route("orders.dead-letter")),
            dropped: route("orders.dropped"),
        },
        output: Output::new(PLACED, ORDER_PLACED_AVSC).unwrap(),
        named: BTreeMap::new(),
        writers: Writers::new(Arc::new(Known(Arc::clone(&registry))), Arc::from(ORDER_PLACED_AVSC)),
        judge: Box::new(Told(Box::new(judge))),
        parameters: BTreeMap::from([("clean".to_owned(), r#"{"items.sum":"reject"}"#.to_owned())]),
        makers: vec![Module { label: LABEL.to_owned(), parameters: "{}".to_owned(), lookups: "[]".to_owned() }],
    };
    (registry, worker)
}

fn route(topic: &str) -> Route {
    Route { topic: Arc::from(topic), max_bytes: MAX_RECORD_BYTES }
}

fn keep(records: &[Record]) -> Result<Vec<Verdict>, ChainError> {
    Ok(records.iter().map(|record| Verdict::Emit(vec![judged(record)])).collect())
}

/// The record, as the module leaves it.
fn judged(record: &Record) -> Record {
    Record { passed: record.passed.and(0), ..record.clone() }
}

fn order(id: &str) -> Order {
    let item = |sku: &str, quantity, price: &str| Item {
        sku: sku.to_owned(),
        quantity,
        unit_price: price.parse::<Money>().unwrap(),
    };
    Order {
        order_id: id.parse().unwrap(),
        amount: "0.05".parse().unwrap(),
        customer: "A \"quoted\" näme".to_owned(),
        currency: None,
        items: vec![item("s-1", 2, "12.5"), item("\"\u{1}", 1, "9999999999999.99")],
        email: None,
        country: None,
        channel: None,
        created_at: Timestamp(1),
        received_at: Timestamp(2),
    }
}

fn framed(id: &str) -> Vec<u8> {
    let mut value = framing::header(RECEIVED).to_vec();
    codec::encode(&order(id), &mut value);
    value
}

fn input(offset: i64, key: Option<&[u8]>, value: Option<Vec<u8>>) -> Input {
    Input {
        topic: Arc::from("orders.received"),
        partition: 3,
        offset,
        timestamp_ms: Some(1_700_000_000_000),
        key: key.map(<[u8]>::to_vec),
        value,
        headers: vec![
            (b"CamelHeader.indexId".to_vec(), Some(b"evil".to_vec())),
            (b"traceparent".to_vec(), Some(b"00-1".to_vec())),
            (b"orderflow.modules".to_vec(), Some(b"forged".to_vec())),
        ],
    }
}

fn header<'o>(output: &'o Outgoing, name: &str) -> Option<&'o str> {
    let found = output.headers.iter().rev().find(|(own, _)| own == name.as_bytes());
    found.and_then(|(_, value)| std::str::from_utf8(value.as_deref()?).ok())
}

fn fields(output: &Outgoing) -> BTreeMap<String, Value> {
    let (id, datum) = framing::split(output.value.as_ref().unwrap()).unwrap();
    assert_eq!(id, PLACED);
    let schema = Schema::parse_str(ORDER_PLACED_AVSC).unwrap();
    let reader = GenericDatumReader::builder(&schema).build().unwrap();
    let Value::Record(fields) = reader.read_value(&mut &datum[..]).unwrap() else { panic!("not a record") };
    fields.into_iter().collect()
}
