//! Poison isolation: a sink that fails again and again although everything that it needs is well has a record before it
//! that it will never take. That record is found, copied to the sink's dead letters with the reason, and passed over, in
//! one transaction; nothing else is.
//!
//! The sink is stopped and a [`trial`] of it reads the records before it one by one, from a topic of its own with one
//! partition. What the trial fails on twice while all targets are well is poison; all else it stores, which the sink
//! would have done. The sink's own settings are never touched, so nothing of a user's edit can be lost, and the trial
//! itself is the mark that a healer holds the sink: who finds one whose healer is gone resumes the sink and removes it.

pub mod reason;
mod stretch;
pub mod trial;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use schemas::contracts::Topic;
use tokio::time::Instant;

use self::stretch::{Poison, Stretch};
use self::trial::Untriable;
use super::probes::{Probes, needs};
use crate::connect::{self, Connect, ConnectError, Settings, Status};
use crate::kafka::sender::Sender;
use crate::kafka::{Admin, KafkaError};
use crate::names::{STAGES, sink_group};
use crate::retry;

/// A stretch is tried for so long; what was tried until then counts.
const BUDGET: Duration = Duration::from_secs(45);
/// Each request to Connect, with its busy answers, and each wait for a state.
const STEP: Duration = Duration::from_secs(20);
/// Between two looks at the trial.
const LOOK: Duration = Duration::from_millis(50);
/// Kafka takes the offsets of a group only when its members are gone; they are, within this time.
const EMPTY: Duration = Duration::from_secs(10);
/// What a poll of a consumer brings, unless its settings say otherwise.
const POLL_RECORDS: usize = 500;

/// Finds the poison of one sink.
#[derive(Debug, Clone)]
pub struct Isolator {
    /// Kafka Connect.
    pub connect: Connect,
    /// The targets.
    pub probes: Probes,
    /// Kafka's bootstrap servers.
    pub kafka: String,
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

/// How far the trial came.
enum Halt {
    /// All suspects have passed or are known.
    Through,
    /// It failed on this suspect.
    Failed(usize, String),
    /// The time is over.
    Over(usize),
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

    /// Resumes a sink that a healer held, and removes the trial.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn release(&self, sink: &str) -> Result<(), ConnectError> {
        let (connect, trial) = (&self.connect, trial::name(sink));
        let until = Instant::now() + STEP;
        // In this order: the trial is the mark.
        retry::until(until, "Kafka Connect", || connect.resume(sink)).await?;
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
        let config = [("retention.ms", "86400000"), ("cleanup.policy", "delete"), ("max.message.bytes", "4194304")];
        let config: BTreeMap<_, _> = config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        admin.create(&Topic { name: self.topic.clone(), partitions: 1, config }).await?;
        Ok(retry::until(until, "Kafka Connect", || connect.create_stopped(&self.trial, own)).await?)
    }

    /// Stops the sink.
    async fn hold(&self) -> Result<(), IsolateError> {
        let (connect, until) = (&self.isolator.connect, Instant::now() + STEP);
        retry::until(until, "Kafka Connect", || connect.stop(self.sink)).await?;
        self.wait(self.sink, "the end of the sink's tasks", |status| status.is_held() && status.tasks.is_empty())
            .await?;
        Ok(())
    }

    async fn judge(&self) -> Result<Found, IsolateError> {
        let (kafka, sink) = (self.isolator.kafka.clone(), self.sink.to_owned());
        let name = format!("connectors-heal-{sink}");
        let sender = blocking(move || Sender::new(&kafka, &name)).await?;
        let sender = Arc::new(sender);
        let (kafka, group, topics, each) =
            (self.isolator.kafka.clone(), sink_group(&sink), connect::topics(self.settings), self.each());
        let stretch = blocking(move || stretch::read(&kafka, &group, &topics, each)).await?;
        if stretch.suspects.is_empty() {
            return Ok(Found::default());
        }
        let stretch = Arc::new(stretch);
        let (owned, laid, topic) = (Arc::clone(&sender), Arc::clone(&stretch), self.topic.clone());
        let base = blocking(move || stretch::lay_out(&owned, &topic, &laid)).await?;
        self.set(base).await?;
        let connect = &self.isolator.connect;
        retry::until(Instant::now() + STEP, "Kafka Connect", || connect.resume(&self.trial)).await?;
        let (judged, poison, cut) = self.listen(base, &stretch).await?;
        let found = Found { tried: judged, poison: poison.len(), cut };
        self.settle(sender, stretch, judged, poison).await?;
        Ok(found)
    }

