//! What every sink owes its records, whatever plugin it is: it stops where something fails, reads what was committed, and
//! begins where it was.

use super::Subject;
use crate::files::At;
use crate::rules;

/// Kafka's own limit for one batch.
const POLL_INTERVAL: u64 = 300_000;
const OVERRIDE: &str = "consumer.override.";
/// What the workers of this stack let a connector set; `scripts/stack` writes their list.
const ALLOWED: [&str; 2] = ["max.poll.records", "isolation.level"];

pub(super) fn check(subject: &mut Subject<'_>) {
    tolerance(subject);
    committed(subject);
    overrides(subject);
}

/// With tolerance `all`, an outage of the registry sends good orders to the dead letters.
fn tolerance(subject: &mut Subject<'_>) {
    let (at, topic) = (At::Value("errors.tolerance"), "errors.deadletterqueue.topic.name");
    let strict = "write \"none\"; `connectors serve` starts it again and moves what no store takes";
    if !subject.is("errors.tolerance", "all") {
        for key in subject.keys().filter(|key| key.starts_with("errors.deadletterqueue.")) {
            let fix = "take it out; `connectors serve` writes the dead letters";
            subject.tell(&rules::DEAD_LETTER_UNUSED, At::Key(key), "has no effect on a strict sink", fix);
        }
        return;
    }
    if subject.setting(topic).is_empty() {
        let message = "`all` without a dead-letter topic loses every record that fails, in silence";
        subject.tell(&rules::TOLERANCE, at, message, strict);
        return;
    }
    subject.tell(&rules::TOLERANCE, at, "`all` diverts good records while the registry is away", strict);
    if !subject.is("errors.deadletterqueue.context.headers.enable", "true") {
        let message = "gets records without the reason and the place they come from";
        let fix = "write \"errors.deadletterqueue.context.headers.enable\": \"true\"";
        subject.tell(&rules::TOLERANCE, At::Value(topic), message, fix);
    }
    let own = subject.setting(topic);
    if subject.list("topics").any(|read| read == own) {
        let message = format!("`{own}` is also read, so a record that fails comes back for ever");
        subject.tell(&rules::CONFLICT, At::Value(topic), &message, "name a topic of its own");
    }
}

fn committed(subject: &mut Subject<'_>) {
    const KEY: &str = "consumer.override.isolation.level";
    const FIX: &str = "write \"consumer.override.isolation.level\": \"read_committed\"";
    match subject.setting(KEY) {
        "read_committed" => {}
        "" => {
            subject.tell(&rules::READ_COMMITTED, At::Key(KEY), "is missing; it must be read_committed", FIX);
        }
        level => {
            let message = format!("`{level}` delivers what was aborted");
            subject.tell(&rules::READ_COMMITTED, At::Value(KEY), &message, FIX);
        }
    }
}

fn overrides(subject: &mut Subject<'_>) {
    const RESET: &str = "consumer.override.auto.offset.reset";
    const GROUP: &str = "consumer.override.group.id";
    if matches!(subject.setting(RESET), "latest" | "none") || subject.setting(RESET).starts_with("by_duration") {
        let message = format!("`{}` passes over what is there", subject.setting(RESET));
        subject.tell(&rules::OFFSET_RESET, At::Value(RESET), &message, "take it out; a sink begins with the earliest");
    }
    if subject.has(GROUP) {
        let message = "takes the sink out of its own group";
        subject.tell(
            &rules::GROUP_OVERRIDE,
            At::Key(GROUP),
            message,
            "take it out; the connector's name makes the group",
        );
    }
    let told = [RESET, GROUP];
    for key in subject.keys().filter(|key| !told.contains(key)) {
        let (start, setting) = match key.split_once(".override.") {
            Some((client @ ("producer" | "admin"), _)) => (client, ""),
            _ => ("", key.strip_prefix(OVERRIDE).unwrap_or_default()),
        };
        if start.is_empty() && (setting.is_empty() || ALLOWED.contains(&setting)) {
            continue;
        }
        let fix = "take it out, or set it for the worker; another cluster's connector.client.config.override.policy may take it";
        subject.tell(&rules::OVERRIDE_POLICY, At::Key(key), "is refused by the workers of this stack", fix);
    }
}

/// A task that tries again `tries` times after a pause of `pause` ms is still in its group.
pub(super) fn within_poll_interval(subject: &mut Subject<'_>, (tries, pause): ((&str, u64), (&str, u64))) {
    let limit = subject.number("consumer.override.max.poll.interval.ms", POLL_INTERVAL);
    let (count, each) = (subject.number(tries.0, tries.1), subject.number(pause.0, pause.1));
    let whole = count.saturating_mul(each);
    if limit <= whole {
        let key = if subject.has(tries.0) { tries.0 } else { pause.0 };
        let message = format!("{count} times {each} ms are {whole} ms, and max.poll.interval.ms is {limit}");
        let fix = format!(
            "keep {} × {} well below {limit}; `connectors serve` tries for as long as it takes",
            tries.0, pause.0
        );
        subject.tell(&rules::POLL_INTERVAL, At::Value(key), &message, &fix);
    }
}

/// One wait of a task ends before it is put out of its group.
pub(super) fn one_wait(subject: &mut Subject<'_>, (key, default): (&str, u64)) {
    let limit = subject.number("consumer.override.max.poll.interval.ms", POLL_INTERVAL);
    let wait = subject.number(key, default);
    if limit <= wait {
        let message = format!("waits for {wait} ms, and max.poll.interval.ms is {limit}");
        subject.tell(&rules::POLL_INTERVAL, At::Value(key), &message, &format!("keep it well below {limit}"));
    }
}
