//! The verdict on an order that may differ: what the topic says of it up to now, how far the sink is, and what the store
//! holds of it at this moment.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;
use serde_json::Value;

use super::letters::Letters;
use super::order::{Known, digest, version};
use super::stores::{ASKED, Store};
use super::topic::{Id, Seen, insert};
use super::{Positions, Read, Run};

/// So many orders that may differ are held and looked at; what is beyond is counted.
const MOST: usize = 100_000;

/// An order that may differ in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    /// Its id, where it is known.
    pub key: Option<String>,
    /// The partition of the topic.
    pub partition: Option<i32>,
    /// From where on the topic must be read for it; from the beginning, if it is not known where it lies.
    pub from: Option<i64>,
}

/// Orders that may differ.
#[derive(Debug, Default)]
pub struct Suspects {
    all: BTreeMap<(Store, Id), Suspect>,
    /// So many more were met in each store.
    pub beyond: BTreeMap<Store, u64>,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It is not in the store.
    Missing,
    /// The store holds an older version.
    Stale,
    /// It holds the version, and a field of it is otherwise.
    Different,
    /// It holds a version that the topic does not have.
    Unknown,
    /// The topic does not have the order.
    Surplus,
}

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub kind: Kind,
    /// The order's id.
    pub key: String,
    /// The partition of the topic.
    pub partition: i32,
    /// What the store holds.
    pub held: Option<(i32, i64)>,
    /// What it should hold.
    pub wanted: Option<Seen>,
}

/// Differences, by store and order.
#[derive(Debug, Default)]
pub struct Findings {
    /// All that are held.
    pub all: BTreeMap<(Store, Id), Finding>,
    /// So many more may differ in each store.
    pub beyond: BTreeMap<Store, u64>,
}

/// What was found out of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Fine,
    /// The sink has not yet read what the topic says.
    NotDue,
    /// The store is ahead of what was read.
    Ahead,
    /// It is wrong.
    Wrong(Kind, Option<Seen>),
}

/// What the topic says of an order, the newest version first.
#[derive(Debug, Default)]
struct History {
    key: String,
    all: Vec<Seen>,
}

impl Suspects {
    /// One more; of an order that is met twice the earliest place counts.
    pub fn add(&mut self, store: Store, id: Id, suspect: Suspect) {
        if MOST <= self.all.len() && !self.all.contains_key(&(store, id)) {
            *self.beyond.entry(store).or_default() += 1;
            return;
        }
        let met = self.all.entry((store, id)).or_insert_with(|| suspect.clone());
        met.key = met.key.take().or(suspect.key);
        met.from = met.from.zip(suspect.from).map(|(one, other)| one.min(other));
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty() && self.beyond.is_empty()
    }
}

impl Findings {
    /// Those that can be sent again.
    #[must_use]
    pub fn suspects(&self) -> Suspects {
        let suspect = |finding: &Finding| Suspect {
            key: Some(finding.key.clone()),
            partition: Some(finding.partition),
            from: finding.wanted.map(|wanted| wanted.at),
        };
        let all = self.all.iter().filter(|(_, finding)| finding.kind != Kind::Surplus);
        Suspects { all: all.map(|(which, finding)| (*which, suspect(finding))).collect(), ..Suspects::default() }
    }
}

/// Judges one order. `history` is what the topic says, the newest first. While the newest version is on its way to the
/// store, it is not judged: that version will mend whatever is there.
#[must_use]
pub fn judge(
    history: &[Seen],
    stored: Option<&Value>,
    known: &BTreeMap<u32, Known>,
    is_letter: impl Fn(&Seen) -> bool,
    is_due: impl Fn(&Seen) -> bool,
) -> Verdict {
    let newest = history.iter().find(|seen| !is_letter(seen)).copied();
    let (last, stored) = match (history.first(), stored, newest) {
        (_, _, Some(newest)) if !is_due(&newest) => return Verdict::NotDue,
        (_, None, Some(newest)) => return Verdict::Wrong(Kind::Missing, Some(newest)),
        (_, None, None) => return Verdict::Fine,
        (None, Some(_), _) => return Verdict::Wrong(Kind::Surplus, None),
        (Some(last), Some(stored), _) => (last, stored),
    };
    let held = version(stored);
    match history.iter().find(|seen| Some(seen.version) == held) {
        Some(this) if newest.is_some_and(|newest| this.version.1 < newest.version.1) => {
            Verdict::Wrong(Kind::Stale, newest)
        }
        Some(this) if known.get(&this.schema).is_some_and(|known| digest(&known.cells(stored)) == this.digest) => {
            Verdict::Fine
        }
        Some(this) => Verdict::Wrong(Kind::Different, Some(*this)),
        None => match held {
            Some((partition, offset)) if partition == last.version.0 && last.version.1 < offset => Verdict::Ahead,
            Some((partition, _)) if partition == last.version.0 => Verdict::Wrong(Kind::Stale, newest),
            _ => Verdict::Wrong(Kind::Different, newest),
        },
    }
}

