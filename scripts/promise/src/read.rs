//! The readers: every topic, both stores, the groups' offsets, in full.
//!
//! They make rows of what they find and judge nothing. They read as a stranger would: by Kafka's, PostgreSQL's,
//! Elasticsearch's and the registry's own interfaces, without our codec, so that a fault in it shows.

mod avro;
mod elasticsearch;
mod kafka;
mod modules;
mod positions;
mod postgres;

use std::time::Duration;

use schemas::names::{headers, topics};

pub use avro::Decoder;
pub use elasticsearch::Elasticsearch;
pub use kafka::{Isolation, Kafka, Record};
pub use positions::{Offsets, Positions, path};
pub use postgres::Postgres;

use crate::row::{Row, Version};
use crate::world::{Letter, Origin, Placed, Received, Store, World};

/// Consumer group of the transforms: the name of the pipeline.
pub const TRANSFORMS_GROUP: &str = "orders-transforms";
/// Consumer groups of the sinks, as Connect names them.
pub const SINK_GROUPS: [(Store, &str); 2] =
    [(Store::Postgres, "connect-orders-postgres"), (Store::Elasticsearch, "connect-orders-elasticsearch")];

/// How long one call to a store or the registry may take.
const HTTP_PATIENCE: Duration = Duration::from_secs(30);

/// Why something could not be read. A checker that cannot read has proven nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Kafka.
    #[error("cannot read {what} from Kafka at {servers}")]
    Kafka {
        /// What was asked for.
        what: String,
        /// Where.
        servers: String,
        /// What librdkafka said.
        #[source]
        source: Box<rdkafka::error::KafkaError>,
    },
    /// A topic that does not end in time.
    #[error("{what} could not be read to its end within {limit:?}")]
    Deadline {
        /// What was asked for.
        what: String,
        /// The limit.
        limit: Duration,
    },
    /// An HTTP call.
    #[error("cannot read from {url}")]
    Http {
        /// Where.
        url: String,
        /// What the client said.
        #[source]
        source: reqwest::Error,
    },
    /// An answer that cannot be understood.
    #[error("{url} answered {status}: {body}")]
    Answer {
        /// Where.
        url: String,
        /// The status.
        status: u16,
        /// The beginning of the body.
        body: String,
    },
    /// PostgreSQL.
    #[error("cannot read from PostgreSQL")]
    Postgres(#[from] tokio_postgres::Error),
}

/// Where everything is.
#[derive(Debug, Clone)]
pub struct Places {
    /// Kafka's bootstrap servers.
    pub kafka: String,
    /// The registry's Confluent API, such as `http://127.0.0.1:8085/apis/ccompat/v7`.
    pub registry: String,
    /// The transforms' REST, such as `http://127.0.0.1:8084`.
    pub transforms: String,
    /// Elasticsearch, such as `http://127.0.0.1:9200`.
    pub elasticsearch: String,
    /// libpq's key=value text.
    pub postgres: String,
}

impl Places {
    /// Fills the topics, the stores and the offsets of a world.
    ///
    /// # Errors
    /// When anything cannot be read in full.
    pub async fn read(&self, mut world: World) -> Result<World, ReadError> {
        let kafka = Kafka::new(&self.kafka);
        let received = kafka.topic(topics::ORDERS_RECEIVED, Isolation::Committed)?;
        let placed = kafka.topic(topics::ORDER_PLACED, Isolation::Committed)?;
        let mut decoder = Decoder::new(&self.registry)?;
        decoder.learn(received.iter().chain(&placed)).await?;
        world.received = received.into_iter().map(|record| received_of(&decoder, record)).collect();
        world.placed = placed.into_iter().map(|record| placed_of(&decoder, record)).collect();
        let all = kafka.topic(topics::ORDER_PLACED, Isolation::Uncommitted)?;
        world.uncommitted = all.iter().filter_map(|record| decoder.row(record).ok()?.version()).collect();
        world.modules = modules::running(&self.transforms).await?;
        world.dead = letters(kafka.topic(topics::ORDERS_DEAD_LETTER, Isolation::Committed)?);
        world.dropped = letters(kafka.topic(topics::ORDERS_DROPPED, Isolation::Committed)?);
        for (store, topic) in
            [(Store::Postgres, topics::POSTGRES_DEAD_LETTER), (Store::Elasticsearch, topics::ELASTICSEARCH_DEAD_LETTER)]
        {
            world.sink_dead.insert(store, letters(kafka.topic(topic, Isolation::Committed)?));
        }
        let transforms = Positions::new(&kafka, TRANSFORMS_GROUP, topics::ORDERS_RECEIVED, Isolation::Committed)?;
        world.committed = transforms.committed()?;
        world.partitions = transforms.partitions();
        world.stores.insert(Store::Postgres, Postgres::connect(&self.postgres).await?.all().await?);
        world.stores.insert(Store::Elasticsearch, Elasticsearch::new(&self.elasticsearch)?.all().await?);
        Ok(world)
    }
}

fn received_of(decoder: &Decoder, record: Record) -> Received {
    let row = decoder.row(&record);
    Received { at: record.at, key: record.key, value: record.value, headers: record.headers, row }
}

fn placed_of(decoder: &Decoder, record: Record) -> Placed {
    let row = decoder.row(&record);
    Placed { at: record.at, key: record.key, value: record.value, row, headers: record.headers }
}

/// Dead letters, or markers of what was dropped.
#[must_use]
pub fn letters(records: Vec<Record>) -> Vec<Letter> {
    records
        .into_iter()
        .map(|record| {
            let reason =
                [headers::ERROR_CLASS, headers::ERROR_MESSAGE].map(|name| record.header(name).unwrap_or_default());
            Letter {
                at: record.at,
                origin: origin(&record),
                key: record.key,
                value: record.value,
                headers: record.headers,
                reason: reason.join(": "),
            }
        })
        .collect()
}

fn origin(record: &Record) -> Option<Origin> {
    let partition = record.header(headers::ERROR_PARTITION)?.parse().ok()?;
    let offset = record.header(headers::ERROR_OFFSET)?.parse().ok()?;
    Some(Origin { topic: record.header(headers::ERROR_TOPIC)?, at: Version { partition, offset } })
}

/// libpq's key=value text.
#[must_use]
pub fn postgres_config(host: &str, port: u16, database: &str, user: &str, password: &str) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
    format!(
        "host={} port={port} dbname={} user={} password={} connect_timeout=10",
        quoted(host),
        quoted(database),
        quoted(user),
        quoted(password)
    )
}

/// A client for the stores' and the registry's REST interfaces.
fn http() -> Result<reqwest::Client, ReadError> {
    let client = reqwest::Client::builder().timeout(HTTP_PATIENCE).no_proxy().build();
    client.map_err(|source| ReadError::Http { url: "(building the client)".to_owned(), source })
}

/// The body of a 2xx answer; `None` for 404.
async fn body(request: reqwest::RequestBuilder, url: &str) -> Result<Option<Vec<u8>>, ReadError> {
    let fail = |source| ReadError::Http { url: url.to_owned(), source };
    let response = request.send().await.map_err(fail)?;
    let status = response.status();
    let bytes = response.bytes().await.map_err(fail)?;
    if status.is_success() {
        return Ok(Some(bytes.to_vec()));
    }
    if status.as_u16() == 404 {
        return Ok(None);
    }
    let body = String::from_utf8_lossy(&bytes).chars().take(500).collect();
    Err(ReadError::Answer { url: url.to_owned(), status: status.as_u16(), body })
}

/// Only for the readers' own use: a row or why there is none.
type Reading = Result<Row, String>;
