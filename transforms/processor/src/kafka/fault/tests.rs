//! The table, read back: what librdkafka says, and what is done.

use super::*;

fn failure(code: RDKafkaErrorCode, flags: &str) -> Failure {
    Failure {
        code,
        fatal: flags.contains('f'),
        retriable: flags.contains('r'),
        requires_abort: flags.contains('a'),
        text: "test".to_owned(),
    }
}

#[test]
fn every_kind_of_failure_has_its_action() {
    use RDKafkaErrorCode as Code;
    for (call, code, flags, expected) in [
        (Call::Init, Code::CoordinatorLoadInProgress, "r", Action::Retry),
        (Call::Init, Code::OperationTimedOut, "r", Action::Retry),
        (Call::Init, Code::TransactionalIdAuthorizationFailed, "f", Action::Rebuild),
        (Call::SendOffsets, Code::CoordinatorNotAvailable, "r", Action::Retry),
        (Call::SendOffsets, Code::IllegalGeneration, "a", Action::AbortAndRewind),
        (Call::SendOffsets, Code::UnknownMemberId, "a", Action::AbortAndRewind),
        (Call::SendOffsets, Code::FencedInstanceId, "a", Action::StandBy),
        (Call::SendOffsets, Code::OperationTimedOut, "r", Action::Rebuild),
        (Call::SendOffsets, Code::OperationTimedOut, "a", Action::Rebuild),
        (Call::SendOffsets, Code::RequestTimedOut, "a", Action::Rebuild),
        (Call::SendOffsets, Code::BrokerTransportFailure, "a", Action::Rebuild),
        (Call::SendOffsets, Code::BrokerTransportFailure, "r", Action::Retry),
        (Call::Commit, Code::RequestTimedOut, "a", Action::Rebuild),
        (Call::Commit, Code::OperationTimedOut, "r", Action::Rebuild),
        (Call::Commit, Code::OperationTimedOut, "", Action::Rebuild),
        (Call::Commit, Code::MessageTimedOut, "a", Action::AbortAndRewind),
        (Call::Commit, Code::NotCoordinator, "r", Action::Retry),
        (Call::Commit, Code::ProducerFenced, "f", Action::StandBy),
        (Call::Commit, Code::Fenced, "f", Action::StandBy),
        (Call::Commit, Code::InvalidTransactionalState, "f", Action::Rebuild),
        (Call::Commit, Code::InvalidTransactionalState, "a", Action::Rebuild),
        (Call::Commit, Code::UnknownProducerId, "", Action::Rebuild),
        (Call::Commit, Code::UnknownProducerId, "a", Action::Rebuild),
        (Call::Produce, Code::InvalidProducerIdMapping, "a", Action::Rebuild),
        (Call::SendOffsets, Code::StaleMemberEpoch, "a", Action::AbortAndRewind),
        (Call::SendOffsets, Code::FencedMemberEpoch, "a", Action::AbortAndRewind),
        (Call::Abort, Code::OperationTimedOut, "r", Action::Rebuild),
        (Call::Abort, Code::RequestTimedOut, "a", Action::Rebuild),
        (Call::Abort, Code::InvalidTransactionalState, "a", Action::Rebuild),
        (Call::Produce, Code::BrokerTransportFailure, "a", Action::AbortAndRewind),
        (Call::Produce, Code::QueueFull, "r", Action::Retry),
        (Call::Produce, Code::MessageSizeTooLarge, "", Action::Rebuild),
        (Call::Begin, Code::Fatal, "f", Action::Rebuild),
        (Call::Poll, Code::AllBrokersDown, "", Action::Retry),
        (Call::Poll, Code::BadMessage, "", Action::Rebuild),
        (Call::Poll, Code::UnknownTopicOrPartition, "", Action::Retry),
        (Call::Poll, Code::AutoOffsetReset, "", Action::Rebuild),
        (Call::Poll, Code::FencedInstanceId, "f", Action::StandBy),
        (Call::Poll, Code::UnreleasedInstanceId, "f", Action::StandBy),
        (Call::Poll, Code::Fatal, "f", Action::Rebuild),
    ] {
        let fault = Fault::of_failure(call, &failure(code, flags));
        assert_eq!(fault.action(), expected, "{call} {code:?} {flags:?}");
    }
}

#[test]
fn nothing_indefinite_keeps_its_producer() {
    for call in [Call::Begin, Call::Produce, Call::SendOffsets, Call::Commit, Call::Abort] {
        assert_eq!(Fault::found(call, Signal::Indefinite, "").action(), Action::Rebuild, "{call}");
    }
}
