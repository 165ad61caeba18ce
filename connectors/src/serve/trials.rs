//! The trials that are under way, at most one a sink: when one begins, what became of it, and those that another healer
//! has begun or left behind. How a trial goes is [`super::isolate`]'s.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use service_kit::Tasks;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::board::Board;
use super::duty;
use super::healer::Episode;
use super::isolate::{Found, IsolateError, Isolator, trial};
use super::metrics::Metrics;
use crate::connect::{Listed, Settings};
use crate::kafka::lag::Reader;
use crate::kafka::{KafkaError, blocking};
use crate::rehearse::mark::is_rehearsal;

/// Restarts that did not help although the target is well, after which the records are tried.
const AFTER: u32 = 2;
/// After a trial that could not be made, or met a target in trouble, the next one is not before this.
const PAUSE: Duration = Duration::from_secs(30);
/// Trials in a row that found nothing although the sink had failed: then it is not the records.
const FRUITLESS: u32 = 3;
/// So many that had no room for all that a poll brings have tried all of it, one after the other.
const PARTIAL: u32 = 10;
/// A sink that did not fail for so long has got over it: what fails then is another trouble.
const FORGET: Duration = Duration::from_secs(600);
/// What another healer has begun is left to it for so long: longer than any trial.
const LEASE: Duration = Duration::from_secs(120);
/// A healer that is not in the healers' group for so long is gone; one that takes part anew is back sooner.
const ABSENT: Duration = Duration::from_secs(15);
/// How often it is asked who is there.
const ROLL_EVERY: Duration = Duration::from_secs(2);
/// The time over which dead letters are counted.
const WINDOW: Duration = Duration::from_secs(60);

/// All trials of one supervisor.
pub struct Trials {
    isolator: Isolator,
    /// At most so many dead letters of a sink in a minute.
    limit: usize,
    board: Board,
    metrics: Arc<Metrics>,
    tasks: Tasks,
    running: BTreeMap<String, JoinHandle<Option<Result<Found, IsolateError>>>>,
    /// Trials of other healers.
    foreign: BTreeMap<String, Foreign>,
    /// Sinks that no healer stopped, though a trial of ours is left of them.
    free: BTreeSet<String>,
    roll: Roll,
    past: BTreeMap<String, Past>,
}

/// The healers that are in their group, as they were asked last.
#[derive(Default)]
struct Roll {
    reader: Option<Arc<Reader>>,
    asked: Option<Instant>,
    /// Nothing where Kafka does not say.
    names: Option<BTreeSet<String>>,
}

impl Roll {
    /// What Kafka answered now to this healer.
    fn of(told: Result<(Arc<Reader>, BTreeSet<String>), KafkaError>, healer: &str, now: Instant) -> Self {
        let (reader, names) = told.ok().unzip();
        // This one is in the group itself. Where it is not told, the group's coordinator is away.
        Self { reader, asked: Some(now), names: names.filter(|all| all.contains(healer)) }
    }
}

/// A trial that another healer has begun.
#[derive(Debug)]
struct Foreign {
    healer: String,
    /// Since when the trial is seen.
    since: Instant,
    /// When its healer was in the group, or may have been.
    present: Instant,
}

/// What is remembered of a sink's trials.
#[derive(Debug, Default)]
struct Past {
    fruitless: u32,
    /// Trials in a row that found nothing and had no room for all.
    partial: u32,
    letters: VecDeque<Instant>,
    not_before: Option<Instant>,
    /// When it was last seen to fail although all is well.
    failing: Option<Instant>,
    ended: Option<End>,
}

/// Why there are no more, until somebody changes the sink's settings or starts this process again.
#[derive(Debug)]
struct End {
    why: String,
    settings: Settings,
    /// Also until the sink has got over it.
    passes: bool,
}

impl Past {
    /// The sink fails now.
    fn fails(&mut self, now: Instant, settings: &Settings) {
        let before = self.failing.replace(now);
        let is_another = before.is_some_and(|before| FORGET <= now - before);
        if is_another {
            (self.fruitless, self.partial) = (0, 0);
        }
        self.ended.take_if(|end| end.settings != *settings || (is_another && end.passes));
        while self.letters.front().is_some_and(|at| WINDOW <= now - *at) {
            self.letters.pop_front();
        }
    }

