//! Settings from a file: which value wins, what is told of a bad one, and what can be set anew while the edge runs.

use std::{
    ffi::OsString,
    path::PathBuf,
    process::{Command, Output},
};

use edge::config::{Config, Settings};
use uuid::Uuid;

use crate::{
    command::{Edge, free_ports},
    world::{PATIENCE, World, get, order, post_lines},
};

struct TempFile(PathBuf);

impl TempFile {
    fn new(text: &str) -> Self {
        let file = Self(std::env::temp_dir().join(format!("edge-{}.toml", Uuid::new_v4())));
        file.write(text);
        file
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.0, text).unwrap();
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn edge(file: &TempFile, flags: &[&str], environment: &[(&str, &str)]) -> Output {
    // Should it serve where it must not, it does not do so for ever.
    let mut command = Command::new("timeout");
    command.args(["20", env!("CARGO_BIN_EXE_edge")]).args(flags);
    command.env_clear().env("EDGE_CONFIG", &file.0).envs(environment.iter().copied()).output().unwrap()
}

fn lines(bytes: &[u8], file: &TempFile) -> Vec<String> {
    let text = String::from_utf8(bytes.to_vec()).unwrap().replace(file.0.to_str().unwrap(), "FILE");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let file = TempFile::new("listen = '127.0.0.1:1'\nadmin-listen = '127.0.0.1:2'\nmax-body-bytes = 2048\n");
    let flags = ["--print-config", "--listen=127.0.0.1:3"];
    let environment =
        [("EDGE_LISTEN", "127.0.0.1:4"), ("EDGE_ADMIN_LISTEN", "127.0.0.1:5"), ("EDGE_ADMIN_HOSTS", "a,b")];
    let printed = edge(&file, &flags, &environment);
    let told = lines(&printed.stdout, &file);
    assert_eq!(printed.status.code(), Some(0), "{told:?}");
    for line in [
        r#"listen = "127.0.0.1:3" # flag"#,
        r#"admin-listen = "127.0.0.1:5" # environment, EDGE_ADMIN_LISTEN"#,
        r#"admin-hosts = ["a", "b"] # environment, EDGE_ADMIN_HOSTS"#,
        "max-body-bytes = 2048 # file, FILE:3:1",
        "max-batch-orders = 10000 # default",
        "# order-schema is not set",
    ] {
        assert!(told.iter().any(|told| told == line), "{line} is not in {told:#?}");
    }
    // What is printed leads to the same.
    let printed = String::from_utf8(printed.stdout).unwrap();
    let again = edge(&TempFile::new(&printed), &["--print-config"], &[]);
    let values = |text: &str| -> Vec<String> {
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split(" # ").next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(values(&String::from_utf8(again.stdout).unwrap()), values(&printed));
}

#[test]
fn a_check_tells_all_that_is_wrong_and_starts_nothing() {
    let file = TempFile::new("max-body-bytes = 9\nmax-batch-order = 1\ndrain-seconds = 'long'\n");
    let schema = TempFile::new("{\"type\": 7}");
    let flags = ["--check", "--listen=here", "--log=a=b=c", "--order-schema", schema.0.to_str().unwrap()];
    let environment = [("SCHEMA_REGISTRY_URL", "localhost"), ("EDGE_MAX_BATCH_BYTES", "much")];
    let checked = edge(&file, &flags, &environment);
    let told = lines(&checked.stderr, &file);
    assert_eq!((checked.status.code(), checked.stdout.len()), (Some(1), 0), "{told:#?}");
    for fault in [
        r#"edge: FILE:2:1: there is no setting "max-batch-order"; did you mean "max-batch-orders"?"#,
        r#"edge: --listen: "here" cannot be used: invalid socket address syntax"#,
        r#"edge: --drain-seconds (FILE:3:1): "long" cannot be used: invalid digit found in string"#,
        r#"edge: --max-batch-bytes (EDGE_MAX_BATCH_BYTES): "much" cannot be used: invalid digit found in string"#,
        "edge: --max-body-bytes (FILE:1:1): from 1024 to 16777216 is possible",
        "edge: --registry (SCHEMA_REGISTRY_URL): an address that begins with http:// or https:// is needed",
    ] {
        assert!(told.iter().any(|told| told == fault), "{fault} is not in {told:#?}");
    }
    for begin in ["edge: --order-schema: ", "edge: --log: log filter"] {
        assert!(told.iter().any(|told| told.starts_with(begin)), "{begin} is not in {told:#?}");
    }
    assert_eq!(told.len(), 8, "{told:#?}");

    // Nothing listens at these addresses, and the ports may be taken: nothing is asked or bound.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let file = TempFile::new(&format!("listen = '{}'\nkafka = '127.0.0.1:1'\n", taken.local_addr().unwrap()));
    let checked = edge(&file, &["--check"], &[("SCHEMA_REGISTRY_URL", "http://127.0.0.1:1")]);
    assert_eq!((checked.status.code(), String::from_utf8(checked.stdout).unwrap()), (Some(0), "ok\n".to_owned()));
}

/// The settings that the world was going to use, and those of a file.
fn with_file(config: &Config, file: &TempFile, flags: &[&str]) -> Config {
    let words =
        ["edge", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--instance=test", "--kafka", &config.kafka];
    let words = words.into_iter().chain(["--registry", config.registry.url(), "--config", file.0.to_str().unwrap()]);
    let words: Vec<OsString> = words.chain(flags.iter().copied()).map(OsString::from).collect();
    Settings::read(&words).unwrap().config.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_are_read_anew_and_a_bad_file_changes_nothing() {
    let file = TempFile::new("max-body-bytes = 1024\nmax-batch-orders = 2\nmax-batch-bytes = 4096\n");
    let world = World::with(|config| *config = with_file(config, &file, &["--max-batch-bytes=8192"])).await;
    let large = format!(r#"{{"orderId":"a","amount":1,"customer":"c"{}}}"#, " ".repeat(1500));
    let three = format!("{}\n{}\n{}\n", order("b"), order("c"), order("d"));
    let limits = async || {
        let (single, batch) = (world.post(&large).await, post_lines(world.app.address, &three).await);
        (single.status, batch.receipts().iter().filter(|receipt| receipt["status"] == 202).count())
    };
    assert_eq!(limits().await, (413, 2));
    let described = async || get(world.app.address, "/openapi.json").await.text;
    assert!(described().await.contains("at most 1024 bytes, that of a batch 8192 bytes and 2 orders"));

    file.write("max-body-bytes = 2048\nmax-batch-orders = 3\nmax-batch-bytes = 1\ndrain-seconds = 9\n");
    assert_eq!(world.app.reloads.run(), [], "the flag still wins over the file's max-batch-bytes");
    assert_eq!(limits().await, (202, 3));
    assert!(described().await.contains("at most 2048 bytes, that of a batch 8192 bytes and 3 orders"));

    for bad in ["max-body-bytes = 1024\nmax-batch-orders = 0\ncolour = 3\n", "max-body-bytes = \n", "listen = 7\n"] {
        file.write(bad);
        let faults = world.app.reloads.run();
        assert!(matches!(&faults[..], [("settings", _)]), "{bad}: {faults:?}");
        assert_eq!(limits().await, (202, 3), "{bad}");
    }
    file.write("max-body-bytes = 7\nmax-batch-orders = 0\ncolour = 3\n");
    let faults = world.app.reloads.run();
    let (_, told) = &faults[0];
    assert!(["max-body-bytes", "max-batch-orders", "colour"].iter().all(|key| told.contains(key)), "{told}");
}

/// As an operator does it who looks for something: more is logged, with no restart, and then less again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_logged_is_read_anew_and_the_log_says_what_needs_a_restart() {
    let world = World::ready().await;
    let file = TempFile::new("log = 'info'\n");
    let (address, admin) = free_ports().await;
    let mut edge = Edge::start_logging(&world, address, admin, &["--config", file.0.to_str().unwrap()]);
    edge.until_ready().await;
    let mut log = edge.log();
    let mut until_told = async |parts: &[&str]| {
        let told =
            async { while !log.recv().await.is_some_and(|line| parts.iter().all(|part| line.contains(part))) {} };
        tokio::time::timeout(PATIENCE, told).await.unwrap_or_else(|_| panic!("{parts:?} is not told"));
    };
    file.write("log = 'info,edge=debug'\nmax-batch-orders = 7\ndrain-seconds = 9\n");
    edge.signal("-HUP");
    until_told(&["max-batch-orders 7", "in use: max-batch-orders, log", "in need of a restart: drain-seconds"]).await;
    assert_eq!(post_lines(edge.address, &(order("a") + "\n")).await.status, 207);
    until_told(&["DEBUG", "batch is complete"]).await;
    file.write("log = 'edge=much'\n");
    edge.signal("-HUP");
    until_told(&["stays in use", "edge=much"]).await;
    assert_eq!(post_lines(edge.address, &(order("b") + "\n")).await.status, 207);
    until_told(&["DEBUG", "batch is complete"]).await;
}
