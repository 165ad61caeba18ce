//! What the broker says of a pipeline's topics: that they are there, and the largest record that each one takes.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::KafkaResult;
use service_kit::kafka::refusal::with_way_out;

use super::spec::Spec;
use crate::kafka::client::Log;
use crate::state::follow;

/// The setting of a topic.
const MAX_BYTES: &str = "max.message.bytes";
/// How long the broker may take to tell settings.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);

/// The topics of a pipeline.
pub(super) struct Wanted {
    read: Vec<String>,
    written: Vec<String>,
}

impl Wanted {
    pub(super) fn of(spec: &Spec) -> Self {
        let lookups = spec.lookups.values().map(|lookup| &lookup.topic);
        Self { read: spec.topics.iter().chain(lookups).cloned().collect(), written: written(spec).collect() }
    }
}

/// The topics that a pipeline writes.
pub(crate) fn written(spec: &Spec) -> impl Iterator<Item = String> {
    let own = [&spec.output, &spec.dropped].into_iter().chain(&spec.dead_letters);
    own.chain(spec.outputs.values()).cloned()
}

/// The largest record of each topic that is written. Empty when the broker does not say: then our own limit holds, and
/// what the broker refuses all the same is found when it does. Blocks.
///
/// # Errors
/// Which topic is not there.
pub(super) fn ask(
    config: &ClientConfig,
    wanted: &Wanted,
    runtime: &tokio::runtime::Handle,
) -> Result<BTreeMap<String, usize>, String> {
    let silent =
        |error: rdkafka::error::KafkaError| with_way_out(format!("the broker does not tell its topics: {error}"));
    // One client for both questions: a swap under load waits for each one that connects.
    let admin: AdminClient<Log> = AdminClient::from_config_and_context(config, Log::default()).map_err(silent)?;
    for topic in wanted.read.iter().chain(&wanted.written) {
        if !follow::exists(admin.inner(), topic).map_err(|error| format!("{topic}: {}", silent(error)))? {
            return Err(format!("topic {topic} is not there; `connectors apply` makes it"));
        }
    }
    Ok(runtime.block_on(told(&admin, &wanted.written)).unwrap_or_else(|error| {
        tracing::warn!(error = %error, "the broker does not tell {MAX_BYTES} of its topics; our own limit holds");
        BTreeMap::new()
    }))
}

/// The largest record of each of these topics; those are missing of which the broker does not tell it.
pub(crate) async fn limits(config: &ClientConfig, topics: &[String]) -> BTreeMap<String, usize> {
    let asked = async { told(&AdminClient::from_config_and_context(config, Log::default())?, topics).await };
    asked.await.unwrap_or_else(|error| {
        tracing::debug!(error = %error, "the broker does not tell {MAX_BYTES} of topics");
        BTreeMap::new()
    })
}

async fn told(admin: &AdminClient<Log>, topics: &[String]) -> KafkaResult<BTreeMap<String, usize>> {
    if topics.is_empty() {
        return Ok(BTreeMap::new());
    }
    let asked: Vec<ResourceSpecifier<'_>> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    let options = AdminOptions::new().request_timeout(Some(ASK_TIMEOUT));
    let told = admin.describe_configs(&asked, &options).await?;
    // The answers come in the order of the questions; one topic may keep its settings to itself.
    let limit = |(topic, told): (&String, Result<rdkafka::admin::ConfigResource, _>)| {
        let text = told.ok()?.get(MAX_BYTES)?.value.clone()?;
        Some((topic.clone(), text.parse().ok()?))
    };
    Ok(topics.iter().zip(told).filter_map(limit).collect())
}
