//! Whether all writers make the same rows and documents of the same records.

use anyhow::{Context, ensure};
use connectors::verify::stores::{ASKED, Store, Stored, Stores};
use serde_json::Value;

use super::{Field, Who, contest};
use crate::sinks::orders::Placed;

/// Orders that are compared field by field.
const COUNT: u64 = ASKED as u64;

/// What was compared, in words.
pub(super) async fn check(field: &Field, all: &[Who]) -> anyhow::Result<String> {
    let keys =
        (0..COUNT).map(|number| Ok(Placed::new(number)?.key().to_owned())).collect::<anyhow::Result<Vec<_>>>()?;
    let mut ours: Option<[Vec<Stored>; 2]> = None;
    for who in all {
        // Connect runs on, so for ours this is the warm-up, too; a peer is a new process each time and has its own.
        let count = if matches!(who, Who::Ours) { field.bench.options.orders().max(COUNT) } else { COUNT };
        contest::drain(field, who, COUNT, count).await.with_context(|| who.name())?;
        let found = stored(field, &keys).await?;
        let Some(ours) = &ours else {
            ours = Some(found);
            continue;
        };
        for ((store, ours), theirs) in Store::ALL.into_iter().zip(ours).zip(&found) {
            for (ours, theirs) in ours.iter().zip(theirs) {
                ensure!(ours == theirs, "{store}, {}: {theirs:?} in place of {ours:?}", who.name());
            }
            ensure!(ours.len() == theirs.len(), "{store}, {}: {} orders of {COUNT}", who.name(), theirs.len());
        }
    }
    Ok(format!("{COUNT} orders were written by each first: the same rows and the same documents in every field"))
}

/// All of them from both stores, by their ids.
async fn stored(field: &Field, keys: &[String]) -> anyhow::Result<[Vec<Stored>; 2]> {
    let stores = &field.bench.servers.stores;
    let stores = Stores { postgres: stores.postgres.clone(), elastic: stores.elastic.clone() };
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let of = async |store| {
        let mut found = stores.orders(store, &keys).await?;
        found.iter_mut().for_each(|stored| level(&mut stored.value));
        found.sort_by(|one, other| one.key.cmp(&other.key));
        anyhow::Ok(found)
    };
    Ok([of(Store::PostgreSql).await?, of(Store::Elasticsearch).await?])
}

/// 12.5 and 12.50 are one amount; what is null is not there.
fn level(value: &mut Value) {
    match value {
        Value::Number(number) => *value = number.as_f64().map_or(Value::Null, Value::from),
        Value::Array(all) => all.iter_mut().for_each(level),
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(level);
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_that_say_the_same_are_the_same() {
        let leveled = |mut value: Value| {
            level(&mut value);
            value
        };
        let ours = leveled(json!({ "a": 12, "items": [{ "p": 1.50 }], "email": null, "text": "12" }));
        assert_eq!(ours, leveled(json!({ "text": "12", "items": [{ "p": 1.5 }], "a": 12.0 })));
        for other in
            [json!({ "a": 12, "items": [], "text": "12" }), json!({ "a": 12, "items": [{ "p": 1.5 }], "text": 12 })]
        {
            assert_ne!(ours, leveled(other));
        }
    }
}
