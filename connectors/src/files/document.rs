//! One connector file: its name and settings, and where each of them stands.

use std::collections::BTreeMap;

use serde_json::Value;

use super::text::{Pair, Text};
use super::{Connector, is_name};
use crate::connect::Settings;
use crate::finding::{Finding, Place};
use crate::rules;

/// More settings than any plugin has keys; what is beyond is a mistake.
const MOST_SETTINGS: usize = 1000;

/// A connector with the text that it was read from.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) connector: Connector,
    pub(crate) text: Text,
    name_at: usize,
    config_at: usize,
    /// Where a setting's key and value begin, and where its value ends.
    keys: BTreeMap<String, (usize, usize, usize)>,
}

/// Where in a document.
#[derive(Debug, Clone, Copy)]
pub(crate) enum At<'a> {
    /// At its name.
    Name,
    /// At a key; where it is missing, at the settings.
    Key(&'a str),
    /// At a key's value; where it is missing, at the settings.
    Value(&'a str),
    /// At a part of a key's value; where it is not found, at the value.
    Part(&'a str, &'a str),
}

impl At<'_> {
    /// The key that is meant.
    pub(crate) fn key(&self) -> &str {
        match self {
            Self::Name => "name",
            Self::Key(key) | Self::Value(key) | Self::Part(key, _) => key,
        }
    }
}

impl Document {
    /// Reads a file's text; `None` where there is no connector in it, and then at least one finding.
    pub(crate) fn read(text: Text, found: &mut Vec<Finding>) -> Option<Self> {
        if let Err(error) = serde_json::from_str::<Value>(&text.text) {
            found.push(syntax(&text, &error));
            return None;
        }
        let Some(whole) = text.pairs(&text.text) else {
            let message = "is not an object";
            found.push(text.finding(&rules::FILE_SHAPE, start(&text), "", message, SHAPE));
            return None;
        };
        let before = found.len();
        let (mut name, mut config) = (None, None);
        for pair in unique(&text, whole.clone(), found) {
            match pair.key.as_str() {
                "name" => match serde_json::from_str::<String>(pair.value) {
                    Ok(text) => name = Some((text, pair.value_at)),
                    Err(_) => {
                        let message = format!("{} is not a name", clipped(pair.value));
                        found.push(text.finding(&rules::NAME, pair.value_at, "name", &message, NAMES));
                    }
                },
                "config" => match text.pairs(pair.value) {
                    Some(pairs) => config = Some((settings(&text, pairs, found), pair.key_at)),
                    None => {
                        let message = "is not an object of settings";
                        found.push(text.finding(&rules::FILE_SHAPE, pair.value_at, "config", message, SHAPE));
                    }
                },
                other => {
                    let message = "is not known here; a file has `name` and `config`";
                    let fix = if other == "connector.class" {
                        "put the settings into `config`: {\"name\": …, \"config\": {\"connector.class\": …}}"
                    } else {
                        "take it out, or put it into `config`"
                    };
                    found.push(text.finding(&rules::FILE_SHAPE, pair.key_at, other, message, fix));
                }
            }
        }
        if found.len() == before {
            for (key, missing) in [("name", name.is_none()), ("config", config.is_none())] {
                if missing {
                    found.push(text.finding(&rules::FILE_SHAPE, start(&text), key, "is missing", SHAPE));
                }
            }
        }
        let ((name, name_at), ((settings, keys), config_at)) = (name?, config?);
        if !is_name(&name) {
            let message = format!("`{}` is not a name", clipped(&name));
            found.push(text.finding(&rules::NAME, name_at, "name", &message, NAMES));
        }
        let connector = Connector { file: text.file.clone(), name, settings };
        Some(Self { connector, text, name_at, config_at, keys })
    }

    /// The byte that is meant.
    pub(crate) fn offset(&self, at: At<'_>) -> usize {
        let of = |key: &str| self.keys.get(key).copied();
        match at {
            At::Name => self.name_at,
            At::Key(key) => of(key).map_or(self.config_at, |(key, ..)| key),
            At::Value(key) => of(key).map_or(self.config_at, |(_, value, _)| value),
            At::Part(key, part) => of(key).map_or(self.config_at, |(_, value, end)| {
                let within = self.text.text.get(value..end).and_then(|raw| raw.find(part));
                value + within.unwrap_or_default()
            }),
        }
    }

