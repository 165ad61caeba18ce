//! When to restart a connector: a state machine with no clock and no server of its own.
//!
//! While a target is away, a restart is tried now and then only, since a probe may be wrong. When it is back, the
//! restart comes at once. When a connector fails although its target is well, the pauses double up to a cap: that is
//! what a record looks like which the target will never take, and it must not become a hot loop.

use std::time::Duration;

use tokio::time::Instant;

/// First pause after a restart that did not help, the target being well.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause, and the pause while a target is away.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The first pause while a target is away.
const AWAY_PAUSE: Duration = Duration::from_secs(10);
/// The longest pause while the target answers every probe and its own words are what the connector fails on, such as a
/// disk that is full: only a write shows when that is over.
const TROUBLED_PAUSE: Duration = Duration::from_secs(5);
/// Running for so long without trouble counts as healed. A poisoned sink runs for a few seconds at most.
const STABLE: Duration = Duration::from_secs(60);
/// Restarts that did not help although the target is well, after which a record is suspected.
const SUSPECT_AFTER: u32 = 3;

/// What is known of a connector at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// How it runs.
    pub state: State,
    /// How all that it needs is.
    pub target: Target,
}

/// How all is that a connector needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// It takes writes, as far as a probe can tell.
    Well,
    /// A probe says so too, but the connector failed with words that are the target's own.
    Troubled,
    /// It does not answer, or takes no writes.
    Away,
}

/// How a connector runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// All of it is RUNNING and there is progress, or nothing to do.
    Running,
    /// All of it is RUNNING, records wait, and nothing moves.
    Stuck,
    /// Connector or tasks are FAILED.
    Failed,
    /// Kafka Connect is at work on it: starting, restarting, rebalancing.
    Changing,
    /// Someone paused or stopped it; that is kept.
    Held,
}

/// Why a restart is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It failed and its target is well.
    Failed,
    /// Its target is back.
    TargetBack,
    /// Its target seems away; perhaps the probe is wrong.
    TargetAway,
    /// It runs and does not move.
    Stuck,
}

impl Reason {
    /// The word in logs and metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::TargetBack => "target_back",
            Self::TargetAway => "target_away",
            Self::Stuck => "stuck",
        }
    }
}

/// One connector's trouble, while there is any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Episode {
    /// When it began.
    pub since: Instant,
    /// Restarts while the target was well, since it began or since the target came back.
    pub tries: u32,
    /// The next restart is not before this.
    pub next: Instant,
    /// The target was away when last looked at.
    pub target_away: bool,
    /// The last failure was said to be the target's own, by itself.
    pub target_troubled: bool,
    /// Running again since then, if it is.
    well_since: Option<Instant>,
    /// The pause after the next restart.
    pause: Duration,
}

impl Episode {
    fn new(now: Instant) -> Self {
        Self {
            since: now,
            tries: 0,
            next: now,
            target_away: false,
            target_troubled: false,
            well_since: None,
            pause: FIRST_PAUSE,
        }
    }

    /// It keeps failing although its target is well: probably a record that the target will not take.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.is_its_own() && SUSPECT_AFTER <= self.tries
    }

    /// Nothing says that the target is what is wrong.
    #[must_use]
    pub fn is_its_own(&self) -> bool {
        !self.target_away && !self.target_troubled
    }

    /// Running again, but not yet for long.
    #[must_use]
    pub fn is_settling(&self) -> bool {
        self.well_since.is_some()
    }
}

/// The healer of one connector.
#[derive(Debug, Clone, Default)]
pub struct Healer {
    episode: Option<Episode>,
}

impl Healer {
    /// The trouble that the connector is in.
    #[must_use]
    pub fn episode(&self) -> Option<&Episode> {
        self.episode.as_ref()
    }

    /// What to do now, given what is seen now.
    pub fn step(&mut self, now: Instant, seen: Seen) -> Option<Reason> {
        match seen.state {
            State::Held => {
                self.episode = None;
                None
            }
            State::Changing => None,
            State::Running => {
                self.well(now);
                None
            }
            State::Failed => self.failed(now, seen.target),
            State::Stuck => self.stuck(now, seen.target),
        }
    }

    fn well(&mut self, now: Instant) {
        let Some(episode) = &mut self.episode else { return };
        let since = *episode.well_since.get_or_insert(now);
        if STABLE <= now - since {
            self.episode = None;
        }
    }

    fn failed(&mut self, now: Instant, target: Target) -> Option<Reason> {
        let episode = self.episode.get_or_insert_with(|| Episode::new(now));
        episode.well_since = None;
        episode.target_troubled = target == Target::Troubled;
        if target == Target::Away {
            return episode.away(now);
        }
        let back = std::mem::take(&mut episode.target_away);
        if back {
            episode.tries = 0;
            episode.pause = FIRST_PAUSE;
            episode.next = now;
        }
        episode.restart(now).then_some(if back { Reason::TargetBack } else { Reason::Failed })
    }

    /// A stuck connector is restarted once, then ever more rarely; a target that is away is waited for.
    fn stuck(&mut self, now: Instant, target: Target) -> Option<Reason> {
        let episode = self.episode.get_or_insert_with(|| Episode::new(now));
        episode.well_since = None;
        episode.target_troubled = false;
        (target != Target::Away && episode.restart(now)).then_some(Reason::Stuck)
    }
}

impl Episode {
    fn restart(&mut self, now: Instant) -> bool {
        let longest = if self.target_troubled { TROUBLED_PAUSE } else { LONGEST_PAUSE };
        self.next = self.next.min(now + longest);
        if now < self.next {
            return false;
        }
        self.tries += 1;
        self.pause = longest.min(self.pause);
        self.next = now + self.pause;
        self.pause = longest.min(self.pause * 2);
        true
    }

    fn away(&mut self, now: Instant) -> Option<Reason> {
        if !self.target_away {
            self.target_away = true;
            self.pause = AWAY_PAUSE;
            self.next = now + self.pause;
            return None;
        }
        if now < self.next {
            return None;
        }
        self.pause = LONGEST_PAUSE.min(self.pause * 2);
        self.next = now + self.pause;
        Some(Reason::TargetAway)
    }
}

#[cfg(test)]
mod tests;
