//! Whether the tasks that run are those of the settings just put. Connect answers a PUT before it does anything, and shows
//! the old tasks as RUNNING until it has stopped them; nothing in a status says by which settings a task runs. What does
//! say it: the settings that the connector gave its tasks, which have our mark, and the members of the sink's group, since
//! a task that starts anew is another member.

use std::collections::BTreeSet;

use crate::apply::Target;
use crate::connect::Settings;
use crate::files::Connector;
use crate::kafka::lag::Reader;
use crate::kafka::{KafkaError, blocking};
use crate::names::sink_group;
use schemas::mark;
use schemas::mark::APPLIED;

/// The tasks of a sink before its settings were put.
pub(super) struct Before {
    /// Its group's members; nothing where Kafka did not say.
    members: Option<BTreeSet<String>>,
}

impl Before {
    /// Nothing where the sink is not there.
    pub(super) async fn of(target: &Target, sink: &Connector) -> Option<Self> {
        let there = target.connect.settings(&sink.name).await.ok()??;
        // What stays as it is needs no looking after.
        let same = there.get(APPLIED) == mark::marked(&sink.settings, &target.owner).get(APPLIED);
        if same && mark::digest(&there) == mark::digest(&sink.settings) {
            return None;
        }
        let held = target.connect.status(&sink.name).await.ok()?.is_some_and(|status| status.is_held());
        let members = if held { None } else { members(target, group(&sink.name, &there)).await.ok() };
        Some(Self { members })
    }

    /// Whether none of these tasks runs any more; the error says what still does.
    pub(super) async fn is_over(&self, target: &Target, sink: &Connector) -> Result<(), String> {
        let tasks = target.connect.task_settings(&sink.name).await.map_err(|err| err.to_string())?;
        let wanted = mark::marked(&sink.settings, &target.owner);
        let now = match &self.members {
            Some(before) if !before.is_empty() => {
                members(target, group(&sink.name, &sink.settings)).await.map_err(|err| err.to_string())?
            }
            Some(_) | None => BTreeSet::new(),
        };
        over(&tasks, &wanted, self.members.as_ref(), &now)
    }
}

fn over(
    tasks: &[Settings],
    wanted: &Settings,
    before: Option<&BTreeSet<String>>,
    now: &BTreeSet<String>,
) -> Result<(), String> {
    // A plugin may give its tasks settings of its own making; such have no mark, and say nothing.
    let old = |task: &&Settings| task.get(APPLIED).is_some_and(|mark| Some(mark) != wanted.get(APPLIED));
    let old = tasks.iter().filter(old).count();
    if 0 < old {
        return Err(format!("{old} tasks still have the settings of before"));
    }
    let left = before.map_or(0, |before| before.intersection(now).count());
    if 0 < left { Err(format!("{left} tasks still run with the settings of before")) } else { Ok(()) }
}

fn group(sink: &str, settings: &Settings) -> String {
    settings.get("consumer.override.group.id").cloned().unwrap_or_else(|| sink_group(sink))
}

async fn members(target: &Target, group: String) -> Result<BTreeSet<String>, KafkaError> {
    let servers = target.kafka.clone();
    blocking(move || Reader::new(&servers, &group)?.members()).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::mark::OWNER;

    #[test]
    fn a_task_of_the_old_settings_does_not_count_though_it_runs() {
        let settings = |value: &str| mark::marked(&Settings::from([("a".to_owned(), value.to_owned())]), OWNER);
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let (old, new) = (settings("1"), settings("2"));
        let (before, after, mixed) = (set(&["m1", "m2"]), set(&["m3", "m4"]), set(&["m2", "m3"]));
        let fresh = [new.clone(), new.clone()];
        assert_eq!(over(&fresh, &new, Some(&before), &after), Ok(()));
        assert!(over(&[new.clone(), old], &new, Some(&before), &after).unwrap_err().contains("1 tasks still have"));
        assert!(over(&fresh, &new, Some(&before), &mixed).unwrap_err().contains("1 tasks still run"));
        assert_eq!(over(&[Settings::new()], &new, None, &set(&[])), Ok(()), "where nothing tells, the status counts");
    }
}
