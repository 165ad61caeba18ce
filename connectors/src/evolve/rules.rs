//! What may become of a schema: it gets fields behind its last one, each with a default. Avro would allow more; what stands
//! against that here is said with each rule.

use std::collections::BTreeMap;
use std::path::Path;

use schemas::resolution::Resolver;
use serde_json::Value;

use super::field::DIGITS;

/// What is new, and what breaks something.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Judged {
    /// The fields that are new, as the schema says them.
    pub(crate) added: Vec<Value>,
    /// Why not, with the way out.
    pub(crate) refused: Vec<String>,
}

/// Holds a schema against the one before.
pub(crate) fn judge(before: &str, after: &str) -> Judged {
    let (Some(old), Some(new)) = (fields(before), fields(after)) else {
        return Judged { refused: vec!["the schema is no record with fields".to_owned()], ..Judged::default() };
    };
    let mut judged = Judged::default();
    let names: BTreeMap<&str, &Value> = new.iter().map(|field| (name(field), field)).collect();
    for field in &old {
        match names.get(name(field)) {
            None => judged.refused.push(gone(name(field), &new)),
            Some(kept) if kept.get("type") != field.get("type") => judged.refused.push(format!(
                "{} has another type than before ({} was {}): records of both would lie in one topic, and the column has one \
                 type; add a field of another name instead, and let a module fill it",
                name(field),
                told(kept),
                told(field)
            )),
            Some(kept) if field.get("default").is_some() && kept.get("default").is_none() => judged.refused.push(format!(
                "{} has lost its default: records from before it could not be read any more; put the default back",
                name(field)
            )),
            Some(_) => {}
        }
    }
    let in_order = old.iter().zip(&new).all(|(old, new)| name(old) == name(new));
    if judged.refused.is_empty() && !in_order {
        judged.refused.push(
            "a field stands before others that were there: modules that were built before read by position; move what is \
             new behind the last field"
                .to_owned(),
        );
    }
    let known = |field: &&Value| !old.iter().any(|before| name(before) == name(field));
    judged.added = new.iter().filter(known).cloned().collect();
    judged.refused.extend(judged.added.iter().filter_map(unfit));
    judged
}

/// A field that was there is not any more.
fn gone(name: &str, new: &[Value]) -> String {
    let alias = |field: &&Value| {
        field.get("aliases").and_then(Value::as_array).is_some_and(|list| list.iter().any(|one| one == name))
    };
    match new.iter().find(alias) {
        Some(renamed) => format!(
            "{name} is renamed to {}: the column and the modules keep the old name, and every record that lies in the topic \
             has it; keep {name}, and add the other beside it",
            self::name(renamed)
        ),
        None => format!(
            "{name} is gone: rows and records have it, and modules read by position; keep it (a module may leave it null). If \
             it was renamed, keep the old name and add the new one"
        ),
    }
}

/// Why a new field will not do.
fn unfit(field: &Value) -> Option<String> {
    let name = name(field);
    if field.get("default").is_none() {
        return Some(format!(
            "{name} has no default, so no record that lies in the topics could be read; make it [\"null\", …] with \
             \"default\": null"
        ));
    }
    let kinds = match field.get("type") {
        Some(Value::Array(branches)) => branches.clone(),
        Some(kind) => vec![kind.clone()],
        None => Vec::new(),
    };
    let precision = kinds.iter().find_map(|kind| kind.get("precision")?.as_u64());
    precision.filter(|precision| DIGITS < *precision).map(|precision| {
        format!("{name} is a decimal of {precision} digits; the index holds a double, which is exact up to {DIGITS}")
    })
}

/// What every version that was ever written says against a schema that is to read them all.
pub(crate) fn unread(folder: &Path, schema: &str) -> Result<Vec<String>, std::io::Error> {
    let mut refused = Vec::new();
    for path in versions(folder)? {
        let older = std::fs::read_to_string(&path)?;
        if let Err(err) = Resolver::new(&older, schema) {
            refused.push(format!("records of {} could not be read: {err}", path.display()));
        }
    }
    Ok(refused)
}

/// The schemas of a folder of versions, by name.
pub(crate) fn versions(folder: &Path) -> Result<Vec<std::path::PathBuf>, std::io::Error> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "avsc") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

pub(crate) fn fields(schema: &str) -> Option<Vec<Value>> {
    let schema: Value = serde_json::from_str(schema).ok()?;
    schema.get("fields")?.as_array().cloned()
}

pub(crate) fn name(field: &Value) -> &str {
    field.get("name").and_then(Value::as_str).unwrap_or_default()
}

fn told(field: &Value) -> String {
    field.get("type").map(Value::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = r#"{"type":"record","name":"R","fields":[
        {"name":"a","type":"string"},{"name":"b","type":["null","int"],"default":null}]}"#;

    fn refused(change: (&str, &str)) -> String {
        let after = OLD.replace(change.0, change.1);
        assert_ne!(after, OLD);
        judge(OLD, &after).refused.join("; ")
    }

    #[test]
    fn what_breaks_records_modules_or_columns_is_refused_with_the_way_out() {
        for (change, words) in [
            (("null}]}", r#"null},{"name":"c","type":"int"}]}"#), "c has no default"),
            ((r#""type":"string""#, r#""type":"bytes""#), "a has another type than before"),
            ((r#"["null","int"]"#, r#"["null","long"]"#), "b has another type than before"),
            ((r#"{"name":"a","type":"string"},"#, ""), "a is gone"),
            ((r#""name":"b""#, r#""name":"c","aliases":["b"]"#), "b is renamed to c"),
            ((r#","default":null}"#, "}"), "b has lost its default"),
            (
                (
                    r#"[
        {"#,
                    r#"[{"name":"c","type":"int","default":0},{"#,
                ),
                "move what is new behind the last field",
            ),
            (
                (
                    "null}]}",
                    r#"null},{"name":"c","type":["null",{"type":"bytes","logicalType":"decimal","precision":16,"scale":2}],
                    "default":null}]}"#,
                ),
                "c is a decimal of 16 digits",
            ),
        ] {
            let told = refused(change);
            assert!(told.contains(words), "{change:?}: {told}");
        }
        assert!(!judge(OLD, "\"int\"").refused.is_empty());
    }

    #[test]
    fn fields_behind_the_last_one_and_other_words_are_welcome() {
        let after = OLD.replace("null}]}", r#"null,"doc":"B."},{"name":"c","type":"int","default":0}]}"#);
        let judged = judge(OLD, &after);
        assert_eq!(judged.refused, Vec::<String>::new());
        assert_eq!(judged.added.iter().map(name).collect::<Vec<_>>(), ["c"]);
        assert_eq!(judge(OLD, OLD), Judged::default());
    }
}
