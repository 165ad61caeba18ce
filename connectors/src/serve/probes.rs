//! Whether the servers that a sink needs can do their work: asked with a real query, not with a ping.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use schemas::registry::Registry;

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
    /// The database.
    Postgres,
    /// An index.
    Elastic(String),
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Registry => "registry",
            Self::Postgres => "postgres",
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
            needs.insert(Need::Postgres);
        }
        CAMEL_CLASS => {
            let options = setting("camel.sink.url").strip_prefix("elasticsearch:").and_then(|url| url.split_once('?'));
            let index = options
                .and_then(|(_, options)| options.split('&').find_map(|option| option.strip_prefix("indexName=")));
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
        let indexes = needs.iter().filter_map(|need| match need {
            Need::Elastic(index) => Some(index.clone()),
            Need::Registry | Need::Postgres => None,
        });
        let elastic = async {
            let mut health = Health::new();
            for index in indexes {
                let answer = within(self.elastic.probe(&index)).await;
                health.insert(Need::Elastic(index), answer);
            }
            health
        };
        let wanted = |need| needs.contains(&need);
        let (registry, postgres, mut health) = tokio::join!(
            async { if wanted(Need::Registry) { within(self.registry.check()).await } else { None } },
            async { if wanted(Need::Postgres) { within(self.postgres.probe()).await } else { None } },
            elastic,
        );
        health.extend(
            [(Need::Registry, registry), (Need::Postgres, postgres)]
                .into_iter()
                .filter(|(need, _)| wanted(need.clone())),
        );
        health
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
        assert_eq!(of(&[("connector.class", JDBC_CLASS)]), ["Registry", "Postgres"]);
        let url = "elasticsearch:o?hostAddresses=${env:E}&operation=Index&indexName=i&socketTimeout=1";
        assert_eq!(of(&[("connector.class", CAMEL_CLASS), ("camel.sink.url", url)]), ["Registry", "Elastic(\"i\")"]);
        assert_eq!(of(&[("connector.class", "x.Y")]), ["Registry"]);
    }
}
