//! What somebody sees who asks a store now, over a connection of his own: a SELECT, a search.

use anyhow::Context;
use http::Method;
use schemas::names::topics;
use serde_json::{Value, json};
use tokio_postgres::{Client, Statement};

use crate::sinks::stores::{Elasticsearch, Gauge, Kind, Stores};

const NAME: &str = topics::ORDER_PLACED;

/// A connection with its questions.
pub(super) enum Eye {
    Table { client: Client, which: Statement, count: Statement },
    Index(Elasticsearch),
}

impl Eye {
    pub(super) async fn open(stores: &Stores, kind: Kind) -> anyhow::Result<Self> {
        match kind {
            Kind::Postgres => {
                let client = stores.sql().await?;
                let which = format!("select order_id from {NAME} where order_id = any($1)");
                // By the key's index: only what came since is counted.
                let count = format!("select count(*) from {NAME} where $1 <= order_id");
                let (which, count) = (client.prepare(&which).await?, client.prepare(&count).await?);
                Ok(Self::Table { client, which, count })
            }
            Kind::Elasticsearch => Ok(Self::Index(stores.elasticsearch())),
        }
    }

    /// Which of these orders are found.
    pub(super) async fn which(&mut self, ids: &[&str]) -> anyhow::Result<Vec<String>> {
        match self {
            Self::Table { client, which, .. } => {
                let rows = client.query(&*which, &[&ids]).await?;
                rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
            }
            Self::Index(client) => {
                let asked = json!({ "size": ids.len(), "_source": false, "track_total_hits": false,
                                    "query": { "ids": { "values": ids } } });
                let path = format!("/{NAME}/_search?filter_path=hits.hits._id");
                let answer = client.call(Method::POST, &path, asked.to_string().as_bytes()).await?;
                // Without hits the filter leaves nothing.
                let hits =
                    answer.pointer("/hits/hits").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
                let id = |hit: &Value| Some(hit.get("_id")?.as_str()?.to_owned());
                hits.iter().map(id).collect::<Option<_>>().context("a hit without an id")
            }
        }
    }

    /// How many orders with this id and later ones are found.
    pub(super) async fn found(&mut self, from: &str) -> anyhow::Result<u64> {
        let count = match self {
            Self::Table { client, count, .. } => client.query_one(&*count, &[&from]).await?.try_get::<_, i64>(0)?,
            Self::Index(client) => {
                let asked = json!({ "query": { "range": { "order_id": { "gte": from } } } });
                let path = format!("/{NAME}/_count");
                let answer = client.call(Method::POST, &path, asked.to_string().as_bytes()).await?;
                answer.get("count").and_then(Value::as_i64).context("Elasticsearch does not count")?
            }
        };
        Ok(u64::try_from(count)?)
    }
}

/// How much a store has taken since a moment, whether searches find it yet or not.
pub(super) struct Taken {
    kind: Kind,
    from: String,
    eye: Eye,
    gauge: Gauge,
}

impl Taken {
    pub(super) async fn since(stores: &Stores, kind: Kind, from: &str) -> anyhow::Result<Self> {
        let (eye, gauge) = (Eye::open(stores, kind).await?, stores.gauge(kind).await?);
        Ok(Self { kind, from: from.to_owned(), eye, gauge })
    }

    /// A number that grows by one with each order. For the index not the documents that a search finds: they come second
    /// by second.
    pub(super) async fn now(&mut self) -> anyhow::Result<u64> {
        match self.kind {
            Kind::Postgres => self.eye.found(&self.from).await,
            Kind::Elasticsearch => self.gauge.look().await,
        }
    }
}
