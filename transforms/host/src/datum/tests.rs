//! The walk: what apache-avro writes passes, what it would not read is refused, and no bytes cost more than their length.

use apache_avro::{Schema, reader::datum::GenericDatumReader, types::Value, writer::datum::GenericDatumWriter};
use proptest::prelude::*;

use super::*;

const SCHEMA: &str = r#"{"type":"record","name":"R","fields":[
  {"name":"flag","type":"boolean"}, {"name":"int","type":"int"}, {"name":"long","type":"long"},
  {"name":"float","type":"float"}, {"name":"double","type":"double"},
  {"name":"bytes","type":"bytes"}, {"name":"text","type":"string"},
  {"name":"maybe","type":["null","string"]},
  {"name":"list","type":{"type":"array","items":{"type":"record","name":"I","fields":[{"name":"n","type":"int"}]}}},
  {"name":"map","type":{"type":"map","values":"long"}},
  {"name":"fixed","type":{"type":"fixed","name":"F","size":3}},
  {"name":"symbol","type":{"type":"enum","name":"E","symbols":["A","B"]}}
]}"#;

fn parsed(schema: &str) -> (Schema, Shape) {
    (Schema::parse_str(schema).unwrap(), Shape::parse(schema).unwrap())
}

fn written(schema: &Schema, value: Value) -> Vec<u8> {
    GenericDatumWriter::builder(schema).build().unwrap().write_value_to_vec(value).unwrap()
}

fn readable(schema: &Schema, mut bytes: &[u8]) -> bool {
    GenericDatumReader::builder(schema).build().unwrap().read_value(&mut bytes).is_ok()
}

