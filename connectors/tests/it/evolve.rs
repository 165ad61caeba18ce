//! `evolve` as a user calls it, on servers of our own making: what it shows, what it refuses, in which order it goes, and
//! that it goes on where it was stopped.

mod modules;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use connectors::config;
use schemas::contracts::{ORDER_PLACED_AVSC, ORDERS_RECEIVED_AVSC};
use serde_json::{Value, json};

use crate::command::{Folder, connectors};
use crate::house::postgres;
use crate::stub::{Stub, status};

const ADD: &str = "gift_note: string";
const LABEL: &str = "gift-note@1.0.0+sha256:0123456789ab";
const FILES: [&str; 3] =
    ["schemas/order_placed.avsc", "connectors/stores/order_placed.sql", "connectors/stores/order_placed.index.json"];

/// What the servers have.
#[derive(Debug)]
struct Held {
    schema: (u32, String),
    /// What the registry has against a schema.
    against: Vec<&'static str>,
    /// The id that the pipeline writes by.
    pinned: u32,
    index: Value,
    columns: Vec<(String, String)>,
    /// What the table's file would make, while it is only tried.
    tried: Option<Vec<(String, String)>>,
    /// What was written, in order.
    written: Vec<&'static str>,
    /// The registry is away when it is to be written.
    away: bool,
    /// What the pipeline runs.
    settings: Value,
    /// Why `transforms` takes no module.
    refuses: Option<&'static str>,
    /// What the module can be told.
    parameters: Value,
    /// The pipeline's state, and what `transforms` says of it once it has its file.
    state: &'static str,
    sent_back: Option<&'static str>,
    /// What somebody writes while the servers are asked.
    meddles: Option<(PathBuf, &'static str)>,
}

struct Room {
    held: Arc<Mutex<Held>>,
    stub: Stub,
    postgres: config::Postgres,
    folder: Folder,
}

/// The pipeline's file.
fn pipeline(folder: &Folder) -> Value {
    let text = fs::read_to_string(folder.0.join("connectors/orders-transforms.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn columns() -> Vec<(String, String)> {
    vec![("column order_id".to_owned(), "text".to_owned())]
}

fn gift(of: &str) -> (String, String) {
    ("column gift_note".to_owned(), of.to_owned())
}

impl Room {
    async fn new(name: &str) -> Self {
        let folder = Folder::new(&format!("evolve-{name}"), &[]);
        for part in ["connectors", "connectors/stores", "schemas", "schemas/versions"] {
            fs::create_dir_all(folder.0.join(part)).unwrap();
            let files = fs::read_dir(root().join(part)).unwrap().flatten().filter(|entry| entry.path().is_file());
            files.for_each(|file| _ = fs::copy(file.path(), folder.0.join(part).join(file.file_name())).unwrap());
        }
        // Whatever the checkout has by now, here it begins with its first version.
        fs::write(folder.0.join(FILES[0]), ORDER_PLACED_AVSC).unwrap();
        let index: Value = serde_json::from_str(&fs::read_to_string(folder.0.join(FILES[2])).unwrap()).unwrap();
        let held = Arc::new(Mutex::new(Held {
            schema: (2, ORDER_PLACED_AVSC.to_owned()),
            against: Vec::new(),
            pinned: 2,
            index,
            columns: columns(),
            tried: None,
            written: Vec::new(),
            away: false,
            settings: pipeline(&folder)["config"].clone(),
            refuses: None,
            parameters: json!([{ "name": "most", "required": false }]),
            state: "RUNNING",
            sent_back: None,
            meddles: None,
        }));
        let (seen, rows) = (Arc::clone(&held), Arc::clone(&held));
        let stub = Stub::start(move |line, body| answer(&mut seen.lock().unwrap(), line, body)).await;
        let postgres = postgres(move |asked| table(&mut rows.lock().unwrap(), asked)).await;
        Self { held, stub, postgres, folder }
    }

    /// Exit code, standard output and standard error.
    async fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let args: Vec<String> = ["evolve"].iter().chain(args).map(|arg| (*arg).to_owned()).collect();
        let files = self.folder.0.join("connectors").display().to_string();
        let (url, port) = (self.stub.url(), self.postgres.port.to_string());
        let work = tokio::task::spawn_blocking(move || {
            let urls = ["CONNECT_URL", "TRANSFORMS_URL", "SCHEMA_REGISTRY_URL", "ELASTICSEARCH_URL"];
            let mut servers: Vec<(&str, &str)> = urls.iter().map(|name| (*name, url.as_str())).collect();
            servers.extend([("POSTGRES_PORT", port.as_str()), ("CONNECTORS_DIR", &files)]);
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let output = connectors(&args, &servers);
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
            (output.status.code(), text(output.stdout), text(output.stderr))
        });
        work.await.unwrap()
    }

    fn texts(&self) -> Vec<String> {
        FILES.iter().map(|file| fs::read_to_string(self.folder.0.join(file)).unwrap()).collect()
    }

    fn written(&self) -> Vec<&'static str> {
        self.held.lock().unwrap().written.clone()
    }
}

/// Registry, Elasticsearch, Kafka Connect and `transforms`.
fn answer(held: &mut Held, line: &str, body: &[u8]) -> (u16, Value) {
    let sent = || serde_json::from_slice::<Value>(body).unwrap_or_default();
    let schema = |id: u32, text: &str| (200, json!({ "id": id, "version": 1, "subject": "s", "schema": text }));
    match line {
        line if line.contains("orders.received-value") => match line.starts_with("GET /config/") {
            true => (200, json!({ "compatibilityLevel": "BACKWARD" })),
            false => schema(1, ORDERS_RECEIVED_AVSC),
        },
        "GET /config/order_placed-value" => (200, json!({ "compatibilityLevel": "BACKWARD" })),
        "PUT /config/order_placed-value" => (200, json!({})),
        line if line.starts_with("GET /subjects/order_placed-value/versions/latest") => {
            schema(held.schema.0, &held.schema.1)
        }
        line if line.starts_with("POST /compatibility/") => {
            (200, json!({ "is_compatible": held.against.is_empty(), "messages": held.against }))
        }
        line if line.starts_with("POST /subjects/order_placed-value/versions") => {
            if held.away {
                return (500, json!({ "error_code": 40901, "message": "closed for the night" }));
            }
            let text = sent()["schema"].as_str().unwrap().to_owned();
            if held.schema.1 != text {
                held.schema = (held.schema.0 + 1, text);
                held.written.push("subject");
            }
            schema(held.schema.0, &held.schema.1)
        }
        line if line.starts_with("POST /subjects/order_placed-value") => {
            match sent()["schema"] == json!(held.schema.1) {
                true => schema(held.schema.0, &held.schema.1),
                false => (404, json!({ "error_code": 40403, "message": "Schema not found" })),
            }
        }
        "GET /order_placed" => (200, json!({ "order_placed": held.index })),
        "PUT /order_placed/_mapping" => {
            held.index["mappings"] = sent();
            held.written.push("index");
            (200, json!({ "acknowledged": true }))
        }
        "GET /connectors/orders-transforms/status" => {
            if let Some((file, text)) = held.meddles.take() {
                fs::write(file, text).unwrap();
            }
            let mut status = status("orders-transforms", &[held.state]);
            status["tasks"][0].as_object_mut().unwrap().remove("trace");
            status["connector"]["state"] = json!(held.state);
            if let Some(why) = held.sent_back.filter(|_| held.written.contains(&"pipeline")) {
                status["connector"]["trace"] = json!(why);
            }
            status["output_schema_id"] = json!(held.pinned);
            status["version"] = json!({ "id": "v", "slots": 1 });
            (200, status)
        }
        line if line.starts_with("POST /connectors/orders-transforms/restart") => {
            held.pinned = held.schema.0;
            held.written.push("pipeline");
            (202, json!({}))
        }
        "POST /modules?dry_run=true" => match held.refuses {
            Some(why) => (422, json!({ "check": "magic", "detail": why })),
            None => (200, json!({ "label": LABEL, "parameters": held.parameters })),
        },
        "POST /modules" => {
            held.written.push("module");
            (201, json!({ "label": LABEL }))
        }
        "GET /connectors/orders-transforms" => (200, json!({ "version": "v" })),
        "GET /connectors/orders-transforms/config" => (200, held.settings.clone()),
        "PUT /connectors/orders-transforms/config" => {
            (held.settings, held.pinned) = (sent(), held.schema.0);
            held.written.push("pipeline");
            (200, json!({}))
        }
        line if line.starts_with("GET /connectors/orders-") => (200, status("s", &["RUNNING"])),
        line => unreachable!("unexpected {line}"),
    }
}

/// PostgreSQL with one table, as far as it is asked.
fn table(held: &mut Held, asked: &str) -> Vec<Vec<String>> {
    let row = |text: &str| vec![vec![text.to_owned()]];
    let list = |parts: &[(String, String)]| parts.iter().map(|(key, value)| vec![key.clone(), value.clone()]).collect();
    let makes = asked.contains("add column if not exists gift_note text;");
    match asked {
        _ if asked.starts_with("begin;") => {
            held.tried = Some(Vec::new());
            Vec::new()
        }
        "rollback" => {
            held.tried = None;
            Vec::new()
        }
        "select quote_ident(current_schema())" => row("public"),
        "select pg_backend_pid()" => row("7"),
        _ if asked.trim_start().starts_with("with names as") => match asked.contains("'public'::regnamespace") {
            true => list(&held.columns),
            false => list(held.tried.as_deref().unwrap_or_default()),
        },
        _ if asked.starts_with("select to_regclass") => row("t"),
        _ if asked.contains("create table if not exists order_placed") => {
            match &mut held.tried {
                // First from nothing, then on a copy of what is there, which stays as it is.
                Some(tried) => {
                    let second = !tried.is_empty();
                    *tried = if second { held.columns.clone() } else { columns() };
                    if makes && tried.len() == 1 {
                        tried.push(gift("text"));
                    }
                }
                None if makes && held.columns.len() == 1 => {
                    held.columns.push(gift("text"));
                    held.written.push("table");
                }
                None => {}
            }
            Vec::new()
        }
        // Whatever tells one state of the catalogue from another.
        _ if asked.contains("md5") => row(&format!("{:?}", held.columns)),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn a_field_is_shown_with_all_that_changes_and_nothing_is_touched() {
    let room = Room::new("shown").await;
    let before = room.texts();
    let (code, told, err) = room.run(&["--add", ADD, "--doc", "What the card says."]).await;
    assert_eq!(code, Some(2), "{told}{err}");
    for words in [
        r#"field gift_note: ["null","string"]"#,
        "BACKWARD holds, as the registry says",
        "orders-postgres lets it through",
        r#"+    { "name": "gift_note", "type": ["null", "string"], "default": null, "doc": "What the card says." }"#,
        "+alter table order_placed add column if not exists gift_note text;",
        r#"+      "gift_note": { "type": "keyword" }"#,
        "order_placed.v2.example.json",
        "+ column gift_note: text",
        "+ mappings.properties.gift_note.type: keyword",
        "+ fields.gift_note: null|string = null",
        "is started over and takes the new one",
        "nothing was changed; --yes does it",
    ] {
        assert!(told.contains(words), "{words:?} is not in\n{told}");
    }
    assert_eq!((room.texts(), room.written()), (before, vec![]));
    assert!(!room.folder.0.join("schemas/versions/order_placed.v2.avsc").exists());
}

#[tokio::test]
async fn a_field_is_rolled_out_in_order_and_again_changes_nothing() {
    let room = Room::new("order").await;
    let args = ["--add", ADD, "--yes", "--without-rehearsal", "--wait", "5"];
    let (code, told, err) = room.run(&args).await;
    assert_eq!(code, Some(0), "{told}{err}");
    assert_eq!(room.written(), ["table", "index", "subject", "pipeline"], "{told}");
    assert!(told.contains("gift_note is in place; a module fills it"), "{told}");
    let [schema, ..] = &room.texts()[..] else { panic!("three files") };
    assert_eq!(&room.held.lock().unwrap().schema.1, schema, "the file's own text");
    let version = |end: &str| fs::read_to_string(room.folder.0.join(format!("schemas/versions/order_placed.v2.{end}")));
    assert_eq!(&version("avsc").unwrap(), schema);
    let example: Value = serde_json::from_str(&version("example.json").unwrap()).unwrap();
    assert_eq!((&example["reads_as"]["gift_note"], &example["reads_as"]["amount"]), (&json!("sample"), &json!(9999)));

    let after = room.texts();
    let (code, told, err) = room.run(&args).await;
    assert_eq!(code, Some(0), "{told}{err}");
    assert!(!told.contains("\nfiles\n") && !told.contains("\ndone\n"), "{told}");
    assert_eq!((room.texts(), room.written().len()), (after, 4));
    assert_eq!(room.run(&[]).await.0, Some(0), "files edited by hand are judged the same way");
}

#[tokio::test]
async fn one_that_was_stopped_half_way_is_finished_by_the_same_command() {
    let room = Room::new("stopped").await;
    room.held.lock().unwrap().away = true;
    let args = ["--add", ADD, "--yes", "--without-rehearsal", "--wait", "1"];
    let (code, told, err) = room.run(&args).await;
    assert_eq!(code, Some(1), "{told}{err}");
    assert!(err.contains("run the same again"), "{err}");
    assert_eq!(room.written(), ["table", "index"]);
    room.held.lock().unwrap().away = false;
    let (code, told, err) = room.run(&args).await;
    assert_eq!(code, Some(0), "{told}{err}");
    assert_eq!(room.written(), ["table", "index", "subject", "pipeline"]);
    // The pipeline alone is left behind.
    room.held.lock().unwrap().pinned = 2;
    assert_eq!(room.run(&args).await.0, Some(0));
    assert_eq!(room.written().last(), Some(&"pipeline"));
    assert_eq!(room.held.lock().unwrap().pinned, 3);
}

#[tokio::test]
async fn what_would_break_is_refused_with_the_reason_and_nothing_is_touched() {
    let room = Room::new("refused").await;
    let before = room.texts();
    let refused = async |args: &[&str], words: &str| {
        let (code, told, err) = room.run(&[args, &["--yes", "--without-rehearsal"]].concat()).await;
        assert_eq!(code, Some(1), "{args:?}: {told}{err}");
        assert!(told.contains(words) || err.contains(words), "{args:?}: {words:?} is not in\n{told}{err}");
        assert_eq!((room.texts(), room.written()), (before.clone(), vec![]), "{args:?}");
    };
    refused(&["--add", "channel: long"], "channel is there already").await;
    refused(&["--add", "transformed_by: string"], "makes a field transformed_by itself").await;
    refused(&["--add", "tax: decimal(9,2)", "--default", "0"], "leave --default out").await;
    room.held.lock().unwrap().against = vec!["READER_FIELD_MISSING_DEFAULT_VALUE"];
    refused(&["--add", ADD], "READER_FIELD_MISSING_DEFAULT_VALUE").await;
    room.held.lock().unwrap().against.clear();
    room.held.lock().unwrap().index["mappings"]["properties"]["gift_note"] = json!({ "type": "long" });
    refused(&["--add", ADD], "index order_placed: mappings.properties.gift_note.type").await;
    room.held.lock().unwrap().index["mappings"]["properties"].as_object_mut().unwrap().remove("gift_note");
    room.held.lock().unwrap().columns.push(gift("integer"));
    refused(&["--add", ADD], "table order_placed: column gift_note").await;
    let (code, _, err) = room.run(&["--add", "order: string"]).await;
    assert!(code == Some(1) && err.contains("order_of_order"), "{err}");
}

#[tokio::test]
async fn files_edited_by_hand_are_told_what_is_out_of_order() {
    let room = Room::new("by-hand").await;
    let path = room.folder.0.join(FILES[0]);
    let edit = |from: &str, to: &str| fs::write(&path, ORDER_PLACED_AVSC.replacen(from, to, 1)).unwrap();
    edit(
        "the order.\" }\n  ]",
        "the order.\" },\n    { \"name\": \"gift_note\", \"type\": [\"null\", \"string\"], \"default\": null }\n  ]",
    );
    let (code, _, err) = room.run(&[]).await;
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("table order_placed has no such column, so orders-postgres would stop"), "{err}");
    edit("\"name\": \"channel\"", "\"name\": \"canal\"");
    let (_, _, err) = room.run(&[]).await;
    assert!(err.contains("canal"), "{err}");
    edit("{ \"name\": \"channel\", \"type\": [\"null\", \"string\"], \"default\": null },", "");
    let (code, told, err) = room.run(&[]).await;
    assert!(code == Some(1) && told.contains("channel is gone"), "{told}{err}");
}
