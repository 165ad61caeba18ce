//! Records written past the edge: whatever anybody writes into `orders.received` costs that record alone.

use std::sync::Mutex;
use std::time::Duration;

use promise::decimal::Cents;
use promise::read::Elasticsearch;
use promise::rng::Rng;
use promise::row::{Row, Value, Version};
use promise::world::Fate;
use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::Message;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use schemas::names::{headers, subjects, topics};
use schemas::order::Timestamp;
use schemas::{Order, codec, framing};
use serde::Deserialize;

use crate::house::House;

/// What is written, and what must become of it.
pub(crate) struct Plant {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) fate: Fate,
}

/// Each bad one is once in the dead letters with its reason, the rest flows, nothing is redirected.
pub(crate) fn planted(house: &mut House) {
    let id = schema_id(house);
    let plants = plants(id);
    let count = plants.len();
    let places = write(house, topics::ORDERS_RECEIVED, &plants);
    house.planted.extend(places.into_iter().zip(plants.into_iter().map(|plant| plant.fate)));
    let posts = house.stream("beside-poison", 5, 300);
    house.load(posts, 600);
    house.expect_all_zero();
    let names: Vec<String> = house.runtime.block_on(async {
        #[derive(Deserialize)]
        struct Index {
            index: String,
        }
        let elasticsearch = Elasticsearch::new(&house.places.elasticsearch).unwrap();
        let all: Vec<Index> =
            elasticsearch.call(reqwest::Method::GET, "/_cat/indices?format=json", None).await.unwrap();
        all.into_iter().map(|index| index.index).collect()
    });
    assert_eq!(names, ["order_placed"], "nothing was redirected to another index");
    println!("{count} records written past the edge: each met its fate, no index but order_placed");
}

fn plants(id: u32) -> Vec<Plant> {
    let mut plants = bad(id);
    for (at, headers) in hostile_headers().into_iter().enumerate() {
        let name = format!("header-{at}");
        let mut row = Row::default();
        row.set("order_id", Value::Text(name.clone()));
        row.set("amount", Value::Money(Cents(100 + at as i128)));
        row.set("customer", Value::Text("a good order".to_owned()));
        let value = Some(good(id, &name, 100 + at as i64));
        plants.push(Plant { key: Some(name.into_bytes()), value, headers, fate: Fate::Stored(row) });
    }
    plants
}

fn bad(id: u32) -> Vec<Plant> {
    let mut rng = Rng::new(1_048_000);
    let noise: Vec<u8> = std::iter::once(0xab).chain((1..1_048_000).map(|_| rng.bits() as u8)).collect();
    let framed = |id: u32, datum: &[u8]| [&framing::header(id)[..], datum].concat();
    let whole = good(id, "cut-off", 1);
    let cases = [
        ("not Avro", Some(b"hello, this is not Avro".to_vec()), "unframed"),
        ("unknown-id", Some(framed(999_999, b"whatever")), "999999"),
        ("noise", Some(noise), "unframed"),
        ("empty", Some(Vec::new()), "empty"),
        ("null", None, "null"),
        ("frame-alone", Some(framed(id, b"")), "undecodable"),
        ("half-a-frame", Some(vec![0, 0]), "unframed"),
        ("cut-off", Some(whole[..whole.len() - 3].to_vec()), "undecodable"),
        ("too-long", Some([whole.clone(), vec![7; 5]].concat()), "undecodable"),
        ("huge-length", Some(framed(id, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f])), "undecodable"),
        ("another-key", Some(good(id, "not-the-key", 1)), "key"),
    ];
    let mut plants: Vec<Plant> = cases
        .into_iter()
        .map(|(key, value, reason)| Plant {
            key: Some(key.as_bytes().to_vec()),
            value,
            headers: Vec::new(),
            fate: Fate::DeadLetter(reason.to_owned()),
        })
        .collect();
    let dead = |reason: &str| Fate::DeadLetter(reason.to_owned());
    plants.push(Plant { key: None, value: Some(good(id, "keyless", 1)), headers: Vec::new(), fate: dead("key") });
    // A dead letter's identity is where it comes from, not where its writer says it comes from.
    let forged =
        vec![(headers::ERROR_TOPIC, "order_placed"), (headers::ERROR_PARTITION, "0"), (headers::ERROR_OFFSET, "0")];
    plants.push(Plant { key: Some(b"forged".to_vec()), value: Some(vec![1]), headers: forged, fate: dead("unframed") });
    plants
}

