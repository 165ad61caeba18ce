//! What must hold whenever a transaction ends. Knows the logs and the offsets, and nothing of how the loop works: the
//! records that a transaction wrote of a partition must be exactly those that its offset passes over, in order.

use std::collections::BTreeSet;

use super::broker::{Ended, Log, Positions};

#[derive(Debug, Default)]
pub(super) struct Checker {
    pub(super) violations: Vec<String>,
    /// What the broker refuses as an output.
    pub(super) poison: BTreeSet<u64>,
    /// Where each log began when the run did.
    pub(super) first: Positions,
}

impl Checker {
    pub(super) fn violated(&mut self, what: String) {
        self.violations.push(what);
    }

    /// A transaction was committed, and the offsets with it.
    pub(super) fn committed(&mut self, ended: &Ended, logs: &[Log], offsets: &mut Positions) {
        let touched: BTreeSet<i32> =
            ended.written.iter().map(|written| written.partition).chain(ended.offsets.keys().copied()).collect();
        for partition in touched {
            let from = offsets.get(&partition).or(self.first.get(&partition)).copied().unwrap_or(0);
            let to = ended.offsets.get(&partition).copied().unwrap_or(from);
            let expected: Vec<u64> =
                logs[usize::try_from(partition).unwrap()].records(from, to).map(|(_, id)| id).collect();
            let of = |dead: bool| {
                let written = ended.written.iter().filter(move |one| one.partition == partition && one.dead == dead);
                written.map(|one| one.id).collect::<Vec<u64>>()
            };
            let (outputs, dead) = (of(false), of(true));
            let living: Vec<u64> = expected.iter().copied().filter(|id| !dead.contains(id)).collect();
            if to < from {
                self.violated(format!("the offset of partition {partition} went back from {from} to {to}"));
            }
            if outputs != living || dead.iter().any(|id| !expected.contains(id)) {
                self.violated(format!(
                    "offset {from} to {to} of partition {partition} stands for {expected:?}, but {outputs:?} and the \
                     dead letters {dead:?} were committed with it"
                ));
            }
            if let Some(good) = dead.iter().find(|id| !self.poison.contains(id)) {
                self.violated(format!("{good} is a dead letter, and nothing was wrong with it"));
            }
            offsets.insert(partition, to);
        }
        let versions: BTreeSet<u64> = ended.written.iter().map(|written| written.version).collect();
        if versions.len() > 1 {
            self.violated(format!("versions {versions:?} of the pipeline made one transaction"));
        }
    }

    /// Offsets were committed without a transaction: only where a partition starts, or past what was deleted.
    pub(super) fn started(&mut self, next: &Positions, logs: &[Log], offsets: &mut Positions) {
        for (partition, to) in next {
            let log = &logs[usize::try_from(*partition).unwrap()];
            let from = offsets.get(partition).or(self.first.get(partition)).copied().unwrap_or(0);
            let skipped: Vec<u64> = log.records(from.max(log.start), *to).map(|(_, id)| id).collect();
            if *to < from || !skipped.is_empty() {
                self.violated(format!(
                    "partition {partition} was said to start at {to}, at {from} it was: {skipped:?} are passed over"
                ));
            }
            offsets.insert(*partition, *to);
        }
    }
}
