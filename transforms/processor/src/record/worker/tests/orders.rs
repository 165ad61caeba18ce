//! What becomes of an order, and of what is none.

use super::*;

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
fn what_comes_out_wrong_names_the_last_module() {
    let (_, mut worker) =
        worker(|records| Ok(vec![Verdict::Emit(vec![Record { value: vec![1], ..judged(&records[0]) }])]));
    let mut out = Vec::new();
    worker.apply(&[input(0, Some(b"o"), Some(framed("o")))], &mut out).unwrap();
    assert_eq!(header(&out[0], "orderflow.module"), Some(LABEL));
}
