use serde_json::{Value, json};

use super::*;

fn shipped() -> Both {
    Both::compile(schemas::contracts::ORDER_SCHEMA_JSON).unwrap()
}

/// A number from the environment, so that a run may be long and a difference be looked at again.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Builds without optimization take some twenty times as long.
fn bodies(release: u64) -> usize {
    let bodies = if cfg!(debug_assertions) { release / 20 } else { release };
    setting("DIFFERENTIAL_BODIES", bodies) as usize
}

#[test]
fn whatever_is_posted_the_fast_path_says_what_the_full_way_says() {
    let seed = setting("DIFFERENTIAL_SEED", 1);
    let bodies = bodies(200_000);
    let tally = shipped().run(seed, bodies, body).unwrap_or_else(|difference| panic!("{difference}"));
    println!("{tally:?}");
    // Both sides of the rules are visited, and the fast path is not beside the point.
    assert!(bodies < 1000 || bodies / 4 < tally.fast, "{tally:?}");
    assert!(bodies < 1000 || bodies / 4 < tally.refused, "{tally:?}");
}

#[test]
fn ordinary_orders_take_the_fast_path() {
    let bodies = bodies(20_000);
    let tally = shipped().run(1, bodies, ordinary).unwrap_or_else(|difference| panic!("{difference}"));
    assert_eq!(tally.refused, 0, "{tally:?}");
    assert!(tally.full * 100 <= bodies, "{tally:?}");
}

fn schema(edit: impl FnOnce(&mut Value)) -> String {
    let mut schema = serde_json::from_str(schemas::contracts::ORDER_SCHEMA_JSON).unwrap();
    edit(&mut schema);
    schema.to_string()
}

/// Runs both ways by a schema, of which a user may have made anything that is covered.
fn agree(name: &str, schema: &str, bodies: usize) -> Tally {
    let both = Both::compile(schema).unwrap_or_else(|error| panic!("{name}: {error}"));
    both.run(7, bodies, body).unwrap_or_else(|difference| panic!("{name}: {difference}"))
}

