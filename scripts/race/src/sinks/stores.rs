//! The two stores: made, emptied, asked how much is in them, and compared with what went in.

use std::{fmt, net::SocketAddr, time::Duration};

use anyhow::{Context, bail, ensure};
use connectors::{
    elastic::Elastic,
    files::{self, Deployment, Index, Table},
    postgres::Postgres,
    verify::slices::{Slices, Span},
};
use http::Method;
use schemas::names::topics;
use serde_json::Value;
use stack::{Endpoints, Service, Stack};
use tokio_postgres::{Client, NoTls};

use super::{orders::SLICE_MS, servers::refused};
use crate::load;

/// The one table and the one index.
const NAME: &str = topics::ORDER_PLACED;
const PATIENCE: Duration = Duration::from_secs(120);

/// Where orders go.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Kind {
    /// A table.
    Postgres,
    /// An index.
    Elasticsearch,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Postgres, Self::Elasticsearch];

    /// The server.
    pub(crate) fn service(self) -> Service {
        match self {
            Self::Postgres => Service::Postgres,
            Self::Elasticsearch => Service::Elasticsearch,
        }
    }

    /// In what its speed is counted.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Postgres => "rows/s",
            Self::Elasticsearch => "documents/s",
        }
    }

    /// The shipped sink that writes there.
    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::Postgres => "orders-postgres.json",
            Self::Elasticsearch => "orders-elasticsearch.json",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "PostgreSQL",
            Self::Elasticsearch => "Elasticsearch",
        })
    }
}

/// Clients of both, and what both are made of.
pub(crate) struct Stores {
    pub(crate) postgres: Postgres,
    pub(crate) elastic: Elastic,
    config: tokio_postgres::Config,
    elastic_at: SocketAddr,
    tables: Vec<Table>,
    indexes: Vec<Index>,
}

impl Stores {
    fn new(endpoints: &Endpoints, deployment: Deployment) -> anyhow::Result<Self> {
        let at = &endpoints.postgres;
        let mut config = tokio_postgres::Config::new();
        config.host(&at.host).port(at.port).dbname(&at.database).user(&at.user).password(&at.password);
        config.connect_timeout(Duration::from_secs(2));
        let settings = connectors::config::Postgres {
            host: at.host.clone(),
            port: at.port,
            db: at.database.clone(),
            user: at.user.clone(),
            password: at.password.clone().into(),
        };
        Ok(Self {
            postgres: Postgres::new(&settings),
            elastic: Elastic::new(&endpoints.elasticsearch)?,
            config,
            elastic_at: endpoints.elasticsearch.trim_start_matches("http://").parse()?,
            tables: deployment.tables,
            indexes: deployment.indexes,
        })
    }

    /// With the tables and indexes of a stack's shipped connector files.
    pub(crate) fn shipped(stack: &Stack) -> anyhow::Result<Self> {
        let deployment = files::read(&stack.options().root.join("connectors")).map_err(|found| refused(&found))?;
        Self::new(stack.endpoints(), deployment)
    }

    /// Makes what is not there.
    pub(crate) async fn make(&self) -> anyhow::Result<()> {
        for table in &self.tables {
            self.postgres.apply(table).await.with_context(|| format!("table {}", table.name))?;
        }
        for index in &self.indexes {
            self.elastic.apply(index).await.with_context(|| format!("index {}", index.name))?;
        }
        Ok(())
    }

    /// Empties one of them.
    pub(crate) async fn empty(&self, kind: Kind) -> anyhow::Result<()> {
        match kind {
            Kind::Postgres => self.sql().await?.batch_execute(&format!("truncate {NAME}")).await?,
            Kind::Elasticsearch => {
                self.elasticsearch().call(Method::DELETE, &format!("/{NAME}"), b"").await?;
                self.make().await?;
            }
        }
        Ok(())
    }

    /// A connection to the database, which lasts as long as its client.
    #[expect(clippy::disallowed_methods, reason = "it ends with its client: there is nothing to drain")]
    pub(crate) async fn sql(&self) -> anyhow::Result<Client> {
        let (client, connection) = self.config.connect(NoTls).await.context("no connection to PostgreSQL")?;
        tokio::spawn(async move {
            // Whoever asks next is told that it broke.
            let _ = connection.await;
        });
        Ok(client)
    }

    /// A connection to the index's server.
    pub(crate) fn elasticsearch(&self) -> Elasticsearch {
        Elasticsearch(load::Client::new(self.elastic_at))
    }

    /// Asks again and again how much one of them has.
    pub(crate) async fn gauge(&self, kind: Kind) -> anyhow::Result<Gauge> {
        Ok(match kind {
            Kind::Postgres => Gauge::Rows(self.sql().await?),
            Kind::Elasticsearch => Gauge::Documents(self.elasticsearch()),
        })
    }

    /// Compares what one of them has with what went in.
    ///
    /// # Errors
    /// When an order is missing, doubled, or another one.
    pub(crate) async fn compare(&self, kind: Kind, expected: &Slices) -> anyhow::Result<()> {
        let found = match kind {
            Kind::Postgres => self.postgres.sums(NAME, Span::ALL, SLICE_MS).await?,
            Kind::Elasticsearch => {
                self.elasticsearch().call(Method::POST, &format!("/{NAME}/_refresh"), b"").await?;
                self.elastic.sums(NAME, Span::ALL, SLICE_MS).await?
            }
        };
        ensure!(found == *expected, "{kind} has other orders than were written: {found:?} in place of {expected:?}");
        Ok(())
    }
}

/// How much a store has.
pub(crate) enum Gauge {
    Rows(Client),
    Documents(Elasticsearch),
}

impl Gauge {
    /// Orders that are stored now, visible to readers or not.
    pub(crate) async fn look(&mut self) -> anyhow::Result<u64> {
        let count = match self {
            Self::Rows(client) => {
                let row = client.query_one(&format!("select count(*) from {NAME}"), &[]).await?;
                row.try_get::<_, i64>(0)?
            }
            Self::Documents(client) => {
                let found = client.call(Method::GET, &format!("/{NAME}/_stats/indexing"), b"").await?;
                let total = found.pointer("/_all/primaries/indexing/index_total").and_then(Value::as_i64);
                total.context("Elasticsearch does not say how much it has indexed")?
            }
        };
        Ok(u64::try_from(count)?)
    }
}

/// One connection to Elasticsearch, for bodies that are lines.
pub(crate) struct Elasticsearch(load::Client);

impl Elasticsearch {
    /// The answer to one request.
    pub(crate) async fn call(&mut self, method: Method, path: &str, body: &[u8]) -> anyhow::Result<Value> {
        let asked = tokio::time::timeout(PATIENCE, self.ask(&method, path, body)).await;
        let (status, text) = asked.with_context(|| format!("{method} {path} is not answered in {PATIENCE:?}"))??;
        if !(200..300).contains(&status) {
            bail!("{method} {path} answers {status}: {}", text.chars().take(300).collect::<String>());
        }
        serde_json::from_str(&text).with_context(|| format!("{method} {path} does not answer in JSON"))
    }

    async fn ask(&mut self, method: &Method, path: &str, body: &[u8]) -> anyhow::Result<(u16, String)> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        let read =
            |answer: &crate::answer::Answer<'_>| (answer.status, String::from_utf8_lossy(&answer.body).into_owned());
        let asked = self.0.ask(&[head.as_bytes(), body].concat(), read).await;
        if asked.is_err() {
            self.0.forget();
        }
        asked.with_context(|| format!("{method} {path}"))
    }
}
