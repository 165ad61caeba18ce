//! Why an order was not published, each saying whether it may be in the topic.

use std::time::Duration;

use super::{Away, pause};

/// Why a record is not surely in the topic.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Surely not in the topic: nothing was handed over, or librdkafka says so.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The topic refuses records of this size; surely not in it.
    #[error("the topic refuses a record of {0} bytes")]
    TooLarge(usize),
    /// May be in the topic now, or later.
    #[error("{0}")]
    InDoubt(InDoubt),
}

/// Why nothing is accepted now.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unavailable {
    /// No broker can be reached, or the topic is not there.
    #[error("Kafka cannot take orders now: {0}")]
    Broker(Away),
    /// As many orders wait for the broker as we let wait.
    #[error("as many orders wait for the broker as may wait")]
    QueueFull {
        /// When its client may come back.
        pause: Duration,
    },
    /// The broker would not have acknowledged it in time.
    #[error(
        "the broker is behind by {wait:.1?}, too much for the deadline of {deadline:?}; send it again, or allow it more time"
    )]
    Late {
        /// How long orders wait now.
        wait: Duration,
        /// The client's.
        deadline: Duration,
        /// When its client may come back.
        pause: Duration,
    },
    /// As many orders of this client wait for the broker as may be one client's.
    #[error("as many orders of this key wait for the broker as leave room for those of others")]
    ShareTaken {
        /// When its client may come back.
        pause: Duration,
    },
    /// librdkafka gave the message up without having sent it.
    #[error("the broker did not take the order in time ({0})")]
    NotSent(String),
    /// The schema registry has not told the schema's id yet.
    #[error("the schema registry has not told the id of the schema yet")]
    Schema,
}

/// Why it is not known whether a record is in the topic.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InDoubt {
    /// The deadline passed with the record in flight.
    #[error("the broker has not answered within {0:?}; the order may be stored or may yet be")]
    Deadline(Duration),
    /// The broker's answer was lost or says nothing.
    #[error("the broker was sent the order and did not confirm it ({0})")]
    Unconfirmed(String),
}

impl Unavailable {
    /// How long a client should wait before it sends the order again.
    #[must_use]
    pub fn pause(&self) -> Duration {
        match self {
            Self::Broker(away) => away.pause,
            Self::QueueFull { pause } | Self::Late { pause, .. } | Self::ShareTaken { pause } => *pause,
            Self::NotSent(_) | Self::Schema => pause::while_away(Duration::ZERO),
        }
    }
}
