//! What a rehearsal came to, as JSON for programs and as text for people. Customers' values are in it.

use std::fmt::Write as _;
use std::time::Duration;

use schemas::fields::rfc3339;
use serde::Serialize;

use super::compare::{Change, Difference, Example, MadeBy, OfField};
use super::mark::Side;
use super::redirect::Target;
use crate::decode::plain;
use crate::kafka::record::{Address, Record};
use crate::serve::isolate::reason::Reason;

/// A value on a screen is cut here, in characters.
const SHOWN: usize = 120;
/// And a message here.
const SHOWN_MESSAGE: usize = 500;
/// So many fields of a row are shown.
const FIELDS: usize = 30;

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The connector.
    pub name: String,
    /// The file.
    pub file: String,
    /// Nothing runs under this name yet; the rows are those that it would make.
    pub is_new: bool,
    /// Where it writes.
    pub store: Store,
    /// What it was rehearsed with.
    pub records: Records,
    /// What is different. Empty where not all could be tried.
    pub difference: Difference,
    /// Records that a side does not take.
    pub poison: Vec<Poison>,
    /// How fast each side was, one record at a time.
    pub rates: Vec<Rate>,
    /// Why not all could be tried; nothing was compared then.
    pub incomplete: Option<String>,
    /// What else is to be known.
    pub notes: Vec<String>,
    /// Traces that could not be removed.
    pub left: Vec<String>,
    /// How long all of it took.
    pub seconds: f32,
}

/// Where it writes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Store {
    /// `table` or `index`.
    pub kind: &'static str,
    /// As the file says.
    pub name: String,
    /// As what runs says.
    pub live: Option<String>,
}

/// What was tried.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Records {
    /// How many.
    pub count: usize,
    /// Of these topics.
    pub topics: Vec<String>,
    /// The time of the oldest.
    pub oldest: Option<String>,
    /// The time of the newest.
    pub newest: Option<String>,
}

/// A record that is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Poison {
    /// Where it lies.
    pub record: Address,
    /// Its key.
    pub key: Option<String>,
    /// Where it happens, in Connect's words.
    pub stage: &'static str,
    /// The class of the deepest cause.
    pub class: String,
    /// Its words.
    pub message: String,
    /// Who does not take it.
    pub sides: Vec<Side>,
}

/// How fast a side was.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rate {
    /// The side.
    pub side: Side,
    /// So many records were tried.
    pub records: usize,
    /// A second; nothing where it was too quick to be seen.
    pub per_second: Option<f64>,
}

impl Store {
    /// Of these targets.
    #[must_use]
    pub fn of(edited: &Target, live: Option<&Target>) -> Self {
        Self { kind: edited.kind(), name: edited.name().to_owned(), live: live.map(|live| live.name().to_owned()) }
    }
}

impl Records {
    /// Of these.
    #[must_use]
    pub fn of(records: &[Record], topics: Vec<String>) -> Self {
        let times = || records.iter().filter_map(|record| record.timestamp_ms);
        let text = |time: Option<i64>| time.and_then(rfc3339);
        Self { count: records.len(), topics, oldest: text(times().min()), newest: text(times().max()) }
    }
}

impl Poison {
    /// A record, and why it is not taken.
    #[must_use]
    pub fn of(record: &Record, reason: &Reason) -> Self {
        let key = record.key.as_ref().map(|key| String::from_utf8_lossy(key).into_owned());
        let Reason { stage, class, message } = reason.clone();
        Self { record: record.at.clone(), key, stage, class, message, sides: Vec::new() }
    }
}

impl Rate {
    /// So many records in this time.
    #[must_use]
    pub fn of(side: Side, records: usize, ran: Duration) -> Self {
        let count = u32::try_from(records).map_or(f64::MAX, f64::from);
        let seen = Duration::from_millis(100) <= ran;
        Self { side, records, per_second: seen.then(|| (count / ran.as_secs_f64()).round()) }
    }
}

impl Report {
    /// 0: nothing is different and all is taken. 2: something is. 1: it is not known.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            _ if !self.poison.is_empty() || !self.difference.is_none() => 2,
            _ if self.incomplete.is_some() => 1,
            _ => 0,
        }
    }
}

/// The report for people.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    let _ = head(&mut text, report);
    let _ = body(&mut text, report);
    let _ = foot(&mut text, report);
    text
}

fn head(text: &mut String, report: &Report) -> std::fmt::Result {
    let Records { count, topics, oldest, newest } = &report.records;
    if *count == 0 {
        return writeln!(text, "{}: no records in {}, nothing to rehearse with", report.file, topics.join(", "));
    }
    writeln!(text, "{} on the newest {} records of {}", report.file, number(*count), topics.join(", "))?;
    if let (Some(oldest), Some(newest)) = (oldest, newest) {
        writeln!(text, "  written from {oldest} to {newest}")?;
    }
    writeln!(text)
}

