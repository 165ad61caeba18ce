//! Looks after the producer: asks the broker for the topic's metadata at start, every second, and ten times a second
//! while something is wrong; replaces a producer that broke for good. Does not publish.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    metadata::{MetadataPartition, MetadataTopic},
    producer::Producer,
};
use service_kit::Tasks;

use super::{Durability, Kafka, Publisher, age, permission, settings, witness::Witness};

const ROUND_WHILE_UP: Duration = Duration::from_secs(1);
const ROUND_WHILE_DOWN: Duration = Duration::from_millis(100);
const PROBE_TIME: Duration = Duration::from_secs(1);
/// After a probe that timed out the next one has as long as librdkafka gives any request.
const PATIENT_PROBE_TIME: Duration = settings::REQUEST_TIMEOUT;
/// Between two replacements, doubled each time until an order is stored.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Runs until the service stops.
pub async fn supervise(publisher: Arc<Publisher>, tasks: Tasks) {
    let mut probe_time = PROBE_TIME;
    let mut leaderless = Vec::new();
    let mut replacing = Replacing::new(Instant::now());
    while !tasks.is_stopping() {
        if publisher.broker.take_stored() {
            replacing.reset();
        }
        if look_at_producer(&publisher, &mut replacing) {
            let kafka = publisher.kafka();
            let asked = tokio::select! {
                asked = probe(&publisher, &kafka, &tasks, probe_time) => asked,
                () = until_broken(&kafka) => continue, // its answer may take seconds and says nothing any more
            };
            probe_time = if matches!(asked, Err(Unseen::Silent(_))) { PATIENT_PROBE_TIME } else { PROBE_TIME };
            let goes_on = take(&publisher, kafka.context().witness(), asked, &mut leaderless);
            if !goes_on && replacing.may(Instant::now()) {
                tracing::warn!(kafka.topic = publisher.topic, "the topic is back, going on with a new producer");
                replace(&publisher, &kafka);
            }
        }
        publisher.broker.tell();
        let pause = if publisher.broker.is_up().is_ok() { ROUND_WHILE_UP } else { ROUND_WHILE_DOWN };
        let _ = tasks.until_stop(tokio::time::timeout(pause, look_again(&publisher))).await;
    }
}

/// Something failed; but not more often than the shorter round, however much fails.
async fn look_again(publisher: &Publisher) {
    publisher.broker.attention().await;
    tokio::time::sleep(ROUND_WHILE_DOWN).await;
}

// === the broker ===

/// Why a probe has not seen the topic.
#[derive(Debug, PartialEq)]
enum Unseen {
    /// No answer yet: the broker may only be slow.
    Silent(String),
    /// No broker, or no leader.
    Gone(String),
    /// A broker without the topic, or that does not let us have it.
    NoTopic(String),
}

async fn probe(publisher: &Publisher, kafka: &Arc<Kafka>, tasks: &Tasks, time: Duration) -> Result<Seen, Unseen> {
    let (kafka, topic, broker) = (Arc::clone(kafka), publisher.topic, Arc::clone(&publisher.broker));
    let asked = tasks.spawn_blocking(move || {
        let seen = ask(&kafka, topic, time)?;
        if broker.is_permission_unknown() {
            match ask_for_permission(&kafka, seen.leader, topic, time) {
                Ok(()) => kafka.context().witness().permitted(),
                // A question without an answer does not outweigh a topic that was shown; it is asked again. Unless an
                // order was refused: then it takes the brokers' word.
                Err(Unseen::Silent(reason)) if !broker.is_topic_lost() => {
                    tracing::debug!(reason, "nobody says whether the topic may be written");
                }
                Err(unseen) => return Err(unseen),
            }
        }
        Ok(seen)
    });
    let asked = asked.await;
    asked.unwrap_or_else(|_| Err(Unseen::Silent("the probe was not run".to_owned()))) // the runtime ends
}

/// What a probe has seen of the topic.
#[derive(Debug, PartialEq)]
struct Seen {
    /// The leader of a partition.
    leader: i32,
    /// The partitions that have none. Orders of those wait and are answered one by one, the others need not suffer.
    leaderless: Vec<i32>,
    durability: Durability,
}

