//! PostgreSQL as the deploy step and the supervisor need it: run a table's statements, ask whether it works. What
//! `verify` asks is in [`orders`].
//! A connection lives as long as one question.

mod orders;
mod rehearse;
pub mod scratch;

use std::time::Duration;

use schemas::OrderId;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use crate::apply::Change;
use crate::config;
use crate::files::Table;
use crate::retry::Transient;

pub use rehearse::{Parts, Rehearsed};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// One row, by its key.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// Changing a table waits for the sink's batch, not for more.
const APPLY_TIMEOUT: Duration = Duration::from_secs(60);

/// Two deploy steps at once would deadlock on the table's catalogue rows: the second waits for the first to end, which
/// gives the lock back with its connection. The number is `orderflw` in ASCII; it need only be ours.
const TAKE_TURN: &str = "set lock_timeout = '30s'; select pg_advisory_lock(8030591472428805239)";

/// What is missing where PostgreSQL does not know who asks.
const WHO_ASKS: &str =
    "set POSTGRES_USER and POSTGRES_PASSWORD; eval \"$(target/release/stack env)\" sets them for the native stack";

/// Everything in the current schema that a table's file can make, in one line.
const FINGERPRINT: &str = "
select md5(coalesce(string_agg(line, E'\\n' order by line), '')) from (
  select format('%s.%s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                pg_get_expr(d.adbin, d.adrelid)) as line
    from pg_class c join pg_attribute a on a.attrelid = c.oid
    left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
   where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p', 'v') and a.attnum > 0
     and not a.attisdropped
  union all select pg_get_indexdef(i.indexrelid) from pg_index i join pg_class c on c.oid = i.indrelid
   where c.relnamespace = current_schema()::regnamespace
  union all select pg_get_constraintdef(k.oid) from pg_constraint k
   where k.connamespace = current_schema()::regnamespace
  union all select pg_get_triggerdef(t.oid) from pg_trigger t join pg_class c on c.oid = t.tgrelid
   where c.relnamespace = current_schema()::regnamespace
  union all select pg_get_functiondef(p.oid) from pg_proc p
   where p.pronamespace = current_schema()::regnamespace and p.prokind in ('f', 'p')
) as parts";

/// One database.
#[derive(Debug, Clone)]
pub struct Postgres {
    config: Config,
    /// Where it is, for messages.
    address: String,
}

/// Why PostgreSQL did not do it.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// No connection, or it broke.
    #[error("PostgreSQL at {address} does not answer ({reason}); is it running?")]
    Away {
        /// Host, port, database.
        address: String,
        /// The cause.
        reason: String,
    },
    /// It answers, and cannot do it beside what else goes on there.
    #[error("PostgreSQL at {address} is busy ({reason}); it can be asked again")]
    Busy {
        /// Host, port, database.
        address: String,
        /// Its words.
        reason: String,
    },
    /// It answers, and nothing can be written.
    #[error("PostgreSQL at {address} takes no rows: its transactions are read-only")]
    ReadOnly {
        /// Host, port, database.
        address: String,
    },
    /// It answers and refuses.
    #[error("PostgreSQL at {address} refuses: {reason}")]
    Refused {
        /// Host, port, database.
        address: String,
        /// Its words.
        reason: String,
    },
}

impl Transient for PostgresError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Away { .. } | Self::Busy { .. } | Self::ReadOnly { .. } => true,
            Self::Refused { .. } => false,
        }
    }
}

impl Postgres {
    /// The database of these settings. Does not connect yet.
    #[must_use]
    pub fn new(settings: &config::Postgres) -> Self {
        let mut config = Config::new();
        config.host(&settings.host).port(settings.port).dbname(&settings.db).user(&settings.user);
        config.password(settings.password.reveal()).application_name("connectors").connect_timeout(CONNECT_TIMEOUT);
        Self { config, address: format!("{}:{}/{}", settings.host, settings.port, settings.db) }
    }

