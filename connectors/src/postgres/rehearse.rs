//! What a table's file would do, without doing it. In a transaction that is never committed the file runs twice in schemas
//! that nobody else sees: once in an empty one, which shows what it makes, and once beside copies of the columns that are
//! there, which shows what it makes of those. No table of anybody is changed or locked against writing.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_postgres::{Client, SimpleQueryMessage};

use super::{Postgres, PostgresError, one};
use crate::check::flow::statements;
use crate::files::Table;

const REHEARSE_TIMEOUT: Duration = Duration::from_secs(20);

/// Columns, indexes, constraints, triggers and functions by name, each with its definition.
pub type Parts = BTreeMap<String, String>;

/// A table's file beside its table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rehearsed {
    /// What there is now, as far as it belongs to what the file makes.
    pub there: Parts,
    /// What the file makes of nothing.
    pub made: Parts,
    /// Which columns the file would leave behind, with those that are there now.
    pub after: Parts,
}

/// Everything of a schema that a table's file can make, as far as it stands on the relations and functions of another.
/// `@of` is the schema that is looked at, `@like` the one whose names count; `@here` is the live one, whose name means
/// nothing in a definition.
const PARTS: &str = "
with names as (select relname from pg_class where relnamespace = '@like'::regnamespace and relkind in ('r', 'p', 'v')),
of as (select c.oid, c.relname from pg_class c join names using (relname) where c.relnamespace = '@of'::regnamespace),
parts as (
  select 'column ' || case when of.relname = '@table' then '' else of.relname || '.' end || a.attname as key,
         concat_ws(' ', format_type(a.atttypid, a.atttypmod), case when a.attnotnull then 'not null' end,
                   'default ' || pg_get_expr(d.adbin, d.adrelid)) as value
    from of join pg_attribute a on a.attrelid = of.oid
    left join pg_attrdef d on d.adrelid = of.oid and d.adnum = a.attnum
   where a.attnum > 0 and not a.attisdropped
  union all select 'index ' || i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid)
    from pg_index i join of on of.oid = i.indrelid
  union all select 'constraint ' || k.conname, pg_get_constraintdef(k.oid)
    from pg_constraint k join of on of.oid = k.conrelid where k.contype <> 'n'
  union all select 'trigger ' || t.tgname, pg_get_triggerdef(t.oid)
    from pg_trigger t join of on of.oid = t.tgrelid where not t.tgisinternal
  union all select 'function ' || p.proname, pg_get_functiondef(p.oid)
    from pg_proc p where p.pronamespace = '@of'::regnamespace and p.prokind in ('f', 'p')
     and p.proname in (select proname from pg_proc where pronamespace = '@like'::regnamespace)
)
select replace(replace(key, '@of.', ''), '@here.', ''),
       case when key like 'function %' then 'body md5:' || left(md5(replace(replace(value, '@of.', ''), '@here.', '')), 12)
            else replace(replace(value, '@of.', ''), '@here.', '') end
  from parts";

impl Postgres {
    /// What the table's file would make of what is there.
    ///
    /// # Errors
    /// [`PostgresError`], also where the file would end the transaction that is to be taken back.
    pub async fn rehearse(&self, table: &Table) -> Result<Rehearsed, PostgresError> {
        if let Some(statement) = ends_transaction(&table.sql) {
            let reason = format!(
                "stores/{}.sql has the statement `{statement}`, and cannot be tried without being done; take it out, \
                 `connectors apply` runs the file as one transaction",
                table.name
            );
            return Err(PostgresError::Refused { address: self.address.clone(), reason });
        }
        self.within(REHEARSE_TIMEOUT, async |client| {
            let rehearsed = rehearse(client, table).await;
            // The connection's end takes it back as well.
            client.batch_execute("rollback").await?;
            rehearsed
        })
        .await
    }
}

async fn rehearse(client: &Client, table: &Table) -> Result<Rehearsed, tokio_postgres::Error> {
    client.batch_execute("begin; set local lock_timeout = '2s'; set local statement_timeout = '15s'").await?;
    let here = one(client, "select quote_ident(current_schema())").await?.unwrap_or_default();
    let pid = one(client, "select pg_backend_pid()").await?.unwrap_or_default();
    let (empty, copy) = (format!("orderflow_plan_{pid}_a"), format!("orderflow_plan_{pid}_b"));
    client.batch_execute(&format!("create schema {empty}; set local search_path = {empty}")).await?;
    client.batch_execute(&table.sql).await?;
    // Only names of the catalogue are found without their schema now, on both sides.
    client.batch_execute("set local search_path = pg_catalog").await?;
    let ask = |of: &str| {
        let name = table.name.replace('\'', "''");
        PARTS.replace("@of", of).replace("@like", &empty).replace("@here", &here).replace("@table", &name)
    };
    let made = parts(client, &ask(&empty)).await?;
    let there = parts(client, &ask(&here)).await?;
    let tables = format!(
        "select string_agg(format('create table {copy}.%I (like {here}.%I including defaults including generated including \
         identity)', c.relname, c.relname), ';') from pg_class c where c.relnamespace = '{here}'::regnamespace and \
         c.relkind in ('r', 'p') and c.relname in (select relname from pg_class where relnamespace = '{empty}'::regnamespace)"
    );
    client.batch_execute(&format!("create schema {copy}")).await?;
    if let Some(copies) = one(client, &tables).await? {
        client.batch_execute(&copies).await?;
    }
    client.batch_execute(&format!("set local search_path = {copy}")).await?;
    client.batch_execute(&table.sql).await?;
    client.batch_execute("set local search_path = pg_catalog").await?;
    let after = parts(client, &ask(&copy)).await?;
    Ok(Rehearsed { there, made, after })
}

async fn parts(client: &Client, query: &str) -> Result<Parts, tokio_postgres::Error> {
    let rows = client.simple_query(query).await?;
    let row = |row: &SimpleQueryMessage| match row {
        SimpleQueryMessage::Row(row) => Some((row.get(0)?.to_owned(), row.get(1)?.to_owned())),
        _ => None,
    };
    Ok(rows.iter().filter_map(row).collect())
}

/// The first statement that would end the transaction it runs in.
fn ends_transaction(sql: &str) -> Option<&'static str> {
    const ENDS: [&str; 7] = ["begin", "start", "commit", "end", "rollback", "abort", "prepare"];
    statements(sql).iter().find_map(|statement| {
        let first = statement.split_whitespace().next()?.to_lowercase();
        ENDS.into_iter().find(|end| *end == first)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_would_end_the_transaction_is_found_and_words_in_bodies_are_not() {
        assert_eq!(ends_transaction("create table t ();\nCOMMIT ;"), Some("commit"));
        assert_eq!(ends_transaction("create table t (a text default 'x; commit'); -- ; rollback\n"), None);
        for body in ["$$ begin return new; end $$", "$f$ begin; commit; end $f$", "'; begin'"] {
            assert_eq!(
                ends_transaction(&format!("create function f() returns int as {body} language x;")),
                None,
                "{body}"
            );
        }
        assert_eq!(ends_transaction(include_str!("../../stores/order_placed.sql")), None);
    }
}
