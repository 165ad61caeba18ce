//! What is known about the broker, from evidence only: errors, delivery reports and probes. Nothing is latched: the
//! next evidence changes it back. Does not ask anyone itself: see `supervisor`.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{pause, settings};

/// A broker that is away for less is waited for, with the order in hand; then clients are told at once.
const GRACE: Duration = Duration::from_secs(1);
/// A probe that times out says only that the broker is slow. It counts when nothing else was heard for as long as
/// librdkafka itself waits for an answer.
const SILENCE: Duration = settings::REQUEST_TIMEOUT;
/// How long what a broker said against us explains that none is there. librdkafka tells the same thing again only every
/// half minute.
const CAUSE_HOLDS: Duration = Duration::from_secs(60);
/// The log has at most one change of state in this time; what holds then is told, however often it changed between.
const TELL: Duration = Duration::from_secs(1);

/// The broker as we see it.
#[derive(Debug)]
pub struct Broker {
    state: Mutex<State>,
    attention: Notify,
    /// A record was stored since the supervisor last looked.
    stored: AtomicBool,
    /// Whether we may write is not known: at first, and after a broker has refused us.
    permission_unknown: AtomicBool,
    /// The topic was taken from the producer in use: an error came for all of it. See [`Broker::lose_topic`].
    topic_lost: AtomicBool,
    /// The producer in use was handed an order.
    used: AtomicBool,
}

#[derive(Debug)]
struct State {
    now: Now,
    seen: Option<Instant>,
    /// Why no broker will have us, if one said so: "no broker can be reached" comes after it and says less.
    cause: Option<(Instant, String)>,
    told: Told,
}

#[derive(Debug)]
enum Now {
    /// No evidence yet that orders can be taken.
    Starting(String),
    Up,
    Down {
        since: Instant,
        reason: String,
    },
}

/// Why no order is taken now.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{reason}")]
pub struct Away {
    reason: String,
    /// How long a client should wait.
    pub pause: Duration,
}

/// What the log says.
#[derive(Debug, Default)]
struct Told {
    up: bool,
    at: Option<Instant>,
}

impl Broker {
    pub(super) fn new() -> Self {
        let now = Now::Starting("not connected yet".to_owned());
        let state = State { now, seen: None, cause: None, told: Told::default() };
        Self {
            state: Mutex::new(state),
            attention: Notify::new(),
            stored: AtomicBool::new(false),
            permission_unknown: AtomicBool::new(true),
            topic_lost: AtomicBool::new(false),
            used: AtomicBool::new(false),
        }
    }

    /// Whether an order may be handed over now; if not, why.
    ///
    /// # Errors
    /// What is wrong.
    pub fn admits(&self) -> Result<(), Away> {
        match &self.lock().now {
            Now::Up => Ok(()),
            Now::Down { since, .. } if since.elapsed() < GRACE => Ok(()),
            Now::Starting(reason) => Err(Away::new(reason, Duration::ZERO)),
            Now::Down { reason, since } => Err(Away::new(reason, since.elapsed())),
        }
    }

    /// Whether the broker takes orders, without any grace; for readiness.
    ///
    /// # Errors
    /// What is wrong.
    pub fn is_up(&self) -> Result<(), String> {
        match &self.lock().now {
            Now::Up => Ok(()),
            Now::Starting(reason) | Now::Down { reason, .. } => Err(reason.clone()),
        }
    }

    /// Evidence that orders are taken.
    pub(super) fn seen(&self) {
        let mut state = self.lock();
        if self.topic_lost.load(Ordering::Relaxed) {
            return;
        }
        state.seen = Some(Instant::now());
        state.cause = None;
        state.now = Now::Up;
        state.tell();
    }

    /// The best evidence: an order is stored.
    pub(super) fn stored(&self) {
        self.stored.store(true, Ordering::Relaxed);
        self.permission_unknown.store(false, Ordering::Relaxed);
        self.seen();
    }

    /// The brokers refuse the topic as a whole: it is not there, or not ours. librdkafka then forgets its partitions,
    /// and when they come back it may number an order as it has numbered another that was still on its way; a broker
    /// takes that for the same one, and says yes. So nothing more is handed to this producer, at once and without any
    /// grace; if it was used it is replaced when the topic is back.
    pub(super) fn lose_topic(&self, reason: &str) {
        self.permission_unknown.store(true, Ordering::Relaxed);
        let mut state = self.lock();
        self.topic_lost.store(true, Ordering::Relaxed);
        state.seen = None;
        state.now = Now::Starting(reason.to_owned());
        state.tell();
        drop(state);
        self.attention.notify_one();
    }

