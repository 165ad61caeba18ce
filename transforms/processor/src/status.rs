//! What a slot says of itself, for `status`, readiness and the tests that need to know that a transaction was open.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::kafka::{Gap, Place};

/// A slot's state, in Connect's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not in the group yet.
    Unassigned,
    /// In the group, taking records or waiting for some.
    Running,
    /// Held by an operator.
    Paused,
    /// Its clients are being made anew.
    Restarting,
    /// It needs a human.
    Failed,
}

impl State {
    /// As Connect writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unassigned => "UNASSIGNED",
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Restarting => "RESTARTING",
            Self::Failed => "FAILED",
        }
    }
}

/// What a slot last said.
#[derive(Debug, Clone)]
pub struct Report {
    /// Its state.
    pub state: State,
    /// Why it failed, restarts or waits.
    pub trace: Option<String>,
    /// Why the batch in hand is held back, while it is.
    pub held: Option<String>,
    /// The partitions it reads.
    pub assigned: Vec<Place>,
    /// The partitions that stand still at a gap.
    pub gaps: Vec<Gap>,
    /// How often its clients were made anew.
    pub rebuilds: u64,
}

/// The status of one slot; written by the slot, read by everybody.
#[derive(Debug)]
pub struct Status {
    report: Mutex<Report>,
    in_flight: AtomicUsize,
    open: AtomicUsize,
    restarts: AtomicU64,
    starts: AtomicU64,
    /// Which of the works that it was given the slot does.
    work: AtomicU64,
}

impl Default for Status {
    fn default() -> Self {
        let report = Report {
            state: State::Unassigned,
            trace: None,
            held: None,
            assigned: Vec::new(),
            gaps: Vec::new(),
            rebuilds: 0,
        };
        let (in_flight, open) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self {
            report: Mutex::new(report),
            in_flight,
            open,
            restarts: AtomicU64::new(0),
            starts: AtomicU64::new(0),
            work: AtomicU64::new(u64::MAX),
        }
    }
}

impl Status {
    /// What the slot last said.
    #[must_use]
    pub fn report(&self) -> Report {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records that were read and are not committed.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Records in the open transaction; 0 when none is open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Whether the slot does its work or stands ready to.
    ///
    /// # Errors
    /// Says why not.
    pub fn check(&self) -> Result<(), String> {
        let report = self.report();
        let trace = report.trace.unwrap_or_else(|| "no reason given".to_owned());
        match report.state {
            State::Failed | State::Restarting => return Err(format!("{}: {trace}", report.state.as_str())),
            State::Unassigned => return Err("has not joined the group yet".to_owned()),
            State::Running | State::Paused => {}
        }
        if let Some(reason) = report.held {
            return Err(format!("a batch is held back: {reason}"));
        }
        report.gaps.first().map_or(Ok(()), |gap| Err(gap.to_string()))
    }

    /// How often the slot made its clients and its work: at its start, and whenever it started over.
    #[must_use]
    pub fn starts(&self) -> u64 {
        self.starts.load(Ordering::Relaxed)
    }

    pub(crate) fn begun(&self) {
        self.starts.fetch_add(1, Ordering::Relaxed);
    }

    /// Asks this slot alone to start over; [`crate::control::Control::wake`] lets it see that at once.
    pub(crate) fn ask_restart(&self) {
        self.restarts.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::SeqCst)
    }

    pub(crate) fn fail(&self, trace: &str) {
        self.update(|report| {
            (report.state, report.trace) = (State::Failed, Some(trace.to_owned()));
            report.assigned.clear();
        });
    }

    pub(crate) fn set_in_flight(&self, records: usize) {
        self.in_flight.store(records, Ordering::Relaxed);
    }

    /// The slot does this work, by [`crate::control::Control`]'s count.
    pub(crate) fn set_work(&self, number: u64) {
        self.work.store(number, Ordering::SeqCst);
    }

    pub(crate) fn work(&self) -> u64 {
        self.work.load(Ordering::SeqCst)
    }

    pub(crate) fn set_open(&self, records: usize) {
        self.open.store(records, Ordering::Relaxed);
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
