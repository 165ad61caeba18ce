//! What passes between clients and the broker: records out of its logs, and transactions into them.

use rdkafka::types::RDKafkaErrorCode as Code;
use transforms::kafka::{Failure, Refusal};

use super::broker::{Entry, Positions, Then, failure};
use super::faults::Defect;
use super::world::{Event, MS, SECOND, Time, World};

const TRANSACTION: Time = 10 * SECOND;

impl World {
    /// The next record that a client may see.
    pub(super) fn fetch(&mut self, client: usize) -> Option<Result<(i32, i64, u64), Failure>> {
        let one = &mut self.clients[client];
        let open: Vec<i32> = one.reads.keys().copied().filter(|partition| !one.paused.contains(partition)).collect();
        if open.is_empty() {
            return None;
        }
        let first = self.rng.below(open.len() as u64);
        for turn in 0..open.len() {
            let partition = open[(usize::try_from(first).unwrap() + turn) % open.len()];
            let (log, at) = (&self.logs[usize::try_from(partition).unwrap()], one.reads.get_mut(&partition).unwrap());
            if *at < log.start {
                return Some(Err(failure(Code::AutoOffsetReset, "")));
            }
            while *at < log.end() {
                let (offset, entry) = (*at, log.entries[usize::try_from(*at).unwrap()]);
                *at += 1;
                match entry {
                    Entry::Record(id) => return Some(Ok((partition, offset, id))),
                    Entry::Aborted(id) if self.defect == Some(Defect::ReadsUncommitted) => {
                        return Some(Ok((partition, offset, id)));
                    }
                    Entry::Aborted(_) | Entry::Marker => {}
                }
            }
        }
        None
    }

    pub(super) fn then(&mut self, name: &str, then: &Then) {
        match then {
            Then::Nothing => {}
            Then::Began(number) => {
                self.after(TRANSACTION, Event::TransactionTimeout { name: name.to_owned(), number: *number });
            }
            Then::Decided => {
                let slow = !self.is_calm() && self.rng.chance(30);
                let time = if slow { self.rng.between(SECOND, 8 * SECOND) } else { self.rng.between(200, 20 * MS) };
                self.after(time, Event::Markers { name: name.to_owned() });
            }
        }
    }

    /// Delivers what waits in a producer's queue.
    pub(super) fn deliver(&mut self, client: usize) -> Result<(), Failure> {
        while let Some(record) = self.clients[client].queue.first().copied() {
            if !record.dead && self.checker.poison.contains(&record.id) {
                let refusal = Refusal { topic: "out".to_owned(), text: "InvalidRecord".to_owned() };
                let one = &mut self.clients[client];
                one.refusal.get_or_insert(refusal);
                one.must_abort = true;
                one.queue.clear();
                return Err(failure(Code::InvalidRecord, "a"));
            }
            let (name, epoch) = (self.clients[client].name.clone(), self.clients[client].epoch);
            let then = self.coordinator.produce(&name, epoch, record)?;
            self.then(&name, &then);
            self.clients[client].queue.remove(0);
        }
        Ok(())
    }

    pub(super) fn end(&mut self, name: &str, epoch: i32, commits: bool) -> Result<(), Failure> {
        let then = self.coordinator.end(name, epoch, commits)?;
        self.then(name, &then);
        Ok(())
    }

    pub(super) fn add_offsets(&mut self, client: usize) -> Result<(), Failure> {
        let (name, epoch) = (self.clients[client].name.clone(), self.clients[client].epoch);
        let then = self.coordinator.add_offsets(&name, epoch)?;
        self.then(&name, &then);
        Ok(())
    }

    pub(super) fn commit_offsets(&mut self, client: usize, offsets: &Positions) -> Result<(), Failure> {
        let card = self.card(client);
        if self.defect != Some(Defect::NoMetadata) {
            self.group.admits(&card)?;
        }
        self.coordinator.offsets(&card.name, self.clients[client].epoch, offsets)
    }

    /// Somebody writes a few records to the input, in a transaction or not.
    pub(super) fn write(&mut self, partition: usize) {
        let aborted = self.rng.chance(100);
        for _ in 0..self.rng.between(1, 6) {
            self.inputs += 1;
            let id = self.inputs;
            if aborted {
                self.logs[partition].entries.push(Entry::Aborted(id));
            } else {
                if self.rng.chance(self.rates.poison) {
                    self.checker.poison.insert(id);
                }
                self.logs[partition].entries.push(Entry::Record(id));
            }
        }
        if aborted || self.rng.chance(200) {
            self.logs[partition].entries.push(Entry::Marker);
        }
    }
}
