//! Secrets: named by a provider, in a field for secrets, and nowhere else.

use super::{Subject, has_placeholder};
use crate::files::At;
use crate::rules;

const PROVIDED: &str = "write ${env:NAME} and set NAME for Kafka Connect";

/// Configurations lie readable in a topic: a secret is only ever named there, as `${env:NAME}`.
pub(super) fn check(subject: &mut Subject<'_>) {
    for key in subject.keys() {
        let value = subject.setting(key);
        if is_secret(key) {
            if !value.is_empty() && !is_placeholder(value) {
                subject.tell(&rules::INLINE_SECRET, At::Value(key), "holds a secret in the open", PROVIDED);
            }
            continue;
        }
        if url_password(value) {
            let fix = "use the plugin's setting for it, with ${env:NAME}";
            subject.tell(&rules::INLINE_SECRET, At::Value(key), "holds a password in its address", fix);
        }
        for name in provided(value).filter(|name| secret_word(name)) {
            let message = format!("takes `{name}`, which is a secret by its name");
            let fix = "use the plugin's setting for secrets, or give the variable another name if it is none";
            subject.tell(&rules::MOVED_SECRET, At::Part(key, name), &message, fix);
        }
    }
    if subject.is("errors.log.include.messages", "true") {
        let (at, what) = (At::Key("errors.log.include.messages"), "writes failed records into the log");
        subject.tell(&rules::VALUES_IN_LOG, at, what, "take it out; the dead letter has the record");
    }
    let level = subject.or("camel.sink.contentLogLevel", "off");
    if !level.eq_ignore_ascii_case("off") {
        let (at, what) = (At::Key("camel.sink.contentLogLevel"), "writes each record into the log");
        subject.tell(&rules::VALUES_IN_LOG, at, what, "take it out");
    }
}

/// A key whose value is a secret, by how it ends. Less than `compare::mask` hides: a finding must be right.
pub(crate) fn is_secret(key: &str) -> bool {
    const ENDS: [&str; 16] = [
        "password",
        "passwd",
        "pwd",
        "passphrase",
        "secret",
        "token",
        "jaasconfig",
        "credentials",
        "secretaccesskey",
        "accesskeyid",
        "accesskey",
        "secretkey",
        "apikey",
        "privatekey",
        "keystorekey",
        "userinfo",
    ];
    let key = letters(key);
    ENDS.iter().any(|end| key.ends_with(end))
}

fn secret_word(name: &str) -> bool {
    const WORDS: [&str; 9] =
        ["password", "passwd", "pwd", "passphrase", "secret", "token", "apikey", "accesskey", "privatekey"];
    let name = letters(name);
    WORDS.iter().any(|word| name.contains(word))
}

/// In small letters and without what stands between words.
pub(crate) fn letters(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// All of it comes from a provider: `${env:NAME}`, `${file:PATH:KEY}`.
pub(crate) fn is_placeholder(value: &str) -> bool {
    value.strip_prefix("${").and_then(|v| v.strip_suffix('}')).is_some_and(|v| v.contains(':') && !v.contains('}'))
}

/// What providers are asked for: the last part of each placeholder.
fn provided(value: &str) -> impl Iterator<Item = &str> {
    let inside = value.split("${").skip(1).filter_map(|rest| rest.split_once('}').map(|(inside, _)| inside));
    inside.filter(|inside| inside.contains(':')).filter_map(|inside| inside.rsplit(':').next())
}

/// `scheme://user:password@host` or `…password=…`, where the password is not a placeholder.
fn url_password(value: &str) -> bool {
    let mut query = value.split(['?', '&', ';']).filter_map(|part| part.split_once('='));
    let named =
        query.any(|(key, v)| key.to_ascii_lowercase().ends_with("password") && !v.is_empty() && !is_placeholder(v));
    // Several addresses may stand in a list.
    let open = value.split(',').any(|address| {
        let authority = address.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
        let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
        user.split_once(':').is_some_and(|(_, password)| !password.is_empty() && !has_placeholder(password))
    });
    named || open
}
