//! What of a setting may be shown. A secret is only ever named in a file, but on a server, or in a file that was never
//! linted, it may stand in the open: it is neither printed nor repeated, whole or in part, whoever quotes it.

use crate::check::{is_placeholder, letters};
use crate::connect::Settings;

/// Stands for a secret.
pub const HIDDEN: &str = "********";

/// What is in the name of something that holds a secret, in small letters and without what stands between words.
const WORDS: [&str; 14] = [
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "apikey",
    "privatekey",
    "accesskey",
    "keystorekey",
    "jaas",
    "userinfo",
    "authorization",
];

/// A value as it may be shown.
#[must_use]
pub fn shown(key: &str, value: &str) -> String {
    hide(value, &secrets(key, value))
}

/// Texts that must not be shown, gathered from settings.
#[derive(Debug, Clone, Default)]
pub struct Mask(Vec<String>);

impl Mask {
    /// Of all of these settings.
    pub fn of<'s>(settings: impl IntoIterator<Item = &'s Settings>) -> Self {
        let pairs = settings.into_iter().flatten();
        let mut texts: Vec<String> = pairs.flat_map(|(key, value)| secrets(key, value)).map(str::to_owned).collect();
        // One that holds another goes first.
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        texts.dedup();
        Self(texts)
    }

    /// Words of others, who may quote a value.
    #[must_use]
    pub fn hide(&self, words: &str) -> String {
        hide(words, &self.0.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

fn hide(text: &str, secrets: &[&str]) -> String {
    secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, HIDDEN))
}

/// The parts of a value that are secrets: all of it by its key, a password of an address, an option by its name.
fn secrets<'v>(key: &str, value: &'v str) -> Vec<&'v str> {
    if is_secret(key) {
        return open(value).into_iter().collect();
    }
    let mut found: Vec<&str> = passwords(value).collect();
    found.extend(options(value));
    found
}

fn is_secret(name: &str) -> bool {
    let name = letters(name);
    WORDS.iter().any(|word| name.contains(word))
}

/// What a provider gives is no secret as it stands; nothing is none either.
fn open(value: &str) -> Option<&str> {
    (!value.is_empty() && !is_placeholder(value)).then_some(value)
}

/// Of `scheme://user:password@host`, wherever it stands.
fn passwords(value: &str) -> impl Iterator<Item = &str> {
    value.split("://").skip(1).filter_map(|rest| {
        let authority = rest.split(['/', '?', '#', ' ']).next().unwrap_or_default();
        let (user, _) = authority.rsplit_once('@')?;
        open(user.split_once(':')?.1)
    })
}

/// Of `…password=…`, in an address or in a login of SASL; Camel's `RAW(…)` may hold any character.
fn options(value: &str) -> impl Iterator<Item = &str> {
    value.match_indices('=').filter_map(|(at, _)| {
        let (before, after) = (value.get(..at)?, value.get(at + 1..)?);
        let name = before.rsplit(['?', '&', ';', ',', ' ', '"']).next()?;
        if !is_secret(name) {
            return None;
        }
        let raw = [("RAW(", ')'), ("RAW{", '}'), ("\"", '"'), ("'", '\'')];
        let enclosed = raw.iter().find_map(|(begin, end)| after.strip_prefix(begin)?.split(*end).next());
        open(enclosed.unwrap_or_else(|| after.split(['&', ';', ',', ' ']).next().unwrap_or_default()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_the_open_is_never_shown_and_one_by_reference_is() {
        for (key, value, expected) in [
            ("connection.password", "hunter2", "********"),
            ("connection.password", "${env:POSTGRES_PASSWORD}", "${env:POSTGRES_PASSWORD}"),
            ("connection.password", "x${env:A}", "********"),
            ("connection.password", "", ""),
            ("camel.component.x.apiKey", "hunter2", "********"),
            ("ssl.keystore.key", "-----BEGIN", "********"),
            ("sasl.jaas.config", "a required password=\"p\";", "********"),
            ("primary.key.fields", "order_id", "order_id"),
            (
                "connection.url",
                "jdbc:postgresql://h/d?user=u&password=hunter2&ssl=on",
                "jdbc:postgresql://h/d?user=u&password=********&ssl=on",
            ),
            (
                "connection.url",
                "http://a:hunter2@h:1,http://b:tiger:x@i/",
                "http://a:********@h:1,http://b:********@i/",
            ),
            ("connection.url", "http://a:${env:P}@h", "http://a:${env:P}@h"),
            (
                "camel.sink.url",
                "elasticsearch:x?user=u&password=RAW(a&b,c)&operation=Index",
                "elasticsearch:x?user=u&password=RAW(********)&operation=Index",
            ),
            (
                "consumer.override.x",
                "L required username=\"u\" password=\"hun ter\";",
                "L required username=\"u\" password=\"********\";",
            ),
            ("topics", "a,b", "a,b"),
        ] {
            assert_eq!(shown(key, value), expected, "{key}={value}");
        }
    }

    #[test]
    fn words_of_others_that_quote_a_secret_are_hidden() {
        let settings = [("a.password", "hunter2"), ("b.secret", "hunter2hunter2"), ("url", "http://u:tiger@h")];
        let settings: Settings = settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mask = Mask::of([&settings]);
        assert_eq!(
            mask.hide("no hunter2hunter2, no hunter2 at http://u:tiger@h"),
            "no ********, no ******** at http://u:********@h"
        );
        assert!(!mask.hide("tiger").contains("tiger"));
    }
}
