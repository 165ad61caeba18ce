//! The table's orders: sums by slice, rows page by page, rows by id.

use std::time::Duration;

use serde_json::Value;
use tokio_postgres::SimpleQueryMessage;

use super::{Postgres, PostgresError, quoted};
use crate::verify::order::hundredths;
use crate::verify::slices::{Run, Slices, Span, Sums};
use crate::verify::stores::{Place, Stored};

/// Sums over a large table.
const SUM_TIMEOUT: Duration = Duration::from_secs(600);
/// A page of rows.
const PAGE_TIMEOUT: Duration = Duration::from_secs(60);

impl Postgres {
    /// Counts and sums by partition and slice of the time of receipt.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn sums(&self, table: &str, span: Span, slice_ms: i64) -> Result<Slices, PostgresError> {
        let ask = format!(
            "select received_partition, floor(extract(epoch from received_at) * 1000 / {slice_ms})::bigint, count(*), \
             coalesce(sum(amount), 0), coalesce(sum(received_offset), 0) from {} where {} group by 1, 2",
            quoted(table),
            within(span)
        );
        let rows = self.asked(SUM_TIMEOUT, &ask).await?;
        rows.iter().map(|row| sums(row).ok_or_else(|| self.strange())).collect()
    }

    /// The next rows of a run, at most so many, in the order of version and id.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn page(
        &self,
        table: &str,
        run: Run,
        after: Option<&Place>,
        most: usize,
    ) -> Result<Vec<Stored>, PostgresError> {
        let after = after.map_or_else(String::new, |(offset, id)| {
            format!(" and (received_offset, order_id) > ({offset}, '{}')", id.replace('\'', "''"))
        });
        let ask = format!(
            "select order_id, row_to_json(stored) from {} as stored where received_partition = {} and {}{after} \
             order by received_offset, order_id limit {most}",
            quoted(table),
            run.partition,
            within(run.span)
        );
        self.stored(&ask).await
    }

    /// The rows of these orders.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn orders(&self, table: &str, ids: &[&str]) -> Result<Vec<Stored>, PostgresError> {
        let listed: Vec<String> = ids.iter().map(|id| format!("'{}'", id.replace('\'', "''"))).collect();
        let ask = format!(
            "select order_id, row_to_json(stored) from {} as stored where order_id in ({})",
            quoted(table),
            listed.join(", ")
        );
        self.stored(&ask).await
    }

    async fn stored(&self, ask: &str) -> Result<Vec<Stored>, PostgresError> {
        let rows = self.asked(PAGE_TIMEOUT, ask).await?;
        let read = rows.iter().map(|row| {
            let (key, text) = (row.first().cloned().flatten(), row.get(1).cloned().flatten());
            let value: Option<Value> = text.and_then(|text| serde_json::from_str(&text).ok());
            key.zip(value).map(|(key, value)| Stored { key, value }).ok_or_else(|| self.strange())
        });
        read.collect()
    }

    /// All rows of an answer as texts. The server ends what takes longer by itself, too.
    async fn asked(&self, limit: Duration, ask: &str) -> Result<Vec<Vec<Option<String>>>, PostgresError> {
        let settings = format!("set statement_timeout = {}; set timezone = 'UTC'", limit.as_millis());
        self.within(limit, async |client| {
            client.batch_execute(&settings).await?;
            let answer = client.simple_query(ask).await?;
            let rows = answer.iter().filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()),
                _ => None,
            });
            Ok(rows.collect())
        })
        .await
    }

    fn strange(&self) -> PostgresError {
        let reason = "the answer is not what was asked for".to_owned();
        PostgresError::Refused { address: self.address.clone(), reason }
    }
}

fn sums(row: &[Option<String>]) -> Option<((i32, i64), Sums)> {
    let [partition, slice, count, amount, versions] = row else { return None };
    let whole = |text: &Option<String>| text.as_ref()?.parse::<i64>().ok();
    let slot = (i32::try_from(whole(partition)?).ok()?, whole(slice)?);
    let versions = versions.as_ref()?.parse().ok()?;
    Some((slot, Sums { count: whole(count)?, amount: hundredths(amount.as_ref()?)?, versions }))
}

fn within(span: Span) -> String {
    let bound =
        |ms: i64, sign: &str| format!("received_at {sign} 'epoch'::timestamptz + {ms} * interval '1 millisecond'");
    let bounds = [span.since.map(|ms| bound(ms, ">=")), span.until.map(|ms| bound(ms, "<"))];
    let bounds: Vec<String> = bounds.into_iter().flatten().collect();
    if bounds.is_empty() { "true".to_owned() } else { bounds.join(" and ") }
}
