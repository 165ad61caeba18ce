//! What one producer says of the broker, and the one that goes on in its place for an order's age. After it was otherwise
//! replaced it still settles its orders, but speaks for nobody: it may be another user, to whom the brokers say other
//! things, and its late answers are of a time that is over.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use rdkafka::error::RDKafkaErrorCode;

use super::{Broker, broker::State, permission};

/// One producer's voice.
#[derive(Debug)]
pub(super) struct Witness {
    broker: Arc<Broker>,
    number: u64,
    /// It was handed an order, or will be at once.
    used: AtomicBool,
}

impl Witness {
    /// Of a producer that will be in use soon.
    pub(super) fn new(broker: &Arc<Broker>) -> Self {
        Self { broker: Arc::clone(broker), number: broker.number(), used: AtomicBool::new(false) }
    }

    /// Its producer is in use, and those before it are not.
    pub(super) fn begin(&self) {
        self.broker.use_producer(self.number);
    }

    /// Its producer will be handed an order at once. The mark is the producer's own, so that no replacing gets between
    /// the mark and the order.
    pub(super) fn used(&self) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::SeqCst);
        }
    }

    /// See [`State::stored`].
    pub(super) fn stored(&self) {
        self.say(State::stored);
    }

    /// See [`State::given_up`].
    pub(super) fn given_up(&self, begun: Instant) {
        self.say(|state| state.given_up(begun));
        self.broker.ask_for_supervisor();
    }

    /// See [`State::permitted`].
    pub(super) fn permitted(&self) {
        self.say(State::permitted);
    }

    /// See [`State::lose_topic`].
    pub(super) fn lose_topic(&self, reason: &str) {
        self.say(|state| state.lose_topic(reason));
        self.broker.ask_for_supervisor();
    }

    /// See [`State::found_topic`]. Looked at and changed in one, so that no loss of the topic gets between.
    #[must_use]
    pub(super) fn found_topic(&self) -> bool {
        self.broker.hear(self.number, |state| state.found_topic(self.used.load(Ordering::SeqCst))).unwrap_or(true)
    }

    /// See [`State::refused`].
    pub(super) fn refused(&self, cause: &str) {
        if self.broker.hear(self.number, |state| state.refused(cause)) == Some(true) {
            tracing::warn!(kafka.cause = cause, "a broker does not take us");
        }
        self.broker.ask_for_supervisor();
    }

    /// See [`State::lose`].
    pub(super) fn lost(&self, reason: &str) {
        self.say(|state| state.lose(reason));
        self.broker.ask_for_supervisor();
    }

    /// See [`State::silent`].
    pub(super) fn silent(&self, reason: &str) {
        self.say(|state| state.silent(reason));
    }

    /// See [`State::forgotten`].
    pub(super) fn forgotten(&self, reason: &str) {
        self.say(|state| state.forgotten(reason));
    }

    /// Something failed; the supervisor should look.
    pub(super) fn ask_for_supervisor(&self) {
        self.broker.ask_for_supervisor();
    }

    fn say(&self, change: impl FnOnce(&mut State)) {
        let _ = self.broker.hear(self.number, change);
    }

    /// As a probe does that found the topic.
    #[cfg(test)]
    pub(super) fn seen(&self) {
        self.say(State::seen);
    }
}

/// Why an error is one for all of the topic, if it is. Some come from librdkafka, which then holds it to be gone for half
/// a minute, whatever the brokers say meanwhile.
pub(super) fn loss(code: RDKafkaErrorCode) -> Option<&'static str> {
    use RDKafkaErrorCode::{UnknownPartition, UnknownTopic, UnknownTopicOrPartition};
    match code {
        UnknownPartition | UnknownTopic | UnknownTopicOrPartition => {
            Some("Kafka does not know the topic or one of its partitions")
        }
        code => permission::is_refusal(code).then_some(permission::FORBIDDEN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_producer_that_was_replaced_speaks_for_nobody() {
        let broker = Arc::new(Broker::new());
        let (old, fresh) = (Witness::new(&broker), Witness::new(&broker));
        old.used();
        old.stored();
        assert!(broker.take_stored());
        fresh.begin();
        assert!(broker.is_permission_unknown(), "it may come as another user");
        assert!(fresh.found_topic());
        for slander in [Witness::lose_topic, Witness::refused, Witness::lost, Witness::forgotten, Witness::silent] {
            slander(&old, "the old user may not");
            assert_eq!((broker.is_up(), broker.is_topic_lost()), (Ok(()), false));
        }
        fresh.lost("no broker can be reached");
        assert_eq!(broker.is_up(), Err("no broker can be reached".to_owned()), "and has named no cause");
        old.stored();
        old.permitted();
        assert!(old.found_topic(), "nothing is to be done for it");
        assert!(broker.is_up().is_err() && broker.is_permission_unknown() && !broker.take_stored());
        fresh.lose_topic("not allowed");
        assert!(old.found_topic() && broker.is_topic_lost(), "the new one has not seen it");
        assert!(fresh.found_topic(), "it was handed nothing, whatever the old one was");
    }

    #[test]
    fn what_a_producer_says_before_it_is_in_use_counts() {
        let broker = Arc::new(Broker::new());
        let (old, fresh) = (Witness::new(&broker), Witness::new(&broker));
        old.stored();
        fresh.lost("it does not know the password");
        assert!(broker.is_up().is_err());
    }
}