    /// Whether an error came for all of the topic, and nobody has shown it to this producer since.
    pub(super) fn is_topic_lost(&self) -> bool {
        self.topic_lost.load(Ordering::Relaxed)
    }

    /// The topic is there again: whether it must be gone on with another producer.
    pub(super) fn needs_another_producer(&self) -> bool {
        self.topic_lost.load(Ordering::Relaxed) && self.used.load(Ordering::Relaxed)
    }

    /// The producer in use has the topic, or is a new one.
    pub(super) fn found_topic(&self) {
        self.topic_lost.store(false, Ordering::Relaxed);
    }

    /// A new producer is in use.
    pub(super) fn begin_anew(&self) {
        self.used.store(false, Ordering::Relaxed);
        self.found_topic();
    }

    /// The producer in use is handed an order.
    pub(super) fn used(&self) {
        self.used.store(true, Ordering::Relaxed);
    }

    /// We come as somebody else now: the supervisor should ask what that one may.
    pub(super) fn ask_for_permission(&self) {
        self.permission_unknown.store(true, Ordering::Relaxed);
        self.ask_for_supervisor();
    }

    /// Whether somebody should ask if we may write.
    pub(super) fn is_permission_unknown(&self) -> bool {
        self.permission_unknown.load(Ordering::Relaxed)
    }

    /// The brokers say that we may write.
    pub(super) fn permitted(&self) {
        self.permission_unknown.store(false, Ordering::Relaxed);
    }

    /// A broker is there and will not have us.
    pub(super) fn refused(&self, cause: &str) {
        let mut state = self.lock();
        if state.cause.as_ref().is_none_or(|(_, known)| known != cause) {
            tracing::warn!(kafka.cause = cause, "a broker does not take us");
        }
        state.cause = Some((Instant::now(), cause.to_owned()));
        state.lose(cause);
        drop(state);
        self.attention.notify_one();
    }

    /// Whether an order was stored since this was last asked.
    pub(super) fn take_stored(&self) -> bool {
        self.stored.swap(false, Ordering::Relaxed)
    }

    /// Evidence that the broker is away.
    pub(super) fn lost(&self, reason: &str) {
        self.lock().lose(reason);
        self.attention.notify_one();
    }

    /// No answer in the time of a probe. Evidence only when nothing else was heard for longer: a slow broker takes
    /// orders all the same.
    pub(super) fn silent(&self, reason: &str) {
        let mut state = self.lock();
        if state.seen.is_none_or(|seen| SILENCE < seen.elapsed()) {
            state.lose(reason);
        }
    }

    /// The producer broke: all that was known came through it.
    pub(super) fn forgotten(&self, reason: &str) {
        self.permission_unknown.store(true, Ordering::Relaxed);
        let mut state = self.lock();
        state.seen = None;
        state.now = Now::Starting(reason.to_owned());
        state.tell();
    }

    /// Tells what was left untold because the change before it was too recent. The supervisor calls it each round.
    pub(super) fn tell(&self) {
        self.lock().tell();
    }

    /// Something failed: the supervisor should look now, not at its next round.
    pub(super) fn ask_for_supervisor(&self) {
        self.attention.notify_one();
    }

