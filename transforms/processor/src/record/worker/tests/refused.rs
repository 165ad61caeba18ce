//! What a topic, the broker or a store would not take.

use super::*;

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
