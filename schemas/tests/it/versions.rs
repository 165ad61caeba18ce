//! Records are kept for ever, so every schema that one was ever written with must be read by today's `order_placed`.
//!
//! Beside each version in `versions/` lies an example: a datum that was written then, in hexadecimal, and what it reads
//! as now (amounts in hundredths, times in milliseconds). The datum is frozen; nobody writes it anew with today's code.

use std::fs;
use std::path::{Path, PathBuf};

use apache_avro::types::Value;
use schemas::codec;
use schemas::contracts::{ORDER_PLACED_AVSC, ORDERS_RECEIVED_AVSC};
use schemas::resolution::Resolver;
use serde_json::{Map, Value as Json, json};

const FAMILIES: [(&str, &str); 2] = [("orders.received", ORDERS_RECEIVED_AVSC), ("order_placed", ORDER_PLACED_AVSC)];

/// A version of a schema with its example.
struct Version {
    number: u32,
    schema: String,
    datum: Vec<u8>,
    reads_as: Json,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("versions")
}

/// All versions of a family, the oldest first, as the folder has them: none can be forgotten in a list.
fn versions(family: &str) -> Vec<Version> {
    let mut versions = Vec::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(stem) = name.strip_suffix(".avsc") else {
            assert!(name.ends_with(".example.json"), "{name}: neither a schema nor an example");
            continue;
        };
        let (of, number) = stem.rsplit_once(".v").unwrap();
        assert!(FAMILIES.iter().any(|(family, _)| *family == of), "{name} belongs to no contract");
        if of == family {
            versions.push(version(stem, number.parse().unwrap()));
        }
    }
    versions.sort_by_key(|version| version.number);
    let numbers: Vec<u32> = versions.iter().map(|version| version.number).collect();
    assert!(numbers.iter().copied().eq(1..=u32::try_from(numbers.len()).unwrap()), "{family} has versions {numbers:?}");
    assert!(!numbers.is_empty(), "{family} has no version");
    versions
}

fn version(stem: &str, number: u32) -> Version {
    let schema = fs::read_to_string(folder().join(format!("{stem}.avsc"))).unwrap();
    let example = fs::read_to_string(folder().join(format!("{stem}.example.json")))
        .unwrap_or_else(|error| panic!("{stem} needs an example, so that a reader of it can be tested: {error}"));
    let example: Json = serde_json::from_str(&example).unwrap();
    let datum = example["datum"].as_str().unwrap().as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).unwrap();
        u8::from_str_radix(pair, 16).unwrap()
    });
    Version { number, schema, datum: datum.collect(), reads_as: example["reads_as"].clone() }
}

/// A value as the examples write it; bytes are amounts, since the orders have no other.
fn shown(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(flag) => json!(flag),
        Value::String(text) => json!(text),
        Value::Int(number) => json!(number),
        Value::Long(number) | Value::TimestampMillis(number) => json!(number),
        Value::Bytes(bytes) => json!(hundredths(bytes)),
        Value::Union(_, value) => shown(value),
        Value::Array(items) => items.iter().map(shown).collect(),
        Value::Record(fields) => {
            Json::Object(fields.iter().map(|(name, value)| (name.clone(), shown(value))).collect::<Map<_, _>>())
        }
        other => panic!("an order has no {other:?}"),
    }
}

/// Two's complement, big-endian.
fn hundredths(bytes: &[u8]) -> i64 {
    let sign = if bytes[0] < 0x80 { 0 } else { -1 };
    bytes.iter().fold(sign, |number, byte| (number << 8) | i64::from(*byte))
}

#[test]
fn today_s_order_placed_reads_every_version_that_was_ever_written() {
    let today = Resolver::new(ORDER_PLACED_AVSC, ORDER_PLACED_AVSC).unwrap();
    for (family, _) in FAMILIES {
        for Version { number, schema, datum, reads_as } in versions(family) {
            let resolver = Resolver::new(&schema, ORDER_PLACED_AVSC).unwrap();
            let read = resolver.read(&datum).unwrap();
            let again = today.read(&resolver.write(&read).unwrap()).unwrap();
            assert_eq!(again, read, "{family}.v{number}, written as today's");
            let read = shown(&read);
            // A field that came later is not in the example.
            for (name, expected) in reads_as.as_object().unwrap() {
                assert_eq!(&read[name], expected, "{family}.v{number}: {name}");
            }
        }
    }
}

#[test]
fn the_newest_version_is_the_contract() {
    for (family, contract) in FAMILIES {
        let newest = versions(family).pop().unwrap();
        let [newest, contract]: [Json; 2] = [&newest.schema, contract].map(|text| serde_json::from_str(text).unwrap());
        assert_eq!(
            newest, contract,
            "{family}.avsc has changed: add it to versions/ under the next number, with an example"
        );
    }
}

/// The codec is written by hand: it reads the newest example and writes the same bytes again.
#[test]
fn the_codec_writes_what_was_always_written() {
    let newest = versions("orders.received").pop().unwrap();
    let order = codec::decode(&newest.datum).unwrap();
    assert_eq!(order.order_id.as_str(), newest.reads_as["order_id"].as_str().unwrap());
    let mut written = Vec::new();
    codec::encode(&order, &mut written);
    assert_eq!(written, newest.datum);
}

/// Fields as JSON, so that a changed default or a changed doc counts as well.
#[test]
fn order_placed_begins_with_the_fields_of_orders_received() {
    let [received, placed]: [Json; 2] =
        [ORDERS_RECEIVED_AVSC, ORDER_PLACED_AVSC].map(|text| serde_json::from_str(text).unwrap());
    assert_eq!((&received["name"], &received["namespace"]), (&placed["name"], &placed["namespace"]));
    let [received, placed] = [&received, &placed].map(|schema| schema["fields"].as_array().unwrap());
    assert!(received.len() <= placed.len(), "order_placed lacks fields of orders.received");
    for (received, placed) in received.iter().zip(placed) {
        assert_eq!(received, placed);
    }
    for added in &placed[received.len()..] {
        assert!(added.get("default").is_some(), "{} has no default: older records could not be read", added["name"]);
    }
}
