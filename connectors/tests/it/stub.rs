//! A small HTTP server in process, with answers that a test may change and a list of what was asked.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};
use service_kit::{Tasks, http as kit};

/// A test that asserts inside its answers would fail in the server's task, unheard; the stub's end tells it.
type Faults = Arc<Mutex<Vec<String>>>;
type Answers = Box<dyn FnMut(&str, &[u8]) -> (u16, Value) + Send>;

/// A server at an address of its own; it ends with the test.
pub(crate) struct Stub {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    logins: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<Answers>>,
    faults: Faults,
    tasks: Tasks,
}

impl Drop for Stub {
    fn drop(&mut self) {
        let faults = self.faults.lock().unwrap();
        assert!(faults.is_empty() || std::thread::panicking(), "asked, and not as expected: {faults:?}");
    }
}

impl Stub {
    /// Starts one that answers by `answers`, which gets `METHOD /path?query` and the body.
    pub(crate) async fn start(answers: impl FnMut(&str, &[u8]) -> (u16, Value) + Send + 'static) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), answers).await
    }

    /// The same at a known address.
    pub(crate) async fn at(
        address: SocketAddr,
        answers: impl FnMut(&str, &[u8]) -> (u16, Value) + Send + 'static,
    ) -> Self {
        Self::with(address, None, answers).await
    }

    /// The same with TLS.
    pub(crate) async fn with(
        address: SocketAddr,
        tls: Option<kit::Tls>,
        answers: impl FnMut(&str, &[u8]) -> (u16, Value) + Send + 'static,
    ) -> Self {
        let listener = kit::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers: Arc<Mutex<Answers>> = Arc::new(Mutex::new(Box::new(answers)));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let tasks = Tasks::new();
        let faults = Faults::default();
        let logins = Arc::new(Mutex::new(Vec::new()));
        let (seen, say, told) = (Arc::clone(&asked), Arc::clone(&answers), Arc::clone(&faults));
        let who = Arc::clone(&logins);
        let service = tower::service_fn(move |request: Request<Incoming>| {
            let login = request.headers().get(http::header::AUTHORIZATION);
            who.lock().unwrap().extend(login.map(|login| String::from_utf8_lossy(login.as_bytes()).into_owned()));
            answer(request, Arc::clone(&seen), Arc::clone(&say), Arc::clone(&told))
        });
        let (limits, places) = (kit::Limits::default(), kit::Connections::new(64));
        tasks.spawn(kit::serve_with(listener, service, limits, tls.map(Arc::new), places, tasks.clone()));
        Self { address, asked, logins, answers, faults, tasks }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Other answers from now on.
    pub(crate) fn say(&self, answers: impl FnMut(&str, &[u8]) -> (u16, Value) + Send + 'static) {
        *self.answers.lock().unwrap() = Box::new(answers);
    }

    /// What was asked so far that begins so.
    pub(crate) fn asked(&self, start: &str) -> Vec<String> {
        self.asked.lock().unwrap().iter().filter(|line| line.starts_with(start)).cloned().collect()
    }

    /// The logins that came, as they stood in the headers.
    pub(crate) fn logins(&self) -> Vec<String> {
        self.logins.lock().unwrap().clone()
    }

    /// Stops listening, as a killed server does.
    pub(crate) async fn kill(&self) {
        self.tasks.drain(Duration::ZERO).await;
    }
}

async fn answer(
    mut request: Request<Incoming>,
    asked: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<Answers>>,
    faults: Faults,
) -> Result<kit::Response, Infallible> {
    let line = format!("{} {}", request.method(), request.uri().path_and_query().map_or("", |path| path.as_str()));
    let body = kit::read_body(request.body_mut(), 1 << 20, Duration::from_secs(5)).await.unwrap_or_default();
    asked.lock().unwrap().push(line.clone());
    let mut answers = answers.lock().unwrap();
    let answered = std::panic::catch_unwind(AssertUnwindSafe(|| (*answers)(&line, &body)));
    let (status, value) = answered.unwrap_or_else(|_| {
        faults.lock().unwrap().push(line);
        (500, json!({"message": "the test did not expect this"}))
    });
    Ok(kit::json(StatusCode::from_u16(status).unwrap(), &value))
}

/// Connect's "no such connector".
pub(crate) fn missing() -> (u16, Value) {
    (404, json!({"error_code": 404, "message": "Connector x not found"}))
}

/// A status with these task states.
pub(crate) fn status(name: &str, tasks: &[&str]) -> Value {
    let tasks: Vec<Value> = tasks
        .iter()
        .enumerate()
        .map(|(id, state)| json!({"id": id, "state": state, "worker_id": "w", "trace": "a.B: no"}))
        .collect();
    json!({"name": name, "connector": {"state": "RUNNING", "worker_id": "w"}, "tasks": tasks, "type": "sink"})
}
