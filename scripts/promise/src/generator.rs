//! A seeded stream of POST bodies, each with what should become of it.
//!
//! One seed gives one stream, byte for byte. The class is only the generator's opinion: the oracle, in another
//! language, judges every body again, and a test holds the two together. Sends nothing: see [`crate::load`].

mod body;
mod fields;
mod refused;
mod text;

use crate::rng::Rng;
use body::Body;

/// What should become of a POST.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// 202, and stored as the modules make it.
    Valid,
    /// Not 202: the edge must refuse it, by this rule, with this status.
    Refused {
        /// Which rule is broken.
        rule: &'static str,
        /// The status of the answer.
        status: u16,
    },
    /// 202, and then a module must reject it, for this reason.
    Rejected(&'static str),
}

impl Class {
    /// The class as the ledger names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Refused { .. } => "refused",
            Self::Rejected(_) => "rejected",
        }
    }
}

/// One POST to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// Its place in the stream, from 0.
    pub seq: u64,
    /// The order id in the body; empty where the body has none that counts.
    pub id: String,
    /// The bytes to send.
    pub body: Vec<u8>,
    /// The `Content-Type` to send.
    pub content_type: &'static str,
    /// What should become of it.
    pub class: Class,
    /// True when an earlier POST had the same order id.
    pub repost: bool,
}

/// What shares of a hundred POSTs are what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    /// Re-posts of an earlier id with another body, half of them right after the first.
    pub reposts: u64,
    /// What the edge must refuse.
    pub refused: u64,
    /// What a module must reject.
    pub rejected: u64,
}

impl Default for Mix {
    fn default() -> Self {
        Self { reposts: 5, refused: 5, rejected: 5 }
    }
}

/// How many ids a later re-post may reach back.
const REMEMBERED: usize = 5_000;

/// The stream.
#[derive(Debug)]
pub struct Generator {
    rng: Rng,
    run: String,
    mix: Mix,
    next: u64,
    ids: Vec<String>,
}

impl Generator {
    /// The stream of `seed`; all its order ids begin with `run`, so that runs on one stack do not meet.
    #[must_use]
    pub fn new(run: &str, seed: u64, mix: Mix) -> Self {
        Self { rng: Rng::new(seed), run: run.to_owned(), mix, next: 0, ids: Vec::new() }
    }

    fn post(&mut self) -> Post {
        let seq = self.next;
        self.next += 1;
        let roll = self.rng.below(100);
        let Mix { reposts, refused, rejected } = self.mix;
        if roll < reposts && !self.ids.is_empty() {
            return self.repost(seq);
        }
        let id = fields::order_id(&mut self.rng, &self.run, seq);
        if roll < reposts + refused {
            return refused::post(&mut self.rng, seq, &id);
        }
        self.remember(id.clone());
        if roll < reposts + refused + rejected { self.rejected(seq, id) } else { self.valid(seq, id) }
    }

    /// Another body under an id that was posted before: the last one, or one from further back.
    fn repost(&mut self, seq: u64) -> Post {
        let back = if self.rng.percent(50) { 1 } else { self.rng.between(1, self.ids.len() as u64) };
        let at = self.ids.len().saturating_sub(usize::try_from(back).unwrap_or(1));
        let id = self.ids.get(at).cloned().unwrap_or_default();
        let post = match self.rng.below(10) {
            0 => refused::post(&mut self.rng, seq, &id),
            1 => self.rejected(seq, id),
            _ => self.valid(seq, id),
        };
        Post { repost: true, ..post }
    }

    fn valid(&mut self, seq: u64, id: String) -> Post {
        let body = fields::order(&mut self.rng, &id);
        self.finish(seq, id, body, Class::Valid)
    }

    fn rejected(&mut self, seq: u64, id: String) -> Post {
        let mut body = fields::order(&mut self.rng, &id);
        let reason = fields::spoil_for_modules(&mut self.rng, &mut body);
        self.finish(seq, id, body, Class::Rejected(reason))
    }

    fn finish(&mut self, seq: u64, id: String, body: Body, class: Class) -> Post {
        let body = body.render(&mut self.rng).into_bytes();
        let content_type = self.rng.pick(&[body::JSON, body::JSON, body::JSON, "application/json; charset=utf-8"]);
        Post { seq, id, body, content_type, class, repost: false }
    }

    fn remember(&mut self, id: String) {
        if self.ids.len() >= REMEMBERED {
            self.ids.drain(..REMEMBERED / 2);
        }
        self.ids.push(id);
    }
}

impl Iterator for Generator {
    type Item = Post;

    fn next(&mut self) -> Option<Post> {
        Some(self.post())
    }
}

#[cfg(test)]
mod tests;
