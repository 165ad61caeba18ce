//! apache-avro is the judge: it reads what the codec writes and writes what the codec reads. Versions that were written
//! before are the matter of `tests/it/versions.rs`.

use std::sync::LazyLock;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{Decimal, Schema};
use proptest::prelude::*;

use super::*;
use crate::contracts::{ORDER_PLACED_AVSC, ORDERS_RECEIVED_AVSC};
use crate::resolution::Resolver;

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
    fn order_placed_reads_what_the_codec_writes(order in order()) {
        static FIRST: LazyLock<Resolver> =
            LazyLock::new(|| Resolver::new(ORDERS_RECEIVED_AVSC, ORDER_PLACED_AVSC).unwrap());
        static AGAIN: LazyLock<Resolver> =
            LazyLock::new(|| Resolver::new(ORDER_PLACED_AVSC, ORDER_PLACED_AVSC).unwrap());
        let read = FIRST.read(&encoded(&order)).unwrap();
        prop_assert_eq!(field(&read, "customer"), &Value::String(order.customer.clone()));
        prop_assert_eq!(field(&read, "amount"), &minimal(order.amount));
        prop_assert_eq!(field(&read, "item_count"), &Value::Int(0));
        prop_assert_eq!(field(&read, "received_offset"), &Value::Long(-1));
        prop_assert_eq!(AGAIN.read(&FIRST.write(&read).unwrap()).unwrap(), read);
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
