//! What the supervisor knows, shared by its parts and shown to operators: troubles, lag, targets. Decides nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::healer::{Episode, State};
use super::probes::Health;
use crate::connect::{self, Listed, Status};
use crate::kafka::lag::Place;

/// So many waiting places are named.
const NAMED: usize = 3;

/// A cheap handle on the shared state.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    entries: BTreeMap<String, Entry>,
    health: Health,
    on_duty: bool,
}

/// One connector.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    /// The topics that it reads.
    pub topics: Vec<String>,
    /// All of it RUNNING, as Connect last said.
    pub running: bool,
    /// Counts restarts that we asked for.
    pub restarts: u64,
    /// The last of them was for standstill.
    pub for_standstill: bool,
    lag: Option<i64>,
    stuck: bool,
    waits: Vec<Place>,
    trouble: Option<Trouble>,
    /// How far a trial of its records is, while there is one.
    trial: Option<String>,
    /// Why there are no more trials.
    ended: Option<String>,
}

/// What a connector suffers from.
#[derive(Debug, Clone)]
pub struct Trouble {
    episode: Episode,
    state: State,
    failure: Option<String>,
}

impl Trouble {
    /// From the healer's episode and Connect's words.
    #[must_use]
    pub fn new(episode: &Episode, state: State, status: &Status) -> Self {
        Self { episode: *episode, state, failure: status.failure() }
    }

    /// In words for an operator.
    fn words(&self, waits: &[String]) -> String {
        let next = self.episode.next.saturating_duration_since(Instant::now()).as_secs();
        let tries = self.episode.tries;
        match self.state {
            State::Failed if self.episode.target_away => {
                format!("waits for its target; restarts at once when it is back, or tries in {next} s")
            }
            State::Failed if self.episode.target_troubled => {
                format!("its target answers, and says itself what is wrong; next try in {next} s")
            }
            State::Failed if self.episode.is_suspect() => {
                let at = if waits.is_empty() { String::new() } else { format!(" at or after {}", waits.join(", ")) };
                format!(
                    "failed again after {tries} restarts with its target well: perhaps a record{at} that it will never take; next try in {next} s"
                )
            }
            State::Failed => format!("restart {tries} asked for; next in {next} s"),
            State::Stuck => format!("does not move; restart {tries} asked for, next in {next} s"),
            State::Changing => "Kafka Connect is at work on it".to_owned(),
            State::Running => "runs again, watched".to_owned(),
            State::Held => "held by an operator".to_owned(),
        }
    }
}

impl Board {
    /// Takes the list of connectors over; others are forgotten.
    pub fn keep(&self, listed: &BTreeMap<String, Listed>) {
        let mut state = self.lock();
        state.entries.retain(|name, _| listed.contains_key(name));
        for (name, one) in listed {
            let entry = state.entries.entry(name.clone()).or_default();
            entry.topics = connect::topics(&one.info.config);
            entry.running = super::state(&one.status) == State::Running;
        }
    }

    /// Connect does not answer: nothing is known to run.
    pub fn away(&self) {
        for entry in self.lock().entries.values_mut() {
            entry.running = false;
            entry.stuck = false;
        }
    }

    /// All connectors, for whoever watches their positions.
    #[must_use]
    pub fn entries(&self) -> BTreeMap<String, Entry> {
        self.lock().entries.clone()
    }

    /// A restart was asked for: what is known of its progress counts no more.
    pub fn restarted(&self, name: &str, for_standstill: bool) {
        self.change(name, |entry| {
            entry.restarts += 1;
            entry.for_standstill = for_standstill;
            entry.stuck = false;
        });
    }

    /// New positions of a connector; `restarts` is the count for which they were read.
    pub fn set_progress(&self, name: &str, restarts: u64, lag: i64, stuck: bool, waits: Vec<Place>) {
        self.change(name, |entry| {
            entry.lag = Some(lag);
            entry.waits = waits;
            entry.stuck = stuck && entry.restarts == restarts;
        });
    }

    /// The positions of a connector cannot be read now.
    pub fn no_progress(&self, name: &str) {
        self.change(name, |entry| {
            entry.lag = None;
            entry.stuck = false;
        });
    }

    /// What a connector suffers from now.
    pub fn set_trouble(&self, name: &str, trouble: Option<Trouble>) {
        self.change(name, |entry| entry.trouble = trouble);
    }

    /// How far a trial of a sink's records is.
    pub fn set_trial(&self, name: &str, words: Option<String>) {
        self.change(name, |entry| entry.trial = words);
    }

    /// Why a sink's records are not tried any more.
    pub fn set_ended(&self, name: &str, why: Option<String>) {
        self.change(name, |entry| entry.ended = why);
    }

    /// Whether this healer is the one that acts.
    pub fn set_on_duty(&self, on_duty: bool) {
        self.lock().on_duty = on_duty;
    }

    /// How the targets are.
    pub fn set_health(&self, health: &Health) {
        self.lock().health.clone_from(health);
    }

