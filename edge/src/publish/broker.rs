//! What is known about the broker, from evidence only: errors, delivery reports and probes. Nothing is latched: the
//! next evidence changes it back. Does not ask anyone itself: see `supervisor`.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{
    pause, settings,
    stuck::{self, Stuck},
};

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
}

/// What is known, and by which producer. Only what a [`Witness`](super::witness::Witness) says changes it.
#[derive(Debug)]
pub(super) struct State {
    now: Now,
    seen: Option<Instant>,
    /// Why no broker will have us, if one said so: "no broker can be reached" comes after it and says less.
    cause: Option<(Instant, String)>,
    told: Told,
    /// The producer in use; what an older one says of the broker does not count.
    in_use: u64,
    /// The newest producer that was given a number.
    newest: u64,
    /// A record was stored since the supervisor last looked.
    stored: bool,
    /// Whether we may write is not known: at first, and after a broker has refused us.
    permission_unknown: bool,
    /// The topic was taken from the producer in use: an error came for all of it. See [`State::lose_topic`].
    topic_lost: bool,
    /// Whether the broker is there and stores nothing.
    stuck: Stuck,
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

/// A change that the log is told, after the lock is given back.
#[derive(Debug)]
enum News {
    /// After so long, if it was up before.
    Up(Option<Duration>),
    Down(String),
}

impl Broker {
    pub(super) fn new() -> Self {
        let state = State {
            now: Now::Starting("not connected yet".to_owned()),
            seen: None,
            cause: None,
            told: Told::default(),
            in_use: 0,
            newest: 0,
            stored: false,
            permission_unknown: true,
            topic_lost: false,
            stuck: Stuck::default(),
        };
        Self { state: Mutex::new(state), attention: Notify::new() }
    }

    /// Whether an order may be handed over now; if not, why.
    ///
    /// # Errors
    /// What is wrong.
    pub fn admits(&self) -> Result<(), Away> {
        self.lock().admits()
    }

    /// The same for an order that is handed over at once: of a broker that stores nothing it may be the try.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn lets_in(&self) -> Result<(), Away> {
        let mut state = self.lock();
        state.admits()?;
        state.stuck.tries(Instant::now);
        Ok(())
    }

    /// Whether the broker takes orders, without any grace; for readiness.
    ///
    /// # Errors
    /// What is wrong.
    pub fn is_up(&self) -> Result<(), String> {
        let state = self.lock();
        match &state.now {
            Now::Up if state.stuck.is_unready(Instant::now()) => Err(stuck::REASON.to_owned()),
            Now::Up => Ok(()),
            Now::Starting(reason) | Now::Down { reason, .. } => Err(reason.clone()),
        }
    }

    /// The number of one more producer.
    pub(super) fn number(&self) -> u64 {
        let mut state = self.lock();
        state.newest += 1;
        state.newest
    }

    /// The producer of this number is in use from now on. All that was known came through another one, and perhaps to
    /// another user.
    pub(super) fn use_producer(&self, number: u64) {
        let mut state = self.lock();
        state.in_use = number;
        state.topic_lost = false;
        state.permission_unknown = true;
        state.cause = None;
        state.stuck.away();
    }

    /// What the producer of this number says; nothing if it was replaced. One that is not in use yet soon will be.
    pub(super) fn hear<T>(&self, number: u64, change: impl FnOnce(&mut State) -> T) -> Option<T> {
        let mut state = self.lock();
        if number < state.in_use {
            return None;
        }
        let changed = change(&mut state);
        let news = state.news();
        drop(state);
        // Every order takes the lock, and who reads the log may be slow.
        news.iter().for_each(News::log);
        Some(changed)
    }

    /// Whether an error came for all of the topic, and nobody has shown it to this producer since.
    pub(super) fn is_topic_lost(&self) -> bool {
        self.lock().topic_lost
    }

    /// Whether somebody should ask if we may write.
    pub(super) fn is_permission_unknown(&self) -> bool {
        self.lock().permission_unknown
    }

    /// Whether an order was stored since this was last asked.
    pub(super) fn take_stored(&self) -> bool {
        std::mem::take(&mut self.lock().stored)
    }

