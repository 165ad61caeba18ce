//! The fault lab's report: what was struck and when, and beside it, second by second, what clients were answered, what
//! waited for whom, and what memory each process held. It is given what was seen; [`Call`] puts together what the stages of
//! one call of `scripts/faults` saw. As JSON, and as one HTML page.

mod call;
mod html;
mod plot;
mod trail;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::call::{Call, Stage};
pub use self::trail::last_seen;
use crate::check::{Counter, Findings};
use crate::ledger::{Entry, Outcome};

/// How many findings of a counter are kept.
const KEPT: usize = 10;

/// A moment, as somebody saw it who looked from outside.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Offsets that wait, by group; a group that nobody could ask for is not there.
    pub lag: BTreeMap<String, usize>,
    /// Memory of each process in MiB, by service.
    pub rss_mib: BTreeMap<String, u64>,
}

/// A fault that was made and put right. Times are in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Struck {
    /// Its number in the catalogue, such as `F14`.
    pub id: &'static str,
    /// What was done.
    pub name: String,
    /// When it began.
    pub from_ms: i64,
    /// When it was put right, or who was killed was ready again.
    pub until_ms: i64,
    /// When what stood still was seen to move again.
    pub moved_ms: i64,
    /// What the product said of it, or what proves that it hit.
    pub said: String,
}

/// What became of the orders that were sent within a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// Sent.
    pub sent: usize,
    /// Answered 202.
    pub yes: usize,
    /// Refused by a rule, as they were made to be.
    pub by_rule: usize,
    /// Answered that nothing is stored, though no rule is broken.
    pub no: usize,
    /// Nobody knows.
    pub possibly: usize,
    /// The longest that a 202 took, in milliseconds from when it should have been sent.
    pub longest_ms: i64,
}

impl Answers {
    /// Of those sent from `from_ms` until before `until_ms`.
    fn of(entries: &[Entry], from_ms: i64, until_ms: i64) -> Self {
        let mut answers = Self::default();
        for entry in entries.iter().filter(|entry| (from_ms..until_ms).contains(&entry.sent_ms)) {
            answers.sent += 1;
            match entry.answer.outcome {
                Outcome::Ok => {
                    answers.yes += 1;
                    let took = entry.done_ms.map_or(0, |done| done - entry.intended_ms);
                    answers.longest_ms = answers.longest_ms.max(took);
                }
                Outcome::Fail if entry.class == "refused" && entry.answer.status.is_some() => answers.by_rule += 1,
                Outcome::Fail => answers.no += 1,
                Outcome::Info => answers.possibly += 1,
            }
        }
        answers
    }
}

/// A fault with what its clients were answered, from its beginning until all moved again; otherwise as in [`Struck`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Its number in the catalogue.
    pub id: String,
    /// What was done.
    pub name: String,
    /// When it began.
    pub from_ms: i64,
    /// When it was put right.
    pub until_ms: i64,
    /// When all moved again.
    pub moved_ms: i64,
    /// What was said of it.
    pub said: String,
    /// What became of the orders meanwhile.
    pub answers: Answers,
}

impl Row {
    fn of(struck: Struck, entries: &[Entry]) -> Self {
        let Struck { id, name, from_ms, until_ms, moved_ms, said } = struck;
        let answers = Answers::of(entries, from_ms, moved_ms);
        Self { id: id.to_owned(), name, from_ms, until_ms, moved_ms, said, answers }
    }
}

/// What one run of the real stack saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Where and of what it ran.
    pub machine: String,
    /// What its orders follow from.
    pub seed: u64,
    /// The counters of the last full check, by name; empty where there was none.
    pub counters: BTreeMap<String, usize>,
    /// What that check found, in words: the first of each counter.
    pub found: Vec<String>,
    /// The faults, in the order in which they were made.
    pub faults: Vec<Row>,
    /// Answers by second, with the second's first millisecond.
    pub seconds: Vec<(i64, Answers)>,
    /// What was seen from outside.
    pub looks: Vec<Look>,
}

impl Report {
    /// Puts together what was seen.
    #[must_use]
    pub fn new(
        (machine, seed): (String, u64),
        findings: Option<&Findings>,
        entries: &[Entry],
        faults: Vec<Struck>,
        looks: Vec<Look>,
    ) -> Self {
        let count = |found: &Findings| Counter::ALL.map(|it| (it.name().to_owned(), found.count(it)));
        Self {
            machine,
            seed,
            counters: findings.map(count).into_iter().flatten().collect(),
            found: findings.map(in_words).unwrap_or_default(),
            faults: faults.into_iter().map(|struck| Row::of(struck, entries)).collect(),
            seconds: by_second(entries),
            looks,
        }
    }

    /// In a line.
    #[must_use]
    pub fn verdict(&self) -> String {
        let faults = format!("{} fault{}", self.faults.len(), if self.faults.len() == 1 { "" } else { "s" });
        let above: Vec<_> = self.counters.iter().filter(|(_, count)| 0 < **count).collect();
        match (self.counters.is_empty(), above.is_empty()) {
            (true, _) => format!("{faults}, nothing was counted"),
            (_, true) => format!("{faults}, every counter zero"),
            _ => {
                let above: Vec<String> = above.iter().map(|(name, count)| format!("{name} {count}")).collect();
                format!("{faults}, {}", above.join(", "))
            }
        }
    }
}

fn in_words(findings: &Findings) -> Vec<String> {
    let of = |counter: Counter| {
        findings.of(counter).iter().take(KEPT).map(move |text| format!("{}: {text}", counter.name()))
    };
    Counter::ALL.into_iter().flat_map(of).collect()
}

/// Seconds in which nothing was sent are there as well: silence is a finding.
fn by_second(entries: &[Entry]) -> Vec<(i64, Answers)> {
    let mut sorted: Vec<Entry> = entries.to_vec();
    sorted.sort_by_key(|entry| entry.sent_ms);
    let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else { return Vec::new() };
    let (first, last) = (first.sent_ms.div_euclid(1_000), last.sent_ms.div_euclid(1_000));
    let mut rest = sorted.as_slice();
    (first..=last)
        .map(|second| {
            let until = (second + 1) * 1_000;
            let (now, later) = rest.split_at(rest.partition_point(|entry| entry.sent_ms < until));
            rest = later;
            (second * 1_000, Answers::of(now, i64::MIN, until))
        })
        .collect()
}

#[cfg(test)]
mod catalogue;
#[cfg(test)]
mod tests;
