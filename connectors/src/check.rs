//! The rules for one connector file: known class, known keys, no secrets in the open, strict sinks.
//! Offline: what a plugin itself says against a value is asked of Kafka Connect in [`crate::apply`].

pub mod flow;
mod keys;

use std::collections::BTreeSet;

use service_kit::near;

use crate::connect::Settings;
use crate::files::{Connector, Fault, fault};
use crate::names::{CAMEL_CLASS, JDBC_CLASS, PIPELINE_CLASS};

use keys::Keys;

/// Everything that is wrong with a connector's settings.
#[must_use]
pub fn connector(connector: &Connector) -> Vec<Fault> {
    let mut faults = Faults { connector, found: Vec::new() };
    let class = connector.setting("connector.class");
    match class {
        JDBC_CLASS => sink(&mut faults, &keys::JDBC),
        CAMEL_CLASS => {
            sink(&mut faults, &keys::CAMEL);
            camel(&mut faults);
        }
        PIPELINE_CLASS => pipeline(&mut faults),
        "" => faults.push("connector.class", "is missing; it says which plugin this is"),
        unknown => {
            let known = [JDBC_CLASS, CAMEL_CLASS, PIPELINE_CLASS];
            let hint = near::suggest(unknown, known.iter().copied())
                .map_or_else(|| format!("known are {}", known.join(", ")), |near| format!("did you mean {near}?"));
            faults.push("connector.class", &format!("`{unknown}` is not known; {hint}"));
        }
    }
    tasks(&mut faults);
    secrets(&mut faults);
    faults.found
}

struct Faults<'a> {
    connector: &'a Connector,
    found: Vec<Fault>,
}

impl<'a> Faults<'a> {
    fn push(&mut self, key: &str, message: &str) {
        self.found.push(fault(&self.connector.file, key, message));
    }

    fn settings(&self) -> &'a Settings {
        &self.connector.settings
    }

    fn required(&mut self, key: &str, what: &str) {
        if self.connector.setting(key).trim().is_empty() {
            self.push(key, &format!("is missing; {what}"));
        }
    }
}

fn sink(faults: &mut Faults<'_>, own: &Keys) {
    for key in faults.settings().keys().filter(|key| !is_aliased(key)) {
        if !keys::SINK.knows(key) && !own.knows(key) {
            let near = near::suggest(key, keys::SINK.names().chain(own.names()));
            faults.push(key, &unknown(near));
        }
    }
    if !faults.settings().contains_key("topics.regex") {
        faults.required("topics", "it names what the sink reads");
    }
    aliases(faults, ("transforms", "type"), keys::transform);
    aliases(faults, ("predicates", "type"), keys::predicate);
    strict(faults);
}

/// With tolerance `all`, an outage of the registry sends good orders to the dead letters.
fn strict(faults: &mut Faults<'_>) {
    let tolerance = faults.connector.setting("errors.tolerance");
    if !matches!(tolerance, "" | "none") {
        faults.push(
            "errors.tolerance",
            &format!(
                "`{tolerance}` diverts good orders while the registry is away; write \"none\", `connectors serve` heals"
            ),
        );
    }
    for key in faults.settings().keys().filter(|key| key.starts_with("errors.deadletterqueue.")) {
        faults.push(key, "has no effect on a strict sink; take it out, `connectors serve` writes the dead letters");
    }
}

/// Keys of the form `transforms.<alias>.…` and `predicates.<alias>.…`.
fn is_aliased(key: &str) -> bool {
    key.starts_with("transforms.") || key.starts_with("predicates.")
}

/// Each alias of the list has the key that makes it one (its type, say) and only keys that go with it; each key has an
/// alias of the list.
fn aliases(
    faults: &mut Faults<'_>,
    (list, main): (&str, &str),
    known: impl Fn(&str, &str) -> Option<Option<&'static str>>,
) {
    let settings = faults.settings();
    let listed: BTreeSet<&str> = split(faults.connector.setting(list)).collect();
    let prefix = format!("{list}.");
    for alias in &listed {
        faults.required(&format!("{prefix}{alias}.{main}"), &format!("each name in the list needs a {main}"));
    }
    for (key, rest) in settings.keys().filter_map(|key| Some((key, key.strip_prefix(&prefix)?))) {
        // An alias may hold dots, so the longest listed one that fits is meant.
        let alias = listed
            .iter()
            .filter(|alias| rest.strip_prefix(**alias).is_some_and(|r| r.starts_with('.')))
            .max_by_key(|a| a.len());
        let Some(alias) = alias else {
            faults.push(key, &format!("belongs to no name in `{list}`; add it to the list or take the key out"));
            continue;
        };
        let option = rest.get(alias.len() + 1..).unwrap_or_default();
        let kind = faults.connector.setting(&format!("{prefix}{alias}.type"));
        if option == main {
            continue;
        }
        if (list, option) == ("transforms", "predicate")
            && !split(faults.connector.setting("predicates")).any(|p| p == faults.connector.setting(key))
        {
            faults.push(key, &format!("`{}` is not in `predicates`", faults.connector.setting(key)));
        }
        if let Some(near) = known(kind, option) {
            faults.push(key, &unknown(near.map(str::to_owned)));
        }
    }
}

