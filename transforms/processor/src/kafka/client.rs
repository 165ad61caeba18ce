//! The settings of every Kafka client of this command, each with its reason, and what a client is told beside the answers
//! to its questions. Makes no decisions.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::{Client, ClientContext};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use service_kit::kafka::refusal::with_way_out;
use service_kit::kafka::{Brokers, Heard};

use super::Identity;

/// The transaction's and the session's time-out bound how long a process that never returns holds its partitions. The
/// broker looks for the former once in a while (`scripts/stack` lets it once a second), and 10 s should do for all.
pub const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(7);
/// See [`TRANSACTION_TIMEOUT`].
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(6);
/// The largest record that we write to any data topic; its topics have `max.message.bytes` of 4 MiB.
pub const MAX_RECORD_BYTES: usize = 4 * 1024 * 1024;
/// More than this a client is not told while it connects.
const WAITING: usize = 64;
/// The largest record of a state topic; a module has at most 8 MiB.
pub const MAX_STATE_BYTES: usize = 16 * 1024 * 1024;

/// What all clients share.
#[must_use]
pub fn base(brokers: &Brokers, client_id: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (name, value) in brokers.properties() {
        config.set(name, value);
    }
    config
        // That a broker hangs up at once, as one does that speaks TLS, is told in a line of this level only.
        .set_log_level(RDKafkaLogLevel::Info)
        .set("client.id", client_id)
        // The defaults wait up to 10 s before the next try; a broker that restarts is back sooner.
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "1000")
        .set("socket.keepalive.enable", "true");
    config
}

/// How the members of a group share the partitions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protocol {
    /// The members decide and all partitions are given anew: every assignment starts from the committed offsets, so
    /// nothing of an earlier one can linger.
    #[default]
    Range,
    /// The members decide and only the partitions that move stop.
    CooperativeSticky,
    /// KIP-848: the broker decides. It also decides how long a dead member holds its partitions, by default 45 s.
    Consumer,
}

/// The consumer of a slot.
#[must_use]
pub fn consumer(brokers: &Brokers, identity: &Identity, protocol: Protocol) -> ClientConfig {
    let mut config = base(brokers, identity.slot());
    let strategy = match protocol {
        Protocol::Range => Some("range"),
        Protocol::CooperativeSticky => Some("cooperative-sticky"),
        Protocol::Consumer => None,
    };
    match strategy {
        Some(strategy) => config
            .set("group.protocol", "classic")
            .set("partition.assignment.strategy", strategy)
            .set("session.timeout.ms", SESSION_TIMEOUT.as_millis().to_string())
            .set("heartbeat.interval.ms", "1500"),
        None => config.set("group.protocol", "consumer"),
    };
    config
        .set("group.id", identity.group())
        .set("group.instance.id", identity.slot())
        .set("max.poll.interval.ms", "120000")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("isolation.level", "read_committed")
        // A lost position stops the partition and is named; it is never reset in silence.
        .set("auto.offset.reset", "error")
        .set("allow.auto.create.topics", "false")
        .set("retry.backoff.ms", "20")
        // Offsets that a dead process's transaction still holds back are asked for again and again, each time after twice as
        // long, up to a second by default.
        .set("retry.backoff.max.ms", "100")
        .set("fetch.error.backoff.ms", "50")
        // A full queue makes the fetcher pause for a second by default.
        .set("fetch.queue.backoff.ms", "10")
        .set("queued.min.messages", "20000")
        .set("queued.max.messages.kbytes", "16384");
    config
}

/// The transactional producer of a slot.
#[must_use]
pub fn producer(brokers: &Brokers, identity: &Identity) -> ClientConfig {
    let mut config = base(brokers, identity.slot());
    config
        .set("transactional.id", identity.slot())
        .set("transaction.timeout.ms", TRANSACTION_TIMEOUT.as_millis().to_string())
        .set("message.timeout.ms", "7000")
        // A new transaction meets CONCURRENT_TRANSACTIONS while the last one's markers are written; with the default
        // of 100 ms short transactions run at a seventh of their speed.
        .set("retry.backoff.ms", "5")
        .set("retry.backoff.max.ms", "5")
        .set("linger.ms", "2")
        // As Java's: every writer of a topic must put a key into the same partition.
        .set("partitioner", "murmur2_random")
        .set("queue.buffering.max.messages", "200000")
        .set("queue.buffering.max.kbytes", "262144")
        // Above our own limit, which is checked before the produce with a reason for the dead letter.
        .set("message.max.bytes", (MAX_RECORD_BYTES + 64 * 1024).to_string());
    config
}

/// The producer that writes state topics. No transactions: one record a write.
#[must_use]
pub fn state_producer(brokers: &Brokers, client_id: &str) -> ClientConfig {
    let mut config = base(brokers, client_id);
    config
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "10000")
        .set("linger.ms", "0")
        .set("message.max.bytes", MAX_STATE_BYTES.to_string());
    config
}

