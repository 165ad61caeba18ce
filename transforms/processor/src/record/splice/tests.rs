//! Both ways: whatever the short one takes, the full one takes, with the same bytes; and what is usual is taken.

use std::sync::LazyLock;

use apache_avro::Schema;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use proptest::prelude::*;
use schemas::contracts::{ORDER_PLACED_AVSC, ORDERS_RECEIVED_AVSC};
use schemas::resolution::Resolver;

use super::*;
use crate::record::storable;

/// Every type that is known here, with null and without.
const WRITER: &str = r#"{"type":"record","name":"R","fields":[
  {"name":"flag","type":"boolean"}, {"name":"int","type":"int"}, {"name":"day","type":{"type":"int","logicalType":"date"}},
  {"name":"long","type":"long"}, {"name":"millis","type":{"type":"long","logicalType":"timestamp-millis"}},
  {"name":"gone","type":["string","null"]},
  {"name":"micros","type":["null",{"type":"long","logicalType":"timestamp-micros"}]}, {"name":"bytes","type":"bytes"},
  {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":15,"scale":2}},
  {"name":"text","type":"string"}, {"name":"maybe","type":["null","string"]}, {"name":"flags","type":{"type":"array","items":"boolean"}},
  {"name":"items","type":{"type":"array","items":{"type":"record","name":"I","fields":[
    {"name":"sku","type":"string"}, {"name":"n","type":["int","null"]}]}}}
]}"#;

/// The writer's fields in another order, one of them left out, and defaults of each kind.
static READER: LazyLock<String> = LazyLock::new(|| {
    let mut schema: serde_json::Value = serde_json::from_str(WRITER).unwrap();
    let fields = schema["fields"].as_array_mut().unwrap();
    fields.retain(|field| field["name"] != "gone");
    fields.reverse();
    for (kind, default) in [
        (serde_json::json!(["null", "string"]), serde_json::Value::Null),
        ("int".into(), (-7).into()),
        ("long".into(), (1_u64 << 40).into()),
        ("string".into(), "é".into()),
        (serde_json::json!({"type": "array", "items": "long"}), serde_json::json!([])),
    ] {
        let name = format!("new_{}", fields.len());
        fields.insert(3, serde_json::json!({"name": name, "type": kind, "default": default}));
    }
    schema.to_string()
});

struct Both {
    full: Resolver,
    short: Splice,
}

impl Both {
    fn new(writer: &str, reader: &str) -> Self {
        Self { full: Resolver::new(writer, reader).unwrap(), short: Splice::compile(writer, reader).unwrap() }
    }

    /// What the full way makes of it, and the short one.
    fn read(&self, datum: &[u8]) -> [Option<Vec<u8>>; 2] {
        let value = self.full.read(datum).ok().filter(|value| storable::fault(value).is_none());
        [value.and_then(|value| self.full.write(&value).ok()), self.short.read(datum).map(|fields| fields.datum())]
    }
}

static BOTH: LazyLock<Both> = LazyLock::new(|| Both::new(WRITER, &READER));

fn some(at: u32, value: Value) -> Value {
    Value::Union(at, Box::new(value))
}

fn times() -> impl Strategy<Value = i64> {
    prop_oneof![8 => -60_000_000_000_000..250_000_000_000_000_i64, 1 => any::<i64>()]
}

