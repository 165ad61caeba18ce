//! Poison isolation: a sink that fails again and again although everything that it needs is well has a record before it
//! that it will never take. That record is found, copied to the sink's dead letters with the reason, and passed over, in
//! one transaction; nothing else is.
//!
//! The sink is stopped and a [`trial`] of it reads the records before it one by one, from a topic of its own with one
//! partition. What the trial fails on twice while all targets are well is poison; all else it stores, which the sink
//! would have done. The sink's own settings are never touched, so nothing of a user's edit can be lost; an edit, a pause or
//! a deletion meanwhile ends the trial, and nothing is written for what the sink was before (`look`). The trial itself is
//! the mark that a healer holds the sink: who finds one whose healer is gone resumes the sink and removes it.

mod look;
pub mod reason;
pub(crate) mod run;
mod settle;
pub(crate) mod stretch;
pub mod trial;

use std::sync::Arc;
use std::time::Duration;

use service_kit::kafka::Brokers;
use tokio::time::Instant;

use self::look::{Begun, Hold};
use self::run::{Ended, Run, STEP};
use self::stretch::Stretch;
use self::trial::Untriable;
use super::probes::{Probes, needs};
use crate::connect::{self, Connect, ConnectError, Settings, Status};
use crate::kafka::sender::Sender;
use crate::kafka::{Admin, KafkaError, blocking, let_go};
use crate::names::{STAGES, sink_group};
use crate::retry;

pub use self::look::Change;

/// A stretch is tried for so long; what was tried until then counts.
const BUDGET: Duration = Duration::from_secs(45);
/// What a poll of a consumer brings, unless its settings say otherwise.
const POLL_RECORDS: usize = 500;
/// While its records are tried, a sink is looked at so often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two attempts at what is done only once a group is empty.
const AGAIN: Duration = Duration::from_millis(250);

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
    /// Somebody did something to the sink meanwhile.
    #[error(
        "{sink} was {change} while its records were tried: no dead letters and no offsets were written, and what it is now \
         is looked at anew"
    )]
    GivenUp {
        /// The sink.
        sink: String,
        /// What was done.
        change: Change,
    },
    /// The sink was somebody else's again before it was stopped, and the trial could not be removed.
    #[error("the trial of {sink}, which was not stopped for it, could not be removed")]
    Left {
        /// The sink.
        sink: String,
        /// The cause.
        source: ConnectError,
    },
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
        // Somebody may have had his hands on it since it was listed, and while the trial was made. What he does between
        // the second look and the stop, one request later, is not seen.
        case.begun().is_same(Hold::Nobody).await?;
        case.prepare(&own).await?;
        if let Err(why) = case.begun().is_same(Hold::Nobody).await {
            // Not stopped by us, so not ours to resume.
            let removed = self.clear(sink).await;
            return Err(removed.map_or_else(|source| IsolateError::Left { sink: sink.to_owned(), source }, |()| why));
        }
        let found = match case.hold().await {
            Ok(()) => case.judge().await,
            Err(err) => Err(err),
        };
        if let Err(why @ IsolateError::GivenUp { .. }) = &found {
            say(why.to_string());
        }
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
        let (connect, until) = (&self.connect, Instant::now() + STEP);
        // A healer only ever stops: whoever paused it meanwhile wants it so.
        let status = retry::until(until, "Kafka Connect", || connect.status(sink)).await?;
        // In this order: the trial is the mark, and behind it another healer may have begun a trial of the same name.
        if !status.is_some_and(|status| status.is_paused()) {
            retry::until(until, "Kafka Connect", || connect.resume(sink)).await?;
        }
        self.clear(sink).await
    }

    /// Removes the trial of a sink that no healer holds. Its group stays, as its topic does: the next trial has both again,
    /// and Kafka lets them go by itself. To delete groups is also what librdkafka 2.12 was seen to end the process at, where
    /// a broker does not know the request.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn clear(&self, sink: &str) -> Result<(), ConnectError> {
        let (connect, trial, until) = (&self.connect, trial::name(sink), Instant::now() + STEP);
        retry::until(until, "Kafka Connect", || connect.delete(&trial)).await
    }
}

impl Case<'_> {
    fn begun(&self) -> Begun<'_> {
        Begun { connect: &self.isolator.connect, sink: self.sink, settings: self.settings }
    }

    /// Makes the trial, which does not run yet. Where there is one, another healer holds the sink.
    async fn prepare(&self, own: &Settings) -> Result<(), IsolateError> {
        let connect = &self.isolator.connect;
        let until = Instant::now() + STEP;
        (self.say)("the sink is stopped for a trial of its records".to_owned());
        let admin = Admin::new(&self.isolator.kafka)?;
        let made = self.make_topic(&admin).await;
        let_go(admin);
        made?;
        Ok(retry::until(until, "Kafka Connect", || connect.create_stopped(&self.trial, own)).await?)
    }

    /// Makes its topic. It is there since an earlier trial, or for a healer that may make none.
    async fn make_topic(&self, admin: &Admin) -> Result<(), KafkaError> {
        if !admin.names().await?.contains(&self.topic) {
            admin.create(&stretch::topic(&self.topic, "86400000")).await?;
        }
        Ok(())
    }

    /// Stops the sink.
    async fn hold(&self) -> Result<(), IsolateError> {
        let (connect, until) = (&self.isolator.connect, Instant::now() + STEP);
        retry::until(until, "Kafka Connect", || connect.stop(self.sink)).await?;
        let ended = |status: &Status| status.is_held() && status.tasks.is_empty();
        let waited = run::wait(connect, self.sink, "the end of the sink's tasks", ended).await;
        if waited.is_err() {
            // One that somebody paused or deleted meanwhile never comes to that.
            self.begun().is_same(Hold::Stopping).await?;
        }
        waited.map(|_| ())
    }

    async fn judge(&self) -> Result<Found, IsolateError> {
        let (kafka, name) = (self.isolator.kafka.clone(), format!("connectors-heal-{}", self.sink));
        let sender = Arc::new(blocking(move || Sender::new(&kafka, &name)).await?);
        let found = self.judged(&sender).await;
        let_go(sender);
        found
    }

    async fn judged(&self, sender: &Arc<Sender>) -> Result<Found, IsolateError> {
        let (kafka, group, topics, each) =
            (self.isolator.kafka.clone(), sink_group(self.sink), connect::topics(self.settings), self.each());
        let (stretch, partial) = blocking(move || stretch::read(&kafka, &group, &topics, each)).await?;
        if stretch.suspects.is_empty() {
            return Ok(Found::default());
        }
        let stretch = Arc::new(stretch);
        let Ended { tried, poison, cut, .. } = self.run(sender, &stretch).await?;
        let found = Found { tried, poison: poison.len(), cut, partial };
        self.settle(sender, &stretch, tried, poison).await?;
        Ok(found)
    }

    /// Lets the trial read the stretch, for as long as the sink is the one that it is the trial of.
    async fn run(&self, sender: &Arc<Sender>, stretch: &Arc<Stretch>) -> Result<Ended, IsolateError> {
        let (owned, laid, topic) = (Arc::clone(sender), Arc::clone(stretch), self.topic.clone());
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
        tokio::select! {
            ended = run.through(base, all, &say) => ended,
            given_up = self.given_up() => Err(given_up),
        }
    }

    /// Ends when somebody has changed the sink. The run beside it has a bound.
    async fn given_up(&self) -> IsolateError {
        loop {
            // Where Connect does not say, nothing is known; before anything is written it must.
            if let Err(why @ IsolateError::GivenUp { .. }) = self.begun().is_same(Hold::Healer).await {
                return why;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
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