    /// Tells what was left untold because the change before it was too recent. The supervisor calls it each round.
    pub(super) fn tell(&self) {
        self.hear(u64::MAX, |_| ());
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
    fn admits(&self) -> Result<(), Away> {
        match &self.now {
            Now::Up => self.stuck.admits(Instant::now).map_err(|held| Away::new(stuck::REASON, held)),
            Now::Down { since, .. } if since.elapsed() < GRACE => Ok(()),
            Now::Starting(reason) => Err(Away::new(reason, Duration::ZERO)),
            Now::Down { reason, since } => Err(Away::new(reason, since.elapsed())),
        }
    }

    /// Evidence that orders are taken.
    pub(super) fn seen(&mut self) {
        if self.topic_lost {
            return;
        }
        let now = Instant::now();
        self.seen = Some(now);
        self.cause = None;
        self.now = Now::Up;
        self.stuck.there(now);
    }

    /// The best evidence: an order is stored.
    pub(super) fn stored(&mut self) {
        self.stored = true;
        self.permission_unknown = false;
        self.stuck.stored(Instant::now());
        self.seen();
    }

    /// An order that was handed over then was given up, because nobody stored it.
    pub(super) fn given_up(&mut self, begun: Instant) {
        self.stuck.given_up(begun, Instant::now());
    }

    /// The brokers say that we may write.
    pub(super) fn permitted(&mut self) {
        self.permission_unknown = false;
    }

    /// The brokers refuse the topic as a whole: it is not there, or not ours. librdkafka then forgets its partitions,
    /// and when they come back it may number an order as it has numbered another that was still on its way; a broker
    /// takes that for the same one, and says yes. So nothing more is handed to this producer, at once and without any
    /// grace; if it was used it is replaced when the topic is back.
    pub(super) fn lose_topic(&mut self, reason: &str) {
        self.topic_lost = true;
        self.forgotten(reason);
    }

    /// The topic is there: whether the producer may go on with it, which one that was used and lost it may not.
    pub(super) fn found_topic(&mut self, is_used: bool) -> bool {
        if self.topic_lost && is_used {
            return false;
        }
        self.topic_lost = false;
        self.seen();
        true
    }

    /// The producer broke, or the topic is gone: nothing that was known holds.
    pub(super) fn forgotten(&mut self, reason: &str) {
        self.permission_unknown = true;
        self.seen = None;
        self.now = Now::Starting(reason.to_owned());
        self.stuck.away();
    }

    /// A broker is there and will not have us. Others may: so it explains why none is there, and says nothing more.
    /// Whether that is new.
    pub(super) fn refused(&mut self, cause: &str) -> bool {
        let is_new = self.cause.as_ref().is_none_or(|(_, known)| known != cause);
        self.cause = Some((Instant::now(), cause.to_owned()));
        if !matches!(self.now, Now::Up) {
            self.lose(cause);
        }
        is_new
    }

    /// No answer in the time of a probe. Evidence only when nothing else was heard for longer: a slow broker takes
    /// orders all the same.
    pub(super) fn silent(&mut self, reason: &str) {
        if self.seen.is_none_or(|seen| SILENCE < seen.elapsed()) {
            self.lose(reason);
        }
    }

    /// Evidence that the broker is away.
    pub(super) fn lose(&mut self, reason: &str) {
        let reason = match &self.cause {
            Some((since, cause)) if since.elapsed() < CAUSE_HOLDS => cause.as_str(),
            Some(_) | None => reason,
        };
        self.stuck.away();
        match &mut self.now {
            Now::Up => self.now = Now::Down { since: Instant::now(), reason: reason.to_owned() },
            Now::Starting(known) | Now::Down { reason: known, .. } => reason.clone_into(known),
        }
    }

    /// What the log should say now, if anything.
    fn news(&mut self) -> Option<News> {
        let is_stuck = self.stuck.held(Instant::now()).is_some();
        let up = matches!(self.now, Now::Up) && !is_stuck;
        if up == self.told.up || self.told.at.is_some_and(|at| at.elapsed() < TELL) {
            return None;
        }
        let news = match &self.now {
            Now::Up if is_stuck => News::Down(stuck::REASON.to_owned()),
            Now::Up => News::Up(self.told.at.map(|at| at.elapsed())),
            Now::Starting(reason) | Now::Down { reason, .. } => News::Down(reason.clone()),
        };
        self.told = Told { up, at: Some(Instant::now()) };
        Some(news)
    }
}

impl News {
    fn log(&self) {
        match self {
            Self::Up(None) => tracing::info!("kafka takes orders"),
            Self::Up(Some(away)) => {
                tracing::info!(kafka.away_seconds = away.as_secs_f64(), "kafka takes orders again");
            }
            Self::Down(reason) => tracing::warn!(kafka.reason = reason, "kafka does not take orders"),
        }
    }
}

#[cfg(test)]
mod tests;
