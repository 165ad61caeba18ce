//! What the stores themselves take on this machine: the same rows and documents, from memory, in bulk, by two
//! connections. The table keeps its indexes and its trigger, and an order that is there already is replaced.

use std::time::Instant;

use anyhow::{Context, ensure};
use http::Method;
use schemas::names::topics;
use tokio_postgres::types::ToSql;

use super::{
    Bench, Took,
    orders::{self, COLUMNS, Placed},
    stores::Kind,
};
use crate::process;

/// Rows of one statement, documents of one request.
const ROWS: usize = 1_000;
const DOCUMENTS: usize = 500;

/// A column's texts.
type Column = Vec<Option<String>>;

/// The orders with these numbers, in bulk, into an emptied store; compared as a sink's are.
pub(super) async fn bulk(bench: &Bench, kind: Kind, count: u64) -> anyhow::Result<Took> {
    let stores = &bench.servers.stores;
    stores.empty(kind).await?;
    let pid = bench.servers.stack.pid(kind.service())?;
    let (seconds, cpu) = match kind {
        Kind::Postgres => {
            let batches = batches(count, ROWS, columns)?;
            let (first, second) = (stores.sql().await?, stores.sql().await?);
            let (begun, before) = (Instant::now(), process::cpu_of_tree(pid)?);
            let [odd, even] = halves(&batches);
            tokio::try_join!(insert(&first, &odd), insert(&second, &even))?;
            (begun.elapsed(), process::cpu_of_tree(pid)?.saturating_sub(before))
        }
        Kind::Elasticsearch => {
            let batches = batches(count, DOCUMENTS, lines)?;
            let (begun, before) = (Instant::now(), process::cpu_of_tree(pid)?);
            let [odd, even] = halves(&batches);
            tokio::try_join!(index(bench, &odd), index(bench, &even))?;
            (begun.elapsed(), process::cpu_of_tree(pid)?.saturating_sub(before))
        }
    };
    stores.compare(kind, &orders::sums(0..count)?).await?;
    let each = |seconds: f64| seconds / count as f64;
    Ok(Took { rate: count as f64 / seconds.as_secs_f64(), connect: 0.0, store: each(cpu.as_secs_f64()) })
}

/// All orders in batches, each made into what is sent.
fn batches<T>(count: u64, size: usize, make: fn(Vec<Placed>) -> anyhow::Result<T>) -> anyhow::Result<Vec<T>> {
    let starts = (0..count).step_by(size);
    let batch = |start: u64| {
        let end = count.min(start + size as u64);
        make((start..end).map(Placed::new).collect::<anyhow::Result<_>>()?)
    };
    starts.map(batch).collect()
}

fn halves<T>(batches: &[T]) -> [Vec<&T>; 2] {
    [0, 1].map(|from| batches.iter().skip(from).step_by(2).collect())
}

fn columns(batch: Vec<Placed>) -> anyhow::Result<Vec<Column>> {
    let mut columns: Vec<Column> = COLUMNS.iter().map(|_| Vec::with_capacity(batch.len())).collect();
    for placed in batch {
        for (column, value) in columns.iter_mut().zip(placed.row()?) {
            column.push(value);
        }
    }
    Ok(columns)
}

/// One statement for a batch, each a transaction of its own.
async fn insert(client: &tokio_postgres::Client, batches: &[&Vec<Column>]) -> anyhow::Result<()> {
    let list = |make: &dyn Fn(usize, &str, &str) -> String| {
        let each = COLUMNS.iter().enumerate().map(|(at, (name, kind))| make(at, name, kind));
        each.collect::<Vec<_>>().join(", ")
    };
    let text = format!(
        "insert into {} ({}) select {} from unnest({}) as given ({}) on conflict (order_id) do update set {}",
        topics::ORDER_PLACED,
        list(&|_, name, _| name.to_owned()),
        list(&|_, name, kind| format!("{name}::{kind}")),
        list(&|at, _, _| format!("${}::text[]", at + 1)),
        list(&|_, name, _| name.to_owned()),
        list(&|_, name, _| format!("{name} = excluded.{name}")),
    );
    let statement = client.prepare(&text).await?;
    for batch in batches {
        let values: Vec<&(dyn ToSql + Sync)> = batch.iter().map(|column| column as &(dyn ToSql + Sync)).collect();
        client.execute(&statement, &values).await.context("PostgreSQL does not take a batch")?;
    }
    Ok(())
}

fn lines(batch: Vec<Placed>) -> anyhow::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for placed in batch {
        let action = serde_json::json!({ "index": { "_id": placed.key() } });
        for line in [action, placed.document()] {
            serde_json::to_writer(&mut lines, &line)?;
            lines.push(b'\n');
        }
    }
    Ok(lines)
}

/// One request for a batch.
async fn index(bench: &Bench, batches: &[&Vec<u8>]) -> anyhow::Result<()> {
    let mut client = bench.servers.stores.elasticsearch();
    // Of the good items nothing need be told.
    let path = format!("/{}/_bulk?filter_path=errors,items.*.error", topics::ORDER_PLACED);
    for batch in batches {
        let answer = client.call(Method::POST, &path, batch).await?;
        ensure!(answer.get("errors") == Some(&false.into()), "Elasticsearch does not take a batch: {answer}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_is_in_one_batch() {
        let sizes = |count| batches(count, 500, |batch| Ok(batch.len())).unwrap();
        assert_eq!((sizes(1_200), sizes(500), sizes(0)), (vec![500, 500, 200], vec![500], vec![]));
        let keys = batches(5, 2, |batch| Ok(batch.iter().map(|placed| placed.key().to_owned()).collect::<Vec<_>>()));
        let keys: Vec<String> = keys.unwrap().concat();
        assert_eq!(keys, (0..5).map(|number| format!("race-{number:012}")).collect::<Vec<_>>());
        let [odd, even] = halves(&[1, 2, 3]);
        assert_eq!((odd, even), (vec![&1, &3], vec![&2]));
    }

    #[test]
    fn a_batch_is_a_line_for_each_action_and_each_document_and_a_text_for_each_column() {
        let made = |count| (0..count).map(Placed::new).collect::<anyhow::Result<Vec<_>>>().unwrap();
        let text = String::from_utf8(lines(made(3)).unwrap()).unwrap();
        assert_eq!(text.lines().count(), 6);
        assert!(text.starts_with("{\"index\":{\"_id\":\"race-000000000000\"}}\n{") && text.ends_with("}\n"), "{text}");
        let columns = columns(made(3)).unwrap();
        assert_eq!((columns.len(), columns.iter().all(|column| column.len() == 3)), (COLUMNS.len(), true));
    }
}
