//! The search for orders that may differ: sums first, then only the slices whose sums differ.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::ensure;
use schemas::names::topics::ORDERS_RECEIVED;
use schemas::partition;

use super::judge::{Suspect, Suspects};
use super::order::{digest, version};
use super::slices::{self, Slices, Slot};
use super::stores::{Store, Stored};
use super::topic::{Seen, Truth, id_of, is_in, passes};
use super::{Read, Run};

/// Slices of all partitions that are held in memory.
const MOST_SLICES: usize = 300_000;

/// What a scan of one partition in one store knows.
#[derive(Clone, Copy)]
struct Scan {
    store: Store,
    partition: i32,
    pass: (i64, i64),
    /// Partitions of the topic.
    partitions: i32,
    /// The next offset of the topic that the sink will read.
    next: i64,
    /// The highest receipt that was read, and where the receipts end now: what lies between them is newer than the look.
    highest: i64,
    received: i64,
}

impl Run<'_> {
    /// Orders that may differ.
    pub(super) fn search(&mut self) -> anyhow::Result<Suspects> {
        let expected = self.summed()?;
        let (mut slots, mut suspects) = (BTreeMap::<Store, BTreeSet<Slot>>::new(), Suspects::default());
        for store in Store::ALL {
            self.progress.say(&format!("summing up what {store} holds"));
            let ask = self.sources.stores.sums(store, self.options.span, self.options.slice_ms);
            let held = self.runtime.block_on(ask)?;
            let all = Slices::new();
            let wanted = expected.get(&store).unwrap_or(&all);
            let mut differing = slices::differing(wanted, &held);
            if self.options.deep {
                differing = wanted.keys().chain(held.keys()).copied().collect();
            }
            let told = self.report.store(store);
            told.held = held.values().map(|sums| sums.count).sum();
            told.slices = wanted.keys().chain(held.keys()).collect::<BTreeSet<_>>().len();
            slots.insert(store, differing.into_iter().collect());
            told.looked = slots.get(&store).map_or(0, BTreeSet::len);
        }
        let partitions: BTreeSet<i32> = slots.values().flatten().map(|(partition, _)| *partition).collect();
        for partition in partitions {
            self.scan(partition, &slots, &mut suspects)?;
        }
        Ok(suspects)
    }

    /// What each store is expected to hold, by slice. What is not due there yet is left out.
    fn summed(&mut self) -> anyhow::Result<BTreeMap<Store, Slices>> {
        let mut expected: BTreeMap<Store, Slices> = BTreeMap::new();
        for (partition, range) in self.ranges.clone() {
            let count = passes(partition, range.end - range.start)?;
            for pass in 0..count {
                let truth = self.truth(partition, (pass, count), true)?;
                let highest = self.highest.entry(partition).or_insert(-1);
                *highest = truth.highest.max(*highest);
                for (id, newest) in &truth.newest {
                    self.report.orders += u64::from(self.options.span.holds(newest.received_at));
                    for store in Store::ALL {
                        let Some(seen) = truth.expected(store, *id, &self.letters) else { continue };
                        if !self.options.span.holds(seen.received_at) {
                            continue;
                        }
                        if self.positions.next(store, partition) <= seen.at {
                            self.report.store(store).not_due += 1;
                            continue;
                        }
                        let sums = expected.entry(store).or_default().entry(self.slot(&seen)).or_default();
                        sums.add(i128::from(seen.amount), seen.version.1);
                    }
                }
                let held: usize = expected.values().map(BTreeMap::len).sum();
                ensure!(
                    held <= MOST_SLICES,
                    "there are more than {MOST_SLICES} slices of {} s; give wider ones, such as --slice 1h, or --since",
                    self.options.slice_ms / 1_000
                );
            }
        }
        Ok(expected)
    }

    fn truth(&mut self, partition: i32, pass: (i64, i64), counts: bool) -> anyhow::Result<Truth> {
        let Some(range) = self.ranges.get(&partition).cloned() else { return Ok(Truth::default()) };
        let mut read = Read::default();
        let truth = self.topic.truth(partition, &range, pass, &self.letters, &mut read)?;
        if counts {
            self.report.read(&read);
        }
        Ok(truth)
    }

    /// Where sums of its receipt are kept: by the partition where it was received.
    fn slot(&self, seen: &Seen) -> Slot {
        (seen.version.0, slices::number(seen.received_at, self.options.slice_ms))
    }

    /// Looks into the slices of one partition that differ in a store.
    fn scan(
        &mut self,
        partition: i32,
        slots: &BTreeMap<Store, BTreeSet<Slot>>,
        suspects: &mut Suspects,
    ) -> anyhow::Result<()> {
        let partitions = i32::try_from(self.ranges.len())?;
        let range = self.ranges.get(&partition).cloned().unwrap_or(0..0);
        let count = passes(partition, range.end - range.start)?;
        for pass in 0..count {
            let mut truth = self.truth(partition, (pass, count), false)?;
            for store in Store::ALL {
                let mine: BTreeSet<Slot> =
                    slots.get(&store).into_iter().flatten().filter(|slot| slot.0 == partition).copied().collect();
                if mine.is_empty() {
                    continue;
                }
                self.progress.say(&format!("looking into {} slices of partition {partition} in {store}", mine.len()));
                let received = self.received(partition)?;
                let next = self.positions.next(store, partition);
                let highest = self.highest.get(&partition).copied().unwrap_or(-1);
                let scan = Scan { store, partition, pass: (pass, count), partitions, next, highest, received };
                self.met(scan, &mine, &mut truth, suspects)?;
                self.unmet(scan, &mine, &truth, suspects);
            }
        }
        Ok(())
    }

    /// Where the receipts of a partition end now: nothing that a store holds can be newer.
    fn received(&self, partition: i32) -> anyhow::Result<i64> {
        let there = (0..self.topic.scanner().partitions(ORDERS_RECEIVED)?).contains(&partition);
        Ok(if there { self.topic.scanner().watermarks(ORDERS_RECEIVED, partition)?.1 } else { 0 })
    }

    /// Holds what the store has in these slices against the topic.
    fn met(
        &self,
        scan: Scan,
        slots: &BTreeSet<Slot>,
        truth: &mut Truth,
        suspects: &mut Suspects,
    ) -> anyhow::Result<()> {
        let slots: Vec<Slot> = slots.iter().copied().collect();
        for run in slices::runs(&slots, self.options.slice_ms, self.options.span) {
            let (known, letters) = (&self.topic.known, &self.letters);
            let each = self.sources.stores.each(scan.store, run, |stored| {
                let (id, held) = (id_of(stored.key.as_bytes()), version(&stored.value));
                let home = partition::of(stored.key.as_bytes(), scan.partitions);
                if home == Some(scan.partition) && !is_in(id, scan.pass.0, scan.pass.1) {
                    return;
                }
                let expected = truth.expected(scan.store, id, letters);
                if let Some(seen) = truth.newest.get_mut(&id) {
                    seen.met |= bit(scan.store);
                }
                let same = |seen: Seen| {
                    let cells = known.get(&seen.schema).map(|known| known.cells(&stored.value));
                    held == Some(seen.version) && cells.is_some_and(|cells| digest(&cells) == seen.digest)
                };
                if home == Some(scan.partition)
                    && (expected.is_some_and(|seen| scan.next <= seen.at || same(seen)) || newer(held, scan))
                {
                    return;
                }
                suspects.add(scan.store, id, suspect(stored, home, expected));
            });
            self.runtime.block_on(each)?;
        }
        Ok(())
    }

    /// What the store does not have in these slices, and should.
    fn unmet(&self, scan: Scan, slots: &BTreeSet<Slot>, truth: &Truth, suspects: &mut Suspects) {
        for (id, seen) in &truth.newest {
            if seen.met & bit(scan.store) != 0 {
                continue;
            }
            let Some(expected) = truth.expected(scan.store, *id, &self.letters) else { continue };
            let meant = self.options.span.holds(expected.received_at)
                && slots.contains(&self.slot(&expected))
                && expected.at < scan.next;
            if meant {
                let (partition, from) = (Some(scan.partition), Some(expected.at));
                suspects.add(scan.store, *id, Suspect { key: None, partition, from });
            }
        }
    }
}

/// Posted after the topic was read, and stored already.
fn newer(held: Option<(i32, i64)>, scan: Scan) -> bool {
    held.is_some_and(|(partition, offset)| {
        partition == scan.partition && (scan.highest + 1..scan.received).contains(&offset)
    })
}

fn suspect(stored: Stored, home: Option<i32>, expected: Option<Seen>) -> Suspect {
    Suspect { key: Some(stored.key), partition: home, from: expected.map(|seen| seen.at) }
}

fn bit(store: Store) -> u8 {
    match store {
        Store::PostgreSql => 1,
        Store::Elasticsearch => 2,
    }
}