impl Run<'_> {
    /// Judges each; answers those that must be looked at once more. In the last look nothing is left open.
    pub(super) fn look(
        &mut self,
        suspects: &Suspects,
        is_last: bool,
        findings: &mut Findings,
    ) -> anyhow::Result<Suspects> {
        self.positions = Positions::read(&self.readers)?;
        self.letters = self.topic.letters()?;
        let mut histories = self.histories(suspects)?;
        let mut open = Suspects::default();
        for (store, beyond) in &suspects.beyond {
            *findings.beyond.entry(*store).or_default() += beyond;
        }
        for store in Store::ALL {
            let mine: Vec<(Id, &Suspect)> =
                suspects.all.iter().filter(|((of, _), _)| *of == store).map(|((_, id), one)| (*id, one)).collect();
            for some in mine.chunks(ASKED) {
                for (id, suspect) in some {
                    let history = histories.entry(*id).or_default();
                    if history.key.is_empty() {
                        history.key = suspect.key.clone().unwrap_or_default();
                    }
                }
                let keys: Vec<&str> = some.iter().filter_map(|(id, _)| Some(histories.get(id)?.key.as_str())).collect();
                let asked: Vec<&str> = keys.into_iter().filter(|key| !key.is_empty()).collect();
                let stored = self.runtime.block_on(self.sources.stores.orders(store, &asked))?;
                let stored: HashMap<String, Value> = stored.into_iter().map(|one| (one.key, one.value)).collect();
                for (id, suspect) in some {
                    let Some(history) = histories.get(id) else { continue };
                    let held = stored.get(&history.key);
                    let kind = match self.verdict(store, *id, suspect, history, held) {
                        Verdict::Fine | Verdict::NotDue => continue,
                        Verdict::Ahead if !is_last => {
                            open.add(store, *id, (*suspect).clone());
                            continue;
                        }
                        Verdict::Ahead => (Kind::Unknown, history.all.first().copied()),
                        Verdict::Wrong(kind, wanted) => (kind, wanted),
                    };
                    let finding = Finding {
                        kind: kind.0,
                        key: history.key.clone(),
                        partition: suspect.partition.unwrap_or(-1),
                        held: held.and_then(version),
                        wanted: kind.1,
                    };
                    findings.all.insert((store, *id), finding);
                }
            }
        }
        Ok(open)
    }

    fn verdict(&self, store: Store, id: Id, suspect: &Suspect, history: &History, held: Option<&Value>) -> Verdict {
        let committed = self.positions.committed.get(&store).cloned().unwrap_or_default();
        let next = suspect.partition.map_or(0, |partition| self.positions.next(store, partition));
        let is_letter = |seen: &Seen| self.letters.has(store, id, seen.version);
        let is_due = |seen: &Seen| seen.at < next && !self.letters.on_its_way(store, id, seen.version, &committed);
        judge(&history.all, held, &self.topic.known, is_letter, is_due)
    }

    /// What the topic says of these orders up to now.
    fn histories(&mut self, suspects: &Suspects) -> anyhow::Result<HashMap<Id, History>> {
        let mut wanted: BTreeMap<i32, (BTreeSet<Id>, i64)> = BTreeMap::new();
        for ((_, id), suspect) in &suspects.all {
            let Some(partition) = suspect.partition else { continue };
            let start = self.ranges.get(&partition).map_or(0, |range| range.start);
            let from = suspect.from.unwrap_or(start);
            let (ids, first) = wanted.entry(partition).or_insert_with(|| (BTreeSet::new(), from));
            ids.insert(*id);
            *first = from.min(*first);
        }
        let mut histories: HashMap<Id, History> = HashMap::new();
        for (partition, (ids, first)) in wanted {
            let end = self.positions.ends.get(&partition).copied().unwrap_or(first);
            self.topic.each(
                partition,
                &(first..end),
                &mut Read::default(),
                |id| ids.contains(&id),
                |meant| {
                    let history = histories.entry(meant.id).or_default();
                    meant.key.clone_into(&mut history.key);
                    insert(&mut history.all, meant.seen);
                },
            )?;
        }
        Ok(histories)
    }
}

impl super::Topic<'_> {
    /// The dead letters of both sinks.
    ///
    /// # Errors
    /// As [`Letters::read`].
    pub(super) fn letters(&mut self) -> anyhow::Result<Letters> {
        self.with_decoder(Letters::read)
    }
}

#[cfg(test)]
mod tests;
