//! What became of an order in one store, in one word. Pure: from what was seen to what it means, with no server.
//!
//! It never says more than was seen: where a search ended at its bound, or somebody did not answer, the verdict is that.

use schemas::names::topics;
use serde::Serialize;

use super::facts::{Delivery, Facts, Held, Output, Parked, Post, Reader, Store, Version};
use crate::kafka::record::Address;

/// Why what was read and left no trace need not be missing.
const UNHEARD: &str = "the pipeline has read it; not all topics that the pipeline may have written it to are known, or \
                       could be searched";

/// What became of an order in one store.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// The store holds this version.
    Stored {
        /// Which.
        version: Option<Version>,
    },
    /// It will come.
    Waiting {
        /// Whom it waits for: the pipeline or the sink, with its state.
        reader: Box<Reader>,
        /// Where it lies.
        at: Address,
        /// Records before it that have to be read first; nothing where they were not counted to the end.
        before: Option<u64>,
    },
    /// It lies in a dead-letter topic.
    DeadLetter {
        /// Where, why, and what was done with it already.
        letter: Box<Parked>,
        /// How to send it again.
        replay: String,
    },
    /// A module dropped it on purpose.
    Dropped {
        /// The module.
        by: String,
        /// Its marker.
        at: Address,
    },
    /// A module sent it to another output of the pipeline, and to no sink.
    WentTo {
        /// The topic.
        topic: String,
        /// Where it lies.
        at: Address,
    },
    /// The same id was posted again, which replaces it.
    Replaced {
        /// The later version.
        by: Version,
    },
    /// No answer 202 was ever given for this id.
    NeverAcknowledged,
    /// It was not found, and not everything was searched.
    NotFound {
        /// How far.
        searched: String,
    },
    /// It was read, and there is no trace of it behind.
    Missing {
        /// Who read it.
        read_by: String,
        /// Where it lay.
        at: Address,
        /// What the store holds instead.
        instead: Option<Version>,
    },
    /// Somebody must be asked who does not answer.
    Unknown {
        /// Why.
        reason: String,
    },
}

impl Verdict {
    /// Nothing is left to do or to wait for.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        matches!(self, Self::Stored { .. } | Self::Dropped { .. } | Self::WentTo { .. } | Self::Replaced { .. })
    }
}

/// The verdict on the version that was asked for, else on the newest.
#[must_use]
pub fn judge(facts: &Facts, store: &Store) -> Verdict {
    let newest = newest(facts);
    let Some(subject) = facts.asked.or(newest) else {
        return match &store.held {
            // Its record was trimmed from the topic, or lies beyond the bound.
            Held::Row(version, _) => Verdict::Stored { version: *version },
            Held::Nothing | Held::Unknown(_) => match facts.unsearched.get(topics::ORDERS_RECEIVED) {
                Some(searched) => Verdict::NotFound { searched: searched.clone() },
                None => Verdict::NeverAcknowledged,
            },
        };
    };
    let stored = match &store.held {
        Held::Row(version, _) => *version,
        Held::Nothing | Held::Unknown(_) => None,
    };
    match stored {
        Some(version) if version == subject => return Verdict::Stored { version: stored },
        Some(version) if version.is_newer(subject) => return Verdict::Replaced { by: version },
        _ => {}
    }
    if let Some(by) = newest.filter(|newest| newest.is_newer(subject)) {
        return Verdict::Replaced { by };
    }
    let mine: Vec<&Delivery> = facts
        .deliveries
        .iter()
        .filter(|delivery| delivery.version == Some(subject) && store.sink.committed.contains_key(&delivery.at.topic))
        .collect();
    match mine.last() {
        Some(last) => delivered(facts, store, &mine, last, stored),
        None => undelivered(facts, subject, stored),
    }
}

/// The newest version that was seen anywhere: the record of the POST may have been trimmed.
#[must_use]
pub fn newest(facts: &Facts) -> Option<Version> {
    let posted = facts.posts.iter().map(|post| post.version);
    let delivered = facts.deliveries.iter().filter_map(|delivery| delivery.version);
    let delivered = delivered.chain(facts.outputs.iter().filter_map(|output| output.version));
    posted.chain(delivered).max_by_key(|version| version.offset)
}

