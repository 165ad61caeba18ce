//! Our programs at a real broker that asks who they are: SCRAM over TLS, certificates of both sides, and an authorizer that
//! lets each do what it must and nothing else.

mod files;
mod healer;
mod served;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use schemas::contracts::Topic;
use serde_json::{Value, json};
use stack::{Identity, SecuredKafka};
use tokio::runtime::Runtime;

use self::files::Files;
use self::served::{Served, program};
use crate::house::{root, scratch};
use crate::stub;

const TOPIC: &str = "orders.received";
const PARTITIONS: i32 = 3;
const PASSWORD: &str = "right horse 7";
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn kafka_security() {
    let begun = Instant::now();
    let said = |what: &str| println!("{:5.1} s: {what}", begun.elapsed().as_secs_f32());
    let files = Files::new(&scratch("kafka-security-files"));
    let identity = Identity {
        keystore: &files.broker,
        clients: &files.authority,
        users: &["edge", "transforms", "operator", "healer", "stranger"].map(|user| (user, PASSWORD)),
    };
    let broker = SecuredKafka::start(&scratch("kafka-security"), &identity).unwrap_or_else(|error| panic!("{error}"));
    said("the broker is there");
    let runtime = Runtime::new().unwrap();
    runtime.block_on(make_topics(&broker.open()));
    // What edge/KAFKA.md tells to type.
    let rights = ["--operation", "Write", "--operation", "Describe", "--topic", TOPIC];
    let users = ["--allow-principal", "User:edge", "--allow-principal", "User:CN=edge"];
    let acls = |change: &[&str], rights: &[&str]| {
        broker.acls(&[change, &users, rights].concat()).unwrap_or_else(|error| panic!("{error}"));
    };
    acls(&["--add"], &rights);
    said("its rights are given");

    let registry = stub_registry();
    let by_ip = broker.sasl_ssl().replace("localhost", "127.0.0.1");
    let wrong = files.write("changing-password", "wrong horse");
    let start = |name: &str, kafka: &str, flags: Vec<String>| Served::edge(name, kafka, &registry, &flags);

    let scram = start("scram", &broker.sasl_ssl(), files.login("edge", &files.password));
    let mtls = start("mtls", &broker.ssl(), [files.tls(), files.own("edge")].concat());
    let bad = [
        (start("password", &broker.sasl_ssl(), files.login("edge", &wrong)), "--kafka-sasl-password-file is wrong"),
        (start("rights", &broker.sasl_ssl(), files.login("stranger", &files.password)), "grant Write and Describe"),
        (start("host", &by_ip, files.login("edge", &files.password)), "another host name"),
        (start("authority", &broker.ssl(), [files.tls_of("other"), files.own("edge")].concat()), "--kafka-tls-ca"),
        (start("nobody", &broker.ssl(), files.tls()), "--kafka-tls-cert"),
        (start("forged", &broker.ssl(), [files.tls(), files.own("forged")].concat()), "--kafka-tls-cert"),
        (start("plain", &broker.sasl_ssl(), Vec::new()), "--kafka-security-protocol"),
    ];
    runtime.block_on(async {
        for (edge, id) in [(&scram, "by-scram"), (&mtls, "by-mtls")] {
            edge.until_ready().await;
            let (status, body) = edge.post(id).await;
            assert_eq!((status, &body["orderId"]), (202, &json!(id)), "{body}");
            said(id);
        }
        for (edge, cause) in &bad {
            edge.until_not_ready_because(cause).await;
            let asked = Instant::now();
            let (status, body) = edge.post("refused").await;
            assert_eq!((status, &body["persisted"]), (503, &json!("no")), "{}: {body}", edge.name);
            assert!(asked.elapsed() < Duration::from_secs(2), "{}: at once, not in {:?}", edge.name, asked.elapsed());
            said(&format!("{} is refused: {}", edge.name, edge.reason().await));
        }
    });
    assert_eq!(records(&broker.open()), 2);

    // A password that is put right needs a signal, and no restart.
    files.write("changing-password", PASSWORD);
    let [(mended, _), ..] = &bad;
    mended.signal("-HUP");
    runtime.block_on(async {
        mended.until_ready().await;
        assert_eq!(mended.post("mended").await.0, 202);
    });
    said("the password is mended");

    // A right that is taken while orders come is told as it is, and comes back by itself.
    acls(&["--remove", "--force"], &["--operation", "Write", "--topic", TOPIC]);
    said("the right to write is taken");
    runtime.block_on(async {
        for edge in [&scram, &mtls] {
            let asked = Instant::now();
            while edge.post("unwritten").await.0 == 202 {
                assert!(asked.elapsed() < PATIENCE, "{}: the right is taken", edge.name);
            }
            edge.until_not_ready_because("grant Write and Describe").await;
            for _ in 0..5 {
                let (status, body) = edge.post("unwritten").await;
                assert_eq!((status, &body["persisted"]), (503, &json!("no")), "{}: {body}", edge.name);
                tokio::time::sleep(Duration::from_millis(200)).await;
                assert!(edge.reason().await.contains("grant Write and Describe"), "it stays so");
            }
        }
    });
    let before = records(&broker.open());
    acls(&["--add"], &["--operation", "Write", "--topic", TOPIC]);
    said("and given back");
    runtime.block_on(async {
        for edge in [&scram, &mtls] {
            edge.until_ready().await;
            assert_eq!(edge.post("again").await.0, 202);
        }
    });
    assert_eq!(records(&broker.open()), before + 2, "no means no");
    said("and used");
    drop((scram, mtls, bad));

    transforms_come_up_with_their_rights(&broker, &files, &registry, &runtime);
    said("transforms is there");
    dead_letters_are_counted_with_an_operator_s_rights(&broker, &files);
    said("connectors has looked");
    healer::acts_with_its_rights(&broker, &files, &registry, &runtime);
    said("a healer has acted");
}

