//! The broker's side of the consumer group: static members, generations, and who may commit.

use std::collections::{BTreeMap, BTreeSet};

use rdkafka::types::RDKafkaErrorCode as Code;
use transforms::kafka::Failure;

use super::broker::{Positions, failure};

/// How partitions move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// All members give all back, then all get theirs.
    Eager,
    /// Members keep what does not move, and join again for what does.
    Cooperative,
    /// KIP-848: the broker tells each member at its own pace.
    Next,
}

#[derive(Debug)]
pub(super) struct Seat {
    pub(super) id: String,
    /// Whether it joined the generation that is being made.
    joined: bool,
    /// What it is told by the broker, in [`Mode::Next`].
    epoch: i32,
    target: BTreeSet<i32>,
}

/// What a client shows when it commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Card {
    pub(super) name: String,
    pub(super) id: Option<String>,
    pub(super) generation: i32,
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) mode: Mode,
    pub(super) generation: i32,
    is_stable: bool,
    seats: BTreeMap<String, Seat>,
    /// Who has a partition until it says that it gave it back; where partitions move one by one.
    owners: Vec<Option<String>>,
    pub(super) offsets: Positions,
    ids: u64,
}

impl Group {
    pub(super) fn new(mode: Mode, partitions: usize) -> Self {
        Self {
            mode,
            generation: 0,
            is_stable: true,
            seats: BTreeMap::new(),
            owners: vec![None; partitions],
            offsets: BTreeMap::new(),
            ids: 0,
        }
    }

    pub(super) fn members(&self) -> Vec<String> {
        self.seats.values().map(|seat| seat.id.clone()).collect()
    }

    pub(super) fn knows(&self, name: &str) -> bool {
        self.seats.contains_key(name)
    }

    pub(super) fn holds(&self, name: &str, id: &str) -> bool {
        self.seats.get(name).is_some_and(|seat| seat.id == id)
    }

    /// A member that has no id yet, or lost it. A known name keeps its seat, and its last holder is fenced by that.
    pub(super) fn join(&mut self, name: &str) -> String {
        self.ids += 1;
        let id = format!("{name}-{:036}", self.ids);
        match self.seats.get_mut(name) {
            Some(seat) => {
                seat.id.clone_from(&id);
                seat.joined = false;
                // The new holder has nothing in its hands.
                self.owners.iter_mut().filter(|owner| owner.as_deref() == Some(name)).for_each(|owner| *owner = None);
            }
            None => {
                let seat = Seat { id: id.clone(), joined: false, epoch: -1, target: BTreeSet::new() };
                self.seats.insert(name.to_owned(), seat);
                self.begin();
            }
        }
        id
    }

    /// The session of a member is over.
    pub(super) fn expire(&mut self, name: &str, id: &str) -> bool {
        if !self.holds(name, id) {
            return false;
        }
        self.seats.remove(name);
        self.owners.iter_mut().filter(|owner| owner.as_deref() == Some(name)).for_each(|owner| *owner = None);
        self.begin();
        true
    }

    /// The membership changed.
    fn begin(&mut self) {
        if self.mode == Mode::Next {
            self.generation += 1;
            self.share();
            return;
        }
        self.is_stable = false;
        self.seats.values_mut().for_each(|seat| seat.joined = false);
        self.complete();
    }

    fn complete(&mut self) {
        if !self.is_stable && self.seats.values().all(|seat| seat.joined) {
            self.generation += 1;
            self.is_stable = true;
            self.share();
        }
    }

    /// Gives each member its share; a member keeps of its share what it can.
    fn share(&mut self) {
        let (members, partitions) = (self.seats.len(), self.owners.len());
        let mut free: BTreeSet<i32> = (0..i32::try_from(partitions).unwrap()).collect();
        let quota = |n: usize| partitions / members + usize::from(n < partitions % members);
        for (n, seat) in self.seats.values_mut().enumerate() {
            let kept = seat.target.iter().copied().filter(|partition| free.contains(partition));
            seat.target = if self.mode == Mode::Eager { BTreeSet::new() } else { kept.take(quota(n)).collect() };
            free.retain(|partition| !seat.target.contains(partition));
        }
        for (n, seat) in self.seats.values_mut().enumerate() {
            while seat.target.len() < quota(n) {
                seat.target.extend(free.pop_first());
            }
        }
    }

    /// Whether this member must give all back before it can join.
    pub(super) fn asks_for_all(&self, name: &str) -> bool {
        self.mode == Mode::Eager && !self.is_stable && self.seats.get(name).is_some_and(|seat| !seat.joined)
    }

    /// A heartbeat of a member that has nothing that it must give back first.
    pub(super) fn ready(&mut self, name: &str) {
        let generation = self.generation;
        if let Some(seat) = self.seats.get_mut(name) {
            seat.joined = true;
            seat.epoch = generation;
        }
        self.complete();
    }

    /// The generation of this member and its share, once both are known.
    pub(super) fn told(&self, name: &str) -> Option<(i32, &BTreeSet<i32>)> {
        let seat = self.seats.get(name)?;
        match self.mode {
            Mode::Next => Some((seat.epoch, &seat.target)),
            Mode::Eager | Mode::Cooperative => self.is_stable.then_some((self.generation, &seat.target)),
        }
    }

    /// Whether nobody else has this partition still.
    pub(super) fn is_free_for(&self, partition: i32, name: &str) -> bool {
        let owner = &self.owners[usize::try_from(partition).unwrap()];
        self.mode == Mode::Eager || owner.as_deref().is_none_or(|owner| owner == name)
    }

    pub(super) fn take(&mut self, partition: i32, name: &str) {
        self.owners[usize::try_from(partition).unwrap()] = Some(name.to_owned());
    }

    /// A member gave partitions back of its own accord.
    pub(super) fn give_back(&mut self, partitions: &BTreeSet<i32>, name: &str) {
        for partition in partitions {
            let owner = &mut self.owners[usize::try_from(*partition).unwrap()];
            if owner.as_deref() == Some(name) {
                *owner = None;
            }
        }
        if self.mode == Mode::Cooperative && !partitions.is_empty() {
            self.begin();
        }
    }

    /// Whether whoever shows this card may commit.
    pub(super) fn admits(&self, card: &Card) -> Result<(), Failure> {
        let Some(seat) = self.seats.get(&card.name) else { return Err(failure(Code::UnknownMemberId, "a")) };
        if card.id.as_ref() != Some(&seat.id) {
            return Err(failure(Code::FencedInstanceId, "a"));
        }
        let (expected, stale) = match self.mode {
            Mode::Next => (seat.epoch, Code::StaleMemberEpoch),
            Mode::Eager | Mode::Cooperative => (self.generation, Code::IllegalGeneration),
        };
        if card.generation == expected { Ok(()) } else { Err(failure(stale, "a")) }
    }
}
