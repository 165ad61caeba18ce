//! Just enough of Kafka's framing: what a transactional producer asks for, which answer is the one to it, and which bytes
//! of a frame a checksum covers. A frame is what follows its length. All that cannot be read is nothing.

use std::ops::{Range, RangeInclusive};

/// A request's keys.
const PRODUCE: i16 = 0;
const ADD_PARTITIONS_TO_TXN: i16 = 24;
const ADD_OFFSETS_TO_TXN: i16 = 25;
const END_TXN: i16 = 26;
const TXN_OFFSET_COMMIT: i16 = 28;
/// Where the name of the client is in a request; behind the key, the version and the correlation.
const CLIENT: usize = 8;
/// Most bytes of a length of seven bits a byte.
const VARINT: usize = 5;
/// A batch's head from the length's field on, as far as the checksum's.
const LENGTH: usize = 8;
const AFTER_LENGTH: usize = 12;
const MAGIC: usize = 16;
const CHECKSUM: usize = 17;
const COVERED: usize = 21;

/// What a transactional producer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Produce,
    AddPartitions,
    AddOffsets,
    SendOffsets,
    /// A commit or else an abort.
    End {
        commits: bool,
    },
}

/// A request of a transactional producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) kind: Kind,
    /// Its transactional id.
    pub(super) producer: Vec<u8>,
    correlation: i32,
    /// It and its answer have tagged fields, none of which is ever filled in, and lengths of seven bits a byte.
    tagged: bool,
}

impl Request {
    /// None of another producer, nor of any other client.
    pub(super) fn read(frame: &[u8]) -> Option<Self> {
        let (key, version, correlation) = (short(frame, 0)?, short(frame, 2)?, int(frame, 4)?);
        // The versions that begin with the transactional id, and from which one on they are tagged.
        let (versions, tagged_from): (RangeInclusive<i16>, i16) = match key {
            PRODUCE => (3..=i16::MAX, 9),
            ADD_PARTITIONS_TO_TXN => (0..=3, 3),
            ADD_OFFSETS_TO_TXN | END_TXN | TXN_OFFSET_COMMIT => (0..=i16::MAX, 3),
            _ => return None,
        };
        let tagged = tagged_from <= version;
        // A client without a name has the length -1.
        let behind = CLIENT + 2 + usize::try_from(short(frame, CLIENT)?).unwrap_or_default();
        let producer = if tagged { compact(frame, behind + 1) } else { text(frame, behind) }?;
        let kind = match key {
            PRODUCE => Kind::Produce,
            ADD_PARTITIONS_TO_TXN => Kind::AddPartitions,
            ADD_OFFSETS_TO_TXN => Kind::AddOffsets,
            TXN_OFFSET_COMMIT => Kind::SendOffsets,
            _ => {
                let last = frame.len().checked_sub(if tagged { 2 } else { 1 })?;
                Kind::End { commits: *frame.get(last)? == 1 }
            }
        };
        versions.contains(&version).then(|| Self { kind, producer: producer.to_vec(), correlation, tagged })
    }

    pub(super) fn is_answered_by(&self, answer: &[u8]) -> bool {
        int(answer, 0) == Some(self.correlation)
    }

    /// Whether this is the answer to it, and says that it is committed.
    pub(super) fn is_committed_by(&self, answer: &[u8]) -> bool {
        // The correlation, where there are any tagged fields, how long to wait, the error.
        let error = if self.tagged { 9 } else { 8 };
        self.kind == Kind::End { commits: true } && self.is_answered_by(answer) && short(answer, error) == Some(0)
    }
}

/// Where the first batch of records is that is whole: as far as its checksum covers it.
pub(super) fn batch(frame: &[u8]) -> Option<Range<usize>> {
    (0..frame.len().saturating_sub(COVERED)).filter(|at| frame.get(at + MAGIC) == Some(&2)).find_map(|at| {
        let end = usize::try_from(int(frame, at + LENGTH)?).ok()?.checked_add(at + AFTER_LENGTH)?;
        let covered = frame.get(at + COVERED..end)?;
        let told = int(frame, at + CHECKSUM)?.cast_unsigned();
        (crc32c(covered) == told).then_some(at + COVERED..end)
    })
}

/// Castagnoli's, as Kafka's batches have it.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    let bit = |crc: u32, _| (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg());
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), bit))
}

fn short(bytes: &[u8], at: usize) -> Option<i16> {
    bytes.get(at..)?.first_chunk().map(|two| i16::from_be_bytes(*two))
}

fn int(bytes: &[u8], at: usize) -> Option<i32> {
    bytes.get(at..)?.first_chunk().map(|four| i32::from_be_bytes(*four))
}

/// A string behind its length; none where there is none.
fn text(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let length = usize::try_from(short(bytes, at)?).ok()?;
    bytes.get(at + 2..)?.get(..length)
}

/// The same, where the length is one more and has seven bits a byte, the lowest first.
fn compact(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let rest = bytes.get(at..)?;
    let size = rest.iter().take(VARINT).position(|byte| byte & 0x80 == 0)? + 1;
    let (length, string) = rest.split_at_checked(size)?;
    let length = length.iter().rev().fold(0_usize, |length, byte| (length << 7) | usize::from(byte & 0x7F));
    string.get(..length.checked_sub(1)?)
}
