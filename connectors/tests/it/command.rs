//! The command itself: exit codes, what goes to standard output and what to standard error.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rdkafka::mocking::MockCluster;
use schemas::names::topics::DEAD_LETTER_MARKS;
use serde_json::{Value, json};

use crate::stub::{Stub, status};

pub(crate) fn connectors(args: &[&str], servers: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_connectors"));
    command.env_clear().args(args).envs(servers.iter().copied());
    command.output().unwrap()
}

pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let path = std::env::temp_dir().join(format!("connectors-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        for (file, text) in files {
            fs::write(path.join(file), text).unwrap();
        }
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn broken_files_are_refused_all_at_once_before_any_server_is_asked() {
    let files = [
        ("a.json", "{ \"name\": \"a\", \"config\": { \"topics\": \"t\" "),
        ("b.json", r#"{"name":"b","config":{"connector.class":"x.Y","tasks.max":2},"extra":1}"#),
        (
            "c.json",
            r#"{"name":"c","config":{"connector.class":"io.debezium.connector.jdbc.JdbcSinkConnector","topics":"t","topics":"u","connection.password":"hunter2"}}"#,
        ),
        (
            "d.json",
            r#"{"name":"c","config":{"connector.class":"io.debezium.connector.jdbc.JdbcSinkConnector","topics":"t","insert.mod":"upsert"}}"#,
        ),
    ];
    let folder = Folder::new("broken", &files);
    // Every address is one where nothing listens: with --wait at its default, asking any of them takes two minutes.
    let nowhere = ["CONNECT_URL", "TRANSFORMS_URL", "ELASTICSEARCH_URL", "SCHEMA_REGISTRY_URL"]
        .map(|name| (name, "http://127.0.0.1:1"));
    let servers = [&nowhere[..], &[("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1"), ("POSTGRES_PORT", "1")]].concat();
    let output = connectors(&["apply", "--files", folder.0.to_str().unwrap()], &servers);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    for wanted in [
        "a.json:1:41: error[json-syntax]: is not JSON: EOF",
        "b.json:1:62: error[file-shape]: extra: is not known here",
        "b.json:1:59: error[not-text]: tasks.max: 2 is not text",
        "b.json:1:41: error[unknown-class]: connector.class: `x.Y` is not known",
        "error[duplicate-key]: topics: is given twice",
        "error[inline-secret]: connection.password: holds a secret in the open",
        "error[unknown-key]: insert.mod: is not known to Debezium's JDBC sink 3.6.0.Final; did you mean insert.mode?",
        "error[name-clash]: name: `c` is also the name in ",
        "nothing was applied",
    ] {
        assert!(told.contains(wanted), "{wanted:?} is not in\n{told}");
    }
    assert!(!told.contains("hunter2"), "the secret is repeated: {told}");
    assert!(output.stdout.is_empty());
}

#[tokio::test]
async fn the_status_is_zero_only_while_everything_runs() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let list = |tasks: &'static [&'static str]| {
        move |line: &str, _: &[u8]| match line {
            "GET /connectors?expand=status&expand=info" => {
                (200, json!({"s": {"status": status("s", tasks), "info": {"config": {"topics": "t"}}}}))
            }
            "GET /connectors" => (200, json!([])),
            "GET /healing" => (200, json!({"connectors": {"s": {"healing": "restart 1 asked for"}}})),
            // As an older worker, which does not tell its versions.
            "GET /" | "GET /connector-plugins" => (404, json!({"message": "HTTP 404 Not Found"})),
            line => panic!("unexpected {line}"),
        }
    };
    let stub = Stub::start(list(&["RUNNING", "RUNNING"])).await;
    let (url, kafka) = (stub.url(), cluster.bootstrap_servers());
    let servers = [
        ("CONNECT_URL", url.as_str()),
        ("TRANSFORMS_URL", &url),
        ("CONNECTORS_URL", &url),
        ("KAFKA_BOOTSTRAP_SERVERS", &kafka),
    ];
    let run = async |args: &'static [&'static str]| {
        let servers = servers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let work = tokio::task::spawn_blocking(move || {
            connectors(args, &servers.each_ref().map(|(n, v)| (n.as_str(), v.as_str())))
        });
        work.await.unwrap()
    };
    let output = run(&["status"]).await;
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{table}");
    assert!(table.contains("s     sink  RUNNING  2/2    0    -\n"), "{table}");
    assert!(table.contains("dead letters: none"), "{table}");

    stub.say(list(&["RUNNING", "FAILED"]));
    let output = run(&["status", "--json"]).await;
    assert_eq!(output.status.code(), Some(2));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["ok"], false);
    assert_eq!(told["connectors"][0]["failure"], "B: no");
    assert_eq!(told["connectors"][0]["healing"], "restart 1 asked for");
    let tasks = json!([
        {"id": 0, "state": "RUNNING", "worker": "w", "failure": null},
        {"id": 1, "state": "FAILED", "worker": "w", "failure": "B: no"},
    ]);
    assert_eq!(told["connectors"][0]["tasks"], tasks);
    assert_eq!((&told["connectors"][0]["version"], &told["versions"]["connect"]), (&Value::Null, &Value::Null));
    let table = String::from_utf8(run(&["status"]).await.stdout).unwrap();
    assert!(table.contains("  task 1: FAILED on w: B: no\n") && !table.contains("task 0"), "{table}");

    stub.say(|_, _| (500, json!({"message": "no leader"})));
    assert_eq!(run(&["status"]).await.status.code(), Some(2), "who cannot be asked is not well");
}

