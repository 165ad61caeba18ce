//! Where a sink writes, and the same sink made to write into a scratch table or index. Only what is known to hold is
//! redirected: a sink that wrote into the live store all the same would do what a rehearsal is there to avoid.

use crate::connect::Settings;
use crate::names::JDBC_CLASS;
use crate::serve::isolate::trial::{self, Untriable};

const FORMAT: &str = "collection.name.format";
const URL: &str = "camel.sink.url";

/// What a sink writes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A table, as the sink names it.
    Table(Table),
    /// An index.
    Index {
        /// Its name.
        name: String,
        /// The server, as the settings name it.
        server: String,
    },
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The schema before its name, if one is given.
    pub schema: Option<String>,
    /// Its name.
    pub name: String,
    /// The database, as the settings name it.
    pub server: String,
}

/// Why a sink is not rehearsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unredirectable {
    /// Its records cannot be read from another place.
    #[error(transparent)]
    Untriable(#[from] Untriable),
    /// A setting decides where it writes in a way that is not known here.
    #[error("{key} may decide where rows go; without knowing that, they could go into the live store: {way_out}")]
    Unsure {
        /// The setting.
        key: String,
        /// What would help.
        way_out: &'static str,
    },
    /// It names another server than the one that the scratch store is made in.
    #[error("{key} names another server than {ours}, where the scratch store would be made; {way_out}")]
    Elsewhere {
        /// The setting.
        key: &'static str,
        /// Ours.
        ours: String,
        /// What would help.
        way_out: &'static str,
    },
}

impl Target {
    /// The table's or index's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Table(table) => &table.name,
            Self::Index { name, .. } => name,
        }
    }

    /// `table` or `index`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Table(_) => "table",
            Self::Index { .. } => "index",
        }
    }

    fn server(&self) -> &str {
        match self {
            Self::Table(table) => &table.server,
            Self::Index { server, .. } => server,
        }
    }

    /// That this is the server where a scratch store is made: `ours` is its address, `live` what runs now.
    ///
    /// # Errors
    /// [`Unredirectable::Elsewhere`].
    pub fn is_at(&self, ours: &str, live: Option<&Self>) -> Result<(), Unredirectable> {
        let (key, known, way_out) = match self {
            Self::Table(_) => (
                "connection.url",
                "${env:POSTGRES_JDBC_URL}",
                "write ${env:POSTGRES_JDBC_URL}, or start it with the --postgres-… of that database",
            ),
            Self::Index { .. } => (
                URL,
                "${env:ELASTICSEARCH_HOST}",
                "write ${env:ELASTICSEARCH_HOST} for its host, or start it with the --elasticsearch of that server",
            ),
        };
        let server = self.server();
        // What a placeholder of another make stands for only Connect knows; that it is the live one's is enough.
        let held = server.contains("${") && live.is_none_or(|live| live.server() == server);
        if server == known || held || address(server) == address(ours) {
            return Ok(());
        }
        Err(Unredirectable::Elsewhere { key, ours: ours.to_owned(), way_out })
    }
}

/// Host, port and path of a URL, so that the same place has the same text.
fn address(url: &str) -> String {
    let url = url.strip_prefix("jdbc:postgresql://").unwrap_or(url);
    let url = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")).unwrap_or(url);
    let (url, _) = url.split_once('?').unwrap_or((url, ""));
    url.trim_end_matches('/').replace("localhost", "127.0.0.1")
}

/// Where these settings write.
///
/// # Errors
/// [`Unredirectable`].
pub fn target(settings: &Settings) -> Result<Target, Unredirectable> {
    // What cannot be tried record by record is refused with its reason, whatever it writes to.
    trial::alone(settings, "")?;
    let setting = |key: &str| settings.get(key).map_or("", String::as_str);
    if setting("connector.class") == JDBC_CLASS {
        let decides = |key: &str| ["collection.naming.", "hibernate."].iter().any(|start| key.starts_with(start));
        if let Some(key) = settings.keys().find(|key| decides(key) || key.as_str() == "connection.provider") {
            return Err(Unredirectable::Unsure { key: key.clone(), way_out: "take it out" });
        }
        let format = setting(FORMAT);
        let (schema, name) = match format.rsplit_once('.') {
            Some((schema, name)) => (Some(schema.to_owned()), name),
            None => (None, format),
        };
        let (name, server) = (name.to_owned(), setting("connection.url").to_owned());
        return Ok(Target::Table(Table { schema, name, server }));
    }
    let url = setting(URL);
    let unsure = |way_out| Unredirectable::Unsure { key: URL.to_owned(), way_out };
    if settings.keys().any(|key| key.starts_with("camel.sink.endpoint.") || key.starts_with("camel.sink.path.")) {
        return Err(unsure("put everything into camel.sink.url"));
    }
    if let Some((server, name)) = by_http(url) {
        return Ok(Target::Index { name: name.to_owned(), server: server.to_owned() });
    }
    let named = url.strip_prefix("elasticsearch:").and_then(|rest| rest.split_once('?'));
    let (_, options) = named.ok_or_else(|| unsure("only elasticsearch:…, or http://HOST/INDEX/_doc/…, is known"))?;
    let of = |name: &str| {
        let found: Vec<&str> = options
            .split('&')
            .filter_map(|option| option.split_once('=').filter(|(key, _)| *key == name))
            .map(|(_, value)| value)
            .collect();
        found
    };
    match (of("indexName").as_slice(), of("hostAddresses").as_slice()) {
        ([name], [server]) if !name.is_empty() && !name.contains("${") => {
            Ok(Target::Index { name: (*name).to_owned(), server: (*server).to_owned() })
        }
        _ => Err(unsure("name one index and one hostAddresses there")),
    }
}

/// Server and index of an address that puts one document at a time.
fn by_http(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"))?;
    let (server, path) = rest.split_once('/')?;
    let (name, _) = path.split_once("/_doc/")?;
    let is_plain = !name.is_empty() && !name.contains(['/', '?', '$', '#', '%']) && !server.contains('?');
    is_plain.then_some((server, name))
}

/// The same sink, reading one record after the other from this topic and writing into the scratch store.
///
/// # Errors
/// [`Unredirectable`].
pub fn onto(settings: &Settings, target: &Target, topic: &str, scratch: &str) -> Result<Settings, Unredirectable> {
    let mut own = trial::alone(settings, topic)?;
    // Records would stand in Connect's log, which nobody asked for.
    own.retain(|key, _| !key.starts_with("errors.log."));
    let (key, value) = match target {
        Target::Table(Table { schema: Some(schema), .. }) => (FORMAT, format!("{schema}.{scratch}")),
        Target::Table(Table { schema: None, .. }) => (FORMAT, scratch.to_owned()),
        Target::Index { name, .. } => {
            let url = settings.get(URL).map_or("", String::as_str);
            let url = match by_http(url) {
                Some(_) => url.replacen(&format!("/{name}/_doc/"), &format!("/{scratch}/_doc/"), 1),
                None => url.replace(&format!("indexName={name}"), &format!("indexName={scratch}")),
            };
            (URL, url)
        }
    };
    own.insert(key.to_owned(), value);
    // It must hold, whatever a name looks like.
    match self::target(&own)? {
        written if written.name() == scratch => Ok(own),
        _ => Err(Unredirectable::Unsure { key: key.to_owned(), way_out: "give the target another name" }),
    }
}

#[cfg(test)]
mod tests;
