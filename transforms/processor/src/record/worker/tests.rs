//! Records of every kind through the work of a slot, with closures for the registry and the modules.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use schemas::contracts::{ORDER_PLACED_AVSC, ORDERS_RECEIVED_AVSC};
use schemas::order::{Item, Order, Timestamp};
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

#[test]
fn an_order_comes_out_finished_under_its_key_with_our_headers_only() {
    let (_, mut worker) = worker(keep);
    let mut out = Vec::new();
    let tally = worker.apply(&[input(41, Some(b"o-1"), Some(framed("o-1")))], &mut out).unwrap();
    assert_eq!(tally, Tally { done: 1, out: 1, dead: 0, dropped: 0 });
    let [output] = out.as_slice() else { panic!("{out:?}") };
    assert_eq!((&*output.topic, output.key.as_deref()), ("order_placed", Some(&b"o-1"[..])));
    assert_eq!(output.timestamp_ms, Some(1_700_000_000_000));
    let names: Vec<_> = output.headers.iter().map(|(name, _)| std::str::from_utf8(name).unwrap()).collect();
    assert_eq!(names, ["traceparent", "orderflow.modules"]);
    assert_eq!(header(output, "orderflow.modules"), Some(LABEL));
    let fields = fields(output);
    let json = r#"[{"sku":"s-1","quantity":2,"unit_price":12.50},{"sku":"\"\u0001","quantity":1,"unit_price":9999999999999.99}]"#;
    assert_eq!(fields["items_json"], Value::Union(1, Box::new(Value::String(json.to_owned()))));
    assert_eq!(fields["received_partition"], Value::Int(3));
    assert_eq!(fields["received_offset"], Value::Long(41));
    assert_eq!(fields["customer"], Value::String("A \"quoted\" näme".to_owned()));
    assert_eq!(fields["amount"], Value::Decimal(apache_avro::Decimal::from(vec![5])));
    assert_eq!(fields["item_count"], Value::Int(0), "the default of order_placed");
}

#[test]
fn what_is_no_order_becomes_one_dead_letter_with_its_reason() {
    let mut other = framing::header(RECEIVED).to_vec();
    codec::encode(&order("o-1"), &mut other);
    let trailing = [framed("o-1"), vec![0]].concat();
    let truncated = framed("o-1").split_off(0)[..20].to_vec();
    let random: Vec<u8> = (0..1_048_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8 | 1).collect();
    for (name, key, value, class) in [
        ("null", Some(&b"o-1"[..]), None, "orderflow.NullValue"),
        ("empty", Some(b"o-1"), Some(Vec::new()), "orderflow.EmptyValue"),
        ("JSON", Some(b"o-1"), Some(b"{\"orderId\":1}".to_vec()), "orderflow.UnframedValue"),
        ("short", Some(b"o-1"), Some(vec![0, 0, 0]), "orderflow.UnframedValue"),
        ("a megabyte of noise", Some(b"o-1"), Some(random), "orderflow.UnframedValue"),
        ("unknown id", Some(b"o-1"), Some(vec![0, 0, 0, 9, 9, 1]), "orderflow.UnknownSchema"),
        (
            "a schema without the fields",
            Some(b"o-1"),
            Some(vec![0, 0, 0, 0, 13, 2, b'a']),
            "orderflow.UndecodableValue",
        ),
        (
            "no datum",
            Some(b"o-1"),
            Some([&framing::header(RECEIVED)[..], &[0xff; 40]].concat()),
            "orderflow.UndecodableValue",
        ),
        ("truncated", Some(b"o-1"), Some(truncated), "orderflow.UndecodableValue"),
        ("trailing", Some(b"o-1"), Some(trailing), "orderflow.UndecodableValue"),
        ("another key", Some(b"o-2"), Some(framed("o-1")), "orderflow.KeyMismatch"),
        ("no key", None, Some(framed("o-1")), "orderflow.KeyMismatch"),
    ] {
        let (_, mut worker) = worker(keep);
        let mut out = Vec::new();
        let bad = input(7, key, value.clone());
        let batch = [input(6, Some(b"a"), Some(framed("a"))), bad, input(8, Some(b"b"), Some(framed("b")))];
        let tally = worker.apply(&batch, &mut out).unwrap();
        assert_eq!(tally, Tally { done: 3, out: 2, dead: 1, dropped: 0 }, "{name}");
        let letter = &out[1];
        assert_eq!(&*letter.topic, "orders.dead-letter", "{name}");
        assert_eq!((letter.key.as_deref(), &letter.value), (key, &value), "{name}: unchanged");
        assert_eq!(letter.headers[..3], batch[1].headers[..], "{name}: headers unchanged");
        assert_eq!(header(letter, "__connect.errors.exception.class.name"), Some(class), "{name}");
        assert_eq!(header(letter, "__connect.errors.offset"), Some("7"), "{name}");
        assert!(header(letter, "__connect.errors.exception.message").unwrap().len() < 500, "{name}");
        assert!(letter.size() < MAX_RECORD_BYTES, "{name}");
    }
}

