//! Rows and documents as fields, by key, each value as the text that the store gives: `1.0` is not `1.00`.

use std::collections::BTreeMap;

use schemas::fields::Field;
use serde_json::value::RawValue;

use crate::postgres::scratch::Rows;

/// Rows or documents by key.
pub type Made = BTreeMap<String, Vec<Field>>;

/// A table's rows by primary key. Where there is none, by all that they hold and how often.
#[must_use]
pub fn of_table(rows: &Rows) -> Made {
    let mut made = Made::new();
    for row in &rows.rows {
        let fields = fields(row);
        let value = |column: &String| fields.iter().find(|field| field.path == *column).map(|field| bare(&field.json));
        let mut key = rows.key.iter().filter_map(value).collect::<Vec<_>>().join(", ");
        if rows.key.is_empty() {
            let twins = (1..).map(|count| format!("row {count} of {row}"));
            key = twins.into_iter().find(|key| !made.contains_key(key)).unwrap_or_default();
        }
        made.insert(key, fields);
    }
    made
}

/// An index's documents by id.
#[must_use]
pub fn of_index(documents: &[(String, String)]) -> Made {
    documents.iter().map(|(id, source)| (id.clone(), fields(source))).collect()
}

/// Text without its quotes.
fn bare(json: &str) -> String {
    serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_owned())
}

/// Every value of a JSON object that holds no further values, with its path.
fn fields(json: &str) -> Vec<Field> {
    let mut fields = Vec::new();
    fill(json, String::new(), &mut fields);
    fields
}

fn fill(json: &str, path: String, fields: &mut Vec<Field>) {
    let json = json.trim();
    // As deep as the reader of the whole goes, which refuses what is deeper.
    if let Ok(object) = serde_json::from_str::<BTreeMap<String, &RawValue>>(json)
        && !object.is_empty()
    {
        for (name, value) in object {
            let path = if path.is_empty() { name } else { format!("{path}.{name}") };
            fill(value.get(), path, fields);
        }
    } else if json.starts_with('[')
        && let Ok(list) = serde_json::from_str::<Vec<&RawValue>>(json)
        && !list.is_empty()
    {
        for (at, value) in list.iter().enumerate() {
            fill(value.get(), format!("{path}[{at}]"), fields);
        }
    } else {
        // The same text may be escaped in two ways.
        let text = serde_json::from_str::<String>(json).ok();
        let json = text.map_or_else(|| json.to_owned(), |text| serde_json::Value::String(text).to_string());
        fields.push(Field { path, json, read: None });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(fields: &[Field]) -> Vec<(&str, &str)> {
        fields.iter().map(|field| (field.path.as_str(), field.json.as_str())).collect()
    }

    #[test]
    fn values_keep_their_text_and_have_a_path() {
        let found =
            fields(r#"{"b": 1.00, "a": {"x": [{"y": null}, {"y": "\u00e9"}], "z": []}, "c": 12345678901234567.10}"#);
        let expected =
            [("a.x[0].y", "null"), ("a.x[1].y", "\"é\""), ("a.z", "[]"), ("b", "1.00"), ("c", "12345678901234567.10")];
        assert_eq!(pairs(&found), expected);
    }

    #[test]
    fn rows_go_by_their_key_and_without_one_by_all_they_hold() {
        let rows = |key: &[&str], rows: &[&str]| Rows {
            key: key.iter().map(|text| (*text).to_owned()).collect(),
            rows: rows.iter().map(|text| (*text).to_owned()).collect(),
        };
        let made = of_table(&rows(&["a", "b"], &[r#"{"a":"x","b":1,"c":2}"#, r#"{"a":"y","b":1,"c":2}"#]));
        assert_eq!(made.keys().collect::<Vec<_>>(), ["x, 1", "y, 1"]);
        assert_eq!(of_table(&rows(&[], &[r#"{"a":1}"#, r#"{"a":1}"#])).len(), 2);
    }
}
