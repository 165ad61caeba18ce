//! The loop: gather a batch, do the work, commit outputs and offsets in one transaction, again. One slot is one OS
//! thread, because the transactional calls block. What a failure means is decided in [`crate::kafka::fault`]; here is
//! how it is done.

mod holder;
mod stuck;
mod trace;

use std::cell::Cell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use self::stuck::Stuck;
use crate::control::Control;
use crate::kafka::seam::Kafka;
use crate::kafka::{Action, Fault, Gathered, Identity, Input, Outgoing, Session};
use crate::metrics::SlotMetrics;
use crate::status::{State, Status};
use crate::work::{Factory, Hold, NoWork, Tally, Work};

/// How long a poll waits for a first record; a stop or a change is noticed within this time.
const POLL_WAIT: Duration = Duration::from_millis(100);
/// The pause before new clients are made: doubled each time, up to the second value, until a transaction succeeds.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How often a failed slot looks whether it may try again; it is told as well.
const FAILED_PAUSE: Duration = Duration::from_secs(1);

/// Everything a slot needs to know.
pub struct Slot {
    /// Where the records are, and what time it is.
    pub kafka: Arc<dyn Kafka>,
    /// Who the slot is.
    pub identity: Identity,
    /// The topics to read.
    pub topics: Vec<String>,
    /// What it is told.
    pub control: Arc<Control>,
    /// What it says.
    pub status: Arc<Status>,
    /// What it counts.
    pub metrics: SlotMetrics,
}

/// What is known of a session after it.
#[derive(Default)]
struct Life {
    committed: Cell<bool>,
    member: Cell<Option<String>>,
}

