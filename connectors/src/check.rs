//! The rules for connector files, each with its place, its reason and the way out; `crate::rules` lists them.
//! Offline: what a plugin itself says against a value is asked of Kafka Connect in [`crate::apply`].
//!
//! A file is looked at key by key (`keys`, `values`), as a chain of transforms (`chain`), for secrets (`secrets`), for
//! what any sink must do (`strict`) and for what its plugin must do (`jdbc`, `documents`, `camel`, `pipeline`); then all
//! of a folder together (`clashes`, [`flow`]).

mod camel;
mod chain;
mod clashes;
mod documents;
mod driver;
pub mod flow;
mod jdbc;
mod keys;
mod pipeline;
mod plugins;
mod secrets;
mod strict;
pub(crate) mod target;
mod topics;
mod values;

use service_kit::near;

use crate::files::{At, Document, Folder};
use crate::finding::{Finding, Rule, Severity, Weight};
use crate::names::PIPELINE_CLASS;
use crate::rules;

use plugins::{Plugin, Store};

pub(crate) use secrets::{is_placeholder, is_secret, letters};

/// Everything that is found in the files of a folder.
pub(crate) fn folder(folder: &Folder) -> Vec<Finding> {
    let mut found: Vec<Finding> = folder.documents.iter().flat_map(connector).collect();
    if !folder.alternatives {
        found.extend(clashes::findings(folder));
    }
    found.extend(flow::findings(folder));
    found
}

/// Everything that is found in one file by itself.
fn connector(document: &Document) -> Vec<Finding> {
    let mut subject = Subject::new(document);
    let class = subject.setting("connector.class");
    if class == PIPELINE_CLASS {
        pipeline::check(&mut subject);
    } else if let Some(plugin) = plugins::of(class) {
        sink(&mut subject, plugin);
    } else {
        unknown_class(&mut subject, class);
    }
    subject.name();
    secrets::check(&mut subject);
    subject.found
}

fn sink(subject: &mut Subject<'_>, plugin: &'static Plugin) {
    keys::sink(subject, plugin);
    values::check(subject, plugin);
    chain::sink(subject);
    strict::check(subject);
    topics::check(subject);
    match plugin.store {
        Store::Rows(words) => jdbc::check(subject, plugin, words),
        Store::Documents(words) => documents::check(subject, words),
        Store::Camel => camel::check(subject),
    }
}

fn unknown_class(subject: &mut Subject<'_>, class: &str) {
    let at = At::Value("connector.class");
    let known = || plugins::ALL.iter().map(|plugin| plugin.class).chain([PIPELINE_CLASS]);
    if class.is_empty() {
        let fix = format!("write one of {}", known().collect::<Vec<_>>().join(", "));
        return subject.tell(&rules::UNKNOWN_CLASS, at, "is missing; it says which plugin this is", &fix);
    }
    let short = class.trim_end_matches("Connector");
    let alias = |full: &&str| {
        let name = full.rsplit('.').next().unwrap_or_default();
        class == name || short == name.trim_end_matches("Connector")
    };
    let meant: Vec<&str> = match near(class, known()) {
        Some(near) => vec![near],
        None => known().filter(alias).collect(),
    };
    let message = match &meant[..] {
        [one] => format!("`{class}` is not known; did you mean {one}?"),
        [] => format!("`{class}` is not known"),
        several => format!("`{class}` may be any of {}", several.join(", ")),
    };
    let fix = match &meant[..] {
        [] => format!("write one of {}", known().collect::<Vec<_>>().join(", ")),
        _ => "write the class with its package".to_owned(),
    };
    subject.tell(&rules::UNKNOWN_CLASS, at, &message, &fix);
}

/// A file under the rules, and what was found in it.
struct Subject<'d> {
    document: &'d Document,
    /// Reads a topic whose records are promised to be stored.
    house: bool,
    found: Vec<Finding>,
}

impl<'d> Subject<'d> {
    /// Nobody reads more; a file that breaks more rules is of another kind.
    const MOST: usize = 200;

    fn new(document: &'d Document) -> Self {
        let house = topics::of_the_house(&document.connector);
        Self { document, house, found: Vec::new() }
    }

    /// A setting, or "".
    fn setting(&self, key: &str) -> &'d str {
        self.document.connector.setting(key).trim()
    }

    /// A setting, or what holds without it.
    fn or<'s>(&self, key: &str, default: &'s str) -> &'s str
    where
        'd: 's,
    {
        match self.setting(key) {
            "" => default,
            value => value,
        }
    }

    /// A number that a setting holds, or what holds without it.
    fn number(&self, key: &str, default: u64) -> u64 {
        self.setting(key).parse().unwrap_or(default)
    }

    fn has(&self, key: &str) -> bool {
        self.document.connector.settings.contains_key(key)
    }

    fn is(&self, key: &str, value: &str) -> bool {
        self.setting(key).eq_ignore_ascii_case(value)
    }

    /// As [`Self::is`], where a key that is missing has a default.
    fn is_with(&self, key: &str, default: &str, value: &str) -> bool {
        self.or(key, default).eq_ignore_ascii_case(value)
    }

    fn keys(&self) -> impl Iterator<Item = &'d str> + use<'d> {
        self.document.connector.settings.keys().map(String::as_str)
    }

    /// The items of a setting that is a list.
    fn list(&self, key: &str) -> impl Iterator<Item = &'d str> + use<'d> {
        split(self.setting(key))
    }

    fn tell(&mut self, rule: &'static Rule, at: At<'_>, message: &str, fix: &str) {
        if Self::MOST <= self.found.len() {
            return;
        }
        let document = self.document;
        let finding = Finding::new(rule, (&document.text.file, document.place(at)), at.key(), message, fix);
        let other = rule.weight == Weight::ByTopic && !self.house;
        self.found.push(if other { finding.weighing(Severity::Warning) } else { finding });
    }

    fn required(&mut self, key: &str, what: &str) {
        if self.setting(key).is_empty() {
            self.tell(&rules::MISSING_KEY, At::Value(key), &format!("is missing; {what}"), &format!("write \"{key}\""));
        }
    }

    /// The name against the file's, and against the one that Kafka Connect would take from the settings.
    fn name(&mut self) {
        let name = &self.document.connector.name;
        let file = crate::files::name(std::path::Path::new(&self.document.text.file));
        if file.strip_suffix(".json") != Some(name.as_str()) {
            let fix = format!("call the file {name}.json, or the connector {}", file.trim_end_matches(".json"));
            self.tell(&rules::FILE_NAME, At::Name, &format!("`{name}` is not the file's name, {file}"), &fix);
        }
        if self.has("name") && self.setting("name") != name {
            let message = format!("is `{}`, and the file says `{name}`", self.setting("name"));
            self.tell(&rules::CONFLICT, At::Value("name"), &message, "take it out of `config`");
        }
    }
}

/// Items between commas, without spaces around them and without empty ones.
fn split(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty())
}

/// The known name that is meant; a very long word is none.
fn near<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 120;
    if word.len() <= LONGEST { near::suggest(word, known) } else { None }
}

/// All or a part of it comes from a provider: `${env:NAME}`.
fn has_placeholder(value: &str) -> bool {
    value.contains("${")
}

#[cfg(test)]
mod tests;
