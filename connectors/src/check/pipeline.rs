//! Our own pipelines of modules, in Kafka Connect's words. What a module's parameters are, `transforms` says when it takes
//! the pipeline.

use super::{Subject, chain, keys, near, topics, values};
use crate::files::At;
use crate::rules;

/// Keys of an output and of a lookup of a pipeline.
const OUTPUT: &[&str] = &["topic"];
const LOOKUP: &[&str] = &["topic", "max.bytes", "max.entries"];

pub(super) fn check(subject: &mut Subject<'_>) {
    let aliased = |key: &str| keys::is_aliased(key) || key.starts_with("outputs.") || key.starts_with("lookups.");
    for key in subject.keys().filter(|key| !aliased(key) && !keys::PIPELINE.contains(key)) {
        keys::unknown(subject, key, "a pipeline", near(key, keys::PIPELINE.iter().copied()));
    }
    subject.required("topics", "it names what the pipeline reads");
    subject.required("output.topic", "it names what the pipeline writes");
    // `transforms` is not needed: without modules records are copied.
    chain::aliases(subject, ("transforms", "type"), |_, _, _| {});
    chain::predicates(subject, "transforms");
    chain::aliases(subject, ("outputs", "topic"), |subject, prefix, options| known(subject, prefix, options, OUTPUT));
    chain::aliases(subject, ("lookups", "topic"), |subject, prefix, options| known(subject, prefix, options, LOOKUP));
    values::tasks(subject);
    topics::check(subject);
    tolerance(subject);
    let output = subject.setting("output.topic");
    if subject.list("topics").any(|topic| topic == output) {
        let message = format!("`{output}` is also read, so each record comes back for ever");
        subject.tell(&rules::CONFLICT, At::Value("output.topic"), &message, "write into another topic");
    }
}

fn known(subject: &mut Subject<'_>, prefix: &str, options: &[&str], known: &[&str]) {
    for option in options.iter().filter(|option| !known.contains(option)) {
        let meant = near(option, known.iter().copied()).map(|near| format!("{prefix}{near}"));
        keys::unknown(subject, &format!("{prefix}{option}"), "a pipeline", meant.as_deref());
    }
}

/// A pipeline's tolerance is another than a sink's: waiting for the registry is not a record's fault to it.
fn tolerance(subject: &mut Subject<'_>) {
    const TOPIC: &str = "errors.deadletterqueue.topic.name";
    let fix = "write \"errors.tolerance\": \"all\" with a dead-letter topic";
    match (subject.or("errors.tolerance", "none"), subject.has(TOPIC)) {
        ("all", true) | ("none", false) => {}
        ("all", false) => {
            let message = "`all` without a dead-letter topic would lose what a module rejects";
            subject.tell(&rules::TOLERANCE, At::Value("errors.tolerance"), message, &format!("write \"{TOPIC}\""));
        }
        ("none", true) => {
            let message = "has no effect without tolerance `all`: the first rejected record holds its partition";
            subject.tell(&rules::DEAD_LETTER_UNUSED, At::Key(TOPIC), message, fix);
        }
        (other, _) => {
            let message = format!("`{other}` is not one of none, all");
            subject.tell(&rules::BAD_VALUE, At::Value("errors.tolerance"), &message, fix);
        }
    }
}
