//! `connectors drift`: what on the servers is not as the files were applied, which way it goes, and how to settle it. An
//! edited file that is not applied yet is no drift: that is [`crate::plan`]'s.

use std::fmt::Write as _;

use serde::Serialize;

use crate::compare::{Comparison, Difference, Moved, Place, Thing};
use crate::decode::plain;
use crate::plan;

/// The whole answer.
#[derive(Debug, Clone, Serialize)]
pub struct Drift {
    /// Of this form; a number more where a program that reads it must change.
    pub version: u32,
    /// 0: the servers are as the files were applied; 1: somebody could not be asked; 2: they are not.
    pub exit_code: u8,
    /// What is not as it was applied.
    pub resources: Vec<Resource>,
    /// Files that were edited, added or removed and are not applied yet: no drift, and worth knowing.
    pub pending: Vec<Pending>,
    /// Who could not be asked, and why.
    pub errors: Vec<String>,
}

/// One resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resource {
    /// `topic`, `subject`, `table`, `index`, `pipeline` or `sink`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The file that it stands in.
    pub file: String,
    /// Which side has moved since the last `apply`: `server`, `both`, or `unknown`.
    pub moved: &'static str,
    /// The keys in which they differ.
    pub keys: Vec<Key>,
    /// The state in which an operator holds it.
    pub held: Option<String>,
    /// What to do about it, one line each.
    pub settle: Vec<String>,
}

/// A key in which they differ; secrets are shown as `********`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Key {
    /// The setting, or the path of one.
    pub key: String,
    /// What the server has; null where it has none.
    pub server: Option<String>,
    /// What the file says; null where it says nothing.
    pub file: Option<String>,
    /// Whether `apply` brings the server to the file in this key.
    pub applies: bool,
}

/// A resource whose file has moved on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pending {
    /// Its kind.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
}

impl Drift {
    /// From what was found on both sides.
    #[must_use]
    pub fn new(found: &Comparison) -> Self {
        let (mut resources, mut pending) = (Vec::new(), Vec::new());
        for thing in &found.things {
            let is_pending = thing.place == Place::Server || thing.moved == Moved::File;
            if is_pending {
                pending.push(Pending { kind: thing.kind, name: thing.name.clone() });
            }
            let differences: &[Difference] = if is_pending { &[] } else { &thing.differences };
            if !differences.is_empty() || thing.held.is_some() {
                resources.push(resource(thing, differences));
            }
        }
        let exit_code = match (resources.is_empty(), found.unknown.is_empty()) {
            (_, false) => 1,
            (true, true) => 0,
            (false, true) => 2,
        };
        Self { version: 1, exit_code, resources, pending, errors: found.unknown.clone() }
    }
}

fn resource(thing: &Thing, differences: &[Difference]) -> Resource {
    let key = |one: &Difference| Key {
        key: one.key.clone(),
        server: one.server.clone(),
        file: one.file.clone(),
        applies: one.applies,
    };
    let moved = match thing.moved {
        Moved::Server => "server",
        Moved::Both => "both",
        Moved::Unknown | Moved::File => "unknown",
    };
    Resource {
        kind: thing.kind,
        name: thing.name.clone(),
        file: thing.file.clone(),
        moved,
        keys: differences.iter().map(key).collect(),
        held: thing.held.clone(),
        settle: settle(thing, differences),
    }
}

/// The ways to make both sides the same again.
fn settle(thing: &Thing, differences: &[Difference]) -> Vec<String> {
    let mut ways = Vec::new();
    let file = &thing.file;
    if thing.place == Place::File {
        ways.push(format!("it was removed, or never applied: `connectors apply` makes it, or remove {file}"));
    } else if differences.iter().any(|one| one.applies) {
        ways.push(format!(
            "`connectors apply` puts back what the file says, or edit {file} to keep what the server has"
        ));
    }
    if thing.place == Place::Both && differences.iter().any(|one| !one.applies) {
        let way = match thing.kind {
            "topic" => "`apply` leaves this: take the setting away with kafka-configs, or write it into the file",
            "table" => "`apply` leaves this: alter the table by hand, or write it into the file",
            "index" => "`apply` leaves this: make a new index and fill it again, or write it into the file",
            _ => "`apply` leaves this: mend it on the server",
        };
        ways.push(way.to_owned());
    }
    if thing.held.is_some() {
        ways.push(
            "an operator holds it and `apply` leaves it so: PUT /connectors/NAME/resume ends it"
                .replace("NAME", &thing.name),
        );
    }
    ways
}

