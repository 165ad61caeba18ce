//! A body of which the first piece has come, so that its first byte can decide how the rest is read. Nothing is lost:
//! it is a body again.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use service_kit::http::BodyError;

use crate::batch::is_white;

/// The first piece, and what follows.
pub(super) struct Begun<'b, B> {
    first: Bytes,
    rest: &'b mut B,
}

impl<'b, B> Begun<'b, B>
where
    B: Body + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Waits for the first piece. Pieces of nothing but white space before a JSON text are passed over, up to `limit`.
    pub(super) async fn read(rest: &'b mut B, pass_white: bool, limit: usize) -> Result<Self, BodyError> {
        let announced = rest.size_hint().exact();
        let mut passed = 0;
        while let Some(frame) = rest.frame().await {
            let frame = frame.map_err(|error| BodyError::Broken(error.into()))?;
            let Ok(mut data) = frame.into_data() else { continue }; // trailers
            let size = data.remaining();
            let first = data.copy_to_bytes(size);
            let passes = first.is_empty() || (pass_white && first.iter().copied().all(is_white));
            if !passes {
                return Ok(Self { first, rest });
            }
            passed += size;
            if limit < passed {
                return Err(BodyError::TooLarge { limit, announced });
            }
        }
        Ok(Self { first: Bytes::new(), rest })
    }

    /// The first byte that is no white space.
    pub(super) fn first_byte(&self) -> Option<u8> {
        self.first.iter().copied().find(|byte| !is_white(*byte))
    }

    /// The first piece alone; the rest is in the body that was given.
    pub(super) fn into_first(self) -> Bytes {
        self.first
    }
}

impl<B: Body + Unpin> Body for Begun<'_, B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if !self.first.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.first)))));
        }
        let copied = |mut data: B::Data| data.copy_to_bytes(data.remaining());
        Pin::new(&mut *self.rest).poll_frame(cx).map_ok(|frame| frame.map_data(copied))
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, first) = (self.rest.size_hint(), self.first.len() as u64);
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + first);
        }
        hint.set_lower(rest.lower() + first);
        hint
    }
}