/// One that watches without an end, among servers that are all away, and what it says.
fn watching() -> (Child, impl Iterator<Item = Value>) {
    let nowhere = ["CONNECT_URL", "TRANSFORMS_URL", "CONNECTORS_URL"].map(|name| (name, "http://127.0.0.1:1"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_connectors"));
    command.env_clear().args(["watch", "--every", "1", "--format", "json", "--kafka", "127.0.0.1:1"]).envs(nowhere);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()))
}

fn end(mut child: Child) -> ExitStatus {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if until <= Instant::now() {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_watch_for_programs_says_one_object_a_look_and_ends_well_when_nobody_reads_or_it_is_interrupted() {
    let (child, mut looks) = watching();
    for _ in 0..2 {
        let look = looks.next().unwrap();
        assert_eq!((&look["ok"], look["unreachable"].as_array().unwrap().len()), (&json!(false), 2), "{look}");
    }
    drop(looks);
    assert_eq!(end(child).code(), Some(0), "its reader is gone");

    let (child, mut looks) = watching();
    looks.next().unwrap();
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(end(child).code(), Some(0), "it was interrupted");
}

#[test]
fn the_lint_answers_for_people_programs_and_github_and_exits_by_what_it_found() {
    let sink = |name: &str, more: &str| {
        format!(
            r#"{{"name":"{name}","config":{{"connector.class":"io.debezium.connector.jdbc.JdbcSinkConnector","topics":"t",
"connection.url":"jdbc:postgresql://h/d","insert.mode":"upsert","primary.key.mode":"record_key",{more}
"consumer.override.isolation.level":"read_committed"}}}}"#
        )
    };
    let (wrong, odd, fine) = (sink("wrong", "\"insert.mod\":\"\","), sink("other", ""), sink("fine", ""));
    let folder = Folder::new("lint", &[("wrong.json", &wrong), ("odd.json", &odd), ("fine.json", &fine)]);
    let path = |file: &str| folder.0.join(file).to_str().unwrap().to_owned();
    let run = |args: &[&str]| {
        let output = connectors(&[&["lint"], args].concat(), &[]);
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };

    assert_eq!(run(&[&path("fine.json")]), (Some(0), String::new(), "0 errors, 0 warnings\n".to_owned()));
    let (code, told, count) = run(&[&path("odd.json")]);
    assert_eq!((code, count.as_str()), (Some(0), "0 errors, 1 warning\n"), "{told}");
    assert_eq!(run(&[&path("odd.json"), "--deny-warnings"]).0, Some(1));
    let (code, told, _) = run(&[&path("wrong.json")]);
    assert_eq!(code, Some(1));
    assert!(told.starts_with(&format!("{}:2:97: error[unknown-key]: insert.mod: ", path("wrong.json"))), "{told}");

    let (code, told, _) = run(&["--format", "json", &path("wrong.json"), &path("odd.json")]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((code, told.as_array().unwrap().len()), (Some(1), 2 + 1), "{told:#}");
    let (_, told, _) = run(&["--format", "github", &path("odd.json")]);
    assert!(told.starts_with("::warning file=") && told.contains(",line=1,col=9,title=file-name::name: "), "{told}");
    assert_eq!(run(&["--format", "xml"]).0, Some(2), "as LINT.md says");
    assert_eq!(run(&[&path("absent.json")]).0, Some(1));
}