    /// What a trial found says whether it is the records at all.
    fn weigh(&mut self, found: &Found) {
        if 0 < found.poison || found.cut.is_some() {
            (self.fruitless, self.partial) = (0, 0);
            return;
        }
        self.partial = if found.partial { self.partial + 1 } else { 0 };
        if !found.partial || PARTIAL <= self.partial {
            self.fruitless += 1;
        }
    }
}

/// The sink that a connector is the trial of, if it is one.
#[must_use]
pub fn sink_of(one: &Listed) -> Option<&str> {
    one.info.config.get(trial::HEALS).map(String::as_str)
}

/// Whether a connector is a trial's or a rehearsal's: none of its own, and nobody's to heal, count or remove but theirs.
#[must_use]
pub fn is_temporary(name: &str, one: &Listed) -> bool {
    sink_of(one).is_some() || is_rehearsal(name, one)
}

impl Trials {
    /// None is under way.
    #[must_use]
    pub fn new(isolator: Isolator, limit: usize, board: Board, metrics: Arc<Metrics>, tasks: Tasks) -> Self {
        let (running, foreign, past) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (free, roll) = (BTreeSet::new(), Roll::default());
        Self { isolator, limit, board, metrics, tasks, running, foreign, free, roll, past }
    }

    /// Takes in what Connect lists and what has ended; answers the sinks that a trial holds now.
    pub async fn look(&mut self, listed: &BTreeMap<String, Listed>) -> BTreeSet<String> {
        let ended: Vec<String> =
            self.running.iter().filter(|(_, trial)| trial.is_finished()).map(|(sink, _)| sink.clone()).collect();
        for sink in ended {
            if let Some(trial) = self.running.remove(&sink) {
                let result = trial.await;
                self.board.set_trial(&sink, None);
                self.over(&sink, result, listed);
            }
        }
        let there: BTreeMap<String, String> = listed
            .values()
            .filter_map(|one| Some((sink_of(one)?.to_owned(), one.info.config.get(trial::HEALER)?.clone())))
            .collect();
        self.foreign.retain(|sink, foreign| there.get(sink) == Some(&foreign.healer));
        if there.values().any(|healer| *healer != self.isolator.healer) {
            self.call_the_roll().await;
        }
        for (sink, healer) in &there {
            if !self.running.contains_key(sink) && self.is_left(sink, healer) {
                self.take_away(sink, healer).await;
            }
        }
        there.into_keys().chain(self.running.keys().cloned()).collect()
    }

    /// Removes a trial that was left behind. A sink that was not stopped for it is left as it is: whoever stopped it since
    /// wants it so.
    async fn take_away(&mut self, sink: &str, healer: &str) {
        let removed = if self.free.contains(sink) {
            warn!(connector = sink, healer, "a trial was left behind, the sink is as somebody wants it");
            self.isolator.clear(sink).await
        } else {
            warn!(connector = sink, healer, "a trial was left behind, the sink runs on");
            self.isolator.release(sink).await
        };
        match removed {
            Ok(()) => _ = self.free.remove(sink),
            Err(err) => warn!(connector = sink, error = %err, "kafka connect did not remove the trial"),
        }
    }

    async fn call_the_roll(&mut self) {
        if self.roll.asked.is_some_and(|asked| asked.elapsed() < ROLL_EVERY) {
            return;
        }
        let (kafka, known) = (self.isolator.kafka.clone(), self.roll.reader.take());
        let asked = blocking(move || {
            let reader = known.map_or_else(|| Reader::new(&kafka, duty::GROUP).map(Arc::new), Ok)?;
            let names = reader.instances()?.into_keys().collect::<BTreeSet<String>>();
            Ok((reader, names))
        });
        self.roll = Roll::of(asked.await, &self.isolator.healer, Instant::now());
    }

    /// Whether the healer that began a trial is gone.
    fn is_left(&mut self, sink: &str, healer: &str) -> bool {
        if healer == self.isolator.healer {
            return true;
        }
        let now = Instant::now();
        let begun = || Foreign { healer: healer.to_owned(), since: now, present: now };
        let foreign = self.foreign.entry(sink.to_owned()).or_insert_with(begun);
        if self.roll.names.as_ref().is_none_or(|all| all.contains(healer)) {
            foreign.present = now;
        }
        self.board.set_trial(sink, Some(format!("{healer} tries its records")));
        LEASE <= now - foreign.since || ABSENT <= now - foreign.present
    }

