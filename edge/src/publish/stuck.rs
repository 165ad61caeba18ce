//! Whether the broker answers and stores nothing: too few replicas are in sync, or its disk is full. It shows the topic
//! all the same, and librdkafka sends each order again until its time is over and tells nobody why. So the evidence is
//! an order that was given up though the broker was there all the time, and no other was stored meanwhile.
//!
//! Then nobody else should wait as long for the same "no". One order now and then is let in as a try; the first that is
//! stored ends it.

use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;

/// What is told meanwhile.
pub(super) const REASON: &str =
    "Kafka answers and stores nothing: perhaps too few replicas of the topic are in sync, or a disk is full";
/// One order in this time is let in.
const TRY: Duration = Duration::from_secs(1);
/// The edge is not ready for so long after an order was given up. Then it is again, whatever is known: if those who ask
/// keep all orders away from it, no try can show that the broker has recovered.
const HOLD: Duration = Duration::from_secs(10);

/// What is known.
#[derive(Debug, Default)]
pub(super) struct Stuck {
    /// Since when the broker has been there without a break.
    up: Option<Instant>,
    /// When an order was stored last.
    stored: Option<Instant>,
    held: Option<Held>,
}

/// Nothing is stored.
#[derive(Clone, Copy, Debug)]
struct Held {
    since: Instant,
    /// When an order was given up last.
    given_up: Instant,
    tried: Instant,
}

/// Whether an order was given up because nobody stored it, not because of what it is.
pub(super) fn is_sign(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{
        KafkaStorageError, NotEnoughReplicas, NotEnoughReplicasAfterAppend, PurgeInflight, PurgeQueue,
    };
    matches!(code, PurgeQueue | PurgeInflight | NotEnoughReplicas | NotEnoughReplicasAfterAppend | KafkaStorageError)
}

impl Stuck {
    /// The broker was away, or another producer asks it: nothing that was known holds.
    pub(super) fn away(&mut self) {
        (self.up, self.held) = (None, None);
    }

    /// The broker is there.
    pub(super) fn there(&mut self, now: Instant) {
        self.up.get_or_insert(now);
    }

    /// An order is stored.
    pub(super) fn stored(&mut self, now: Instant) {
        (self.stored, self.held) = (Some(now), None);
    }

    /// An order that was handed over at `begun` was given up.
    pub(super) fn given_up(&mut self, begun: Instant, now: Instant) {
        let was_there = self.up.is_some_and(|up| up <= begun);
        if was_there && self.stored.is_none_or(|stored| stored < begun) {
            let held = self.held.get_or_insert(Held { since: now, given_up: now, tried: now });
            // Who was not stored comes back at once, and should not be the next try itself.
            (held.given_up, held.tried) = (now, now);
        }
    }

    /// For how long nothing has been stored, if that is so.
    pub(super) fn held(&self, now: Instant) -> Option<Duration> {
        self.held.map(|held| now.saturating_duration_since(held.since))
    }

    /// Whether the edge should not be asked for orders.
    pub(super) fn is_unready(&self, now: Instant) -> bool {
        self.held.is_some_and(|held| now.saturating_duration_since(held.given_up) < HOLD)
    }

    /// Whether an order may be let in now; if not, for how long nothing has been stored. The clock is looked at only when
    /// that is so.
    pub(super) fn admits(&self, now: impl FnOnce() -> Instant) -> Result<(), Duration> {
        let Some(held) = self.held else { return Ok(()) };
        let now = now();
        match now.saturating_duration_since(held.tried) < TRY {
            true => Err(now.saturating_duration_since(held.since)),
            false => Ok(()),
        }
    }

    /// An order is let in.
    pub(super) fn tries(&mut self, now: impl FnOnce() -> Instant) {
        if let Some(held) = &mut self.held {
            held.tried = now();
        }
    }

    /// Time passes until the next try.
    #[cfg(test)]
    pub(super) fn wait_for_try(&mut self) {
        if let Some(held) = &mut self.held {
            held.tried -= TRY;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A broker that has been there for a minute.
    fn known() -> (Stuck, Instant) {
        let (mut stuck, now) = (Stuck::default(), Instant::now());
        stuck.there(now);
        (stuck, now + SECOND * 60)
    }

    #[test]
    fn an_order_that_was_given_up_keeps_the_others_out_but_for_one_a_second() {
        let (mut stuck, now) = known();
        stuck.given_up(now - SECOND * 5, now);
        assert_eq!((stuck.admits(|| now), stuck.is_unready(now)), (Err(Duration::ZERO), true));
        let now = now + SECOND;
        assert_eq!(stuck.admits(|| now), Ok(()));
        stuck.tries(|| now);
        assert_eq!(stuck.admits(|| now + SECOND / 2), Err(SECOND + SECOND / 2));
        stuck.stored(now + SECOND / 2);
        assert_eq!((stuck.admits(|| now + SECOND / 2), stuck.held(now + SECOND)), (Ok(()), None));
    }

    #[test]
    fn without_a_new_sign_the_edge_is_ready_again_and_still_lets_only_tries_in() {
        let (mut stuck, now) = known();
        stuck.given_up(now - SECOND * 5, now);
        assert!(stuck.is_unready(now + HOLD - SECOND) && !stuck.is_unready(now + HOLD));
        stuck.tries(|| now + HOLD);
        assert!(stuck.admits(|| now + HOLD).is_err());
        stuck.given_up(now + HOLD, now + HOLD + SECOND * 5);
        assert!(stuck.is_unready(now + HOLD + SECOND * 5));
    }

    #[test]
    fn an_order_that_was_given_up_is_no_sign_if_another_was_stored_or_the_broker_was_away() {
        let (mut stuck, now) = known();
        stuck.stored(now - SECOND * 4);
        stuck.given_up(now - SECOND * 5, now);
        assert_eq!(stuck.admits(|| now), Ok(()), "the broker stores others");
        stuck.given_up(now - SECOND * 3, now);
        assert!(stuck.admits(|| now).is_err());
        stuck.away();
        stuck.there(now);
        assert_eq!((stuck.admits(|| now), stuck.is_unready(now)), (Ok(()), false), "that was before the outage");
        stuck.given_up(now - SECOND, now + SECOND * 4);
        assert_eq!(stuck.admits(|| now + SECOND * 4), Ok(()), "it was handed over in the outage");
    }
}
