//! The edge at a real broker that asks who it is: SCRAM over TLS, certificates of both sides, and an authorizer that lets
//! it do what it must and nothing else.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::{Value, json};
use stack::{Identity, SecuredKafka};
use tokio::runtime::Runtime;

use crate::house::scratch;

const TOPIC: &str = "orders.received";
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
        users: &[("edge", PASSWORD), ("stranger", PASSWORD)],
    };
    let broker = SecuredKafka::start(&scratch("kafka-security"), &identity).unwrap_or_else(|error| panic!("{error}"));
    said("the broker is there");
    let runtime = Runtime::new().unwrap();
    runtime.block_on(make_topic(&broker.open()));
    // What edge/KAFKA.md tells to type.
    let rights = ["--operation", "Write", "--operation", "Describe", "--topic", TOPIC];
    let users = ["--allow-principal", "User:edge", "--allow-principal", "User:CN=edge"];
    let acls = |change: &[&str], rights: &[&str]| {
        broker.acls(&[change, &users, rights].concat()).unwrap_or_else(|error| panic!("{error}"));
    };
    acls(&["--add"], &rights);
    said("its rights are given");

    let registry = stub_registry();
    let login = |user: &str, password: &Path| {
        let flags = ["--kafka-security-protocol=sasl_ssl".to_owned(), format!("--kafka-sasl-username={user}")];
        [flags.to_vec(), vec![format!("--kafka-sasl-password-file={}", password.display())], files.ca()].concat()
    };
    let by_ip = broker.sasl_ssl().replace("localhost", "127.0.0.1");
    let wrong = files.write("changing-password", "wrong horse");
    let start = |name: &str, kafka: &str, flags: Vec<String>| Edge::start(name, kafka, &registry, &flags);

    let scram = start("scram", &broker.sasl_ssl(), login("edge", &files.password));
    let mtls = start("mtls", &broker.ssl(), [files.tls(), files.own("edge")].concat());
    let bad = [
        (start("password", &broker.sasl_ssl(), login("edge", &wrong)), "--kafka-sasl-password-file is wrong"),
        (start("rights", &broker.sasl_ssl(), login("stranger", &files.password)), "grant Write and Describe"),
        (start("host", &by_ip, login("edge", &files.password)), "another host name"),
        (start("authority", &broker.ssl(), [files.tls_of("other"), files.own("edge")].concat()), "--kafka-tls-ca"),
        (start("nobody", &broker.ssl(), files.tls()), "--kafka-tls-cert"),
        (start("forged", &broker.ssl(), [files.tls(), files.own("forged")].concat()), "--kafka-tls-cert"),
        (start("plain", &broker.sasl_ssl(), Vec::new()), "no broker"),
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
}

async fn make_topic(servers: &str) {
    let admin: AdminClient<_> = ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
    let topic = NewTopic::new(TOPIC, 3, TopicReplication::Fixed(1));
    let made = admin.create_topics([&topic], &AdminOptions::new()).await.unwrap();
    assert!(made.iter().all(Result::is_ok), "{made:?}");
}

/// How many records the topic has.
fn records(servers: &str) -> i64 {
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
    let ends = (0..3).map(|partition| consumer.fetch_watermarks(TOPIC, partition, PATIENCE).unwrap());
    ends.map(|(low, high)| high - low).sum()
}

// === the registry ===

/// Knows the one schema that an edge asks for, until the test ends.
fn stub_registry() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 64 * 1024];
            let _ = stream.read(&mut request);
            let known = json!({
                "subject": "orders.received-value", "version": 1, "id": 7,
                "schema": schemas::contracts::ORDERS_RECEIVED_AVSC,
            });
            let body = known.to_string();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}", body.len());
            let _ = stream.write_all(format!("{head}\r\nconnection: close\r\n\r\n{body}").as_bytes());
        }
    });
    format!("http://{address}")
}

// === certificates and passwords ===

/// All that the two sides show each other.
struct Files {
    dir: PathBuf,
    broker: String,
    authority: String,
    password: PathBuf,
}