    /// Runs the trial to its end, or as far as it comes.
    async fn listen(&self, base: i64, stretch: &Stretch) -> Result<(usize, Vec<Poison>, Option<String>), IsolateError> {
        let (all, until) = (stretch.suspects.len(), Instant::now() + BUDGET);
        let (mut poison, mut suspected) = (Vec::<Poison>::new(), None);
        loop {
            (self.say)(format!(
                "{} of {all} records tried, {} dead letters",
                suspected.unwrap_or_default(),
                poison.len()
            ));
            let (index, trace) = match self.halt(base, all, until).await? {
                Halt::Through => return Ok((all, poison, None)),
                Halt::Over(index) => return Ok((index, poison, Some(format!("not more was tried in {BUDGET:?}")))),
                Halt::Failed(index, trace) => (index, trace),
            };
            if let Some(words) = reason::elsewhere(&trace) {
                return Ok((index, poison, Some(format!("the target says \"{words}\", which is no record's fault"))));
            }
            if let Some(away) = self.away().await {
                // Nothing that fails now is the record's own fault.
                return Ok((index, poison, Some(away)));
            }
            if suspected == Some(index) {
                if self.allowed <= poison.len() {
                    let cut = format!("{} dead letters were allowed", self.allowed);
                    return Ok((index, poison, Some(cut)));
                }
                poison.push(Poison { index, reason: reason::of(&trace) });
                self.set(base + offset(index) + 1).await?;
            }
            suspected = Some(index);
            self.again().await?;
        }
    }

    /// Waits until the trial stands still.
    async fn halt(&self, base: i64, all: usize, until: Instant) -> Result<Halt, IsolateError> {
        let mut asked = Instant::now();
        loop {
            let status = self.status(&self.trial).await;
            let failed = status.filter(|status| 0 < status.failed());
            // While it runs, its position is looked at now and then only: it may pass the end without failing on it.
            if failed.is_some() || Duration::from_secs(1) <= asked.elapsed() {
                asked = Instant::now();
                let index = usize::try_from(self.position().await? - base).unwrap_or(0);
                match failed {
                    _ if all <= index => return Ok(Halt::Through),
                    Some(status) => {
                        let trace = status.parts().find_map(|part| part.trace.clone()).unwrap_or_default();
                        return Ok(Halt::Failed(index, trace));
                    }
                    None if until <= Instant::now() => {
                        let connect = &self.isolator.connect;
                        retry::until(Instant::now() + STEP, "Kafka Connect", || connect.stop(&self.trial)).await?;
                        self.wait(&self.trial, "the end of the trial", |status| status.tasks.is_empty()).await?;
                        let index = usize::try_from(self.position().await? - base).unwrap_or(0);
                        return Ok(Halt::Over(index.min(all)));
                    }
                    None => {}
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Starts the failed trial again. What it said before must not be taken for what it says then: so it is seen to run
    /// first, and if that was missed it is started once more.
    async fn again(&self) -> Result<(), IsolateError> {
        let (connect, until) = (&self.isolator.connect, Instant::now() + STEP);
        while Instant::now() < until {
            retry::until(until, "Kafka Connect", || connect.restart(&self.trial, true)).await?;
            let seen = Instant::now() + Duration::from_secs(3);
            while Instant::now() < seen {
                if self.status(&self.trial).await.is_some_and(|status| status.failed() == 0) {
                    return Ok(());
                }
                tokio::time::sleep(LOOK / 5).await;
            }
        }
        Err(IsolateError::Late { what: "another run of the trial".to_owned(), limit: STEP })
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
        settled.await
    }

    /// Sets where the trial reads on; its task has ended, but the broker may not know yet.
    async fn set(&self, at: i64) -> Result<(), IsolateError> {
        let (kafka, group, topic) = (self.isolator.kafka.clone(), sink_group(&self.trial), self.topic.clone());
        let set = blocking(move || {
            let until = std::time::Instant::now() + EMPTY;
            loop {
                match stretch::set(&kafka, &group, &topic, at) {
                    Err(_) if std::time::Instant::now() < until => std::thread::sleep(Duration::from_millis(100)),
                    done => return done,
                }
            }
        });
        set.await
    }

    async fn position(&self) -> Result<i64, IsolateError> {
        let (kafka, group, topic) = (self.isolator.kafka.clone(), sink_group(&self.trial), self.topic.clone());
        blocking(move || stretch::position(&kafka, &group, &topic)).await
    }

    /// Which target is away, if one is.
    async fn away(&self) -> Option<String> {
        let health = self.isolator.probes.ask(&needs(self.settings)).await;
        health.into_iter().find_map(|(need, reason)| Some(format!("{need} is away: {}", reason?)))
    }

    async fn status(&self, name: &str) -> Option<Status> {
        self.isolator.connect.status(name).await.ok().flatten()
    }

    async fn wait(&self, name: &str, what: &str, is: impl Fn(&Status) -> bool) -> Result<Status, IsolateError> {
        let until = Instant::now() + STEP;
        while Instant::now() < until {
            if let Some(status) = self.status(name).await.filter(|status| is(status)) {
                return Ok(status);
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(IsolateError::Late { what: what.to_owned(), limit: STEP })
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

fn offset(index: usize) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

async fn blocking<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, KafkaError> + Send + 'static,
) -> Result<T, IsolateError> {
    Ok(tokio::task::spawn_blocking(ask).await.map_err(|_| KafkaError::Cut)??)
}
