//! Topics: which are there with what settings, make one, change its settings, remove one. Groups: remove one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode as Code};
use rdkafka::metadata::Metadata;
use schemas::contracts::Topic;
use service_kit::kafka::Brokers;

use super::client::{self, Consumer, Ear};
use super::{KafkaError, blocking};

const TIMEOUT: Duration = Duration::from_secs(10);

/// An operator's client.
pub struct Admin {
    client: AdminClient<Ear>,
    /// Asks for what is there, since it can also be told why it gets no answer, which the other cannot.
    asker: Arc<Consumer>,
    brokers: Brokers,
}

/// A topic as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Existing {
    /// How many partitions.
    pub partitions: i32,
    /// Every setting with its effective value.
    pub settings: BTreeMap<String, String>,
    /// The settings that were given to this topic itself.
    pub own: BTreeMap<String, String>,
}

impl Admin {
    /// A client of these brokers. Does not connect yet.
    ///
    /// # Errors
    /// [`KafkaError::Client`] where the client cannot be made.
    pub fn new(brokers: &Brokers) -> Result<Self, KafkaError> {
        let mut config = client::config(brokers, "connectors-apply");
        let client = config
            .create_with_context(Ear::default())
            .map_err(|cause| KafkaError::Client { servers: brokers.to_string(), cause })?;
        let asker = client::consumer(config.set("allow.auto.create.topics", "false"), brokers)?;
        Ok(Self { client, asker: Arc::new(asker), brokers: brokers.clone() })
    }

    /// Those of `names` that are there.
    ///
    /// # Errors
    /// [`KafkaError`].
    pub async fn topics(&self, names: &[&str]) -> Result<BTreeMap<String, Existing>, KafkaError> {
        let mut found = self.partitions(names).await?;
        if found.is_empty() {
            return Ok(found);
        }
        let resources: Vec<String> = found.keys().cloned().collect();
        let specifiers: Vec<_> = resources.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
        let described = self.client.describe_configs(&specifiers, &options()).await.map_err(|e| self.failed(e))?;
        for (name, answer) in resources.iter().zip(described) {
            let answer = answer.map_err(|code| KafkaError::Topic { topic: name.clone(), code })?;
            let Some(existing) = found.get_mut(name) else { continue };
            for entry in answer.entries {
                let Some(value) = entry.value else { continue };
                if entry.source == ConfigSource::DynamicTopic {
                    existing.own.insert(entry.name.clone(), value.clone());
                }
                existing.settings.insert(entry.name, value);
            }
        }
        Ok(found)
    }

    async fn partitions(&self, names: &[&str]) -> Result<BTreeMap<String, Existing>, KafkaError> {
        let metadata = self.metadata().await?;
        let mut found = BTreeMap::new();
        for topic in metadata.topics().iter().filter(|topic| names.contains(&topic.name())) {
            let partitions = i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX);
            found.insert(topic.name().to_owned(), Existing { partitions, ..Existing::default() });
        }
        let missing: Vec<String> =
            names.iter().filter(|name| !found.contains_key(**name)).map(|name| (*name).to_owned()).collect();
        let (asker, brokers) = (Arc::clone(&self.asker), self.brokers.clone());
        let hidden = move || missing.iter().try_for_each(|name| client::not_hidden(&asker, &brokers, name, TIMEOUT));
        blocking(hidden).await?;
        Ok(found)
    }

    /// Makes a topic; one that another made meanwhile is as good.
    ///
    /// # Errors
    /// [`KafkaError`].
    pub async fn create(&self, topic: &Topic) -> Result<(), KafkaError> {
        // -1: the broker's default.replication.factor, 1 on one machine.
        let mut new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(-1));
        for (key, value) in &topic.config {
            new = new.set(key, value);
        }
        let answers = self.client.create_topics([&new], &options()).await.map_err(|e| self.failed(e))?;
        first(answers.into_iter().filter(|answer| !matches!(answer, Err((_, Code::TopicAlreadyExists)))))
    }

    /// The names of all topics.
    ///
    /// # Errors
    /// [`KafkaError`].
    pub async fn names(&self) -> Result<Vec<String>, KafkaError> {
        Ok(self.metadata().await?.topics().iter().map(|topic| topic.name().to_owned()).collect())
    }

    /// The names of all groups.
    ///
    /// # Errors
    /// [`KafkaError`].
    pub async fn groups(&self) -> Result<Vec<String>, KafkaError> {
        let (asker, brokers) = (Arc::clone(&self.asker), self.brokers.clone());
        blocking(move || {
            let list =
                asker.fetch_group_list(None, TIMEOUT).map_err(|cause| client::failed(&asker, &brokers, cause))?;
            Ok(list.groups().iter().map(|group| group.name().to_owned()).collect())
        })
        .await
    }

    /// Removes a topic; one that is gone needs nothing.
    ///
    /// # Errors
    /// [`KafkaError`].
    pub async fn delete_topic(&self, name: &str) -> Result<(), KafkaError> {
        let answers = self.client.delete_topics(&[name], &options()).await.map_err(|e| self.failed(e))?;
        let gone = |answer: &Result<String, _>| matches!(answer, Err((_, Code::UnknownTopicOrPartition)));
        first(answers.into_iter().filter(|answer| !gone(answer)))
    }

    /// Removes a group with its offsets; one that is gone needs nothing.
    ///
    /// # Errors
    /// [`KafkaError::Members`] while somebody is in it.
    pub async fn delete_group(&self, name: &str) -> Result<(), KafkaError> {
        let answers = self.client.delete_groups(&[name], &options()).await.map_err(|e| self.failed(e))?;
        match answers.into_iter().find_map(Result::err) {
            None | Some((_, Code::GroupIdNotFound)) => Ok(()),
            Some((_, Code::NonEmptyGroup)) => Err(KafkaError::Members),
            Some((group, code)) => Err(KafkaError::Group { group, code }),
        }
    }

    /// Gives a topic exactly these settings of its own.
    ///
    /// # Errors
    /// [`KafkaError`].
    pub async fn alter(&self, topic: &str, settings: &BTreeMap<String, String>) -> Result<(), KafkaError> {
        let mut change = AlterConfig::new(ResourceSpecifier::Topic(topic));
        for (key, value) in settings {
            change = change.set(key, value);
        }
        let answers = self.client.alter_configs([&change], &options()).await.map_err(|e| self.failed(e))?;
        first(
            answers
                .into_iter()
                .map(|answer| answer.map(|_| String::new()).map_err(|(_, code)| (topic.to_owned(), code))),
        )
    }

    /// All topics are listed, since asking for one by name may make it.
    async fn metadata(&self) -> Result<Metadata, KafkaError> {
        let (asker, brokers) = (Arc::clone(&self.asker), self.brokers.clone());
        let ask = move || asker.fetch_metadata(None, TIMEOUT).map_err(|cause| client::failed(&asker, &brokers, cause));
        blocking(ask).await
    }

    fn failed(&self, cause: ClientError) -> KafkaError {
        KafkaError::Client { servers: self.brokers.to_string(), cause }
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT))
}

fn first(mut answers: impl Iterator<Item = Result<String, (String, Code)>>) -> Result<(), KafkaError> {
    match answers.find_map(Result::err) {
        Some((topic, code)) => Err(KafkaError::Topic { topic, code }),
        None => Ok(()),
    }
}
