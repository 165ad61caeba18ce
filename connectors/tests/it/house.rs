//! A house with orders in it: Kafka as a mock, the stores and everyone who is asked as stubs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use connectors::config;
use connectors::connect::Connect;
use connectors::elastic::Elastic;
use connectors::postgres::Postgres;
use connectors::trace::Sources;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use schemas::contracts::{ORDER_PLACED_AVSC, ORDERS_RECEIVED_AVSC};
use schemas::names::{headers, topics};
use schemas::order::Timestamp;
use schemas::registry::Registry;
use schemas::{Money, Order, codec, framing};
use serde_json::{Value, json};
use service_kit::kafka::Brokers;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::postgres::{message, read};
use crate::stub::{Stub, status};

/// All keys lie in this one.
pub(crate) const PARTITION: i32 = 0;

/// What the stores hold, and how the sinks are.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) row: Option<Value>,
    pub(crate) document: Option<Value>,
    pub(crate) failed: bool,
    /// What each module makes of the first record of `order_placed`.
    pub(crate) steps: Option<Value>,
    /// What the pipeline's settings say beside its topics.
    pub(crate) pipeline: Vec<(&'static str, &'static str)>,
}

pub(crate) struct House {
    cluster: MockCluster<'static, DefaultProducerContext>,
    producer: BaseProducer,
    pub(crate) held: Arc<Mutex<Held>>,
    stub: Stub,
    postgres: config::Postgres,
}

impl House {
    pub(crate) async fn new() -> Self {
        let cluster = MockCluster::new(1).unwrap();
        for topic in schemas::contracts::topics().unwrap() {
            cluster.create_topic(&topic.name, 1, 1).unwrap();
        }
        let servers = cluster.bootstrap_servers();
        let producer = ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
        let held = Arc::new(Mutex::new(Held::default()));
        let seen = Arc::clone(&held);
        let stub = Stub::start(move |line, _| answer(&seen.lock().unwrap(), line)).await;
        let postgres = rows(Arc::clone(&held)).await;
        Self { cluster, producer, held, stub, postgres }
    }

    pub(crate) fn kafka(&self) -> Brokers {
        self.cluster.bootstrap_servers().into()
    }

    pub(crate) fn sources(&self) -> Sources {
        Sources {
            kafka: self.kafka(),
            registry: Registry::new(&self.stub.url()).unwrap(),
            connect: Connect::new(&self.stub.url()).unwrap(),
            transforms: Connect::new(&self.stub.url()).unwrap(),
            supervisor: self.stub.url(),
            postgres: Postgres::new(&self.postgres),
            elastic: Elastic::new(&self.stub.url()).unwrap(),
        }
    }

    pub(crate) fn url(&self) -> String {
        self.stub.url()
    }

    /// A topic that no house has.
    pub(crate) fn topic(&self, name: &str) {
        self.cluster.create_topic(name, 1, 1).unwrap();
    }

    /// What Kafka answers from now on to whoever asks for this topic.
    pub(crate) fn answer_for(&self, topic: &str, error: RDKafkaRespErr) {
        self.cluster.topic_error(topic, error).unwrap();
    }

    /// Writes a record; they get their offsets in the order of writing.
    pub(crate) fn write(&self, topic: &str, id: &str, value: &[u8], with: &[(&str, &str)]) {
        write(&self.producer, topic, id, value, with);
    }

    /// Writes from another thread.
    pub(crate) fn writer(&self) -> impl Fn(&str, &str, &[u8], &[(&str, &str)]) + Send + use<> {
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", self.cluster.bootstrap_servers()).create().unwrap();
        move |topic, id, value, with| write(&producer, topic, id, value, with)
    }

    pub(crate) fn post(&self, id: &str) {
        self.write(topics::ORDERS_RECEIVED, id, &received(id), &[(headers::REQUEST_ID, "r-1")]);
    }

    pub(crate) fn place(&self, id: &str, offset: i64) {
        let modules = [(headers::MODULES, "clean@1.0.0+sha256:0123456789ab,enrich@1.0.0+sha256:ba9876543210")];
        self.write(topics::ORDER_PLACED, id, &placed(id, offset), &modules);
    }

