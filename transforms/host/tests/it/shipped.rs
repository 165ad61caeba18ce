//! The shipped modules inside of the sandbox, against datums that apache-avro writes and reads.

use std::{collections::BTreeMap, sync::Arc};

use apache_avro::{Schema, reader::datum::GenericDatumReader, types::Value, writer::datum::GenericDatumWriter};
use transform_host::{Chain, Options, Record, Verdict};

use crate::{
    chains::OneTable,
    guests::{ORDER_SCHEMA, engine, single, step},
};

fn schema() -> Schema {
    Schema::parse_str(ORDER_SCHEMA).unwrap()
}

fn optional(value: Option<&str>) -> Value {
    match value {
        Some(text) => Value::Union(1, Box::new(Value::String(text.to_owned()))),
        None => Value::Union(0, Box::new(Value::Null)),
    }
}

fn decimal(unscaled: i64) -> Value {
    let bytes = unscaled.to_be_bytes();
    Value::Decimal(apache_avro::Decimal::from(&bytes[..]))
}

fn order(customer: &str, amount: i64, currency: Option<&str>) -> Record {
    let item = Value::Record(vec![
        ("sku".into(), Value::String("s-1".into())),
        ("quantity".into(), Value::Int(3)),
        ("unit_price".into(), decimal(-5)),
    ]);
    let fields = vec![
        ("order_id", Value::String("o-1".into())),
        ("amount", decimal(amount)),
        ("customer", Value::String(customer.into())),
        ("currency", optional(currency)),
        ("items", Value::Array(vec![item.clone(), item])),
        ("email", optional(Some(" Jo@EXAMPLE.com"))),
        ("country", optional(Some("de"))),
        ("channel", optional(None)),
        ("created_at", Value::TimestampMillis(1_700_000_000_000)),
        ("received_at", Value::TimestampMillis(1_700_000_000_001)),
        ("amount_home", Value::Union(0, Box::new(Value::Null))),
        ("home_currency", optional(None)),
        ("region", optional(None)),
        ("item_count", Value::Int(0)),
        ("email_domain", optional(None)),
        ("value_band", optional(None)),
        ("items_json", optional(None)),
        ("received_partition", Value::Int(-1)),
        ("received_offset", Value::Long(-1)),
    ];
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let schema = schema();
    let writer = GenericDatumWriter::builder(&schema).build().unwrap();
    let value = writer.write_value_to_vec(Value::Record(fields)).unwrap();
    Record { key: Some(b"o-1".to_vec()), value, timestamp_ms: 5, ..Record::default() }
}

