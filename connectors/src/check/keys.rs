//! Which keys a file may have: those of Kafka Connect, of its plugin at its version, and of our pipelines.

use super::plugins::Kind::{self, Flag, Least, OneOf, Text};
use super::plugins::{self, Plugin};
use super::{Subject, near};
use crate::files::At;
use crate::rules;

/// What Kafka Connect 4.2 itself reads of any sink.
pub(super) const SINK: &[(&str, Kind)] = &[
    ("name", Text),
    ("connector.class", Text),
    ("connector.plugin.version", Text),
    ("tasks.max", Text),
    ("tasks.max.enforce", Flag),
    ("topics", Text),
    ("topics.regex", Text),
    ("key.converter", Text),
    ("key.converter.*", Text),
    ("value.converter", Text),
    ("value.converter.*", Text),
    ("header.converter", Text),
    ("header.converter.*", Text),
    ("transforms", Text),
    ("predicates", Text),
    ("config.action.reload", OneOf(&["none", "restart"])),
    ("errors.retry.timeout", Text),
    ("errors.retry.delay.max.ms", Least(1)),
    ("errors.tolerance", OneOf(&["none", "all"])),
    ("errors.log.enable", Flag),
    ("errors.log.include.messages", Flag),
    ("errors.deadletterqueue.topic.name", Text),
    ("errors.deadletterqueue.topic.replication.factor", Least(1)),
    ("errors.deadletterqueue.context.headers.enable", Flag),
    ("producer.override.*", Text),
    ("admin.override.*", Text),
];

/// What may follow `consumer.override.`: the settings of Kafka's consumer 4.2 that make sense for a sink.
const CONSUMER: &[&str] = &[
    "allow.auto.create.topics",
    "auto.offset.reset",
    "check.crcs",
    "client.dns.lookup",
    "client.id",
    "client.rack",
    "connections.max.idle.ms",
    "default.api.timeout.ms",
    "fetch.max.bytes",
    "fetch.max.wait.ms",
    "fetch.min.bytes",
    "group.id",
    "group.instance.id",
    "heartbeat.interval.ms",
    "interceptor.classes",
    "isolation.level",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "max.poll.records",
    "metadata.max.age.ms",
    "partition.assignment.strategy",
    "receive.buffer.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "send.buffer.bytes",
    "session.timeout.ms",
    "socket.connection.setup.timeout.max.ms",
    "socket.connection.setup.timeout.ms",
];
/// The same, for all that begin so.
const CONSUMER_STARTS: &[&str] = &["sasl.", "ssl.", "security.", "metrics.", "bootstrap."];

/// Our own pipelines; `transforms.<alias>.…`, `predicates.…`, `outputs.…` and `lookups.…` come on top.
pub(super) const PIPELINE: &[&str] = &[
    "name",
    "connector.class",
    "tasks.max",
    "commit.interval.ms",
    "topics",
    "output.topic",
    "transforms",
    "predicates",
    "outputs",
    "lookups",
    "isolation",
    "errors.tolerance",
    "errors.deadletterqueue.topic.name",
    "dropped.topic.name",
    "local",
    "swap.watch.records",
    "swap.max.errors",
    "swap.max.rejects",
    "swap.max.time.per.record.us",
    "breaker.policy",
    "breaker.max.errors",
    "breaker.window.records",
    "breaker.max.retries",
];

/// Each key of a sink is Connect's or its plugin's.
pub(super) fn sink(subject: &mut Subject<'_>, plugin: &'static Plugin) {
    for key in subject.keys().filter(|key| !is_aliased(key)) {
        if let Some(setting) = key.strip_prefix("consumer.override.") {
            consumer(subject, key, setting);
        } else if let Some((_, what)) = plugin.retired.iter().find(|(retired, _)| *retired == key) {
            let message = format!("is out of date for {} {}", plugin.title, plugin.version);
            subject.tell(&rules::RETIRED_KEY, At::Key(key), &message, what);
        } else if plugins::kind(SINK, key).is_none() && plugin.kind(key).is_none() {
            let known = SINK.iter().chain(plugin.keys).map(|(name, _)| *name);
            let meant = plugin.meant.iter().find(|(other, _)| *other == key).map(|(_, own)| *own);
            let whose = format!("{} {}", plugin.title, plugin.version);
            unknown(subject, key, &whose, meant.or_else(|| near(key, known)));
        }
    }
    let (version, checked) = (subject.setting("connector.plugin.version"), plugin.version);
    if !version.is_empty() && !version.trim_start_matches(['[', '(']).starts_with(checked.trim_end_matches(".Final")) {
        let message = format!("`{version}`, and the keys here were checked against {checked}");
        let fix = format!("look into the plugin's own page of changes, or write {checked}");
        subject.tell(&rules::PLUGIN_VERSION, At::Value("connector.plugin.version"), &message, &fix);
    }
}

fn consumer(subject: &mut Subject<'_>, key: &str, setting: &str) {
    if !CONSUMER.contains(&setting) && !CONSUMER_STARTS.iter().any(|start| setting.starts_with(start)) {
        let meant = near(setting, CONSUMER.iter().copied()).map(|near| format!("consumer.override.{near}"));
        unknown(subject, key, "Kafka's consumer", meant.as_deref());
    }
}

/// Keys of the form `transforms.<alias>.…` and `predicates.<alias>.…`.
pub(super) fn is_aliased(key: &str) -> bool {
    key.starts_with("transforms.") || key.starts_with("predicates.")
}

/// A key that nobody knows, and what may be meant.
pub(super) fn unknown(subject: &mut Subject<'_>, key: &str, whose: &str, meant: Option<&str>) {
    let (message, fix) = match meant {
        Some(meant) => (format!("is not known to {whose}; did you mean {meant}?"), format!("write \"{meant}\"")),
        None => (format!("is not known to {whose}"), "take it out".to_owned()),
    };
    subject.tell(&rules::UNKNOWN_KEY, At::Key(key), &message, &fix);
}
