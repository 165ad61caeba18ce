//! The supervisor: Kafka Connect never starts a failed task again, so this does. It polls Connect, asks the targets,
//! lets a [`healer`] decide, and restarts. A sink that has a record before it that it will never take is freed of it
//! ([`isolate`], [`trials`]). Of several beside each other one is on [`duty`], and the others watch. Whether tasks move is
//! watched in [`watch`]; what is going on stands on the [`board`]. [`parity`] and [`letters`] only tell.

pub mod admin;
pub mod board;
pub mod duty;
pub mod healer;
pub mod isolate;
pub mod letters;
pub mod metrics;
pub mod parity;
pub mod probes;
pub mod progress;
pub mod trials;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use service_kit::{Condition, Tasks};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::connect::{Connect, FAILED, Listed, RUNNING, Status};
use board::{Board, Trouble};
use duty::Duty;
use healer::{Healer, Reason, Seen, State, Target};
use metrics::Metrics;
use probes::{Health, Need, Probes, needs};
use trials::Trials;

pub use watch::watch;

/// How often Connect is asked while all is well, and while something is not.
const CALM: Duration = Duration::from_secs(1);
const ALERT: Duration = Duration::from_millis(500);
/// How often Connect is asked while it does not answer.
const AWAY: Duration = Duration::from_secs(1);
/// How often the targets are asked while all is well.
const PROBE_EVERY: Duration = Duration::from_secs(10);
/// A connector that Connect has been at work on for so long is restarted as a whole.
const CHANGING_LIMIT: Duration = Duration::from_secs(60);

/// The supervisor of one Kafka Connect cluster.
pub struct Supervisor {
    connect: Connect,
    probes: Probes,
    board: Board,
    metrics: Arc<Metrics>,
    answering: Condition,
    patients: BTreeMap<String, Patient>,
    probed: Option<Instant>,
    health: Health,
    trials: Trials,
    duty: Duty,
}

/// One connector under watch.
#[derive(Debug, Default)]
struct Patient {
    healer: Healer,
    last: Option<State>,
    changing_since: Option<Instant>,
}

impl Supervisor {
    /// A supervisor that has seen nothing yet; `answering` becomes met when Connect answers.
    #[must_use]
    pub fn new(
        connect: Connect,
        probes: Probes,
        board: Board,
        metrics: Arc<Metrics>,
        answering: Condition,
        trials: Trials,
        duty: Duty,
    ) -> Self {
        Self {
            connect,
            probes,
            board,
            metrics,
            answering,
            patients: BTreeMap::new(),
            probed: None,
            health: Health::new(),
            trials,
            duty,
        }
    }