    /// Begins a trial of a sink that failed although all is well, if it is time; true where one began.
    pub fn begin(&mut self, sink: &str, settings: &Settings, episode: Option<&Episode>) -> bool {
        let fits = episode.is_some_and(|episode| episode.is_its_own() && AFTER <= episode.tries);
        if !fits || self.running.contains_key(sink) || self.tasks.is_stopping() {
            return false;
        }
        let (past, now) = (self.past.entry(sink.to_owned()).or_default(), Instant::now());
        past.fails(now, settings);
        if past.ended.is_some() || past.not_before.is_some_and(|at| now < at) {
            return false;
        }
        let allowed = self.limit.saturating_sub(past.letters.len());
        let (isolator, name, settings) = (self.isolator.clone(), sink.to_owned(), settings.clone());
        let (board, took) = (self.board.clone(), self.metrics.trial_seconds(sink));
        info!(connector = sink, "its records are tried one by one");
        self.board.set_ended(sink, None);
        self.free.remove(sink);
        let trial = async move {
            let say = |words: String| board.set_trial(&name, Some(words));
            let found = isolator.isolate(&name, &settings, allowed, &say).await;
            took.inc_by(now.elapsed().as_secs_f64());
            found
        };
        self.running.insert(sink.to_owned(), self.tasks.spawn(trial));
        true
    }

    fn over(
        &mut self,
        sink: &str,
        result: Result<Option<Result<Found, IsolateError>>, tokio::task::JoinError>,
        listed: &BTreeMap<String, Listed>,
    ) {
        let settings = listed.get(sink).map(|one| one.info.config.clone()).unwrap_or_default();
        let (past, now) = (self.past.entry(sink.to_owned()).or_default(), Instant::now());
        let ended = match result {
            Ok(Some(Ok(found))) => {
                self.metrics.trials(sink, "made").inc();
                self.metrics.poison(sink).inc_by(u64::try_from(found.poison).unwrap_or(u64::MAX));
                info!(
                    connector = sink,
                    records.tried = found.tried,
                    dead_letters = found.poison,
                    cut = found.cut.as_deref().unwrap_or_default(),
                    "trial is over"
                );
                past.letters.extend(std::iter::repeat_n(now, found.poison));
                past.weigh(&found);
                if found.poison == 0 && found.cut.is_some() {
                    // The target is the trouble; the sink is not to be stopped again at once for it.
                    past.not_before = Some(now + PAUSE);
                }
                self.verdict(sink)
            }
            // It is another sink now, and its time begins anew.
            Ok(Some(Err(why @ IsolateError::GivenUp { .. }))) => {
                self.metrics.trials(sink, "failed").inc();
                info!(connector = sink, why = %why, "its trial was given up");
                None
            }
            Ok(Some(Err(err))) => {
                self.metrics.trials(sink, "failed").inc();
                if matches!(err, IsolateError::Left { .. }) {
                    self.free.insert(sink.to_owned());
                }
                let hopeless = matches!(err, IsolateError::Untriable(_) | IsolateError::NoLetters(_));
                let err = format!("{:#}", anyhow::Error::from(err));
                warn!(connector = sink, error = err, "its records could not be tried");
                past.not_before = Some(now + PAUSE);
                hopeless.then_some((err, false))
            }
            // The process is being stopped; whoever comes next finds the trial.
            Ok(None) => return,
            Err(fault) => {
                error!(connector = sink, error = %fault, "a trial ended early");
                past.not_before = Some(now + PAUSE);
                None
            }
        };
        if let Some((why, passes)) = ended {
            let end = End { why, settings, passes };
            error!(connector = sink, why = end.why, "no more records are tried");
            self.board.set_ended(sink, Some(end.why.clone()));
            self.past.entry(sink.to_owned()).or_default().ended = Some(end);
        }
    }

    /// Why no more trials are to be made after this one, and whether that passes by itself.
    fn verdict(&mut self, sink: &str) -> Option<(String, bool)> {
        let past = self.past.get(sink)?;
        let (letters, limit) = (past.letters.len(), self.limit);
        if limit <= letters {
            let why = format!(
                "{letters} dead letters within a minute, {limit} are allowed; look at them, then start `connectors serve` \
                 again or with a higher --poison-per-minute"
            );
            return Some((why, false));
        }
        (FRUITLESS <= past.fruitless).then(|| {
            let why = format!(
                "{} trials in a row found no record that it would not take; it is not the records, see the failure",
                past.fruitless
            );
            (why, true)
        })
    }
}

#[cfg(test)]
mod tests;