    /// A dead letter of what lies at topic and offset.
    pub(crate) fn letter(&self, letters: &str, id: &str, value: &[u8], of: (&str, i64), with: &[(&str, &str)]) {
        let (partition, offset) = (PARTITION.to_string(), of.1.to_string());
        let own = [
            (headers::ERROR_TOPIC, of.0),
            (headers::ERROR_PARTITION, partition.as_str()),
            (headers::ERROR_OFFSET, offset.as_str()),
            (headers::ERROR_STAGE, "TASK_PUT"),
            (headers::ERROR_CLASS, "x.Refused"),
            (headers::ERROR_MESSAGE, "not this one"),
        ];
        self.write(letters, id, value, &[with, &own].concat());
    }

    pub(crate) fn commit(&self, group: &str, topic: &str, offset: i64) {
        self.committer()(group, topic, offset);
    }

    /// Commits from another thread.
    pub(crate) fn committer(&self) -> impl Fn(&str, &str, i64) + Send + use<> {
        let kafka = self.cluster.bootstrap_servers();
        move |group, topic, offset| {
            let consumer: BaseConsumer =
                ClientConfig::new().set("bootstrap.servers", &kafka).set("group.id", group).create().unwrap();
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(topic, PARTITION, Offset::Offset(offset)).unwrap();
            consumer.commit(&list, CommitMode::Sync).unwrap();
        }
    }
}

fn write(producer: &BaseProducer, topic: &str, id: &str, value: &[u8], with: &[(&str, &str)]) {
    let mut list = OwnedHeaders::new();
    for (key, value) in with {
        list = list.insert(Header { key, value: Some(*value) });
    }
    let record = BaseRecord::to(topic).partition(PARTITION).key(id).payload(value).headers(list).timestamp(1_000);
    producer.send(record).map_err(|(err, _)| err).unwrap();
    producer.flush(Duration::from_secs(10)).unwrap();
}

/// Schemas, connectors, healing and documents.
fn answer(held: &Held, line: &str) -> (u16, Value) {
    let sink = |name: &str, class: &str, retry: &str| {
        let states: &[&str] = if held.failed { &["RUNNING", "FAILED"] } else { &["RUNNING", "RUNNING"] };
        json!({ "status": status(name, states), "info": { "config": {
            "connector.class": class, "topics": format!("order_placed,{retry}"), "collection.name.format": "order_placed",
            "camel.sink.url": "elasticsearch:x?indexName=order_placed" } } })
    };
    let schema = |text: &str| (200, json!({ "schema": text }));
    match line {
        line if line.starts_with("GET /schemas/ids/1") => schema(ORDERS_RECEIVED_AVSC),
        line if line.starts_with("GET /schemas/ids/2") => schema(ORDER_PLACED_AVSC),
        line if line.starts_with("GET /schemas/ids/") => (404, json!({ "error_code": 40403, "message": "not found" })),
        line if line.starts_with("GET /subjects/order_placed-value/versions/latest") => {
            (200, json!({ "subject": "order_placed-value", "version": 1, "id": 2, "schema": ORDER_PLACED_AVSC }))
        }
        "GET /connectors?expand=status&expand=info" => (
            200,
            json!({
                "orders-postgres": sink("orders-postgres", connectors::names::JDBC_CLASS, topics::POSTGRES_RETRY),
                "orders-elasticsearch":
                    sink("orders-elasticsearch", connectors::names::CAMEL_CLASS, topics::ELASTICSEARCH_RETRY),
            }),
        ),
        "GET /connectors" => (200, json!(["p"])),
        "GET /connectors/p/status" => (200, status("p", &["RUNNING"])),
        "GET /connectors/p/steps?record=order_placed/0/0" => match &held.steps {
            Some(steps) => (200, json!({ "steps": steps })),
            None => (404, json!({ "message": "nobody knows" })),
        },
        "GET /connectors/p/config" => {
            let own = [("topics", "orders.received"), ("output.topic", "order_placed")];
            (200, json!(own.iter().chain(&held.pipeline).copied().collect::<BTreeMap<_, _>>()))
        }
        "GET /healing" => {
            let told = json!({ "healing": "restart 2 asked for; next in 7 s", "sinceSeconds": 62 });
            let told = if held.failed { told } else { Value::Null };
            (200, json!({ "connectors": { "orders-postgres": told } }))
        }
        line if line.starts_with("GET /order_placed/_doc/") => match &held.document {
            Some(document) => (200, json!({ "found": true, "_source": document })),
            None => (404, json!({ "_index": "order_placed", "found": false })),
        },
        line => (500, json!({ "message": format!("the test did not expect {line}") })),
    }
}

