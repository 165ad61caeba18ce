//! Where a transaction is stopped: at a named point of the first one that begins once the link was told to.

use std::time::Instant;

use super::frame::{Kind, Request};
use super::way::Way;

/// A point of a transaction, by what the broker knows of it; in the order in which they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// Nothing yet: records were polled, and no more.
    Polled,
    /// It has records. librdkafka sends the offsets beside them: of these the broker hears nothing.
    Produced,
    /// It has records, and the offsets.
    OffsetsSent,
    /// It was told to commit.
    CommitSent,
    /// It has committed, and nobody was told.
    Committed,
}

impl Point {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Polled, Self::Produced, Self::OffsetsSent, Self::CommitSent, Self::Committed];

    /// When that is.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Polled => "after poll",
            Self::Produced => "after produce",
            Self::OffsetsSent => "after offsets sent",
            Self::CommitSent => "with the commit sent",
            Self::Committed => "before the reply to the commit",
        }
    }
}

/// That a producer's transaction has come to the point and no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// Its transactional id.
    pub producer: String,
    /// When.
    pub at: Instant,
}

/// What becomes of a message of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Pass,
    Lose,
    PassAndStop,
    Stop,
}

/// What was seen since the link was told to stop one.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Who was seen to commit: of its next transaction all is seen.
    producer: Option<Vec<u8>>,
    has_records: bool,
    has_offsets: bool,
    stop: Option<Stop>,
}

impl Watch {
    /// A request on its way there, or its answer on the way back; `committed` says that this is an answer of that kind.
    pub(super) fn see(&mut self, point: Point, way: Way, request: &Request, committed: bool) -> Act {
        if self.producer.is_none() {
            self.producer = committed.then(|| request.producer.clone());
            return Act::Pass;
        }
        if self.producer.as_ref() != Some(&request.producer) {
            return Act::Pass;
        }
        match (point, way, request.kind) {
            // The records must come through behind it on the same connection.
            (Point::Produced, Way::Requests, Kind::AddOffsets) => Act::Lose,
            _ if self.stop.is_some() => Act::Pass,
            (Point::Polled, Way::Requests, _) | (Point::Produced, Way::Answers, Kind::Produce) => Act::Stop,
            (Point::OffsetsSent, Way::Answers, kind) => {
                self.has_records |= kind == Kind::Produce;
                self.has_offsets |= kind == Kind::SendOffsets;
                if self.has_records && self.has_offsets { Act::Stop } else { Act::Pass }
            }
            (Point::CommitSent, Way::Requests, Kind::End { commits: true }) => Act::PassAndStop,
            (Point::Committed, Way::Answers, _) if committed => Act::Stop,
            _ => Act::Pass,
        }
    }

    /// The point is reached.
    pub(super) fn reach(&mut self) {
        let producer = self.producer.as_deref().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
        self.stop = Some(Stop { producer, at: Instant::now() });
    }

    pub(super) fn stop(&self) -> Option<Stop> {
        self.stop.clone()
    }
}
