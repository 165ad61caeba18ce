//! The batch frame: what the host writes for a guest's `process`, and what the guest writes back.
//!
//! The layout is specified in `transforms/wit/transform.wit` and versioned with that world; this crate is its one
//! reader and writer, used by both sides. It knows bytes, keys and headers, not Avro, not orders. It depends on
//! nothing but `alloc`, since every guest carries it, and it reads without allocating, since the other side is not
//! trusted.
#![no_std]

extern crate alloc;

mod read;
mod write;

#[cfg(test)]
mod tests;

pub use read::{Batch, Header, Headers, Record, Records, Routed, Verdict, Verdicts};
pub use write::{BatchWriter, RecordParts, TooLarge, VerdictWriter};

/// The world that this frame belongs to; a module tells it in `describe`.
pub const WORLD: &str = "orderflow:transform@1.1.0";

/// Every world whose modules a host of [`WORLD`] runs: what came later only added to what a module may say.
pub const WORLDS: [&str; 2] = ["orderflow:transform@1.0.0", WORLD];

/// The first byte of every frame.
pub const VERSION: u8 = 1;

/// The length that says "absent".
pub(crate) const ABSENT: u32 = u32::MAX;

/// Tags of the verdicts.
pub(crate) mod tag {
    pub(crate) const DROP: u8 = 0;
    pub(crate) const REJECT: u8 = 1;
    pub(crate) const REPLACE: u8 = 2;
    pub(crate) const EMIT: u8 = 3;
    pub(crate) const ROUTE: u8 = 4;
    pub(crate) const ROUTE_EACH: u8 = 5;
}

/// Why bytes are not a frame. Positions count bytes from the start of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The frame's first byte is not [`VERSION`].
    Version(u8),
    /// The frame ends in the middle of something.
    Truncated {
        /// Where the missing part should have started.
        at: usize,
    },
    /// There are bytes behind the last record or verdict.
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// A verdict's tag is none of the six.
    Tag {
        /// Where it stands.
        at: usize,
        /// What it is.
        tag: u8,
    },
    /// A header's name, an output's name or a reason is not UTF-8.
    Text {
        /// Where it stands.
        at: usize,
    },
}

impl core::fmt::Display for FrameError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Version(version) => write!(f, "frame version {version}, expected {VERSION}"),
            Self::Truncated { at } => write!(f, "frame ends early, at byte {at}"),
            Self::Trailing { bytes } => write!(f, "frame has {bytes} bytes behind its end"),
            Self::Tag { at, tag } => write!(f, "unknown verdict {tag} at byte {at}, expected 0 to 5"),
            Self::Text { at } => write!(f, "text at byte {at} is not UTF-8"),
        }
    }
}

impl core::error::Error for FrameError {}
