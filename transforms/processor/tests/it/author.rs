//! The author's way through the command itself, with real builds: new, build, test, dev, push --dev.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use http::StatusCode;
use hyper::body::Incoming;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use schemas::contracts::ORDERS_RECEIVED_AVSC;
use schemas::order::{Order, Timestamp};
use schemas::{codec, framing};
use serde_json::{Value, json};
use service_kit::Tasks;
use service_kit::http::{Limits, Response, bind, json as answer, serve};

use crate::harness::PATIENCE;
use crate::rest::{Process, cluster, config, registry, state_topics};

/// The id of `orders.received` in the registry of these tests.
const RECEIVED: u32 = 3;
/// From the save of a source to its diff. Two seconds is the goal on a machine that does nothing else; here other tests
/// build beside it, in a folder that only one of them may build in at a time.
const SAVE_TO_DIFF: Duration = Duration::from_secs(30);
/// The longest that `dev` may say nothing, a first build on a busy machine included.
const SILENCE: Duration = Duration::from_secs(300);

fn transforms(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_transforms"));
    command.current_dir(dir).args(arguments).env("NO_COLOR", "1").env("ORDERFLOW_LOG", "warn").stdin(Stdio::null());
    command
}

fn run(dir: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = transforms(dir, arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A folder that `transforms new` made. Its `target` is that of the hostile guests, so that the crates that both need are
/// built once.
fn module(name: &str) -> PathBuf {
    let rooms = Path::new(env!("CARGO_TARGET_TMPDIR")).join("author");
    std::fs::create_dir_all(&rooms).unwrap();
    let _ = std::fs::remove_dir_all(rooms.join(name));
    let (code, stdout, stderr) = run(&rooms, &["new", name]);
    assert_eq!((code, stdout.trim()), (Some(0), name), "{stderr}");
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../evil").canonicalize().unwrap().join("target");
    std::fs::create_dir_all(&shared).unwrap();
    std::os::unix::fs::symlink(shared, rooms.join(name).join("target")).unwrap();
    rooms.join(name)
}

/// The component of a folder as it was made, built once.
fn built() -> &'static Path {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
        let dir = module("try-rule");
        let (code, stdout, stderr) = run(&dir, &["build"]);
        assert_eq!((code, stdout.trim()), (Some(0), "./try-rule.wasm"), "{stderr}");
        dir.join("try-rule.wasm")
    });
    &BUILT
}

#[test]
fn a_new_module_passes_its_own_tests_natively_with_the_lock_file_that_it_came_with() {
    let dir = built().parent().unwrap();
    assert_eq!(std::fs::read_to_string(dir.join("Cargo.lock")).unwrap(), transforms::author::kit::lock("try-rule"));
    let mut cargo = Command::new(env!("CARGO"));
    // As an author's shell: what cargo told this test is not for the other cargo. Release shares the macros' build.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO") || name == "LD_LIBRARY_PATH") {
        cargo.env_remove(name);
    }
    let tested = cargo.current_dir(dir).args(["test", "--release", "--locked"]).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&tested.stdout), String::from_utf8_lossy(&tested.stderr));
    assert!(tested.status.success() && stdout.contains("4 passed"), "{stdout}{stderr}");
    assert!(!stderr.contains("warning"), "{stderr}");
}