/// What would send a record elsewhere, or delete it, if it reached the Elasticsearch sink.
fn hostile_headers() -> Vec<Vec<(&'static str, &'static str)>> {
    vec![
        vec![("CamelHeader.operation", "Delete")],
        vec![("CamelHeader.operation", "Ping"), ("camelheader.OPERATION", "Exists")],
        vec![("CamelHeader.indexName", "elsewhere"), ("CAMELHEADER.INDEXNAME", "elsewhere")],
        vec![("CamelHeader.indexId", "one-1"), ("camelHeader.indexid", "one-1"), ("CamelHeader.CamelIndexId", "one-1")],
        vec![
            ("CamelHeader.CamelHttpPath", "/one-1"),
            ("camelheader.docid", "one-1"),
            ("CamelHeader.docVersion", "99999"),
        ],
        vec![("orderflow.modules", "mine@6.6.6+sha256:666666666666"), ("orderId", "one-1")],
    ]
}

fn good(id: u32, order_id: &str, cents: i64) -> Vec<u8> {
    let order = Order {
        order_id: order_id.parse().unwrap(),
        amount: schemas::Money::from_hundredths(cents).unwrap(),
        customer: "a good order".to_owned(),
        currency: None,
        items: Vec::new(),
        email: None,
        country: None,
        channel: None,
        created_at: Timestamp(1_770_000_000_000),
        received_at: Timestamp(1_770_000_000_000),
    };
    let mut value = framing::header(id).to_vec();
    codec::encode(&order, &mut value);
    value
}

/// The id under which the registry has the latest schema of `orders.received`.
pub(crate) fn schema_id(house: &House) -> u32 {
    #[derive(Deserialize)]
    struct Latest {
        id: u32,
    }
    let url = format!("{}/subjects/{}/versions/latest", house.places.registry, subjects::ORDERS_RECEIVED_VALUE);
    house.runtime.block_on(async { reqwest::get(url).await.unwrap().json::<Latest>().await.unwrap().id })
}

/// Where each record of one `write` landed, by its number.
#[derive(Default)]
struct Landed(Mutex<Vec<(usize, Version)>>);

impl ClientContext for Landed {}

impl ProducerContext for Landed {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &DeliveryResult<'_>, number: Box<usize>) {
        let message = result.as_ref().unwrap_or_else(|(error, _)| panic!("a record was not taken: {error}"));
        self.0.lock().unwrap().push((*number, Version { partition: message.partition(), offset: message.offset() }));
    }
}

pub(crate) fn write(house: &House, topic: &str, plants: &[Plant]) -> Vec<Version> {
    let producer: ThreadedProducer<Landed> = ClientConfig::new()
        .set("bootstrap.servers", &house.places.kafka)
        .set("acks", "all")
        .set("partitioner", "murmur2_random")
        .set("message.max.bytes", "2000000")
        .create_with_context(Landed::default())
        .unwrap();
    for (number, plant) in plants.iter().enumerate() {
        let mut headers = OwnedHeaders::new();
        for (key, value) in &plant.headers {
            headers = headers.insert(Header { key, value: Some(*value) });
        }
        let mut record = BaseRecord::with_opaque_to(topic, Box::new(number)).headers(headers);
        if let Some(key) = &plant.key {
            record = record.key(key);
        }
        if let Some(value) = &plant.value {
            record = record.payload(value);
        }
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(Duration::from_secs(30)).unwrap();
    let mut landed = producer.context().0.lock().unwrap().clone();
    assert_eq!(landed.len(), plants.len(), "every record has its place");
    landed.sort_unstable();
    landed.into_iter().map(|(_, place)| place).collect()
}
