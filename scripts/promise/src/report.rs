//! The fault lab's report: what was struck and when, and beside it, second by second, what clients were answered, what
//! waited for whom, and what memory each process held. Pure: it is given what was seen. As JSON, and as one HTML page.

mod html;
mod plot;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::check::{Counter, Findings};
use crate::ledger::{Entry, Outcome};

/// A moment, as somebody saw it who looked from outside.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Look {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Offsets that wait, by group; a group that nobody could ask for is not there.
    pub lag: BTreeMap<String, usize>,
    /// Memory of each process in MiB, by service.
    pub rss_mib: BTreeMap<String, u64>,
}

/// A fault that was made and put right. Times are in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
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

/// A fault with what its clients were answered, from its beginning until all moved again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// What was done.
    #[serde(flatten)]
    pub struck: Struck,
    /// What became of the orders meanwhile.
    pub answers: Answers,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Where and of what it ran.
    pub machine: String,
    /// The counters of the last full check, by name; empty where there was none.
    pub counters: BTreeMap<&'static str, usize>,
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
        machine: String,
        findings: Option<&Findings>,
        entries: &[Entry],
        faults: Vec<Struck>,
        looks: Vec<Look>,
    ) -> Self {
        let counters = findings.map(|found| Counter::ALL.into_iter().map(|it| (it.name(), found.count(it))).collect());
        let answers = |struck: &Struck| Answers::of(entries, struck.from_ms, struck.moved_ms);
        let faults = faults.into_iter().map(|struck| Row { answers: answers(&struck), struck }).collect();
        Self { machine, counters: counters.unwrap_or_default(), faults, seconds: by_second(entries), looks }
    }

    /// As one page that needs nothing beside it.
    #[must_use]
    pub fn html(&self) -> String {
        html::page(self)
    }
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
mod tests;
