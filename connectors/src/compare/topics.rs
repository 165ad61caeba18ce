//! Topics: partitions, which never change, and settings. What somebody gave a topic beside those of `topics.json` stays.

use std::collections::BTreeMap;

use schemas::contracts::{self, Topic};

use super::{Deadline, Difference, Place, Refusal, Thing, told};
use crate::apply::Target;
use crate::kafka::{Admin, Existing, KafkaError};
use crate::retry;

/// Where the topics' settings are written; they are part of the build.
const FILE: &str = "schemas/topics.json";

pub(super) async fn compare(target: &Target, deadline: Deadline) -> Result<Vec<Thing>, String> {
    let wanted = contracts::topics().map_err(|err| told("topics.json", err))?;
    let existing = existing(target, &wanted, deadline).await.map_err(|err| err.to_string())?;
    Ok(wanted.iter().map(|topic| thing(topic, existing.get(&topic.name))).collect())
}

async fn existing(
    target: &Target,
    wanted: &[Topic],
    deadline: Deadline,
) -> Result<BTreeMap<String, Existing>, KafkaError> {
    let admin = Admin::new(&target.kafka)?;
    let names: Vec<&str> = wanted.iter().map(|topic| topic.name.as_str()).collect();
    retry::until(deadline, "Kafka", || admin.topics(&names)).await
}

/// A topic as the build wants it, beside the one that is there.
pub(crate) fn thing(wanted: &Topic, there: Option<&Existing>) -> Thing {
    let mut thing = Thing::new("topic", &wanted.name, FILE);
    let Some(there) = there else {
        thing.place = Place::File;
        thing.differences.push(Difference::new("partitions", None, Some(wanted.partitions.to_string())));
        let settings = wanted.config.iter().map(|(key, value)| Difference::new(key, None, Some(value.clone())));
        thing.differences.extend(settings);
        return thing;
    };
    if there.partitions != wanted.partitions {
        let (has, wants) = (there.partitions.to_string(), wanted.partitions.to_string());
        thing.refused.push(Refusal::new(
            "partitions",
            format!(
                "it has {has} partitions and {wants} are wanted; a topic's count never changes, since it would move the \
                 orders to other partitions: put topics.json back, or empty and delete the topic"
            ),
        ));
        thing.differences.push(Difference::new("partitions", Some(has), Some(wants)).left());
    }
    for (key, value) in &wanted.config {
        let has = there.settings.get(key);
        if has != Some(value) {
            thing.differences.push(Difference::new(key, has.cloned(), Some(value.clone())));
        }
    }
    for (key, value) in there.own.iter().filter(|(key, _)| !wanted.config.contains_key(*key)) {
        thing.differences.push(Difference::new(key, Some(value.clone()), None).left());
    }
    thing
}
