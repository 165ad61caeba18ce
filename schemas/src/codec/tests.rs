//! apache-avro is the judge: it reads what the codec writes and writes what the codec reads.

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{Decimal, Schema};
use proptest::prelude::*;

use super::*;
use crate::contracts::{ORDER_PLACED_AVSC, ORDERS_RECEIVED_AVSC};
use crate::resolution::{DatumError, Resolver, SchemaError};

/// Every version that was ever written; `order_placed` must read them all.
const WRITTEN_VERSIONS: [&str; 1] = [include_str!("../../versions/orders.received.v1.avsc")];

fn received() -> Schema {
    Schema::parse_str(ORDERS_RECEIVED_AVSC).unwrap()
}

fn encoded(order: &Order) -> Vec<u8> {
    let mut out = Vec::new();
    encode(order, &mut out);
    out
}

fn money() -> impl Strategy<Value = Money> {
    prop_oneof![0..=Money::MAX.hundredths(), 0..=40_000_i64]
        .prop_map(|hundredths| Money::from_hundredths(hundredths).unwrap())
}

fn item() -> impl Strategy<Value = Item> {
    ("\\PC{1,64}", 1..=1_000_000_i32, money()).prop_map(|(sku, quantity, unit_price)| Item {
        sku,
        quantity,
        unit_price,
    })
}

fn order() -> impl Strategy<Value = Order> {
    let texts = (
        "[A-Za-z0-9][A-Za-z0-9._:-]{0,127}",
        "\\PC{1,256}",
        proptest::option::of("[A-Za-z]{3}"),
        proptest::option::of("[a-z]{1,60}@[a-z]{1,60}"),
        proptest::option::of("[A-Z]{2}"),
        proptest::option::of("[A-Za-z0-9_-]{1,32}"),
    );
    let rest = (money(), proptest::collection::vec(item(), 0..20), any::<i64>(), any::<i64>());
    (texts, rest).prop_map(
        |((order_id, customer, currency, email, country, channel), (amount, items, created, received))| Order {
            order_id: order_id.parse().unwrap(),
            amount,
            customer,
            currency,
            items,
            email,
            country,
            channel,
            created_at: Timestamp(created),
            received_at: Timestamp(received),
        },
    )
}

fn decimal(money: Money) -> Value {
    Value::Decimal(Decimal::from(money.hundredths().to_be_bytes()))
}

/// The decimal's bytes as Java writes them: as few as hold it.
fn minimal(money: Money) -> Value {
    Value::Bytes(num_bytes(money.hundredths()))
}

fn num_bytes(hundredths: i64) -> Vec<u8> {
    let mut bytes = hundredths.to_be_bytes().to_vec();
    while bytes.len() > 1 && bytes[0] == 0 && bytes[1] < 0x80 {
        bytes.remove(0);
    }
    bytes
}

fn optional(text: Option<&String>) -> Value {
    match text {
        None => Value::Union(0, Box::new(Value::Null)),
        Some(text) => Value::Union(1, Box::new(Value::String(text.clone()))),
    }
}

/// The order as apache-avro means it, field by field.
fn value(order: &Order) -> Value {
    let items = order.items.iter().map(|item| {
        Value::Record(vec![
            ("sku".into(), Value::String(item.sku.clone())),
            ("quantity".into(), Value::Int(item.quantity)),
            ("unit_price".into(), decimal(item.unit_price)),
        ])
    });
    Value::Record(vec![
        ("order_id".into(), Value::String(order.order_id.to_string())),
        ("amount".into(), decimal(order.amount)),
        ("customer".into(), Value::String(order.customer.clone())),
        ("currency".into(), optional(order.currency.as_ref())),
        ("items".into(), Value::Array(items.collect())),
        ("email".into(), optional(order.email.as_ref())),
        ("country".into(), optional(order.country.as_ref())),
        ("channel".into(), optional(order.channel.as_ref())),
        ("created_at".into(), Value::TimestampMillis(order.created_at.0)),
        ("received_at".into(), Value::TimestampMillis(order.received_at.0)),
    ])
}

