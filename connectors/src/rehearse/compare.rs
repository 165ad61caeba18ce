//! What is different between the rows of two sides: counted by field and by what became what, with examples.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use schemas::fields::{self, Field};
use serde::Serialize;

use super::rows::Made;

/// So many kinds of change of a field are named, the most frequent.
const NAMED: usize = 5;
/// So many are told apart while counting; the rest is counted together.
const TOLD_APART: usize = 10_000;

/// What is different.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// Rows that the live settings make; none for a new connector.
    pub live_rows: usize,
    /// Rows that the file's settings make.
    pub edited_rows: usize,
    /// Rows that are in both and not the same.
    pub differing: usize,
    /// Rows that only the live settings make.
    pub only_live: usize,
    /// Rows that only the file's settings make.
    pub only_edited: usize,
    /// By field, the most frequent first.
    pub fields: Vec<OfField>,
    /// Some of the rows, whole for a new connector.
    pub examples: Vec<Example>,
}

/// What happens to a field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OfField {
    /// Such as `region` or `items[].quantity`.
    pub field: String,
    /// In so many rows.
    pub rows: usize,
    /// The most frequent changes.
    pub changes: Vec<Change>,
    /// So many rows have other changes of it.
    pub others: usize,
}

/// What becomes what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// As JSON; `None` where it is absent.
    pub before: Option<String>,
    /// As JSON; `None` where it is absent.
    pub after: Option<String>,
    /// In so many rows.
    pub rows: usize,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    /// Its key, the order's id.
    pub key: String,
    /// Which settings make it.
    pub made_by: MadeBy,
    /// What is different; all fields of a row that only one side makes.
    pub fields: Vec<OfExample>,
}

/// Which settings make a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MadeBy {
    /// Both.
    Both,
    /// Those that run now.
    Live,
    /// The file's.
    Edited,
}

/// A field of an example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OfExample {
    /// Its path.
    pub field: String,
    /// As JSON; `None` where it is absent.
    pub before: Option<String>,
    /// As JSON; `None` where it is absent.
    pub after: Option<String>,
}

impl Difference {
    /// Nothing is different.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.differing == 0 && self.only_live == 0 && self.only_edited == 0
    }
}

/// What the edited side makes otherwise, with at most so many examples.
#[must_use]
pub fn compare(live: &Made, edited: &Made, examples: usize) -> Difference {
    let mut difference = Difference { live_rows: live.len(), edited_rows: edited.len(), ..Difference::default() };
    let (mut counts, mut samples) = (BTreeMap::new(), Samples::default());
    for (key, before) in live {
        match edited.get(key) {
            None => {
                difference.only_live += 1;
                samples.only.push_within(examples, || example(key, MadeBy::Live, before));
            }
            Some(after) if after == before => {}
            Some(after) => {
                difference.differing += 1;
                let changes: Vec<OfExample> = fields::changes(before, after).into_iter().map(of_example).collect();
                count(&mut counts, &changes);
                let example = Example { key: key.clone(), made_by: MadeBy::Both, fields: changes };
                samples.keep(example, examples);
            }
        }
    }
    for (key, after) in edited.iter().filter(|(key, _)| !live.contains_key(*key)) {
        difference.only_edited += 1;
        samples.only.push_within(examples, || example(key, MadeBy::Edited, after));
    }
    difference.fields = counts.into_iter().map(|(field, count)| count.of_field(field)).collect();
    difference.fields.sort_by_key(|field| Reverse(field.rows));
    difference.examples = samples.chosen(examples);
    difference
}

/// The rows of a connector that does not run yet.
#[must_use]
pub fn new_rows(edited: &Made, examples: usize) -> Difference {
    let examples = edited.iter().take(examples).map(|(key, fields)| example(key, MadeBy::Edited, fields)).collect();
    Difference { edited_rows: edited.len(), examples, ..Difference::default() }
}

/// How often what becomes what.
#[derive(Debug, Default)]
struct Count {
    rows: usize,
    changes: BTreeMap<(Option<String>, Option<String>), usize>,
}

impl Count {
    fn of_field(self, field: String) -> OfField {
        let change = |((before, after), rows)| Change { before, after, rows };
        let mut changes: Vec<Change> = self.changes.into_iter().map(change).collect();
        changes.sort_by_key(|change| Reverse(change.rows));
        changes.truncate(NAMED);
        let named: usize = changes.iter().map(|change| change.rows).sum();
        OfField { field, rows: self.rows, changes, others: self.rows.saturating_sub(named) }
    }
}

/// Each row counts once for a field, with the first of its changes: a list may have many.
fn count(counts: &mut BTreeMap<String, Count>, changes: &[OfExample]) {
    let mut seen = BTreeSet::new();
    for change in changes {
        let field = general(&change.field);
        if !seen.insert(field.clone()) {
            continue;
        }
        let count = counts.entry(field).or_default();
        count.rows += 1;
        let pair = (change.before.clone(), change.after.clone());
        if count.changes.contains_key(&pair) || count.changes.len() < TOLD_APART {
            *count.changes.entry(pair).or_default() += 1;
        }
    }
}

/// A path without the places in lists.
fn general(path: &str) -> String {
    let mut parts = path.split('[');
    let mut general = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        general.push_str("[]");
        general.push_str(part.split_once(']').map_or("", |(_, rest)| rest));
    }
    general
}

