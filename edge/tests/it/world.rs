//! What a test stands on: a mock broker, a stub registry, an edge between them, a client and a reader of the topic.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Parser;
use edge::{
    app::App,
    config::{Args, Config},
};
use http::StatusCode;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    message::Headers,
    mocking::MockCluster,
    producer::DefaultProducerContext,
    types::RDKafkaApiKey,
};
use schemas::{Order, codec, framing, names::topics};
use serde_json::{Value, json};
use service_kit::{
    Tasks,
    http::{self as kit, Limits},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub(crate) const SCHEMA_ID: u32 = 77;
pub(crate) const PARTITIONS: i32 = 4;
/// A condition that takes longer than this will not come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) kafka: MockCluster<'static, DefaultProducerContext>,
    pub(crate) registry: StubRegistry,
    pub(crate) tasks: Tasks,
    pub(crate) app: App,
}

impl World {
    /// An edge that is ready.
    pub(crate) async fn ready() -> Self {
        let world = Self::started(true).await;
        world.until_ready().await;
        world
    }

    /// An edge that is ready and goes by another schema.
    pub(crate) async fn with_schema(schema: String) -> Self {
        Self::with(|config| config.order_schema = schema).await
    }

    /// An edge that is ready and has other settings.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let world = Self::start(true, StubRegistry::start().await, change).await;
        world.until_ready().await;
        world
    }

    /// An edge that has just begun; the topic is there if asked for.
    pub(crate) async fn started(topic: bool) -> Self {
        Self::start(topic, StubRegistry::start().await, |_| {}).await
    }

    /// An edge that has just begun, with a registry that fails.
    pub(crate) async fn started_without_registry() -> Self {
        let registry = StubRegistry::start().await;
        registry.fail(true);
        Self::start(true, registry, |_| {}).await
    }

    /// An edge that has just begun, with a registry that answers in its own way.
    pub(crate) async fn started_with_registry(answer: RegistryAnswer) -> Self {
        let registry = StubRegistry::start().await;
        registry.answer(answer);
        Self::start(true, registry, |_| {}).await
    }

    /// An edge that is ready, with partitions that may be without a leader.
    pub(crate) async fn that_loses_leaders() -> Self {
        let kafka = MockCluster::new(1).unwrap();
        // The mock (2.12) dies of answering version 10 for a partition without a leader.
        kafka.apiversion(RDKafkaApiKey::Produce, Some(3), Some(9)).unwrap();
        let world = Self::start_on(kafka, true, StubRegistry::start().await, |_| {}).await;
        world.until_ready().await;
        world
    }

    async fn start(topic: bool, registry: StubRegistry, change: impl FnOnce(&mut Config)) -> Self {
        Self::start_on(MockCluster::new(1).unwrap(), topic, registry, change).await
    }

    async fn start_on(
        kafka: MockCluster<'static, DefaultProducerContext>,
        topic: bool,
        registry: StubRegistry,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        if topic {
            kafka.create_topic(topics::ORDERS_RECEIVED, PARTITIONS, 1).unwrap();
        }
        let tasks = Tasks::new();
        let mut config = config(&kafka.bootstrap_servers(), &registry.url());
        change(&mut config);
        let app = App::start(config, tasks.clone()).await.unwrap();
        Self { kafka, registry, tasks, app }
    }

    pub(crate) async fn until_ready(&self) {
        until("the edge is ready", async || get(self.app.admin_address, "/readyz").await.status == 200).await;
    }

    pub(crate) async fn post(&self, body: &str) -> Answer {
        post(self.app.address, body, &[]).await
    }

    pub(crate) async fn post_with(&self, body: &str, headers: &[(&str, &str)]) -> Answer {
        post(self.app.address, body, headers).await
    }

    /// The value of a metric, 0 if it is not there yet.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let text = get(self.app.admin_address, "/metrics").await.text;
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit(' ').next()).map_or(0.0, |value| value.parse().unwrap())
    }

    /// Everything in the topic now.
    pub(crate) fn stored(&self) -> Vec<Stored> {
        stored(&self.kafka.bootstrap_servers())
    }

    /// Waits until an order is in the topic.
    pub(crate) async fn until_stored(&self, order_id: &str) -> Stored {
        let mut found = None;
        until("the order is in the topic", async || {
            found = self.stored().into_iter().find(|stored| stored.order.order_id.as_str() == order_id);
            found.is_some()
        })
        .await;
        found.unwrap()
    }
}

pub(crate) fn config(kafka: &str, registry: &str) -> Config {
    let listen = ["--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--instance=test"];
    let args = ["edge", "--kafka", kafka, "--registry", registry].into_iter().chain(listen);
    Config::try_from(Args::try_parse_from(args).unwrap()).unwrap()
}

/// Waits for a condition, never longer than patience lasts.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

// === the registry ===

/// What the registry answers to a question (method and path), if not as it should.
pub(crate) type RegistryAnswer = fn(&str, &str) -> Option<(u16, String)>;

/// Knows one schema under one id; can be told to fail.
#[derive(Clone)]
pub(crate) struct StubRegistry {
    address: SocketAddr,
    failing: Arc<AtomicBool>,
    answer: Arc<Mutex<RegistryAnswer>>,
    asked: Arc<AtomicUsize>,
    _tasks: Tasks,
}

