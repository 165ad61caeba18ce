//! Schemas of strangers: what must not be read as an amount, and what must not be decoded at all.

use serde_json::{Value as Json, json};

use super::*;
use crate::contracts::{ORDER_PLACED_AVSC, ORDERS_RECEIVED_AVSC};

fn record(fields: &Json) -> String {
    json!({ "type": "record", "name": "R", "fields": fields }).to_string()
}

/// Both sides have the one field `a`.
fn field(writer: &Json, reader: &Json) -> Result<Resolver, SchemaError> {
    let one = |schema: &Json| record(&json!([{ "name": "a", "type": schema }]));
    Resolver::new(&one(writer), &one(reader))
}

fn decimal() -> Json {
    json!({ "type": "bytes", "logicalType": "decimal", "precision": 15, "scale": 2 })
}

#[test]
fn a_decimal_of_another_scale_is_refused() {
    let other = ORDERS_RECEIVED_AVSC.replace("\"scale\": 2", "\"scale\": 3");
    let refused = Resolver::new(&other, ORDER_PLACED_AVSC);
    assert!(matches!(refused, Err(SchemaError::Decimal { .. })), "{refused:?}");
}

/// Four bytes of the text `99.99` are the amount 2,457,765,297.21 to whoever reads them as one.
#[test]
fn nothing_but_a_decimal_is_read_as_one() {
    let named = json!({ "type": "fixed", "name": "F", "size": 4 });
    for writer in [
        json!("string"),
        json!("bytes"),
        json!("double"),
        json!({ "type": "array", "items": "int" }),
        json!({ "type": "bytes", "logicalType": "big-decimal" }),
        json!(["null", "string"]),
        json!(["bytes", "null"]),
        named,
    ] {
        for reader in [decimal(), json!(["null", decimal()])] {
            if writer == "double" && reader.is_array() || writer["logicalType"] == "big-decimal" && reader.is_array() {
                continue; // refused at the first datum: neither becomes bytes
            }
            let refused = field(&writer, &reader);
            assert!(
                matches!(&refused, Err(SchemaError::Decimal { field, .. }) if field == "/a"),
                "{writer}: {refused:?}"
            );
        }
    }
    let text = field(&decimal(), &json!("string"));
    assert!(matches!(text, Err(SchemaError::Decimal { .. })), "and no decimal as a text: {text:?}");
}

#[test]
fn an_amount_is_found_behind_names_lists_and_maps() {
    let item = |price: Json| json!({ "type": "record", "name": "I", "fields": [{ "name": "p", "type": price }] });
    let twice = |price: Json| record(&json!([{ "name": "x", "type": item(price) }, { "name": "a", "type": "I" }]));
    let only = |price: Json| record(&json!([{ "name": "a", "type": item(price) }]));
    let prices = |price: Json| record(&json!([{ "name": "a", "type": { "type": "map", "values": price } }]));
    let list = |price: Json| record(&json!([{ "name": "a", "type": { "type": "array", "items": item(price) } }]));
    for (writer, reader) in [
        (twice(json!("bytes")), only(decimal())),
        (only(json!("bytes")), twice(decimal())),
        (list(json!("bytes")), list(decimal())),
        (prices(json!("bytes")), prices(decimal())),
        (prices(json!("bytes")), only(decimal())),
        (only(json!("bytes")), prices(decimal())),
    ] {
        let refused = Resolver::new(&writer, &reader);
        assert!(matches!(refused, Err(SchemaError::Decimal { .. })), "{writer} as {reader}: {refused:?}");
    }
    assert!(Resolver::new(&twice(decimal()), &twice(decimal())).is_ok());
}

