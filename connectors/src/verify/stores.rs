//! The two stores, asked alike.

use std::fmt;

use schemas::names::topics::{self, ORDER_PLACED};
use serde::Serialize;
use serde_json::Value;

use super::order;
use super::slices::{Run, Slices, Span};
use crate::elastic::Elastic;
use crate::names::STAGES;
use crate::names::Stage;
use crate::postgres::Postgres;

/// Rows or documents of one answer. A document is below 256 KiB as it was posted, most are below one.
const PAGE: usize = 1_000;
/// Orders that are asked for by their ids in one go.
pub const ASKED: usize = 200;

/// Where a page ends: version and id of its last order.
pub type Place = (i64, String);

/// A row or a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The id that it is stored under.
    pub key: String,
    /// What it says, as JSON.
    pub value: Value,
}

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Store {
    /// The table.
    PostgreSql,
    /// The index.
    Elasticsearch,
}

impl Store {
    /// Both.
    pub const ALL: [Self; 2] = [Self::PostgreSql, Self::Elasticsearch];

    /// Its sink with its topics.
    #[must_use]
    pub fn stage(self) -> Stage {
        let retry = match self {
            Self::PostgreSql => topics::POSTGRES_RETRY,
            Self::Elasticsearch => topics::ELASTICSEARCH_RETRY,
        };
        let [first, second] = STAGES;
        if first.retry == retry { first } else { second }
    }

    /// What lies in it.
    #[must_use]
    pub fn things(self) -> &'static str {
        match self {
            Self::PostgreSql => "rows",
            Self::Elasticsearch => "documents",
        }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::PostgreSql => "PostgreSQL",
            Self::Elasticsearch => "Elasticsearch",
        })
    }
}

/// Clients of both.
#[derive(Debug, Clone)]
pub struct Stores {
    /// The table's.
    pub postgres: Postgres,
    /// The index's.
    pub elastic: Elastic,
}

impl Stores {
    /// Counts and sums by partition and slice.
    ///
    /// # Errors
    /// Where the store does not answer as asked.
    pub async fn sums(&self, store: Store, span: Span, slice_ms: i64) -> anyhow::Result<Slices> {
        Ok(match store {
            Store::PostgreSql => self.postgres.sums(ORDER_PLACED, span, slice_ms).await?,
            Store::Elasticsearch => self.elastic.sums(ORDER_PLACED, span, slice_ms).await?,
        })
    }

    /// Gives every order of a run to `each`.
    ///
    /// # Errors
    /// Where the store does not answer as asked.
    pub async fn each(&self, store: Store, run: Run, mut each: impl FnMut(Stored)) -> anyhow::Result<()> {
        let mut after: Option<Place> = None;
        loop {
            let page = match store {
                Store::PostgreSql => self.postgres.page(ORDER_PLACED, run, after.as_ref(), PAGE).await?,
                Store::Elasticsearch => self.elastic.page(ORDER_PLACED, run, after.as_ref(), PAGE).await?,
            };
            let last = page.last().and_then(|last| {
                let id = last.value.get("order_id").and_then(Value::as_str).unwrap_or(&last.key).to_owned();
                Some((order::version(&last.value)?.1, id))
            });
            let before = std::mem::replace(&mut after, last);
            page.into_iter().for_each(&mut each);
            // A page that is cut short for its bytes is not the last one; the last one is empty, or ends where it began.
            if after.is_none() || after == before {
                return Ok(());
            }
        }
    }

    /// These orders, as they are now.
    ///
    /// # Errors
    /// Where the store does not answer as asked.
    pub async fn orders(&self, store: Store, ids: &[&str]) -> anyhow::Result<Vec<Stored>> {
        Ok(match store {
            Store::PostgreSql => self.postgres.orders(ORDER_PLACED, ids).await?,
            Store::Elasticsearch => self.elastic.orders(ORDER_PLACED, ids).await?,
        })
    }
}
