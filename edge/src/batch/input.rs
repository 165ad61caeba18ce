//! The body of a batch as it comes: bounded in bytes, in memory, and in the time for which its client is waited for.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::split::Splitter;
use crate::{publish::Permit, refusal::Refusal};

/// For how long a client may send nothing while it is waited for, and how long it may be waited for in all.
pub(super) const SILENCE: Duration = Duration::from_secs(5);
pub(super) const WAITING: Duration = Duration::from_secs(60);

/// The body as it comes.
pub(super) struct Input<B> {
    pub(super) body: B,
    pub(super) splitter: Splitter,
    /// That have come so far, even if they are beyond the limit.
    pub(super) bytes: usize,
    /// Why no more is read from it, once that is so.
    pub(super) ended: Option<End>,
    waited: Duration,
    waiting_since: Option<Instant>,
}

pub(super) enum End {
    /// As it should.
    Whole,
    Refused(Refusal),
}

impl<B> Input<B> {
    pub(super) fn new(body: B, splitter: Splitter) -> Self {
        Self { body, splitter, bytes: 0, ended: None, waited: Duration::ZERO, waiting_since: None }
    }

    /// Takes a piece of the body, as far as the limit and the memory allow.
    pub(super) fn push(&mut self, mut piece: Bytes, memory: &mut Permit, limit: usize) {
        let room = limit.saturating_sub(self.bytes);
        self.bytes += piece.len();
        if room < piece.len() {
            // The lines that lie within the limit are taken.
            piece.truncate(room);
        }
        if !memory.cover(self.splitter.kept() + piece.len()) {
            self.splitter.give_up();
        }
        self.splitter.push(piece);
    }

    pub(super) fn end(&mut self, end: End) {
        self.ended.get_or_insert(end);
    }

    /// Until when a piece is waited for, if it is waited for now.
    pub(super) fn wait(&mut self, wants_more: bool) -> Instant {
        if !wants_more {
            self.came();
            return Instant::now();
        }
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        since + SILENCE.min(WAITING.saturating_sub(self.waited))
    }

    /// The wait is over; how long the client was waited for so far.
    pub(super) fn came(&mut self) -> Duration {
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
        self.waited
    }
}