/// Why a session ended.
enum End {
    Stopped,
    /// Somebody asked for new clients.
    Asked,
    Fault(Fault),
    /// Something else went wrong that need not go wrong again.
    Again(String),
    /// Only another version of the pipeline, or a restart, can help.
    Failed {
        trace: String,
        version: u64,
    },
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Slot {
    /// Runs until told to stop. Never gives up: a slot that failed waits for a restart or a change of its pipeline.
    pub fn run(self) {
        let mut backoff = BACKOFF.0;
        self.name_other_holder();
        while !self.control.is_stopped() {
            let restarts = self.restarts();
            let life = Life::default();
            let ended = self.session(&life);
            self.status.set_in_flight(0);
            self.opened(0);
            if life.committed.get() {
                backoff = BACKOFF.0;
            }
            match ended {
                End::Stopped => break,
                End::Asked => tracing::info!(slot = self.identity.slot(), "slot starts over, as asked"),
                End::Failed { trace, version } => self.fail(&trace, version, restarts),
                End::Fault(fault) => match fault.action() {
                    Action::StandBy => self.stand_by(&fault, life.member.take().as_deref()),
                    Action::Retry | Action::AbortAndRewind | Action::Rebuild => {
                        self.start_over(&fault.to_string(), &mut backoff);
                    }
                },
                End::Again(trace) => self.start_over(&trace, &mut backoff),
            }
        }
        self.status.update(|report| report.state = State::Unassigned);
    }

    fn start_over(&self, trace: &str, backoff: &mut Duration) {
        self.restarting(trace);
        self.wait(*backoff);
        *backoff = (*backoff * 2).min(BACKOFF.1);
    }

    fn session(&self, life: &Life) -> End {
        let mut seat = match caught(|| self.sit_down()) {
            Ok(seat) => seat,
            Err(end) => return end,
        };
        let ended = loop {
            if let Some(member) = seat.member.take() {
                life.member.set(Some(member));
            }
            match caught(|| self.turn(&mut seat)) {
                Ok(committed) => life.committed.set(committed || life.committed.get()),
                Err(end) => break end,
            }
        };
        self.close(seat.session);
        ended
    }

    fn wait(&self, time: Duration) {
        self.kafka.wait(&self.control, time);
    }

    fn close(&self, session: Session) {
        if !session.close() {
            self.control.hung("closing a Kafka client did not end");
        }
    }

    fn sit_down(&self) -> Result<Seat, End> {
        self.status.begun();
        let restarts = self.restarts();
        let (version, work) = self.work()?;
        let session = Session::open(&self.kafka, &self.identity, &self.topics, self.control.accepted_gaps())?;
        // It may take longer than whoever stops the slot waits for it.
        let settled = session.settle(&|| self.control.is_stopped());
        if settled != Ok(true) {
            self.close(session);
            return Err(settled.map_or_else(End::from, |_| End::Stopped));
        }
        self.status.set_work(version);
        Ok(Seat {
            session,
            work,
            version,
            restarts,
            paused: false,
            troubled: true,
            epoch: u64::MAX,
            member: None,
            batch: Vec::new(),
            out: Vec::new(),
            stuck: Stuck::default(),
        })
    }

    /// One turn of the loop; `true` when a transaction was committed.
    fn turn(&self, seat: &mut Seat) -> Result<bool, End> {
        self.heed(seat)?;
        let heeded = seat.heeded();
        let over = || self.told() != heeded;
        let gathered = seat.session.gather(POLL_WAIT, (seat.work.commit_interval(), &over), &mut seat.batch)?;
        self.report(seat);
        // Gathering may take a while, and the batch is the new version's.
        self.heed(seat)?;
        if seat.paused {
            // An assignment that came meanwhile is not paused yet.
            if gathered == Gathered::Batch {
                seat.session.rewind()?;
            }
            seat.session.pause(true)?;
            return Ok(false);
        }
        if gathered == Gathered::Nothing {
            return Ok(false);
        }
        self.status.set_in_flight(seat.batch.len());
        let done = self.batch(seat);
        self.status.set_in_flight(0);
        done
    }

    /// Does what the control says: between two transactions, and only there.
    fn heed(&self, seat: &mut Seat) -> Result<(), End> {
        if self.control.is_stopped() {
            return Err(End::Stopped);
        }
        if seat.restarts != self.restarts() {
            return Err(End::Asked);
        }
        if seat.version != self.control.version() {
            let started = self.kafka.now();
            (seat.version, seat.work) = self.work()?;
            self.status.set_work(seat.version);
            self.metrics.swapped(self.kafka.now().duration_since(started));
        }
        if seat.paused != self.control.is_paused() {
            seat.paused = self.control.is_paused();
            seat.session.pause(seat.paused)?;
            self.status.update(|report| report.state = if seat.paused { State::Paused } else { State::Running });
        }
        Ok(())
    }

    /// The work that is to be done now: as it was made ready, or made here.
    fn work(&self) -> Result<(u64, Box<dyn Work>), End> {
        let (version, factory, ready) = self.control.order();
        ready.map_or_else(|| made(factory.as_ref(), version), Ok).map(|work| (version, work))
    }

    /// Does the work on the gathered batch: in one transaction, or in several where the work stops early.
    fn batch(&self, seat: &mut Seat) -> Result<bool, End> {
        let mut from = 0;
        while let Some(rest) = seat.batch.get(from..).filter(|rest| !rest.is_empty()) {
            seat.out.clear();
            let (part, refused) = seat.stuck.part(rest);
            let applied = match (refused, part) {
                (Some(refusal), [input]) => seat.work.divert(input, &refusal.to_string(), &mut seat.out),
                _ => seat.work.apply(part, &mut seat.out),
            };
            let tally = match applied {
                Ok(tally) => tally,
                Err(Hold::Wait { reason, pause }) => return self.hold(seat, reason, pause),
                Err(Hold::Fail(trace)) => return Err(End::Failed { trace, version: seat.version }),
            };
            let Some(done) = part.get(..tally.done).filter(|done| !done.is_empty()) else {
                let trace = "the work did nothing; this is a defect".to_owned();
                return Err(End::Failed { trace, version: seat.version });
            };
            match seat.session.transact(done, &seat.out, &|records| self.opened(records)) {
                Ok(commit) => {
                    seat.stuck.committed(done);
                    seat.work.committed(tally.done);
                    trace::committed(done, &seat.out);
                    self.committed(seat, tally, commit);
                }
                Err(fault) => return self.recover(seat, fault, from..from + tally.done),
            }
            from += tally.done;
            self.status.set_in_flight(seat.batch.len() - from);
            // What is left may take long, and whoever told the slot something waits. It is read again later.
            if from < seat.batch.len() && self.is_told_otherwise(seat) {
                // Another session begins behind what is committed by itself.
                if !self.control.is_stopped() && seat.restarts == self.restarts() {
                    seat.session.rewind()?;
                }
                break;
            }
        }
        Ok(true)
    }

    /// Deals with a transaction of these records of the batch that failed.
    fn recover(&self, seat: &mut Seat, fault: Fault, records: Range<usize>) -> Result<bool, End> {
        match fault.action() {
            Action::Retry | Action::AbortAndRewind => {
                self.metrics.aborted();
                seat.session.abort()?;
                self.opened(0);
                let refusal = seat.session.refusal();
                let why = refusal.as_ref().map_or_else(|| fault.to_string(), ToString::to_string);
                tracing::info!(why, "transaction is aborted and done again");
                let pace = seat.stuck.aborted(seat.batch.get(records).unwrap_or_default(), refusal);
                if pace.shown {
                    self.status.update(|report| (report.state, report.trace) = (State::Restarting, Some(why)));
                    seat.troubled = true;
                }
                seat.session.rewind()?;
                self.wait(pace.pause);
                Ok(false)
            }
            Action::Rebuild | Action::StandBy => Err(End::Fault(fault)),
        }
    }

    /// Puts the batch back and rests, without leaving the group.
    fn hold(&self, seat: &mut Seat, reason: String, pause: Duration) -> Result<bool, End> {
        tracing::warn!(reason, "batch is held back");
        self.metrics.held();
        self.status.update(|report| report.held = Some(reason));
        seat.session.rewind()?;
        seat.session.pause(true)?;
        let until = self.kafka.now() + pause;
        // Other work may do what this could not, so it does not wait for the end of the rest.
        while self.kafka.now() < until && !self.is_told_otherwise(seat) {
            if seat.session.gather(POLL_WAIT, (Duration::ZERO, &|| false), &mut seat.batch)? == Gathered::Batch {
                seat.session.rewind()?;
                seat.session.pause(true)?;
            }
        }
        seat.session.pause(false)?;
        seat.troubled = true;
        Ok(false)
    }

    fn committed(&self, seat: &mut Seat, tally: Tally, commit: Duration) {
        self.metrics.committed(tally, commit);
        if std::mem::take(&mut seat.troubled) {
            tracing::info!(slot = self.identity.slot(), "records flow again");
            self.status.update(|report| (report.state, report.trace, report.held) = (State::Running, None, None));
        }
    }

    /// Tells the status what changed.
    fn report(&self, seat: &mut Seat) {
        if let Some(news) = seat.session.news.take() {
            self.status.update(|report| report.trace = Some(news.to_string()));
            seat.troubled = true;
        }
        let epoch = seat.session.epoch();
        if seat.epoch == epoch {
            return;
        }
        seat.epoch = epoch;
        seat.member = seat.session.member_id();
        let Some((assigned, gaps)) = seat.session.assigned() else { return };
        for gap in &gaps {
            tracing::error!(gap = %gap, "partition is stopped");
        }
        tracing::info!(
            slot = self.identity.slot(),
            partitions = assigned.len(),
            gaps = gaps.len(),
            "partitions assigned"
        );
        seat.stuck.keep(&assigned);
        let state = if seat.paused { State::Paused } else { State::Running };
        self.status.update(|report| {
            (report.state, report.assigned, report.gaps) = (state, assigned, gaps);
            // What was held may be another's now.
            (report.trace, report.held) = (None, None);
        });
    }

    /// Whether [`Slot::heed`] has something to do.
    fn is_told_otherwise(&self, seat: &Seat) -> bool {
        self.told() != seat.heeded()
    }

    fn told(&self) -> Told {
        (self.control.is_stopped(), self.control.is_paused(), self.control.version(), self.restarts())
    }

    /// How often this slot was asked to start over: with all of its pipeline, or alone.
    fn restarts(&self) -> u64 {
        self.control.restarts() + self.status.restarts()
    }

    fn opened(&self, records: usize) {
        self.status.set_open(records);
        self.metrics.opened(records);
    }

    fn restarting(&self, trace: &str) {
        tracing::warn!(slot = self.identity.slot(), trace, "clients are made anew");
        self.metrics.rebuilt();
        self.status.update(|report| {
            (report.state, report.trace) = (State::Restarting, Some(trace.to_owned()));
            report.assigned.clear();
            report.rebuilds += 1;
        });
    }

    /// Waits for a restart or a change of the pipeline.
    fn fail(&self, trace: &str, version: u64, restarts: u64) {
        tracing::error!(slot = self.identity.slot(), trace, "slot failed");
        self.status.fail(trace);
        while !self.control.is_stopped() && self.control.version() == version && self.restarts() == restarts {
            self.wait(FAILED_PAUSE);
        }
    }
}

/// What a slot has while its session lasts.
struct Seat {
    session: Session,
    work: Box<dyn Work>,
    version: u64,
    restarts: u64,
    paused: bool,
    troubled: bool,
    epoch: u64,
    member: Option<String>,
    batch: Vec<Input>,
    out: Vec<Outgoing>,
    stuck: Stuck,
}

/// What a slot is told: whether to stop, whether to pause, the version, how often to start over.
type Told = (bool, bool, u64, u64);

impl Seat {
    /// What was heeded so far.
    fn heeded(&self) -> Told {
        (false, self.paused, self.version, self.restarts)
    }
}

/// A panic (of a decoder, say) must not silence the slot for ever. The batch is not committed, so nothing is lost.
fn caught<T>(run: impl FnOnce() -> Result<T, End>) -> Result<T, End> {
    let ended = catch_unwind(AssertUnwindSafe(run));
    ended.unwrap_or_else(|panic| Err(End::Again(format!("the slot panicked: {}", panic_text(panic.as_ref())))))
}

fn made(factory: &dyn Factory, version: u64) -> Result<Box<dyn Work>, End> {
    factory.make().map_err(|no| match no {
        NoWork::Again(trace) => End::Again(trace),
        NoWork::Never(trace) => End::Failed { trace, version },
    })
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no text".to_owned())
}
