//! Scratch tables of a rehearsal: made from the definition of a live one, read in full, removed by their mark.

use std::time::Duration;

use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

use super::{APPLY_TIMEOUT, Postgres, PostgresError, identifier};

/// Reading a scratch table in full.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// What a scratch table's comment begins with; its own name follows, so a renamed one is somebody's and stays.
const COMMENT: &str = "made by `connectors rehearse`, which removes it: ";

/// A table as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Definition {
    /// The schema that it lies in.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its triggers, which a table like it does not have.
    pub triggers: Vec<String>,
    /// Columns that one like it has beside its own, where it lacks them: `name type …`.
    pub added: Vec<String>,
}

/// A table's rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// The columns of its primary key.
    pub key: Vec<String>,
    /// Each row as JSON.
    pub rows: Vec<String>,
}

impl Postgres {
    /// Host, port and database.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A table of this name, if there is one; without a schema, the one that is found first.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn definition(&self, schema: Option<&str>, name: &str) -> Result<Option<Definition>, PostgresError> {
        let called =
            schema.map_or_else(|| identifier(name), |schema| format!("{}.{}", identifier(schema), identifier(name)));
        let ask = format!(
            "select n.nspname, c.relname, t.tgname from pg_class c join pg_namespace n on n.oid = c.relnamespace \
             left join pg_trigger t on t.tgrelid = c.oid and not t.tgisinternal \
             where c.oid = to_regclass({}) order by t.tgname",
            text(&called)
        );
        let found = self.within(READ_TIMEOUT, async |client| rows(client, &ask).await).await?;
        let mut definition = None;
        for row in &found {
            let column = |at| row.get(at).map(str::to_owned);
            let (Some(schema), Some(name)) = (column(0), column(1)) else { continue };
            let known = definition.get_or_insert(Definition { schema, name, ..Definition::default() });
            known.triggers.extend(column(2));
        }
        Ok(definition)
    }

    /// Makes a table like this one beside it, empty, with its mark.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn make_scratch(&self, like: &Definition, scratch: &str) -> Result<(), PostgresError> {
        let (schema, name, comment) =
            (identifier(&like.schema), identifier(scratch), text(&format!("{COMMENT}{scratch}")));
        let make = format!(
            "set lock_timeout = '10s'; create table {schema}.{name} (like {schema}.{} including all); \
             comment on table {schema}.{name} is {comment}",
            identifier(&like.name)
        );
        let add = |column: &String| format!("; alter table {schema}.{name} add column if not exists {column}");
        let make = make + &like.added.iter().map(add).collect::<String>();
        self.within(APPLY_TIMEOUT, async |client| client.batch_execute(&make).await).await
    }

    /// Scratch tables, by schema and name: those that have the mark in their comment as well.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn scratches(&self) -> Result<Vec<(String, String)>, PostgresError> {
        let ask = format!(
            "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace \
             where c.relkind = 'r' and obj_description(c.oid, 'pg_class') = {} || c.relname",
            text(COMMENT)
        );
        let found = self.within(READ_TIMEOUT, async |client| rows(client, &ask).await).await?;
        let named = |row: &SimpleQueryRow| Some((row.get(0)?.to_owned(), row.get(1)?.to_owned()));
        Ok(found.iter().filter_map(named).collect())
    }

    /// Removes a scratch table.
    ///
    /// # Errors
    /// [`PostgresError`]; also where something has come to depend on it.
    pub async fn drop_scratch(&self, schema: &str, scratch: &str) -> Result<(), PostgresError> {
        let drop =
            format!("set lock_timeout = '10s'; drop table if exists {}.{}", identifier(schema), identifier(scratch));
        self.within(APPLY_TIMEOUT, async |client| client.batch_execute(&drop).await).await
    }

    /// All rows of a scratch table.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn scratch_rows(&self, schema: &str, scratch: &str) -> Result<Rows, PostgresError> {
        let table = format!("{}.{}", identifier(schema), identifier(scratch));
        let ask_key = format!(
            "select a.attname from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey) \
             where i.indisprimary and i.indrelid = to_regclass({}) order by a.attnum",
            text(&table)
        );
        let ask_rows = format!("select row_to_json(made) from {table} as made");
        self.within(READ_TIMEOUT, async |client| {
            let first = |found: Vec<SimpleQueryRow>| -> Vec<String> {
                found.iter().filter_map(|row| row.get(0).map(str::to_owned)).collect()
            };
            Ok(Rows { key: first(rows(client, &ask_key).await?), rows: first(rows(client, &ask_rows).await?) })
        })
        .await
    }
}

async fn rows(client: &Client, query: &str) -> Result<Vec<SimpleQueryRow>, tokio_postgres::Error> {
    let messages = client.simple_query(query).await?;
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    };
    Ok(messages.into_iter().filter_map(row).collect())
}

/// Text as SQL writes it.
fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_end_where_they_end() {
        assert_eq!(identifier("a\"; drop table b; --"), "\"a\"\"; drop table b; --\"");
        assert_eq!(text("a'; drop table b; --"), "'a''; drop table b; --'");
    }
}