prop_compose! {
    fn value()(
        flag in any::<bool>(), int in any::<i32>(), long in any::<i64>(), float in any::<f32>(), double in any::<f64>(),
        bytes in prop::collection::vec(any::<u8>(), 0..9), text in ".{0,6}", maybe in prop::option::of(".{0,3}"),
        list in prop::collection::vec(any::<i32>(), 0..5), map in prop::collection::btree_map(".{0,3}", any::<i64>(), 0..4),
        fixed in any::<[u8; 3]>(), symbol in 0_u32..2,
    ) -> Value {
        let item = |n: i32| Value::Record(vec![("n".into(), Value::Int(n))]);
        let maybe = match maybe {
            Some(text) => Value::Union(1, Box::new(Value::String(text))),
            None => Value::Union(0, Box::new(Value::Null)),
        };
        let fields = vec![
            ("flag", Value::Boolean(flag)), ("int", Value::Int(int)), ("long", Value::Long(long)),
            ("float", Value::Float(float)), ("double", Value::Double(double)),
            ("bytes", Value::Bytes(bytes)), ("text", Value::String(text)), ("maybe", maybe),
            ("list", Value::Array(list.into_iter().map(item).collect())),
            ("map", Value::Map(map.into_iter().map(|(key, long)| (key, Value::Long(long))).collect())),
            ("fixed", Value::Fixed(3, fixed.to_vec())),
            ("symbol", Value::Enum(symbol, if symbol == 0 { "A" } else { "B" }.into())),
        ];
        Value::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

proptest! {
    #[test]
    fn what_apache_avro_writes_passes(value in value()) {
        let (schema, shape) = parsed(SCHEMA);
        let bytes = written(&schema, value);
        prop_assert_eq!(check(&shape, &bytes), Ok(()));
    }

    #[test]
    fn what_passes_apache_avro_can_read(value in value(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let (schema, shape) = parsed(SCHEMA);
        let mut bytes = written(&schema, value);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if check(&shape, &bytes).is_ok() {
            prop_assert!(readable(&schema, &bytes));
        }
    }

    #[test]
    fn a_shortened_or_lengthened_datum_is_refused(value in value(), cut in any::<prop::sample::Index>()) {
        let (schema, shape) = parsed(SCHEMA);
        let mut bytes = written(&schema, value);
        prop_assert!(check(&shape, &bytes[..cut.index(bytes.len())]).is_err());
        bytes.push(0);
        prop_assert!(check(&shape, &bytes).is_err());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        let (_, shape) = parsed(SCHEMA);
        let _ = check(&shape, &bytes);
    }
}

#[test]
fn each_fault_is_named_with_its_place() {
    let text = r#"{"type":"record","name":"R","fields":[{"name":"f","type":TYPE}]}"#;
    for (kind, bytes, expected) in [
        (r#""boolean""#, &[2][..], "expected a boolean at byte 0, in /f"),
        (r#""int""#, &[0xff, 0xff, 0xff, 0xff, 0x1f], "expected an int at byte 0, in /f"),
        (r#""long""#, &[0xff; 11], "expected a long at byte 0, in /f"),
        (r#""long""#, &[0x80], "expected a long at byte 0, in /f"),
        (r#""long""#, &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2], "expected a long at byte 0, in /f"),
        (r#""string""#, &[6, b'a', b'b'], "expected a string at byte 1, in /f"),
        (r#""string""#, &[1], "expected a string at byte 0, in /f"), // a negative length
        (r#""string""#, &[2, 0xff], "expected a string in UTF-8 at byte 0, in /f"),
        // A length of 2^62: nothing is allocated for it.
        (r#""bytes""#, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0], "expected bytes at byte 10, in /f"),
        (r#"["null","int"]"#, &[4], "expected a branch of the union at byte 0, in /f"),
        (r#"["null","int"]"#, &[1], "expected a branch of the union at byte 0, in /f"),
        (r#"{"type":"enum","name":"E","symbols":["A"]}"#, &[2], "expected a symbol of the enum at byte 0, in /f"),
        (r#"{"type":"array","items":"int"}"#, &[4, 2, 2], "expected a block at byte 3, in /f"),
        // Two items that are one byte each, in a block that says it has three bytes.
        (
            r#"{"type":"array","items":"int"}"#,
            &[3, 6, 2, 2, 0],
            "expected a block of the size that it says at byte 0, in /f",
        ),
        (r#"{"type":"array","items":"int"}"#, &[3, 1, 2, 2, 0], "expected the size of a block at byte 0, in /f"),
        // An item that is a record, which has a record in a union.
        (
            r#"{"type":"array","items":{"type":"record","name":"A","fields":[{"name":"a","type":["null",
                {"type":"record","name":"B","fields":[{"name":"fine","type":"int"},{"name":"b","type":"boolean"}]}]}]}}"#,
            &[2, 2, 2, 7],
            "expected a boolean at byte 3, in /f/a/b",
        ),
    ] {
        let (_, shape) = parsed(&text.replace("TYPE", kind));
        let said = check(&shape, bytes).map_err(|mismatch| mismatch.to_string());
        assert_eq!(said, Err(expected.to_owned()), "{kind}");
    }
}

#[test]
fn a_block_with_its_size_passes() {
    let (_, shape) = parsed(r#"{"type":"array","items":"int"}"#);
    assert_eq!(check(&shape, &[3, 4, 2, 2, 0]), Ok(()));
}

#[test]
fn decimals_stay_within_their_precision() {
    let (_, shape) = parsed(r#"{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}"#);
    for (bytes, fits) in [
        (&[][..], false),
        (&[0], true),
        (&[0x27, 0x0f], true),  // 9999
        (&[0x27, 0x10], false), // 10000
        (&[0xd8, 0xf1], true),  // -9999
        (&[0xd8, 0xf0], false), // -10000
        (&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], true),
        (&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], false),
        (&[0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], false),
    ] {
        let mut datum = vec![bytes.len() as u8 * 2];
        datum.extend_from_slice(bytes);
        assert_eq!(check(&shape, &datum).is_ok(), fits, "{bytes:?}");
    }
}

/// As many bits as bytes can have, by the definition.
fn fits_by_definition(bytes: &[u8], precision: u32) -> bool {
    let fill = match bytes.first() {
        Some(0x80..) => 0xff,
        Some(_) => 0,
        None => return false,
    };
    let padded = [vec![fill; 32_usize.saturating_sub(bytes.len())], bytes.to_vec()].concat();
    // What is beyond 128 bits has more than 38 digits.
    let (wide, narrow) = padded.split_at(padded.len() - 16);
    let number = i128::from_be_bytes(narrow.try_into().unwrap());
    let kept = wide.iter().all(|byte| *byte == fill) && (number < 0) == (fill == 0xff);
    kept && 10_u128.checked_pow(precision).is_none_or(|limit| number.unsigned_abs() < limit)
}

/// Around the powers of ten and the ends of 64 and 128 bits, in as many bytes as hold them and in more.
fn decimal() -> impl Strategy<Value = Vec<u8>> {
    let near = |base: i128| (-2_i128..=2).prop_map(move |step| base.saturating_add(step));
    let power = (0_u32..39, any::<bool>()).prop_map(|(digits, negative)| {
        let power = 10_i128.pow(digits);
        if negative { -power } else { power }
    });
    let number = prop_oneof![
        power.prop_flat_map(near),
        near(i64::MAX.into()),
        near(i64::MIN.into()),
        near(i128::MAX),
        near(i128::MIN),
        near(0),
    ];
    let encoded = (number, 0_usize..5).prop_map(|(number, more)| {
        let bytes = number.to_be_bytes();
        let fill = if number < 0 { 0xff } else { 0 };
        let spare = bytes.iter().zip(bytes.iter().skip(1));
        let spare = spare.take_while(|(byte, next)| **byte == fill && (**next ^ fill) & 0x80 == 0).count();
        [vec![fill; more], bytes[spare..].to_vec()].concat()
    });
    prop_oneof![encoded, prop::collection::vec(any::<u8>(), 0..21)]
}

proptest! {
    #[test]
    fn a_short_decimal_fits_as_a_long_one_does(bytes in decimal(), precision in 0_u32..41) {
        prop_assert_eq!(fits(&bytes, precision), fits_by_definition(&bytes, precision), "{:02x?}", bytes);
    }
}

#[test]
fn no_count_costs_more_steps_than_the_bytes_pay_for() {
    let huge = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    let (_, shape) = parsed(r#"{"type":"array","items":{"type":"record","name":"Empty","fields":[]}}"#);
    let started = std::time::Instant::now();
    assert!(check(&shape, &huge).unwrap_err().to_string().contains("fewer empty values"));
    let (_, shape) = parsed(r#"{"type":"array","items":"null"}"#);
    assert!(check(&shape, &huge).is_err());
    assert!(started.elapsed() < std::time::Duration::from_secs(1));
}

#[test]
fn nesting_is_bounded() {
    let (_, shape) = parsed(r#"{"type":"record","name":"N","fields":[{"name":"next","type":["null","N"]}]}"#);
    let chain = |depth: usize| [vec![2; depth], vec![0]].concat();
    assert_eq!(check(&shape, &chain(20)), Ok(()));
    let said = check(&shape, &chain(100_000)).unwrap_err().to_string();
    assert!(said.starts_with("expected less nesting at byte") && said.ends_with(&"/next".repeat(20)), "{said}");
}
