//! What can fail in a transaction and what is done then: one table. How it is done is [`crate::slot`]'s.
//!
//! The rule behind the table: whoever does not know how a transactional call ended must not use that producer again.
//! librdkafka has no KIP-890, so a late commit or abort could land in the *next* transaction; a new producer's
//! `init_transactions` settles the old one and fences what is still under way.

use std::fmt;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use service_kit::kafka::refusal::with_way_out;

use super::native::Failure;

/// The call that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Making a client.
    Open,
    /// `init_transactions`.
    Init,
    /// Polling the consumer.
    Poll,
    /// `begin_transaction`.
    Begin,
    /// Handing a record to the producer.
    Produce,
    /// `send_offsets_to_transaction`.
    SendOffsets,
    /// `commit_transaction`.
    Commit,
    /// `abort_transaction`.
    Abort,
    /// Seeking, pausing or resuming.
    Seek,
    /// What is asked while partitions come and go.
    Assign,
    /// Asking who is in the group.
    Members,
}

/// What the failure says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Another process holds our identity now.
    Fenced,
    /// The client is of no use any more.
    Fatal,
    /// The transaction is lost, the producer is not.
    RequiresAbort,
    /// Nobody knows whether the call took effect.
    Indefinite,
    /// The same call may succeed.
    Retriable,
    /// A partition's position is not in its log.
    PositionLost,
    /// None of these.
    Unclassified,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Make the same call again, up to a deadline.
    Retry,
    /// Abort the transaction, go back to the committed offsets, begin anew.
    AbortAndRewind,
    /// Destroy the clients and make new ones, after a pause that grows.
    Rebuild,
    /// Destroy the clients and wait until nobody else holds the identity.
    StandBy,
}

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{call} failed: {text}")]
pub struct Fault {
    /// Which call.
    pub call: Call,
    /// What the failure says of itself.
    pub signal: Signal,
    /// The client's own words, and the way out where a right is missing.
    pub text: String,
}

impl Fault {
    /// What to do. The one place that decides it.
    #[must_use]
    pub fn action(&self) -> Action {
        match (self.signal, self.call) {
            (Signal::Fenced, _) => Action::StandBy,
            (Signal::Fatal | Signal::PositionLost, _) => Action::Rebuild,
            // "Anything else: treat as fatal", says librdkafka's introduction; but what a poll reports beside fatal
            // errors is news (a broker is down, a topic is not there yet), which it deals with itself.
            (Signal::Unclassified, Call::Poll) => Action::Retry,
            (
                Signal::Unclassified,
                Call::Open
                | Call::Init
                | Call::Begin
                | Call::Produce
                | Call::SendOffsets
                | Call::Commit
                | Call::Abort
                | Call::Seek
                | Call::Assign
                | Call::Members,
            ) => Action::Rebuild,
            (Signal::RequiresAbort, Call::Begin | Call::Produce | Call::SendOffsets | Call::Commit) => {
                Action::AbortAndRewind
            }
            (
                Signal::RequiresAbort,
                Call::Open | Call::Init | Call::Poll | Call::Abort | Call::Seek | Call::Assign | Call::Members,
            ) => Action::Rebuild,
            // Nothing is open yet in `Init`, and nothing is decided by a poll: these may be resumed.
            (Signal::Indefinite, Call::Init | Call::Poll) => Action::Retry,
            (
                Signal::Indefinite,
                Call::Open
                | Call::Begin
                | Call::Produce
                | Call::SendOffsets
                | Call::Commit
                | Call::Abort
                | Call::Seek
                | Call::Assign
                | Call::Members,
            ) => Action::Rebuild,
            (
                Signal::Retriable,
                Call::Init
                | Call::Poll
                | Call::Begin
                | Call::Produce
                | Call::SendOffsets
                | Call::Commit
                | Call::Abort
                | Call::Seek,
            ) => Action::Retry,
            // A rebalance that was not resolved is resolved anew by a new member, with nothing of this one left.
            (Signal::Retriable, Call::Open | Call::Assign | Call::Members) => Action::Rebuild,
        }
    }