fn delivered(facts: &Facts, store: &Store, mine: &[&Delivery], last: &Delivery, stored: Option<Version>) -> Verdict {
    let letter = |delivery: &Delivery| letter(facts, store.letters.as_slice(), &delivery.at);
    let waiting = mine.iter().find(|delivery| letter(delivery).is_none() && store.sink.is_before(&delivery.at));
    if let Some(waiting) = waiting {
        return wait(&store.sink, &waiting.at);
    }
    if let Some(letter) = letter(last) {
        let replay = format!("connectors dead-letters replay {} --yes", letter.at);
        return dead(letter, replay);
    }
    match &store.held {
        Held::Unknown(reason) => Verdict::Unknown { reason: reason.clone() },
        Held::Row(..) | Held::Nothing => {
            let unsearched = store.letters.as_ref().and_then(|topic| Some((topic, facts.unsearched.get(topic)?)));
            unsearched.map_or_else(|| missing(&store.sink, &last.at, stored), |(topic, far)| beyond(topic, far))
        }
    }
}

fn undelivered(facts: &Facts, subject: Version, stored: Option<Version>) -> Verdict {
    // What was sent again last is what counts.
    let Some(post) = facts.posts.iter().rfind(|post| post.version == subject) else {
        if let Some(output) = facts.outputs.iter().rfind(|output| output.version == Some(subject)) {
            return went_to(output);
        }
        let searched = facts.unsearched.get(topics::ORDERS_RECEIVED).cloned();
        return Verdict::NotFound { searched: searched.unwrap_or_else(|| "no such record is there".to_owned()) };
    };
    if let Some(letter) = letter(facts, &facts.ends.letters, &post.at) {
        return dead(letter, format!("transforms replay {} --send", letter.at));
    }
    if let Some(drop) = facts.drops.iter().find(|drop| drop.of == post.at) {
        return Verdict::Dropped { by: drop.module.clone(), at: drop.at.clone() };
    }
    in_pipeline(facts, post, stored)
}

fn in_pipeline(facts: &Facts, post: &Post, stored: Option<Version>) -> Verdict {
    if !facts.pipeline.committed.contains_key(&post.at.topic) {
        return Verdict::Unknown { reason: "the pipeline's position is not known".to_owned() };
    }
    if facts.pipeline.is_before(&post.at) {
        return wait(&facts.pipeline, &post.at);
    }
    if let Some(output) = facts.outputs.iter().rfind(|output| is_of(output, post)) {
        return went_to(output);
    }
    let mut ends = std::iter::once(topics::ORDER_PLACED).chain(facts.ends.all().map(String::as_str));
    let unsearched = ends.find_map(|topic| Some((topic, facts.unsearched.get(topic)?)));
    if let Some((topic, far)) = unsearched {
        return beyond(topic, far);
    }
    match facts.deliveries.iter().find_map(|delivery| delivery.unreadable.as_ref()) {
        Some(reason) => Verdict::Unknown { reason: format!("a record of it cannot be read: {reason}") },
        None if facts.ends.unheard => Verdict::Unknown { reason: UNHEARD.to_owned() },
        None => missing(&facts.pipeline, &post.at, stored),
    }
}

fn letter<'a>(facts: &'a Facts, topics: &[String], of: &Address) -> Option<&'a Parked> {
    facts.letters.iter().find(|letter| topics.contains(&letter.at.topic) && letter.of == *of)
}

/// One that says no version came with the same request.
fn is_of(output: &Output, post: &Post) -> bool {
    match output.version {
        Some(version) => version == post.version,
        None => output.request_id.is_some() && output.request_id == post.request_id,
    }
}

fn went_to(output: &Output) -> Verdict {
    Verdict::WentTo { topic: output.at.topic.clone(), at: output.at.clone() }
}

fn dead(letter: &Parked, replay: String) -> Verdict {
    Verdict::DeadLetter { letter: Box::new(letter.clone()), replay }
}

fn wait(reader: &Reader, at: &Address) -> Verdict {
    Verdict::Waiting { reader: Box::new(reader.clone()), at: at.clone(), before: None }
}

fn missing(reader: &Reader, at: &Address, instead: Option<Version>) -> Verdict {
    Verdict::Missing { read_by: reader.name.clone(), at: at.clone(), instead }
}

fn beyond(topic: &str, searched: &str) -> Verdict {
    Verdict::Unknown { reason: format!("{topic} was searched {searched} only; give --records or --time-limit more") }
}

#[cfg(test)]
mod tests;