fn split(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty())
}

fn unknown(near: Option<impl std::fmt::Display>) -> String {
    near.map_or_else(
        || "is not known for this connector; take it out".to_owned(),
        |near| format!("is not known; did you mean {near}?"),
    )
}

/// What makes Camel's sink strict and keeps a producer's headers from steering it.
fn camel(faults: &mut Faults<'_>) {
    faults.required("camel.sink.url", "it says where the documents go");
    let url = faults.connector.setting("camel.sink.url");
    let Some(rest) = url.strip_prefix("elasticsearch:") else { return };
    if faults.connector.setting("camel.error.handler") != "no" {
        faults.push("camel.error.handler", "must be \"no\": the plugin's own handler does not fit its Camel");
    }
    if faults.connector.setting("camel.remove.headers.pattern").is_empty() {
        faults.push(
            "camel.remove.headers.pattern",
            "is missing; without \"(?!indexId$).*\" a record's headers can redirect it",
        );
    }
    let options = rest.split_once('?').map_or("", |(_, options)| options);
    for option in options.split('&').filter(|option| !option.is_empty()) {
        let name = option.split('=').next().unwrap_or_default();
        if matches!(name, "user" | "password") {
            faults
                .push("camel.sink.url", &format!("`{name}` would be logged; use camel.component.elasticsearch.{name}"));
        } else if !keys::ELASTICSEARCH_URL.contains(&name) {
            let near = near::suggest(name, keys::ELASTICSEARCH_URL.iter().copied());
            let hint = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
            faults.push("camel.sink.url", &format!("option `{name}` is not known{hint}"));
        }
    }
    for needed in ["hostAddresses", "indexName"] {
        if !options.split('&').any(|option| option.starts_with(&format!("{needed}="))) {
            faults.push("camel.sink.url", &format!("option `{needed}` is missing"));
        }
    }
}

fn pipeline(faults: &mut Faults<'_>) {
    let aliased = |key: &str| is_aliased(key) || key.starts_with("outputs.") || key.starts_with("lookups.");
    for key in faults.settings().keys().filter(|key| !aliased(key)) {
        if !keys::PIPELINE.knows(key) {
            let near = near::suggest(key, keys::PIPELINE.names());
            faults.push(key, &unknown(near));
        }
    }
    faults.required("topics", "it names what the pipeline reads");
    faults.required("output.topic", "it names what the pipeline writes");
    faults.required("transforms", "it names the modules, in order");
    // A module describes its own parameters; `transforms` checks them when it takes the pipeline.
    aliases(faults, ("transforms", "type"), |_, _| None);
    aliases(faults, ("predicates", "type"), keys::predicate);
    aliases(faults, ("outputs", "topic"), |_, option| keys::one_of(keys::OUTPUT, option));
    aliases(faults, ("lookups", "topic"), |_, option| keys::one_of(keys::LOOKUP, option));
}

fn tasks(faults: &mut Faults<'_>) {
    const MOST: usize = 1000;
    let tasks = faults.connector.setting("tasks.max");
    let fits = tasks.is_empty() || tasks.parse::<usize>().is_ok_and(|n| (1..=MOST).contains(&n));
    if !fits {
        faults.push("tasks.max", &format!("`{tasks}` is not a number from 1 to {MOST}"));
    }
}

/// Configurations lie readable in a topic: a secret is only ever named there, as `${env:NAME}`.
fn secrets(faults: &mut Faults<'_>) {
    for (key, value) in faults.settings() {
        let last = key.to_ascii_lowercase();
        let secret = ["password", "secret", "token", "jaas.config", "credentials", "passwd"]
            .iter()
            .any(|word| last.ends_with(word));
        if secret && !value.is_empty() && !is_placeholder(value) {
            faults.push(key, "holds a secret in the open; write ${env:NAME} and set NAME for Kafka Connect");
        }
        if url_password(value) {
            faults.push(key, "holds a password in its address; use the setting for it, with ${env:NAME}");
        }
    }
}

/// All of it comes from a provider: `${env:NAME}`, `${file:PATH:KEY}`.
fn is_placeholder(value: &str) -> bool {
    value.strip_prefix("${").and_then(|v| v.strip_suffix('}')).is_some_and(|v| v.contains(':') && !v.contains('}'))
}

/// `scheme://user:password@host` or `…password=…`, where the password is not a placeholder.
fn url_password(value: &str) -> bool {
    let query = value.split(['?', '&', ';']).filter_map(|part| part.split_once('='));
    let named = query
        .into_iter()
        .any(|(key, v)| key.to_ascii_lowercase().ends_with("password") && !v.is_empty() && !is_placeholder(v));
    let authority = value.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    named || user.split_once(':').is_some_and(|(_, password)| !password.is_empty() && !password.starts_with("${"))
}

#[cfg(test)]
mod tests;