fn transforms_come_up_with_their_rights(broker: &SecuredKafka, files: &Files, registry: &str, runtime: &Runtime) {
    grant_as_told(broker, "transforms");
    let wrong = files.write("wrong-password", "wrong horse");
    let start = |name: &str, user: &str, password: &Path| {
        Served::transforms(name, &broker.sasl_ssl(), registry, &files.login(user, password))
    };
    let well = start("transforms", "transforms", &files.password);
    let bad = [
        (start("transforms-password", "transforms", &wrong), "--kafka-sasl-password-file is wrong"),
        (start("transforms-rights", "stranger", &files.password), "edge/KAFKA.md"),
        (Served::transforms("transforms-plain", &broker.sasl_ssl(), registry, &[]), "--kafka-security-protocol"),
    ];
    runtime.block_on(async {
        well.until_ready().await;
        for (transforms, cause) in &bad {
            transforms.until_not_ready_because(cause).await;
            println!("        {}: {}", transforms.name, transforms.reason().await);
        }
        assert_eq!(well.reason().await, "");
    });
}

fn dead_letters_are_counted_with_an_operator_s_rights(broker: &SecuredKafka, files: &Files) {
    grant_as_told(broker, "operator");
    let list = |flags: &[String]| {
        let begun = Instant::now();
        let mut command = Command::new("timeout");
        command.arg("60").arg(program("connectors")).args(["dead-letters", "list", "--format=json"]);
        let output = command.args(["--kafka", &broker.sasl_ssl()]).args(flags).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(begun.elapsed() < Duration::from_secs(20), "within seconds, not {:?}: {told}", begun.elapsed());
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), told)
    };
    let (code, listing, told) = list(&files.login("operator", &files.password));
    assert_eq!(code, Some(0), "{told}");
    let listing: Value = serde_json::from_str(&listing).unwrap();
    let topics = listing["topics"].as_object().unwrap();
    assert!(topics.len() == 3 && topics.values().all(|topic| topic["letters"] == 0), "{listing}");
    let wrong = files.write("wrong-password", "wrong horse");
    for (flags, cause) in [
        (files.login("operator", &wrong), "--kafka-sasl-password-file is wrong"),
        // Who may not see a topic is not told that it is empty.
        (files.login("stranger", &files.password), "edge/KAFKA.md"),
        (files.tls_of("other"), "--kafka-tls-ca"),
        (Vec::new(), "--kafka-security-protocol"),
    ] {
        let (code, listing, told) = list(&flags);
        assert!(code == Some(1) && listing.is_empty() && told.contains(cause), "{flags:?}: {code:?} {listing} {told}");
        println!("        {}", told.trim_end());
    }
}

/// Gives a user the rights that edge/KAFKA.md tells to type.
fn grant_as_told(broker: &SecuredKafka, user: &str) {
    let document = std::fs::read_to_string(root().join("edge/KAFKA.md")).unwrap().replace("\\\n", " ");
    let typed = document.lines().filter_map(|line| line.strip_prefix("$acls "));
    let typed: Vec<&str> = typed.filter(|line| line.contains(&format!("User:{user} "))).collect();
    assert!(!typed.is_empty(), "the document tells nothing for {user}");
    for line in typed {
        let words: Vec<&str> = std::iter::once("--add").chain(line.split_whitespace()).collect();
        broker.acls(&words).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

/// All that are ours, empty.
async fn make_topics(servers: &str) {
    let admin: AdminClient<_> = ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
    let ours = schemas::contracts::topics().unwrap();
    let partitions = |topic: &Topic| if topic.name == TOPIC { PARTITIONS } else { topic.partitions };
    let new = ours.iter().map(|topic| NewTopic::new(&topic.name, partitions(topic), TopicReplication::Fixed(1)));
    let topics: Vec<NewTopic<'_>> = new.collect();
    let made = admin.create_topics(&topics, &AdminOptions::new()).await.unwrap();
    assert!(made.iter().all(Result::is_ok), "{made:?}");
}

/// How many records the topic has.
fn records(servers: &str) -> i64 {
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
    let ends = (0..PARTITIONS).map(|partition| consumer.fetch_watermarks(TOPIC, partition, PATIENCE).unwrap());
    ends.map(|(low, high)| high - low).sum()
}

// === the registry ===

/// Knows the one schema that an edge asks for. Whoever asks it for an index hears nothing bad of that either.
fn stub_registry() -> String {
    stub::start(|_| {
        let schema = schemas::contracts::ORDERS_RECEIVED_AVSC;
        (200, json!({ "subject": "orders.received-value", "version": 1, "id": 7, "schema": schema }))
    })
}
