//! A field put into a file as a person would: a line in the style of those around it, everything else as it was.

use serde_json::Value;

use crate::check::flow;
use crate::files::Text;

/// The schema with this field behind its last one; `None` where that is not how the file is made.
pub(crate) fn schema(text: &str, field: &Value) -> Option<String> {
    append(text, &["fields"], &spaced(field))
}

/// The mapping with this property behind its last one.
pub(crate) fn index(text: &str, name: &str, property: &Value) -> Option<String> {
    append(text, &["mappings", "properties"], &format!("\"{name}\": {}", spaced(property)))
}

/// A list or an object at a path of keys, with one more entry on a line of its own.
fn append(text: &str, path: &[&str], entry: &str) -> Option<String> {
    let whole = Text::new("", text);
    let mut part = whole.text.as_str();
    let mut end = part.len();
    for key in path {
        let pair = whole.pairs(part)?.into_iter().find(|pair| pair.key == *key)?;
        (part, end) = (pair.value, pair.value_at + pair.value.len());
    }
    // Behind the last entry, before the bracket that ends it all.
    let inside = whole.text.get(..end.checked_sub(1)?)?.trim_end();
    let is_empty = inside.ends_with(['[', '{']);
    let line = inside.rfind('\n').map_or(0, |at| at + 1);
    let indent: String = inside.get(line..)?.chars().take_while(|c| c.is_whitespace()).collect();
    let (comma, deeper) = if is_empty { ("", "  ") } else { (",", "") };
    let rest = whole.text.get(inside.len()..)?;
    let rest =
        if is_empty && !rest.starts_with(char::is_whitespace) { format!("\n{indent}{rest}") } else { rest.to_owned() };
    let edited = format!("{inside}{comma}\n{indent}{deeper}{entry}{rest}");
    serde_json::from_str::<Value>(&edited).ok().map(|_| edited)
}

/// A pipeline's file with this `name@version`: in the place of another version of the module, or else as the last one.
/// `None` where the file is not written in a way that this knows.
pub(crate) fn pipeline(text: &str, module: &str) -> Option<String> {
    let whole = Text::new("", text);
    let config = whole.pairs(&whole.text)?.into_iter().find(|pair| pair.key == "config")?;
    let pairs = whole.pairs(config.value)?;
    let string = |key: &str| {
        let pair = pairs.iter().find(|pair| pair.key == key)?;
        Some((pair, serde_json::from_str::<String>(pair.value).ok()?))
    };
    let (chain, aliases) = string("transforms")?;
    let (name, _) = module.split_once('@')?;
    let kind = format!("transforms.{name}.type");
    let named = |module: &str| module.split_once('@').map_or(module, |(name, _)| name) == name;
    let mut known = aliases.split(',').map(str::trim);
    let known = known.find_map(|alias| string(&format!("transforms.{alias}.type")).filter(|(_, of)| named(of)));
    let put = |at: usize, old: usize, new: &str| {
        Some(format!("{}{new}{}", whole.text.get(..at)?, whole.text.get(at + old..)?))
    };
    let module = Value::from(module).to_string();
    let edited = match known {
        Some((pair, _)) => put(pair.value_at, pair.value.len(), &module)?,
        // Its name stands for another module, or for one that was taken out of the chain by half.
        None if aliases.split(',').any(|alias| alias.trim() == name) => return None,
        None if pairs.iter().any(|pair| pair.key == kind) => return None,
        None => {
            let last = pairs.iter().rfind(|pair| pair.key.starts_with("transforms"))?;
            let line = whole.text.get(..last.key_at)?.rfind('\n')? + 1;
            let indent = whole.text.get(line..last.key_at).filter(|indent| indent.trim().is_empty())?;
            let entry = format!(",\n{indent}{}: {module}", Value::from(kind));
            // What stands further behind first, so that places before it stay.
            let with = put(last.value_at + last.value.len(), 0, &entry)?;
            let comma = match aliases.trim() {
                "" => "",
                several if several.contains(", ") => ", ",
                _ => ",",
            };
            let aliases = Value::from(format!("{aliases}{comma}{name}")).to_string();
            let (head, tail) = (with.get(..chain.value_at)?, with.get(chain.value_at + chain.value.len()..)?);
            format!("{head}{aliases}{tail}")
        }
    };
    serde_json::from_str::<Value>(&edited).ok().map(|_| edited)
}