impl StubRegistry {
    pub(crate) async fn start() -> Self {
        let listener = kit::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (failing, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let answer: Arc<Mutex<RegistryAnswer>> = Arc::new(Mutex::new(|_, _| None));
        let (fails, counts, other) = (Arc::clone(&failing), Arc::clone(&asked), Arc::clone(&answer));
        let service = tower::service_fn(move |request: http::Request<hyper::body::Incoming>| {
            counts.fetch_add(1, Ordering::Relaxed);
            let (method, path) = (request.method().as_str(), request.uri().path());
            let known = [("POST", "/subjects/orders.received-value"), ("GET", "/schemas/ids/77")];
            let other = (*other.lock().unwrap())(method, path);
            if let Some((status, body)) = other {
                let status = StatusCode::from_u16(status).unwrap();
                let answer = http::Response::builder().status(status).body(kit::Body::from(body)).unwrap();
                return std::future::ready(Ok::<_, Infallible>(answer));
            }
            assert!(
                known.contains(&(method, path)),
                "the edge looks its schema up and never registers: {method} {path}"
            );
            let answer = match fails.load(Ordering::Relaxed) {
                true => {
                    kit::json(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "error_code": 50001, "message": "store" }))
                }
                false => kit::json(
                    StatusCode::OK,
                    &json!({ "subject": "orders.received-value", "version": 1, "id": SCHEMA_ID,
                        "schema": schemas::contracts::ORDERS_RECEIVED_AVSC }),
                ),
            };
            std::future::ready(Ok::<_, Infallible>(answer))
        });
        let tasks = Tasks::new();
        tasks.spawn(kit::serve(listener, service, Limits::default(), tasks.clone()));
        Self { address, failing, answer, asked, _tasks: tasks }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers in another way from now on.
    pub(crate) fn answer(&self, answer: RegistryAnswer) {
        *self.answer.lock().unwrap() = answer;
    }

    pub(crate) fn fail(&self, fails: bool) {
        self.failing.store(fails, Ordering::Relaxed);
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

// === the client ===

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The receipts of a batch.
    pub(crate) fn receipts(&self) -> Vec<Value> {
        let lines = self.text.lines();
        lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// Status, persisted and retry, as every problem has them.
    pub(crate) fn verdict(&self) -> (u16, String, String) {
        let body = self.json();
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        assert_eq!(body["status"], self.status, "{self:?}");
        assert_eq!(body["requestId"].as_str(), self.header("x-request-id"), "{self:?}");
        let member = |name: &str| body[name].as_str().unwrap_or_else(|| panic!("{name}: {self:?}")).to_owned();
        (self.status, member("persisted"), member("retry"))
    }
}

pub(crate) fn order(order_id: &str) -> String {
    format!(r#"{{"orderId":"{order_id}","amount":99.99,"customer":"john_doe"}}"#)
}

pub(crate) fn request(body: &str, headers: &[(&str, &str)]) -> String {
    let mut head = format!("POST /api/orders HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        head.push_str("content-type: application/json\r\n");
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    format!("{head}connection: close\r\n\r\n{body}")
}

pub(crate) async fn post(address: SocketAddr, body: &str, headers: &[(&str, &str)]) -> Answer {
    talk(address, request(body, headers).as_bytes()).await.expect("an answer")
}

/// Posts lines as a batch.
pub(crate) async fn post_lines(address: SocketAddr, lines: &str) -> Answer {
    post(address, lines, &[NDJSON]).await
}

pub(crate) const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");

pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    talk(address, request.as_bytes()).await.expect("an answer")
}

/// Sends bytes and reads the answer; `None` when the connection ends without one.
pub(crate) async fn talk(address: SocketAddr, sent: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(sent).await.ok()?;
    let mut read = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut read)).await.expect("an end in time");
    ended.ok()?;
    let text = String::from_utf8(read).unwrap();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let text = if head.contains("transfer-encoding: chunked") { dechunked(body)? } else { body.to_owned() };
    Some(Answer { status, head: head.to_owned(), text })
}

/// The text in a chunked body; `None` when it has no end.
pub(crate) fn dechunked(mut body: &str) -> Option<String> {
    let mut text = String::new();
    loop {
        let (size, rest) = body.split_once("\r\n")?;
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(text);
        }
        text.push_str(rest.get(..size)?);
        body = rest.get(size + 2..)?;
    }
}

// === the reader of the topic ===

#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: String,
    pub(crate) schema_id: u32,
    pub(crate) order: Order,
    pub(crate) headers: Vec<(String, String)>,
}

/// Everything in the topic now, read with another client.
pub(crate) fn stored(servers: &str) -> Vec<Stored> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", "reader")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "10")
        .create()
        .unwrap();
    let mut assignment = TopicPartitionList::new();
    let mut left = 0;
    for partition in 0..PARTITIONS {
        let ends = consumer.fetch_watermarks(topics::ORDERS_RECEIVED, partition, PATIENCE);
        let (low, high) = ends.unwrap();
        left += high - low;
        assignment.add_partition_offset(topics::ORDERS_RECEIVED, partition, Offset::Offset(low)).unwrap();
    }
    consumer.assign(&assignment).unwrap();
    let mut stored = Vec::new();
    let begun = Instant::now();
    while (stored.len() as i64) < left {
        assert!(begun.elapsed() < PATIENCE, "read {} of {left} records", stored.len());
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            stored.push(read(&message.unwrap()));
        }
    }
    stored
}

fn read(message: &rdkafka::message::BorrowedMessage<'_>) -> Stored {
    let (schema_id, datum) = framing::split(message.payload().unwrap()).unwrap();
    let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
    let headers = message.headers().unwrap().iter().map(|header| (header.key.to_owned(), text(header.value)));
    Stored {
        partition: message.partition(),
        offset: message.offset(),
        key: text(message.key()),
        schema_id,
        order: codec::decode(datum).unwrap(),
        headers: headers.collect(),
    }
}
