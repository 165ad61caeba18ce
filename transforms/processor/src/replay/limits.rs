//! What the topics that a pipeline writes take, asked of the broker.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ConfigResourceResult, ResourceSpecifier};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::KafkaResult;

use super::CLIENT;
use crate::kafka::client::{self, Log};
use crate::pipeline::spec::Spec;

/// The setting of a topic.
const MAX_BYTES: &str = "max.message.bytes";
/// How long the broker may take to tell it.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);

/// The topics that a pipeline writes.
pub(super) fn written(spec: &Spec) -> BTreeSet<String> {
    let own = [&spec.output, &spec.dropped].into_iter().chain(&spec.dead_letters);
    own.chain(spec.outputs.values()).cloned().collect()
}

/// The largest record of each of these topics; those are missing of which the broker does not tell it.
pub(super) async fn of(kafka: &str, topics: &BTreeSet<String>) -> BTreeMap<String, usize> {
    asked(kafka, topics).await.unwrap_or_else(|error| {
        tracing::debug!(error = %error, "the broker does not tell {MAX_BYTES} of topics");
        BTreeMap::new()
    })
}

async fn asked(kafka: &str, topics: &BTreeSet<String>) -> KafkaResult<BTreeMap<String, usize>> {
    if topics.is_empty() {
        return Ok(BTreeMap::new());
    }
    let admin: AdminClient<Log> = AdminClient::from_config_and_context(&client::base(kafka, CLIENT), Log)?;
    let asked: Vec<ResourceSpecifier<'_>> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    let options = AdminOptions::new().request_timeout(Some(ASK_TIMEOUT));
    let told = admin.describe_configs(&asked, &options).await?;
    // The answers come in the order of the questions.
    let limit = |(topic, told): (&String, ConfigResourceResult)| {
        let text = told.ok()?.get(MAX_BYTES)?.value.clone()?;
        Some((topic.clone(), text.parse().ok()?))
    };
    Ok(topics.iter().zip(told).filter_map(limit).collect())
}