#[test]
fn an_id_that_would_break_a_url_is_rejected_whoever_wrote_it() {
    let mut value = framing::header(RECEIVED).to_vec();
    codec::encode(&order("a-1"), &mut value);
    // The id stands right behind the frame: its length (zigzag 6), then its bytes.
    assert_eq!(&value[5..9], b"\x06a-1");
    value[7] = b'/';
    let (_, mut worker) = worker(keep);
    let mut out = Vec::new();
    worker.apply(&[input(1, Some(b"a/1"), Some(value))], &mut out).unwrap();
    assert_eq!(header(&out[0], "__connect.errors.exception.class.name"), Some("orderflow.InvalidOrderId"));
}

#[test]
fn a_module_may_reject_drop_or_break_and_the_others_go_on() {
    let (_, mut worker) = worker(|records| {
        let verdict = |(at, record): (usize, &Record)| match at {
            0 => Verdict::Reject(Rejection {
                alias: "clean".to_owned(),
                module: LABEL.to_owned(),
                kind: FaultKind::Rejected,
                reason: "no such currency".to_owned(),
                passed: Passed::default().and(0),
            }),
            1 => Verdict::Drop { module: LABEL.to_owned() },
            2 => Verdict::Reject(Rejection {
                alias: "clean".to_owned(),
                module: LABEL.to_owned(),
                kind: FaultKind::Trap,
                reason: "unreachable".to_owned(),
                passed: Passed::default().and(0),
            }),
            3 => Verdict::Emit(vec![Record { value: vec![1, 2, 3], ..judged(record) }]),
            _ => Verdict::Emit(vec![record.clone()]),
        };
        Ok(records.iter().enumerate().map(verdict).collect())
    });
    let batch: Vec<Input> = (0..5).map(|n| input(n, Some(b"o"), Some(framed("o")))).collect();
    let mut out = Vec::new();
    let tally = worker.apply(&batch, &mut out).unwrap();
    assert_eq!(tally, Tally { done: 5, out: 1, dead: 3, dropped: 1 });
    let classes: Vec<_> = out.iter().map(|output| header(output, "__connect.errors.exception.class.name")).collect();
    let expected =
        [Some("orderflow.Rejected"), None, Some("orderflow.ModuleTrap"), Some("orderflow.InvalidOutput"), None];
    assert_eq!(classes, expected);
    assert_eq!(header(&out[0], "__connect.errors.stage"), Some("TRANSFORMATION"));
    assert_eq!(header(&out[0], "orderflow.module"), Some(LABEL));
    assert_eq!(header(&out[0], "orderflow.parameters"), Some(r#"{"items.sum":"reject"}"#));
    assert_eq!(header(&out[0], "orderflow.lookups"), Some(LOOKUPS), "what a replay must look up in");
    let chain = json!({ "pipeline": "p", "schema": PLACED, "steps": [{ "module": LABEL, "parameters": {} }] });
    assert_eq!(serde_json::from_str::<serde_json::Value>(header(&out[0], "orderflow.chain").unwrap()).unwrap(), chain);
    assert_eq!((&*out[1].topic, header(&out[1], "orderflow.module")), ("orders.dropped", Some(LABEL)));
    assert_eq!(&*out[4].topic, "order_placed");
}

#[test]
fn a_module_cannot_write_the_processors_fields_or_change_the_id() {
    let other = framed("other");
    let (_, datum) = framing::split(&other).unwrap();
    let datum = Resolver::new(ORDERS_RECEIVED_AVSC, ORDER_PLACED_AVSC).unwrap().resolve(datum).unwrap();
    let (_, mut worker) = worker(move |records| {
        Ok(records
            .iter()
            .map(|record| Verdict::Emit(vec![Record { value: datum.clone(), ..record.clone() }]))
            .collect())
    });
    let mut out = Vec::new();
    worker
        .apply(&[input(0, Some(b"o"), Some(framed("o"))), input(1, Some(b"other"), Some(framed("other")))], &mut out)
        .unwrap();
    assert_eq!(header(&out[0], "__connect.errors.exception.class.name"), Some("orderflow.InvalidOutput"));
    assert_eq!(fields(&out[1])["received_offset"], Value::Long(1));
}

#[test]
fn only_the_proven_prefix_counts_as_done() {
    let (_, mut worker) = worker(|records| Ok(keep(records)?.into_iter().take(2).collect()));
    let batch = [
        input(0, Some(b"a"), Some(framed("a"))),
        input(1, None, None),
        input(2, Some(b"b"), Some(framed("b"))),
        input(3, None, None),
        input(4, Some(b"c"), Some(framed("c"))),
    ];
    let mut out = Vec::new();
    // The dead letter at 3 stands before the first record without a verdict, so it is done as well.
    assert_eq!(worker.apply(&batch, &mut out).unwrap(), Tally { done: 4, out: 2, dead: 2, dropped: 0 });
}

#[test]
fn without_the_registry_nothing_is_diverted() {
    let (registry, mut worker) = worker(keep);
    registry.store(false, Ordering::Relaxed);
    let unknown = input(1, Some(b"o"), Some(vec![0, 0, 0, 9, 9, 1]));
    let mut out = Vec::new();
    assert!(matches!(worker.apply(std::slice::from_ref(&unknown), &mut out), Err(Hold::Wait { .. })));
    // What stands before it needs no registry, and does not wait for it.
    let batch = [input(0, None, None), unknown];
    assert_eq!(worker.apply(&batch, &mut out).unwrap(), Tally { done: 1, out: 0, dead: 1, dropped: 0 });
    registry.store(true, Ordering::Relaxed);
    out.clear();
    assert_eq!(worker.apply(&batch, &mut out).unwrap().dead, 2);
}

/// A registry that is busy, and knows nothing.
struct Slow;

impl Source for Slow {
    fn schema(&self, _: u32) -> Result<Option<String>, String> {
        std::thread::sleep(READ_TIME / 5);
        Ok(None)
    }
}

#[test]
fn a_slow_registry_does_not_keep_the_slot_from_its_group() {
    let (_, mut worker) = worker(keep);
    worker.writers = Writers::new(Arc::new(Slow), Arc::from(ORDER_PLACED_AVSC));
    let batch: Vec<Input> = (0..30).map(|id| input(id.into(), None, Some(vec![0, 0, 0, 9, id, 1]))).collect();
    let tally = worker.apply(&batch, &mut Vec::new()).unwrap();
    assert!((1..=6).contains(&tally.done), "{tally:?}");
}

#[test]
fn a_chain_that_cannot_judge_holds_the_batch() {
    let (_, mut worker) = worker(|_| Err(ChainError::Breaker { module: LABEL.to_owned(), time_outs: 3 }));
    let held = worker.apply(&[input(0, Some(b"o"), Some(framed("o")))], &mut Vec::new());
    let words = "offset 0 of partition 3 of orders.received";
    assert!(
        matches!(held, Err(Hold::Wait { reason, .. }) if reason.contains("breaker") && reason.contains(words)),
        "the record is named"
    );
    let batch = [input(0, None, None), input(1, Some(b"o"), Some(framed("o")))];
    assert_eq!(worker.apply(&batch, &mut Vec::new()).unwrap().done, 1, "what stands before it needs no verdict");
}

#[test]
fn without_tolerance_the_slot_stops_at_the_first_bad_record_and_commits_what_stands_before() {
    let (_, mut worker) = worker(keep);
    worker.routes.dead_letters = None;
    let batch = [input(0, Some(b"o"), Some(framed("o"))), input(1, Some(b"o"), None)];
    let mut out = Vec::new();
    assert_eq!(worker.apply(&batch, &mut out).unwrap(), Tally { done: 1, out: 1, dead: 0, dropped: 0 });
    let stopped = worker.apply(&batch[1..], &mut out);
    assert!(matches!(stopped, Err(Hold::Fail(trace)) if trace.contains("offset 1") && trace.contains("NullValue")));
}

#[test]
fn an_output_that_its_topic_would_not_take_is_a_dead_letter() {
    let large = "x".repeat(MAX_RECORD_BYTES);
    let (_, mut worker) = worker(move |records| {
        let schema = Schema::parse_str(ORDER_PLACED_AVSC).unwrap();
        let reader = GenericDatumReader::builder(&schema).build().unwrap();
        let Value::Record(mut fields) = reader.read_value(&mut records[0].value.as_slice()).unwrap() else { panic!() };
        fields[2].1 = Value::String(large.clone());
        let writer = apache_avro::writer::datum::GenericDatumWriter::builder(&schema).build().unwrap();
        let value = writer.write_value_to_vec(Value::Record(fields)).unwrap();
        Ok(vec![Verdict::Emit(vec![Record { value, ..records[0].clone() }])])
    });
    let mut out = Vec::new();
    worker.apply(&[input(0, Some(b"o"), Some(framed("o")))], &mut out).unwrap();
    assert_eq!(header(&out[0], "__connect.errors.exception.class.name"), Some("orderflow.OutputTooLarge"));
    assert_eq!(header(&out[0], "__connect.errors.stage"), Some("KAFKA_PRODUCE"));
}

#[test]
fn a_marker_that_its_topic_would_not_take_is_a_dead_letter() {
    let (_, mut worker) =
        worker(|records| Ok(records.iter().map(|_| Verdict::Drop { module: LABEL.to_owned() }).collect()));
    worker.routes.dropped.max_bytes = 300;
    let mut long = input(1, Some(b"o"), Some(framed("o")));
    long.headers.push((b"traceparent".to_vec(), Some(vec![b'x'; 400])));
    let mut out = Vec::new();
    let tally = worker.apply(&[long], &mut out).unwrap();
    assert_eq!((tally.dropped, tally.dead), (0, 1));
    let message = header(&out[0], "__connect.errors.exception.message").unwrap();
    assert!(message.contains("orders.dropped takes at most 300"), "{message}");
}

#[test]
fn what_the_broker_refuses_is_a_dead_letter_with_its_words() {
    let (_, mut worker) = worker(keep);
    let refused = input(7, Some(b"o"), Some(framed("o")));
    let mut out = Vec::new();
    let tally = worker.divert(&refused, "order_placed refuses a record for good: Broker: Invalid record", &mut out);
    assert_eq!(tally.unwrap(), Tally { done: 1, out: 0, dead: 1, dropped: 0 });
    assert_eq!((&*out[0].topic, &out[0].value), ("orders.dead-letter", &refused.value));
    assert_eq!(header(&out[0], "__connect.errors.stage"), Some("KAFKA_PRODUCE"));
    assert!(header(&out[0], "__connect.errors.exception.message").unwrap().ends_with("Invalid record"));
    worker.routes.dead_letters = None;
    let stopped = worker.divert(&refused, "no", &mut Vec::new());
    assert!(matches!(stopped, Err(Hold::Fail(trace)) if trace.contains("offset 7")));
}

#[test]
fn what_no_store_could_keep_is_a_dead_letter_that_names_the_field() {
    let mut zero = order("o");
    zero.customer = "a\0b".to_owned();
    let mut late = order("o");
    late.created_at = Timestamp(i64::MAX);
    for (order, field) in [(zero, "field customer holds U+0000"), (late, "field created_at is a time outside")] {
        let mut value = framing::header(RECEIVED).to_vec();
        codec::encode(&order, &mut value);
        let (_, mut worker) = worker(keep);
        let mut out = Vec::new();
        worker.apply(&[input(0, Some(b"o"), Some(value))], &mut out).unwrap();
        assert_eq!(header(&out[0], "__connect.errors.exception.class.name"), Some("orderflow.InvalidValue"));
        let message = header(&out[0], "__connect.errors.exception.message").unwrap();
        assert!(message.starts_with(field) && !message.contains('\0'), "{message}");
    }
}

#[test]
fn what_comes_out_wrong_names_the_last_module() {
    let (_, mut worker) =
        worker(|records| Ok(vec![Verdict::Emit(vec![Record { value: vec![1], ..judged(&records[0]) }])]));
    let mut out = Vec::new();
    worker.apply(&[input(0, Some(b"o"), Some(framed("o")))], &mut out).unwrap();
    assert_eq!(header(&out[0], "orderflow.module"), Some(LABEL));
}

#[test]
fn a_transaction_becomes_no_more_than_its_limit() {
    let copies = OUTPUT_RECORDS / 10;
    let (_, mut worker) =
        worker(move |records| Ok(records.iter().map(|record| Verdict::Emit(vec![record.clone(); copies])).collect()));
    let batch: Vec<Input> = (0..30).map(|offset| input(offset, Some(b"o"), Some(framed("o")))).collect();
    let mut out = Vec::new();
    assert_eq!(worker.apply(&batch, &mut out).unwrap().done, 10);
    assert_eq!(out.len(), OUTPUT_RECORDS);
}

/// Place, class, and whether it stops the slot.
type Blamed = (usize, &'static str, bool);

/// Notes what it is told, and stops at the second blame.
#[derive(Default)]
struct Noting {
    blamed: Arc<std::sync::Mutex<Vec<Blamed>>>,
    committed: Arc<std::sync::Mutex<Vec<usize>>>,
    judged: Arc<std::sync::Mutex<Vec<i64>>>,
}

impl Judge for Noting {
    fn begin(&mut self) {}

    fn judge(&mut self, records: &[Record]) -> Result<Vec<Verdict>, Unjudged> {
        let rejection = |kind| Rejection {
            alias: "clean".to_owned(),
            module: LABEL.to_owned(),
            kind,
            reason: String::new(),
            passed: Passed::default(),
        };
        Ok(records
            .iter()
            .map(|record| match record.key.as_deref() {
                Some(b"trap") => Verdict::Reject(rejection(FaultKind::Trap)),
                Some(b"no") => Verdict::Reject(rejection(FaultKind::Rejected)),
                _ => Verdict::Emit(vec![record.clone()]),
            })
            .collect())
    }

    fn header(&self) -> &'static str {
        LABEL
    }

    fn judged(&mut self, inputs: &mut dyn Iterator<Item = &Input>, records: &[Record], _: &[Verdict]) {
        let offsets: Vec<i64> = inputs.map(|input| input.offset).collect();
        assert_eq!(offsets.len(), records.len());
        self.judged.lock().unwrap().extend(offsets);
    }

    fn blame(&mut self, (at, input): (usize, &Input), reason: &Reason, stops: bool) -> Result<(), Unjudged> {
        let mut blamed = self.blamed.lock().unwrap();
        assert!(at < 5 && input.offset > 0);
        blamed.push((at, reason.class, stops));
        if blamed.len() > 2 { Err(Unjudged::Withdrawn("enough".to_owned())) } else { Ok(()) }
    }

    fn committed(&mut self, done: usize) {
        self.committed.lock().unwrap().push(done);
    }
}

#[test]
fn the_judge_hears_of_what_failed_in_a_module_and_of_nothing_else() {
    let noting = Noting::default();
    let (blamed, committed, judged) =
        (Arc::clone(&noting.blamed), Arc::clone(&noting.committed), Arc::clone(&noting.judged));
    let (_, mut worker) = worker(keep);
    worker.judge = Box::new(noting);
    let mut out = Vec::new();
    let good = |offset, id: &str| input(offset, Some(id.as_bytes()), Some(framed(id)));
    let batch = [good(1, "o-1"), input(2, Some(b"o-2"), None), good(3, "trap"), good(4, "no"), good(5, "o-5")];
    assert_eq!(worker.apply(&batch, &mut out).unwrap(), Tally { done: 5, out: 2, dead: 3, dropped: 0 });
    assert_eq!(*blamed.lock().unwrap(), [(2, "orderflow.ModuleTrap", false), (3, REJECTED, false)]);
    assert_eq!((committed.lock().unwrap().len(), judged.lock().unwrap().as_slice()), (0, &[1, 3, 4, 5][..]));
    worker.committed(5);
    assert_eq!(*committed.lock().unwrap(), [5], "when it is, and not before");
    let Err(Hold::Wait { reason, .. }) = worker.apply(&[good(6, "o-6"), good(7, "trap")], &mut out) else {
        panic!("one too many is committed");
    };
    assert_eq!(reason, "enough");
    worker.routes.dead_letters = None;
    assert!(worker.apply(&[good(8, "trap")], &mut out).is_err());
    assert_eq!(blamed.lock().unwrap().last(), Some(&(0, "orderflow.ModuleTrap", true)));
}

/// Two fields of an order: what another topic may want of it.
const BRIEF: &str = r#"{"type":"record","name":"orderflow.Order","fields":[
    {"name":"order_id","type":"string"},{"name":"customer","type":"string"}]}"#;