/// Whether a broker answers and has the topic, with at least one leader.
fn ask(kafka: &Kafka, topic: &str, time: Duration) -> Result<Seen, Unseen> {
    let metadata = kafka.client().fetch_metadata(Some(topic), time).map_err(|error| unseen(&error))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    if found.and_then(MetadataTopic::error).is_some_and(|error| permission::is_refusal(error.into())) {
        return Err(Unseen::NoTopic(permission::HIDDEN.to_owned()));
    }
    let found = found.filter(|found| !found.partitions().is_empty() && found.error().is_none());
    let found =
        found.ok_or_else(|| Unseen::NoTopic(format!("topic {topic} is not there; `connectors apply` makes it")))?;
    let partitions = found.partitions();
    let leaderless = partitions.iter().filter(|partition| partition.leader() < 0);
    let leaderless: Vec<i32> = leaderless.map(MetadataPartition::id).collect();
    if leaderless.len() == partitions.len() {
        return Err(Unseen::Gone(format!("no partition of topic {topic} has a leader")));
    }
    let leader = partitions.iter().map(MetadataPartition::leader).find(|leader| 0 <= *leader);
    let leader = leader.unwrap_or_else(|| metadata.orig_broker_id());
    Ok(Seen { leader, leaderless, durability: Durability::of(partitions) })
}

/// Whether we may write, where the brokers tell.
fn ask_for_permission(kafka: &Kafka, broker: i32, topic: &str, time: Duration) -> Result<(), Unseen> {
    match permission::may_write(kafka.client().native_ptr(), broker, topic, time) {
        Ok(Some(true) | None) => Ok(()),
        Ok(Some(false)) => Err(Unseen::NoTopic(permission::FORBIDDEN.to_owned())),
        Err(code) => Err(match unseen(&KafkaError::MetadataFetch(code.into())) {
            _ if permission::is_refusal(code.into()) => Unseen::NoTopic(permission::HIDDEN.to_owned()),
            unseen => unseen,
        }),
    }
}

fn unseen(error: &KafkaError) -> Unseen {
    match error.rdkafka_error_code() {
        Some(code @ (RDKafkaErrorCode::OperationTimedOut | RDKafkaErrorCode::RequestTimedOut)) => {
            Unseen::Silent(format!("no broker answers ({code:?})"))
        }
        Some(code) => Unseen::Gone(format!("no broker answers ({code:?})")),
        None => Unseen::Gone("no broker answers".to_owned()),
    }
}

/// Takes in what the producer of this witness was told; whether it may go on.
fn take(publisher: &Publisher, witness: &Witness, asked: Result<Seen, Unseen>, known: &mut Vec<i32>) -> bool {
    match asked {
        Ok(_) if !witness.found_topic() => return false,
        Ok(Seen { leaderless, durability, .. }) => {
            publisher.seen(durability);
            tell_leaders(publisher.topic, leaderless, known);
        }
        Err(Unseen::Silent(reason)) => witness.silent(&reason),
        Err(Unseen::Gone(reason)) => witness.lost(&reason),
        Err(Unseen::NoTopic(reason)) => witness.lose_topic(&reason),
    }
    true
}

fn tell_leaders(topic: &str, leaderless: Vec<i32>, known: &mut Vec<i32>) {
    if leaderless == *known {
        return;
    }
    if leaderless.is_empty() {
        tracing::info!(kafka.topic = topic, "all partitions have a leader again");
    } else {
        tracing::warn!(kafka.topic = topic, kafka.partitions = ?leaderless, "partitions have no leader");
    }
    *known = leaderless;
}

// === the producer ===

/// When a broken producer may be replaced. One that breaks at once again must not be replaced ten times a second.
struct Replacing {
    not_before: Instant,
    pause: Duration,
}

impl Replacing {
    fn new(now: Instant) -> Self {
        Self { not_before: now, pause: FIRST_PAUSE }
    }