/// JSON on one line with spaces inside of braces and behind commas, names before what they mean.
fn spaced(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let first = |key: &str| {
                ["name", "type", "logicalType", "precision", "scale", "default", "doc"]
                    .iter()
                    .position(|known| *known == key)
            };
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| first(key).unwrap_or(usize::MAX));
            let members =
                members.iter().map(|(key, value)| format!("{}: {}", Value::from(key.as_str()), spaced(value)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(spaced).collect::<Vec<_>>().join(", ")),
        leaf => leaf.to_string(),
    }
}

/// The table with this column: in its `create table`, for a database that is new, and as `add column`, for one that is
/// there. `None` where the statement is written in a way that this does not know.
pub(crate) fn table(sql: &str, table: &str, name: &str, column_type: &str) -> Option<String> {
    let mut lines: Vec<String> = sql.lines().map(str::to_owned).collect();
    let lower = |line: &String| line.trim().to_lowercase();
    let made = |line: &String| {
        let line = lower(line);
        line.starts_with("create table") && line.replace(['(', '"'], " ").split_whitespace().any(|word| word == table)
    };
    let start = lines.iter().position(made)?;
    let end = start + lines.get(start..)?.iter().position(|line| line.starts_with(')'))?;
    let last = (start + 1..end).rev().find(|at| lines.get(*at).is_some_and(|line| is_column(line)))?;
    // In the style of the last column, and before it, so that no comma moves.
    let model = lines.get(last)?.clone();
    let indent = model.len() - model.trim_start().len();
    let known = model.split_whitespace().next()?.len();
    let width = model.trim_start().get(known..)?.chars().take_while(|c| *c == ' ').count() + known;
    let line = format!("{}{name:<width$}{column_type},", " ".repeat(indent), width = width.max(name.len() + 1));
    lines.insert(last, line);
    // Behind those that were added before.
    let mut at = end + 2;
    while let Some(next) = lines.get(at..).and_then(|rest| rest.iter().position(|line| !line.trim().is_empty())) {
        let alters =
            lines.get(at + next).is_some_and(|line| lower(line).starts_with("alter table") && line.ends_with(';'));
        if !alters {
            break;
        }
        at += next + 1;
    }
    if at == end + 2 {
        lines.insert(at, String::new());
        at += 1;
    }
    lines.insert(at, format!("alter table {table} add column if not exists {name} {column_type};"));
    let edited = lines.join("\n") + if sql.ends_with('\n') { "\n" } else { "" };
    let holds = flow::columns(&edited, table)?.iter().filter(|column| column.name == name).count() == 1;
    holds.then_some(edited)
}

fn is_column(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with("--")
}

/// What differs between two texts, line by line: `+` and `-` lines with where they stand.
pub(crate) fn difference(before: &str, after: &str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let (mut i, mut j, mut told) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if old.get(i) == new.get(j) {
            (i, j) = (i + 1, j + 1);
            continue;
        }
        let (gone, come) = apart(old.get(i..).unwrap_or_default(), new.get(j..).unwrap_or_default());
        told.push(format!("@@ line {}", j + 1));
        told.extend(old.iter().skip(i).take(gone).map(|line| format!("-{line}")));
        told.extend(new.iter().skip(j).take(come).map(|line| format!("+{line}")));
        (i, j) = (i + gone, j + come);
    }
    told
}

