//! `connectors plan`: what `apply` would change, and what `prune` would remove. `connectors/PLAN.md` describes the JSON.

use std::fmt::Write as _;

use serde::Serialize;

use crate::compare::{Comparison, Difference, Place, Thing};
use crate::decode::plain;
use crate::rehearse::report::{self, Report};
use schemas::mark::APPLIED;

/// What becomes of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// `apply` makes it.
    Create,
    /// `apply` changes it.
    Change,
    /// It is as the files say.
    Unchanged,
    /// `apply` would be refused.
    Refused,
    /// It is ours and no file has it: `prune --yes` removes it.
    Prune,
}

/// The whole answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Plan {
    /// Of this form; a number more where a program that reads it must change.
    pub version: u32,
    /// 0: nothing to do; 1: refused, or somebody could not be asked; 2: there is something to do.
    pub exit_code: u8,
    /// How many of each.
    pub summary: Summary,
    /// All resources, in the order in which `apply` goes.
    pub resources: Vec<Resource>,
    /// Who could not be asked, and why.
    pub errors: Vec<String>,
    /// With `--rehearse`: what each sink that would be made or changed makes of the newest records.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rehearsals: Vec<Report>,
    /// Which of them could not be rehearsed, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_rehearsed: Vec<String>,
}

/// How many resources of each action.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// To create.
    pub create: usize,
    /// To change.
    pub change: usize,
    /// As the files say.
    pub unchanged: usize,
    /// Refused.
    pub refused: usize,
    /// Ours without a file.
    pub prune: usize,
}

/// One resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resource {
    /// `topic`, `subject`, `table`, `index`, `pipeline` or `sink`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The file that it stands in.
    pub file: Option<String>,
    /// What becomes of it.
    pub action: Action,
    /// The keys that `apply` would change, and those that it is refused in.
    pub keys: Vec<Key>,
    /// Why it is refused.
    pub refused: Vec<Because>,
    /// The state in which an operator holds it; `apply` leaves it so.
    pub held: Option<String>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

/// A key that changes; secrets are shown as `********`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Key {
    /// The setting, or the path of one.
    pub key: String,
    /// What the server has; null where it has none.
    pub old: Option<String>,
    /// What the file says; null where it says nothing.
    pub new: Option<String>,
}

/// A reason and the key that it speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Because {
    /// The key; empty where all of it is meant.
    pub key: String,
    /// Why, and the way out.
    pub message: String,
}

impl Plan {
    /// From what was found on both sides.
    #[must_use]
    pub fn new(found: &Comparison) -> Self {
        let resources: Vec<Resource> = found.things.iter().map(resource).collect();
        let count = |action| resources.iter().filter(|one| one.action == action).count();
        let summary = Summary {
            create: count(Action::Create),
            change: count(Action::Change),
            unchanged: count(Action::Unchanged),
            refused: count(Action::Refused),
            prune: count(Action::Prune),
        };
        let exit_code = match summary {
            Summary { refused: 1.., .. } => 1,
            _ if !found.unknown.is_empty() => 1,
            Summary { create: 0, change: 0, prune: 0, .. } => 0,
            _ => 2,
        };
        Self {
            version: 1,
            exit_code,
            summary,
            resources,
            errors: found.unknown.clone(),
            rehearsals: Vec::new(),
            not_rehearsed: Vec::new(),
        }
    }

    /// Whether a resource would be made or changed.
    #[must_use]
    pub fn moves(&self, kind: &str, name: &str) -> bool {
        let moves = |one: &Resource| matches!(one.action, Action::Create | Action::Change);
        self.resources.iter().any(|one| one.kind == kind && one.name == name && moves(one))
    }

    /// A sink that could not be rehearsed makes the plan one that is not to be relied on.
    pub fn cannot_rehearse(&mut self, name: &str, why: &str) {
        self.exit_code = 1;
        self.not_rehearsed.push(format!("{name}: {why}"));
    }
}

/// What becomes of a resource.
#[must_use]
pub fn action(thing: &Thing) -> Action {
    match thing.place {
        Place::Server => Action::Prune,
        _ if !thing.refused.is_empty() => Action::Refused,
        Place::File => Action::Create,
        Place::Both if thing.changes() => Action::Change,
        Place::Both => Action::Unchanged,
    }
}

