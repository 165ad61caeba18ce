//! A connector's file is edited, applied, changed past itself and broken: `plan`, `apply`, `drift` and `prune` say what is
//! so, and what the plugin refuses leaves the old sink running. What past lint would lead a sink's clients elsewhere, the
//! worker itself refuses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};

use crate::house::{House, root, scratch};
use crate::sink::{Answer, SINKS, Sink, connectors};

const SINK: &str = "orders-postgres";
const KEY: &str = "consumer.override.max.poll.records";

pub(crate) fn edited(house: &mut House) {
    let files = scratch("edited-files");
    let _ = std::fs::remove_dir_all(&files);
    copy(&files);
    let room = Room { house, files: files.clone() };
    let sink = Sink { house, name: SINK };
    assert_eq!(room.run("plan", &[]).code, 0, "what was just deployed is as its files say");
    assert_eq!(room.run("drift", &[]).code, 0);

    // Edited: the plan names the key, and it is no drift.
    edit(&files, SINK, |config| config[KEY] = json!("400"));
    let plan = room.run("plan", &["--format", "json"]);
    let told = plan.json();
    let sinks = told["resources"].as_array().unwrap().iter().filter(|one| one["action"] == "change");
    let keys: Vec<&Value> = sinks.map(|one| &one["keys"]).collect();
    assert_eq!((plan.code, keys), (2, vec![&json!([{"key": KEY, "old": null, "new": "400"}])]), "{}", plan.out);
    println!("{}", room.run("plan", &[]).out);
    assert_eq!(room.run("drift", &[]).code, 0, "an edited file is no drift");
    let joined = room.run("plan", &["--rehearse", "--last", "20", "--format", "json"]);
    let told = joined.json();
    let rehearsed: Vec<&Value> = told["rehearsals"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!((joined.code, rehearsed), (2, vec![&json!(SINK)]), "what is changed, and nothing else: {}", joined.out);
    assert_eq!(told.get("not_rehearsed"), None, "{}", joined.out);

    let begun = Instant::now();
    let applied = room.run("apply", &[]);
    assert_eq!(applied.code, 0, "{}{}", applied.out, applied.err);
    let line = applied.out.lines().skip_while(|line| !line.contains(SINK)).take(2).collect::<Vec<_>>().join("\n");
    println!("{line}\n(applied in {:.1} s)", begun.elapsed().as_secs_f32());
    assert!(line.contains("2 tasks RUNNING with it") && line.contains(&format!("+ {KEY}: 400")), "{}", applied.out);
    assert_eq!(room.run("plan", &[]).code, 0, "what was applied is as the files say");

    // Past the files.
    sink.put(|config| config[KEY] = json!("401"));
    let drift = room.run("drift", &[]);
    println!("{}", drift.out);
    assert_eq!(drift.code, 2, "{}", drift.out);
    assert!(drift.out.contains(&format!("~ {KEY}: 401 -> 400")), "{}", drift.out);
    assert!(drift.out.contains("changed on the server since the last apply"), "{}", drift.out);

    // What the plugin refuses changes nothing.
    let before = sink.config();
    edit(&files, SINK, |config| config["key.converter"] = json!("no.such.Converter"));
    let refused = room.run("plan", &[]);
    println!("{}", refused.out);
    assert_eq!(refused.code, 1, "{}", refused.out);
    assert!(refused.out.contains("refused: key.converter: "), "{}", refused.out);
    let refused = room.run("apply", &[]);
    assert!(refused.code == 1 && refused.err.contains("key.converter"), "{}{}", refused.out, refused.err);
    assert_eq!(sink.config(), before, "a refused file was put");
    assert_eq!(sink.state(), "RUNNING", "the old one runs on");

    // A file that is gone: shown, and nothing is touched without --yes.
    std::fs::remove_file(files.join("orders-elasticsearch.json")).unwrap();
    edit(&files, SINK, |config| _ = config.as_object_mut().unwrap().remove("key.converter"));
    let pruned = room.run("prune", &[]);
    println!("{}", pruned.out);
    assert!(pruned.code == 2 && pruned.out.contains("orders-elasticsearch"), "{}", pruned.out);
    assert!(!pruned.out.contains(SINK), "{}", pruned.out);

    // As it was before.
    let room = Room { files: root().join("connectors"), ..room };
    assert_eq!(room.run("apply", &[]).code, 0);
    assert_eq!((room.run("plan", &[]).code, room.run("drift", &[]).code), (0, 0));
    for name in SINKS {
        overridden(Sink { house, name });
    }
}

/// Of its clients' settings a sink may have those two that the shipped files and a healer need, and the worker names each
/// other one that it refuses.
fn overridden(sink: Sink<'_>) {
    let faults = |more: &[(&str, &str)]| {
        sink.faults(|config| {
            for (key, value) in [("max.poll.records", "7"), ("isolation.level", "read_committed")].iter().chain(more) {
                config[format!("consumer.override.{key}")] = json!(value);
            }
        })
    };
    assert_eq!(faults(&[]), BTreeMap::new(), "{}: a healer needs these", sink.name);
    for (key, value) in [
        ("sasl.jaas.config", "no.such.Login required;"),
        ("bootstrap.servers", "127.0.0.1:1"),
        ("group.id", "another"),
        ("max.poll.interval.ms", "600000"),
    ] {
        let faults = faults(&[(key, value)]);
        let [(named, words)] = Vec::from_iter(&faults)[..] else {
            panic!("{}: {key} alone, not {faults:?}", sink.name)
        };
        assert!(*named == format!("consumer.override.{key}") && words.contains("does not allow"), "{faults:?}");
        println!("{}: {words}", sink.name);
    }
}

struct Room<'h> {
    house: &'h House,
    files: PathBuf,
}

impl Room<'_> {
    fn run(&self, command: &str, more: &[&str]) -> Answer {
        let files = self.files.to_str().unwrap();
        connectors(self.house, &[&[command], more, &["--files", files]].concat())
    }
}

/// The folder's files and stores, to be edited.
pub(crate) fn copy(to: &Path) {
    for folder in ["", "stores"] {
        std::fs::create_dir_all(to.join(folder)).unwrap();
        for entry in std::fs::read_dir(root().join("connectors").join(folder)).unwrap().flatten() {
            let name = entry.file_name();
            if entry.path().is_file()
                && (!folder.is_empty() || entry.path().extension().is_some_and(|end| end == "json"))
            {
                std::fs::copy(entry.path(), to.join(folder).join(name)).unwrap();
            }
        }
    }
}

fn edit(files: &Path, sink: &str, change: impl Fn(&mut Value)) {
    let path = files.join(format!("{sink}.json"));
    let mut file: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut file["config"]);
    std::fs::write(&path, serde_json::to_string_pretty(&file).unwrap()).unwrap();
}