fn of_example(change: fields::Change) -> OfExample {
    let json = |field: Option<Field>| field.map(|field| field.json);
    OfExample { field: change.path, before: json(change.before), after: json(change.after) }
}

fn example(key: &str, made_by: MadeBy, fields: &[Field]) -> Example {
    let one = |field: &Field| {
        let json = Some(field.json.clone());
        let (before, after) = if made_by == MadeBy::Live { (json, None) } else { (None, json) };
        OfExample { field: field.path.clone(), before, after }
    };
    Example { key: key.to_owned(), made_by, fields: fields.iter().map(one).collect() }
}

/// Candidates for the examples: rows that show different fields come first, then those of one side only, then the rest.
#[derive(Debug, Default)]
struct Samples {
    shown: BTreeSet<String>,
    first: Vec<Example>,
    only: Vec<Example>,
    rest: Vec<Example>,
}

impl Samples {
    fn keep(&mut self, example: Example, most: usize) {
        let fields: Vec<String> = example.fields.iter().map(|field| general(&field.field)).collect();
        let is_new = fields.iter().any(|field| !self.shown.contains(field));
        let list = if is_new { &mut self.first } else { &mut self.rest };
        if list.len() < most {
            self.shown.extend(fields);
            list.push(example);
        }
    }

    fn chosen(self, most: usize) -> Vec<Example> {
        self.first.into_iter().chain(self.only).chain(self.rest).take(most).collect()
    }
}

trait PushWithin<T> {
    fn push_within(&mut self, most: usize, item: impl FnOnce() -> T);
}

impl<T> PushWithin<T> for Vec<T> {
    fn push_within(&mut self, most: usize, item: impl FnOnce() -> T) {
        if self.len() < most {
            self.push(item());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rehearse::rows::of_index;

    fn made(rows: &[(&str, &str)]) -> Made {
        of_index(&rows.iter().map(|(key, row)| ((*key).to_owned(), (*row).to_owned())).collect::<Vec<_>>())
    }

    fn told(field: &OfField) -> String {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "absent".to_owned());
        let changes: Vec<String> =
            field.changes.iter().map(|c| format!("{}->{} {}", text(&c.before), text(&c.after), c.rows)).collect();
        format!("{} {}: {}, others {}", field.field, field.rows, changes.join(", "), field.others)
    }

    #[test]
    fn rows_are_counted_by_field_and_by_what_became_what() {
        let live = made(&[
            ("a", r#"{"region":null,"amount":1.0}"#),
            ("b", r#"{"region":null,"amount":2.0}"#),
            ("c", r#"{"region":"AMER","amount":3.0}"#),
            ("d", r#"{"region":null,"amount":4.0}"#),
            ("gone", r#"{"region":null}"#),
        ]);
        let edited = made(&[
            ("a", r#"{"region":"EMEA","amount":1.0}"#),
            ("b", r#"{"region":"EMEA","amount":2.00,"more":true}"#),
            ("c", r#"{"region":"APAC","amount":3.0}"#),
            ("d", r#"{"region":null,"amount":4.0}"#),
            ("new", r#"{"region":null}"#),
        ]);
        let found = compare(&live, &edited, 2);
        let counts = (found.live_rows, found.edited_rows, found.differing, found.only_live, found.only_edited);
        assert_eq!(counts, (5, 5, 3, 1, 1));
        let fields: Vec<String> = found.fields.iter().map(told).collect();
        let expected = [
            "region 3: null->\"EMEA\" 2, \"AMER\"->\"APAC\" 1, others 0",
            "amount 1: 2.0->2.00 1, others 0",
            "more 1: absent->true 1, others 0",
        ];
        assert_eq!(fields, expected);
        // The second shows fields that the first does not; a third like the first would show nothing new.
        assert_eq!(found.examples.iter().map(|example| example.key.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert!(!found.is_none() && compare(&live, &live, 2).is_none());
    }

    #[test]
    fn a_row_counts_once_for_a_list_and_rare_changes_are_counted_together() {
        let rows = |value: &dyn Fn(usize) -> String| -> Vec<(String, String)> {
            (0..20).map(|at| (format!("k{at}"), value(at))).collect()
        };
        let live = of_index(&rows(&|_| r#"{"items":[{"q":1},{"q":1}]}"#.to_owned()));
        let edited = of_index(&rows(&|at| format!(r#"{{"items":[{{"q":{0}}},{{"q":{0}}}]}}"#, at + 2)));
        let found = compare(&live, &edited, 5);
        assert_eq!(found.fields.len(), 1);
        let field = &found.fields[0];
        assert_eq!((field.field.as_str(), field.rows, field.changes.len(), field.others), ("items[].q", 20, NAMED, 15));
        assert_eq!(found.examples.len(), 5);
        assert_eq!(found.examples[0].fields.len(), 2, "an example shows every place");
    }

    #[test]
    fn rows_of_one_side_are_shown_whole() {
        let found = compare(&made(&[("a", r#"{"x":1}"#)]), &made(&[]), 5);
        let whole = OfExample { field: "x".to_owned(), before: Some("1".to_owned()), after: None };
        let expected = Example { key: "a".to_owned(), made_by: MadeBy::Live, fields: vec![whole] };
        assert_eq!((found.only_live, found.examples), (1, vec![expected]));
        let new = new_rows(&made(&[("a", r#"{"x":1}"#), ("b", r#"{"x":2}"#)]), 1);
        assert!(new.is_none() && new.edited_rows == 2 && new.examples.len() == 1);
    }
}