#[test]
fn a_folder_is_made_whole_or_not_at_all() {
    let dir = module("twice");
    let rooms = dir.parent().unwrap();
    let (code, _, stderr) = run(rooms, &["new", "twice"]);
    assert!(code == Some(1) && stderr.contains("is there already"), "{stderr}");
    let (code, _, stderr) = run(rooms, &["new", "Not_So"]);
    assert!(code == Some(1) && stderr.contains("for example not-so"), "{stderr}");
    let longer = rooms.join("longer.avsc");
    let field = r#"{ "name": "gift_note", "type": ["null", "string"], "default": null }"#;
    let schema = transforms::author::kit::SCHEMA.1.trim_end().strip_suffix('}').unwrap().trim_end();
    let schema = format!("{}, {field}]}}", schema.strip_suffix(']').unwrap());
    std::fs::write(&longer, &schema).unwrap();
    let (code, _, stderr) = run(rooms, &["new", "with-field", "--dir", "twice/with-field", "--schema", "longer.avsc"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(std::fs::read_to_string(dir.join("with-field/order_placed.avsc")).unwrap(), schema);
    std::fs::write(&longer, "{").unwrap();
    let (code, _, stderr) = run(rooms, &["new", "no-schema", "--schema", "longer.avsc"]);
    assert!(code == Some(1) && stderr.contains("no schema of orders") && !rooms.join("no-schema").exists(), "{stderr}");
    std::fs::write(dir.join("kit/wit/transform.wit"), "old").unwrap();
    let (code, _, stderr) = run(&dir, &["new", "--kit"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        std::fs::read_to_string(dir.join("kit/wit/transform.wit")).unwrap().contains("package orderflow:transform")
    );
}

#[test]
fn a_module_is_tried_on_lines_and_shows_before_and_after() {
    let wasm = built();
    let dir = wasm.parent().unwrap();
    let (code, stdout, stderr) = run(dir, &["test", "try-rule.wasm"]);
    assert_eq!(code, Some(0), "{stderr}");
    for expected in [
        "try-rule@0.1.0+sha256:",
        "line 1  sample-1  changed\n  channel  null → \"web\"\n",
        "line 3  sample-3  rejected: customer is blank\n",
        "line 4  sample-4  dropped\n",
        "5 orders: 2 changed, 1 unchanged, 1 dropped, 1 rejected; ",
        "a record\n",
    ] {
        assert!(stdout.contains(expected), "{expected:?} is not in\n{stdout}");
    }
    let set = ["test", "try_rule.wasm", "--set", "default.channel=phone", "--format", "json"];
    let (code, _, stderr) = run(dir, &set);
    assert!(code == Some(1) && stderr.contains("did you mean try-rule.wasm?"), "{stderr}");
    let set = ["test", "try-rule.wasm", "--set", "default.channel=phone", "--format", "json"];
    let (code, stdout, stderr) = run(dir, &set);
    assert_eq!(code, Some(0), "{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let change = json!({ "field": "channel", "before": null, "after": "phone" });
    assert_eq!(report["records"][0]["outcome"], "emitted", "{report}");
    assert_eq!(report["records"][0]["outputs"][0]["changes"], json!([change]), "{report}");
    assert_eq!(
        report["records"][2],
        json!({ "at": "line 3", "key": "sample-3", "outcome": "rejected", "reason": "customer is blank" })
    );
    assert!(report["nanoseconds_per_record"].as_u64().is_some_and(|time| time > 0), "{report}");

    let (code, _, stderr) = run(dir, &["test", "try-rule.wasm", "--set", "channel=x"]);
    assert!(code == Some(1) && stderr.contains("has no such parameter; it has: default.channel"), "{stderr}");
    std::fs::write(dir.join("wrong.ndjson"), "\n{\"orderId\":\"a\",\"amount\":1,\"custmer\":\"c\"}\n").unwrap();
    let (code, _, stderr) = run(dir, &["test", "try-rule.wasm", "--input", "wrong.ndjson"]);
    let words = "wrong.ndjson line 2: custmer: is no field of Order; did you mean customer?";
    assert!(code == Some(1) && stderr.contains(words), "{stderr}");
    std::fs::write(dir.join("id.ndjson"), "{\"orderId\":\"a/b\",\"amount\":1,\"customer\":\"c\"}\n").unwrap();
    let (code, stdout, _) = run(dir, &["test", "try-rule.wasm", "--input", "id.ndjson"]);
    assert!(code == Some(3) && stdout.contains("refused before the module: order id breaks"), "{stdout}");
}

/// A registry that has the schema of `orders.received`.
async fn received(tasks: &Tasks) -> String {
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = tower::service_fn(|request: http::Request<Incoming>| async move {
        let known = request.uri().path() == format!("/schemas/ids/{RECEIVED}");
        Ok::<Response, std::convert::Infallible>(if known {
            answer(StatusCode::OK, &json!({ "schema": ORDERS_RECEIVED_AVSC }))
        } else {
            answer(StatusCode::NOT_FOUND, &json!({ "error_code": 40403, "message": "Schema not found" }))
        })
    });
    tasks.spawn(serve(listener, service, Limits::default(), tasks.clone()));
    format!("http://{address}")
}

/// Writes orders `o-0`, `o-1`, … one millisecond apart.
fn write(cluster: &MockCluster<'_, DefaultProducerContext>, count: i64) {
    let producer: ThreadedProducer<_> =
        ClientConfig::new().set("bootstrap.servers", cluster.bootstrap_servers()).create().unwrap();
    for number in 0..count {
        let id = format!("o-{number}");
        let order = Order {
            order_id: id.parse().unwrap(),
            amount: "12.50".parse().unwrap(),
            customer: "ann".to_owned(),
            currency: None,
            items: Vec::new(),
            email: None,
            country: None,
            channel: None,
            created_at: Timestamp(1_700_000_000_000),
            received_at: Timestamp(1_700_000_000_000),
        };
        let mut value = framing::header(RECEIVED).to_vec();
        codec::encode(&order, &mut value);
        let record = BaseRecord::to("in").key(&id).payload(&value).timestamp(1_700_000_000_000 + number);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

/// What is committed of the topic's partitions under the name that a look at it goes by.
fn committed(cluster: &MockCluster<'_, DefaultProducerContext>) -> Vec<Offset> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "transforms-author")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_range("in", 0, 1);
    let found = consumer.committed_offsets(list, PATIENCE).unwrap();
    found.elements().iter().map(|partition| partition.offset()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_is_tried_on_the_newest_orders_of_a_topic() {
    let (cluster, aside) = (cluster(), Tasks::new());
    let registry = received(&aside).await;
    let tried = tokio::task::block_in_place(|| {
        write(&cluster, 20);
        let (brokers, wasm) = (cluster.bootstrap_servers(), built());
        let run = |topic: &str, registry: &str| {
            let from = ["test", "try-rule.wasm", "--from-topic", topic, "--last", "3"];
            let servers = ["--kafka", &brokers, "--registry", registry];
            run(wasm.parent().unwrap(), &[&from[..], &servers[..]].concat())
        };
        [run("in", &registry), run("none", &registry), run("out", &registry), run("in", "http://127.0.0.1:1")]
    });
    let committed = tokio::task::block_in_place(|| committed(&cluster));
    assert_eq!(committed, [Offset::Invalid; 2], "who only looks leaves no position behind");
    let [(code, stdout, stderr), none, empty, away] = tried;
    assert_eq!(code, Some(0), "{stderr}");
    for number in 17..20 {
        assert!(stdout.contains(&format!("  o-{number}  changed\n  channel  null → \"web\"\n")), "{stdout}");
    }
    assert!(stdout.contains("3 orders: 3 changed;"), "{stdout}");
    assert!(none.0 == Some(1) && none.2.contains("there is no topic none"), "{}", none.2);
    assert!(empty.0 == Some(1) && empty.2.contains("topic out has no records"), "{}", empty.2);
    assert!(away.0 == Some(1) && away.2.contains("is --registry the right one?"), "{}", away.2);
    aside.drain(PATIENCE).await;
}

/// `transforms dev`, which ends with this value.
struct Dev(Child);

impl Dev {
    /// Gives what it says from now on, each time up to a line that begins so.
    fn listen(&mut self) -> impl Fn(&str) -> String + use<> {
        let lines = BufReader::new(self.0.stdout.take().unwrap()).lines();
        let (said, heard) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| said.send(line)));
        move |end| {
            let mut text = String::new();
            while let Ok(line) = heard.recv_timeout(SILENCE) {
                text.push_str(&line);
                text.push('\n');
                if line.starts_with(end) {
                    return text;
                }
            }
            panic!("{end:?} never came:\n{text}")
        }
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn dev_shows_soon_what_each_save_does_and_what_the_compiler_says() {
    let dir = module("dev-rule");
    let source = dir.join("src/lib.rs");
    let original = std::fs::read_to_string(&source).unwrap();
    let mut dev = Dev(transforms(&dir, &["dev", "--builds", "5"]).stdout(Stdio::piped()).spawn().unwrap());
    let until = dev.listen();
    let first = until("watching");
    assert!(first.contains("channel  null → \"web\"") && first.contains("after first build"), "{first}");
    std::fs::write(&source, original.replace("config.default_channel.clone()", "config.default_chanel.clone()"))
        .unwrap();
    let broken = until("watching");
    assert!(broken.contains("no field `default_chanel`") && broken.contains("src/lib.rs:"), "{broken}");
    assert!(!broken.contains("orders:"), "the error stands instead of the diff: {broken}");
    // The best of three: a build waits for others in the folder that they share.
    let took = ["kiosk", "phone", "stall"].map(|channel| {
        let saved = Instant::now();
        let changed = format!("\"{channel}\".to_owned()");
        std::fs::write(&source, original.replace("config.default_channel.clone()", &changed)).unwrap();
        let mended = until("watching");
        let took = saved.elapsed();
        let change = format!("channel  null → \"{channel}\"");
        assert!(mended.contains(&change) && mended.contains("after src/lib.rs"), "{mended}");
        took
    });
    println!("from save to diff: {took:?}");
    assert!(took.iter().min() < Some(&SAVE_TO_DIFF), "from save to diff: {took:?}");
    assert!(dev.0.wait().unwrap().success());
    std::fs::write(&source, original.replace("config.default_channel.clone()", "config.default_chanel.clone()"))
        .unwrap();
    let (code, stdout, _) = run(&dir, &["dev", "--once"]);
    assert!(code == Some(1) && stdout.contains("no field `default_chanel`"), "what does not build fails: {stdout}");
}

#[test]
fn dev_shows_the_orders_of_standard_input_at_each_save() {
    let dir = module("piped-rule");
    let (source, samples) = (dir.join("src/lib.rs"), std::fs::read(dir.join("orders.ndjson")).unwrap());
    // Nothing else has orders.
    std::fs::remove_file(dir.join("orders.ndjson")).unwrap();
    let mut command = transforms(&dir, &["dev", "--builds", "2", "--input", "-"]);
    let mut dev = Dev(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
    // Dropped at once, which ends it.
    dev.0.stdin.take().unwrap().write_all(&samples).unwrap();
    let until = dev.listen();
    // The second may come of another test, which writes the kit that they share.
    for why in ["after first build", "after "] {
        let shown = until("watching");
        assert!(shown.contains("line 1  sample-1  changed\n  channel  null → \"web\"\n"), "{shown}");
        assert!(shown.contains("5 orders: ") && shown.contains(why), "{shown}");
        let original = std::fs::read_to_string(&source).unwrap();
        std::fs::write(&source, original + "\n").unwrap();
    }
    assert!(dev.0.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throw_away_version_runs_in_a_local_pipeline_and_in_no_other() {
    let (cluster, aside) = (cluster(), Tasks::new());
    let registry = registry(&aside).await;
    state_topics(&cluster);
    let process = Process::start(&cluster, &registry).await;
    process.until("/connectors", |status, _| status == 200).await;
    let url = process.url.clone();
    let (code, stdout, stderr) =
        tokio::task::block_in_place(|| run(built().parent().unwrap(), &["push", "--dev", "--json", "--url", &url]));
    assert_eq!(code, Some(0), "{stderr}");
    let pushed: Value = serde_json::from_str(&stdout).unwrap();
    assert!(pushed["version"].as_str().unwrap().starts_with("0.0."), "{pushed}");
    assert!(stderr.contains("\"local\": \"true\", \"transforms.try-rule.type\": \"try-rule@0.0\""), "{stderr}");
    let mut piped = config();
    piped["transforms"] = json!("r");
    piped["transforms.r.type"] = json!("try-rule@0.0");
    let (status, body) = process.call("PUT", "/connectors/p/config", Some(piped.clone())).await;
    assert_eq!((status, &body["faults"][0]["key"]), (400, &json!("transforms.r.type")), "{body}");
    assert!(body["message"].as_str().unwrap().contains("is a throw-away version"), "{body}");
    piped["local"] = json!("true");
    assert_eq!(process.call("PUT", "/connectors/p/config", Some(piped)).await.0, 201);
    let (_, running) = process.call("GET", "/connectors/p", None).await;
    assert_eq!(running["modules"]["r"]["digest"], pushed["digest"], "{running}");
    process.tasks.drain(PATIENCE).await;
    aside.drain(PATIENCE).await;
}