    /// The same fault after its deadline: what could be retried is now indefinite.
    #[must_use]
    pub(super) fn given_up(self) -> Self {
        let signal = if self.signal == Signal::Retriable { Signal::Indefinite } else { self.signal };
        Self { signal, text: format!("{}; gave up", self.text), ..self }
    }

    /// A fault that the crate reported.
    pub(super) fn of(call: Call, error: &KafkaError) -> Self {
        if let KafkaError::Transaction(error) = error {
            return Self::of_failure(
                call,
                &Failure {
                    code: error.code(),
                    fatal: error.is_fatal(),
                    retriable: error.is_retriable(),
                    requires_abort: error.txn_requires_abort(),
                    text: error.string(),
                },
            );
        }
        let code = error.rdkafka_error_code();
        let fatal = matches!(error, KafkaError::MessageConsumptionFatal(_));
        let failure = Failure {
            code: code.unwrap_or(RDKafkaErrorCode::Fail),
            fatal,
            retriable: code == Some(RDKafkaErrorCode::QueueFull),
            requires_abort: false,
            text: error.to_string(),
        };
        Self::of_failure(call, &failure)
    }

    /// A fault that librdkafka reported.
    #[must_use]
    pub fn of_failure(call: Call, failure: &Failure) -> Self {
        Self { call, signal: signal(call, failure), text: with_way_out(failure.text.clone()) }
    }

    /// A fault of our own finding.
    pub(super) fn found(call: Call, signal: Signal, text: impl Into<String>) -> Self {
        Self { call, signal, text: text.into() }
    }
}

fn signal(call: Call, failure: &Failure) -> Signal {
    match failure.code {
        RDKafkaErrorCode::Fenced
        | RDKafkaErrorCode::ProducerFenced
        | RDKafkaErrorCode::InvalidProducerEpoch
        | RDKafkaErrorCode::FencedInstanceId
        // KIP-848: the name is taken, and the broker gives it to nobody else while its holder lives.
        | RDKafkaErrorCode::UnreleasedInstanceId => Signal::Fenced,
        RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => Signal::PositionLost,
        // Whatever else is said of them: the broker and the client do not agree on what this producer did, so an abort
        // with it proves nothing.
        RDKafkaErrorCode::InvalidTransactionalState
        | RDKafkaErrorCode::UnknownProducerId
        | RDKafkaErrorCode::InvalidProducerIdMapping => Signal::Fatal,
        // A batch that cannot be unpacked: the consumer has said so and stands behind it already. (Checksums are not looked at.)
        RDKafkaErrorCode::BadMessage if call == Call::Poll => Signal::Fatal,
        _ if failure.fatal => Signal::Fatal,
        // What librdkafka retried until its time was up comes as "requires abort" and nothing else (TxnOffsetCommit does);
        // whether one of the tries took effect is unknown all the same.
        RDKafkaErrorCode::OperationTimedOut
        | RDKafkaErrorCode::RequestTimedOut
        | RDKafkaErrorCode::BrokerTransportFailure
            if failure.requires_abort && matches!(call, Call::SendOffsets | Call::Commit | Call::Abort) =>
        {
            Signal::Indefinite
        }
        _ if failure.requires_abort => Signal::RequiresAbort,
        // Before "retriable": librdkafka calls its own time-outs retriable, but how the call ended is unknown.
        RDKafkaErrorCode::OperationTimedOut | RDKafkaErrorCode::RequestTimedOut | RDKafkaErrorCode::MessageTimedOut => {
            Signal::Indefinite
        }
        _ if failure.retriable => Signal::Retriable,
        _ => Signal::Unclassified,
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "opening a Kafka client",
            Self::Init => "init_transactions",
            Self::Poll => "poll",
            Self::Begin => "begin_transaction",
            Self::Produce => "produce",
            Self::SendOffsets => "send_offsets_to_transaction",
            Self::Commit => "commit_transaction",
            Self::Abort => "abort_transaction",
            Self::Seek => "seek",
            Self::Assign => "taking an assignment",
            Self::Members => "listing the group",
        })
    }
}

#[cfg(test)]
mod tests;
