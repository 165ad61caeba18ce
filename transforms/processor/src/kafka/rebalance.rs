//! What happens when the group gives or takes partitions: positions are resolved, gaps are left out, and the session
//! is told by a new epoch. It happens inside a poll, on the slot's own thread, with no transaction open.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::positions::{self, Gap, Place};
use super::seam::{Member, Offsets};
use super::{Call, Fault, Input, Signal};

/// What the group does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It gives these partitions.
    Assigned,
    /// It takes them.
    Revoked,
}

/// What this member has.
#[derive(Default)]
pub(super) struct Assignment {
    /// Counts changes, so that a batch notices that it is of an earlier assignment.
    pub(super) epoch: u64,
    /// The next offset to commit of each partition.
    pub(super) next: Offsets,
    /// In which epoch each partition came.
    since: BTreeMap<Place, u64>,
    pub(super) gaps: Vec<Gap>,
    trouble: Option<Fault>,
    /// Whether the group gave us partitions at all; with more slots than partitions some stand by.
    pub(super) joined: bool,
}

/// Keeps what a member has, through every change.
pub struct Rebalances {
    accepted: Vec<Gap>,
    assignment: Mutex<Assignment>,
    closing: AtomicBool,
}

// === impl Rebalances ===

impl Rebalances {
    /// Positions before the first assignment; these gaps are passed over.
    pub(super) fn new(accepted: Vec<Gap>) -> Self {
        Self { accepted, assignment: Mutex::default(), closing: AtomicBool::new(false) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Assignment> {
        self.assignment.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on an assignment is refused: the consumer is being closed, which must be quick, and to resolve positions
    /// takes as long as the broker does.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    /// The epoch, or what went wrong in a change.
    pub(super) fn check(&self) -> Result<u64, Fault> {
        let mut assignment = self.lock();
        assignment.trouble.take().map_or(Ok(assignment.epoch), Err)
    }

    /// Does what the group says. Called inside a poll.
    pub fn change(&self, member: &dyn Member, change: Change, places: &[Place]) {
        if member.is_lost() {
            tracing::debug!("the partitions were taken without asking");
        }
        let done = match change {
            Change::Assigned if self.closing.load(Ordering::SeqCst) => {
                drop(self.begin(member.is_incremental()));
                member.assign(&Offsets::new())
            }
            Change::Assigned => self.assigned(member, places),
            Change::Revoked => self.revoked(member, places),
        };
        if let Err(fault) = done {
            let text = format!("cannot resolve the assignment: {}", fault.text);
            self.lock().trouble = Some(Fault::found(Call::Poll, Signal::Fatal, text));
        }
    }

    /// A new epoch. Where partitions come and go all at once, nothing of the last one is left.
    fn begin(&self, incremental: bool) -> MutexGuard<'_, Assignment> {
        let mut assignment = self.lock();
        let epoch = assignment.epoch + 1;
        if incremental {
            assignment.epoch = epoch;
        } else {
            *assignment = Assignment { epoch, ..Assignment::default() };
        }
        assignment
    }

    fn assigned(&self, member: &dyn Member, places: &[Place]) -> Result<(), Fault> {
        self.begin(member.is_incremental()).joined = true;
        match positions::resolve(member, places, &self.accepted) {
            Ok(start) => {
                member.assign(&start.next)?;
                let mut assignment = self.lock();
                let epoch = assignment.epoch;
                assignment.since.extend(start.next.keys().map(|place| (place.clone(), epoch)));
                assignment.next.extend(start.next);
                assignment.gaps.extend(start.gaps);
                Ok(())
            }
            // The rebalance must be completed all the same; the slot then starts over.
            Err(fault) => member.assign(&Offsets::new()).and(Err(fault)),
        }
    }

    fn revoked(&self, member: &dyn Member, places: &[Place]) -> Result<(), Fault> {
        let mut assignment = self.begin(member.is_incremental());
        // A partition that is stopped at a gap was given to us and never assigned.
        let ours: Vec<Place> = places.iter().filter(|place| assignment.next.contains_key(place)).cloned().collect();
        assignment.next.retain(|place, _| !places.contains(place));
        assignment.since.retain(|place, _| !places.contains(place));
        assignment.gaps.retain(|gap| !places.contains(&gap.place));
        drop(assignment);
        member.unassign(&ours)
    }
}

impl Assignment {
    /// Drops what was gathered of partitions that went away since `epoch`, or went and came back: it is read again.
    /// What was gathered of the others must stay, because the client is past it.
    pub(super) fn keep(&self, batch: &mut Vec<Input>, epoch: u64) {
        batch.retain(|input| self.since.get(&input.place()).is_some_and(|since| *since <= epoch));
    }

    /// Whether the record is of the present assignment and not committed yet.
    pub(super) fn wants(&self, input: &Input) -> bool {
        self.next.get(&input.place()).is_some_and(|next| *next <= input.offset)
    }
}
