//! Both ways to finish an output: with apache-avro, and without decoding.

use std::sync::LazyLock;

use proptest::prelude::*;
use schemas::contracts::ORDER_PLACED_AVSC;
use schemas::names::headers;

use super::*;

static OUTPUT: LazyLock<Output> = LazyLock::new(|| Output::new(7, ORDER_PLACED_AVSC).unwrap());

fn input(key: &str, headers: &[(&str, &str)]) -> Input {
    Input {
        topic: "orders.received".into(),
        partition: 3,
        offset: 50,
        timestamp_ms: None,
        key: Some(key.as_bytes().to_vec()),
        value: None,
        headers: headers
            .iter()
            .map(|(name, value)| (name.as_bytes().to_vec(), Some(value.as_bytes().to_vec())))
            .collect(),
    }
}

prop_compose! {
    fn datum()(
        id in "[a-c]{1,2}", amount in prop::collection::vec(any::<u8>(), 0..18), text in ".{0,6}", maybe in prop::option::of(".{0,3}"),
        items in prop::collection::vec((".{0,4}|[\"\\\\\u{1}\u{7f}/é]{0,3}", any::<i32>(), prop::collection::vec(any::<u8>(), 0..18)), 0..4),
        times in [any::<i32>(), any::<i32>()], count in any::<i32>(), own in any::<(i32, i64)>(),
    ) -> Vec<u8> {
        let mut out = Vec::new();
        let optional = |out: &mut Vec<u8>| codec::put_optional(out, maybe.as_deref().map(str::as_bytes));
        codec::put_bytes(&mut out, id.as_bytes());
        codec::put_bytes(&mut out, &amount);
        codec::put_bytes(&mut out, text.as_bytes());
        optional(&mut out);
        if !items.is_empty() {
            codec::put_len(&mut out, items.len());
        }
        for (sku, quantity, price) in &items {
            codec::put_bytes(&mut out, sku.as_bytes());
            codec::put_long(&mut out, i64::from(*quantity));
            codec::put_bytes(&mut out, price);
        }
        codec::put_long(&mut out, 0);
        (0..3).for_each(|_| optional(&mut out));
        times.iter().for_each(|at| codec::put_long(&mut out, i64::from(*at) * 1_000));
        codec::put_optional(&mut out, (!amount.is_empty()).then_some(&amount));
        (0..2).for_each(|_| optional(&mut out));
        codec::put_long(&mut out, i64::from(count));
        (0..3).for_each(|_| optional(&mut out));
        codec::put_long(&mut out, i64::from(own.0));
        codec::put_long(&mut out, own.1);
        out
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_the_short_way_finishes_the_full_one_finishes_alike(
        datum in datum(), key in "[a-c]{1,2}", at in any::<prop::sample::Index>(), byte in prop::option::of(any::<u8>()),
    ) {
        let mut datum = datum;
        if let Some(byte) = byte {
            let at = at.index(datum.len());
            datum[at] = byte;
        }
        let input = input(&key, &[]);
        if let Some(short) = OUTPUT.spliced(&datum, &input) {
            prop_assert_eq!(OUTPUT.framed_in_full(&datum, &input).map_err(|reason| reason.message), Ok(short));
        }
    }
}

/// An order as the modules leave it: with an amount, two items, and fields of the processor that are not set yet.
fn order() -> Vec<u8> {
    let mut out = Vec::new();
    codec::put_bytes(&mut out, b"a");
    codec::put_bytes(&mut out, &[0x26, 0xfd]);
    codec::put_bytes(&mut out, b"C");
    codec::put_optional(&mut out, Some(b"EUR"));
    codec::put_len(&mut out, 2);
    for sku in ["x\"y", "é"] {
        codec::put_bytes(&mut out, sku.as_bytes());
        codec::put_long(&mut out, -3);
        codec::put_bytes(&mut out, &[5]);
    }
    codec::put_long(&mut out, 0);
    (0..3).for_each(|_| codec::put_optional(&mut out, None));
    (0..2).for_each(|_| codec::put_long(&mut out, 1_700_000_000_000));
    (0..3).for_each(|_| codec::put_optional(&mut out, None));
    codec::put_long(&mut out, 2);
    (0..3).for_each(|_| codec::put_optional(&mut out, None));
    (0..2).for_each(|_| codec::put_long(&mut out, -1));
    out
}

#[test]
fn an_order_takes_the_short_way_and_gets_the_processors_own_fields() {
    let input = input("a", &[(headers::REPLAY_OF, "3/41")]);
    let short = OUTPUT.spliced(&order(), &input).unwrap();
    assert_eq!(short, OUTPUT.framed_in_full(&order(), &input).unwrap());
    let text = String::from_utf8_lossy(&short).into_owned();
    let items = r#"[{"sku":"x\"y","quantity":-3,"unit_price":0.05},{"sku":"é","quantity":-3,"unit_price":0.05}]"#;
    assert!(text.contains(items), "{text}");
    assert!(short.ends_with(&[6, 82]), "partition 3, offset 41: {short:?}");
}

#[test]
fn another_order_id_than_the_key_is_left_to_the_full_way() {
    assert!(OUTPUT.spliced(&order(), &input("b", &[])).is_none());
    assert!(OUTPUT.framed_in_full(&order(), &input("b", &[])).is_err());
}
