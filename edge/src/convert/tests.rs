use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{check::Rules, json};

const RECEIVED: Timestamp = Timestamp(1_700_000_000_123);

fn convert(body: &str) -> Result<Order, Violations> {
    order(&json::parse(body.as_bytes()).unwrap(), RECEIVED)
}

#[test]
fn every_field_arrives() {
    let body = r#"{"orderId":"a-1","amount":99.90,"customer":" Zoë\u0041 ","currency":"eur","email":"a@b","country":"de",
        "channel":"web","createdAt":"2024-05-06T07:08:09.0109+02:00",
        "items":[{"sku":"s","quantity":1e2,"unitPrice":0.1},{"sku":"t","quantity":2.0,"unitPrice":1E1}]}"#;
    let item = |sku: &str, quantity, hundredths| Item {
        sku: sku.to_owned(),
        quantity,
        unit_price: Money::from_hundredths(hundredths).unwrap(),
    };
    let expected = Order {
        order_id: "a-1".parse().unwrap(),
        amount: Money::from_hundredths(9990).unwrap(),
        customer: " ZoëA ".to_owned(),
        currency: Some("eur".to_owned()),
        items: vec![item("s", 100, 10), item("t", 2, 1000)],
        email: Some("a@b".to_owned()),
        country: Some("de".to_owned()),
        channel: Some("web".to_owned()),
        created_at: Timestamp(1_714_972_089_010),
        received_at: RECEIVED,
    };
    assert_eq!(convert(body), Ok(expected));
}

