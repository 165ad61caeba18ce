//! Values by themselves: numbers that are none, words that no list has, topics that are named twice.

use super::plugins::{self, Kind, Plugin};
use super::{Subject, driver, has_placeholder, keys, near};
use crate::files::At;
use crate::rules;

/// The numbers among the consumer's settings that a sink may override.
const NUMBERS: [&str; 3] = [
    "consumer.override.max.poll.records",
    "consumer.override.max.poll.interval.ms",
    "consumer.override.fetch.min.bytes",
];

/// All values of a sink, by the kind of their key.
pub(super) fn check(subject: &mut Subject<'_>, plugin: &'static Plugin) {
    for key in subject.keys() {
        if let Some(kind) = plugins::kind(keys::SINK, key).or_else(|| plugin.kind(key)) {
            one(subject, key, kind);
        }
    }
    for key in NUMBERS {
        if subject.has(key) {
            one(subject, key, Kind::Least(1));
        }
    }
    tasks(subject);
    isolation(subject);
    match (subject.setting("topics"), subject.setting("topics.regex")) {
        ("", "") => subject.required("topics", "it names what the sink reads"),
        (_, "") => {}
        ("", _) => subject.tell(
            &rules::UNNAMED_TOPIC,
            At::Key("topics.regex"),
            "names no topic",
            "write \"topics\", with the name of each topic that is meant",
        ),
        _ => subject.tell(
            &rules::CONFLICT,
            At::Key("topics.regex"),
            "is given together with `topics`",
            "take it out, and name in `topics` what it matches",
        ),
    }
}

/// A setting that, where it is there, is `true` or `false`.
pub(super) fn flag(subject: &mut Subject<'_>, key: &str) {
    if subject.has(key) {
        one(subject, key, Kind::Flag);
    }
}

fn one(subject: &mut Subject<'_>, key: &str, kind: Kind) {
    let value = subject.setting(key);
    let (fits, wanted) = match kind {
        // What may be handed to a driver is known where its address is read.
        Kind::Text | Kind::Secret | Kind::Driver => return,
        Kind::Barred(does, instead) => return driver::barred(subject, key, does, instead),
        Kind::Class(packages) => return driver::class(subject, key, packages),
        _ if has_placeholder(value) => return,
        Kind::Flag => (one_of(value, &["true", "false"]), "true or false".to_owned()),
        Kind::Least(least) => {
            (value.parse::<u64>().is_ok_and(|n| least <= n), format!("a whole number of at least {least}"))
        }
        Kind::OneOf(words) => (one_of(value, words), format!("one of {}", words.join(", "))),
    };
    if fits {
        return;
    }
    let words = if let Kind::OneOf(words) = kind { words } else { &[] };
    let (hint, fix) = match near(&value.to_ascii_lowercase(), words.iter().copied()) {
        Some(near) => (format!("; did you mean {near}?"), format!("write \"{near}\"")),
        None => (String::new(), format!("write {wanted}")),
    };
    subject.tell(&rules::BAD_VALUE, At::Value(key), &format!("`{value}` is not {wanted}{hint}"), &fix);
}

fn one_of(value: &str, words: &[&str]) -> bool {
    words.iter().any(|word| word.eq_ignore_ascii_case(value))
}

/// How many tasks: a number that Connect can start. Whether the topic has as many partitions is `topics`' question.
pub(super) fn tasks(subject: &mut Subject<'_>) {
    const MOST: usize = 1000;
    let tasks = subject.setting("tasks.max");
    if has_placeholder(tasks) {
        let message =
            format!("`{tasks}` is no number, and `connectors apply` waits for as many tasks as the file says");
        return subject.tell(&rules::BAD_VALUE, At::Value("tasks.max"), &message, "write the number");
    }
    if !tasks.is_empty() && !tasks.parse::<usize>().is_ok_and(|n| (1..=MOST).contains(&n)) {
        let message = format!("`{tasks}` is not a number from 1 to {MOST}");
        subject.tell(&rules::BAD_VALUE, At::Value("tasks.max"), &message, "write \"1\" or more");
    }
}

fn isolation(subject: &mut Subject<'_>) {
    const KEY: &str = "consumer.override.isolation.level";
    if subject.has(KEY) {
        one(subject, KEY, Kind::OneOf(&["read_committed", "read_uncommitted"]));
    }
}
