//! How many dead letters there are, and why: a histogram a topic.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::ControlFlow;

use serde::Serialize;

use super::letter::{Letter, Said};
use super::marks::{Did, Mark};
use super::select::Read;
use crate::decode::plain;
use crate::kafka::record::Address;

/// So many kinds of reason are told apart in a topic; what comes after is counted together.
const MOST_REASONS: usize = 1_000;

/// All topics.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// By name; a topic without letters is there, too.
    pub topics: BTreeMap<String, Topic>,
    /// Topics that were not read to their beginning, and how far they were.
    pub incomplete: BTreeMap<String, String>,
}

/// One topic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Topic {
    /// What was done with how many.
    #[serde(flatten)]
    pub count: Count,
    /// When the oldest of these records was received.
    pub oldest: Option<String>,
    /// When the newest was.
    pub newest: Option<String>,
    /// Records that are no dead letters.
    pub strange: u64,
    /// The most frequent first.
    pub reasons: Vec<Reason>,
    #[serde(skip)]
    span: Option<(i64, i64)>,
    #[serde(skip)]
    by: BTreeMap<(String, String, Option<String>), Reason>,
}

/// Letters by what was done with them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// All.
    pub letters: u64,
    /// Nothing was done with these.
    pub open: u64,
    /// These were sent again.
    pub replayed: u64,
    /// These were discarded.
    pub discarded: u64,
}

/// Letters of one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The kind of failure.
    pub class: String,
    /// The step that failed.
    pub stage: String,
    /// The module, if it was one.
    pub module: Option<String>,
    /// How many.
    #[serde(flatten)]
    pub count: Count,
    /// The newest of them.
    pub example: Address,
    /// What is said of that one.
    pub message: String,
}

impl Count {
    fn add(&mut self, mark: Option<&Mark>) {
        self.letters += 1;
        match mark.map(|mark| mark.did) {
            None => self.open += 1,
            Some(Did::Replayed) => self.replayed += 1,
            Some(Did::Discarded) => self.discarded += 1,
        }
    }
}

impl Listing {
    /// With these topics, all empty.
    #[must_use]
    pub fn new(topics: Vec<String>) -> Self {
        Self { topics: topics.into_iter().map(|topic| (topic, Topic::default())).collect(), ..Self::default() }
    }

    /// Takes one letter in.
    pub fn add(&mut self, letter: Letter, mark: Option<&Mark>) {
        let topic = self.topics.entry(letter.at.topic.clone()).or_default();
        topic.count.add(mark);
        if let Some(time) = letter.record.timestamp_ms {
            let (oldest, newest) = topic.span.unwrap_or((time, time));
            topic.span = Some((oldest.min(time), newest.max(time)));
        }
        let Said { stage, class, message, module } = letter.said;
        let mut kind = (class, stage, module);
        if MOST_REASONS <= topic.by.len() && !topic.by.contains_key(&kind) {
            kind = ("(further reasons)".to_owned(), String::new(), None);
        }
        let (class, stage, module) = kind.clone();
        let example = letter.at.clone();
        let count = Count::default();
        let reason =
            topic.by.entry(kind).or_insert(Reason { class, stage, module, count, example, message: String::new() });
        reason.count.add(mark);
        (reason.example, reason.message) = (letter.at, message);
    }

    /// All letters are in.
    #[must_use]
    pub fn done(mut self, read: Read) -> Self {
        for (name, topic) in &mut self.topics {
            let time = |millis: Option<i64>| millis.and_then(schemas::fields::rfc3339);
            (topic.oldest, topic.newest) = (time(topic.span.map(|span| span.0)), time(topic.span.map(|span| span.1)));
            topic.strange = read.strange.get(name).copied().unwrap_or(0);
            topic.reasons = std::mem::take(&mut topic.by).into_values().collect();
            topic.reasons.sort_by_key(|reason| std::cmp::Reverse(reason.count.letters));
        }
        self.incomplete = read.short;
        self
    }
}

/// Continues for ever; the bound is the reader's.
pub(super) fn adding(listing: &mut Listing) -> impl FnMut(Letter, Option<&Mark>) -> ControlFlow<()> {
    |letter, mark| {
        listing.add(letter, mark);
        ControlFlow::Continue(())
    }
}

/// The listing for people.
#[must_use]
pub fn text(listing: &Listing) -> String {
    let mut text = String::new();
    for (name, topic) in &listing.topics {
        let _ = write!(text, "{name}: {}", counted(&topic.count));
        if let (Some(oldest), Some(newest)) = (&topic.oldest, &topic.newest) {
            let _ = write!(text, ", received {oldest} to {newest}");
        }
        text.push('\n');
        for reason in &topic.reasons {
            let by = reason.module.as_ref().map_or_else(String::new, |module| format!(" by {}", plain(module)));
            let kind = plain(&format!("{} ({})", reason.class, reason.stage));
            let _ = writeln!(text, "  {kind}{by}: {}", counted(&reason.count));
            let _ = writeln!(text, "    such as {}: {}", reason.example, plain(&reason.message));
        }
        if 0 < topic.strange {
            let _ = writeln!(text, "  {} records there are no dead letters", topic.strange);
        }
    }
    for (topic, far) in &listing.incomplete {
        let _ = writeln!(text, "{topic} was read {far}; its numbers are the least there are");
    }
    text
}

fn counted(count: &Count) -> String {
    if count.letters == 0 {
        return "none".to_owned();
    }
    let mut text = format!("{} letters, {} open", count.letters, count.open);
    for (number, word) in [(count.replayed, "replayed"), (count.discarded, "discarded")] {
        if 0 < number {
            let _ = write!(text, ", {number} {word}");
        }
    }
    text
}
