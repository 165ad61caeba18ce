//! The checker: counts what broke the promise. Pure: it judges a [`World`], it reads nothing.
//!
//! In the order an order walks: the answers against the rules, the input topic against the ledger, the output and
//! the dead letters against the input, each store against the output, store against store, and the sums.

mod claims;
mod flow;
mod stores;

use std::collections::BTreeMap;
use std::fmt;

use crate::ledger::{Answer, Entry, Outcome};
use crate::oracle::Verdict;
use crate::world::World;

/// What is counted. Each must be zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counter {
    /// Promised, and not there.
    Lost,
    /// There, and nobody was promised it: never sent, or answered with "no".
    Phantom,
    /// There twice.
    Duplicate,
    /// There, and not as it must be.
    Wrong,
    /// PostgreSQL and Elasticsearch do not say the same.
    Mismatch,
    /// In a store from a transaction that never committed.
    AbortedRead,
    /// A later version of an order before an earlier one.
    Inversion,
    /// Offsets that do not add up.
    Integrity,
    /// Answered 202 against the rules, or refused against them.
    Misanswered,
}

impl Counter {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 9] = [
        Self::Lost,
        Self::Phantom,
        Self::Duplicate,
        Self::Wrong,
        Self::Mismatch,
        Self::AbortedRead,
        Self::Inversion,
        Self::Integrity,
        Self::Misanswered,
    ];

    /// The name in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Phantom => "phantom",
            Self::Duplicate => "duplicate",
            Self::Wrong => "wrong",
            Self::Mismatch => "mismatch",
            Self::AbortedRead => "aborted read",
            Self::Inversion => "inversion",
            Self::Integrity => "integrity",
            Self::Misanswered => "misanswered",
        }
    }
}

/// What the checker found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings(BTreeMap<Counter, Vec<String>>);

/// How many findings of a counter are printed.
const SHOWN: usize = 10;

impl Findings {
    pub(crate) fn add(&mut self, counter: Counter, text: String) {
        self.0.entry(counter).or_default().push(text);
    }

    /// How often `counter` was found.
    #[must_use]
    pub fn count(&self, counter: Counter) -> usize {
        self.0.get(&counter).map_or(0, Vec::len)
    }

    /// True when every counter is zero.
    #[must_use]
    pub fn all_zero(&self) -> bool {
        self.0.values().all(Vec::is_empty)
    }

    /// The findings of `counter` in words.
    #[must_use]
    pub fn of(&self, counter: Counter) -> &[String] {
        self.0.get(&counter).map_or(&[], Vec::as_slice)
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for counter in Counter::ALL {
            writeln!(f, "{:>14} {:>7}", counter.name(), self.count(counter))?;
        }
        for (counter, texts) in &self.0 {
            for text in texts.iter().take(SHOWN) {
                writeln!(f, "  {}: {text}", counter.name())?;
            }
        }
        Ok(())
    }
}

/// Counts.
#[must_use]
pub fn check(world: &World) -> Findings {
    let mut findings = Findings::default();
    answers(world, &mut findings);
    let claims = claims::check(world, &mut findings);
    let flow = flow::check(world, &claims, &mut findings);
    stores::check(world, &flow, &mut findings);
    findings
}

/// Counts what the ledger alone can tell: wrong answers.
#[must_use]
pub fn check_answers(world: &World) -> Findings {
    let mut findings = Findings::default();
    answers(world, &mut findings);
    findings
}

/// The edge's answers against the oracle's reading of the rules. An unknown end is no answer.
fn answers(world: &World, findings: &mut Findings) {
    for post in &world.posts {
        let name = format!("request {} ({})", post.seq, post.id);
        let refused = post.answer.status.filter(|status| (400..500).contains(status));
        if let Some(reason) = evasive(post) {
            findings.add(Counter::Misanswered, format!("{name}: {reason}"));
        }
        match world.verdicts.get(&post.seq) {
            None => findings.add(Counter::Misanswered, format!("{name}: the oracle did not judge it")),
            Some(Verdict::Refuse { rule, .. }) if post.answer.outcome == Outcome::Ok => {
                findings.add(Counter::Misanswered, format!("{name}: 202, and must be refused: {rule}"));
            }
            Some(Verdict::Refuse { rule, status }) if refused.is_some_and(|refused| refused != *status) => {
                let text = format!("{name}: {} instead of {status}: {rule}", refused.unwrap_or_default());
                findings.add(Counter::Misanswered, text);
            }
            Some(Verdict::Place { .. } | Verdict::Reject { .. }) if refused.is_some() => {
                let text = format!("{name}: {} ({}), and must be taken", refused.unwrap_or_default(), post.answer.note);
                findings.add(Counter::Misanswered, text);
            }
            Some(_) => {}
        }
    }
}

/// Every answer but 202 says whether the order may be stored, one that refuses by a rule says no, and nothing breaks.
fn evasive(post: &Entry) -> Option<String> {
    let Answer { status, persisted, note, .. } = &post.answer;
    match ((*status)?, persisted.as_str()) {
        (202, _) => None,
        (500, _) => Some(format!("500 ({note})")),
        (_, "no") => None,
        (500.., "possibly") => None,
        (status, said) => Some(format!("{status} ({note}), and says persisted: {said:?}")),
    }
}

#[cfg(test)]
mod tests;