    /// Whether rows can be written to a table: it takes the lock that an insert takes, and lets it go again. That fails
    /// where the server is read-only, or the table is away, held by somebody or not ours to write. Without a table only
    /// the server is asked.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn probe(&self, table: Option<&str>) -> Result<(), PostgresError> {
        let lock =
            table.map_or_else(String::new, |table| format!("lock table {} in row exclusive mode;", quoted(table)));
        // A lock alone is given in a read-only transaction as well.
        let ask = format!("begin; set local lock_timeout = '1s'; {lock} show transaction_read_only; rollback");
        match self.within(PROBE_TIMEOUT, async |client| one(client, &ask).await).await?.as_deref() {
            Some("on") => Err(PostgresError::ReadOnly { address: self.address.clone() }),
            _ => Ok(()),
        }
    }

    /// The row of an order as JSON, or nothing where there is none.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn row(&self, table: &str, order_id: &OrderId) -> Result<Option<String>, PostgresError> {
        // The id's rule leaves nothing that could end the text; the table's name comes from a connector's settings.
        let table = quoted(table);
        let ask = format!("select row_to_json(stored) from {table} as stored where order_id = '{order_id}'");
        self.within(READ_TIMEOUT, async |client| one(client, &ask).await).await
    }

    /// Runs a table's statements as one transaction and tells whether they changed anything.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn apply(&self, table: &Table) -> Result<Change, PostgresError> {
        let ask = format!("select to_regclass('{}') is not null", table.name.replace('\'', "''"));
        self.within(APPLY_TIMEOUT, async |client| {
            client.batch_execute(TAKE_TURN).await?;
            let (there, before) = (one(client, &ask).await?, one(client, FINGERPRINT).await?);
            client.batch_execute(&table.sql).await?;
            let after = one(client, FINGERPRINT).await?;
            Ok(match there.as_deref() {
                Some("t") if before == after => Change::Unchanged,
                Some("t") => Change::Updated,
                _ => Change::Created,
            })
        })
        .await
    }

    /// One connection, one piece of work, one time limit. The connection is driven here, beside the work.
    async fn within<T>(
        &self,
        limit: Duration,
        work: impl AsyncFnOnce(&Client) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, PostgresError> {
        let all = async {
            let (client, connection) = self.config.connect(NoTls).await?;
            tokio::select! {
                result = work(&client) => result.map(Some),
                broken = connection => broken.map(|()| None),
            }
        };
        match tokio::time::timeout(limit, all).await {
            Ok(Ok(Some(value))) => Ok(value),
            Ok(Ok(None)) => Err(self.away("it closed the connection".to_owned())),
            Ok(Err(err)) => Err(self.classify(&err)),
            Err(_) => Err(self.away(format!("nothing within {limit:?}"))),
        }
    }

    fn away(&self, reason: String) -> PostgresError {
        PostgresError::Away { address: self.address.clone(), reason }
    }

    fn classify(&self, err: &tokio_postgres::Error) -> PostgresError {
        let Some(refusal) = err.as_db_error() else {
            let cause = std::error::Error::source(err).map_or_else(String::new, |cause| format!(": {cause}"));
            return self.away(format!("{err}{cause}"));
        };
        let code = refusal.code().code();
        let reason = format!("{} ({code})", refusal.message());
        let address = self.address.clone();
        match Refusal::of(code, refusal.message()) {
            Refusal::Away => self.away(reason),
            Refusal::Busy => PostgresError::Busy { address, reason },
            Refusal::Stranger => PostgresError::Refused { address, reason: format!("{reason}; {WHO_ASKS}") },
            Refusal::Final => PostgresError::Refused { address, reason },
        }
    }
}

/// A name as a sink's settings have it, perhaps with its schema, as SQL takes it.
fn quoted(name: &str) -> String {
    name.split('.').map(identifier).collect::<Vec<_>>().join(".")
}

/// One name as SQL writes it.
fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What an error code means for whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Away,
    Busy,
    Stranger,
    Final,
}

impl Refusal {
    /// Away: classes 08 (connection) and 57 (operator: shutting down, starting up). Busy: 40 (deadlock, serialization),
    /// 53 (resources), 55P03 (a lock), and the one internal error that says that another session changed the same thing.
    fn of(code: &str, message: &str) -> Self {
        match code {
            "28P01" | "28000" => Self::Stranger,
            "55P03" => Self::Busy,
            "XX000" if message == "tuple concurrently updated" => Self::Busy,
            code if ["08", "57"].iter().any(|class| code.starts_with(class)) => Self::Away,
            code if ["40", "53"].iter().any(|class| code.starts_with(class)) => Self::Busy,
            _ => Self::Final,
        }
    }
}

/// The first column of the first row.
async fn one(client: &Client, query: &str) -> Result<Option<String>, tokio_postgres::Error> {
    let rows = client.simple_query(query).await?;
    Ok(rows.iter().find_map(|row| match row {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }))
}

#[cfg(test)]
mod tests {
    use super::Refusal;

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        for (code, message, expected) in [
            ("28P01", "password authentication failed for user \"orders\"", Refusal::Stranger),
            ("28000", "no pg_hba.conf entry", Refusal::Stranger),
            ("40P01", "deadlock detected", Refusal::Busy),
            ("40001", "could not serialize access", Refusal::Busy),
            ("53300", "too many connections", Refusal::Busy),
            ("55P03", "canceling statement due to lock timeout", Refusal::Busy),
            ("XX000", "tuple concurrently updated", Refusal::Busy),
            ("XX000", "cache lookup failed", Refusal::Final),
            ("57P03", "the database system is starting up", Refusal::Away),
            ("08006", "connection failure", Refusal::Away),
            ("42601", "syntax error", Refusal::Final),
        ] {
            assert_eq!(Refusal::of(code, message), expected, "{code} {message}");
        }
    }
}