    /// Whether it may be now; then the next one may be later.
    fn may(&mut self, now: Instant) -> bool {
        if now < self.not_before {
            return false;
        }
        self.not_before = now + self.pause;
        self.pause = LONGEST_PAUSE.min(self.pause * 2);
        true
    }

    fn reset(&mut self) {
        self.pause = FIRST_PAUSE;
    }
}

async fn until_broken(kafka: &Kafka) {
    while kafka.client().fatal_error().is_none() {
        tokio::time::sleep(ROUND_WHILE_DOWN).await;
    }
}

/// Replaces the producer if it is broken and its time has come; whether there is one that can be asked.
fn look_at_producer(publisher: &Publisher, replacing: &mut Replacing) -> bool {
    let kafka = publisher.kafka();
    let Some((code, reason)) = kafka.client().fatal_error() else { return true };
    let witness = kafka.context().witness();
    if permission::is_refusal(code) {
        witness.forgotten(permission::FORBIDDEN);
    } else if !publisher.broker.is_topic_lost() {
        // It breaks of a refusal of the topic as well, and why that came is known better.
        witness.forgotten(&format!("the producer broke ({code:?}: {reason}) and is being replaced"));
    }
    if !replacing.may(Instant::now()) {
        return false;
    }
    tracing::error!(kafka.error = ?code, kafka.reason = reason, "producer broke, replacing it");
    replace(publisher, &kafka)
}

/// The old producer keeps what it was given until that is settled.
fn replace(publisher: &Publisher, broken: &Arc<Kafka>) -> bool {
    match publisher.replace(broken, publisher.fresh_context()) {
        Ok(None) => true, // by somebody else, a moment ago
        Ok(Some(old)) => {
            age::retire(old);
            true
        }
        Err(error) => {
            tracing::error!(error = %error, "cannot make a new producer, trying again");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;
    use rdkafka::mocking::MockCluster;

    use super::*;
    use crate::{
        metrics::Metrics,
        publish::{Broker, Security, context::Context, statistics::Newest},
    };

    #[test]
    fn a_producer_that_breaks_at_once_is_replaced_ever_less_often_until_an_order_is_stored() {
        let mut now = Instant::now();
        let mut replacing = Replacing::new(now);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let begun = now;
            while !replacing.may(now) {
                now += Duration::from_millis(100);
            }
            pauses.push((now - begun).as_millis());
        }
        assert_eq!(pauses, [0, 100, 200, 400, 800, 1600, 3200, 5000]);
        replacing.reset();
        assert!(!replacing.may(now), "not at once after the last");
        now += LONGEST_PAUSE;
        assert!(replacing.may(now) && !replacing.may(now) && replacing.may(now + FIRST_PAUSE));
    }

    #[test]
    fn one_partition_without_a_leader_is_not_the_whole_topic() {
        let mock = MockCluster::new(1).unwrap();
        mock.create_topic("t", 3, 1).unwrap();
        let context =
            Context::new(&Arc::new(Broker::new()), &Metrics::new(&mut Registry::default()), &Newest::default());
        let kafka = settings::create(&mock.bootstrap_servers(), &Security::default(), "test", context).unwrap();
        let long = Duration::from_secs(10);
        let leaderless = || ask(&kafka, "t", long).map(|seen| (seen.leader, seen.leaderless));
        assert_eq!(leaderless(), Ok((1, vec![])));
        mock.partition_leader("t", 1, None).unwrap();
        assert_eq!(leaderless(), Ok((1, vec![1])));
        for partition in [0, 2] {
            mock.partition_leader("t", partition, None).unwrap();
        }
        assert!(
            matches!(ask(&kafka, "t", long), Err(Unseen::Gone(reason)) if reason.contains("no partition of topic t"))
        );
        assert!(
            matches!(ask(&kafka, "other", long), Err(Unseen::NoTopic(reason)) if reason.contains("other is not there"))
        );
        mock.broker_round_trip_time(-1, Duration::from_secs(2)).unwrap();
        assert!(matches!(ask(&kafka, "t", Duration::from_millis(200)), Err(Unseen::Silent(_))), "slow is not away");
    }
}
