//! Who leads which partition, how many replicas are in sync, and who coordinates whom, as the brokers say it.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::metadata::Metadata;

use crate::faults::{ASK, BACK, wait_for};

/// For one answer: some of those who are asked are away, or frozen.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks any of the brokers. A broker that was away says for a moment what was so before.
pub(crate) struct Replicas(BaseConsumer);

impl Replicas {
    pub(crate) fn of(servers: &str) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", servers).set("group.id", "promise-replicas");
        config.set("socket.timeout.ms", "3000").set("reconnect.backoff.max.ms", "500");
        Self(config.create().unwrap())
    }

    /// Of each partition of a topic; -1 where there is none.
    pub(crate) fn leaders(&self, topic: &str) -> BTreeMap<i32, i32> {
        let metadata = self.metadata(Some(topic));
        metadata.topics()[0].partitions().iter().map(|partition| (partition.id(), partition.leader())).collect()
    }

    /// The broker that leads most partitions of a topic, and which these are.
    pub(crate) fn busiest(&self, topic: &str) -> (i32, Vec<i32>) {
        let mut led: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for (partition, leader) in self.leaders(topic) {
            led.entry(leader).or_default().push(partition);
        }
        led.into_iter().max_by_key(|(_, partitions)| partitions.len()).unwrap()
    }

    /// The partitions of all topics, with the fewest replicas that one has, and the fewest that are in sync.
    pub(crate) fn fewest(&self) -> (usize, usize, usize) {
        let metadata = self.metadata(None);
        let partitions = || metadata.topics().iter().flat_map(|topic| topic.partitions());
        let replicas = partitions().map(|partition| partition.replicas().len()).min().unwrap_or(0);
        let in_sync = partitions().map(|partition| partition.isr().len()).min().unwrap_or(0);
        (partitions().count(), replicas, in_sync)
    }

    /// Whether each topic has all its replicas in sync, asked once: who must not wait goes on with something else.
    pub(crate) fn are_in_sync(&self) -> bool {
        self.asked(None).is_some_and(|metadata| {
            let mut partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
            partitions.all(|partition| partition.replicas().len() == partition.isr().len())
        })
    }

    /// Until all replicas of all topics are in sync.
    pub(crate) fn wait_for_all(&self) {
        wait_for("all replicas to be in sync", BACK, ASK, || {
            let (_, replicas, in_sync) = self.fewest();
            replicas == in_sync
        });
    }

    /// Until others than this one lead all partitions of a topic.
    pub(crate) fn wait_for_others(&self, topic: &str, away: i32) {
        wait_for("other leaders", BACK, ASK, || {
            self.leaders(topic).values().all(|leader| 0 <= *leader && *leader != away)
        });
    }

    /// Of a group: who leads the partition in which its offsets are kept.
    pub(crate) fn coordinator_of_group(&self, group: &str) -> i32 {
        self.keeper("__consumer_offsets", group)
    }

    /// Of a producer's transactions.
    pub(crate) fn coordinator_of_transactions(&self, transactional_id: &str) -> i32 {
        self.keeper("__transaction_state", transactional_id)
    }

    fn keeper(&self, topic: &str, name: &str) -> i32 {
        let leaders = self.leaders(topic);
        let partition = java_hash(name).checked_abs().unwrap_or(0) % i32::try_from(leaders.len()).unwrap();
        leaders[&partition]
    }

    fn metadata(&self, topic: Option<&str>) -> Metadata {
        let mut known = None;
        wait_for("the brokers to say how they are", BACK, ASK, || {
            known = self.asked(topic);
            known.is_some()
        });
        known.unwrap()
    }

    /// None, where nobody answers, or something is wrong with a topic.
    fn asked(&self, topic: Option<&str>) -> Option<Metadata> {
        let answer = self.0.fetch_metadata(topic, PATIENCE).ok();
        answer.filter(|found| found.topics().iter().all(|topic| topic.error().is_none()))
    }
}

/// `String.hashCode` of ASCII: by it a coordinator chooses its partition.
fn java_hash(text: &str) -> i32 {
    text.bytes().fold(0_i32, |hash, byte| hash.wrapping_mul(31).wrapping_add(i32::from(byte)))
}

#[test]
fn names_are_hashed_as_in_java() {
    assert_eq!(java_hash("hello world"), 1_794_106_052);
    assert_eq!(java_hash("polygenelubricants"), i32::MIN);
}
