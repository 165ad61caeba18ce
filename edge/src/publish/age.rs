//! Gives up the orders that a producer has not settled in their time, so that none is stored twice.
//!
//! librdkafka could do that by itself (`message.timeout.ms`). But once a message has timed out there it goes on with a
//! new epoch and numbers anew what is left in its queue, also what it has sent before without an answer; the broker
//! cannot know that again and stores it a second time (`rd_kafka_idemp_drain_epoch_bump`; seen with a broker that was
//! paused). So no message times out there: a producer with an order that is too old is replaced, and what it was given
//! it finishes under the epoch that it has. What it has not sent by then is taken back, all at once, since librdkafka
//! cannot be told which: so not while it still stores some, or a queue that is merely long would be lost with its oldest.
//!
//! It would do the same for two other reasons, which `settings` rules out: a request is refused because one of its
//! partition before it failed, so there is one at a time; and an order is refused for good, by whichever partition, or
//! taken back out of a request. That breaks the producer instead. It sends nothing more; the supervisor replaces it, and
//! what it still has is taken back at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rdkafka::producer::{Producer, PurgeConfig};
use service_kit::Tasks;

use super::{Kafka, Publisher, settings};

/// A producer with so old an order gets nothing new, and has the rest of that order's time for what it can still do.
pub(super) const OLD: Duration = settings::MESSAGE_TIMEOUT.saturating_sub(Duration::from_millis(200));
/// How often it is looked.
const ROUND: Duration = Duration::from_millis(50);
/// A producer that was replaced and has stored nothing for so long will not store the rest. If what could be stored was
/// stored at once, its oldest order is then less than five seconds old, and its client still waits.
const STILL: Duration = Duration::from_millis(400);
/// How exactly ages are known.
const SLOT: Duration = Duration::from_millis(100);
/// Enough for all ages that are let grow. After a pause of the whole process an order may seem younger than it is, by
/// a whole turn; nothing but time is lost by that.
const SLOTS: usize = 64;

/// How many orders of each age a producer has in hand, and when it last stored one.
#[derive(Debug)]
pub(super) struct Ages {
    start: Instant,
    slots: [AtomicU32; SLOTS],
    /// In milliseconds from the start.
    stored: AtomicU64,
}

/// One order that is in hand, for as long as this lives.
#[derive(Debug)]
pub(super) struct Age {
    ages: Arc<Ages>,
    turn: usize,
}

impl Ages {
    pub(super) fn new(start: Instant) -> Self {
        Self { start, slots: [const { AtomicU32::new(0) }; SLOTS], stored: AtomicU64::new(0) }
    }

    /// An order that is handed over now.
    pub(super) fn begin(self: &Arc<Self>, now: Instant) -> Age {
        let turn = self.turn(now);
        self.slot(turn).fetch_add(1, Ordering::Relaxed);
        Age { ages: Arc::clone(self), turn }
    }

    /// An order was stored now.
    pub(super) fn stored(&self, now: Instant) {
        self.stored.store(self.millis(now), Ordering::Relaxed);
    }

    /// Whether none was stored for this long.
    fn is_still(&self, limit: Duration, now: Instant) -> bool {
        let silent = self.millis(now).saturating_sub(self.stored.load(Ordering::Relaxed));
        limit <= Duration::from_millis(silent)
    }

    /// Whether an order has been in hand for this long.
    fn has_older_than(&self, limit: Duration, now: Instant) -> bool {
        let turn = self.turn(now);
        // An order may have come at the very end of its slot.
        let youngest = limit.as_millis().div_ceil(SLOT.as_millis()) as usize + 1;
        let mut ages = (youngest..SLOTS).filter_map(|age| turn.checked_sub(age));
        ages.any(|turn| 0 < self.slot(turn).load(Ordering::Relaxed))
    }

    #[expect(clippy::indexing_slicing, reason = "the remainder is below the length")]
    fn slot(&self, turn: usize) -> &AtomicU32 {
        &self.slots[turn % SLOTS]
    }

    fn turn(&self, now: Instant) -> usize {
        (u128::from(self.millis(now)) / SLOT.as_millis()) as usize
    }

