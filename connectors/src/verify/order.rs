//! An order in one form, whether it came as a record, as a row or as a document, so that they can be held against each
//! other: a path and a value for each field that holds one. Null and an empty list are the same as nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use schemas::fields::{Field, shape};
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::decode;

/// The text that the table's line items are made of; `items` says the same.
const ITEMS_JSON: &str = "items_json";
/// What the sinks add from the header that names the modules.
const TRANSFORMED_BY: &str = "transformed_by";

/// One value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cell {
    /// Yes or no.
    Flag(bool),
    /// A number as its shortest text: 12.50 and 12.5 are the same. 15 digits are exact as a double.
    Number(String),
    /// Text.
    Text(String),
    /// Milliseconds since 1970.
    Time(i64),
}

/// What a schema's orders can say: the fields that are compared, and which of them are times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    names: BTreeSet<String>,
    times: BTreeSet<String>,
}

/// Field by field; a path such as `items[0].quantity`.
pub type Cells = BTreeMap<String, Cell>;

/// A record of `order_placed`, as it must lie in both stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Partition and offset of its receipt.
    pub version: (i32, i64),
    /// When it was received, in milliseconds.
    pub received_at: i64,
    /// In hundredths.
    pub amount: i128,
    /// What it says.
    pub cells: Cells,
    /// What it could say.
    pub known: Known,
}

/// A field that a store has otherwise. Values are a customer's: only their shapes are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Which.
    pub field: String,
    /// In the topic; nothing where it has none.
    pub topic: Option<String>,
    /// In the store; nothing where it has none.
    pub store: Option<String>,
}

impl Placed {
    /// Of a record's fields and the header that names its modules; nothing where it lacks what every order has.
    #[must_use]
    pub fn of(fields: &[Field], modules: Option<&str>) -> Option<Self> {
        let find = |path: &str| fields.iter().find(|field| field.path == path);
        let mut placed = Self {
            version: decode::version(fields)?,
            received_at: find("received_at")?.json.parse().ok()?,
            amount: hundredths(&find("amount")?.json)?,
            cells: Cells::new(),
            known: Known::default(),
        };
        for field in fields {
            let head = field.path.split(['.', '[']).next().unwrap_or_default();
            if head == ITEMS_JSON {
                continue;
            }
            placed.known.names.insert(head.to_owned());
            if field.read.is_some() {
                placed.known.times.insert(pattern(&field.path));
            }
            let value = serde_json::from_str(&field.json).unwrap_or(Value::Null);
            fill(&field.path, &value, &placed.known, &mut placed.cells);
        }
        placed.known.names.insert(TRANSFORMED_BY.to_owned());
        fill(TRANSFORMED_BY, &modules.map_or(Value::Null, Value::from), &placed.known, &mut placed.cells);
        Some(placed)
    }
}

impl Known {
    /// With what another order of the same schema could say: which fields are times shows only where they are set.
    pub fn merge(&mut self, other: &Self) {
        if !other.times.is_subset(&self.times) || !other.names.is_subset(&self.names) {
            self.times.extend(other.times.iter().cloned());
            self.names.extend(other.names.iter().cloned());
        }
    }

    /// What a row or a document says of these fields; a column that the topic does not know is nobody's difference.
    #[must_use]
    pub fn cells(&self, stored: &Value) -> Cells {
        let mut cells = Cells::new();
        for (name, value) in stored.as_object().into_iter().flatten() {
            if self.names.contains(name) {
                fill(name, value, self, &mut cells);
            }
        }
        cells
    }
}

fn fill(path: &str, value: &Value, known: &Known, cells: &mut Cells) {
    let cell = match value {
        Value::Null => return,
        Value::Array(values) => {
            for (at, value) in values.iter().enumerate() {
                fill(&format!("{path}[{at}]"), value, known, cells);
            }
            return;
        }
        Value::Object(members) => {
            for (name, value) in members {
                fill(&format!("{path}.{name}"), value, known, cells);
            }
            return;
        }
        value if known.times.contains(&pattern(path)) => time(value),
        Value::Bool(flag) => Cell::Flag(*flag),
        Value::Number(number) => Cell::Number(shortest(number)),
        Value::String(text) => Cell::Text(text.clone()),
    };
    cells.insert(path.to_owned(), cell);
}

/// The path without the places in lists.
fn pattern(path: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    let mut inside = false;
    for letter in path.chars() {
        inside = (inside || letter == '[') && letter != ']';
        if !inside && letter != ']' {
            pattern.push(letter);
        }
    }
    pattern
}

/// The index has milliseconds, the table a text with a zone.
fn time(value: &Value) -> Cell {
    match value {
        Value::Number(number) => number.as_i64().map_or_else(|| Cell::Number(shortest(number)), Cell::Time),
        Value::String(text) => {
            let nanos = OffsetDateTime::parse(text, &Rfc3339).map(OffsetDateTime::unix_timestamp_nanos);
            let millis = nanos.ok().filter(|nanos| nanos % 1_000_000 == 0).map(|nanos| nanos / 1_000_000);
            let millis = millis.and_then(|millis| i64::try_from(millis).ok());
            millis.map_or_else(|| Cell::Text(text.clone()), Cell::Time)
        }
        other => Cell::Text(other.to_string()),
    }
}

fn shortest(number: &serde_json::Number) -> String {
    match (number.as_i64(), number.as_u64(), number.as_f64()) {
        (Some(whole), _, _) => whole.to_string(),
        (None, Some(whole), _) => whole.to_string(),
        (None, None, Some(real)) => real.to_string(),
        (None, None, None) => number.to_string(),
    }
}

