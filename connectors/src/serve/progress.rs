//! Whether a sink moves: a task can hang while its state says RUNNING. Judges by committed offsets, task by task, since
//! one task serves its partitions in turn. Knows no Kafka client.
//!
//! An offset that is left need not be a record (transactions leave markers), so a partition that rests is first looked
//! at; only from a record that was seen waiting does the time count.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::kafka::lag::{Looked, Place, Spot};

/// A partition with offsets left rests for so long before anyone looks.
const LOOK_AFTER: Duration = Duration::from_secs(4);
/// A record waits for so long before its task is called stuck. A sink's slowest honest batch must fit: 50 documents
/// took 15 s on a starved machine (measured), and a restart throws the batch away.
const STUCK_AFTER: Duration = Duration::from_secs(60);
/// Each restart for standstill doubles the patience until something moves, so that restarts cannot be what stands in
/// the way; at most to eight minutes.
const MOST_DOUBLINGS: u32 = 3;

/// What is remembered of one connector.
#[derive(Debug, Default)]
pub struct Progress {
    spots: BTreeMap<Spot, Memory>,
    doublings: u32,
}

#[derive(Debug)]
struct Memory {
    committed: i64,
    /// When the commit was first seen here, or the end moved on from mere markers.
    since: Instant,
    /// When the commit last moved, if it was seen to move.
    moved: Option<Instant>,
    sight: Sight,
}

#[derive(Debug, Clone, Copy)]
enum Sight {
    NotLooked,
    /// Up to this end there are markers only.
    Empty {
        end: i64,
    },
    /// A record waits, and has since then.
    Unread {
        since: Instant,
    },
}

/// What follows from new positions.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Places that rest with offsets left, and nobody has looked whether these are records.
    pub look: Vec<Place>,
    /// Places of tasks that hang.
    pub stuck: Vec<Place>,
}

impl Progress {
    /// Takes new positions in; `owners` says which task reads what.
    pub fn observe(&mut self, now: Instant, places: &[Place], owners: &BTreeMap<Spot, String>) -> Verdict {
        let mut moved: BTreeMap<&str, Instant> = BTreeMap::new();
        for place in places {
            let memory = self.spots.entry(place.spot.clone()).or_insert_with(|| Memory::new(now, place));
            if memory.take(now, place) {
                self.doublings = 0;
            }
            if let (Some(owner), Some(at)) = (owners.get(&place.spot), memory.moved) {
                let latest = moved.entry(owner).or_insert(at);
                *latest = at.max(*latest);
            }
        }
        let patience = STUCK_AFTER * 2_u32.pow(self.doublings);
        let mut verdict = Verdict::default();
        for place in places.iter().filter(|place| 0 < place.lag()) {
            let Some(memory) = self.spots.get(&place.spot) else { continue };
            let sibling = owners.get(&place.spot).and_then(|owner| moved.get(owner.as_str()));
            match memory.sight {
                Sight::NotLooked if LOOK_AFTER <= now - memory.since => verdict.look.push(place.clone()),
                Sight::Unread { since } if patience <= now - since => {
                    if sibling.is_none_or(|at| patience <= now - *at) {
                        verdict.stuck.push(place.clone());
                    }
                }
                Sight::NotLooked | Sight::Empty { .. } | Sight::Unread { .. } => {}
            }
        }
        verdict
    }

    /// These places were looked at. What could not be seen is looked at again: taken for empty, a sink that hangs over
    /// its one waiting order would never be healed.
    pub fn looked(&mut self, now: Instant, places: &[Place], looked: &Looked) {
        for place in places.iter().filter(|place| !looked.unknown.contains(&place.spot)) {
            if let Some(memory) = self.spots.get_mut(&place.spot) {
                memory.sight = match looked.unread.contains(&place.spot) {
                    true => Sight::Unread { since: now },
                    false => Sight::Empty { end: place.end },
                };
            }
        }
    }

    /// The places with offsets left that are not known to be mere markers.
    #[must_use]
    pub fn waiting(&self, places: &[Place]) -> Vec<Place> {
        let is_empty = |place: &Place| {
            let sight = self.spots.get(&place.spot).map(|memory| memory.sight);
            matches!(sight, Some(Sight::Empty { end }) if end == place.end)
        };
        places.iter().filter(|place| 0 < place.lag() && !is_empty(place)).cloned().collect()
    }

    /// How many offsets those are.
    #[must_use]
    pub fn lag(&self, places: &[Place]) -> i64 {
        self.waiting(places).iter().map(Place::lag).sum()
    }

    /// Forgets the positions: after a restart the time counts anew. After one `for_standstill` it also counts longer.
    pub fn restarted(&mut self, for_standstill: bool) {
        self.spots.clear();
        if for_standstill {
            self.doublings = MOST_DOUBLINGS.min(self.doublings + 1);
        }
    }
}

impl Memory {
    fn new(now: Instant, place: &Place) -> Self {
        Self { committed: place.committed, since: now, moved: None, sight: Sight::NotLooked }
    }

    /// True where the commit has moved.
    fn take(&mut self, now: Instant, place: &Place) -> bool {
        let has_moved = self.committed != place.committed;
        if has_moved {
            *self = Self { moved: Some(now), ..Self::new(now, place) };
        }
        let is_new = match self.sight {
            Sight::Empty { end } => end != place.end,
            Sight::NotLooked | Sight::Unread { .. } => place.lag() == 0,
        };
        if is_new {
            self.since = now;
            self.sight = Sight::NotLooked;
        }
        has_moved
    }
}

#[cfg(test)]
mod tests;
