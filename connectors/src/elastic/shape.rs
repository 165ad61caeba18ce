//! How Elasticsearch takes what an index's file says, and how it gives that back: settings below `index` and as text,
//! numbers of a field in its own form, and nothing of what is so anyway.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// What begins the name of each setting.
const INDEX: &str = "index";
/// What a field has where nothing is said; where a file says it, it is not given back.
const DEFAULTS: [(&str, bool); 4] = [("index", true), ("doc_values", true), ("enabled", true), ("store", false)];

/// Each value by its path.
pub(crate) type Leaves<'a> = BTreeMap<String, &'a Value>;

/// The body of an index's file, with its settings where Elasticsearch shows them: below `index`, part by part. They may
/// be written flat as well, with `index.` before them or without, and in any mixture.
#[must_use]
pub(crate) fn nested(mut body: Value) -> Value {
    if let Some(Value::Object(settings)) = body.get_mut("settings") {
        let mut named = BTreeMap::new();
        flatten(std::mem::take(settings), "", &mut named);
        for (name, value) in named {
            let is_whole = name.starts_with(&format!("{INDEX}."));
            put(settings, &if is_whole { name } else { format!("{INDEX}.{name}") }, value);
        }
    }
    body
}

fn flatten(settings: Map<String, Value>, path: &str, named: &mut BTreeMap<String, Value>) {
    for (key, value) in settings {
        let path = join(path, &key);
        match value {
            Value::Object(parts) => flatten(parts, &path, named),
            value => _ = named.insert(path, value),
        }
    }
}

/// One that is a value and has parts as well keeps the dots of those, as with Elasticsearch.
fn put(settings: &mut Map<String, Value>, path: &str, value: Value) {
    if let Some((head, rest)) = path.split_once('.')
        && let Value::Object(parts) = settings.entry(head).or_insert_with(|| Value::Object(Map::new()))
    {
        put(parts, rest, value);
    } else {
        settings.insert(path.to_owned(), value);
    }
}

/// All values of a document, or of a part of one.
pub(crate) fn leaves(document: &Value) -> Leaves<'_> {
    fn walk<'a>(value: &'a Value, path: &str, found: &mut Leaves<'a>) {
        match value {
            Value::Object(parts) => parts.iter().for_each(|(key, part)| walk(part, &join(path, key), found)),
            leaf => _ = found.insert(path.to_owned(), leaf),
        }
    }
    let mut found = Leaves::new();
    walk(document, "", &mut found);
    found
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Whether an index is as a file says it at this path.
pub(crate) fn is_as(there: &Leaves<'_>, path: &str, wanted: &Value) -> bool {
    there.get(path).map_or_else(|| is_left_out(there, path, wanted), |there| is_same(there, wanted))
}

/// Whether all of `wanted` stands in `there`. More in `there` is fine.
pub(crate) fn holds(there: &Value, wanted: &Value) -> bool {
    let there = leaves(there);
    leaves(wanted).iter().all(|(path, value)| is_as(&there, path, value))
}

/// That a field is an object, beside its properties, and what it has anyway.
fn is_left_out(there: &Leaves<'_>, path: &str, wanted: &Value) -> bool {
    let Some((field, name)) = path.rsplit_once('.') else { return false };
    let of = field.rsplit_once('.').map_or("", |(of, _)| of);
    let is_field = ["properties", "fields"].contains(&of.rsplit_once('.').map_or(of, |(_, last)| last));
    let below = format!("{field}.");
    let is_there = there.range(below.clone()..).next().is_some_and(|(path, _)| path.starts_with(&below));
    let is_default = match wanted {
        Value::Bool(wanted) => DEFAULTS.contains(&(name, *wanted)),
        wanted => name == "type" && wanted == "object",
    };
    is_field && is_there && is_default
}

fn is_same(there: &Value, wanted: &Value) -> bool {
    if let (Value::Array(there), Value::Array(wanted)) = (there, wanted) {
        return there.len() == wanted.len() && there.iter().zip(wanted).all(|(there, wanted)| is_same(there, wanted));
    }
    let (one, other) = (text(there), text(wanted));
    there == wanted || one == other || ((there.is_number() || wanted.is_number()) && is_one_number(&one, &other))
}

/// As 100 and 100.0 are. Of whole numbers each digit counts.
fn is_one_number(one: &str, other: &str) -> bool {
    let is_whole = |text: &str| text.parse::<i128>().is_ok();
    let number = |text: &str| text.parse::<f64>().ok();
    let both = number(one).zip(number(other));
    !(is_whole(one) && is_whole(other)) && both.is_some_and(|(one, other)| one.total_cmp(&other).is_eq())
}

