//! What is posted at once: an order as it was made, or a few in one request as NDJSON. Which may be its lines, and what the
//! answer says of each.

use std::iter::Peekable;

use serde::Deserialize;

use super::judge;
use crate::generator::Post;
use crate::ledger::{Answer, Outcome};

/// Orders of a batch, at most.
const MOST: usize = 4;
const ACCEPTED: u16 = 202;
const MULTI_STATUS: u16 = 207;

/// A request.
#[derive(Debug)]
pub(super) enum Request {
    /// An order.
    Order(Post),
    /// Orders, a line each.
    Batch(Vec<Post>),
}

/// What each line of an answer has.
#[derive(Debug, Deserialize)]
struct Line {
    line: usize,
    status: u16,
}

impl Request {
    /// The next one, and the number of its last order. A batch ends before an order that can be no line of it.
    pub(super) fn next(
        posts: &mut Peekable<impl Iterator<Item = (usize, Post)>>,
        may_be_batch: bool,
    ) -> Option<(usize, Self)> {
        let (mut last, first) = posts.next()?;
        if !may_be_batch || !fits(&first) {
            return Some((last, Self::Order(first)));
        }
        let mut lines = vec![first];
        while lines.len() < MOST
            && let Some((number, post)) = posts.next_if(|(_, post)| fits(post))
        {
            last = number;
            lines.push(post);
        }
        Some((last, Self::Batch(lines)))
    }

    pub(super) fn posts(&self) -> &[Post] {
        match self {
            Self::Order(post) => std::slice::from_ref(post),
            Self::Batch(posts) => posts,
        }
    }

    pub(super) fn content_type(&self) -> &'static str {
        match self {
            Self::Order(post) => post.content_type,
            Self::Batch(_) => "application/x-ndjson",
        }
    }

    pub(super) fn body(&self) -> Vec<u8> {
        match self {
            Self::Order(post) => post.body.clone(),
            Self::Batch(posts) => {
                posts.iter().flat_map(|post| [post.body.as_slice(), b"\n"]).collect::<Vec<_>>().concat()
            }
        }
    }

    /// What became of each order. `lost` is what is known of those whose receipts did not come.
    pub(super) fn answers(&self, status: u16, body: &[u8], lost: Option<Answer>) -> Vec<Answer> {
        match self {
            Self::Batch(posts) if status == MULTI_STATUS => lines(posts.len(), body, lost),
            // It was taken, and its receipt broke off: where it lies nobody was told.
            Self::Order(_) if status == ACCEPTED && lost.is_some() => lost.into_iter().collect(),
            _ => vec![judge(status, body); self.posts().len()],
        }
    }
}

/// Whether it can be a line, and would be answered as it is alone.
fn fits(post: &Post) -> bool {
    let is_json = post.content_type.starts_with("application/json");
    is_json && !post.body.contains(&b'\n') && !post.body.trim_ascii().is_empty()
}

/// The receipts stand in the order of the lines. One that ends the batch early speaks for all lines from its own on; who
/// ends it without a word has no answer to the rest, which the checker counts.
fn lines(count: usize, receipts: &[u8], lost: Option<Answer>) -> Vec<Answer> {
    let mut answers = Vec::new();
    for text in receipts.split_inclusive(|byte| *byte == b'\n').filter(|text| text.ends_with(b"\n")) {
        match serde_json::from_slice(text) {
            Ok(Line { line, status }) if line == answers.len() + 1 => answers.push(judge(status, text)),
            _ => break,
        }
    }
    let early = answers.last().filter(|last| last.outcome == Outcome::Fail).cloned();
    let silent = || Answer::unknown(Some(MULTI_STATUS), "no receipt, or not in its place");
    answers.resize(count, lost.or(early).unwrap_or_else(silent));
    answers
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::generator::{Generator, Mix};

    #[test]
    fn a_batch_has_only_what_can_be_a_line_and_nothing_is_left_out() {
        let all: Vec<Post> = Generator::new("batch", 3, Mix::default()).take(2_000).collect();
        let mut posts = all.clone().into_iter().enumerate().peekable();
        let (mut sent, mut sizes) = (Vec::new(), BTreeSet::new());
        while let Some((last, request)) = Request::next(&mut posts, true) {
            if let Request::Batch(lines) = &request {
                let body = request.body();
                assert_eq!(body.split(|byte| *byte == b'\n').count(), lines.len() + 1);
                sizes.insert(lines.len());
            }
            sent.extend_from_slice(request.posts());
            assert_eq!(last + 1, sent.len());
        }
        assert_eq!(sent, all);
        assert_eq!(sizes, BTreeSet::from_iter(1..=MOST));
    }

    #[test]
    fn each_line_has_its_own_end() {
        use Outcome::{Fail, Info, Ok};
        let taken = |line| format!("{{\"line\":{line},\"status\":202,\"partition\":1,\"offset\":{line}}}\n");
        let refused = |line, status| format!("{{\"line\":{line},\"status\":{status},\"persisted\":\"no\"}}\n");
        let (broken, silent) = (None, Some(MULTI_STATUS));
        for (name, text, is_lost, expected) in [
            (
                "whole",
                [taken(1), refused(2, 422), taken(3)].concat(),
                false,
                [(Ok, Some(202)), (Fail, Some(422)), (Ok, Some(202))],
            ),
            (
                "within a receipt it broke off",
                [refused(1, 422), taken(2)].concat().trim_end().to_owned(),
                true,
                [(Fail, Some(422)), (Info, broken), (Info, broken)],
            ),
            (
                "ended early",
                [taken(1), refused(2, 503)].concat(),
                false,
                [(Ok, Some(202)), (Fail, Some(503)), (Fail, Some(503))],
            ),
            ("without a word", taken(1), false, [(Ok, Some(202)), (Info, silent), (Info, silent)]),
            ("out of order", [taken(2), taken(1)].concat(), false, [(Info, silent); 3]),
            (
                "one more that ended it",
                [taken(1), taken(2), taken(3), refused(4, 503)].concat(),
                false,
                [(Ok, Some(202)); 3],
            ),
        ] {
            let lost = is_lost.then(|| Answer::unknown(broken, "connection lost"));
            let answers = lines(3, text.as_bytes(), lost);
            let ends: Vec<_> = answers.iter().map(|answer| (answer.outcome, answer.status)).collect();
            assert_eq!(ends, expected, "{name}");
        }
    }
}