prop_compose! {
    // What the stores cannot keep, in a field that the reader leaves out, is the one thing that only the full way takes.
    fn datum()(
        flag in any::<bool>(), int in any::<i32>(), day in -8_000_000..8_000_000, long in any::<i64>(), millis in times(),
        gone in prop::option::of("[a-zé]{0,3}"), micros in prop::option::of(times()), bytes in prop::collection::vec(any::<u8>(), 0..200),
        price in prop::collection::vec(any::<u8>(), 1..17), text in "\\PC{0,90}|[a\0]{0,3}", maybe in prop::option::of(".{0,3}"),
        flags in prop::collection::vec(any::<bool>(), 0..4),
        items in prop::collection::vec((".{0,4}", prop::option::of(any::<i32>())), 0..70),
    ) -> Vec<u8> {
        let optional = |value: Option<Value>, null: u32| value.map_or(some(null, Value::Null), |value| some(1 - null, value));
        let item = |(sku, n): (String, Option<i32>)| Value::Record(vec![
            ("sku".into(), Value::String(sku)), ("n".into(), optional(n.map(Value::Int), 1)),
        ]);
        let fields = vec![
            ("flag", Value::Boolean(flag)), ("int", Value::Int(int)), ("day", Value::Date(day)), ("long", Value::Long(long)),
            ("millis", Value::TimestampMillis(millis)), ("gone", optional(gone.map(Value::String), 1)),
            ("micros", optional(micros.map(Value::TimestampMicros), 0)), ("bytes", Value::Bytes(bytes)),
            ("price", Value::Decimal(price.into())), ("text", Value::String(text)),
            ("maybe", optional(maybe.map(Value::String), 0)),
            ("flags", Value::Array(flags.into_iter().map(Value::Boolean).collect())),
            ("items", Value::Array(items.into_iter().map(item).collect())),
        ];
        let value = Value::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
        GenericDatumWriter::builder(&Schema::parse_str(WRITER).unwrap()).build().unwrap().write_value_to_vec(value).unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_apache_avro_writes_both_ways_read_alike(datum in datum()) {
        let [full, short] = BOTH.read(&datum);
        prop_assert_eq!(full, short);
    }

    #[test]
    fn of_bytes_that_were_changed_the_short_way_takes_only_what_the_full_one_takes(
        datum in datum(), at in any::<prop::sample::Index>(), kind in 0..4, byte in any::<u8>(),
    ) {
        let mut datum = datum;
        let at = at.index(datum.len());
        match kind {
            0 => datum[at] = byte,
            1 => datum.insert(at, byte),
            2 => drop(datum.remove(at)),
            // A number that is longer than it needs to be, if there is one.
            _ => {
                datum[at] |= 0x80;
                datum.insert(at + 1, 0);
            }
        }
        let [full, short] = BOTH.read(&datum);
        if let Some(short) = short {
            prop_assert_eq!(full, Some(short));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let [full, short] = BOTH.read(&bytes);
        if let Some(short) = short {
            prop_assert_eq!(full, Some(short));
        }
    }
}

#[test]
fn the_contract_is_known() {
    assert!(Splice::compile(ORDERS_RECEIVED_AVSC, ORDER_PLACED_AVSC).is_ok());
    assert!(Splice::compile(ORDER_PLACED_AVSC, ORDER_PLACED_AVSC).is_ok());
}

#[test]
fn what_apache_avro_would_not_write_back_as_it_is_is_left_to_it() {
    let one = |kind: &str| format!(r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":{kind}}}]}}"#);
    let list = one(r#"{"type":"array","items":"int"}"#);
    let both = |schema: &str| Both::new(schema, schema);
    let decimal = one(r#"{"type":"bytes","logicalType":"decimal","precision":38,"scale":2}"#);
    let wide = [&[34][..], &[0; 17]].concat();
    for (schema, datum, same) in [
        (&decimal, &[2, 5][..], true),
        (&decimal, &[0], false),  // no number
        (&decimal, &wide, false), // more than JSON is made of
        (&list, &[4, 2, 4, 0], true),
        (&list, &[0], true),
        (&list, &[2, 2, 2, 4, 0], false),                           // two blocks
        (&list, &[3, 4, 2, 4, 0], false),                           // a block with its size
        (&list, &[0x84, 0, 2, 4, 0], false),                        // a count in more bytes than it needs
        (&one(r#""int""#), &[0x80, 0], false),                      // a zero in two
        (&one(r#""boolean""#), &[2], false),                        // neither
        (&one(r#""string""#), &[2, 0xff], false),                   // no UTF-8
        (&one(r#""string""#), &[2, 0], false),                      // U+0000
        (&one(r#""int""#), &[0xfe, 0xff, 0xff, 0xff, 0x1f], false), // beyond 32 bits
        (&one(r#"["null","int"]"#), &[4], false),                   // a third branch
        (&one(r#""long""#), &[2, 2], false),                        // a byte too many
    ] {
        let both = both(schema);
        let [full, short] = both.read(datum);
        assert_eq!(short.is_some(), same, "{schema} {datum:?}");
        assert!(!same || full == short, "{schema} {datum:?}: {full:?}");
    }
}

#[test]
fn what_is_not_known_is_named() {
    let record = |fields: &str| format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#);
    let same = |kind: &str| {
        let schema = record(&format!(r#"{{"name":"f","type":{kind}}}"#));
        Splice::compile(&schema, &schema).err()
    };
    for kind in [
        r#"{"type":"map","values":"int"}"#,
        r#"{"type":"enum","name":"E","symbols":["A"]}"#,
        r#"["null","int","string"]"#,
        r#"["null",{"type":"record","name":"Empty","fields":[]}]"#,
        r#"{"type":"array","items":{"type":"record","name":"Empty","fields":[]}}"#,
        r#""double""#,
    ] {
        assert!(same(kind).is_some_and(|why| why.starts_with("f: ")), "{kind}");
    }
    let int = record(r#"{"name":"f","type":"int"}"#);
    for (reader, expected) in [
        (r#"{"name":"f","type":"long"}"#, "f: is not the same in both schemas"),
        (r#"{"name":"g","type":"int","aliases":["f"],"default":0}"#, "g: has aliases"),
        (r#"{"name":"g","type":"int"}"#, "g: has no default that is known here"),
        (r#"{"name":"g","type":["int","null"],"default":0}"#, "g: has no default that is known here"),
    ] {
        assert_eq!(Splice::compile(&int, &record(reader)).err().as_deref(), Some(expected));
    }
    assert!(Splice::compile(r#""int""#, &int).is_err());
}
