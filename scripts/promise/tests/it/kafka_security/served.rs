//! Programs of ours as a test starts them, and what they say of themselves.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::PATIENCE;
use crate::beside::free_address;

/// Where a program lies: beside the tests, in the folder above.
pub(super) fn program(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests.ancestors().nth(2).unwrap().join(name);
    assert!(program.is_file(), "{} is not built: cargo build --workspace", program.display());
    program
}

/// A program that does not outlive its test.
pub(super) struct Served {
    pub(super) name: String,
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
    http: reqwest::Client,
    /// The lines of its log.
    said: Arc<Mutex<Vec<String>>>,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Served {
    pub(super) fn edge(name: &str, kafka: &str, registry: &str, flags: &[String]) -> Self {
        let mut command = Command::new(program("edge"));
        command.args(["--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--log=error,edge::app=info"]);
        command.args(["--registry", registry]);
        Self::start(name, command, kafka, flags, "admin")
    }

    pub(super) fn transforms(name: &str, kafka: &str, registry: &str, flags: &[String]) -> Self {
        let mut command = Command::new(program("transforms"));
        command.args(["serve", "--listen=127.0.0.1:0", "--log=error,transforms::app=info", "--registry", registry]);
        Self::start(name, command, kafka, flags, "listen")
    }

    /// A healer of this Connect. It does not tell which port it took itself, so it gets one. What it asks for an index is
    /// asked of the registry.
    pub(super) fn healer(name: &str, kafka: &str, connect: &str, registry: &str, flags: &[String]) -> Self {
        let mut command = Command::new(program("connectors"));
        command.args(["serve", "--listen", &free_address(), "--log=error,connectors::app=info,connectors::serve=info"]);
        command.args(["--connect", connect, "--registry", registry, "--elasticsearch", registry, "--postgres-port=1"]);
        Self::start(name, command, kafka, flags, "listen")
    }

    /// It takes free ports itself and tells which: a port that was found for it might be another's when it comes.
    fn start(name: &str, mut command: Command, kafka: &str, flags: &[String], admin: &str) -> Self {
        command.args(["--instance", name, "--kafka", kafka, "--log-format=json"]).args(flags);
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let said = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&said);
        let ear = std::thread::spawn(move || {
            for line in lines {
                eprintln!("{line}");
                hears.lock().unwrap().push(line);
            }
        });
        let listens = |line: &String| {
            let line: Value = serde_json::from_str(line).ok()?;
            let at = |what: &str| line[what].as_str()?.parse::<SocketAddr>().ok();
            Some((at("listen")?, at(admin)?))
        };
        let begun = Instant::now();
        let (address, admin) = loop {
            let is_over = ear.is_finished() || PATIENCE < begun.elapsed();
            let found = said.lock().unwrap().iter().find_map(listens);
            match found {
                Some(found) => break found,
                None if is_over => {
                    let _ = child.kill();
                    panic!("{name}: does not listen, but says: {:?}", said.lock().unwrap());
                }
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        Self { name: name.to_owned(), child, address, admin, http: reqwest::Client::new(), said }
    }

    pub(super) fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
    }

    pub(super) async fn post(&self, id: &str) -> (u16, Value) {
        let order = json!({ "orderId": id, "amount": 1, "customer": "c" }).to_string();
        let request = self.http.post(format!("http://{}/api/orders", self.address));
        let answer = request.header("content-type", "application/json").body(order).send().await.unwrap();
        (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
    }

    /// What readiness says; empty when all is well.
    pub(super) async fn reason(&self) -> String {
        let Ok(answer) = self.http.get(format!("http://{}/readyz?verbose", self.admin)).send().await else {
            return "not listening yet".to_owned();
        };
        let report: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        let conditions = report["conditions"].as_array().unwrap();
        let unmet = conditions.iter().filter(|condition| condition["met"] == false);
        unmet.map(|condition| condition["reason"].as_str().unwrap()).collect::<Vec<_>>().join("; ")
    }

    /// What a healer tells of its sinks, and whether it is the one that acts.
    pub(super) async fn healing(&self) -> Value {
        let answer = self.http.get(format!("http://{}/healing", self.admin)).send().await.unwrap();
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }

    async fn until(&self, what: &str, look: impl AsyncFn() -> String, holds: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        loop {
            let seen = look().await;
            if holds(&seen) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{}: waited in vain until {what}; it says {seen:?}", self.name);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(super) async fn until_ready(&self) {
        self.until("it is ready", async || self.reason().await, str::is_empty).await;
    }

    pub(super) async fn until_not_ready_because(&self, cause: &str) {
        let what = format!("it names {cause:?}");
        self.until(&what, async || self.reason().await, |reason| reason.contains(cause)).await;
    }

    /// Until one line of its log has all of these words.
    pub(super) async fn until_it_logs(&self, words: &[&str]) {
        let what = format!("one line says {words:?}");
        let log = async || self.said.lock().unwrap().join("\n");
        self.until(&what, log, |log| log.lines().any(|line| words.iter().all(|word| line.contains(word)))).await;
    }
}
