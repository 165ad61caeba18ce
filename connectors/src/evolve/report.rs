//! What an evolution is, as JSON for programs and as text for people.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::{Options, draft, edit, rules};
use crate::connect::Status;
use crate::plan::{self, Action, Plan};
use crate::rehearse::compare::{Change, OfField};
use crate::rehearse::mark::Side;
use crate::rehearse::report::Report as Rehearsal;

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The schema's file.
    pub schema: String,
    /// What is new.
    pub fields: Vec<Field>,
    /// Why it is not done, with the way out.
    pub refused: Vec<String>,
    /// The module that fills them: `name@version+sha256:<first 12 digits>`.
    pub module: Option<String>,
    /// What was looked at and is well.
    pub checks: Vec<String>,
    /// What changes in the files, before they are written.
    pub edits: Vec<Edited>,
    /// Registry, table and index now, beside what they become.
    pub plan: Plan,
    /// The pipelines that write the topic.
    pub pipelines: Vec<Pipeline>,
    /// What the sinks made of the newest records.
    pub tried: Vec<Tried>,
    /// What was done, a line each.
    pub done: Vec<String>,
    /// All was done.
    pub applied: bool,
    /// It was asked to be done.
    #[serde(skip)]
    pub(super) wanted: bool,
}

/// A field that is new.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// As the schema says it.
    pub says: Value,
}

/// A file that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Edited {
    /// The file.
    pub file: String,
    /// It is not there yet.
    pub is_new: bool,
    /// Line by line.
    pub diff: Vec<String>,
}

/// A pipeline that writes the topic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Pipeline {
    /// Its name.
    pub name: String,
    /// The id of the schema that it writes by.
    pub schema: Option<u32>,
    /// Its state.
    pub state: String,
    /// An operator holds it: it takes the new one, and runs its modules, when it is resumed.
    pub held: bool,
    /// It is started over, to take the new one.
    pub restarts: bool,
    /// What its file says otherwise than what runs; looked at where a module is to fill the field.
    pub changes: Vec<String>,
}

/// What a sink made of the newest records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tried {
    /// The sink.
    pub sink: String,
    /// So many records.
    pub records: usize,
    /// So many rows differ.
    pub rows: usize,
    /// And in this.
    pub fields: Vec<String>,
    /// So many rows have a value in a new field.
    pub filled: usize,
    /// Why it cannot be done.
    pub refused: Vec<String>,
    /// What else is to be known.
    pub notes: Vec<String>,
}

impl Field {
    pub(super) fn of(field: &Value) -> Self {
        Self { name: rules::name(field).to_owned(), says: field.clone() }
    }
}

impl Edited {
    pub(super) fn of(edit: &draft::Edit) -> Self {
        let before = edit.before.as_deref();
        let diff = before.map(|before| edit::difference(before, &edit.after)).unwrap_or_default();
        Self { file: edit.path.display().to_string(), is_new: before.is_none(), diff }
    }
}

impl Pipeline {
    /// Takes in how it stands after what was done, and says so.
    pub(super) fn now(&mut self, status: &Status, id: u32) -> String {
        self.held = status.is_held();
        if self.held {
            return format!("held by operator ({})", status.connector.state);
        }
        format!("{} slots write by schema {id}", status.tasks.len())
    }
}

impl Tried {
    /// Of a rehearsal: nothing but the new fields may differ, and each must have arrived.
    pub(super) fn of(rehearsal: &Rehearsal, new: &[String]) -> Self {
        let difference = &rehearsal.difference;
        let differing = difference.fields.iter().filter(|field| !only_says_null(field));
        let fields: Vec<String> = differing.map(|field| field.field.clone()).collect();
        let is_set = |change: &Change| change.after.as_ref().is_some_and(|after| after != "null");
        let filled = |name: &String| {
            let of = difference.fields.iter().find(|field| field.field == *name);
            of.map_or(0, |field| field.changes.iter().filter(|change| is_set(change)).map(|change| change.rows).sum())
        };
        let (sink, records) = (rehearsal.name.clone(), rehearsal.records.count);
        let mut refused = Vec::new();
        let mut refuse = |why: String| refused.push(format!("rehearsal of {sink}: {why}"));
        if let Some(cut) = &rehearsal.incomplete {
            refuse(cut.clone());
        }
        for poison in rehearsal.poison.iter().filter(|poison| !poison.sides.contains(&Side::Live)) {
            refuse(format!("it would not take {} any more: {}: {}", poison.record, poison.class, poison.message));
        }
        if let Some(other) = fields.iter().find(|field| !new.contains(field)) {
            refuse(format!("{other} would change in the rows, and only {} may", new.join(", ")));
        }
        if 0 < difference.only_live + difference.only_edited {
            refuse(format!("{} rows come or go", difference.only_live + difference.only_edited));
        }
        if rehearsal.incomplete.is_none() && 0 < difference.edited_rows {
            for name in new.iter().filter(|name| filled(name) == 0) {
                refuse(format!("a value of {name} does not arrive in the {}", rehearsal.store.kind));
            }
        }
        let notes = [rehearsal.notes.clone(), rehearsal.left.iter().map(|left| format!("is left: {left}")).collect()];
        Self {
            sink: sink.clone(),
            records,
            rows: difference.differing,
            fields,
            filled: new.iter().map(filled).max().unwrap_or(0),
            refused,
            notes: notes.concat(),
        }
    }
}