/// What a user may make of the schema, and still have a fast path.
const EDITS: &[(&str, fn(&mut Value))] = &[
    ("a shorter customer", |schema| schema["properties"]["customer"]["maxLength"] = json!(8)),
    ("a longer customer", |schema| schema["properties"]["customer"]["minLength"] = json!(9)),
    ("a customer beyond the record", |schema| schema["properties"]["customer"]["maxLength"] = json!(100_000)),
    ("a required currency", |schema| schema["required"] = json!(["orderId", "amount", "customer", "currency"])),
    ("required items and time", |schema| schema["required"] = json!(["items", "createdAt"])),
    ("no required members", |schema| drop(schema.as_object_mut().unwrap().remove("required"))),
    ("no channel", |schema| drop(schema["properties"].as_object_mut().unwrap().remove("channel"))),
    ("no customer", |schema| drop(schema["properties"].as_object_mut().unwrap().remove("customer"))),
    ("an open order without a channel", |schema| {
        schema["properties"].as_object_mut().unwrap().remove("channel");
        schema.as_object_mut().unwrap().remove("additionalProperties");
    }),
    ("an order of anything", |schema| *schema = json!({})),
    ("small amounts", |schema| {
        schema["properties"]["amount"] = json!({ "minimum": 1, "maximum": 1000.25 });
        schema["$defs"]["money"]["x-decimal"] = json!({ "precision": 5, "scale": 1 });
    }),
    ("whole prices", |schema| {
        let price = json!({ "type": "integer", "maximum": 5_000.0, "x-decimal": { "precision": 4, "scale": 0 } });
        schema["properties"]["items"]["items"]["properties"]["unitPrice"] = price;
    }),
    ("negative bounds", |schema| schema["$defs"]["money"]["minimum"] = json!(-0.5)),
    ("few of each", |schema| {
        schema["properties"]["items"]["items"]["properties"]["quantity"] = json!({ "type": "number", "maximum": 5.5 });
    }),
    ("one or two items", |schema| {
        schema["properties"]["items"]["maxItems"] = json!(2);
        schema["properties"]["items"]["minItems"] = json!(1);
    }),
    ("items of anything", |schema| drop(schema["properties"]["items"].as_object_mut().unwrap().remove("items"))),
    ("items without end", |schema| schema["properties"]["items"]["maxItems"] = json!(1_000_000)),
    ("closed items without a price", |schema| {
        schema["properties"]["items"]["items"]["properties"].as_object_mut().unwrap().remove("unitPrice");
    }),
    ("an item by reference", |schema| {
        let item = schema["properties"]["items"]["items"].take();
        schema["$defs"]["item"] = item;
        schema["$defs"]["line"] = json!({ "$ref": "#/$defs/item", "description": "one line" });
        schema["properties"]["items"]["items"] = json!({ "$ref": "#/$defs/line" });
    }),
    ("patterns of our own", |schema| {
        schema["properties"]["orderId"]["pattern"] = json!("^order-[0-9]{1,4}$");
        schema["properties"]["currency"]["pattern"] = json!("^[A-Z]{3}$");
        schema["properties"]["channel"]["pattern"] = json!("^[a-z_-]+$");
        schema["properties"]["country"]["pattern"] = json!("^[A-Z][A-Za-z]$");
        schema["properties"]["customer"]["pattern"] = json!("^[a-zA-Z _]{2,}$");
        schema["properties"]["createdAt"]["pattern"] = json!("^[0-9TZ:.-]{20,}$");
        schema["properties"]["items"]["items"]["properties"]["sku"]["pattern"] = json!("^[A-Z]*$");
    }),
    ("no patterns", |schema| {
        for (_, member) in schema["properties"].as_object_mut().unwrap() {
            member.as_object_mut().unwrap().retain(|keyword, _| keyword != "pattern" && keyword != "allOf");
        }
    }),
    ("one decade", |schema| {
        let range = json!({ "from": "2020-01-01T00:00:00+01:00", "before": "2030-01-01T00:00:00Z" });
        schema["properties"]["createdAt"]["x-range"] = range;
    }),
    ("times that are short", |schema| {
        schema["properties"]["createdAt"] = json!({ "maxLength": 20, "minLength": 20 });
    }),
    ("times of any length", |schema| {
        schema["properties"]["createdAt"] = json!({ "format": "date-time" });
    }),
];

#[test]
fn whatever_a_user_makes_of_the_schema_both_ways_go_by_it() {
    let shipped = agree("shipped", schemas::contracts::ORDER_SCHEMA_JSON, bodies(10_000));
    for (name, edit) in EDITS {
        let tally = agree(name, &schema(edit), bodies(10_000));
        println!("{name}: {tally:?}");
        let is_looser = [
            "beyond",
            "open",
            "anything",
            "negative",
            "no required",
            "no patterns",
            "without end",
            "any length",
            "by reference",
        ];
        let is_looser = is_looser.iter().any(|word| name.contains(word));
        // Else the edit would not have been seen.
        assert!(is_looser || tally.fast < shipped.fast, "{name}: {tally:?}, shipped: {shipped:?}");
    }
}

/// Each number in the schema is read from it: 0 and others in its place, and both ways go by them.
#[test]
fn each_bound_of_the_schema_is_the_bound_of_the_fast_path() {
    let original: Value = serde_json::from_str(schemas::contracts::ORDER_SCHEMA_JSON).unwrap();
    let mut bounds = Vec::new();
    each_value(&original, String::new(), &mut |pointer, value| {
        if value.is_number() {
            bounds.push(pointer.to_owned());
        }
    });
    assert!(13 <= bounds.len(), "{bounds:?}");
    for bound in bounds {
        for value in [0, 1, 2, 3, 12] {
            let edited = schema(|schema| *schema.pointer_mut(&bound).unwrap() = json!(value));
            if Rules::compile(&edited).is_ok() {
                agree(&format!("{bound}: {value}"), &edited, bodies(1_000));
            }
        }
    }
}

fn each_value(value: &Value, pointer: String, look: &mut dyn FnMut(&str, &Value)) {
    look(&pointer, value);
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(key, value)| each_value(value, format!("{pointer}/{key}"), look));
        }
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(index, value)| each_value(value, format!("{pointer}/{index}"), look));
        }
        _ => {}
    }
}
