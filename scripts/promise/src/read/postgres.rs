//! The table, row by row, every column as the text that PostgreSQL prints: numerics and times come exact.

use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

use super::ReadError;
use crate::fieldset::{self, Kind, STORED};
use crate::row::{Row, Value};
use crate::world::Stored;

/// The table.
const TABLE: &str = "order_placed";

/// A connection to the database with the table.
#[derive(Debug)]
pub struct Postgres {
    client: Client,
    /// Drives the connection; it ends when this is dropped.
    _connection: JoinSet<Result<(), tokio_postgres::Error>>,
}

impl Postgres {
    /// Connects with libpq's key=value text.
    ///
    /// # Errors
    /// When the server is not there or does not let us in.
    pub async fn connect(config: &str) -> Result<Self, ReadError> {
        let (client, connection) = tokio_postgres::connect(config, NoTls).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(connection);
        Ok(Self { client, _connection: tasks })
    }

    /// Every row.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn all(&self) -> Result<Vec<Stored>, ReadError> {
        let rows = self.client.query(&format!("select {} from {TABLE}", columns()), &[]).await?;
        rows.iter().map(stored).collect()
    }

    /// The rows at a receipt's partition and offset: what anyone can ask in plain SQL.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn by_receipt(&self, partition: i32, offset: i64) -> Result<Vec<Stored>, ReadError> {
        let sql = format!("select {} from {TABLE} where received_partition = $1 and received_offset = $2", columns());
        let rows = self.client.query(&sql, &[&partition, &offset]).await?;
        rows.iter().map(stored).collect()
    }

    /// The names of all tables.
    ///
    /// # Errors
    /// When PostgreSQL does not tell.
    pub async fn tables(&self) -> Result<Vec<String>, ReadError> {
        let rows = self.client.query("select tablename::text from pg_tables", &[]).await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    }

    /// The one number that a query gives.
    ///
    /// # Errors
    /// When PostgreSQL does not take it, or answers something else.
    pub async fn number(&self, sql: &str) -> Result<i64, ReadError> {
        Ok(self.client.query_one(sql, &[]).await?.try_get(0)?)
    }

    /// Runs a statement; for the tests that break a store to see it noticed.
    ///
    /// # Errors
    /// When PostgreSQL does not take it.
    pub async fn run(&self, sql: &str) -> Result<(), ReadError> {
        Ok(self.client.batch_execute(sql).await?)
    }
}

fn columns() -> String {
    let columns = STORED.iter().map(|(name, kind)| match kind {
        Kind::Time => format!("trim_scale(extract(epoch from {name}) * 1000)::text"),
        Kind::Text | Kind::Whole | Kind::Money | Kind::Items => format!("{name}::text"),
    });
    columns.collect::<Vec<_>>().join(", ")
}

fn stored(found: &tokio_postgres::Row) -> Result<Stored, ReadError> {
    let mut row = Row::default();
    for (at, (name, kind)) in STORED.iter().enumerate() {
        let text: Option<String> = found.try_get(at)?;
        let value = match (kind, text) {
            (_, None) => Value::Null,
            (Kind::Text, Some(text)) => Value::Text(text),
            (kind, Some(text)) => fieldset::value(*kind, &text),
        };
        row.set(name, value);
    }
    Ok(Stored { key: row.id().unwrap_or_default().to_owned(), row })
}
