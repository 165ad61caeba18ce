//! What users type, run as they run it: the command beside a whole process over a mock broker.

mod answered;

use std::path::{Path, PathBuf};
use std::process::Output;

use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use schemas::mark;
use serde_json::{Value, json};
use service_kit::Tasks;

use crate::harness::PATIENCE;
use crate::rest::{Process, cluster, evil, module, registry, state_topics};

/// As people write it, with an order, blanks and an empty line of their own.
const FILE: &str = r#"{
  "name": "p",
  "config": {
    "connector.class": "orderflow.WasmPipeline", "tasks.max":   1,

    "topics": "in",   "output.topic": "out",
    "transforms": "x",
    "transforms.x.type":"panic@0.1.0",
    "errors.tolerance": "all",
    "errors.deadletterqueue.topic.name": "dead"
  }
}
"#;

struct World {
    process: Process,
    aside: Tasks,
    dir: PathBuf,
    // Dropped last.
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl World {
    /// A process with `panic@0.1.0` and `panic@0.2.0`, and a folder of its own.
    async fn start(name: &str) -> Self {
        let (cluster, aside) = (cluster(), Tasks::new());
        state_topics(&cluster);
        let process = Process::start(&cluster, &registry(&aside).await).await;
        process.until("/connectors", |status, _| status == 200).await;
        let (wasm, _) = tokio::task::block_in_place(module);
        let world = Self { process, aside, dir: folder(name), cluster };
        for wasm in [renamed(&wasm, "0.2.0"), wasm] {
            world.upload(wasm).await;
        }
        world
    }

    async fn upload(&self, wasm: Vec<u8>) {
        let post = self.process.http.post(format!("{}/modules", self.process.url));
        let answered = post.header("content-type", "application/wasm").body(wasm).send().await.unwrap();
        assert_eq!(answered.status().as_u16(), 201, "{}", answered.text().await.unwrap());
    }

    /// What runs is refused, as by a process whose guard found out; it goes back to what ran before.
    async fn refuse(&self) {
        let (_, info) = self.process.call("GET", "/connectors/p", None).await;
        let id = info["version"].as_str().unwrap();
        let fact = json!({ "version": id, "because": "it trapped", "since_ms": 0, "by": "other" }).to_string();
        let brokers = self.cluster.bootstrap_servers();
        let producer: ThreadedProducer<_> =
            ClientConfig::new().set("bootstrap.servers", &brokers).set("linger.ms", "0").create().unwrap();
        let key = format!("p/refused/{id}");
        let record = BaseRecord::to("transforms.config").key(&key).payload(&fact).partition(0);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(PATIENCE).unwrap();
        self.process.until("/connectors/p/status", |_, body| body["degraded"].is_object()).await;
    }

    async fn deploy(&self) {
        let file: Value = serde_json::from_str(&self.file()).unwrap();
        assert_eq!(self.process.call("PUT", "/connectors/p/config", Some(file["config"].clone())).await.0, 201);
        let running = |status: u16, body: &Value| status == 200 && body["tasks"][0]["state"] == "RUNNING";
        self.process.until("/connectors/p/status", running).await;
    }

    async fn run(&self, args: &[&str]) -> (bool, String, String) {
        asked(&self.dir, &self.process.url, args).await
    }

    async fn good(&self, args: &[&str]) -> String {
        let (good, out, err) = self.run(args).await;
        assert!(good, "{args:?}: {out}{err}");
        out
    }

    async fn refused(&self, args: &[&str]) -> String {
        let (good, out, err) = self.run(args).await;
        assert!(!good, "{args:?}: {out}{err}");
        err
    }

    fn file(&self) -> String {
        std::fs::read_to_string(self.dir.join("p.json")).unwrap()
    }

    /// What the pipeline was given, with the name.
    async fn settings(&self) -> mark::Settings {
        let (_, settings) = self.process.call("GET", "/connectors/p/config", None).await;
        serde_json::from_value(settings).unwrap()
    }

    async fn pinned(&self) -> Value {
        self.process.call("GET", "/connectors/p", None).await.1["modules"]["x"]["module"].clone()
    }

    async fn end(self) {
        self.process.tasks.drain(PATIENCE).await;
        self.aside.drain(PATIENCE).await;
        std::fs::remove_dir_all(&self.dir).unwrap();
    }
}

/// Runs the command in this folder, at the process with this address.
async fn asked(dir: &Path, url: &str, args: &[&str]) -> (bool, String, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_transforms"));
    command.args(args).env("TRANSFORMS_URL", url).env_remove("TRANSFORMS_TOKEN");
    let Output { status, stdout, stderr } = command.current_dir(dir).output().await.unwrap();
    (status.success(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A folder of a test's own, with the pipeline's file.
fn folder(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("p.json"), FILE).unwrap();
    dir
}

/// The same module under another version: it says it in as many letters.
fn renamed(wasm: &[u8], version: &str) -> Vec<u8> {
    let mut wasm = wasm.to_vec();
    let (old, new) = (b"0.1.0", version.as_bytes());
    let places: Vec<usize> =
        wasm.windows(old.len()).enumerate().filter(|(_, at)| at == old).map(|(at, _)| at).collect();
    assert!(!places.is_empty());
    for at in places {
        wasm[at..at + new.len()].copy_from_slice(new);
    }
    wasm
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promote_and_rollback_change_one_line_of_the_file_and_apply_it() {
    let world = World::start("promote").await;
    let dir = ["--dir", "."];
    let promote = ["promote", "p", "x=panic@0.2.0"];
    let early = world.refused(&[&promote[..], &dir].concat()).await;
    assert!(early.contains("p is not deployed; run `connectors apply`"), "{early}");
    world.deploy().await;

    // As `connectors apply` leaves it: with a mark that says what it was given.
    let given = mark::marked(&world.settings().await, "team-a");
    let change = json!({ mark::APPLIED: given[mark::APPLIED] });
    assert_eq!(world.process.call("PATCH", "/connectors/p/config", Some(change)).await.0, 200);
    let line = |version: &str| FILE.replace("panic@0.1.0", &format!("panic@{version}"));
    let told = world.good(&[&promote[..], &dir, &["--dry-run"]].concat()).await;
    assert!(told.contains("@@ line 8 @@") && world.file() == FILE, "{told}");
    let told = world.good(&[&promote[..], &dir].concat()).await;
    let (old, new) = (r#"    "transforms.x.type":"panic@0.1.0","#, r#"    "transforms.x.type":"panic@0.2.0","#);
    assert!(told.starts_with(&format!("--- ./p.json\n+++ ./p.json\n@@ line 8 @@\n-{old}\n+{new}\n")), "{told}");
    assert!(told.contains("p runs panic@0.2.0 (sha256:") && told.contains(" slots have taken it over"), "{told}");
    let (_, status) = world.process.call("GET", "/connectors/p/status", None).await;
    let (_, info) = world.process.call("GET", "/connectors/p", None).await;
    assert_eq!(status["version"]["id"], info["version"], "it is over when the command is");
    assert_eq!((world.file(), world.pinned().await), (line("0.2.0"), json!("panic@0.2.0")));
    let runs = world.settings().await;
    let mark = mark::of(&runs).unwrap();
    assert_eq!((mark.owner.as_str(), mark.digest), ("team-a", mark::digest(&runs)), "it is what its file says");

    // Without a file of that name in connectors/, the file is named.
    assert!(world.refused(&["rollback", "p", "x"]).await.contains("--file"));
    let told = world.good(&["rollback", "p", "x", "--file", "p.json"]).await;
    assert!(told.contains("p runs panic@0.1.0 (sha256:"), "{told}");
    assert_eq!((world.file(), world.pinned().await), (FILE.to_owned(), json!("panic@0.1.0")));
    let none = world.refused(&["rollback", "p", "x", "--file", "p.json"]).await;
    assert!(none.contains("no version of panic below 0.1.0 is one to go back to; there are 0.1.0, 0.2.0"), "{none}");
    assert!(none.contains("take x out of transforms and transforms.x.* out of p.json"), "{none}");
    let told = world.good(&["rollback", "p", "x", "--to", "0.2.0", "--file", "p.json"]).await;
    assert!(told.contains("p runs panic@0.2.0"), "{told}");
    let again = world.good(&[&promote[..], &dir].concat()).await;
    assert!(again.starts_with("./p.json says so already\n"), "{again}");
    let left: Vec<_> = std::fs::read_dir(&world.dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["p.json"], "nothing is left beside it");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_is_refused_leaves_the_file_and_the_pipeline_as_they_were() {
    let world = World::start("refuse").await;
    world.deploy().await;
    let promote = |change: &'static str| ["promote", "p", change, "--file", "p.json"];
    for (change, words) in [
        ("x=panic@0.3.0", "no module panic@0.3 is here".replace("0.3", "0.3.0")),
        ("y=panic@0.2.0", "no module under the alias \"y\"; p.json names: x".to_owned()),
        ("x", "write ALIAS=MODULE@VERSION".to_owned()),
        ("x=Panic@x", "is not a module".to_owned()),
    ] {
        let refused = world.refused(&promote(change)).await;
        assert!(refused.contains(&words), "{change}: {refused}");
    }
    // Somebody changed what runs, and the file does not say so.
    let change = json!({ "tasks.max": "2", "dropped.topic.name": "orders.dropped" });
    assert_eq!(world.process.call("PATCH", "/connectors/p/config", Some(change)).await.0, 200);
    let refused = world.refused(&promote("x=panic@0.2.0")).await;
    let diff = "--- running\n+++ p.json\n-\"dropped.topic.name\": \"orders.dropped\"\n-\"tasks.max\": \"2\"\n+\"tasks.max\": \"1\"\n";
    assert!(refused.contains(diff), "{refused}");
    assert_eq!((world.file(), world.pinned().await), (FILE.to_owned(), json!("panic@0.1.0")));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_rolls_back_to_what_ran_and_not_to_what_was_refused_or_thrown_away() {
    let world = World::start("past").await;
    let (wasm, _) = tokio::task::block_in_place(module);
    for version in ["0.3.0", "0.0.9"] {
        world.upload(renamed(&wasm, version)).await;
    }
    world.deploy().await;
    let promote = async |change: &str| world.good(&["promote", "p", change, "--dir", "."]).await;
    let rollback = ["rollback", "p", "x", "--dir", "."];
    promote("x=panic@0.3.0").await;
    let told = world.good(&rollback).await;
    assert!(told.contains("p runs panic@0.1.0"), "0.2.0 never ran: {told}");

    promote("x=panic@0.2.0").await;
    world.refuse().await;
    promote("x=panic@0.3.0").await;
    world.process.until("/connectors/p/status", |_, body| body["degraded"].is_null()).await;
    let told = world.good(&rollback).await;
    assert!(told.contains("p runs panic@0.1.0"), "0.2.0 was refused: {told}");
    assert_eq!((world.file(), world.pinned().await), (FILE.to_owned(), json!("panic@0.1.0")));

    let none = world.refused(&rollback).await;
    for words in [
        "no version of panic below 0.1.0 is one to go back to",
        "there are 0.0.9 (throw-away), 0.1.0, 0.2.0 (refused), 0.3.0",
        "name it with --to",
    ] {
        assert!(none.contains(words), "no {words:?} in {none}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_rolls_back_below_what_runs_and_not_to_the_bad_version_that_runs() {
    let world = World::start("only-pushed").await;
    let rollback = ["rollback", "p", "x", "--dir", "."];
    // As the shipped file has it: the newest that is there when it is put.
    let any = FILE.replace("panic@0.1.0", "panic@0");
    std::fs::write(world.dir.join("p.json"), &any).unwrap();
    world.deploy().await;
    assert_eq!(world.pinned().await, "panic@0.2.0");
    let (wasm, _) = tokio::task::block_in_place(module);
    world.upload(renamed(&wasm, "0.3.0")).await;
    let told = world.good(&rollback).await;
    assert!(told.contains("p runs panic@0.1.0"), "0.3.0 was only pushed, and 0.2.0 is what runs: {told}");
    assert_eq!((world.file(), world.pinned().await), (FILE.to_owned(), json!("panic@0.1.0")));

    // Where it went back by itself the file comes to say what runs.
    world.good(&["promote", "p", "x=panic@0.2.0", "--dir", "."]).await;
    world.refuse().await;
    let told = world.good(&rollback).await;
    assert!(told.contains("p runs panic@0.1.0"), "{told}");
    assert_eq!((world.file(), world.pinned().await), (FILE.to_owned(), json!("panic@0.1.0")));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_that_remembers_is_told_its_way_out_and_may_take_it() {
    let world = World::start("stateful").await;
    let wasm = tokio::task::block_in_place(|| evil("moody.wasm"));
    std::fs::write(world.dir.join("moody.wasm"), &wasm).unwrap();
    std::fs::write(world.dir.join("raised.wasm"), renamed(&wasm, "0.2.0")).unwrap();
    world.good(&["push", "moody.wasm"]).await;
    let file: Value = serde_json::from_str(&world.file()).unwrap();
    let mut config = file["config"].clone();
    config["transforms.x.mood"] = json!("counting");
    config["transforms.x.type"] = json!("moody@0.1.0");
    let (status, body) = world.process.call("PUT", "/connectors/p/config", Some(config.clone())).await;
    let message = body["message"].as_str().unwrap();
    assert!(status == 400 && message.contains("comes out otherwise"), "{status} {body}");
    assert!(message.contains("A version never changes: raise it, and push it with --stateful"), "{message}");

    let same = world.refused(&["push", "moody.wasm", "--stateful"]).await;
    let words = "refused by version: moody@0.1.0 is here with stateful=false, this upload asks for stateful=true";
    assert!(same.contains(words) && same.contains("raise the version and push it with --stateful"), "{same}");
    let raised = world.good(&["push", "raised.wasm", "--stateful"]).await;
    assert!(raised.contains("moody@0.2.0 is uploaded") && raised.contains("stateful"), "{raised}");
    config["transforms.x.type"] = json!("moody@0.2.0");
    let (status, body) = world.process.call("PUT", "/connectors/p/config", Some(config)).await;
    assert_eq!(status, 201, "{body}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn list_status_and_validate_tell_what_a_person_needs() {
    let world = World::start("status").await;
    assert_eq!(world.good(&["validate", "p.json"]).await, "p.json: ok\n");
    std::fs::write(
        world.dir.join("bad.json"),
        FILE.replace("\"tasks.max\":   1", "\"tasks.max\": 99").replace("0.1.0", "9"),
    )
    .unwrap();
    let bad = world.refused(&["validate", "bad.json"]).await;
    assert!(bad.contains("bad.json has 1 fault\nbad.json:4: tasks.max: is not a number from 1 to 64"), "{bad}");
    std::fs::write(world.dir.join("bad.json"), FILE.replace("0.1.0", "9")).unwrap();
    let bad = world.refused(&["validate", "bad.json"]).await;
    assert!(bad.contains("bad.json:8: transforms.x.type: no module panic@9 is here"), "{bad}");

    world.deploy().await;
    let listed = world.good(&["list"]).await;
    let lines: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[1], ["p", "RUNNING", "in", "out", "panic@0.1.0"], "{listed}");
    assert_eq!((lines[4][0], lines[4].last()), ("panic@0.1.0", Some(&"p")), "{listed}");
    assert_eq!((lines[5][0], lines[5].last()), ("panic@0.2.0", Some(&"-")), "{listed}");
    let listed: Value = serde_json::from_str(&world.good(&["list", "--format", "json"]).await).unwrap();
    assert_eq!(listed["modules"][0]["used_by"], json!(["p"]));

    let status = world.good(&["status", "p"]).await;
    let digest = listed["modules"][0]["digest"].as_str().unwrap();
    for words in [
        "p  RUNNING  in -> out, schema id 7",
        &format!("panic@0.1.0  sha256:{}", &digest[..12]),
        "in 0-1",
        "lag 0, 0.0 records/s",
    ] {
        assert!(status.contains(words), "no {words:?} in:\n{status}");
    }
    assert_eq!(world.process.call("PUT", "/connectors/p/pause", None).await.0, 202);
    world.process.until("/connectors/p/status", |_, body| body["tasks"][0]["state"] == "PAUSED").await;
    let status = world.good(&["status", "--rate-over", "0"]).await;
    assert!(status.contains("held by operator"), "{status}");
    assert!(world.refused(&["status", "q"]).await.contains("has no pipeline q; it has: p"));

    // The registry goes, and with it what a fresh start needs.
    world.aside.drain(PATIENCE).await;
    assert_eq!(world.process.call("POST", "/connectors/p/restart", None).await.0, 204);
    world.process.until("/connectors/p/status", |_, body| body["connector"]["trace"].is_string()).await;
    let (good, out, err) = world.run(&["status", "p", "--format", "json"]).await;
    let status: Value = serde_json::from_str(&out).unwrap();
    assert!(!good && err.contains("not every pipeline does what it should"), "{err}");
    assert_eq!((&status["ok"], status["pipelines"][0]["waits"].is_string()), (&json!(false), true), "{status}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_at_home_is_said_with_the_address() {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_transforms"));
    let output = command.args(["status", "--url", "http://127.0.0.1:1"]).output().await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(error.contains("http://127.0.0.1:1/ does not answer; is `transforms serve` running there?"), "{error}");
}