/// A document of before a field was added lacks it; written by today's schema it says null, which is the same to a search.
fn only_says_null(field: &OfField) -> bool {
    let says_null = |change: &Change| change.before.is_none() && change.after.as_deref() == Some("null");
    field.others == 0 && field.changes.iter().all(says_null)
}

impl Report {
    pub(super) fn new(options: &Options, schema: &str) -> Self {
        Self { schema: schema.to_owned(), wanted: options.yes, ..Self::default() }
    }

    /// One that holds, or why it does not.
    pub(super) fn check(&mut self, faults: Vec<String>, holds: &str) {
        if faults.is_empty() {
            self.checks.push(holds.to_owned());
        }
        self.refused.extend(faults);
    }

    pub(super) fn take(&mut self, tried: Tried) {
        self.refused.extend(tried.refused.iter().cloned());
        self.tried.push(tried);
    }

    /// Whether the registry has another schema than the files.
    pub(super) fn subject_changes(&self) -> bool {
        self.plan.resources.iter().any(|one| one.kind == "subject" && one.action != Action::Unchanged)
    }

    /// Whether anything is left to do.
    #[must_use]
    pub fn has_work(&self) -> bool {
        let moves = |pipeline: &Pipeline| pipeline.restarts || !pipeline.changes.is_empty();
        !self.edits.is_empty() || self.plan.exit_code == 2 || self.pipelines.iter().any(moves)
    }

    /// 0 nothing is left to do, 1 refused, 2 something is to do.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match (self.refused.is_empty(), self.applied || !self.has_work()) {
            (false, _) => 1,
            (true, true) => 0,
            (true, false) => 2,
        }
    }
}

/// For people.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    let _ = write_text(report, &mut text);
    text
}

fn write_text(report: &Report, out: &mut String) -> std::fmt::Result {
    match &report.fields[..] {
        [] => writeln!(out, "{} has no field that the registry does not have", report.schema)?,
        fields => {
            for field in fields {
                writeln!(out, "field {}: {}", field.name, field.says.get("type").unwrap_or(&Value::Null))?;
            }
        }
    }
    section(out, "checked", &report.checks, "  ok  ")?;
    if !report.edits.is_empty() {
        writeln!(out, "\nfiles")?;
    }
    for edit in &report.edits {
        writeln!(out, "  {} {}", if edit.is_new { "+" } else { "~" }, edit.file)?;
        edit.diff.iter().try_for_each(|line| writeln!(out, "      {line}"))?;
    }
    writeln!(out, "\nservers, in this order")?;
    for one in &report.plan.resources {
        writeln!(out, "  {:<9} {}", one.kind, one.name)?;
        if one.keys.is_empty() {
            writeln!(out, "      as the files say")?;
        }
        one.keys.iter().try_for_each(|key| {
            writeln!(out, "      {}", plan::line(&key.key, key.old.as_deref(), key.new.as_deref()))
        })?;
    }
    for one in &report.pipelines {
        let schema = one.schema.map_or_else(|| "none yet".to_owned(), |id| id.to_string());
        let then = match (one.changes.is_empty(), one.restarts) {
            (false, _) => "is given its file, and takes the new one",
            (true, true) => "is started over and takes the new one",
            (true, false) => "stays as it is",
        };
        let state = if one.state.is_empty() { "not deployed" } else { one.state.as_str() };
        writeln!(out, "  {:<9} {}\n      {state}, writes by schema {schema}; {then}", "pipeline", one.name)?;
        one.changes.iter().try_for_each(|change| writeln!(out, "      {change}"))?;
    }
    for one in &report.tried {
        writeln!(out, "\nrehearsed {} on {} records, half of them with a value", one.sink, one.records)?;
        let fields = if one.fields.is_empty() { "nothing".to_owned() } else { one.fields.join(", ") };
        writeln!(out, "  {} rows differ, in {fields}; {} of them have a value", one.rows, one.filled)?;
        one.notes.iter().try_for_each(|note| writeln!(out, "  note: {note}"))?;
    }
    section(out, "done", &report.done, "  ")?;
    section(out, "refused, and nothing was changed", &report.refused, "  ! ")?;
    let names: Vec<&str> = report.fields.iter().map(|field| field.name.as_str()).collect();
    match (report.exit_code(), report.wanted) {
        (2, _) => writeln!(out, "\nnothing was changed; --yes does it"),
        (0, true) if !names.is_empty() => match &report.module {
            Some(module) => match report.pipelines.iter().find(|one| one.held) {
                Some(held) => writeln!(
                    out,
                    "\n{} is in place; {} is held, and {module} runs behind it when that is resumed",
                    names.join(", "),
                    held.name
                ),
                None => writeln!(out, "\n{} is in place, and {module} runs behind it", names.join(", ")),
            },
            None => writeln!(
                out,
                "\n{} is in place; a module fills it: `transforms new my-module --schema {}`, set `order.{}`, build, and run \
                 the same again with --module FILE.wasm",
                names.join(", "),
                report.schema,
                names.first().unwrap_or(&"")
            ),
        },
        (0, _) => writeln!(out, "\nin order: nothing is left to do"),
        _ => Ok(()),
    }
}