fn field<'a>(record: &'a Value, name: &str) -> &'a Value {
    let Value::Record(fields) = record else { panic!("not a record: {record:?}") };
    &fields.iter().find(|(field, _)| field == name).unwrap().1
}

proptest! {
    #[test]
    fn decode_is_the_inverse_of_encode(order in order()) {
        prop_assert_eq!(decode(&encoded(&order)), Ok(order));
    }

    #[test]
    fn avro_reads_what_the_codec_writes(order in order()) {
        let schema = received();
        let reader = GenericDatumReader::builder(&schema).build().unwrap();
        let read = reader.read_value(&mut encoded(&order).as_slice()).unwrap();
        prop_assert_eq!(read, value(&order));
    }

    #[test]
    fn the_codec_reads_what_avro_writes(order in order()) {
        let schema = received();
        let writer = GenericDatumWriter::builder(&schema).build().unwrap();
        let written = writer.write_value_to_vec(value(&order)).unwrap();
        prop_assert_eq!(decode(&written), Ok(order));
    }

    #[test]
    fn order_placed_reads_every_written_version(order in order()) {
        for version in WRITTEN_VERSIONS {
            let resolver = Resolver::new(version, ORDER_PLACED_AVSC).unwrap();
            let read = resolver.read(&encoded(&order)).unwrap();
            prop_assert_eq!(field(&read, "customer"), &Value::String(order.customer.clone()));
            prop_assert_eq!(field(&read, "amount"), &minimal(order.amount));
            prop_assert_eq!(field(&read, "item_count"), &Value::Int(0));
            prop_assert_eq!(field(&read, "received_offset"), &Value::Long(-1));
            let again = Resolver::new(ORDER_PLACED_AVSC, ORDER_PLACED_AVSC).unwrap();
            prop_assert_eq!(again.read(&resolver.write(&read).unwrap()).unwrap(), read);
        }
    }

    #[test]
    fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn a_cut_datum_is_refused(order in order(), cut in any::<prop::sample::Index>()) {
        let whole = encoded(&order);
        prop_assert!(decode(&whole[..cut.index(whole.len())]).is_err());
    }
}

#[test]
fn the_newest_written_version_is_the_contract() {
    let newest = WRITTEN_VERSIONS.last().unwrap();
    assert_eq!(
        Schema::parse_str(newest).unwrap(),
        received(),
        "orders.received.avsc has changed: add it to versions/ under the next number and to WRITTEN_VERSIONS"
    );
}

#[test]
fn order_placed_begins_with_the_fields_of_orders_received() {
    let (Schema::Record(received), Schema::Record(placed)) =
        (received(), Schema::parse_str(ORDER_PLACED_AVSC).unwrap())
    else {
        panic!("both are records");
    };
    assert_eq!(received.name, placed.name);
    for (received, placed) in received.fields.iter().zip(&placed.fields) {
        assert_eq!((&received.name, &received.schema), (&placed.name, &placed.schema));
    }
    for added in placed.fields.iter().skip(received.fields.len()) {
        assert!(added.default.is_some(), "{} has no default: older records could not be read", added.name);
    }
}

#[test]
fn a_decimal_of_another_scale_is_refused() {
    let other = ORDERS_RECEIVED_AVSC.replace("\"scale\": 2", "\"scale\": 3");
    let refused = Resolver::new(&other, ORDER_PLACED_AVSC);
    assert!(matches!(refused, Err(SchemaError::Decimal { .. })), "{refused:?}");
}

#[test]
fn bytes_behind_the_datum_are_refused() {
    let resolver = Resolver::new("\"long\"", "\"long\"").unwrap();
    assert_eq!(resolver.resolve(&[2]), Ok(vec![2]));
    assert!(matches!(resolver.resolve(&[2, 0]), Err(DatumError::Left { left: 1, .. })));
    assert!(matches!(resolver.resolve(&[]), Err(DatumError::Unreadable { .. })));
}