/// How many lines stand before the next that both have.
fn apart(old: &[&str], new: &[&str]) -> (usize, usize) {
    for sum in 1..old.len() + new.len() {
        for gone in 0..=sum {
            let come = sum - gone;
            if let (Some(one), Some(other)) = (old.get(gone), new.get(come))
                && one == other
            {
                return (gone, come);
            }
        }
    }
    (old.len(), new.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SQL: &str = include_str!("../../stores/order_placed.sql");

    #[test]
    fn a_field_stands_behind_the_last_one_in_its_style() {
        let field = json!({ "name": "gift_note", "type": ["null", "string"], "default": null, "doc": "Said \"so\"." });
        let before = "{\n  \"fields\": [\n    { \"name\": \"a\", \"type\": \"int\" }\n  ]\n}\n";
        let after = schema(before, &field).unwrap();
        let told = difference(before, &after);
        let added =
            r#"+    { "name": "gift_note", "type": ["null", "string"], "default": null, "doc": "Said \"so\"." }"#;
        assert_eq!(
            told,
            ["@@ line 3", r#"-    { "name": "a", "type": "int" }"#, r#"+    { "name": "a", "type": "int" },"#, added]
        );
        assert_eq!(
            schema("{\"fields\": []}", &json!({ "name": "a" })).unwrap(),
            "{\"fields\": [\n  { \"name\": \"a\" }\n]}"
        );
        assert_eq!(schema("[]", &field), None);
    }

    #[test]
    fn a_property_stands_behind_the_last_one() {
        let text = include_str!("../../stores/order_placed.index.json");
        let after = index(text, "gift_note", &json!({ "type": "keyword" })).unwrap();
        assert_eq!(difference(text, &after).last().unwrap(), r#"+      "gift_note": { "type": "keyword" }"#);
        let read: Value = serde_json::from_str(&after).unwrap();
        assert_eq!(read["mappings"]["properties"]["gift_note"]["type"], "keyword");
    }

    #[test]
    fn a_module_is_the_last_of_its_pipeline_or_stands_where_another_version_of_it_did() {
        let text = include_str!("../../orders-transforms.json");
        let first = pipeline(text, "gift-note@1.0.0").unwrap();
        assert_eq!(
            difference(text, &first),
            [
                "@@ line 9",
                r#"-    "transforms": "clean,enrich","#,
                r#"+    "transforms": "clean,enrich,gift-note","#,
                "@@ line 14",
                r#"+    "transforms.gift-note.type": "gift-note@1.0.0","#,
            ]
        );
        assert_eq!(pipeline(&first, "gift-note@1.0.0").as_ref(), Some(&first), "again is no change");
        let second = pipeline(&first, "gift-note@1.1.0").unwrap();
        assert_eq!(second, first.replace("gift-note@1.0.0", "gift-note@1.1.0"));
        let exact = pipeline(text, "clean@1.2.0").unwrap();
        assert_eq!(exact, text.replace("\"clean@1\"", "\"clean@1.2.0\""));
        let other = first.replace("gift-note@1.0.0", "wrapping@1.0.0");
        assert_eq!(pipeline(&other, "gift-note@1.0.0"), None, "the name is another module's here");
        let half = first.replace("clean,enrich,gift-note", "clean,enrich");
        assert_eq!(pipeline(&half, "gift-note@1.1.0"), None, "a second key of that name would stand there");
        assert_eq!(
            pipeline(r#"{"config": {"transforms": "a", "transforms.a.type": "a@1"}}"#, "b@1"),
            None,
            "on one line"
        );
    }

    #[test]
    fn a_column_is_in_the_table_and_added_to_one_that_is_there_once() {
        let once = table(SQL, "order_placed", "gift_note", "text").unwrap();
        let told = difference(SQL, &once);
        let lines: Vec<&str> = told.iter().map(String::as_str).filter(|line| line.starts_with('+')).collect();
        assert_eq!(
            lines,
            ["+  gift_note          text,", "+alter table order_placed add column if not exists gift_note text;", "+"]
        );
        let twice = table(&once, "order_placed", "a_very_long_name_of_a_field", "integer not null default 0").unwrap();
        let at = |line: &str| twice.lines().position(|one| one == line).unwrap();
        let (first, second) = (
            at("alter table order_placed add column if not exists gift_note text;"),
            at(
                "alter table order_placed add column if not exists a_very_long_name_of_a_field integer not null default 0;",
            ),
        );
        assert_eq!(first + 1, second);
        let columns = flow::columns(&twice, "order_placed").unwrap();
        assert_eq!(columns.iter().filter(|column| column.name == "gift_note").count(), 1);
        assert_eq!(table("create table a (x int);", "a", "b", "text"), None, "all on one line");
        assert_eq!(table(SQL, "other", "b", "text"), None);
    }
}