    /// The place that is meant.
    pub(crate) fn place(&self, at: At<'_>) -> Place {
        self.text.place(self.offset(at))
    }
}

const SHAPE: &str = "write {\"name\": \"…\", \"config\": {\"connector.class\": \"…\", …}}";
const NAMES: &str = "use 1 to 100 letters, digits, `-`, `_`, `.`";

/// What `serde_json` says against a text.
pub(super) fn syntax(text: &Text, error: &serde_json::Error) -> Finding {
    let place = text.error_at(error);
    let whole = error.to_string();
    // The place is told before it.
    let message = whole.rsplit_once(" at line ").map_or(whole.as_str(), |(message, _)| message);
    let fix = if text.text.starts_with('\u{feff}') {
        "save the file without a byte order mark"
    } else {
        "mend it there, or look for what is missing just before: a comma, a quote, a bracket"
    };
    Finding::new(&rules::JSON_SYNTAX, (&text.file, place), "", &format!("is not JSON: {message}"), fix)
}

/// The first of each key; the others are told.
pub(super) fn unique<'t>(text: &Text, pairs: Vec<Pair<'t>>, found: &mut Vec<Finding>) -> Vec<Pair<'t>> {
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    let mut kept = Vec::with_capacity(pairs.len());
    for pair in pairs {
        match first.get(&pair.key) {
            None => {
                first.insert(pair.key.clone(), pair.key_at);
                kept.push(pair);
            }
            Some(at) => {
                let message = format!("is given twice, first in line {}", text.place(*at).line);
                found.push(text.finding(&rules::DUPLICATE_KEY, pair.key_at, &pair.key, &message, "keep one of them"));
            }
        }
    }
    kept
}

type Places = BTreeMap<String, (usize, usize, usize)>;

fn settings(text: &Text, pairs: Vec<Pair<'_>>, found: &mut Vec<Finding>) -> (Settings, Places) {
    let (mut settings, mut places) = (Settings::new(), Places::new());
    if MOST_SETTINGS < pairs.len() {
        let message = format!("has {} settings, at most {MOST_SETTINGS} are read", pairs.len());
        let at = pairs.get(MOST_SETTINGS).map_or(0, |pair| pair.key_at);
        found.push(text.finding(&rules::FILE_SHAPE, at, "config", &message, "split the connector, or take keys out"));
    }
    for pair in unique(text, pairs, found).into_iter().take(MOST_SETTINGS) {
        let place = (pair.key_at, pair.value_at, pair.value_at + pair.value.len());
        match serde_json::from_str::<String>(pair.value) {
            Ok(value) => {
                settings.insert(pair.key.clone(), value);
            }
            Err(_) if pair.value == "null" => {
                found.push(text.finding(&rules::NOT_TEXT, pair.value_at, &pair.key, "null is not text", "take it out"));
            }
            // Not repeated where it may be a secret.
            Err(_) if crate::check::is_secret(&pair.key) || pair.value.starts_with(['{', '[']) => {
                found.push(text.finding(
                    &rules::NOT_TEXT,
                    pair.value_at,
                    &pair.key,
                    "is not text",
                    "write it in quotes",
                ));
            }
            Err(_) => {
                let (message, fix) = (format!("{} is not text", pair.value), format!("write \"{}\"", pair.value));
                found.push(text.finding(&rules::NOT_TEXT, pair.value_at, &pair.key, &message, &fix));
                // What it says is checked all the same.
                settings.insert(pair.key.clone(), pair.value.to_owned());
            }
        }
        places.insert(pair.key, place);
    }
    (settings, places)
}

fn start(text: &Text) -> usize {
    text.text.len() - text.text.trim_start().len()
}

fn clipped(text: &str) -> String {
    const MOST: usize = 100;
    text.chars().take(MOST).collect()
}
