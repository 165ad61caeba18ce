//! A connector's file is edited, applied, changed past itself and broken: `plan`, `apply`, `drift` and `prune` say what is
//! so, and what the plugin refuses leaves the old sink running.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use serde_json::{Value, json};

use crate::house::{House, root, scratch};

const SINK: &str = "orders-postgres";
const KEY: &str = "consumer.override.max.poll.records";

pub(crate) fn edited(house: &mut House) {
    let files = scratch("edited-files");
    let _ = std::fs::remove_dir_all(&files);
    copy(&files);
    let room = Room { house, files: files.clone() };
    assert_eq!(room.run("plan", &[]).code, 0, "what was just deployed is as its files say");
    assert_eq!(room.run("drift", &[]).code, 0);

    // Edited: the plan names the key, and it is no drift.
    edit(&files, SINK, |config| config[KEY] = json!("400"));
    let plan = room.run("plan", &["--format", "json"]);
    let told: Value = serde_json::from_str(&plan.out).unwrap();
    let sinks = told["resources"].as_array().unwrap().iter().filter(|one| one["action"] == "change");
    let keys: Vec<&Value> = sinks.map(|one| &one["keys"]).collect();
    assert_eq!((plan.code, keys), (2, vec![&json!([{"key": KEY, "old": null, "new": "400"}])]), "{}", plan.out);
    println!("{}", room.run("plan", &[]).out);
    assert_eq!(room.run("drift", &[]).code, 0, "an edited file is no drift");

    let begun = Instant::now();
    let applied = room.run("apply", &[]);
    assert_eq!(applied.code, 0, "{}{}", applied.out, applied.err);
    let line = applied.out.lines().skip_while(|line| !line.contains(SINK)).take(2).collect::<Vec<_>>().join("\n");
    println!("{line}\n(applied in {:.1} s)", begun.elapsed().as_secs_f32());
    assert!(line.contains("2 tasks RUNNING with it") && line.contains(&format!("+ {KEY}: 400")), "{}", applied.out);
    assert_eq!(room.run("plan", &[]).code, 0, "what was applied is as the files say");

    // Past the files.
    room.put(|config| config[KEY] = json!("401"));
    let drift = room.run("drift", &[]);
    println!("{}", drift.out);
    assert_eq!(drift.code, 2, "{}", drift.out);
    assert!(drift.out.contains(&format!("~ {KEY}: 401 -> 400")), "{}", drift.out);
    assert!(drift.out.contains("changed on the server since the last apply"), "{}", drift.out);

    // What the plugin refuses changes nothing.
    let before = room.config();
    edit(&files, SINK, |config| config["key.converter"] = json!("no.such.Converter"));
    let refused = room.run("plan", &[]);
    println!("{}", refused.out);
    assert_eq!(refused.code, 1, "{}", refused.out);
    assert!(refused.out.contains("refused: key.converter: "), "{}", refused.out);
    let refused = room.run("apply", &[]);
    assert!(refused.code == 1 && refused.err.contains("key.converter"), "{}{}", refused.out, refused.err);
    assert_eq!(room.config(), before, "a refused file was put");
    assert_eq!(room.state(), "RUNNING", "the old one runs on");

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
}

/// What a command answered.
struct Answer {
    code: i32,
    out: String,
    err: String,
}

struct Room<'h> {
    house: &'h House,
    files: PathBuf,
}

impl Room<'_> {
    fn run(&self, command: &str, more: &[&str]) -> Answer {
        let mut run = Command::new(self.house.options.binaries.join("connectors"));
        run.arg(command).args(more).arg("--files").arg(&self.files);
        run.env_clear().envs(self.house.stack.endpoints().environment()).env("ORDERFLOW_LOG", "warn");
        let Output { status, stdout, stderr } = run.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Answer { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
    }

    fn url(&self, rest: &str) -> String {
        format!("{}/connectors/{SINK}/{rest}", self.house.stack.endpoints().connect)
    }

    fn get(&self, rest: &str) -> Value {
        let ask = async { reqwest::get(self.url(rest)).await?.json().await };
        self.house.runtime.block_on(ask).unwrap()
    }

    fn config(&self) -> Value {
        self.get("config")
    }

    fn state(&self) -> String {
        self.get("status")["connector"]["state"].as_str().unwrap().to_owned()
    }

    /// As somebody does with curl, who knows nothing of the files; Connect may be rebalancing.
    fn put(&self, change: impl Fn(&mut Value)) {
        let mut config = self.config();
        change(&mut config);
        let put = async || reqwest::Client::new().put(self.url("config")).json(&config).send().await;
        let taken = || self.house.runtime.block_on(put()).is_ok_and(|answer| answer.status().is_success());
        crate::faults::wait_for(
            "the PUT",
            std::time::Duration::from_secs(30),
            std::time::Duration::from_millis(200),
            taken,
        );
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