fn field(record: &Record, name: &str) -> String {
    let schema = schema();
    let reader = GenericDatumReader::builder(&schema).build().unwrap();
    let value = reader.read_value(&mut &record.value[..]).unwrap();
    let Value::Record(fields) = value else { panic!("{value:?}") };
    let value = fields.into_iter().find(|(field, _)| field == name).unwrap().1;
    let value = if let Value::Union(_, inner) = value { *inner } else { value };
    match value {
        Value::Decimal(decimal) => {
            let bytes: Vec<u8> = decimal.try_into().unwrap();
            let fill = if bytes[0] & 0x80 == 0 { 0 } else { 0xff };
            let mut wide = [fill; 16];
            wide[16 - bytes.len()..].copy_from_slice(&bytes);
            i128::from_be_bytes(wide).to_string()
        }
        Value::String(text) => text,
        Value::Int(number) => number.to_string(),
        Value::Long(number) | Value::TimestampMillis(number) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn chain(sum: &str) -> Chain {
    let engine = engine();
    let steps = vec![
        step(&engine, "clean", &[("items.sum", sum)]),
        step(&engine, "enrich", &[("rates", "EUR:1.08"), ("bands", "low:0,high:100")]),
    ];
    Chain::with_options(&engine, steps, ORDER_SCHEMA, single()).unwrap()
}

#[test]
fn an_order_is_cleaned_and_enriched() {
    let input = order("  J\u{fc}rgen \t X ", 9_999, Some("eur"));
    let verdicts = chain("ignore").apply(std::slice::from_ref(&input)).unwrap();
    let [Verdict::Emit(records)] = &verdicts[..] else { panic!("{verdicts:?}") };
    let [record] = &records[..] else { panic!("{records:?}") };
    assert_eq!((&record.key, record.timestamp_ms), (&input.key, 5));
    for (name, expected) in [
        ("order_id", "o-1"),
        ("amount", "9999"),
        ("customer", "J\u{fc}rgen X"),
        ("currency", "EUR"),
        ("email", "Jo@example.com"),
        ("country", "DE"),
        ("channel", "Null"),
        ("created_at", "1700000000000"),
        ("received_at", "1700000000001"),
        ("amount_home", "10799"), // 107.9892
        ("home_currency", "USD"),
        ("region", "EMEA"),
        ("item_count", "6"),
        ("email_domain", "example.com"),
        ("value_band", "high"),
        ("items_json", "Null"),
        ("received_partition", "-1"),
        ("received_offset", "-1"),
    ] {
        assert_eq!(field(record, name), expected, "{name}");
    }
}

/// A field that came after the modules were built: its bytes behind those of the fields that they know.
#[test]
fn what_a_module_was_not_built_for_passes_it_by() {
    let gift = r#"{ "name": "gift", "type": ["null", "string"], "default": null }"#;
    let wider = format!(
        "{}, {gift} ] }}",
        ORDER_SCHEMA.trim_end().strip_suffix('}').unwrap().trim_end().strip_suffix(']').unwrap()
    );
    let engine = engine();
    let steps = || vec![step(&engine, "clean", &[]), step(&engine, "enrich", &[("rates", "EUR:1.08")])];
    let [mut known, mut newer] =
        [ORDER_SCHEMA, &wider].map(|schema| Chain::with_options(&engine, steps(), schema, single()).unwrap());
    for gift in [&b"\x00"[..], b"\x02\x0cribbon"] {
        let before = order("  J\u{fc}rgen ", 9_999, Some("eur"));
        let longer = Record { value: [&before.value[..], gift].concat(), ..before.clone() };
        let [short, long] = [(&mut known, before), (&mut newer, longer)].map(|(chain, input)| {
            let mut verdicts = chain.apply(&[input]).unwrap();
            let Some(Verdict::Emit(mut records)) = verdicts.pop() else { panic!("{verdicts:?}") };
            records.pop().unwrap().value
        });
        assert_eq!(long, [&short[..], gift].concat());
    }
    let rejected = newer.apply(&[Record { value: vec![1], ..order("x", 1, None) }]).unwrap();
    assert!(matches!(&rejected[..], [Verdict::Reject(_)]), "{rejected:?}");
}

/// All of a record but how long its decimals are, which the SDK writes as short as can be.
fn whole(record: &Record, output: Option<&str>) -> Vec<String> {
    let Schema::Record(schema) = schema() else { panic!("the order is a record") };
    let fields = schema.fields.iter().filter(|found| found.name != "items").map(|found| field(record, &found.name));
    let other = (output, &record.key, record.timestamp_ms, &record.headers, &record.topic, record.tombstone);
    fields.chain([format!("{other:?}")]).collect()
}

fn emitted(verdict: &Verdict) -> Vec<Vec<String>> {
    let Verdict::Emit(records) = verdict else { panic!("{verdict:?}") };
    records.iter().map(|record| whole(record, record.output.as_deref())).collect()
}

#[test]
fn customers_are_looked_up_in_the_table_of_tiers() {
    let tiers = [("rich", "gold"), ("bad", "blocked"), ("other", "silver")];
    let tiers = tiers.map(|(customer, tier)| (customer.as_bytes().to_vec(), tier.as_bytes().to_vec()));
    let tables = |name| Options { tables: Some(Arc::new(OneTable(name, BTreeMap::from(tiers.clone())))), ..single() };
    let made =
        |options| Chain::with_options(&engine(), vec![step(&engine(), "customer-tier", &[])], ORDER_SCHEMA, options);
    let input = ["rich", "bad", "other", "nobody"].map(|customer| order(customer, 1, None));
    let verdicts = made(tables("tiers")).unwrap().apply(&input).unwrap();
    assert_eq!(emitted(&verdicts[0]), [whole(&input[0], None), whole(&input[0], Some("vip"))]);
    assert!(
        matches!(&verdicts[1], Verdict::Reject(found) if found.reason == "the customer is blocked"),
        "{verdicts:?}"
    );
    for at in [2, 3] {
        assert_eq!(emitted(&verdicts[at]), [whole(&input[at], None)]);
    }
    let error = made(tables("others")).err().unwrap().to_string();
    assert!(error.contains("it needs the lookup `tiers`; name it in `lookups`"), "{error}");
    // As many as one call takes, and more than one lookup may have.
    let many: Vec<_> = (0..1_001).map(|_| order("bad", 1, None)).collect();
    let verdicts = made(tables("tiers")).unwrap().apply(&many).unwrap();
    assert!(verdicts.len() == 1_001 && verdicts.iter().all(|verdict| matches!(verdict, Verdict::Reject(_))));
}

#[test]
fn rejections_carry_the_module_and_its_words() {
    let input = [order(" \u{7} ", 1, None), order("x", 1, Some("ABC")), order("x", 1, None), order("x", -30, None)];
    let verdicts = chain("reject").apply(&input).unwrap();
    let reasons: Vec<_> = verdicts
        .iter()
        .map(|verdict| match verdict {
            Verdict::Reject(rejection) => {
                assert!(rejection.module.starts_with("clean@1.0.1+sha256:"), "{rejection:?}");
                rejection.reason.as_str()
            }
            other => {
                assert!(matches!(other, Verdict::Emit(_)), "{other:?}");
                "emitted"
            }
        })
        .collect();
    assert_eq!(
        reasons,
        [
            "customer is empty after cleaning",
            "currency is not an active ISO 4217 code",
            "items add up to -0.30, the amount is 0.01",
            "emitted",
        ]
    );
}

#[test]
fn what_is_no_datum_is_rejected_by_the_module_itself() {
    let mut torn = order("x", 1, None);
    torn.value.truncate(7);
    let verdicts = chain("ignore").apply(&[torn]).unwrap();
    let [Verdict::Reject(rejection)] = &verdicts[..] else { panic!("{verdicts:?}") };
    assert!(rejection.reason.starts_with("cannot read the record: expected "), "{rejection:?}");
}
