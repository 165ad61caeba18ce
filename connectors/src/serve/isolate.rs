//! Poison isolation: a sink that fails again and again although everything that it needs is well has a record before it
//! that it will never take. That record is found, copied to the sink's dead letters with the reason, and passed over, in
//! one transaction; nothing else is.
//!
//! The sink is stopped and a [`trial`] of it reads the records before it one by one, from a topic of its own with one
//! partition. What the trial fails on twice while all targets are well is poison; all else it stores, which the sink
//! would have done. The sink's own settings are never touched, so nothing of a user's edit can be lost, and the trial
//! itself is the mark that a healer holds the sink: who finds one whose healer is gone resumes the sink and removes it.

pub mod reason;
pub(crate) mod run;
pub(crate) mod stretch;
pub mod trial;

use std::sync::Arc;
use std::time::Duration;

use service_kit::kafka::Brokers;
use tokio::time::Instant;

use self::run::{EMPTY, Ended, Run, STEP};
use self::stretch::{Poison, Stretch};
use self::trial::Untriable;
use super::probes::{Probes, needs};
use crate::connect::{self, Connect, ConnectError, Settings, Status};
use crate::kafka::sender::Sender;
use crate::kafka::{Admin, KafkaError, blocking};
use crate::names::{STAGES, sink_group};
use crate::retry;

/// A stretch is tried for so long; what was tried until then counts.
const BUDGET: Duration = Duration::from_secs(45);
/// What a poll of a consumer brings, unless its settings say otherwise.
const POLL_RECORDS: usize = 500;

/// Finds the poison of one sink.
#[derive(Debug, Clone)]
pub struct Isolator {
    /// Kafka Connect.
    pub connect: Connect,
    /// The targets.
    pub probes: Probes,
    /// Kafka's brokers, and who we are to them.
    pub kafka: Brokers,
    /// Who this is, among several.
    pub healer: String,
}

/// What a trial came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Records that were tried.
    pub tried: usize,
    /// Those of them that are dead letters now.
    pub poison: usize,
    /// Why it ended before its end.
    pub cut: Option<String>,
    /// The record that the sink failed on may lie behind what was tried: there was more than a trial takes.
    pub partial: bool,
}