    pub(super) async fn attention(&self) {
        self.attention.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Away {
    /// Away for so long already.
    pub(crate) fn new(reason: &str, away: Duration) -> Self {
        Self { reason: reason.to_owned(), pause: pause::while_away(away) }
    }
}

impl State {
    fn lose(&mut self, reason: &str) {
        let reason = match &self.cause {
            Some((since, cause)) if since.elapsed() < CAUSE_HOLDS => cause.as_str(),
            Some(_) | None => reason,
        };
        match &mut self.now {
            Now::Up => self.now = Now::Down { since: Instant::now(), reason: reason.to_owned() },
            Now::Starting(known) | Now::Down { reason: known, .. } => reason.clone_into(known),
        }
        self.tell();
    }

    fn tell(&mut self) {
        let up = matches!(self.now, Now::Up);
        if up == self.told.up || self.told.at.is_some_and(|at| at.elapsed() < TELL) {
            return;
        }
        match (&self.now, self.told.at) {
            (Now::Up, None) => tracing::info!("kafka takes orders"),
            (Now::Up, Some(at)) => {
                tracing::info!(kafka.away_seconds = at.elapsed().as_secs_f64(), "kafka takes orders again");
            }
            (Now::Starting(reason) | Now::Down { reason, .. }, _) => {
                tracing::warn!(kafka.reason = reason, "kafka does not take orders");
            }
        }
        self.told = Told { up, at: Some(Instant::now()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_changes_what_is_known_both_ways() {
        let broker = Broker::new();
        let admits = || broker.admits().map_err(|away| away.to_string());
        assert!(admits().is_err(), "nothing is known yet");
        broker.lost("refused");
        assert_eq!(admits(), Err("refused".to_owned()), "no grace before the first evidence");
        broker.seen();
        assert_eq!((admits(), broker.is_up()), (Ok(()), Ok(())));
        broker.lost("reset");
        assert_eq!(admits(), Ok(()), "a short outage is waited for");
        assert_eq!(broker.is_up(), Err("reset".to_owned()));
        if let Now::Down { since, .. } = &mut broker.lock().now {
            *since -= GRACE;
        }
        assert_eq!(admits(), Err("reset".to_owned()));
        broker.lost("refused");
        assert_eq!(admits(), Err("refused".to_owned()), "a second error does not start the grace anew");
        broker.seen();
        assert_eq!(admits(), Ok(()));
    }

    #[test]
    fn what_a_broker_says_against_us_explains_that_none_is_there() {
        let broker = Broker::new();
        broker.refused("it does not know the password");
        broker.lost("no broker can be reached");
        assert_eq!(broker.is_up(), Err("it does not know the password".to_owned()));
        broker.seen();
        broker.lost("no broker can be reached");
        assert_eq!(broker.is_up(), Err("no broker can be reached".to_owned()), "it took us since");
        broker.refused("it does not know the password");
        broker.lock().cause.as_mut().unwrap().0 -= CAUSE_HOLDS;
        broker.lost("no broker can be reached");
        assert_eq!(broker.is_up(), Err("no broker can be reached".to_owned()), "long ago");
    }

    #[test]
    fn whether_we_may_write_is_unknown_at_first_and_after_each_refusal() {
        let broker = Broker::new();
        assert!(broker.is_permission_unknown());
        broker.permitted();
        assert!(!broker.is_permission_unknown());
        broker.lose_topic("not allowed");
        assert!(broker.is_permission_unknown() && broker.is_up().is_err());
        broker.found_topic();
        broker.stored();
        assert!(!broker.is_permission_unknown() && broker.is_up().is_ok());
        broker.forgotten("broke");
        assert!(broker.is_permission_unknown());
    }

    #[test]
    fn a_topic_that_was_lost_is_lost_until_the_producer_is_another_whatever_the_old_one_reports() {
        let broker = Broker::new();
        broker.seen();
        broker.lose_topic("not allowed");
        assert!(!broker.needs_another_producer(), "it was handed nothing");
        broker.used();
        broker.stored();
        assert_eq!(
            broker.admits().map_err(|away| away.reason),
            Err("not allowed".to_owned()),
            "no grace, and no report of the old one counts"
        );
        assert!(broker.needs_another_producer());
        broker.begin_anew();
        assert!(!broker.needs_another_producer() && broker.admits().is_err(), "the new one has shown nothing yet");
        broker.seen();
        assert_eq!(broker.admits(), Ok(()));
    }

    #[test]
    fn a_slow_answer_counts_only_after_a_long_silence() {
        let broker = Broker::new();
        broker.silent("slow");
        assert_eq!(broker.is_up(), Err("slow".to_owned()), "nothing was ever heard");
        broker.seen();
        broker.silent("slow");
        assert_eq!(broker.is_up(), Ok(()), "heard a moment ago");
        broker.lock().seen = Instant::now().checked_sub(SILENCE + Duration::from_millis(1));
        broker.silent("slow");
        assert_eq!(broker.is_up(), Err("slow".to_owned()));
        broker.stored();
        assert_eq!((broker.is_up(), broker.take_stored(), broker.take_stored()), (Ok(()), true, false));
    }

    #[test]
    fn the_log_has_one_change_a_second_and_ends_with_what_holds() {
        let broker = Broker::new();
        broker.seen();
        for _ in 0..100 {
            broker.lost("flapping");
            assert!(broker.lock().told.up, "told a moment ago");
            broker.seen();
        }
        broker.lost("away");
        broker.lock().told.at = Instant::now().checked_sub(TELL);
        broker.tell();
        assert!(!broker.lock().told.up);
    }
}