/// The producer of modules' log lines: many small ones, none of which is worth a retry of minutes.
#[must_use]
pub fn log_producer(brokers: &Brokers, client_id: &str) -> ClientConfig {
    let mut config = base(brokers, client_id);
    config
        .set("message.timeout.ms", "10000")
        .set("linger.ms", "100")
        .set("queue.buffering.max.messages", "10000")
        .set("queue.buffering.max.kbytes", "16384")
        .set("allow.auto.create.topics", "false");
    config
}

/// The consumer that follows state topics. It is in no group; librdkafka wants a name all the same.
#[must_use]
pub fn state_consumer(brokers: &Brokers, client_id: &str) -> ClientConfig {
    let mut config = base(brokers, client_id);
    config
        .set("group.id", client_id)
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .set("allow.auto.create.topics", "false")
        .set("isolation.level", "read_committed")
        // That the end is reached is told by a fetch that finds nothing, and a start waits for it.
        .set("fetch.wait.max.ms", "100")
        .set("fetch.message.max.bytes", MAX_STATE_BYTES.to_string())
        .set("fetch.error.backoff.ms", "50");
    config
}

/// The client that asks for topics and groups.
#[must_use]
pub fn inspector(brokers: &Brokers, client_id: &str) -> ClientConfig {
    let mut config = base(brokers, client_id);
    config.set("allow.auto.create.topics", "false");
    config
}

/// The consumer that looks at a group's offsets from outside, and sets them. It never subscribes, so it never joins.
#[must_use]
pub fn outsider(brokers: &Brokers, client_id: &str, group: &str) -> ClientConfig {
    let mut config = inspector(brokers, client_id);
    config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // A commit waits so long for a coordinator, 45 s by default.
        .set("session.timeout.ms", SESSION_TIMEOUT.as_millis().to_string());
    config
}

/// The consumer that looks at records that are there: in no group, nothing committed, each partition to its end.
#[must_use]
pub fn reader(brokers: &Brokers, client_id: &str) -> ClientConfig {
    // It is in no group; librdkafka wants a name all the same.
    let mut config = outsider(brokers, client_id, client_id);
    config
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed");
    config
}

/// How many partitions a topic has; none where it is not there.
///
/// # Errors
/// When the broker does not answer, or does not let us see the topic.
pub fn partitions(client: &Client<Log>, topic: &str, time: Duration) -> KafkaResult<usize> {
    let metadata = client.fetch_metadata(Some(topic), time)?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { return Ok(0) };
    match found.error().map(Code::from) {
        Some(code @ Code::TopicAuthorizationFailed) => Err(KafkaError::MetadataFetch(code)),
        Some(_) => Ok(0),
        None => Ok(found.partitions().len()),
    }
}

/// Sends librdkafka's own log lines to ours, and keeps why the brokers do not take us.
#[derive(Debug, Clone, Default)]
pub struct Log(Heard);

impl ClientContext for Log {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.logged(facility, message);
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if matches!(error.rdkafka_error_code(), Some(Code::Authentication | Code::SSL)) {
            self.0.refused(reason);
        }
        // Reported twice by the crate, and the caller sees what matters to it: so no more than this.
        tracing::debug!(error = %error, reason, "kafka client reports");
    }
}

impl ConsumerContext for Log {}

impl Log {
    /// A question's failure in words: why the brokers do not take us, where that is why; else its own, with the way out.
    #[must_use]
    pub fn words(&self, error: &KafkaError) -> String {
        match self.0.why() {
            Some(why) if is_unanswered(error) => why.to_owned(),
            Some(_) | None => with_way_out(error.to_string()),
        }
    }
}

/// The same for a consumer that nobody polls: what it was told still waits there. Whatever else waits is thrown away, so
/// this is for one that has no use any more.
#[must_use]
pub fn last_words(consumer: &BaseConsumer<Log>, error: &KafkaError) -> String {
    for _ in 0..WAITING {
        let _ = consumer.poll(Duration::ZERO);
    }
    consumer.context().words(error)
}

/// Nobody answered, which may be since nobody takes us.
fn is_unanswered(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::OperationTimedOut
                | Code::RequestTimedOut
                | Code::Resolve
                | Code::Authentication
                | Code::SSL
        )
    )
}

pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    // A refused connection is logged many times a second while a broker is away; readiness and status say it once.
    if facility == "FAIL" {
        tracing::debug!(target: "librdkafka", facility, "{message}");
        return;
    }
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            tracing::warn!(target: "librdkafka", facility, "{message}");
        }
        RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => {
            tracing::info!(target: "librdkafka", facility, "{message}");
        }
        RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
    }
}