#[test]
fn an_order_without_a_time_was_made_when_it_was_received() {
    let order = convert(r#"{"orderId":"a","amount":0,"customer":"c"}"#).unwrap();
    assert_eq!((order.created_at, order.received_at, order.items.len()), (RECEIVED, RECEIVED, 0));
}

/// A user may have loosened the schema; nothing is lost, cut or guessed because of that.
#[test]
fn what_a_record_cannot_hold_is_refused_whatever_the_schema_says() {
    for (body, pointer) in [
        (r#"{"orderId":"a/b","amount":0,"customer":"c"}"#, "/orderId"),
        (r#"{"amount":0,"customer":"c"}"#, "/orderId"),
        (r#"{"orderId":"a","amount":0.001,"customer":"c"}"#, "/amount"),
        (r#"{"orderId":"a","amount":-1,"customer":"c"}"#, "/amount"),
        (r#"{"orderId":"a","amount":0,"customer":"\u0000"}"#, "/customer"),
        (r#"{"orderId":"a","amount":0,"customer":null}"#, "/customer"),
        (r#"{"orderId":"a","amount":0,"customer":"c","email":1}"#, "/email"),
        (r#"{"orderId":"a","amount":0,"customer":"c","createdAt":"soon"}"#, "/createdAt"),
        (r#"{"orderId":"a","amount":0,"customer":"c","note":"x"}"#, "/note"),
        (r#"{"orderId":"a","amount":0,"customer":"c","items":{}}"#, "/items"),
        (r#"{"orderId":"a","amount":0,"customer":"c","items":[0]}"#, "/items/0"),
        (
            r#"{"orderId":"a","amount":0,"customer":"c","items":[{"sku":"s","quantity":1.5,"unitPrice":1}]}"#,
            "/items/0/quantity",
        ),
        (
            r#"{"orderId":"a","amount":0,"customer":"c","items":[{"sku":"s","quantity":3e9,"unitPrice":1}]}"#,
            "/items/0/quantity",
        ),
        (
            r#"{"orderId":"a","amount":0,"customer":"c","items":[{"sku":"s","quantity":1,"unitPrice":1,"x":1}]}"#,
            "/items/0/x",
        ),
    ] {
        let violations = convert(body).unwrap_err();
        assert_eq!(violations.listed[0].pointer, pointer, "{body}");
        assert_eq!(violations.listed[0].rule, RECORD);
    }
}

/// The bounds of the shipped schema are those of the stores: a customer of 33 kB is no term that Elasticsearch indexes.
#[test]
fn what_the_stores_cannot_hold_is_refused_whatever_the_schema_says() {
    let with = |member: &str, raw: &str| format!(r#"{{"orderId":"a","amount":0,"customer":"c","{member}":{raw}}}"#);
    let item =
        |sku: &str, quantity: &str| with("items", &format!(r#"[{{"sku":{sku},"quantity":{quantity},"unitPrice":1}}]"#));
    let text = |length: usize| format!("\"{}\"", "é".repeat(length));
    let customer = |raw: &str| format!(r#"{{"orderId":"a","amount":0,"customer":{raw}}}"#);
    for (body, pointer) in [
        (customer(&text(256)), ""),
        (customer(&text(257)), "/customer"),
        (customer(&text(0)), "/customer"),
        (with("currency", &text(4)), "/currency"),
        (with("email", &text(254)), ""),
        (with("email", &text(255)), "/email"),
        (with("country", &text(3)), "/country"),
        (with("channel", &text(33)), "/channel"),
        (with("createdAt", r#""2000-01-01T00:00:00Z""#), ""),
        (with("createdAt", r#""1999-12-31T23:59:59.999Z""#), "/createdAt"),
        (with("createdAt", r#""2100-01-01T00:00:00Z""#), "/createdAt"),
        (item(&text(64), "1000000"), ""),
        (item(&text(65), "1"), "/items/0/sku"),
        (item(&text(1), "0"), "/items/0/quantity"),
        (item(&text(1), "-1"), "/items/0/quantity"),
        (item(&text(1), "1000001"), "/items/0/quantity"),
    ] {
        let refused = convert(&body).err().map(|violations| violations.listed[0].pointer.clone());
        assert_eq!(refused.unwrap_or_default(), pointer, "{body:.60}");
    }
}

/// A number in one of the ways in which a client may write it.
fn any_number() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..=Money::MAX.hundredths()).prop_map(|hundredths| Money::from_hundredths(hundredths).unwrap().to_string()),
        (0..2_000_000_i64, -4..14_i32).prop_map(|(mantissa, exponent)| format!("{mantissa}e{exponent}")),
        (0..2_000_000_i64, 0..2_000_i64, -4..4_i32)
            .prop_map(|(whole, part, exponent)| format!("{whole}.{part}E{exponent:+}")),
        (-5..5_i64).prop_map(|number| number.to_string()),
        "-?(0|[1-9][0-9]{0,15})(\\.[0-9]{1,4}0{0,20})?",
        "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,4})?[eE][+-]?[0-9]{1,22}",
    ]
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof!["\\PC{0,20}", "[ \\t\\x00-\\x1f]{0,3}", "[A-Za-z0-9._:@-]{0,140}", "[A-Za-z]{2,3}", "\\PC{250,260}"]
}

fn any_time() -> impl Strategy<Value = String> {
    (
        "(199[89]|20[0-9]{2}|2100)-(0[0-9]|1[0-3])-([0-3][0-9])[Tt]([0-2][0-9]):[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,12})?",
        "Z|z|[+-][0-2][0-9]:[0-5][0-9]|",
    )
        .prop_map(|(time, offset)| format!("{time}{offset}"))
}

/// Orders of which many are admitted and many are not.
fn any_order() -> impl Strategy<Value = String> {
    let text = || any_text().prop_map(|text| Value::from(text).to_string());
    let usual = |usual: &'static str| prop_oneof![3 => Just(usual.to_owned()), 1 => any_text().prop_map(|text| Value::from(text).to_string())];
    let item = (
        usual("\"sku-1\""),
        prop_oneof![3 => (0..1_000_002_i64).prop_map(|n| n.to_string()), 1 => any_number()],
        any_number(),
    )
        .prop_map(|(sku, quantity, price)| format!(r#"{{"sku":{sku},"quantity":{quantity},"unitPrice":{price}}}"#));
    let optional = prop_oneof![
        Just(String::new()),
        text().prop_map(|text| format!(r#","email":{text}"#)),
        Just(r#","email":"a@b.example","country":"DE","channel":"web""#.to_owned()),
        any_time().prop_map(|time| format!(r#","createdAt":{}"#, json!(time))),
        usual("\"EUR\"").prop_map(|currency| format!(r#","currency":{currency}"#)),
    ];
    (usual("\"order-1\""), any_number(), usual("\"Zoë\""), prop::collection::vec(item, 0..3), optional).prop_map(
        |(id, amount, customer, items, optional)| {
            format!(
                r#"{{"orderId":{id},"amount":{amount},"customer":{customer},"items":[{}]{optional}}}"#,
                items.join(",")
            )
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// The contract of the edge: what the schema and `x-decimal` admit, encodes, and reads back as the same order.
    #[test]
    fn what_the_schema_admits_encodes(body in any_order()) {
        static RULES: std::sync::LazyLock<Rules> =
            std::sync::LazyLock::new(|| Rules::compile(schemas::contracts::ORDER_SCHEMA_JSON).unwrap());
        let json = json::parse(body.as_bytes()).unwrap();
        if RULES.check(&json).is_ok() {
            let order = order(&json, RECEIVED);
            prop_assert!(order.is_ok(), "{body}: {order:?}");
            let order = order.unwrap();
            let mut datum = Vec::new();
            schemas::codec::encode(&order, &mut datum);
            prop_assert_eq!(schemas::codec::decode(&datum), Ok(order));
        }
    }

    /// And the other way round: the schema refuses nothing for its numbers that a record could hold.
    #[test]
    fn the_schema_admits_every_amount_that_a_record_holds(number in any_number()) {
        static RULES: std::sync::LazyLock<Rules> =
            std::sync::LazyLock::new(|| Rules::compile(schemas::contracts::ORDER_SCHEMA_JSON).unwrap());
        let body = format!(r#"{{"orderId":"a","amount":{number},"customer":"c"}}"#);
        let admitted = RULES.check(&json::parse(body.as_bytes()).unwrap()).is_ok();
        prop_assert_eq!(admitted, number.parse::<Money>().is_ok(), "{}", number);
    }
}

#[test]
fn the_generator_makes_both_kinds() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let rules = Rules::compile(schemas::contracts::ORDER_SCHEMA_JSON).unwrap();
    let mut runner = TestRunner::deterministic();
    let admitted = (0..1000)
        .filter(|_| {
            let body = any_order().new_tree(&mut runner).unwrap().current();
            rules.check(&json::parse(body.as_bytes()).unwrap()).is_ok()
        })
        .count();
    assert!((100..900).contains(&admitted), "{admitted} of 1000 orders are admitted");
}