fn resource(thing: &Thing) -> Resource {
    let refused_in = |key: &str| thing.refused.iter().any(|refusal| refusal.key == key);
    let keys = thing.differences.iter().filter(|one| one.applies || refused_in(&one.key));
    let refused = thing.refused.iter();
    Resource {
        kind: thing.kind,
        name: thing.name.clone(),
        file: (!thing.file.is_empty()).then(|| thing.file.clone()),
        action: action(thing),
        keys: keys.map(|one| Key { key: one.key.clone(), old: one.server.clone(), new: one.file.clone() }).collect(),
        refused: refused.map(|one| Because { key: one.key.clone(), message: one.message.clone() }).collect(),
        held: thing.held.clone(),
        notes: thing.notes.clone(),
    }
}

/// For people: what is to be done, with its keys; what is as it should be is only counted.
#[must_use]
pub fn text(plan: &Plan) -> String {
    let mut text = String::new();
    for one in plan.resources.iter().filter(|one| one.action != Action::Unchanged || one.held.is_some()) {
        let (sign, word) = match one.action {
            Action::Create => ("+", "create"),
            Action::Change => ("~", "change"),
            Action::Unchanged => (" ", "as it is"),
            Action::Refused => ("!", "refused"),
            Action::Prune => ("-", "no file"),
        };
        let file = one.file.as_deref().unwrap_or_default();
        let head = format!("{sign} {word:<8}  {:<8}  {:<38}  {file}", one.kind, plain(&one.name));
        let _ = writeln!(text, "{}", head.trim_end());
        for key in &one.keys {
            let _ = writeln!(text, "      {}", line(&key.key, key.old.as_deref(), key.new.as_deref()));
        }
        for because in &one.refused {
            let at = if because.key.is_empty() { String::new() } else { format!("{}: ", plain(&because.key)) };
            let _ = writeln!(text, "      refused: {at}{}", plain(&because.message));
        }
        if let Some(state) = &one.held {
            let _ = writeln!(text, "      held by an operator ({}); `apply` leaves it so", plain(state));
        }
        for note in &one.notes {
            let _ = writeln!(text, "      {}", plain(note));
        }
        if one.action == Action::Prune {
            let _ = writeln!(text, "      ours, and no file has it; `connectors prune --yes` removes it");
        }
    }
    for reason in &plan.errors {
        let _ = writeln!(text, "cannot ask {}", plain(reason));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let Summary { create, change, unchanged, refused, prune } = plan.summary;
    let parts = [
        (create, "to create"),
        (change, "to change"),
        (refused, "refused"),
        (prune, "without a file"),
        (plan.errors.len(), "not known"),
    ];
    let parts: Vec<String> =
        parts.iter().filter(|(count, _)| 0 < *count).map(|(count, words)| format!("{count} {words}")).collect();
    let _ = match parts.as_slice() {
        [] => writeln!(text, "nothing to do: all {unchanged} are as the files say"),
        parts => writeln!(text, "{}; {unchanged} as the files say", parts.join(", ")),
    };
    for report in &plan.rehearsals {
        let _ = write!(text, "\nrehearsal of {}\n{}", plain(&report.name), report::text(report));
    }
    for reason in &plan.not_rehearsed {
        let _ = writeln!(text, "\ncannot rehearse {}", plain(reason));
    }
    text
}

/// `key: old -> new`, and what is only on one side with its sign; our mark in words.
pub(crate) fn line(key: &str, old: Option<&str>, new: Option<&str>) -> String {
    if key == APPLIED {
        return match old {
            None => format!("+ {key}: gets our mark, by which `prune` and `drift` know it"),
            Some(old) => format!("~ {key}: {} -> {}", plain(old), plain(new.unwrap_or_default())),
        };
    }
    let (key, show) = (plain(key), |value: &str| if value.is_empty() { "\"\"".to_owned() } else { plain(value) });
    match (old, new) {
        (Some(old), Some(new)) if old == new => format!("~ {key}: {} -> another, not shown", show(old)),
        (Some(old), Some(new)) => format!("~ {key}: {} -> {}", show(old), show(new)),
        (None, Some(new)) => format!("+ {key}: {}", show(new)),
        (Some(old), None) => format!("- {key}: {}", show(old)),
        (None, None) => key,
    }
}

/// The same of a difference.
pub(crate) fn difference(one: &Difference) -> String {
    line(&one.key, one.server.as_deref(), one.file.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Moved, Refusal};

    fn thing(kind: &'static str, name: &str, place: Place) -> Thing {
        let file = if place == Place::Server { String::new() } else { format!("{name}.json") };
        Thing { kind, name: name.to_owned(), file, place, moved: Moved::Unknown, ..Thing::default() }
    }

    fn differs(key: &str, server: Option<&str>, file: Option<&str>, applies: bool) -> Difference {
        let text = |value: Option<&str>| value.map(str::to_owned);
        Difference { key: key.to_owned(), server: text(server), file: text(file), applies }
    }

    fn found() -> Comparison {
        let mut changed = thing("sink", "s", Place::Both);
        changed.differences = vec![
            differs("batch.size", Some("500"), None, true),
            differs("connection.password", Some("********"), Some("********"), true),
            differs("tasks.max", Some("2"), Some("3"), true),
        ];
        let mut refused = thing("index", "i", Place::Both);
        refused.differences = vec![differs("a.type", Some("long"), Some("text"), false)];
        refused.refused = vec![Refusal { key: "a.type".to_owned(), message: "it cannot be".to_owned() }];
        let mut more = thing("topic", "t", Place::Both);
        more.differences = vec![differs("segment.ms", Some("5"), None, false)];
        let mut new = thing("pipeline", "p", Place::File);
        new.differences = vec![differs("topics", None, Some("a\u{1b}[2J"), true)];
        Comparison {
            things: vec![more, new, refused, changed, thing("sink", "old", Place::Server)],
            unknown: Vec::new(),
        }
    }

    #[test]
    fn the_code_is_terraforms_and_what_is_refused_or_not_known_is_an_error() {
        let code = |things: &[Thing], unknown: &[&str]| {
            let unknown = unknown.iter().map(|reason| (*reason).to_owned()).collect();
            Plan::new(&Comparison { things: things.to_vec(), unknown }).exit_code
        };
        let things = found().things;
        let [more, new, refused, changed, old] = &things[..] else { panic!("{things:?}") };
        assert_eq!(code(&[], &[]), 0);
        assert_eq!(code(std::slice::from_ref(more), &[]), 0, "what somebody gave a topic beside ours stays");
        for one in [new, changed, old] {
            assert_eq!(code(&[more.clone(), one.clone()], &[]), 2, "{one:?}");
            assert_eq!(code(std::slice::from_ref(one), &["Kafka: away"]), 1, "{one:?}");
        }
        assert_eq!(code(&[changed.clone(), refused.clone()], &[]), 1);
    }

    #[test]
    fn people_see_what_changes_and_no_escape_of_a_stranger() {
        let expected = "\
+ create    pipeline  p                                       p.json
      + topics: a\u{fffd}[2J
! refused   index     i                                       i.json
      ~ a.type: long -> text
      refused: a.type: it cannot be
~ change    sink      s                                       s.json
      - batch.size: 500
      ~ connection.password: ******** -> another, not shown
      ~ tasks.max: 2 -> 3
- no file   sink      old
      ours, and no file has it; `connectors prune --yes` removes it

1 to create, 1 to change, 1 refused, 1 without a file; 1 as the files say
";
        assert_eq!(text(&Plan::new(&found())), expected);
        let none = text(&Plan::new(&Comparison::default()));
        assert_eq!(none, "nothing to do: all 0 are as the files say\n");
    }

    #[test]
    fn programs_get_a_form_that_stays() {
        let told = serde_json::to_value(Plan::new(&found())).unwrap();
        assert_eq!((told["version"].as_u64(), told["exit_code"].as_u64()), (Some(1), Some(1)));
        let sink = &told["resources"][3];
        assert_eq!((sink["kind"].as_str(), sink["action"].as_str()), (Some("sink"), Some("change")));
        assert_eq!(sink["keys"][2], serde_json::json!({"key": "tasks.max", "old": "2", "new": "3"}));
        assert_eq!(sink["keys"][0]["new"], serde_json::Value::Null);
        assert_eq!(told["resources"][2]["refused"][0]["key"], "a.type");
        assert_eq!(told["summary"]["prune"], 1);
    }
}