    fn millis(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_millis() as u64
    }
}

impl Drop for Age {
    fn drop(&mut self) {
        self.ages.slot(self.turn).fetch_sub(1, Ordering::Relaxed);
    }
}

/// Looks after the ages until these tasks are told to stop: they should be those that stop last, since orders are
/// settled to the end.
pub async fn give_up_the_old(publisher: Arc<Publisher>, tasks: Tasks) {
    while !tasks.is_stopping() {
        let kafka = publisher.kafka();
        if kafka.context().ages().has_older_than(OLD, Instant::now()) {
            let publisher = Arc::clone(&publisher);
            let _ = tasks.spawn_blocking(move || replace(&publisher, kafka)).await;
        }
        let _ = tasks.until_stop(tokio::time::sleep(ROUND)).await;
    }
}

fn replace(publisher: &Publisher, kafka: Arc<Kafka>) {
    match publisher.replace(&kafka, kafka.context().successor()) {
        Ok(Some(old)) => {
            tracing::warn!(
                "an order is not stored in its time; going on with a new producer, that nothing is sent twice"
            );
            drop(kafka);
            retire(old);
        }
        Ok(None) => {} // by somebody else, a moment ago
        Err(error) => tracing::error!(error = %error, "cannot make a new producer, trying again"),
    }
}

/// Settles what a producer that was replaced has in hand, on a thread of its own, and ends it. The process need not
/// wait for that: what is in flight when it ends, its clients have been told is in doubt.
pub(super) fn retire(old: Arc<Kafka>) {
    let thread = std::thread::Builder::new().name("retired producer".to_owned());
    if let Err(error) = thread.spawn(move || settle(&old)) {
        // It was dropped, which settles all as in doubt.
        tracing::error!(%error, "no thread for a producer that was replaced");
    }
}

/// In two steps: what can be stored is, until the time of the oldest is over and nothing moves any more, or that of all is
/// over, or the producer is broken; then what is not on its way is taken back, and so is what comes back because no answer
/// came. Each report says whether the message was ever sent. (librdkafka itself takes back what is queued in the moment in
/// which it breaks, and nothing later.)
fn settle(old: &Kafka) {
    let (ages, retired) = (old.context().ages(), Instant::now());
    let end = retired + settings::MESSAGE_TIMEOUT + settings::REQUEST_TIMEOUT + SLOT;
    let mut is_over = false;
    while 0 < old.in_flight_count() && Instant::now() < end {
        let now = Instant::now();
        is_over |= old.client().fatal_error().is_some()
            || retired + settings::MESSAGE_TIMEOUT <= now
            || ages.has_older_than(settings::MESSAGE_TIMEOUT, now) && ages.is_still(STILL, now);
        if is_over {
            old.purge(PurgeConfig::default().queue());
        }
        let _ = old.flush(ROUND);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_old_when_its_time_is_over_and_not_before() {
        let start = Instant::now();
        let ages = Arc::new(Ages::new(start));
        let is_old = |after| ages.has_older_than(OLD, start + after);
        assert!(!is_old(OLD * 2), "nothing is in hand");
        let late = Duration::from_millis(30_050);
        let order = ages.begin(start + late);
        let _young = ages.begin(start + late + OLD);
        assert!(!is_old(late) && !is_old(late + OLD - Duration::from_millis(1)));
        assert!(is_old(late + OLD + SLOT) && is_old(late + OLD + SLOT * 10));
        drop(order);
        assert!(!is_old(late + OLD + SLOT), "it is settled, and the other is young");
    }

    #[test]
    fn an_order_is_seen_to_be_old_in_time_whenever_it_came() {
        let start = Instant::now();
        let ages = Arc::new(Ages::new(start));
        for millis in 0..1000 {
            let begun = start + Duration::from_millis(millis * 7);
            let order = ages.begin(begun);
            assert!(!ages.has_older_than(OLD, begun + OLD - Duration::from_millis(1)), "{millis}");
            assert!(ages.has_older_than(OLD, begun + OLD + SLOT), "{millis}");
            drop(order);
        }
    }
}
