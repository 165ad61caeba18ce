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
/// The log has at most one change of state in this time; what holds then is told, however often it changed between.
const TELL: Duration = Duration::from_secs(1);

/// The broker as we see it.
#[derive(Debug)]
pub struct Broker {
    state: Mutex<State>,
    attention: Notify,
    /// A record was stored since the supervisor last looked.
    stored: AtomicBool,
}

#[derive(Debug)]
struct State {
    now: Now,
    seen: Option<Instant>,
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
        let state = State { now, seen: None, told: Told::default() };
        Self { state: Mutex::new(state), attention: Notify::new(), stored: AtomicBool::new(false) }
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
        state.seen = Some(Instant::now());
        state.now = Now::Up;
        state.tell();
    }

    /// The best evidence: an order is stored.
    pub(super) fn stored(&self) {
        self.stored.store(true, Ordering::Relaxed);
        self.seen();
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