/// For people.
#[must_use]
pub fn text(drift: &Drift) -> String {
    let mut text = String::new();
    for one in &drift.resources {
        let _ = writeln!(text, "{:<8}  {:<38}  {}", one.kind, plain(&one.name), one.file);
        let says = match one.moved {
            "server" => "changed on the server since the last apply; server -> file:",
            "both" => "changed on the server since the last apply, and the file was edited, too; server -> file:",
            _ => "server -> file:",
        };
        if !one.keys.is_empty() {
            let _ = writeln!(text, "      {says}");
        }
        for key in &one.keys {
            let line = plan::line(&key.key, key.server.as_deref(), key.file.as_deref());
            let _ = writeln!(text, "      {line}");
        }
        if let Some(state) = &one.held {
            let _ = writeln!(text, "      it is {}", plain(state));
        }
        for way in &one.settle {
            let _ = writeln!(text, "      settle: {}", plain(way));
        }
    }
    for reason in &drift.errors {
        let _ = writeln!(text, "cannot ask {}", plain(reason));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let _ = match (drift.resources.len(), drift.errors.len()) {
        (0, 0) => writeln!(text, "no drift: nobody changed the servers past the files"),
        (drifted, 0) => writeln!(text, "{drifted} not as the files were applied"),
        (drifted, errors) => writeln!(text, "{drifted} not as the files were applied, {errors} not known"),
    };
    if !drift.pending.is_empty() {
        let names: Vec<String> = drift.pending.iter().map(|one| format!("{} {}", one.kind, plain(&one.name))).collect();
        let _ = writeln!(text, "not applied yet, and no drift: {}; see `connectors plan`", names.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink(moved: Moved, held: Option<&str>) -> Thing {
        let differences = vec![Difference {
            key: "batch.size".to_owned(),
            server: Some("9".to_owned()),
            file: Some("5".to_owned()),
            applies: true,
        }];
        let (name, file) = ("s".to_owned(), "s.json".to_owned());
        Thing { kind: "sink", name, file, differences, moved, held: held.map(str::to_owned), ..Thing::default() }
    }

    fn drift(things: &[Thing]) -> Drift {
        Drift::new(&Comparison { things: things.to_vec(), unknown: Vec::new() })
    }

    #[test]
    fn an_edited_file_is_no_drift_and_an_edited_server_is() {
        assert_eq!(drift(&[]).exit_code, 0);
        let edited = drift(&[sink(Moved::File, None)]);
        assert_eq!((edited.exit_code, edited.pending.len(), edited.resources.len()), (0, 1, 0));
        for moved in [Moved::Server, Moved::Both, Moved::Unknown] {
            assert_eq!(drift(&[sink(moved, None)]).exit_code, 2, "{moved:?}");
        }
        let gone = Thing { place: Place::Server, differences: Vec::new(), ..sink(Moved::Unknown, None) };
        assert_eq!(drift(&[gone]).exit_code, 0, "a removed file is the plan's");
        let unknown = Comparison { things: Vec::new(), unknown: vec!["Kafka: away".to_owned()] };
        assert_eq!(Drift::new(&unknown).exit_code, 1);
    }

    #[test]
    fn people_see_which_way_it_goes_and_how_to_settle_it() {
        let expected = "\
sink      s                                       s.json
      changed on the server since the last apply; server -> file:
      ~ batch.size: 9 -> 5
      it is PAUSED
      settle: `connectors apply` puts back what the file says, or edit s.json to keep what the server has
      settle: an operator holds it and `apply` leaves it so: PUT /connectors/s/resume ends it

1 not as the files were applied
";
        assert_eq!(text(&drift(&[sink(Moved::Server, Some("PAUSED"))])), expected);
        let held = Thing { differences: Vec::new(), ..sink(Moved::Unknown, Some("STOPPED")) };
        assert_eq!(drift(&[held]).exit_code, 2, "a stopped connector is drift, though its settings are the file's");
    }
}
