//! Programs of ours as a test starts them, and what they say of themselves.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::PATIENCE;

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

    /// It takes free ports itself and tells which: a port that was found for it might be another's when it comes.
    fn start(name: &str, mut command: Command, kafka: &str, flags: &[String], admin: &str) -> Self {
        command.args(["--instance", name, "--kafka", kafka, "--log-format=json"]).args(flags);
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let _ = tell.send(lines.next().unwrap_or_default());
            lines.for_each(|line| eprintln!("{line}"));
        });
        let first = told.recv_timeout(PATIENCE).unwrap_or_default();
        let first: Value = serde_json::from_str(&first).unwrap_or(Value::String(first));
        let at = |what: &str| first[what].as_str().and_then(|address| address.parse().ok());
        let (Some(address), Some(admin)) = (at("listen"), at(admin)) else {
            let _ = child.kill();
            panic!("{name}: does not listen, but says: {first}");
        };
        Self { name: name.to_owned(), child, address, admin, http: reqwest::Client::new() }
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

    pub(super) async fn until_ready(&self) {
        self.until("it is ready", str::is_empty).await;
    }

    pub(super) async fn until_not_ready_because(&self, cause: &str) {
        self.until(&format!("it names {cause:?}"), |reason| reason.contains(cause)).await;
    }
}