fn body(text: &mut String, report: &Report) -> std::fmt::Result {
    let Difference { live_rows, edited_rows, differing, only_live, only_edited, fields, examples } = &report.difference;
    let one = if report.store.kind == "index" { "document" } else { "row" };
    let counted = |count: &usize| counted(*count, one);
    match report {
        Report { incomplete: Some(why), .. } => writeln!(text, "not compared: {}", clipped(why, SHOWN_MESSAGE))?,
        Report { records: Records { count: 0, .. }, .. } => {}
        Report { is_new: true, .. } => {
            writeln!(text, "{} is new; it would make {}", report.name, counted(edited_rows))?;
        }
        _ if report.difference.is_none() => writeln!(text, "no difference in {}", counted(live_rows))?,
        _ => {
            writeln!(text, "{} of {} differ", number(*differing), counted(live_rows))?;
            for field in fields {
                writeln!(text, "  {}", of_field(field))?;
            }
            for (count, whose) in [(only_live, "now, not with the file"), (only_edited, "with the file, not now")] {
                if 0 < *count {
                    writeln!(text, "{} only {whose}", counted(count))?;
                }
            }
        }
    }
    for example in examples {
        of_example(text, example)?;
    }
    Ok(())
}

fn foot(text: &mut String, report: &Report) -> std::fmt::Result {
    if !report.poison.is_empty() {
        writeln!(text, "\nnot taken: {}", counted(report.poison.len(), "record"))?;
        for Poison { record, key, stage, class, message, sides } in &report.poison {
            let whose = match sides.as_slice() {
                [Side::Edited] => "only with the file",
                [Side::Live] => "only now",
                _ => "now as well",
            };
            let key = key.as_deref().map_or_else(|| "no key".to_owned(), plain);
            writeln!(text, "  {record} ({key}), {whose}: {stage}: {class}: {}", clipped(message, SHOWN_MESSAGE))?;
        }
    }
    let rates: Vec<String> = report
        .rates
        .iter()
        .filter_map(|rate| {
            Some(format!("{:.0}/s {}", rate.per_second?, if rate.side == Side::Live { "now" } else { "with the file" }))
        })
        .collect();
    if !rates.is_empty() {
        writeln!(text, "\none record at a time: {}", rates.join(", "))?;
    }
    for note in &report.notes {
        writeln!(text, "note: {note}")?;
    }
    match report.left.as_slice() {
        [] => writeln!(text, "everything temporary is removed; {:.0} s", report.seconds),
        left => writeln!(text, "left behind, the next rehearsal or `connectors serve` removes it: {}", left.join("; ")),
    }
}

fn of_field(field: &OfField) -> String {
    let named = |change: &Change| format!("{} ({})", pair(&change.before, &change.after), number(change.rows));
    let mut changes: Vec<String> = field.changes.iter().map(named).collect();
    if 0 < field.others {
        changes.push(format!("{} others", number(field.others)));
    }
    format!("{} in {}: {}", plain(&field.field), number(field.rows), changes.join(", "))
}

fn of_example(text: &mut String, example: &Example) -> std::fmt::Result {
    let whose = match example.made_by {
        MadeBy::Both => "",
        MadeBy::Live => ", only now",
        MadeBy::Edited => ", only with the file",
    };
    writeln!(text, "\n{}{whose}", short(&example.key))?;
    for field in example.fields.iter().take(FIELDS) {
        let words = match (&field.before, &field.after) {
            _ if example.made_by == MadeBy::Both => pair(&field.before, &field.after),
            (Some(value), _) | (None, Some(value)) => short(value),
            (None, None) => continue,
        };
        writeln!(text, "  {}: {words}", plain(&field.field))?;
    }
    match example.fields.len().saturating_sub(FIELDS) {
        0 => Ok(()),
        more => writeln!(text, "  and {more} more"),
    }
}

fn pair(before: &Option<String>, after: &Option<String>) -> String {
    let value = |value: &Option<String>| value.as_deref().map_or_else(|| "absent".to_owned(), short);
    format!("{} -> {}", value(before), value(after))
}

fn short(text: &str) -> String {
    clipped(text, SHOWN)
}

fn clipped(text: &str, most: usize) -> String {
    let text = plain(text);
    match text.char_indices().nth(most) {
        Some((cut, _)) => format!("{}…", text.get(..cut).unwrap_or_default()),
        None => text,
    }
}

fn counted(count: usize, one: &str) -> String {
    format!("{} {one}{}", number(count), if count == 1 { "" } else { "s" })
}

/// With a comma between thousands.
fn number(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if 0 < at && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