/// Why nothing was isolated. The sink is as it was.
#[derive(Debug, thiserror::Error)]
pub enum IsolateError {
    /// This sink cannot be tried.
    #[error(transparent)]
    Untriable(#[from] Untriable),
    /// There is no topic for its dead letters.
    #[error("{0} has no topic for dead letters; only the sinks that this house ships have one")]
    NoLetters(String),
    /// Kafka Connect.
    #[error("Kafka Connect")]
    Connect(#[from] ConnectError),
    /// Kafka.
    #[error("Kafka")]
    Kafka(#[from] KafkaError),
    /// Something did not happen in time.
    #[error("{what} did not come about within {limit:?}")]
    Late {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
    },
}

/// One sink under trial.
struct Case<'a> {
    isolator: &'a Isolator,
    sink: &'a str,
    settings: &'a Settings,
    trial: String,
    topic: String,
    letters: &'static str,
    /// At most so many dead letters.
    allowed: usize,
    say: &'a (dyn Fn(String) + Send + Sync),
}

impl Isolator {
    /// Tries the records before a sink; at most `allowed` of them become dead letters. `say` hears how far it is.
    ///
    /// # Errors
    /// [`IsolateError`]; what the trial has stored stays, and the sink stores it again.
    pub async fn isolate(
        &self,
        sink: &str,
        settings: &Settings,
        allowed: usize,
        say: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Found, IsolateError> {
        let letters = letters(sink).ok_or_else(|| IsolateError::NoLetters(sink.to_owned()))?;
        let own = trial::settings(sink, settings, &self.healer)?;
        let (trial, topic) = (trial::name(sink), trial::topic(sink));
        let case = Case { isolator: self, sink, settings, trial, topic, letters, allowed, say };
        case.prepare(&own).await?;
        let found = match case.hold().await {
            Ok(()) => case.judge().await,
            Err(err) => Err(err),
        };
        // Whatever happened; if this fails too, the trial stays as the mark, and the next look finds it.
        let released = self.release(sink).await;
        let found = found?;
        released?;
        Ok(found)
    }

    /// Resumes a sink that a healer held, unless somebody paused it, and removes the trial.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn release(&self, sink: &str) -> Result<(), ConnectError> {
        let (connect, trial) = (&self.connect, trial::name(sink));
        let until = Instant::now() + STEP;
        // A healer only ever stops: whoever paused it meanwhile wants it so.
        let status = retry::until(until, "Kafka Connect", || connect.status(sink)).await?;
        // In this order: the trial is the mark.
        if !status.is_some_and(|status| status.is_paused()) {
            retry::until(until, "Kafka Connect", || connect.resume(sink)).await?;
        }
        retry::until(until, "Kafka Connect", || connect.delete(&trial)).await
    }
}

impl Case<'_> {
    /// Makes the trial, which does not run yet. Where there is one, another healer holds the sink.
    async fn prepare(&self, own: &Settings) -> Result<(), IsolateError> {
        let connect = &self.isolator.connect;
        let until = Instant::now() + STEP;
        (self.say)("the sink is stopped for a trial of its records".to_owned());
        let admin = Admin::new(&self.isolator.kafka)?;
        admin.create(&stretch::topic(&self.topic, "86400000")).await?;
        Ok(retry::until(until, "Kafka Connect", || connect.create_stopped(&self.trial, own)).await?)
    }

    /// Stops the sink.
    async fn hold(&self) -> Result<(), IsolateError> {
        let (connect, until) = (&self.isolator.connect, Instant::now() + STEP);
        retry::until(until, "Kafka Connect", || connect.stop(self.sink)).await?;
        let ended = |status: &Status| status.is_held() && status.tasks.is_empty();
        run::wait(connect, self.sink, "the end of the sink's tasks", ended).await?;
        Ok(())
    }

    async fn judge(&self) -> Result<Found, IsolateError> {
        let (kafka, sink) = (self.isolator.kafka.clone(), self.sink.to_owned());
        let name = format!("connectors-heal-{sink}");
        let sender = blocking(move || Sender::new(&kafka, &name)).await?;
        let sender = Arc::new(sender);
        let (kafka, group, topics, each) =
            (self.isolator.kafka.clone(), sink_group(&sink), connect::topics(self.settings), self.each());
        let (stretch, partial) = blocking(move || stretch::read(&kafka, &group, &topics, each)).await?;
        if stretch.suspects.is_empty() {
            return Ok(Found::default());
        }
        let stretch = Arc::new(stretch);
        let (owned, laid, topic) = (Arc::clone(&sender), Arc::clone(&stretch), self.topic.clone());
        let copies = trial::copies(self.settings);
        let base = blocking(move || stretch::lay_out(&owned, &topic, &laid, copies)).await?;
        let run = Run {
            connect: &self.isolator.connect,
            probes: &self.isolator.probes,
            kafka: &self.isolator.kafka,
            connector: &self.trial,
            topic: &self.topic,
            copies,
            needs: needs(self.settings),
            allowed: self.allowed,
            budget: BUDGET,
        };
        let all = stretch.suspects.len();
        let say = |tried, poison| (self.say)(format!("{tried} of {all} records tried, {poison} dead letters"));
        let Ended { tried, poison, cut, .. } = run.through(base, all, &say).await?;
        let found = Found { tried, poison: poison.len(), cut, partial };
        self.settle(sender, stretch, tried, poison).await?;
        Ok(found)
    }

    /// Writes the dead letters and moves the sink on.
    async fn settle(
        &self,
        sender: Arc<Sender>,
        stretch: Arc<Stretch>,
        judged: usize,
        poison: Vec<Poison>,
    ) -> Result<(), IsolateError> {
        let (kafka, group, letters) = (self.isolator.kafka.clone(), sink_group(self.sink), self.letters);
        let settled = blocking(move || {
            let until = std::time::Instant::now() + EMPTY;
            loop {
                let tried = stretch::settle(&sender, &kafka, &group, letters, (&stretch, judged), &poison);
                match tried {
                    Err(KafkaError::Members) if std::time::Instant::now() < until => {
                        std::thread::sleep(Duration::from_millis(250));
                    }
                    done => return done,
                }
            }
        });
        Ok(settled.await?)
    }

    /// How many records of a partition may be in a batch that failed.
    fn each(&self) -> usize {
        let set = self.settings.get("consumer.override.max.poll.records").and_then(|set| set.parse().ok());
        set.unwrap_or(POLL_RECORDS)
    }
}

/// Where the dead letters of a sink go.
fn letters(sink: &str) -> Option<&'static str> {
    STAGES.iter().find(|stage| stage.sink == sink).map(|stage| stage.letters)
}

pub(crate) fn offset(index: usize) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}