/// Elasticsearch gives numbers and booleans of settings back as text.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::files::Folder;

    #[test]
    fn settings_stand_below_index_however_a_file_writes_them() {
        let expected = json!({"index": {"number_of_shards": 1, "mapping": {"total_fields": {"limit": 2000}}}});
        for settings in [
            expected.clone(),
            json!({"number_of_shards": 1, "mapping": {"total_fields": {"limit": 2000}}}),
            json!({"index.number_of_shards": 1, "index.mapping.total_fields.limit": 2000}),
            json!({"index": {"number_of_shards": 1, "mapping.total_fields.limit": 2000}}),
            json!({"number_of_shards": 1, "index": {"mapping": {"total_fields.limit": 2000}}}),
        ] {
            let body = nested(json!({"settings": settings, "mappings": {"properties": {"index.a": {"type": "long"}}}}));
            assert_eq!(body["settings"], expected, "{settings}");
            assert_eq!(body["mappings"], json!({"properties": {"index.a": {"type": "long"}}}));
        }
        let odd = nested(json!({"settings": {"index.a": 1, "index.a.b": 2}}));
        assert_eq!(odd, json!({"settings": {"index": {"a": 1, "a.b": 2}}}));
        assert_eq!(nested(json!({"mappings": {}})), json!({"mappings": {}}));
    }

    #[test]
    fn a_file_is_read_so() {
        let folder = Folder::of(&[("stores/i.index.json", r#"{"settings": {"number_of_replicas": 1}}"#)]);
        let bodies: Vec<&Value> = folder.indexes.iter().map(|(index, _)| &index.body).collect();
        assert_eq!(bodies, [&json!({"settings": {"index": {"number_of_replicas": 1}}})]);
    }

    #[test]
    fn more_than_wanted_is_as_wanted_and_less_is_not() {
        let there = json!({"dynamic": "strict", "properties": {"a": {"type": "keyword"}, "b": {"type": "nested", "properties": {"c": {"type": "long"}}}}});
        let cases = [
            (json!({"properties": {"a": {"type": "keyword"}}}), true),
            (json!({"dynamic": "strict"}), true),
            (json!({"properties": {"b": {"properties": {"c": {"type": "long"}}}}}), true),
            (json!({"properties": {"b": {"properties": {"d": {"type": "long"}}}}}), false),
            (json!({"properties": {"a": {"type": "double"}}}), false),
            (json!({"dynamic": "true"}), false),
        ];
        for (wanted, holds_it) in cases {
            assert_eq!(holds(&there, &wanted), holds_it, "{wanted}");
        }
    }

    #[test]
    fn what_a_field_has_anyway_need_not_be_given_back() {
        let there = json!({"properties": {
            "a": {"type": "keyword"}, "n": {"type": "scaled_float", "scaling_factor": 100.0},
            "o": {"properties": {"b": {"type": "long"}}}, "x": {"type": "long", "index": false},
            "m": {"type": "text", "fields": {"raw": {"type": "keyword"}}},
        }});
        let field = |name: &str, key: &str, value: Value| json!({"properties": {name: {key: value}}});
        for (wanted, holds_it) in [
            (field("a", "index", json!(true)), true),
            (field("a", "doc_values", json!(true)), true),
            (field("a", "store", json!(false)), true),
            (field("a", "store", json!(true)), false),
            (field("o", "enabled", json!(true)), true),
            (field("m", "fields", json!({"raw": {"index": true}})), true),
            (field("x", "index", json!(true)), false),
            (field("a", "coerce", json!(true)), false),
            // Nothing is known of a field that is not there.
            (field("y", "index", json!(true)), false),
            (field("o", "type", json!("object")), true),
            (field("y", "type", json!("object")), false),
            (field("a", "type", json!("object")), false),
            (field("n", "scaling_factor", json!(100)), true),
            (field("n", "scaling_factor", json!("100")), true),
            (field("n", "scaling_factor", json!(10)), false),
            // No field's.
            (json!({"_meta": {"index": true}}), false),
        ] {
            assert_eq!(holds(&there, &wanted), holds_it, "{wanted}");
        }
        assert!(!is_same(&json!(9_007_199_254_740_993_i64), &json!("9007199254740992")), "each digit counts");
        assert!(!is_same(&json!("1.0"), &json!("1")), "two texts are no numbers");
        assert!(is_same(&json!(["1", "2"]), &json!([1, 2])) && !is_same(&json!(["1"]), &json!([1, 2])));
    }
}