#[test]
fn arguments_that_are_not_understood_are_an_error_and_no_finding() {
    let run = |args: &[&str]| {
        let output = connectors(args, &[]);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    for command in ["plan", "drift", "prune", "apply", "status", "watch", "trace", "verify", "serve", "evolve", "lnit"]
    {
        let (code, told, err) = run(&[command, "--nonsense"]);
        assert_eq!((code, told.as_str()), (Some(1), ""), "{command}: {err}");
        assert!(err.starts_with("error: "), "{command}: {err}");
    }
    assert_eq!(run(&["dead-letters", "replay", "lint"]).0, Some(1));
    assert_eq!(run(&["--log", "info", "lint", "--nonsense"]).0, Some(2), "as LINT.md says");
    let (code, told, err) = run(&[]);
    assert_eq!((code, told.as_str()), (Some(1), ""));
    assert!(err.contains("Usage: connectors"), "{err}");
    for args in [&["--help"][..], &["--version"], &["plan", "--help"], &["help", "lint"], &["lint", "--help"]] {
        let (code, told, err) = run(args);
        assert!(code == Some(0) && !told.is_empty() && err.is_empty(), "{args:?}: {code:?} {told}{err}");
    }
}

/// The environment's addresses may hold passwords.
#[test]
fn no_help_shows_what_the_environment_says() {
    let secret = "http://u:hunter2@h:1";
    let urls = ["CONNECT_URL", "TRANSFORMS_URL", "SCHEMA_REGISTRY_URL", "ELASTICSEARCH_URL", "CONNECTORS_URL"];
    let words = ["TRANSFORMS_TOKEN", "CONNECT_PASSWORD", "ELASTICSEARCH_PASSWORD", "POSTGRES_PASSWORD"];
    let servers: Vec<(&str, &str)> = urls.iter().chain(&words).map(|name| (*name, secret)).collect();
    let shown = |args: &[&str]| String::from_utf8(connectors(args, &servers).stdout).unwrap();
    for command in ["status", "watch", "trace", "serve", "plan", "apply", "lint", "dead-letters", "verify"] {
        let told = shown(&[command, "--help"]);
        assert!(told.contains("[env: ELASTICSEARCH_URL]"), "{command}: {told}");
        assert!(!told.contains("hunter2"), "{command}: {told}");
    }
    assert!(!shown(&["--help"]).contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_of_a_failure_quotes_nothing_of_a_record() {
    let cluster = MockCluster::new(1).unwrap();
    ["t", DEAD_LETTER_MARKS].iter().for_each(|topic| cluster.create_topic(topic, 1, 1).unwrap());
    let stub = Stub::start(|line, _| match line {
        "GET /connectors?expand=status&expand=info" => {
            let mut failed = status("s", &["FAILED"]);
            let trace = "a.B: put\n\tat x\nCaused by: c.D: failed to parse. Preview of field's value: 'Ada Lovelace'\n";
            failed["tasks"][0]["trace"] = json!(trace);
            (200, json!({"s": {"status": failed, "info": {"config": {"topics": "t"}}}}))
        }
        _ => (200, json!({})),
    })
    .await;
    let (url, kafka) = (stub.url(), cluster.bootstrap_servers());
    let nowhere = "http://127.0.0.1:1";
    let mut command = Command::new(env!("CARGO_BIN_EXE_connectors"));
    command.env_clear().arg("serve").envs([
        ("CONNECT_URL", url.as_str()),
        ("KAFKA_BOOTSTRAP_SERVERS", &kafka),
        ("CONNECTORS_LISTEN", "127.0.0.1:0"),
        ("CONNECTORS_INSTANCE", "here"),
        ("CONNECTORS_PARITY_EVERY", "0"),
        ("TRANSFORMS_URL", nowhere),
        ("SCHEMA_REGISTRY_URL", nowhere),
        ("ELASTICSEARCH_URL", nowhere),
        ("POSTGRES_PORT", "1"),
    ]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let told = tokio::task::spawn_blocking(move || lines.find(|line| line.contains("failed to parse")));
    let told = tokio::time::timeout(Duration::from_secs(60), told).await;
    child.kill().unwrap();
    child.wait().unwrap();
    let line = told.expect("it says nothing of the failure").unwrap().expect("it ended");
    assert!(line.contains("a.B: put <- c.D: failed to parse. Preview of field's value: "), "{line}");
    assert!(!line.contains("Lovelace"), "{line}");
}

/// Flags of one command may clash with those of all; only a start with them shows it.
#[test]
fn every_command_reads_its_flags_and_names_a_server_that_is_away() {
    let servers = [("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1"), ("CONNECT_URL", "http://127.0.0.1:1")];
    let letter = "orders.dead-letter/0/0";
    for (args, code) in [
        (&["lint", "--format", "json", "--deny-warnings", "."][..], &[0, 1][..]),
        (&["plan", "--format", "json", "--wait", "1", "--files", "/absent", "--rehearse", "--last", "5"], &[1]),
        (&["drift", "--format", "json", "--wait", "1", "--owner", "a", "--files", "/absent"], &[1]),
        (&["prune", "--yes", "--wait", "1", "--owner", "a", "--files", "/absent"], &[1]),
        (&["status", "--format", "json"], &[2]),
        (&["watch", "--looks", "1", "--every", "1", "--format", "json"], &[0]),
        (&["rehearse", "absent.json", "--last", "5", "--timeout", "1", "--examples", "0", "--format", "json"], &[1]),
        (
            &["evolve", "--add", "a: int", "--default", "-1", "--doc", "d", "--files", "/absent", "--format", "json"],
            &[1],
        ),
        (&["trace", "a", "--format", "json", "--time-limit", "1"], &[1, 2]),
        (&["dead-letters", "list", "--format", "json", "--time-limit", "1"], &[1]),
        (&["dead-letters", "show", letter, "--format", "json"], &[1]),
        (&["dead-letters", "replay", letter, "--format", "json"], &[1]),
        (&["verify", "--format", "json", "--time-limit", "1", "--since", "1h", "--slice", "1m"], &[1]),
        (&["dead-letters", "discard", letter, "--because", "b", "--format", "json"], &[1]),
    ] {
        let output = connectors(args, &servers);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.code().is_some_and(|found| code.contains(&found)),
            "{args:?}: {:?} {told}",
            output.status
        );
        assert!(!told.contains("panicked") && !told.contains("unexpected argument"), "{args:?}: {told}");
    }
}