/// A decimal's text in hundredths, cut behind the second place: sums are compared so.
#[must_use]
pub fn hundredths(text: &str) -> Option<i128> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let cents: String = fraction.chars().chain("00".chars()).take(2).collect();
    let value = format!("{whole}{cents}").parse::<i128>().ok()?;
    Some(if negative { -value } else { value })
}

/// The same for equal cells, and hardly ever for others.
#[must_use]
pub fn digest(cells: &Cells) -> u64 {
    let mut hasher = DefaultHasher::new();
    cells.hash(&mut hasher);
    hasher.finish()
}

/// Version of what a store holds: partition and offset of the receipt.
#[must_use]
pub fn version(stored: &Value) -> Option<(i32, i64)> {
    let number = |name: &str| stored.get(name).and_then(Value::as_i64);
    Some((i32::try_from(number("received_partition")?).ok()?, number("received_offset")?))
}

/// Fields that are not the same, in the order of their names.
#[must_use]
pub fn differences(topic: &Cells, store: &Cells) -> Vec<Difference> {
    let paths: BTreeSet<&String> = topic.keys().chain(store.keys()).collect();
    let differing = paths.into_iter().filter(|path| topic.get(*path) != store.get(*path));
    let shown = |cells: &Cells, path: &String| cells.get(path).map(masked);
    differing
        .map(|path| Difference { field: path.clone(), topic: shown(topic, path), store: shown(store, path) })
        .collect()
}

fn masked(cell: &Cell) -> String {
    match cell {
        Cell::Flag(_) => "true or false".to_owned(),
        Cell::Number(text) | Cell::Text(text) => shape(text),
        Cell::Time(_) => "a time".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn field(path: &str, json: &str, read: Option<&str>) -> Field {
        Field { path: path.to_owned(), json: json.to_owned(), read: read.map(str::to_owned) }
    }

    fn placed() -> Placed {
        let fields = [
            field("order_id", "\"a\"", None),
            field("amount", "12.50", None),
            field("currency", "null", None),
            field("items[0].sku", "\"s\"", None),
            field("items[0].unit_price", "0.10", None),
            field("received_at", "1700000000123", Some("2023-11-14T22:13:20.123Z")),
            field("items_json", "\"[…]\"", None),
            field("received_partition", "3", None),
            field("received_offset", "9007199254740993", None),
        ];
        Placed::of(&fields, Some("clean@1.0.0")).unwrap()
    }

    #[test]
    fn a_row_and_a_document_that_say_the_same_are_the_same() {
        let placed = placed();
        assert_eq!((placed.version, placed.received_at, placed.amount), ((3, 9007199254740993), 1700000000123, 1250));
        let row = json!({"order_id": "a", "amount": 12.50, "currency": null, "items": [{"sku": "s", "unit_price": 0.1}],
            "received_at": "2023-11-14T23:13:20.123+01:00", "received_partition": 3,
            "received_offset": 9007199254740993_i64, "transformed_by": "clean@1.0.0", "a_column_of_theirs": 7});
        let mut document = row.clone();
        document["received_at"] = json!(1_700_000_000_123_i64);
        document["amount"] = json!(12.5);
        for stored in [&row, &document] {
            let cells = placed.known.cells(stored);
            assert_eq!(differences(&placed.cells, &cells), []);
            assert_eq!(digest(&placed.cells), digest(&cells));
            assert_eq!(version(stored), Some(placed.version));
        }
    }

    #[test]
    fn what_differs_is_named_and_no_value_is_told() {
        let placed = placed();
        let row = json!({"order_id": "a", "amount": 12.51, "currency": "EUR", "items": [{"sku": "s", "unit_price": 0.1}],
            "received_at": "2023-11-14T22:13:20.123456Z", "received_partition": 3,
            "received_offset": 9007199254740992_i64});
        let cells = placed.known.cells(&row);
        assert_ne!(digest(&placed.cells), digest(&cells));
        let found = differences(&placed.cells, &cells);
        let told: Vec<_> = found
            .iter()
            .map(|found| {
                (found.field.as_str(), found.topic.as_deref().unwrap_or("-"), found.store.as_deref().unwrap_or("-"))
            })
            .collect();
        assert_eq!(
            told,
            [
                ("amount", "99.9", "99.99"),
                ("currency", "-", "XXX"),
                ("received_at", "a time", "9999-99-99X99:99:99.999999X"),
                ("received_offset", "9999999999999999", "9999999999999999"),
                ("transformed_by", "xxxxx@9.9.9", "-"),
            ]
        );
    }

    proptest! {
        /// What a digest says is what the fields say, whatever changes.
        #[test]
        fn digests_differ_where_fields_do(
            one in prop::collection::btree_map("[a-c]", 0..3_i64, 0..3),
            other in prop::collection::btree_map("[a-c]", 0..3_i64, 0..3),
        ) {
            let cells = |map: &BTreeMap<String, i64>| -> Cells {
                map.iter().map(|(path, value)| (path.clone(), Cell::Number(value.to_string()))).collect()
            };
            let (one, other) = (cells(&one), cells(&other));
            prop_assert_eq!(digest(&one) == digest(&other), differences(&one, &other).is_empty());
        }

        #[test]
        fn a_decimal_is_its_hundredths(value in -999_999_999_999_999_i64..999_999_999_999_999) {
            let sign = if value < 0 { "-" } else { "" };
            let text = format!("{sign}{}.{:02}", value.unsigned_abs() / 100, value.unsigned_abs() % 100);
            prop_assert_eq!(hundredths(&text), Some(i128::from(value)));
        }
    }
}
