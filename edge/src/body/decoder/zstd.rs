//! RFC 8878: frames one after the other, skippable ones among them. The head of each is read here before the decoder
//! gets it, because it says how much memory the decoder will take: a window, for which a few bytes of a client suffice.

use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use super::{Coding, PIECE, Permit, Refusal, Step, Undecodable};

const DAMAGED: Undecodable = Undecodable::Damaged(Coding::Zstd);

/// The largest window that a content coding may ask for (RFC 9659).
const MAX_WINDOW: u64 = 8 * 1024 * 1024;
const MAX_WINDOW_LOG: u32 = 23;
/// The largest block, which is what is decoded at once.
const BLOCK: u64 = 128 * 1024;
/// The decoder without its window, and the piece that comes out.
pub(super) const MEMORY: usize = 192 * 1024 + PIECE;

const MAGIC: u32 = 0xfd2f_b528;
/// The lowest four bits are free.
const SKIPPABLE: u32 = 0x184d_2a50;
/// The longest head.
const HEAD: usize = 18;

/// One body.
pub(super) struct Zstd {
    decoder: Decoder<'static>,
    head: [u8; HEAD],
    /// Bytes of the head that have come.
    come: usize,
    /// Bytes of it that were decoded; `None` until it was read.
    fed: Option<usize>,
    /// That are whole.
    frames: u64,
}

impl Zstd {
    pub(super) fn new() -> Result<Self, Refusal> {
        let mut decoder = Decoder::new().map_err(|_| Refusal::Crowded)?; // no memory is all that can be wrong
        decoder.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG)).map_err(|_| DAMAGED)?;
        Ok(Self { decoder, head: [0; HEAD], come: 0, fed: None, frames: 0 })
    }

    pub(super) fn is_at_end(&self) -> bool {
        0 < self.frames && self.come == 0
    }

    pub(super) fn step(&mut self, input: &[u8], out: &mut [u8], memory: &mut Permit) -> Result<Step, Refusal> {
        let mut read = 0;
        loop {
            let Some(fed) = self.fed else {
                let Some(byte) = input.get(read) else { return Ok(Step { read, written: 0 }) };
                read += 1;
                self.begin_frame(*byte, memory)?;
                continue;
            };
            let is_head = fed < self.come;
            let next = if is_head { self.head.get(fed..self.come) } else { input.get(read..) };
            let (step, ended) = run(&mut self.decoder, next.unwrap_or_default(), out)?;
            if is_head {
                self.fed = Some(fed + step.read);
            } else {
                read += step.read;
            }
            if ended {
                (self.come, self.fed) = (0, None);
                self.frames += 1;
            }
            if 0 < step.written || (!is_head && !ended) {
                return Ok(Step { read, written: step.written });
            }
            if step.read == 0 && !ended {
                return Err(DAMAGED.into());
            }
        }
    }

    /// Takes a byte of a frame's head; when that is whole, takes the memory that it asks for.
    fn begin_frame(&mut self, byte: u8, memory: &mut Permit) -> Result<(), Refusal> {
        if let Some(place) = self.head.get_mut(self.come) {
            *place = byte;
        }
        self.come += 1;
        let head = self.head.get(..self.come).unwrap_or_default();
        match Head::read(head) {
            Ok(None) => Ok(()),
            Err(()) if 0 < self.frames => Err(Undecodable::Trailing(Coding::Zstd).into()),
            Err(()) => Err(DAMAGED.into()),
            Ok(Some(Head { window, .. })) if MAX_WINDOW < window => {
                Err(Undecodable::Window { size: window, limit: MAX_WINDOW }.into())
            }
            Ok(Some(head)) => {
                memory.try_cover(MEMORY + head.memory())?;
                self.fed = Some(0);
                Ok(())
            }
        }
    }
}

fn run(decoder: &mut Decoder<'_>, input: &[u8], out: &mut [u8]) -> Result<(Step, bool), Undecodable> {
    let (mut input, mut out) = (InBuffer::around(input), OutBuffer::around(out));
    let left = decoder.run(&mut input, &mut out).map_err(|_| DAMAGED)?;
    Ok((Step { read: input.pos(), written: out.pos() }, left == 0))
}

/// What the head of a frame says.
#[derive(Debug, Eq, PartialEq)]
struct Head {
    window: u64,
    /// Bytes that come out of the frame, if it tells.
    size: Option<u64>,
}

impl Head {
    /// `None` while it is not whole; an error if it is none.
    fn read(head: &[u8]) -> Result<Option<Self>, ()> {
        let Some((magic, rest)) = head.split_first_chunk::<4>() else { return Ok(None) };
        let magic = u32::from_le_bytes(*magic);
        if magic & !0xf == SKIPPABLE {
            return Ok((rest.len() == 4).then_some(Self { window: 0, size: Some(0) }));
        }
        if magic != MAGIC {
            return Err(());
        }
        let Some((descriptor, rest)) = rest.split_first() else { return Ok(None) };
        let is_single = descriptor & 0x20 != 0;
        let dictionary = [0, 1, 2, 4].get(usize::from(descriptor & 3)).copied().unwrap_or(0);
        let sized = [usize::from(is_single), 2, 4, 8].get(usize::from(descriptor >> 6)).copied().unwrap_or(0);
        let at = usize::from(!is_single) + dictionary;
        let Some(size) = rest.get(at..at + sized) else { return Ok(None) };
        let size = size.iter().rev().fold(0, |size, byte| size << 8 | u64::from(*byte));
        let size = match sized {
            0 => None,
            2 => Some(size + 256),
            _ => Some(size),
        };
        let window = match (size, rest.first()) {
            (Some(size), _) if is_single => size,
            (_, Some(window)) => {
                let base = 1 << (10 + (window >> 3));
                base + base / 8 * u64::from(window & 7)
            }
            _ => return Ok(None),
        };
        Ok(Some(Self { window, size }))
    }

    /// What the decoder takes for this frame: the window and a block on both sides of it, unless the whole frame is
    /// smaller, and what has come of a block.
    fn memory(&self) -> usize {
        let block = BLOCK.min(self.window);
        let out = self.window + 2 * block + 64;
        let out = self.size.map_or(out, |size| size.min(out));
        usize::try_from(out + block).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests;
