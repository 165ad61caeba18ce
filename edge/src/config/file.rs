//! The file of settings: TOML, one key for each flag, named as the flag without its dashes. Reads text only; what a
//! value may be is the flag's business.

use std::{ops::Range, path::Path};

use service_kit::{files, near};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// A file of settings is small; one that is not is another file.
const MAX_BYTES: u64 = 1024 * 1024;

/// One key of the file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Key {
    pub(super) name: String,
    /// As text, as if they were given by flags.
    pub(super) values: Vec<String>,
    pub(super) is_list: bool,
    /// File, line and column.
    pub(super) place: String,
}

/// The keys of a file that are `known`, and everything that is wrong with it.
pub(super) fn read(path: &Path, known: &[&str]) -> (Vec<Key>, Vec<String>) {
    let name = path.display().to_string();
    match files::read_text(path, MAX_BYTES) {
        Err(fault) => (Vec::new(), vec![format!("--config: {name} {fault}")]),
        Ok(text) => parse(&name, &text, known),
    }
}

fn parse(file: &str, text: &str, known: &[&str]) -> (Vec<Key>, Vec<String>) {
    let place = |span: Range<usize>| place(file, text, span.start);
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // What was understood of a file that is no TOML may not be what was meant.
        let faults =
            errors.iter().map(|error| format!("{}: {}", place(error.span().unwrap_or_default()), error.message()));
        return (Vec::new(), faults.collect());
    }
    let mut found: Vec<_> = table.get_ref().iter().collect();
    found.sort_by_key(|(key, _)| key.span().start); // a table does not keep the order of the file
    let (mut keys, mut faults) = (Vec::new(), Vec::new());
    for (key, value) in found {
        let (name, place) = (key.get_ref().as_ref(), place(key.span()));
        if !known.contains(&name) {
            let meant = near::suggest(name, known.iter().copied());
            let meant = meant.map(|meant| format!("; did you mean {meant:?}?")).unwrap_or_default();
            faults.push(format!("{place}: there is no setting {name:?}{meant}"));
            continue;
        }
        match texts(value) {
            Some((values, is_list)) => keys.push(Key { name: name.to_owned(), values, is_list, place }),
            None => faults.push(format!("{place}: {name} is a {}, which no setting is", value.get_ref().type_str())),
        }
    }
    (keys, faults)
}

/// The values as text; `None` for what no flag can take.
fn texts(value: &Spanned<DeValue<'_>>) -> Option<(Vec<String>, bool)> {
    match value.get_ref() {
        DeValue::Array(list) => {
            Some((list.iter().map(|value| text(value.get_ref())).collect::<Option<Vec<_>>>()?, true))
        }
        value => Some((vec![text(value)?], false)),
    }
}

fn text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.as_ref().to_owned()),
        DeValue::Integer(number) => Some(
            i128::from_str_radix(number.as_str(), number.radix())
                .ok()
                .map_or_else(|| number.to_string(), |n| n.to_string()),
        ),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(is) => Some(is.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// File, line and column of a byte, as editors count them.
fn place(file: &str, text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{file}:{line}:{column}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 4] = ["listen", "max-body-bytes", "admin-hosts", "watch"];

    #[test]
    fn values_become_what_a_flag_would_be_given() {
        let text =
            "# of ours\nmax-body-bytes = 1_048_576\nlisten = '127.0.0.1:1'\nadmin-hosts = [\"a\", 'b']\nwatch = true\n";
        let (keys, faults) = parse("edge.toml", text, &KNOWN);
        assert_eq!(faults, Vec::<String>::new());
        let told: Vec<_> = keys.iter().map(|key| format!("{} {} {:?}", key.place, key.name, key.values)).collect();
        assert_eq!(
            told,
            [
                r#"edge.toml:2:1 max-body-bytes ["1048576"]"#,
                r#"edge.toml:3:1 listen ["127.0.0.1:1"]"#,
                r#"edge.toml:4:1 admin-hosts ["a", "b"]"#,
                r#"edge.toml:5:1 watch ["true"]"#,
            ]
        );
    }

    #[test]
    fn all_keys_that_are_none_are_told_with_their_place() {
        let text = "max-body-byte = 1\n  colour = 2\n\n[listen]\na = 1\n";
        let (keys, faults) = parse("edge.toml", text, &KNOWN);
        assert_eq!(keys, []);
        assert_eq!(
            faults,
            [
                r#"edge.toml:1:1: there is no setting "max-body-byte"; did you mean "max-body-bytes"?"#,
                r#"edge.toml:2:3: there is no setting "colour""#,
                "edge.toml:4:2: listen is a table, which no setting is",
            ]
        );
    }

    #[test]
    fn what_is_no_toml_is_told_with_its_place_and_nothing_of_it_is_used() {
        let (keys, faults) = parse("edge.toml", "listen = 'a'\nmax-body-bytes = \n", &KNOWN);
        assert_eq!(keys, []);
        assert!(matches!(&faults[..], [fault] if fault.starts_with("edge.toml:2:1")), "{faults:?}");
        let (_, faults) = read(Path::new("/nowhere/edge.toml"), &KNOWN);
        assert!(faults[0].starts_with("--config: /nowhere/edge.toml cannot be read"), "{faults:?}");
    }
}
