//! A body whose content coding is undone as it comes, in small pieces; one without a coding is handed on as it is.
//!
//! Both what comes over the wire and what comes out of it have the limit, and nothing is decoded beyond it: a bomb costs
//! its client the wire, and us a piece at a time up to the limit. The decoder's memory is taken when the first byte
//! comes, out of a budget of its own: those who compress must not take the memory from those who do not.

use std::{
    error::Error,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use service_kit::http::BodyError;
use tokio::task::coop;

use super::{
    Coding,
    decoder::{Decoder, Memory, Step},
};
use crate::refusal::{Measured, Refusal, Undecodable, Unit};

/// Bytes that are decoded at once.
pub(super) const PIECE: usize = 16 * 1024;

/// The body of a request, decoded if it is coded.
#[derive(Debug)]
pub struct Decoded<B> {
    wire: B,
    /// Most have none, and pay nothing for it.
    coded: Option<Box<Coded>>,
}

/// What a body that is coded needs.
#[derive(Debug)]
struct Coded {
    coding: Coding,
    memory: Memory,
    /// From the first byte on.
    decoder: Option<Decoder>,
    /// Has come and is not decoded.
    input: Bytes,
    piece: Vec<u8>,
    /// The last piece was full, so that there may be more in the decoder.
    more: bool,
    limit: usize,
    is_batch: bool,
    /// Bytes that have come, those of them that the decoder took, and those that came out of it.
    come: usize,
    taken: usize,
    decoded: usize,
    ended: bool,
}

impl<B> Decoded<B> {
    /// A body as it comes.
    #[must_use]
    pub fn new(wire: B) -> Self {
        Self { wire, coded: None }
    }

    /// From here on it is decoded, up to `limit` bytes on both sides.
    pub(super) fn decode(&mut self, coding: Coding, limit: usize, memory: Memory) {
        self.coded = Some(Box::new(Coded {
            coding,
            memory,
            decoder: None,
            input: Bytes::new(),
            piece: Vec::new(),
            more: false,
            limit,
            is_batch: false,
            come: 0,
            taken: 0,
            decoded: 0,
            ended: false,
        }));
    }

    /// It is a batch, which has another limit.
    pub(super) fn is_batch(&mut self, limit: usize) {
        if let Some(coded) = &mut self.coded {
            (coded.limit, coded.is_batch) = (limit, true);
        }
    }

    /// The rest of it as it comes, for whoever only wants to be rid of it.
    pub(super) fn stop_decoding(&mut self) -> &mut B {
        self.coded = None;
        &mut self.wire
    }
}

impl<B> Body for Decoded<B>
where
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
{
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Self { wire, coded } = &mut *self;
        match coded {
            None => Pin::new(wire)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map(|frame| frame.map_data(whole)).map_err(Into::into))),
            Some(coded) => coded.poll(wire, cx).map(|piece| piece.map(|piece| piece.map(Frame::data))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.coded {
            None => self.wire.size_hint(),
            Some(_) => SizeHint::default(),
        }
    }
}

fn whole(mut data: impl Buf) -> Bytes {
    data.copy_to_bytes(data.remaining())
}

impl Coded {
    fn poll<B>(
        &mut self,
        wire: &mut B,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Box<dyn Error + Send + Sync>>>>
    where
        B: Body<Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
    {
        while !self.ended {
            if self.more || !self.input.is_empty() {
                // What there is to decode never runs out of readiness as a socket does, so that others get their turn.
                let turn = ready!(coop::poll_proceed(cx));
                let piece = self.decode();
                turn.made_progress();
                match piece {
                    Ok(piece) if piece.is_empty() => {}
                    Ok(piece) => return Poll::Ready(Some(Ok(piece))),
                    Err(refusal) => return self.refuse(refusal),
                }
                continue;
            }
            match ready!(Pin::new(&mut *wire).poll_frame(cx)) {
                Some(Ok(frame)) => self.take(frame.into_data().map(whole).unwrap_or_default()), // trailers are no data
                Some(Err(error)) => {
                    self.end();
                    return Poll::Ready(Some(Err(error.into())));
                }
                None if self.decoder.as_ref().is_some_and(Decoder::is_at_end) => self.end(),
                None => return self.refuse(Undecodable::Truncated(self.coding).into()),
            }
        }
        Poll::Ready(None)
    }

    fn take(&mut self, piece: Bytes) {
        self.come += piece.len();
        self.input = piece;
    }

    /// The next piece; empty if more has to come first. Nothing is taken in or let out beyond the limit; and nothing is
    /// lost at the limit, because it is raised when the first piece shows that it is a batch.
    fn decode(&mut self) -> Result<Bytes, Refusal> {
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            none => {
                self.piece = vec![0; PIECE];
                none.insert(Decoder::new(self.coding, &self.memory)?)
            }
        };
        let allowed = self.input.len().min(self.limit.saturating_sub(self.taken));
        let input = self.input.get(..allowed).unwrap_or_default();
        // When there is room for none, one byte shows whether there is more.
        let room = self.limit.saturating_sub(self.decoded).clamp(1, PIECE);
        let out = self.piece.get_mut(..room).unwrap_or_default();
        let Step { read, written } = decoder.step(input, out)?;
        self.more = written == room;
        if read == 0 && written == 0 && !self.input.is_empty() {
            return Err(match allowed {
                0 => self.too_large(Measured::Wire, self.come),
                _ => Undecodable::Damaged(self.coding).into(),
            });
        }
        self.input.advance(read);
        self.taken += read;
        self.decoded += written;
        if self.limit < self.decoded {
            return Err(self.too_large(Measured::Decoded, self.decoded));
        }
        Ok(Bytes::copy_from_slice(out.get(..written).unwrap_or_default()))
    }

    fn too_large(&self, of: Measured, size: usize) -> Refusal {
        let (limit, size) = (self.limit, size as u64);
        match (self.is_batch, of) {
            (true, _) => Refusal::BatchTooLarge { unit: Unit::Bytes(of), limit, size, is_whole: false },
            (false, Measured::Decoded) => Refusal::DecodedTooLarge { limit, size: None },
            (false, _) => BodyError::TooLarge { limit, announced: None }.into(),
        }
    }

    /// Nothing more comes out of it. It gives its memory back now, because it may be kept while its order waits.
    fn end(&mut self) {
        self.ended = true;
        (self.decoder, self.input, self.piece) = (None, Bytes::new(), Vec::new());
    }

    fn refuse<T>(&mut self, refusal: Refusal) -> Poll<Option<Result<T, Box<dyn Error + Send + Sync>>>> {
        self.end();
        Poll::Ready(Some(Err(Box::new(refusal))))
    }
}

#[cfg(test)]
mod tests;
