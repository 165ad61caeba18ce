//! Whether the servers that a sink needs can do their work: asked with a real query, not with a ping.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use schemas::registry::Registry;
use tokio::task::JoinSet;

use crate::check::target;
use crate::connect::Settings;
use crate::elastic::Elastic;
use crate::names::{CAMEL_CLASS, JDBC_CLASS};
use crate::postgres::Postgres;

/// A server that is slower than this cannot carry a sink either.
const LIMIT: Duration = Duration::from_millis(2500);

/// Something that a sink needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Schemas.
    Registry,
    /// The database, and the table in it where the settings name one.
    Postgres(Option<String>),
    /// An index.
    Elastic(String),
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Registry => "registry",
            Self::Postgres(_) => "postgres",
            Self::Elastic(_) => "elasticsearch",
        })
    }
}

/// What a sink of these settings needs.
#[must_use]
pub fn needs(settings: &Settings) -> BTreeSet<Need> {
    let setting = |key: &str| settings.get(key).map_or("", String::as_str);
    let mut needs = BTreeSet::from([Need::Registry]);
    match setting("connector.class") {
        JDBC_CLASS => {
            let table = Some(setting("collection.name.format")).filter(|name| !name.is_empty() && !name.contains('$'));
            needs.insert(Need::Postgres(table.map(str::to_owned)));
        }
        CAMEL_CLASS => {
            let index = target::index(setting("camel.sink.url"));
            needs.extend(index.map(|index| Need::Elastic(index.to_owned())));
        }
        _ => {}
    }
    needs
}

/// Asks the servers.
#[derive(Debug, Clone)]
pub struct Probes {
    /// PostgreSQL.
    pub postgres: Postgres,
    /// Elasticsearch.
    pub elastic: Elastic,
    /// The schema registry.
    pub registry: Registry,
}

/// For each need nothing, or why it is not met.
pub type Health = BTreeMap<Need, Option<String>>;

impl Probes {
    /// Asks all that is needed, side by side.
    pub async fn ask(&self, needs: &BTreeSet<Need>) -> Health {
        let mut asked = JoinSet::new();
        for need in needs.clone() {
            let probes = self.clone();
            asked.spawn(async move {
                let answer = probes.answer(&need).await;
                (need, answer)
            });
        }
        asked.join_all().await.into_iter().collect()
    }

    async fn answer(&self, need: &Need) -> Option<String> {
        match need {
            Need::Registry => within(self.registry.check()).await,
            Need::Postgres(table) => within(self.postgres.probe(table.as_deref())).await,
            Need::Elastic(index) => within(self.elastic.probe(index)).await,
        }
    }
}

async fn within<E: fmt::Display>(ask: impl Future<Output = Result<(), E>>) -> Option<String> {
    match tokio::time::timeout(LIMIT, ask).await {
        Ok(Ok(())) => None,
        Ok(Err(err)) => Some(err.to_string()),
        Err(_) => Some(format!("no answer within {LIMIT:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sink_needs_the_registry_and_its_own_store() {
        let settings = |pairs: &[(&str, &str)]| -> Settings {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        let of =
            |pairs: &[(&str, &str)]| needs(&settings(pairs)).iter().map(|need| format!("{need:?}")).collect::<Vec<_>>();
        assert_eq!(of(&[("connector.class", JDBC_CLASS)]), ["Registry", "Postgres(None)"]);
        let named = [("connector.class", JDBC_CLASS), ("collection.name.format", "s.t")];
        assert_eq!(of(&named), ["Registry", "Postgres(Some(\"s.t\"))"]);
        let follows = [("connector.class", JDBC_CLASS), ("collection.name.format", "${topic}")];
        assert_eq!(of(&follows), ["Registry", "Postgres(None)"]);
        let url = "elasticsearch:o?hostAddresses=${env:E}&operation=Index&indexName=i&socketTimeout=1";
        let guarded = "http://${env:E}/i/_doc/${header.docId}?httpMethod=PUT";
        for url in [url, guarded] {
            assert_eq!(
                of(&[("connector.class", CAMEL_CLASS), ("camel.sink.url", url)]),
                ["Registry", "Elastic(\"i\")"]
            );
        }
        assert_eq!(of(&[("connector.class", "x.Y")]), ["Registry"]);
    }
}
