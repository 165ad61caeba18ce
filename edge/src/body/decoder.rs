//! The decoders, one step at a time: what has come goes in, at most a piece comes out. None holds more memory than its
//! share, and none decodes further than it is asked for.

use flate2::{Decompress, FlushDecompress, Status};

use super::{Coding, Shares, decoded::PIECE};
use crate::{
    publish::{Permit, Permits},
    refusal::{Refusal, Undecodable},
};

mod gzip;
mod zstd;

use gzip::Gzip;
use zstd::Zstd;

/// What inflating takes: 32 KiB of window, some 12 KiB of tables, and the piece that comes out.
const INFLATE_MEMORY: usize = 48 * 1024 + PIECE;

/// What decoders may take together. Budgets of their own, as for batches: clients that compress must not take from
/// others the memory for their bodies, nor those that ask for large windows from those that do not.
const INFLATERS: usize = 32 * 1024 * 1024;
const ZSTD: usize = 64 * 1024 * 1024;
const MAX_DECODERS: usize = 8192;

/// The memory for decoders. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    inflaters: Permits,
    zstd: Permits,
    /// What the client holds of both, if clients are told apart.
    shares: Option<Shares>,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(INFLATERS, ZSTD)
    }
}

impl Memory {
    /// So many bytes for each.
    #[must_use]
    pub(super) fn new(inflaters: usize, zstd: usize) -> Self {
        Self { inflaters: Permits::new(MAX_DECODERS, inflaters), zstd: Permits::new(MAX_DECODERS, zstd), shares: None }
    }

    /// The same for a client that holds no more than its share.
    #[must_use]
    pub(super) fn for_client(&self, shares: Option<&Shares>) -> Self {
        Self { shares: shares.cloned(), ..self.clone() }
    }

    fn take(&self, coding: Coding) -> Result<Permit, Refusal> {
        let shares = self.shares.as_ref();
        let taken = match coding {
            Coding::Gzip | Coding::Deflate => {
                self.inflaters.take_for(shares.map(|shares| &shares.inflaters), INFLATE_MEMORY)
            }
            Coding::Zstd => self.zstd.take_for(shares.map(|shares| &shares.zstd), zstd::MEMORY),
        };
        Ok(taken?)
    }

    #[cfg(test)]
    pub(super) fn taken(&self) -> (usize, usize) {
        (self.inflaters.taken().1, self.zstd.taken().1)
    }
}

/// What a step did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Step {
    /// Bytes that were taken.
    pub(super) read: usize,
    /// Bytes that came out. When the room for them is full there may be more without further input.
    pub(super) written: usize,
}

/// A decoder with its share of the memory.
pub(super) struct Decoder {
    stream: Stream,
    memory: Permit,
}

enum Stream {
    Gzip(Gzip),
    Deflate(Deflate),
    Zstd(Zstd),
}

impl Decoder {
    /// A decoder, if there is memory for it.
    pub(super) fn new(coding: Coding, memory: &Memory) -> Result<Self, Refusal> {
        let memory = memory.take(coding)?;
        let stream = match coding {
            Coding::Gzip => Stream::Gzip(Gzip::default()),
            Coding::Deflate => Stream::Deflate(Deflate::default()),
            Coding::Zstd => Stream::Zstd(Zstd::new()?),
        };
        Ok(Self { stream, memory })
    }

    /// Decodes until `out` is full or `input` is used up.
    pub(super) fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<Step, Refusal> {
        match &mut self.stream {
            Stream::Gzip(gzip) => Ok(gzip.step(input, out)?),
            Stream::Deflate(deflate) => Ok(deflate.step(input, out)?),
            Stream::Zstd(zstd) => zstd.step(input, out, &mut self.memory),
        }
    }

    /// Whether what has come is whole.
    pub(super) fn is_at_end(&self) -> bool {
        match &self.stream {
            Stream::Gzip(gzip) => gzip.is_at_end(),
            Stream::Deflate(deflate) => deflate.ended,
            Stream::Zstd(zstd) => zstd.is_at_end(),
        }
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("memory", &self.memory).finish_non_exhaustive()
    }
}

/// One step of inflating; whether the stream has ended.
fn inflate(inflater: &mut Decompress, input: &[u8], out: &mut [u8]) -> Option<(Step, bool)> {
    let (read, written) = (inflater.total_in(), inflater.total_out());
    let status = inflater.decompress(input, out, FlushDecompress::None).ok()?;
    // Both are bounded by the slices that were given.
    let since = |now: u64, before: u64| usize::try_from(now - before).ok();
    let step = Step { read: since(inflater.total_in(), read)?, written: since(inflater.total_out(), written)? };
    Some((step, status == Status::StreamEnd))
}

/// RFC 1950 or, if it does not begin as such, RFC 1951. No encoder begins the latter like the former: it would be a
/// stored block with a bit set that is padding.
#[derive(Default)]
struct Deflate {
    /// The first two bytes, which tell; how many have come, and how many were decoded.
    head: [u8; 2],
    come: usize,
    fed: usize,
    inflater: Option<Decompress>,
    ended: bool,
}

impl Deflate {
    fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<Step, Undecodable> {
        let damaged = Undecodable::Damaged(Coding::Deflate);
        let mut read = 0;
        for (place, byte) in self.head.iter_mut().skip(self.come).zip(input) {
            *place = *byte;
            read += 1;
        }
        self.come += read;
        let rest = input.get(read..).unwrap_or_default();
        if self.ended {
            return if rest.is_empty() { Ok(Step::default()) } else { Err(Undecodable::Trailing(Coding::Deflate)) };
        }
        if self.come < self.head.len() {
            return Ok(Step { read, written: 0 });
        }
        let is_zlib = is_zlib(self.head);
        let inflater = self.inflater.get_or_insert_with(|| Decompress::new(is_zlib));
        while let Some(head) = self.head.get(self.fed..).filter(|head| !head.is_empty()) {
            let (step, ended) = inflate(inflater, head, out).ok_or(damaged)?;
            (self.fed, self.ended) = (self.fed + step.read, ended);
            match step {
                Step { read: 0, written: 0 } => return Err(damaged),
                Step { written: 0, .. } if !ended => {}
                Step { written, .. } => return Ok(Step { read, written }),
            }
        }
        let (step, ended) = inflate(inflater, rest, out).ok_or(damaged)?;
        self.ended = ended;
        Ok(Step { read: read + step.read, written: step.written })
    }
}

/// Whether this is the head of RFC 1950: deflate with a window of at most 32 KiB, and a check over both bytes.
fn is_zlib([method, flags]: [u8; 2]) -> bool {
    method & 0x0f == 8 && method >> 4 <= 7 && u16::from_be_bytes([method, flags]) % 31 == 0
}
