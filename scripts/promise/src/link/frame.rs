//! Just enough of Kafka's framing: which request asks for a commit, which answer is the one to it, and which bytes of a
//! frame a checksum covers. A frame is what follows its length. All that cannot be read is nothing.

use std::ops::Range;

/// A request's key that ends a transaction.
const END_TXN: i16 = 26;
/// From this version on a request and its answer end with tagged fields, and an answer's head does.
const END_TXN_TAGGED: i16 = 3;
/// A batch's head from the length's field on, as far as the checksum's.
const LENGTH: usize = 8;
const AFTER_LENGTH: usize = 12;
const MAGIC: usize = 16;
const CHECKSUM: usize = 17;
const COVERED: usize = 21;

/// A request for a commit that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Commit {
    correlation: i32,
    version: i16,
}

impl Commit {
    /// Of a request, if it is one; an abort is none.
    pub(super) fn asked_by(request: &[u8]) -> Option<Self> {
        let (key, version) = (short(request, 0)?, short(request, 2)?);
        let correlation = int(request, 4)?;
        let behind = if version < END_TXN_TAGGED { 1 } else { 2 };
        let commits = *request.get(request.len().checked_sub(behind)?)? == 1;
        (key == END_TXN && commits).then_some(Self { correlation, version })
    }

    /// Whether this is the answer to it, and says that it is committed.
    pub(super) fn granted_by(self, answer: &[u8]) -> bool {
        // The correlation, in later versions tagged fields, how long to wait, the error.
        let error = if self.version < END_TXN_TAGGED { 8 } else { 9 };
        self.is_answered_by(answer) && short(answer, error) == Some(0)
    }

    pub(super) fn is_answered_by(self, answer: &[u8]) -> bool {
        int(answer, 0) == Some(self.correlation)
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