fn to(output: &str, record: &Record) -> Record {
    Record { output: Some(Arc::from(output)), ..judged(record) }
}

#[test]
fn what_goes_to_another_output_has_its_topic_its_schema_and_its_limit() {
    let (_, mut worker) = worker(|records| Ok(vec![Verdict::Emit(vec![judged(&records[0]), to("vip", &records[0])])]));
    let output = Output::new(21, BRIEF).unwrap();
    let resolver = crate::record::writers::kept(ORDER_PLACED_AVSC, BRIEF).unwrap().unwrap();
    let vip = Named { route: route("orders.vip"), output, resolver: Some(resolver) };
    worker.named.insert("vip".to_owned(), vip);
    let order = [input(41, Some(b"o-1"), Some(framed("o-1")))];
    let mut out = Vec::new();
    assert_eq!(worker.apply(&order, &mut out).unwrap(), Tally { done: 1, out: 2, dead: 0, dropped: 0 });
    assert_eq!(out.iter().map(|output| &*output.topic).collect::<Vec<_>>(), ["order_placed", "orders.vip"]);
    let (id, datum) = framing::split(out[1].value.as_ref().unwrap()).unwrap();
    assert_eq!((id, datum), (21, "\u{6}o-1\u{20}A \"quoted\" n\u{e4}me".as_bytes()));
    assert_eq!((header(&out[1], "orderflow.modules"), out[1].key.as_deref()), (Some(LABEL), Some(&b"o-1"[..])));
    // What one topic would not take makes a dead letter of the input, and of nothing else of it anything.
    if let Some(vip) = worker.named.get_mut("vip") {
        vip.route.max_bytes = 10;
    }
    out.clear();
    assert_eq!(worker.apply(&order, &mut out).unwrap(), Tally { done: 1, out: 0, dead: 1, dropped: 0 });
    let message = header(&out[0], "__connect.errors.exception.message").unwrap();
    assert!(message.contains("orders.vip takes at most 10"), "{message}");
}

#[test]
fn a_tombstone_passes_where_no_module_takes_it_and_the_output_knows_no_orders() {
    let schema = r#"{"type":"record","name":"Thing","fields":[{"name":"text","type":"string"}]}"#;
    let (_, mut worker) =
        worker(|records| Ok(records.iter().map(|record| Verdict::Emit(vec![record.clone()])).collect()));
    worker.output = Output::new(22, schema).unwrap();
    let mut out = Vec::new();
    assert_eq!(worker.apply(&[input(1, Some(b"gone"), None)], &mut out).unwrap().out, 1);
    assert_eq!((out[0].key.as_deref(), &out[0].value), (Some(&b"gone"[..]), &None));
    assert_eq!(header(&out[0], "orderflow.modules"), Some(""), "no module judged it");
}
