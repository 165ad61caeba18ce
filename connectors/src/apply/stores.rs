//! Tables and indexes, by their files in `stores/`.

use super::{ApplyError, Change, Line, Out, Target};
use crate::files::{Index, Table};
use crate::retry;

pub(crate) async fn tables(target: &Target, tables: &[Table], out: Out<'_>) -> Result<(), ApplyError> {
    for table in tables {
        let change = retry::until(target.deadline(), "PostgreSQL", || target.postgres.apply(table))
            .await
            .map_err(|source| ApplyError::Postgres { table: table.name.clone(), source })?;
        out(line("table", &table.name, change));
    }
    Ok(())
}

pub(crate) async fn indexes(target: &Target, indexes: &[Index], out: Out<'_>) -> Result<(), ApplyError> {
    for index in indexes {
        let change = retry::until(target.deadline(), "Elasticsearch", || target.elastic.apply(index))
            .await
            .map_err(|source| ApplyError::Elastic { index: index.name.clone(), source })?;
        out(line("index", &index.name, change));
    }
    Ok(())
}

fn line(kind: &'static str, name: &str, change: Change) -> Line {
    Line::new(kind, name, change, String::new())
}