    /// It runs and does not move.
    #[must_use]
    pub fn is_stuck(&self, name: &str) -> bool {
        self.lock().entries.get(name).is_some_and(|entry| entry.stuck)
    }

    /// Where it waits, as `topic-partition@offset`.
    #[must_use]
    pub fn waits(&self, name: &str) -> Vec<String> {
        self.lock().entries.get(name).map(Entry::named).unwrap_or_default()
    }

    /// Everything, for `connectors status` and people.
    #[must_use]
    pub fn show(&self) -> Value {
        let state = self.lock();
        let connectors: BTreeMap<&String, Value> =
            state.entries.iter().map(|(name, entry)| (name, entry.show())).collect();
        let targets: BTreeMap<String, Value> = state
            .health
            .iter()
            .map(|(need, down)| (need.to_string(), json!({"up": down.is_none(), "reason": down})))
            .collect();
        json!({ "onDuty": state.on_duty, "connectors": connectors, "targets": targets })
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.lock().entries.get_mut(name) {
            change(entry);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn named(&self) -> Vec<String> {
        let name = |place: &Place| format!("{}-{}@{}", place.spot.0, place.spot.1, place.committed);
        self.waits.iter().take(NAMED).map(name).collect()
    }

    fn show(&self) -> Value {
        let named = self.named();
        let trouble = self.trouble.as_ref();
        let words = trouble.map(|trouble| trouble.words(&named));
        let ended = self.ended.as_ref().filter(|_| trouble.is_some());
        let ended = ended.map(|why| format!("its records are not tried any more: {why}"));
        let healing: Vec<String> = self.trial.clone().into_iter().chain(words).chain(ended).collect();
        json!({
            "lag": self.lag,
            "stuck": self.stuck,
            "restarts": self.restarts,
            "waits": named,
            "healing": (!healing.is_empty()).then(|| healing.join("; ")),
            "failure": trouble.and_then(|trouble| trouble.failure.clone()),
            "sinceSeconds": trouble.map(|trouble| trouble.episode.since.elapsed().as_secs()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::connect::{Part, RUNNING};
    use crate::serve::healer::{Healer, Seen, Target};

    fn listed() -> BTreeMap<String, Listed> {
        let running = || Part { state: RUNNING.to_owned(), ..Part::default() };
        let status = Status { connector: running(), tasks: vec![running()], ..Status::default() };
        BTreeMap::from([("s".to_owned(), Listed { status, ..Listed::default() })])
    }

    fn board() -> Board {
        let board = Board::default();
        board.keep(&listed());
        board
    }

    fn shown(board: &Board, key: &str) -> Value {
        board.show()["connectors"]["s"][key].clone()
    }

    #[test]
    fn a_standstill_that_was_seen_before_a_restart_is_none_after_it() {
        let board = board();
        let stuck = |restarts| {
            board.set_progress("s", restarts, 5, true, Vec::new());
            board.is_stuck("s")
        };
        assert!(stuck(0));
        board.restarted("s", true);
        assert!(!board.is_stuck("s"));
        assert!(!stuck(0), "it was seen before");
        assert!(stuck(1));
        board.no_progress("s");
        assert_eq!((board.is_stuck("s"), shown(&board, "lag")), (false, Value::Null));
        assert!(stuck(1));
        board.away();
        assert!(!board.is_stuck("s") && !board.entries()["s"].running);
        board.keep(&BTreeMap::new());
        assert!(board.entries().is_empty(), "it is there no more");
    }

    #[test]
    fn a_failed_sink_says_what_it_waits_for_and_why_no_more_is_tried() {
        let board = board();
        let place = |offset| Place { spot: ("t".to_owned(), 0), committed: offset, end: 9 };
        board.set_progress("s", 0, 5, false, (1..=4).map(place).collect());
        board.set_ended("s", Some("too many".to_owned()));
        assert_eq!(shown(&board, "healing"), Value::Null, "it is well");
        let begin = |tries: u64, target, words: &str| {
            let (mut healer, start) = (Healer::default(), Instant::now());
            for step in 0..tries {
                healer.step(start + Duration::from_secs(60 * step), Seen { state: State::Failed, target });
            }
            board.set_trouble("s", healer.episode().map(|one| Trouble::new(one, State::Failed, &Status::default())));
            let healing = shown(&board, "healing");
            let healing = healing.as_str().unwrap();
            assert!(healing.starts_with(words), "{healing}");
            assert!(healing.ends_with("; its records are not tried any more: too many"), "{healing}");
        };
        begin(1, Target::Well, "restart 1 asked for; next in ");
        begin(2, Target::Well, "restart 2 asked for; next in ");
        let at = "perhaps a record at or after t-0@1, t-0@2, t-0@3 that it will never take";
        begin(3, Target::Well, &format!("failed again after 3 restarts with its target well: {at}; next try in "));
        begin(3, Target::Troubled, "its target answers, and says itself what is wrong; next try in ");
        begin(3, Target::Away, "waits for its target; restarts at once when it is back, or tries in ");
    }
}
