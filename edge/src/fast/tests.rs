use serde_json::json;

use super::*;
use crate::{check::Rules, orders::encode_in_full};

const RECEIVED_AT: Timestamp = Timestamp(1_700_000_000_123);

fn shipped() -> Value {
    serde_json::from_str(schemas::contracts::ORDER_SCHEMA_JSON).unwrap()
}

fn takes(fast: &Fast, body: &str) -> bool {
    let mut out = Vec::new();
    let taken = fast.encode(body.as_bytes(), 1, RECEIVED_AT, &mut out);
    assert_eq!(taken.is_some(), !out.is_empty(), "what is not taken leaves nothing behind");
    taken.is_some()
}

#[test]
fn the_forms_in_which_clients_write_orders_are_taken_and_rare_ones_are_left() {
    let schema = schemas::contracts::ORDER_SCHEMA_JSON;
    let (fast, rules) = (Fast::compile(schema).unwrap(), Rules::compile(schema).unwrap());
    let order = |more: &str| format!(r#"{{"orderId":"a","amount":1,"customer":"c"{more}}}"#);
    for (more, is_taken) in [
        ("", true),
        (r#" , "currency" : "EUR" "#, true),
        (r#","email":"Zo\u00eb@\u0041.example""#, true),
        (r#","email":"zoë@a.example""#, true),
        (r#","items":[]"#, true),
        (
            r#","items":[{"sku":"s","quantity":1,"unitPrice":0.10},{"quantity":2,"unitPrice":3,"sku":"\ud83d\ude00"}]"#,
            true,
        ),
        (r#","createdAt":"2024-05-06T07:08:09.5+02:00""#, true),
        (r#","createdAt":"2024-05-06 07:08:09Z""#, false),
        (r#","createdAt":"2016-12-31T23:59:60Z""#, false),
        (r#","items":[{"sku":"s","quantity":1.0,"unitPrice":1}]"#, false),
        (r#","items":[{"sku":"s","quantity":1,"unitPrice":1e0}]"#, false),
        (r#","c\u0075rrency":"EUR""#, false),
    ] {
        let body = order(more);
        assert!(encode_in_full(&rules, body.as_bytes(), 1, RECEIVED_AT).is_ok(), "{more}");
        assert_eq!(takes(&fast, &body), is_taken, "{more}");
    }
}

/// The full way counts the values of a body, and refuses one with too many; a schema cannot change that.
#[test]
fn a_body_of_more_values_than_are_counted_is_left() {
    let mut schema = shipped();
    schema["properties"]["items"]["maxItems"] = json!(1_000_000);
    let (fast, rules) = (Fast::compile(&schema.to_string()).unwrap(), Rules::compile(&schema.to_string()).unwrap());
    let order = |items: usize| {
        let items = vec![r#"{"sku":"s","quantity":1,"unitPrice":1}"#; items].join(",");
        format!(r#"{{"orderId":"a","amount":1,"customer":"c","items":[{items}]}}"#)
    };
    for (items, is_taken, is_valid) in [(4997, true, true), (4998, false, true), (4999, false, false)] {
        let body = order(items);
        assert_eq!(takes(&fast, &body), is_taken, "{items}");
        assert_eq!(encode_in_full(&rules, body.as_bytes(), 1, RECEIVED_AT).is_ok(), is_valid, "{items}");
    }
}

#[test]
fn a_record_above_the_limit_is_left() {
    let mut schema = shipped();
    schema["properties"]["items"]["maxItems"] = json!(4000);
    let fast = Fast::compile(&schema.to_string()).unwrap();
    let order = |items: usize| {
        let item = format!(r#"{{"sku":"{}","quantity":1,"unitPrice":1}}"#, "s".repeat(64));
        format!(r#"{{"orderId":"a","amount":1,"customer":"c","items":[{}]}}"#, vec![item; items].join(","))
    };
    // An item has 64 bytes of name and 5 around them.
    let fit = (MAX_RECORD - 40) / 69;
    assert!(takes(&fast, &order(fit)));
    assert!(!takes(&fast, &order(fit + 1)));
}

#[test]
fn a_schema_with_anything_that_is_not_known_has_no_fast_path() {
    let edits: &[(&str, Value, &str)] = &[
        ("/properties/channel/enum", json!(["web"]), "enum"),
        ("/properties/channel/const", json!("web"), "const"),
        ("/properties/channel/pattern", json!("^(web|app)$"), "pattern"),
        ("/properties/channel/pattern", json!("web"), "pattern"),
        ("/properties/channel/pattern", json!("^[^a]{1,3}$"), "pattern"),
        ("/properties/channel/pattern", json!("^[a-z]+?$"), "pattern"),
        ("/properties/channel/pattern", json!("^[a-z]{1,2}[0-9]$"), "pattern"),
        ("/properties/channel/pattern", json!("^.{1,9}$"), "pattern"),
        ("/properties/channel/pattern", json!(r"^\w{1,9}$"), "pattern"),
        ("/properties/channel/pattern", json!("^[é]{1,9}$"), "pattern"),
        ("/properties/channel/type", json!(["string", "null"]), "type"),
        ("/properties/email/format", json!("email"), "format"),
        ("/properties/customer/maxLength", json!(5.0), "maxLength"),
        ("/properties/items/uniqueItems", json!(true), "uniqueItems"),
        ("/properties/items/items", json!(true), "without keywords"),
        ("/properties/items/prefixItems", json!([{}]), "prefixItems"),
        ("/properties/items/items/minProperties", json!(1), "minProperties"),
        ("/properties/items/items/properties/sku", json!(false), "without keywords"),
        ("/properties/items/items/properties/quantity/exclusiveMinimum", json!(0), "exclusiveMinimum"),
        ("/properties/items/items/properties/quantity/multipleOf", json!(2), "multipleOf"),
        ("/properties/note", json!({ "type": "string" }), "note"),
        ("/required", json!(["orderId", "amount", "customer", "note"]), "note"),
        ("/$defs/money/maximum", json!(0.001), "maximum"),
        ("/$defs/money/maximum", json!(1e17), "maximum"),
        ("/$defs/money/type", json!("string"), "type"),
        ("/$defs/noNul/not", json!({ "const": "x" }), "not"),
        ("/properties/amount", json!({ "$ref": "#/properties/customer" }), "$ref"),
        ("/additionalProperties", json!({ "type": "string" }), "additionalProperties"),
        ("/patternProperties", json!({ "^a": {} }), "patternProperties"),
        ("/propertyNames", json!({ "maxLength": 9 }), "propertyNames"),
        ("/dependentRequired", json!({ "email": ["country"] }), "dependentRequired"),
        ("/if", json!({}), "if"),
        ("/allOf", json!([{ "required": ["email"] }]), "allOf"),
        ("/$schema", json!("http://json-schema.org/draft-07/schema#"), "$schema"),
        ("/$id", json!("https://example.com/order"), "$id"),
    ];
    for (pointer, value, named) in edits {
        let mut schema = shipped();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        schema.pointer_mut(parent).unwrap()[key] = value.clone();
        assert!(Rules::compile(&schema.to_string()).is_ok(), "{pointer}: the full way knows it");
        let reason = Fast::compile(&schema.to_string()).expect_err(pointer).to_string();
        assert!(reason.contains(named), "{pointer} = {value}: {reason}");
    }
    let mut schema = shipped();
    schema["$defs"]["loop"] = json!({ "$ref": "#/$defs/loop" });
    schema["properties"]["email"]["$ref"] = json!("#/$defs/loop");
    assert!(Fast::compile(&schema.to_string()).unwrap_err().to_string().contains("more references"));
}

/// Wherever in the schema a keyword is added that is not known here.
#[test]
fn no_place_of_the_schema_is_passed_over() {
    fn schemas(value: &Value, pointer: String, found: &mut Vec<String>) {
        let Some(members) = value.as_object() else { return };
        found.push(pointer.clone());
        for (key, value) in members {
            let pointer = format!("{pointer}/{key}");
            match (key.as_str(), value) {
                ("properties" | "$defs", Value::Object(named)) => {
                    named.iter().for_each(|(name, value)| schemas(value, format!("{pointer}/{name}"), found));
                }
                ("allOf", Value::Array(all)) => {
                    all.iter().enumerate().for_each(|(at, value)| schemas(value, format!("{pointer}/{at}"), found));
                }
                ("items", value) => schemas(value, pointer, found),
                _ => {}
            }
        }
    }
    let mut places = Vec::new();
    schemas(&shipped(), String::new(), &mut places);
    assert!(20 < places.len(), "{places:?}");
    for place in places {
        let mut schema = shipped();
        schema.pointer_mut(&place).unwrap()["not"] = json!({ "const": "nothing" });
        assert!(Rules::compile(&schema.to_string()).is_ok());
        let reason = Fast::compile(&schema.to_string()).expect_err(&place).to_string();
        assert!(reason.contains("not") && reason.contains(&format!("{place:?}")), "{place}: {reason}");
    }
}

#[test]
fn which_way_orders_take_is_counted() {
    let counted = |schema: &str| {
        let mut registry = Registry::default();
        let path = FastPath::new(schema, &mut registry);
        for body in [r#"{"orderId":"a","amount":1,"customer":"c"}"#, "{", "1"] {
            let _ = path.encode(body.as_bytes(), 1, RECEIVED_AT);
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let value = |name: &str| {
            let line =
                text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}: {text}"));
            line.trim().parse::<u64>().unwrap()
        };
        let verdicts = |path: &str| value(&format!("orderflow_edge_verdicts_total{{path=\"{path}\"}}"));
        (value("orderflow_edge_fast_path "), verdicts("fast"), verdicts("full"))
    };
    assert_eq!(counted(schemas::contracts::ORDER_SCHEMA_JSON), (1, 1, 2));
    assert_eq!(counted(r#"{"minProperties":1}"#), (0, 0, 3));
}
