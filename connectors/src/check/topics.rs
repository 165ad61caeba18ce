//! The topics that a file reads, against `topics.json` as built in.

use schemas::contracts::{self, Topic};

use super::{Subject, has_placeholder, near, split};
use crate::files::{At, Connector};
use crate::rules;

/// Reads a topic of `topics.json`, or may, by a pattern: these hold what is promised to be stored.
pub(super) fn of_the_house(connector: &Connector) -> bool {
    let known = contracts::topics().unwrap_or_default();
    !connector.setting("topics.regex").is_empty()
        || split(connector.setting("topics")).any(|topic| known.iter().any(|known| known.name == topic))
}

/// The topics of a sink or a pipeline: known, kept for as long as an outage may take, and with a partition for each task.
pub(super) fn check(subject: &mut Subject<'_>) {
    // That the built-in file can be read is a test's business.
    let known = contracts::topics().unwrap_or_default();
    let mut partitions = 0;
    for topic in subject.list("topics") {
        match known.iter().find(|known| known.name == topic) {
            Some(found) => {
                kept(subject, found);
                partitions += usize::try_from(found.partitions).unwrap_or_default();
            }
            None => {
                // How many it has is not known.
                partitions = usize::MAX / 2;
                if has_placeholder(topic) {
                    let message = format!("`{topic}` names no topic");
                    subject.tell(&rules::UNNAMED_TOPIC, At::Part("topics", topic), &message, "write the topic's name");
                } else if let Some(near) = near(topic, known.iter().map(|topic| topic.name.as_str())) {
                    let message = format!("`{topic}` is not in topics.json; did you mean {near}?");
                    let fix = format!("write \"{near}\", or make the topic");
                    subject.tell(&rules::UNKNOWN_TOPIC, At::Part("topics", topic), &message, &fix);
                }
            }
        }
    }
    let tasks = subject.document.connector.tasks();
    if 0 < partitions && partitions < tasks {
        let there = if partitions == 1 { "one partition".to_owned() } else { format!("{partitions} partitions") };
        let message = format!("asks for {tasks} tasks, and the topics have {there}");
        subject.tell(&rules::IDLE_TASKS, At::Value("tasks.max"), &message, &format!("write \"{partitions}\" or less"));
    }
}

fn kept(subject: &mut Subject<'_>, topic: &Topic) {
    const WEEK: u64 = 604_800_000;
    let setting = |key: &str| topic.config.get(key).map(String::as_str);
    let at = At::Part("topics", &topic.name);
    let fix = "read a topic that keeps everything (retention.ms -1, cleanup.policy delete), or change topics.json";
    if setting("cleanup.policy").is_some_and(|policy| policy.contains("compact")) {
        let message =
            format!("`{}` is compacted: of records with one key only the last one is sure to be there", topic.name);
        return subject.tell(&rules::RETENTION, at, &message, fix);
    }
    let time = setting("retention.ms").map_or(Some(WEEK), |ms| ms.parse::<u64>().ok());
    if let Some(hours) = time.map(|ms| ms / 3_600_000) {
        let message = format!("`{}` keeps a record for {hours} hours", topic.name);
        subject.tell(&rules::RETENTION, at, &message, fix);
    }
    if let Some(bytes) = setting("retention.bytes").and_then(|bytes| bytes.parse::<u64>().ok()) {
        subject.tell(&rules::RETENTION, at, &format!("`{}` keeps {bytes} bytes a partition", topic.name), fix);
    }
}
