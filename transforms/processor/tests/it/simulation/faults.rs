//! What goes wrong at a call, in librdkafka's words; and the defects by which the simulation itself is tested.

use rdkafka::types::RDKafkaErrorCode as Code;
use transforms::kafka::{Call, Failure};

use super::broker::failure;
use super::rng::Rng;
use super::world::{MS, SECOND, Time};

/// How often things go wrong, of a thousand.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rates {
    pub(super) call: u64,
    pub(super) slow: u64,
    pub(super) work: u64,
    /// A process dies or stands still at a call.
    pub(super) halt: u64,
    pub(super) poison: u64,
}

/// What becomes of a call.
#[derive(Debug)]
pub(super) enum Injected {
    Nothing,
    /// It is answered so, and nothing was done.
    Refused(Failure),
    /// It was done, and the answer is lost.
    Unanswered(Failure),
    /// The request is lost.
    Lost(Failure),
    /// The request arrives so much later.
    Late(Failure, Time),
    /// It takes so long.
    Slow(Time),
}

/// A mistake of which the checker must know. Each is one that a loop like ours can make, made between the loop and the
/// broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Defect {
    /// The offset of the last record is committed, and not the one after it.
    OffsetOfTheLast,
    /// A record more than was done is committed.
    OffsetTooFar,
    /// The commit does not wait until everything is delivered.
    CommitsUndelivered,
    /// After an abort the consumer stays where it is.
    NoRewind,
    /// The producer goes on after nobody knows how a commit ended.
    KeepsTheProducer,
    /// An indefinite commit is taken as done.
    TakesSilenceForYes,
    /// The group's metadata is taken once.
    StaleMetadata,
    /// Offsets are sent without the group's metadata.
    NoMetadata,
    /// Offsets that a transaction holds back are not waited for.
    Impatient,
    /// No producer is fenced.
    NoFencing,
    /// Whoever is fenced comes back at once.
    FightsOn,
    /// The transaction is not aborted.
    NoAbort,
    /// Records of aborted transactions are read.
    ReadsUncommitted,
    /// A partition stays paused over a rebalance.
    StaysPaused,
    /// The broker's refusal of a record is forgotten.
    ForgetsRefusals,
    /// A position that nobody answered for is taken as the beginning.
    GuessesPositions,
    /// A position that is not in the log is taken as the end of the log.
    SkipsGaps,
    /// A rebalance is kept from the session.
    HidesRebalances,
    /// The work changes within a transaction.
    MixesVersions,
}

impl Defect {
    pub(super) const ALL: [Self; 19] = [
        Self::OffsetOfTheLast,
        Self::OffsetTooFar,
        Self::CommitsUndelivered,
        Self::NoRewind,
        Self::KeepsTheProducer,
        Self::TakesSilenceForYes,
        Self::StaleMetadata,
        Self::NoMetadata,
        Self::Impatient,
        Self::NoFencing,
        Self::FightsOn,
        Self::NoAbort,
        Self::ReadsUncommitted,
        Self::StaysPaused,
        Self::ForgetsRefusals,
        Self::GuessesPositions,
        Self::SkipsGaps,
        Self::HidesRebalances,
        Self::MixesVersions,
    ];
}

/// What becomes of this call.
pub(super) fn inject(rng: &mut Rng, rates: Rates, call: Call) -> Injected {
    if rng.chance(rates.slow) {
        let slow = if rng.chance(100) { rng.between(SECOND, 14 * SECOND) } else { rng.between(MS, SECOND) };
        return Injected::Slow(slow);
    }
    // Many polls and records make a transaction.
    let often = matches!(call, Call::Poll | Call::Produce);
    if !rng.chance(if often { rates.call.div_ceil(8) } else { rates.call }) {
        return Injected::Nothing;
    }
    let refused = |code, flags| Injected::Refused(failure(code, flags));
    match call {
        Call::Open | Call::Begin => refused(Code::Fail, ""),
        Call::Seek | Call::Assign | Call::Members => refused(Code::BrokerTransportFailure, ""),
        Call::Poll => match rng.below(8) {
            0 => refused(Code::Fatal, "f"),
            1..5 => refused(Code::AllBrokersDown, ""),
            _ => refused(Code::UnknownTopicOrPartition, ""),
        },
        Call::Produce => match rng.below(4) {
            0 => refused(Code::Fatal, "f"),
            1 => refused(Code::BrokerTransportFailure, "a"),
            _ => refused(Code::QueueFull, "r"),
        },
        Call::Init | Call::Abort => match rng.below(4) {
            0 => refused(Code::CoordinatorLoadInProgress, "r"),
            1 if call == Call::Abort => refused(Code::Fatal, "f"),
            _ => indefinite(rng, &["r"]),
        },
        Call::SendOffsets | Call::Commit => match rng.below(8) {
            0 => refused(Code::CoordinatorNotAvailable, "r"),
            1 if call == Call::Commit => refused(Code::MessageTimedOut, "a"),
            1 => refused(Code::IllegalGeneration, "a"),
            2 => refused(rng.pick(&[Code::Fatal, Code::InvalidTransactionalState, Code::UnknownProducerId]), "f"),
            _ => indefinite(rng, &["r", "a", ""]),
        },
    }
}

/// Nobody knows how the call ended.
fn indefinite(rng: &mut Rng, flags: &[&'static str]) -> Injected {
    let (code, flags) = (rng.pick(&[Code::OperationTimedOut, Code::RequestTimedOut]), rng.pick(flags));
    match rng.below(3) {
        0 => Injected::Unanswered(failure(code, flags)),
        1 => Injected::Lost(failure(code, flags)),
        _ => {
            let late = if rng.chance(700) { rng.between(MS, 2 * SECOND) } else { rng.between(SECOND, 12 * SECOND) };
            Injected::Late(failure(code, flags), late)
        }
    }
}