#[test]
fn the_same_decimal_is_read_with_null_or_without() {
    let optional = json!(["null", decimal()]);
    for (writer, reader) in [
        (decimal(), decimal()),
        (decimal(), optional.clone()),
        (optional.clone(), optional.clone()),
        (json!("null"), optional.clone()),
        (optional.clone(), decimal()),
        (decimal(), json!(["null", "string", decimal()])),
        (json!("string"), json!(["null", "string", decimal()])),
        (json!("int"), json!(["null", "long", decimal()])),
    ] {
        let resolver = field(&writer, &reader);
        assert!(resolver.is_ok(), "{writer} as {reader}: {resolver:?}");
    }
    let resolver = field(&decimal(), &optional).unwrap();
    assert_eq!(resolver.resolve(&[4, 0x27, 0x0f]), Ok(vec![2, 4, 0x27, 0x0f]), "99.99 stays 99.99");
}

#[test]
fn a_type_inside_itself_is_refused() {
    let inside = |next: Json| record(&json!([{ "name": "next", "type": next }]));
    for writer in [
        inside(json!(["null", "R"])),
        inside(json!({ "type": "array", "items": "R" })),
        inside(json!({ "type": "map", "values": "R" })),
        inside(json!({ "type": "record", "name": "S", "fields": [{ "name": "back", "type": ["null", "R"] }] })),
    ] {
        let refused = Resolver::new(&writer, ORDER_PLACED_AVSC);
        assert!(matches!(&refused, Err(SchemaError::Recursive(name)) if name == "R"), "{writer}: {refused:?}");
    }
    let beside = record(&json!([
        { "name": "a", "type": { "type": "record", "name": "S", "fields": [{ "name": "n", "type": "int" }] } },
        { "name": "b", "type": "S" },
    ]));
    assert!(Resolver::new(&beside, &beside).is_ok(), "the same type twice is not inside itself");
}

/// Each type holds the one before it twice: forty of them are a text of 3 kB and 2^40 values.
#[test]
fn a_schema_that_unfolds_without_measure_is_refused() {
    let doubled = (1..40).fold(json!("null"), |inner, level| {
        let name = if level == 1 { inner.clone() } else { json!(format!("L{}", level - 1)) };
        json!({ "type": "record", "name": format!("L{level}"), "fields": [
            { "name": "a", "type": inner }, { "name": "b", "type": name },
        ] })
    });
    let refused = Resolver::new(&doubled.to_string(), ORDER_PLACED_AVSC);
    assert!(matches!(refused, Err(SchemaError::TooLarge)), "{refused:?}");

    let nested = |levels: usize| (0..levels).fold(json!("int"), |inner, _| json!({ "type": "array", "items": inner }));
    let deep = nested(MAX_DEPTH).to_string();
    assert!(matches!(Resolver::new(&deep, &deep), Err(SchemaError::TooLarge)));
    let fits = nested(MAX_DEPTH - 1).to_string();
    assert!(Resolver::new(&fits, &fits).is_ok());
}

#[test]
fn an_array_of_nothing_is_refused() {
    let empty = json!({ "type": "record", "name": "E", "fields": [{ "name": "n", "type": "null" }] });
    for items in [json!("null"), empty, json!({ "type": "fixed", "name": "F", "size": 0 })] {
        let writer = record(&json!([{ "name": "a", "type": { "type": "array", "items": items } }]));
        let refused = Resolver::new(&writer, ORDER_PLACED_AVSC);
        assert!(matches!(refused, Err(SchemaError::EmptyItems)), "{writer}: {refused:?}");
    }
    let optional = r#"{"type":"array","items":["null","string"]}"#;
    assert!(Resolver::new(optional, optional).is_ok());
}

#[test]
fn bytes_behind_the_datum_are_refused() {
    let resolver = Resolver::new("\"long\"", "\"long\"").unwrap();
    assert_eq!(resolver.resolve(&[2]), Ok(vec![2]));
    assert!(matches!(resolver.resolve(&[2, 0]), Err(DatumError::Left { left: 1, .. })));
    assert!(matches!(resolver.resolve(&[]), Err(DatumError::Unreadable { .. })));
}
