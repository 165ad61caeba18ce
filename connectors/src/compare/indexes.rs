//! Indexes: mapping and settings, leaf by leaf. Elasticsearch takes new fields and refuses another type for one that is
//! there; that is known here, so that a plan says it before anything is tried.

use serde_json::Value;

use super::{Deadline, Difference, Place, Refusal, Thing, told};
use crate::apply::Target;
use crate::elastic::shape::{self, is_as, leaves};
use crate::files::Index;
use crate::retry;

/// What Elasticsearch gives every index by itself.
const MADE: [&str; 6] = [
    "settings.index.creation_date",
    "settings.index.provided_name",
    "settings.index.uuid",
    "settings.index.version.",
    "settings.index.routing.",
    "settings.index.resize.",
];
/// Settings that an index is made with and keeps.
const FIXED: [&str; 8] = [
    "settings.index.number_of_shards",
    "settings.index.number_of_routing_shards",
    "settings.index.codec",
    "settings.index.mode",
    "settings.index.routing_partition_size",
    "settings.index.soft_deletes.",
    "settings.index.sort.",
    "settings.index.analysis.",
];
/// Of a field, what may be put anew.
const LOOSE: [&str; 6] = [".ignore_above", ".coerce", ".ignore_malformed", ".null_value", ".copy_to", ".meta"];
const WAY_OUT: &str = "it cannot be changed in place: make a new index and fill it again, or put the file back";

pub(super) async fn compare(target: &Target, indexes: &[Index], deadline: Deadline) -> Result<Vec<Thing>, String> {
    let mut things = Vec::new();
    for index in indexes {
        let there = retry::until(deadline, "Elasticsearch", || target.elastic.index(&index.name)).await;
        things.push(thing(index, there.map_err(|err| told("Elasticsearch", err))?.as_ref()));
    }
    Ok(things)
}

fn thing(index: &Index, there: Option<&Value>) -> Thing {
    let mut thing = Thing::new("index", &index.name, &format!("stores/{}.index.json", index.name));
    let says = leaves(&index.body);
    let Some(there) = there else {
        thing.place = Place::File;
        thing.differences = says.iter().map(|(key, value)| Difference::new(key, None, shown(value))).collect();
        return thing;
    };
    let has = leaves(there);
    for (key, value) in says.iter().filter(|(key, value)| !is_as(&has, key, value)) {
        let before = has.get(key);
        let difference = Difference::new(key, before.and_then(|before| shown(before)), shown(value));
        if is_fixed(key, before.is_some()) {
            thing.refused.push(Refusal::new(key, WAY_OUT));
            thing.differences.push(difference.left());
        } else {
            thing.differences.push(difference);
        }
    }
    let is_more = |key: &str, value: &Value| !says.contains_key(key) && is_a_users(key) && !is_object(key, value);
    for (key, value) in has.iter().filter(|(key, value)| is_more(key, value)) {
        thing.differences.push(Difference::new(key, shown(value), None).left());
    }
    thing
}

/// A field's type and how it is indexed are for good; a new field is welcome.
fn is_fixed(key: &str, is_there: bool) -> bool {
    let field = key.contains(".properties.") && !LOOSE.iter().any(|end| key.ends_with(end));
    (field && is_there) || FIXED.iter().any(|fixed| key.starts_with(fixed))
}

fn is_a_users(key: &str) -> bool {
    (key.starts_with("mappings.") || key.starts_with("settings.")) && !MADE.iter().any(|made| key.starts_with(made))
}

fn shown(value: &Value) -> Option<String> {
    Some(shape::text(value))
}

/// That a field is an object need not be said.
fn is_object(key: &str, value: &Value) -> bool {
    key.ends_with(".type") && value == "object"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn index(body: Value) -> Index {
        Index { name: "i".to_owned(), body }
    }

    fn keys(thing: &Thing, applies: bool) -> Vec<&str> {
        thing.differences.iter().filter(|one| one.applies == applies).map(|one| one.key.as_str()).collect()
    }

    #[test]
    fn what_elasticsearch_adds_is_no_difference_and_what_a_person_added_is() {
        let file = index(json!({
            "settings": {"index": {"number_of_shards": "1", "refresh_interval": "1s"}},
            "mappings": {"properties": {"a": {"type": "keyword"}}},
        }));
        let there = json!({
            "aliases": {"x": {}},
            "settings": {"index": {"number_of_shards": 1, "refresh_interval": "1s", "uuid": "u", "creation_date": "1",
                "version": {"created": "9"}, "provided_name": "i", "routing": {"allocation": {"x": "y"}}}},
            "mappings": {"properties": {"a": {"type": "keyword"}}},
        });
        assert_eq!(
            thing(&file, Some(&there)),
            Thing { file: "stores/i.index.json".to_owned(), ..Thing::new("index", "i", "") }
        );
        let mut by_hand = there;
        by_hand["mappings"]["properties"]["b"] = json!({"type": "long"});
        by_hand["settings"]["index"]["blocks"] = json!({"write": true});
        let found = thing(&file, Some(&by_hand));
        assert_eq!(keys(&found, false), ["mappings.properties.b.type", "settings.index.blocks.write"]);
        assert!(!found.changes() && found.refused.is_empty());
    }

    #[test]
    fn what_elasticsearch_leaves_out_or_writes_otherwise_is_no_difference() {
        let file = index(json!({
            "settings": {"index": {"number_of_replicas": 1}},
            "mappings": {"properties": {
                "a": {"type": "keyword", "index": true, "store": false},
                "n": {"type": "scaled_float", "scaling_factor": 100},
                "o": {"type": "object", "properties": {"b": {"type": "long", "doc_values": true}}},
            }},
        }));
        let mut there = json!({
            "settings": {"index": {"number_of_replicas": "1"}},
            "mappings": {"properties": {
                "a": {"type": "keyword"}, "n": {"type": "scaled_float", "scaling_factor": 100.0},
                "o": {"properties": {"b": {"type": "long"}}}, "e": {"type": "object"},
            }},
        });
        let found = thing(&file, Some(&there));
        assert!(found.differences.is_empty() && found.refused.is_empty(), "{found:?}");
        there["mappings"]["properties"]["a"]["index"] = json!(false);
        let refused = thing(&file, Some(&there)).refused;
        assert_eq!(refused.iter().map(|one| one.key.as_str()).collect::<Vec<_>>(), ["mappings.properties.a.index"]);
    }

    #[test]
    fn a_new_field_is_a_change_and_another_type_is_refused() {
        let there = json!({
            "settings": {"index": {"number_of_shards": "1"}},
            "mappings": {"properties": {"a": {"type": "keyword"}}},
        });
        let file = index(json!({
            "settings": {"index": {"number_of_shards": "2", "refresh_interval": "5s"}},
            "mappings": {"properties": {"a": {"type": "double"}, "b": {"type": "long"}}},
        }));
        let found = thing(&file, Some(&there));
        assert_eq!(keys(&found, true), ["mappings.properties.b.type", "settings.index.refresh_interval"]);
        let refused: Vec<&str> = found.refused.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(refused, ["mappings.properties.a.type", "settings.index.number_of_shards"]);
        assert_eq!(thing(&file, None).place, Place::File);
    }
}
