//! What is known about the broker, from evidence only: errors, delivery reports and probes. Nothing is latched: the
//! next evidence changes it back. Does not ask anyone itself: see `supervisor`.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

/// A broker that is away for less is waited for, with the order in hand; then clients are told at once.
const GRACE: Duration = Duration::from_secs(1);

/// The broker as we see it.
#[derive(Debug)]
pub struct Broker {
    state: Mutex<State>,
    attention: Notify,
}

#[derive(Clone, Debug)]
enum State {
    /// No evidence yet that orders can be taken.
    Starting(String),
    Up,
    Down {
        since: Instant,
        reason: String,
    },
}

impl Broker {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State::Starting("not connected yet".to_owned())), attention: Notify::new() }
    }

    /// Whether an order may be handed over now; if not, why.
    ///
    /// # Errors
    /// What is wrong.
    pub fn admits(&self) -> Result<(), String> {
        match &*self.lock() {
            State::Up => Ok(()),
            State::Down { since, .. } if since.elapsed() < GRACE => Ok(()),
            State::Starting(reason) | State::Down { reason, .. } => Err(reason.clone()),
        }
    }

    /// Whether the broker takes orders, without any grace; for readiness.
    ///
    /// # Errors
    /// What is wrong.
    pub fn is_up(&self) -> Result<(), String> {
        match &*self.lock() {
            State::Up => Ok(()),
            State::Starting(reason) | State::Down { reason, .. } => Err(reason.clone()),
        }
    }

    /// Evidence that orders are taken.
    pub(super) fn seen(&self) {
        let mut state = self.lock();
        match &*state {
            State::Up => return,
            State::Starting(_) => tracing::info!("kafka takes orders"),
            State::Down { since, .. } => {
                let seconds = since.elapsed().as_secs_f64();
                tracing::info!(kafka.away_seconds = seconds, "kafka takes orders again");
            }
        }
        *state = State::Up;
    }

    /// Evidence that the broker is away.
    pub(super) fn lost(&self, reason: &str) {
        let mut state = self.lock();
        match &mut *state {
            State::Up => {
                tracing::warn!(kafka.reason = reason, "kafka does not take orders");
                *state = State::Down { since: Instant::now(), reason: reason.to_owned() };
            }
            State::Starting(known) | State::Down { reason: known, .. } => reason.clone_into(known),
        }
        drop(state);
        self.attention.notify_one();
    }

    /// The producer was replaced: all that was known came through the old one.
    pub(super) fn forgotten(&self, reason: &str) {
        *self.lock() = State::Starting(reason.to_owned());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_changes_what_is_known_both_ways() {
        let broker = Broker::new();
        assert!(broker.admits().is_err(), "nothing is known yet");
        broker.lost("refused");
        assert_eq!(broker.admits(), Err("refused".to_owned()), "no grace before the first evidence");
        broker.seen();
        assert_eq!((broker.admits(), broker.is_up()), (Ok(()), Ok(())));
        broker.lost("reset");
        assert_eq!(broker.admits(), Ok(()), "a short outage is waited for");
        assert_eq!(broker.is_up(), Err("reset".to_owned()));
        if let State::Down { since, .. } = &mut *broker.lock() {
            *since -= GRACE;
        }
        assert_eq!(broker.admits(), Err("reset".to_owned()));
        broker.lost("refused");
        assert_eq!(broker.admits(), Err("refused".to_owned()), "a second error does not start the grace anew");
        broker.seen();
        assert_eq!(broker.admits(), Ok(()));
    }
}