impl Files {
    fn new(dir: &Path) -> Self {
        let (authority, issuer) = new_authority("authority");
        let (other, other_issuer) = new_authority("other");
        let (certificate, key) = signed("broker", &["localhost"], &issuer);
        let mut files =
            Self { dir: dir.to_owned(), broker: format!("{key}{certificate}"), authority, password: PathBuf::new() };
        files.write("ca.pem", &files.authority);
        files.write("other.pem", &other);
        for (name, issuer) in [("edge", &issuer), ("forged", &other_issuer)] {
            let (certificate, key) = signed("edge", &[], issuer);
            files.write(&format!("{name}.pem"), &certificate);
            files.write(&format!("{name}.key"), &key);
        }
        files.password = files.write("password", &format!("{PASSWORD}\n"));
        files
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn ca(&self) -> Vec<String> {
        vec![format!("--kafka-tls-ca={}", self.dir.join("ca.pem").display())]
    }

    fn tls(&self) -> Vec<String> {
        self.tls_of("ca")
    }

    fn tls_of(&self, authority: &str) -> Vec<String> {
        let authority = self.dir.join(format!("{authority}.pem"));
        vec!["--kafka-security-protocol=ssl".to_owned(), format!("--kafka-tls-ca={}", authority.display())]
    }

    fn own(&self, name: &str) -> Vec<String> {
        let path = |kind: &str| self.dir.join(format!("{name}.{kind}")).display().to_string();
        vec![format!("--kafka-tls-cert={}", path("pem")), format!("--kafka-tls-key={}", path("key"))]
    }
}

fn named(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn new_authority(name: &str) -> (String, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut params = named(name, &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    (pem, Issuer::new(params, key))
}

fn signed(name: &str, hosts: &[&str], issuer: &Issuer<'_, KeyPair>) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    (named(name, hosts).signed_by(&key, issuer).unwrap().pem(), key.serialize_pem())
}

// === the edge ===

/// An edge that does not outlive its test.
struct Edge {
    name: String,
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
    http: reqwest::Client,
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Edge {
    /// It takes free ports itself and tells which: a port that was found for it might be another edge's when it comes.
    fn start(name: &str, kafka: &str, registry: &str, flags: &[String]) -> Self {
        let tests = std::env::current_exe().unwrap();
        let program = tests.ancestors().nth(2).unwrap().join("edge");
        assert!(program.is_file(), "{} is not built: cargo build --workspace", program.display());
        let mut child = Command::new(program)
            .args(["--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--instance", name])
            .args(["--kafka", kafka, "--registry", registry, "--log=error,edge::app=info", "--log-format=json"])
            .args(flags)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let _ = tell.send(lines.next().unwrap_or_default());
            lines.for_each(|line| eprintln!("{line}"));
        });
        let first = told.recv_timeout(PATIENCE).unwrap_or_default();
        let first: Value = serde_json::from_str(&first).unwrap_or(Value::String(first));
        let at = |what: &str| first[what].as_str().and_then(|address| address.parse().ok());
        let (Some(address), Some(admin)) = (at("listen"), at("admin")) else {
            let _ = child.kill();
            panic!("{name}: does not listen, but says: {first}");
        };
        Self { name: name.to_owned(), child, address, admin, http: reqwest::Client::new() }
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
    }

    async fn post(&self, id: &str) -> (u16, Value) {
        let order = json!({ "orderId": id, "amount": 1, "customer": "c" }).to_string();
        let request = self.http.post(format!("http://{}/api/orders", self.address));
        let answer = request.header("content-type", "application/json").body(order).send().await.unwrap();
        (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
    }

    /// What readiness says of Kafka; empty when it is well.
    async fn reason(&self) -> String {
        let Ok(answer) = self.http.get(format!("http://{}/readyz", self.admin)).send().await else {
            return "not listening yet".to_owned();
        };
        let report: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        let conditions = report["conditions"].as_array().unwrap();
        let unmet = conditions.iter().filter(|condition| condition["met"] == false);
        unmet.map(|condition| condition["reason"].as_str().unwrap()).collect::<Vec<_>>().join("; ")
    }

    async fn until(&self, what: &str, holds: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        loop {
            let reason = self.reason().await;
            if holds(&reason) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{}: waited in vain until {what}; it says {reason:?}", self.name);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn until_ready(&self) {
        self.until("it is ready", str::is_empty).await;
    }

    async fn until_not_ready_because(&self, cause: &str) {
        self.until(&format!("it names {cause:?}"), |reason| reason.contains(cause)).await;
    }
}