    /// Watches until told to stop.
    pub async fn run(mut self, tasks: Tasks) {
        loop {
            let Some(pause) = tasks.until_stop(self.round()).await else { return };
            if tasks.until_stop(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    /// One look at everything; answers how long to rest.
    pub async fn round(&mut self) -> Duration {
        let mut listed = match self.connect.list().await {
            Ok(listed) => listed,
            Err(err) => {
                if self.answering.is_met() {
                    warn!(error = %err, "kafka connect does not answer, waiting for it");
                }
                self.answering.unmet(err.to_string());
                self.metrics.connect_up.set(0);
                self.metrics.forget_states();
                self.board.away();
                return AWAY;
            }
        };
        if !self.answering.is_met() {
            info!(connectors = listed.len(), "kafka connect answers");
        }
        self.answering.met();
        self.metrics.connect_up.set(1);
        let on_duty = self.duty.is_held();
        self.metrics.on_duty.set(i64::from(on_duty));
        self.board.set_on_duty(on_duty);
        let tried = if on_duty { self.trials.look(&listed).await } else { BTreeSet::new() };
        listed.retain(|name, one| !trials::is_temporary(name, one));
        for (gone, _) in self.patients.extract_if(.., |name, _| !listed.contains_key(name)) {
            self.metrics.forget(&gone);
        }
        self.board.keep(&listed);
        // Also while another healer acts, or a trial.
        for (name, one) in &listed {
            self.metrics.unhealthy(name).set(unhealthy(&one.status));
            self.metrics.stands(name, &one.status);
        }
        let states: BTreeMap<&String, State> =
            listed.iter().map(|(name, one)| (name, self.state(name, &one.status))).collect();
        let calm = states.values().all(|state| matches!(state, State::Running | State::Held));
        self.probe(&listed, calm).await;
        for (name, one) in listed.iter().filter(|(name, _)| on_duty && !tried.contains(*name)) {
            let state = states.get(name).copied().unwrap_or(State::Changing);
            self.treat(name, one, state).await;
        }
        if !on_duty {
            // Who comes on duty begins with what it sees then. The names stay, to be forgotten when they are gone.
            self.patients.values_mut().for_each(|patient| *patient = Patient::default());
        }
        if calm && tried.is_empty() { CALM } else { ALERT }
    }

    /// The state for the healer: Connect's, with what is known of progress and of time.
    fn state(&mut self, name: &str, status: &Status) -> State {
        let patient = self.patients.entry(name.to_owned()).or_default();
        match patient.timed(Instant::now(), state(status)) {
            State::Running if self.board.is_stuck(name) => State::Stuck,
            state => state,
        }
    }

    /// Asks the targets: each round while something is wrong, now and then while all is well.
    async fn probe(&mut self, listed: &BTreeMap<String, Listed>, calm: bool) {
        if calm && self.probed.is_some_and(|at| at.elapsed() < PROBE_EVERY) {
            return;
        }
        let all: BTreeSet<Need> = listed.values().flat_map(|one| needs(&one.info.config)).collect();
        let health = self.probes.ask(&all).await;
        for (need, answer) in &health {
            self.metrics.target(need).set(i64::from(answer.is_none()));
            let before = self.health.get(need).is_none_or(Option::is_none);
            match answer {
                Some(reason) if before => warn!(target.name = %need, error = %reason, "target is away"),
                None if !before => info!(target.name = %need, "target is back"),
                _ => {}
            }
        }
        self.probed = Some(Instant::now());
        self.board.set_health(&health);
        self.health = health;
    }

    async fn treat(&mut self, name: &str, one: &Listed, state: State) {
        let well = needs(&one.info.config).iter().all(|need| self.health.get(need).is_none_or(Option::is_none));
        let target = match well {
            false => Target::Away,
            true if speaks_of_its_target(&one.status) => Target::Troubled,
            true => Target::Well,
        };
        let Some(patient) = self.patients.get_mut(name) else { return };
        if patient.last != Some(state) {
            report(name, patient.last, state, &one.status, &self.board.waits(name));
            patient.last = Some(state);
        }
        if state == State::Failed
            && target == Target::Well
            && self.trials.begin(name, &one.info.config, patient.healer.episode())
        {
            // It is held from now on, and is looked at anew when that is over.
            patient.healer = Healer::default();
            patient.last = None;
            return;
        }
        let reason = patient.healer.step(Instant::now(), Seen { state, target });
        let trouble = patient.healer.episode().map(|episode| Trouble::new(episode, state, &one.status));
        self.board.set_trouble(name, trouble);
        if let Some(reason) = reason {
            self.restart(name, reason).await;
        }
    }

    async fn restart(&mut self, name: &str, reason: Reason) {
        let only_failed = reason != Reason::Stuck;
        match self.connect.restart(name, only_failed).await {
            Ok(()) => {
                info!(connector = name, reason = reason.word(), "restarted");
                self.metrics.restarts(name, reason.word()).inc();
                self.board.restarted(name, !only_failed);
                self.patients.entry(name.to_owned()).or_default().restarted();
            }
            Err(err) => {
                warn!(connector = name, reason = reason.word(), error = %err, "kafka connect did not take the restart");
                self.metrics.refused(name).inc();
            }
        }
    }
}

impl Patient {
    /// What Connect has been at work on for too long does not come out of it.
    fn timed(&mut self, now: Instant, state: State) -> State {
        if state != State::Changing {
            self.changing_since = None;
            return state;
        }
        let since = *self.changing_since.get_or_insert(now);
        if CHANGING_LIMIT <= now - since { State::Stuck } else { State::Changing }
    }

    /// It is at work because of us now, and gets its full time anew: else each look would restart it once more.
    fn restarted(&mut self) {
        self.changing_since = None;
    }
}

fn state(status: &Status) -> State {
    let connector = status.connector.state.as_str();
    if status.is_held() {
        State::Held
    } else if 0 < status.failed() {
        State::Failed
    } else if connector == RUNNING && !status.tasks.is_empty() && status.tasks.iter().all(|task| task.state == RUNNING)
    {
        State::Running
    } else {
        State::Changing
    }
}

/// All that failed did so with words of the target: no record is to blame.
fn speaks_of_its_target(status: &Status) -> bool {
    let mut traces = status.parts().filter(|part| part.state == FAILED).map(|part| part.trace.as_deref());
    0 < status.failed() && traces.all(|trace| trace.and_then(isolate::reason::elsewhere).is_some())
}

fn unhealthy(status: &Status) -> i64 {
    let parts = status.parts().filter(|part| part.state == FAILED || part.state == "UNASSIGNED").count();
    i64::try_from(parts).unwrap_or(i64::MAX)
}

/// Why the first failed part failed, for a log. `connectors status` quotes what this leaves out.
fn why(status: &Status) -> String {
    let failed = status.parts().find(|part| part.state == FAILED);
    failed.map(|part| isolate::reason::logged(part.trace.as_deref().unwrap_or_default())).unwrap_or_default()
}

/// Said once at each change, not at each look.
fn report(name: &str, before: Option<State>, state: State, status: &Status, waits: &[String]) {
    match state {
        State::Failed => warn!(connector = name, tasks.failed = status.failed(), error = why(status), "failed"),
        State::Stuck => warn!(connector = name, waits = waits.join(", "), "runs but does not move"),
        State::Running if before.is_some_and(|before| before != State::Held) => info!(connector = name, "runs again"),
        State::Held => info!(connector = name, state = status.connector.state, "held by an operator, left alone"),
        State::Running | State::Changing => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_gives_a_connector_that_connect_is_at_work_on_its_full_time_anew() {
        let (mut patient, start) = (Patient::default(), Instant::now());
        let at = |patient: &mut Patient, second| patient.timed(start + Duration::from_secs(second), State::Changing);
        assert_eq!(at(&mut patient, 0), State::Changing);
        assert_eq!(at(&mut patient, 60), State::Stuck);
        patient.restarted();
        for second in [61, 120] {
            assert_eq!(at(&mut patient, second), State::Changing, "second {second}");
        }
        assert_eq!(at(&mut patient, 121), State::Stuck);
        assert_eq!(patient.timed(start, State::Running), State::Running);
        assert_eq!(at(&mut patient, 200), State::Changing);
    }
}