fn section(out: &mut String, head: &str, lines: &[String], before: &str) -> std::fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{head}")?;
    lines.iter().try_for_each(|line| writeln!(out, "{before}{line}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rehearse::compare::Difference;
    use crate::rehearse::report::Poison;

    fn rehearsal(fields: &[(&str, Option<&str>)]) -> Rehearsal {
        let of = |(field, after): &(&str, Option<&str>)| {
            let change = Change { before: None, after: after.map(str::to_owned), rows: 3 };
            OfField { field: (*field).to_owned(), rows: 3, changes: vec![change], others: 0 }
        };
        let fields = fields.iter().map(of).collect();
        let difference = Difference { live_rows: 3, edited_rows: 3, differing: 3, fields, ..Difference::default() };
        Rehearsal { name: "s".to_owned(), difference, ..Rehearsal::default() }
    }

    #[test]
    fn only_the_new_field_may_differ_and_its_value_must_arrive() {
        let new = ["gift".to_owned()];
        let fine = Tried::of(&rehearsal(&[("gift", Some("\"sample\""))]), &new);
        assert_eq!((fine.refused, fine.filled, fine.rows), (Vec::new(), 3, 3));
        let refused = |rehearsal: &Rehearsal| Tried::of(rehearsal, &new).refused.join("; ");
        let other = refused(&rehearsal(&[("gift", Some("1")), ("amount", Some("2"))]));
        assert!(other.contains("amount would change in the rows, and only gift may"), "{other}");
        for lost in [None, Some("null")] {
            let lost = refused(&rehearsal(&[("gift", lost)]));
            assert!(lost.contains("a value of gift does not arrive"), "{lost}");
        }
        let poison = |sides: &[Side]| {
            let record = crate::kafka::record::Address::new("t", 0, 7);
            let (class, message) = ("a.B".to_owned(), "no".to_owned());
            Poison { record, key: None, stage: "TASK_PUT", class, message, sides: sides.to_vec() }
        };
        let fine = rehearsal(&[("gift", Some("1"))]);
        let with = |sides: &[Side]| refused(&Rehearsal { poison: vec![poison(sides)], ..fine.clone() });
        assert!(with(&[Side::Edited]).contains("it would not take t/0/7 any more: a.B: no"));
        assert_eq!(with(&[Side::Live, Side::Edited]), "", "it takes neither now");
        let cut = Rehearsal { incomplete: Some("the time is over".to_owned()), ..rehearsal(&[]) };
        assert_eq!(refused(&cut), "rehearsal of s: the time is over");
    }

    #[test]
    fn a_field_that_was_added_before_may_say_null_where_it_was_absent() {
        let new = ["gift".to_owned()];
        let earlier = rehearsal(&[("gift", Some("1")), ("note", Some("null"))]);
        let tried = Tried::of(&earlier, &new);
        assert_eq!((tried.refused, tried.fields), (Vec::new(), new.to_vec()));
        let mut more = earlier.clone();
        more.difference.fields[1].others = 1;
        assert!(Tried::of(&more, &new).refused.join("; ").contains("note would change"));
        let mut from_value = earlier;
        from_value.difference.fields[1].changes[0].before = Some("\"x\"".to_owned());
        assert!(Tried::of(&from_value, &new).refused.join("; ").contains("note would change"));
    }

    #[test]
    fn the_exit_code_says_what_is_left() {
        let code = |change: fn(&mut Report)| {
            let mut report = Report::default();
            change(&mut report);
            report.exit_code()
        };
        assert_eq!(code(|_| {}), 0);
        assert_eq!(code(|report| report.plan.exit_code = 2), 2);
        assert_eq!(code(|report| report.pipelines.push(Pipeline { restarts: true, ..Pipeline::default() })), 2);
        assert_eq!(code(|report| (report.plan.exit_code, report.applied) = (2, true)), 0);
        assert_eq!(code(|report| report.refused.push("no".to_owned())), 1);
    }
}
