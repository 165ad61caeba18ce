//! Where a sink writes: the table or the index of each topic that it reads.

use super::camel::Address;
use super::plugins::{self, Store};
use super::{chain, has_placeholder, split};
use crate::files::Connector;

/// What a sink writes a topic into.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    Table(String),
    Index(String),
}

/// The target of a topic; `None` where it cannot be told from the file.
pub(crate) fn of(sink: &Connector, topic: &str) -> Option<Target> {
    // They rename the topic on its way.
    let routes = |alias| {
        let class = sink.setting(&format!("transforms.{alias}.type"));
        chain::short(class).ends_with("Router") || chain::short(class) == "CollectionNameTransformation"
    };
    if split(sink.setting("transforms")).any(routes) {
        return None;
    }
    let named = match plugins::of(sink.setting("connector.class"))?.store {
        Store::Rows(words) => {
            let format = words.table.iter().map(|key| sink.setting(key)).find(|format| !format.is_empty());
            let plain = if words.dots_become_underscores { topic.replace('.', "_") } else { topic.to_owned() };
            let mapped = mapped(sink, &["topics.to.tables.mapping"], topic);
            let table =
                mapped.unwrap_or_else(|| format.map_or(plain.clone(), |format| format.replace("${topic}", &plain)));
            // The schema before it is not in a file's name.
            Target::Table(table.rsplit('.').next().unwrap_or_default().to_owned())
        }
        Store::Documents(words) => {
            if words.streams.iter().any(|key| !matches!(sink.setting(key), "" | "none" | "NONE" | "false")) {
                return None;
            }
            Target::Index(mapped(sink, words.mapping, topic).unwrap_or_else(|| topic.to_lowercase()))
        }
        Store::Camel => Target::Index(Address::of(sink.setting("camel.sink.url"))?.index().to_owned()),
    };
    let (Target::Table(name) | Target::Index(name)) = &named;
    (!name.is_empty() && !has_placeholder(name)).then_some(named)
}

/// The index that an address of Camel's names, of whichever component it is.
pub(crate) fn index(url: &str) -> Option<&str> {
    Some(Address::of(url)?.index()).filter(|name| !name.is_empty() && !has_placeholder(name))
}

/// The server that a sink writes to, as its file names it.
pub(super) fn server(sink: &Connector) -> &str {
    let url = match sink.setting("connection.url") {
        "" => Address::of(sink.setting("camel.sink.url")).map_or("", |address| address.host()),
        url => url,
    };
    url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")).unwrap_or(url).trim_end_matches('/')
}

/// What `topic:target` pairs say of a topic.
fn mapped(sink: &Connector, keys: &[&str], topic: &str) -> Option<String> {
    let pairs = keys.iter().flat_map(|key| split(sink.setting(key)));
    pairs
        .filter_map(|pair| pair.split_once(':'))
        .find(|(from, _)| from.trim() == topic)
        .map(|(_, to)| to.trim().to_owned())
}
