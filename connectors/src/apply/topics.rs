//! Topics: made with all their partitions at once, their settings brought to what `topics.json` says. Partitions are
//! never added: the key fixes the partition, and an order's version counts within it.

use std::collections::BTreeMap;

use schemas::contracts::{self, Topic};

use super::{ApplyError, Change, Line, Out, Target};
use crate::compare;
use crate::kafka::{Admin, Existing};
use crate::retry;

pub(super) async fn apply(target: &Target, out: Out<'_>) -> Result<(), ApplyError> {
    let wanted = contracts::topics().map_err(ApplyError::TopicsFile)?;
    let admin = Admin::new(&target.kafka)?;
    let deadline = target.deadline();
    let names: Vec<&str> = wanted.iter().map(|topic| topic.name.as_str()).collect();
    let existing = retry::until(deadline, "Kafka", || admin.topics(&names)).await?;
    let steps = plan(&wanted, &existing).map_err(ApplyError::Topics)?;
    for (topic, step) in wanted.iter().zip(&steps) {
        let there = existing.get(&topic.name);
        let change = match step {
            Step::Create => {
                retry::until(deadline, "Kafka", || admin.create(topic)).await?;
                Change::Created
            }
            Step::Alter(settings) => {
                retry::until(deadline, "Kafka", || admin.alter(&topic.name, settings)).await?;
                Change::Updated
            }
            Step::Leave => Change::Unchanged,
        };
        let note =
            if topic.partitions == 1 { "1 partition".to_owned() } else { format!("{} partitions", topic.partitions) };
        let line = Line::new("topic", &topic.name, change, note);
        out(if there.is_some() { line.with(&compare::topics::thing(topic, there).differences) } else { line });
    }
    Ok(())
}

/// What is to be done for one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Create,
    /// All settings that the topic shall have of its own: Kafka replaces the whole set.
    Alter(BTreeMap<String, String>),
    Leave,
}

/// A step for each wanted topic, or what stands against it, for all topics at once.
fn plan(wanted: &[Topic], existing: &BTreeMap<String, Existing>) -> Result<Vec<Step>, Vec<String>> {
    let mut refused = Vec::new();
    let mut steps = Vec::new();
    for topic in wanted {
        let there = existing.get(&topic.name);
        let thing = compare::topics::thing(topic, there);
        refused.extend(thing.refused.iter().map(|refusal| format!("{}: {}", topic.name, refusal.message)));
        steps.push(match there {
            None => Step::Create,
            Some(there) if thing.changes() => {
                let mut own = there.own.clone();
                own.extend(topic.config.clone());
                Step::Alter(own)
            }
            Some(_) => Step::Leave,
        });
    }
    if refused.is_empty() { Ok(steps) } else { Err(refused) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn topic(name: &str, partitions: i32, config: &[(&str, &str)]) -> Topic {
        Topic { name: name.to_owned(), partitions, config: map(config) }
    }

    fn there(name: &str, partitions: i32, settings: &[(&str, &str)], own: &[(&str, &str)]) -> (String, Existing) {
        (name.to_owned(), Existing { partitions, settings: map(settings), own: map(own) })
    }

    #[test]
    fn a_missing_topic_is_made_and_one_as_wanted_is_left() {
        let wanted = [topic("a", 12, &[("retention.ms", "-1")]), topic("b", 1, &[("retention.ms", "-1")])];
        let existing = BTreeMap::from([there("b", 1, &[("retention.ms", "-1"), ("segment.ms", "5")], &[])]);
        assert_eq!(plan(&wanted, &existing), Ok(vec![Step::Create, Step::Leave]));
    }

    #[test]
    fn a_changed_setting_keeps_what_others_have_set() {
        let wanted = [topic("a", 12, &[("retention.ms", "-1")])];
        let settings = [("retention.ms", "604800000"), ("segment.ms", "5"), ("index.interval.bytes", "4096")];
        let existing = BTreeMap::from([there("a", 12, &settings, &[("segment.ms", "5")])]);
        let own = map(&[("retention.ms", "-1"), ("segment.ms", "5")]);
        assert_eq!(plan(&wanted, &existing), Ok(vec![Step::Alter(own)]));
    }

    #[test]
    fn other_partition_counts_are_refused_all_at_once() {
        let wanted = [topic("a", 12, &[]), topic("b", 12, &[]), topic("c", 12, &[])];
        let existing = BTreeMap::from([there("a", 6, &[], &[]), there("b", 24, &[], &[]), there("c", 12, &[], &[])]);
        let refused = plan(&wanted, &existing).unwrap_err();
        assert_eq!(refused.len(), 2);
        assert!(refused[0].starts_with("a: it has 6 partitions and 12 are wanted"), "{refused:?}");
    }
}
