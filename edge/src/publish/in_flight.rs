//! An order that was handed over, until the delivery report says what became of it.

use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;
use tokio::sync::oneshot;

use super::{InDoubt, Persistence, Placed, PublishError, Report, Unavailable, settings};

/// A record that was handed over and is not settled yet.
#[derive(Debug)]
#[must_use = "a record that was handed over is in doubt until it is settled"]
pub struct InFlight {
    report: oneshot::Receiver<Report>,
    /// Of the record's value, in bytes.
    size: usize,
    begun: Instant,
}

impl InFlight {
    /// A record of so many bytes that is handed over now.
    pub(super) fn new(report: oneshot::Receiver<Report>, size: usize, begun: Instant) -> Self {
        Self { report, size, begun }
    }

    /// When it was handed over.
    #[must_use]
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// Waits for the delivery report, at most for `deadline` from the handing over.
    ///
    /// # Errors
    /// See [`PublishError`]; each says whether the record may be in the topic.
    pub async fn settled(mut self, deadline: Duration) -> Result<Placed, PublishError> {
        self.settled_by(self.begun + deadline, deadline).await
    }

    /// The same by a point in time, `deadline` after the record was handed over. A report that has come counts, however
    /// late it is asked for. What was not waited for to its end can be waited for again.
    ///
    /// # Errors
    /// As [`InFlight::settled`].
    pub async fn settled_by(&mut self, end: Instant, deadline: Duration) -> Result<Placed, PublishError> {
        match tokio::time::timeout_at(end.into(), &mut self.report).await {
            Ok(Ok(report)) => settle(report, self.size),
            Ok(Err(_)) => Err(no_report()),
            Err(_) => Err(PublishError::InDoubt(InDoubt::Deadline(deadline))),
        }
    }

    /// What is known now; `None` while there is no report. Once told it is not told again.
    pub fn settled_now(&mut self) -> Option<Result<Placed, PublishError>> {
        match self.report.try_recv() {
            Ok(report) => Some(settle(report, self.size)),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => Some(Err(no_report())),
        }
    }
}

/// See `context::persistence`.
const LATER: &str = "it confirmed a later one";

/// The producer went without a report; it gives one for every message, so this is a doubt, not a loss.
fn no_report() -> PublishError {
    PublishError::InDoubt(InDoubt::Unconfirmed("the producer ended".to_owned()))
}

/// What a delivery report means for the client. All orders that went together are told that they are too large, so it is
/// believed of one that went alone.
pub(super) fn settle(report: Report, size: usize) -> Result<Placed, PublishError> {
    match (report.persistence, report.error) {
        (Persistence::Stored(placed), _) => Ok(placed),
        (Persistence::NotStored, Some(RDKafkaErrorCode::MessageSizeTooLarge)) if settings::BATCH_BYTES < size => {
            Err(PublishError::TooLarge(size))
        }
        (Persistence::NotStored, error) => Err(Unavailable::NotSent(describe(error)).into()),
        (Persistence::InDoubt, None) => Err(PublishError::InDoubt(InDoubt::Unconfirmed(LATER.to_owned()))),
        (Persistence::InDoubt, error) => Err(PublishError::InDoubt(InDoubt::Unconfirmed(describe(error)))),
    }
}

pub(super) fn describe(code: Option<RDKafkaErrorCode>) -> String {
    match code {
        Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight) => "it was given up".to_owned(),
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => "alone or with others it was too large for the topic".to_owned(),
        Some(code) => format!("{code:?}"),
        None => "no error code".to_owned(),
    }
}
