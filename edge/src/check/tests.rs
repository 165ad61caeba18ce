use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;
use crate::json;

fn rules() -> Rules {
    Rules::compile(schemas::contracts::ORDER_SCHEMA_JSON).unwrap()
}

/// A complete order with one member written otherwise, as raw JSON; `null` as the raw text takes the member away.
fn with(member: &str, raw: &str) -> String {
    let mut members: Vec<(&str, String)> = [("orderId", r#""a""#), ("amount", "1"), ("customer", r#""c""#)]
        .map(|(key, raw)| (key, raw.to_owned()))
        .to_vec();
    members.retain(|(key, _)| *key != member);
    if raw != "-" {
        members.push((member, raw.to_owned()));
    }
    let members: Vec<String> = members.iter().map(|(key, raw)| format!("\"{key}\":{raw}")).collect();
    format!("{{{}}}", members.join(","))
}

fn broken(rules: &Rules, body: &str) -> Vec<String> {
    match rules.check(&json::parse(body.as_bytes()).unwrap()) {
        Ok(()) => Vec::new(),
        Err(violations) => {
            violations.listed.iter().map(|violation| format!("{} {}", violation.pointer, violation.rule)).collect()
        }
    }
}

fn text(length: usize) -> String {
    format!("\"{}\"", "é".repeat(length))
}

fn items(items: &[&str]) -> String {
    format!("[{}]", items.join(","))
}

/// Both sides of every boundary in CONTRACTS: the member, its value, and what is broken.
#[test]
fn every_rule_holds_at_its_boundaries() {
    let id = |length: usize| format!("\"{}\"", "a".repeat(length));
    let email = |length: usize| format!("\"{}@b\"", "a".repeat(length - 2));
    let item = r#"{"sku":"s","quantity":1,"unitPrice":1}"#;
    let many = |count: usize| items(&vec![item; count]);
    let cases: Vec<(&str, String, &str)> = [
        // orderId
        ("orderId", "-".into(), "/orderId required"),
        ("orderId", id(128), ""),
        ("orderId", id(129), "/orderId pattern"),
        ("orderId", r#""""#.into(), "/orderId pattern"),
        ("orderId", r#""0a.b_c:d-E""#.into(), ""),
        ("orderId", r#""-a""#.into(), "/orderId pattern"),
        ("orderId", r#""a/b""#.into(), "/orderId pattern"),
        ("orderId", r#""a\n""#.into(), "/orderId pattern"),
        ("orderId", r#""a\u0000""#.into(), "/orderId pattern"),
        ("orderId", r#""é""#.into(), "/orderId pattern"),
        ("orderId", "1".into(), "/orderId type"),
        ("orderId", "null".into(), "/orderId type"),
        // amount
        ("amount", "-".into(), "/amount required"),
        ("amount", "0".into(), ""),
        ("amount", "-0".into(), ""),
        ("amount", "-0.01".into(), "/amount minimum"),
        ("amount", "9999999999999.99".into(), ""),
        ("amount", "99.9900".into(), ""),
        ("amount", "1e2".into(), ""),
        ("amount", "12.50".into(), ""),
        ("amount", "99.999".into(), "/amount x-decimal"),
        ("amount", "0.001".into(), "/amount x-decimal"),
        ("amount", "9999999999999.991".into(), "/amount x-decimal"),
        ("amount", "1.00000000000000000001".into(), "/amount x-decimal"),
        ("amount", "10000000000000".into(), "/amount maximum,/amount x-decimal"),
        ("amount", "1e400".into(), "/amount maximum,/amount x-decimal"),
        ("amount", "1e-400".into(), "/amount x-decimal"),
        ("amount", "1e-9223372036854775808".into(), "/amount x-decimal"),
        ("amount", "-1e-9223372036854775808".into(), "/amount x-decimal"),
        ("amount", "0e9223372036854775807".into(), "/amount x-decimal"),
        ("amount", format!("0.{}", "0".repeat(100)), "/amount x-decimal"),
        ("amount", r#""1""#.into(), "/amount type"),
        // customer
        ("customer", "-".into(), "/customer required"),
        ("customer", text(1), ""),
        ("customer", text(256), ""),
        ("customer", text(257), "/customer maxLength"),
        ("customer", r#""""#.into(), "/customer minLength,/customer pattern"),
        ("customer", r#""  ""#.into(), "/customer pattern"),
        ("customer", r#""\t\u00a0\u2003""#.into(), "/customer pattern"),
        ("customer", r#""a\u0000b""#.into(), "/customer pattern"),
        ("customer", r#""a\nb""#.into(), ""),
        // currency, country, channel
        ("currency", r#""eUr""#.into(), ""),
        ("currency", r#""EU""#.into(), "/currency pattern"),
        ("currency", r#""EURO""#.into(), "/currency pattern"),
        ("currency", r#""EU1""#.into(), "/currency pattern"),
        ("currency", r#""EUR\n""#.into(), "/currency pattern"),
        ("currency", "null".into(), "/currency type"),
        ("country", r#""dE""#.into(), ""),
        ("country", r#""D""#.into(), "/country pattern"),
        ("country", r#""DEU""#.into(), "/country pattern"),
        ("channel", r#""web_shop-1""#.into(), ""),
        ("channel", id(32), ""),
        ("channel", id(33), "/channel pattern"),
        ("channel", r#""""#.into(), "/channel pattern"),
        ("channel", r#""a b""#.into(), "/channel pattern"),
        // email
        ("email", r#""a@b""#.into(), ""),
        ("email", email(254), ""),
        ("email", email(255), "/email maxLength"),
        ("email", r#""a@""#.into(), "/email pattern"),
        ("email", r#""@b""#.into(), "/email pattern"),
        ("email", r#""ab""#.into(), "/email pattern"),
        ("email", r#""a@b@c""#.into(), "/email pattern"),
        ("email", r#""a@\u0000""#.into(), "/email pattern"),
        // createdAt
        ("createdAt", r#""2000-01-01T00:00:00Z""#.into(), ""),
        ("createdAt", r#""2000-01-01T01:59:59+02:00""#.into(), "/createdAt x-range"),
        ("createdAt", r#""1999-12-31T23:59:59.999Z""#.into(), "/createdAt x-range"),
        ("createdAt", r#""2099-12-31T23:59:59.999Z""#.into(), ""),
        ("createdAt", r#""2100-01-01T00:00:00Z""#.into(), "/createdAt x-range"),
        ("createdAt", r#""2024-02-29T12:00:00.123456789+14:00""#.into(), ""),
        ("createdAt", r#""2023-02-29T12:00:00Z""#.into(), "/createdAt format"),
        ("createdAt", r#""2024-01-01T12:00:00""#.into(), "/createdAt format"),
        ("createdAt", r#""2024-01-01""#.into(), "/createdAt format"),
        ("createdAt", "1700000000000".into(), "/createdAt type"),
        // items
        ("items", "[]".into(), ""),
        ("items", many(500), ""),
        ("items", many(501), "/items maxItems"),
        ("items", "{}".into(), "/items type"),
        ("items", "[1]".into(), "/items/0 type"),
        ("items", "[{}]".into(), "/items/0/quantity required,/items/0/sku required,/items/0/unitPrice required"),
        // unknown members
        ("extra", "1".into(), "/extra additionalProperties"),
        ("a/b~", "1".into(), "/a~1b~0 additionalProperties"),
    ]
    .into();
    let rules = rules();
    for (member, raw, expected) in cases {
        let mut found = broken(&rules, &with(member, &raw));
        found.sort();
        assert_eq!(found.join(","), expected, "{member}: {raw:.60}");
    }
}

#[test]
fn every_rule_of_an_item_holds_at_its_boundaries() {
    let item = |member: &str, raw: &str| {
        let base = [("sku", r#""s""#), ("quantity", "1"), ("unitPrice", "1")];
        let mut members = base.to_vec();
        members.retain(|(key, _)| *key != member);
        members.push((member, raw));
        let members: Vec<String> = members.iter().map(|(key, raw)| format!("\"{key}\":{raw}")).collect();
        items(&[&format!("{{{}}}", members.join(","))])
    };
    let rules = rules();
    for (member, raw, rule) in [
        ("sku", text(64), ""),
        ("sku", text(65), "maxLength"),
        ("sku", r#""""#.into(), "minLength"),
        ("sku", r#""\u0000""#.into(), "pattern"),
        ("quantity", "1".into(), ""),
        ("quantity", "0".into(), "minimum"),
        ("quantity", "1000000".into(), ""),
        ("quantity", "1000001".into(), "maximum"),
        ("quantity", "1e6".into(), ""),
        ("quantity", "2.0".into(), ""),
        ("quantity", "20e-1".into(), ""),
        ("quantity", "1.5".into(), "type"),
        ("quantity", "1.00000000000000000001".into(), "type"),
        ("quantity", r#""1""#.into(), "type"),
        ("unitPrice", "0".into(), ""),
        ("unitPrice", "9999999999999.99".into(), ""),
        ("unitPrice", "0.005".into(), "x-decimal"),
        ("extra", "1".into(), "additionalProperties"),
    ] {
        let expected = if rule.is_empty() { Vec::new() } else { vec![format!("/items/0/{member} {rule}")] };
        assert_eq!(broken(&rules, &with("items", &item(member, &raw))), expected, "{member}: {raw:.60}");
    }
}

#[test]
fn all_rules_are_told_at_once_and_no_value_is() {
    let body = r#"{"orderId":"secret/1","amount":13.579,"customer":"\u0000hush","email":"private","zzz":"inner"}"#;
    let violations = rules().check(&json::parse(body.as_bytes()).unwrap()).unwrap_err();
    assert_eq!((violations.total, violations.listed.len()), (5, 5), "{violations:?}");
    let shown = format!("{violations:?}");
    for value in ["secret", "13.579", "hush", "private", "inner"] {
        assert!(!shown.contains(value), "{value} is in {shown}");
    }
}

#[test]
fn the_list_is_bounded_and_the_total_is_told() {
    let members: Map<String, Value> = (0..500).map(|index| (format!("x{index}"), json!(1))).collect();
    let body = Value::Object(members).to_string();
    let violations = rules().check(&json::parse(body.as_bytes()).unwrap()).unwrap_err();
    assert_eq!((violations.total, violations.listed.len()), (503, MAX_LISTED));
    let body = with("items", &items(&vec![r#"{"sku":"","quantity":0,"unitPrice":-1}"#; 500]));
    let violations = rules().check(&json::parse(body.as_bytes()).unwrap()).unwrap_err();
    assert_eq!((violations.total, violations.listed.len()), (1500, MAX_LISTED));
}

#[test]
fn the_schema_that_was_given_decides() {
    let mut schema: Value = serde_json::from_str(schemas::contracts::ORDER_SCHEMA_JSON).unwrap();
    schema["properties"]["channel"] = json!({ "type": "string", "enum": ["web", "shop"] });
    schema["properties"]["amount"] = json!({ "type": "number", "x-decimal": { "precision": 5, "scale": 1 } });
    let rules = Rules::compile(&schema.to_string()).unwrap();
    assert_eq!(broken(&rules, &with("channel", r#""web""#)), Vec::<String>::new());
    assert_eq!(broken(&rules, &with("channel", r#""app""#)), ["/channel enum"]);
    for (raw, admitted) in [("9999.9", true), ("10000", false), ("1.25", false), ("1.20", true), ("-3.1", true)] {
        assert_eq!(broken(&rules, &with("amount", raw)).is_empty(), admitted, "{raw}");
    }
}

#[test]
fn a_schema_that_cannot_be_kept_is_refused_at_start() {
    for (schema, expected) in [
        ("{", "not JSON"),
        (r#"{"type":"nothing"}"#, "cannot be compiled"),
        (r#"{"$ref":"http://127.0.0.1:1/x.json"}"#, "cannot be compiled"),
        (r#"{"$ref":"file:///etc/hostname"}"#, "cannot be compiled"),
        (r#"{"format":"no-such-format"}"#, "no-such-format"),
        (r#"{"pattern":"(a)\\1"}"#, "cannot be compiled"),
        (r#"{"x-decimal":{"precision":16,"scale":2}}"#, "wider"),
        (r#"{"x-decimal":{"precision":15,"scale":3}}"#, "wider"),
        (r#"{"x-decimal":{"precision":15}}"#, "scale"),
        (r#"{"x-range":{"from":"2000","before":"2100"}}"#, "RFC 3339"),
    ] {
        let error = Rules::compile(schema).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(expected), "{schema}: {error}");
    }
}

#[test]
fn a_pattern_that_would_run_for_ever_elsewhere_is_linear_here() {
    let rules = Rules::compile(r#"{"properties":{"a":{"pattern":"^(a+)+$"}}}"#).unwrap();
    let body = format!(r#"{{"a":"{}!"}}"#, "a".repeat(50_000));
    let begun = std::time::Instant::now();
    assert_eq!(broken(&rules, &body), ["/a pattern"]);
    assert!(begun.elapsed() < std::time::Duration::from_secs(2));
}

proptest! {
    /// The validator walks our tree; on the plain keywords it must say what it says about serde_json's.
    #[test]
    fn our_tree_is_judged_as_serde_json_s_is(
        amount in prop_oneof![Just(json!(-1)), Just(json!(1.5)), Just(json!("1")), Just(json!(1e300))],
        customer in "\\PC{0,3}|[ \\t]{0,3}",
        quantity in prop_oneof![(-2..3_i64).prop_map(Value::from), Just(json!(1.5)), Just(json!(2.0))],
        extra in prop::option::of("[a-z]{1,3}"),
    ) {
        let mut schema: Value = serde_json::from_str(schemas::contracts::ORDER_SCHEMA_JSON).unwrap();
        schema["$defs"]["money"].as_object_mut().unwrap().remove("x-decimal");
        let theirs = jsonschema::options().with_pattern_options(PatternOptions::regex()).build(&schema).unwrap();
        let ours = Rules::compile(&schema.to_string()).unwrap();
        let mut order = json!({ "orderId": "a", "amount": amount, "customer": customer,
            "items": [{ "sku": "s", "quantity": quantity, "unitPrice": 1 }] });
        if let Some(extra) = extra {
            order[extra] = json!(1);
        }
        let text = order.to_string();
        let found = ours.check(&json::parse(text.as_bytes()).unwrap());
        prop_assert_eq!(found.is_ok(), theirs.is_valid(&order), "{}", text);
        let total = found.err().map_or(0, |violations| violations.total);
        // A required or unknown member is one violation each on both sides.
        prop_assert_eq!(total, theirs.iter_errors(&order).count(), "{}", text);
    }
}
