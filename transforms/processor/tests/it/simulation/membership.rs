//! What a client does as a member of its group, between the calls and in a poll.

use std::collections::BTreeSet;

use rdkafka::types::RDKafkaErrorCode as Code;

use super::broker::failure;
use super::group::Mode;
use super::world::{Duty, World};

impl World {
    /// What librdkafka's own thread does between two calls: heartbeats.
    pub(super) fn heartbeat(&mut self, client: usize) {
        if self.is_silent(client) {
            return;
        }
        let one = &mut self.clients[client];
        match &one.id {
            Some(id) if !self.group.holds(&one.name, id) => {
                if self.group.knows(&one.name) {
                    one.fatal = Some(failure(Code::FencedInstanceId, "f"));
                    return;
                }
                (one.id, one.generation, one.lost) = (None, -1, !one.held.is_empty());
            }
            Some(_) => {}
            None if one.held.is_empty() => (one.id, one.generation) = (Some(self.group.join(&one.name)), -1),
            None => {}
        }
        if one.id.is_none() || (self.group.asks_for_all(&one.name) && !one.held.is_empty()) {
            return;
        }
        self.group.ready(&one.name);
        // The answer of a heartbeat may be a while on its way.
        if let Some((generation, _)) = self.group.told(&one.name)
            && one.generation != generation
            && (self.group.mode == Mode::Eager || self.rng.chance(700))
        {
            one.generation = generation;
        }
    }

    /// What a poll has to do first.
    pub(super) fn duty(&mut self, client: usize) -> Option<Duty> {
        self.heartbeat(client);
        let one = &self.clients[client];
        if let Some(fatal) = &one.fatal {
            return Some(Duty::Fail(fatal.clone()));
        }
        if one.lost || (self.group.asks_for_all(&one.name) && !one.held.is_empty()) {
            return Some(Duty::Revoke(one.held.clone()));
        }
        let (generation, target) = self.group.told(&one.name)?;
        if one.id.is_none() || generation != one.generation {
            return None;
        }
        let revoked: BTreeSet<i32> = one.held.difference(target).copied().collect();
        if !revoked.is_empty() {
            return Some(Duty::Revoke(revoked));
        }
        let given = target.difference(&one.held).copied();
        let given: BTreeSet<i32> = given.filter(|partition| self.group.is_free_for(*partition, &one.name)).collect();
        (!given.is_empty()).then_some(Duty::Assign(given))
    }

    pub(super) fn taken(&mut self, client: usize, given: &BTreeSet<i32>) {
        let one = &mut self.clients[client];
        one.held.extend(given);
        given.iter().for_each(|partition| self.group.take(*partition, &one.name));
    }

    pub(super) fn given_back(&mut self, client: usize, partitions: &BTreeSet<i32>) {
        let one = &mut self.clients[client];
        one.held.retain(|partition| !partitions.contains(partition));
        if !std::mem::take(&mut one.lost) {
            self.group.give_back(partitions, &one.name);
        }
    }
}