/// A PostgreSQL with one row or none.
async fn rows(held: Arc<Mutex<Held>>) -> config::Postgres {
    let row = move || held.lock().unwrap().row.as_ref().map(|row| vec![row.to_string()]);
    postgres(move |_| row().into_iter().collect()).await
}

/// A PostgreSQL that answers each statement with these rows of texts.
pub(crate) async fn postgres(answers: impl Fn(&str) -> Vec<Vec<String>> + Clone + Send + 'static) -> config::Postgres {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    service_kit::Tasks::new().spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            service_kit::Tasks::new().spawn(session(stream, answers.clone()));
        }
    });
    let text = "orders".to_owned();
    let (db, user) = (text.clone(), text);
    config::Postgres { host: "127.0.0.1".to_owned(), port, db, user, password: String::new().into() }
}

async fn session(mut stream: TcpStream, answers: impl Fn(&str) -> Vec<Vec<String>>) {
    read(&mut stream, 4).await.unwrap();
    stream.write_all(&[message(b'R', &[0; 4]), message(b'Z', b"I")].concat()).await.unwrap();
    while let Some(asked) = read(&mut stream, 5).await {
        if asked.is_empty() {
            return;
        }
        let rows = answers(String::from_utf8_lossy(&asked).trim_end_matches('\0'));
        let count = rows.first().map_or(1, Vec::len);
        let columns = [&b"column\0"[..], &[0; 18]].concat().repeat(count);
        let count = u16::try_from(count).unwrap().to_be_bytes();
        let mut answer = message(b'T', &[&count[..], &columns].concat());
        for row in rows {
            let mut body = count.to_vec();
            for text in row {
                body.extend(i32::try_from(text.len()).unwrap().to_be_bytes());
                body.extend(text.as_bytes());
            }
            answer.extend(message(b'D', &body));
        }
        answer.extend([message(b'C', b"SELECT 1\0"), message(b'Z', b"I")].concat());
        stream.write_all(&answer).await.unwrap();
    }
}

fn datum(id: &str, amount: i64, received_at: i64) -> Vec<u8> {
    let order = Order {
        order_id: id.parse().unwrap(),
        amount: Money::from_hundredths(amount).unwrap(),
        customer: "Zoë".to_owned(),
        currency: None,
        items: Vec::new(),
        email: None,
        country: Some("DE".to_owned()),
        channel: None,
        created_at: Timestamp(0),
        received_at: Timestamp(received_at),
    };
    let mut datum = Vec::new();
    codec::encode(&order, &mut datum);
    datum
}

/// A value of `orders.received`.
pub(crate) fn received(id: &str) -> Vec<u8> {
    [&framing::header(1)[..], &datum(id, 1_250, 1_000)].concat()
}

/// A value of `order_placed`, for what was received at this offset.
pub(crate) fn placed(id: &str, offset: i64) -> Vec<u8> {
    placed_as(id, offset, 1_250, 1_000)
}

/// The same, of this amount in hundredths, received then.
pub(crate) fn placed_as(id: &str, offset: i64, amount: i64, received_at: i64) -> Vec<u8> {
    let mut value = [&framing::header(2)[..], &datum(id, amount, received_at)].concat();
    for absent in [None, None, Some(&b"EMEA"[..])] {
        codec::put_optional(&mut value, absent);
    }
    codec::put_long(&mut value, 0);
    for _ in ["email_domain", "value_band", "items_json"] {
        codec::put_optional(&mut value, None);
    }
    codec::put_long(&mut value, i64::from(PARTITION));
    codec::put_long(&mut value, offset);
    value
}
