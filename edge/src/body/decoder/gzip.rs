//! RFC 1952: members one after the other, each with a head, deflated data, and a foot with checksum and length. By hand
//! around the inflater, because the ready-made decoders want to read or write, and a body does neither.

use flate2::{Crc, Decompress};

use super::{Coding, Step, Undecodable, inflate};

const DAMAGED: Undecodable = Undecodable::Damaged(Coding::Gzip);

const HEAD_CHECKSUM: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

/// One body.
pub(super) struct Gzip {
    at: At,
    inflater: Decompress,
    /// Of the member's data.
    checksum: Crc,
    /// That are whole.
    members: u64,
}

enum At {
    Head(Head),
    Data,
    /// The foot, as far as it has come.
    Foot([u8; 8], usize),
}

impl Default for Gzip {
    fn default() -> Self {
        let inflater = Decompress::new(false);
        Self { at: At::Head(Head::default()), inflater, checksum: Crc::new(), members: 0 }
    }
}

impl Gzip {
    pub(super) fn is_at_end(&self) -> bool {
        0 < self.members && matches!(&self.at, At::Head(head) if head.has_not_begun())
    }

    pub(super) fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<Step, Undecodable> {
        let mut read = 0;
        loop {
            let rest = input.get(read..).unwrap_or_default();
            match &mut self.at {
                At::Data => {
                    let (step, ended) = inflate(&mut self.inflater, rest, out).ok_or(DAMAGED)?;
                    self.checksum.update(out.get(..step.written).unwrap_or_default());
                    read += step.read;
                    if ended {
                        self.at = At::Foot([0; 8], 0);
                    }
                    if 0 < step.written || !ended {
                        return Ok(Step { read, written: step.written });
                    }
                }
                At::Head(head) => {
                    let Some(byte) = rest.first() else { break };
                    let begins = head.has_not_begun() || head.is_magic();
                    read += 1;
                    match head.push(*byte) {
                        Ok(true) => self.at = At::Data,
                        Ok(false) => {}
                        Err(()) if begins && 0 < self.members => return Err(Undecodable::Trailing(Coding::Gzip)),
                        Err(()) => return Err(DAMAGED),
                    }
                }
                At::Foot(foot, come) => {
                    let Some(byte) = rest.first() else { break };
                    read += 1;
                    if let Some(place) = foot.get_mut(*come) {
                        *place = *byte;
                    }
                    *come += 1;
                    if *come == foot.len() {
                        let foot = *foot;
                        self.end_member(foot)?;
                    }
                }
            }
        }
        Ok(Step { read, written: 0 })
    }

    fn end_member(&mut self, [c0, c1, c2, c3, l0, l1, l2, l3]: [u8; 8]) -> Result<(), Undecodable> {
        let (checksum, length) = (u32::from_le_bytes([c0, c1, c2, c3]), u32::from_le_bytes([l0, l1, l2, l3]));
        if (self.checksum.sum(), self.checksum.amount()) != (checksum, length) {
            return Err(DAMAGED);
        }
        self.inflater.reset(false);
        self.checksum.reset();
        self.members += 1;
        self.at = At::Head(Head::default());
        Ok(())
    }
}

/// The head of a member, byte by byte; nothing of it is kept.
#[derive(Default)]
struct Head {
    field: Field,
    /// Bytes of the field that have come.
    come: usize,
    flags: u8,
    extra: usize,
    /// Of the head so far, and what stands at its end.
    checksum: Crc,
    told: u16,
}

#[derive(Clone, Copy, Default, Eq, PartialEq)]
enum Field {
    #[default]
    Fixed,
    ExtraLength,
    Extra,
    Name,
    Comment,
    Checksum,
    End,
}

impl Head {
    fn has_not_begun(&self) -> bool {
        self.field == Field::Fixed && self.come == 0
    }

    /// Whether the second of the two bytes that name the format is next.
    fn is_magic(&self) -> bool {
        self.field == Field::Fixed && self.come == 1
    }

    /// Whether the head is whole with this byte.
    fn push(&mut self, byte: u8) -> Result<bool, ()> {
        let is_whole = match self.field {
            Field::Fixed => {
                match (self.come, byte) {
                    (0, 0x1f) | (1, 0x8b) | (2, 8) | (4.., _) => {}
                    (3, flags) if flags & RESERVED == 0 => self.flags = flags,
                    _ => return Err(()),
                }
                self.come == 9
            }
            Field::ExtraLength => {
                self.extra |= usize::from(byte) << (8 * self.come);
                self.come == 1
            }
            Field::Extra => self.come + 1 == self.extra,
            Field::Name | Field::Comment => byte == 0,
            Field::Checksum => {
                self.told |= u16::from(byte) << (8 * self.come);
                self.come == 1
            }
            Field::End => return Err(()),
        };
        if self.field != Field::Checksum {
            self.checksum.update(&[byte]);
        } else if is_whole && u32::from(self.told) != self.checksum.sum() & 0xffff {
            return Err(());
        }
        self.come += 1;
        if is_whole {
            (self.field, self.come) = (self.next(), 0);
        }
        Ok(self.field == Field::End)
    }

    /// The field that comes next.
    fn next(&self) -> Field {
        let has = |flag| self.flags & flag != 0;
        match self.field {
            Field::Fixed if has(EXTRA) => Field::ExtraLength,
            Field::ExtraLength if self.extra != 0 => Field::Extra,
            Field::Fixed | Field::ExtraLength | Field::Extra if has(NAME) => Field::Name,
            Field::Fixed | Field::ExtraLength | Field::Extra | Field::Name if has(COMMENT) => Field::Comment,
            Field::Checksum | Field::End => Field::End,
            _ if has(HEAD_CHECKSUM) => Field::Checksum,
            _ => Field::End,
        }
    }
}
