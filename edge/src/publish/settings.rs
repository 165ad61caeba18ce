//! The producer's settings, each set on purpose: the crate's documents quote defaults that are no longer true.

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    config::{FromClientConfigAndContext, RDKafkaLogLevel},
    error::KafkaError,
    producer::ThreadedProducer,
};

use super::{Security, context::Context};

/// The longest time a client may wait for its answer, and what it gets unless it asks for less.
pub const DEADLINE: Duration = Duration::from_secs(5);
/// The shortest deadline a client may ask for.
pub const MIN_DEADLINE: Duration = Duration::from_millis(200);
/// A message is given up this long after librdkafka got it; below [`DEADLINE`], so that its own word comes first. Not
/// by librdkafka: see `age`.
pub const MESSAGE_TIMEOUT: Duration = Duration::from_millis(4500);
/// librdkafka waits for a broker's answer to one request for so long.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// Orders that wait for the broker; below librdkafka's own limit, so that ours decides.
pub const MAX_ORDERS: usize = 8192;
/// Bytes that wait for the broker; below librdkafka's own limit.
pub const MAX_BYTES: usize = 48 * 1024 * 1024;
/// The most bytes that several orders make together on their way to a partition. The broker holds all of them against the
/// topic's `max.message.bytes` as if they were one, so they are fewer than those of our largest record: whatever topic takes
/// that takes them. What is larger goes alone.
pub(super) const BATCH_BYTES: usize = 128 * 1024;

const SETTINGS: [(&str, &str); 26] = [
    // Acknowledged means: in the log of every replica that is in sync, once, in order.
    ("acks", "all"),
    ("enable.idempotence", "true"),
    // A broker works on one request of a connection at a time, so this costs the way there and back. With several, one
    // that follows another of its partition that failed is refused, and librdkafka numbers anew: see `age`.
    ("max.in.flight.requests.per.connection", "1"),
    // Nor may it number anew because an order is refused for good, which leaves a gap in its numbers: it breaks instead,
    // and `supervisor` replaces it.
    ("enable.gapless.guarantee", "true"),
    ("message.send.max.retries", "2147483647"),
    // As Java's default, so that others who write or join by key agree with us on partitions.
    ("partitioner", "murmur2_random"),
    ("compression.codec", "none"),
    // A floor under the latency of every answer.
    ("linger.ms", "1"),
    ("message.max.bytes", "1000000"),
    ("batch.size", "131072"),
    ("queue.buffering.max.messages", "16384"),
    ("queue.buffering.max.kbytes", "65536"),
    ("queue.buffering.backpressure.threshold", "1"),
    // Never: see `age`.
    ("message.timeout.ms", "0"),
    ("request.timeout.ms", "3000"),
    ("socket.timeout.ms", "4000"),
    ("socket.connection.setup.timeout.ms", "1000"),
    ("socket.keepalive.enable", "true"),
    ("socket.nagle.disable", "true"),
    // A broker that was killed and started again is found at once.
    ("reconnect.backoff.ms", "20"),
    ("reconnect.backoff.max.ms", "200"),
    ("retry.backoff.ms", "20"),
    ("retry.backoff.max.ms", "200"),
    ("topic.metadata.refresh.fast.interval.ms", "100"),
    // Topics are made by the deploy step, never by a typing mistake.
    ("allow.auto.create.topics", "false"),
    // Parsed by a task of ours: see `statistics`.
    ("statistics.interval.ms", "5000"),
];

/// All settings of a producer; what measures the edge measures beside it with the very same.
#[must_use]
pub fn config(servers: &str, client_id: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers).set("client.id", client_id);
    for (name, value) in SETTINGS {
        config.set(name, value);
    }
    config.set_log_level(RDKafkaLogLevel::Info);
    config
}

/// A producer with these settings.
pub(super) fn create(
    servers: &str,
    security: &Security,
    client_id: &str,
    context: Context,
) -> Result<ThreadedProducer<Context>, KafkaError> {
    let mut config = config(servers, client_id);
    for (name, value) in security.properties() {
        config.set(name, value);
    }
    ThreadedProducer::from_config_and_context(&config, context)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orders::MAX_RECORD;

    fn text(name: &str) -> &'static str {
        SETTINGS.iter().find(|(known, _)| *known == name).map(|(_, value)| *value).unwrap()
    }

    fn value(name: &str) -> u64 {
        text(name).parse().unwrap()
    }

    #[test]
    fn our_limits_decide_before_librdkafka_s() {
        assert_eq!(DEADLINE.checked_sub(MESSAGE_TIMEOUT), Some(Duration::from_millis(500)));
        assert!(MAX_ORDERS as u64 <= value("queue.buffering.max.messages") / 2);
        assert!((MAX_BYTES as u64) < value("queue.buffering.max.kbytes") * 1024);
        assert_eq!(u128::from(value("request.timeout.ms")), REQUEST_TIMEOUT.as_millis());
        assert!(REQUEST_TIMEOUT < MESSAGE_TIMEOUT);
    }

    #[test]
    fn nothing_makes_librdkafka_number_anew_and_store_twice_what_it_has_sent() {
        assert_eq!(value("message.timeout.ms"), 0, "as it does when a message times out");
        assert_eq!(value("max.in.flight.requests.per.connection"), 1, "when a request follows one that failed");
        assert_eq!(text("enable.gapless.guarantee"), "true", "when an order is refused for good");
    }

    #[test]
    fn orders_that_go_together_fit_a_topic_that_takes_our_largest_record() {
        assert_eq!(value("batch.size"), BATCH_BYTES as u64);
        assert!(value("batch.size") <= MAX_RECORD as u64);
        assert!((MAX_RECORD as u64) < value("message.max.bytes"));
    }
}
