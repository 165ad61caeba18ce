//! What is under way on one connection of HTTP/2: its requests, and the pieces of answers that the peer has not taken. An
//! answer is followed until its last byte is written; that hyper is done with it says only that h2 has the rest.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Buf;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

/// Of a large piece so many bytes are to be taken in the time for a write. One of them now and then is no progress.
const STEP: usize = 1024;

/// The requests of one connection.
#[derive(Debug, Default)]
pub(super) struct Streams {
    pub(super) begun: AtomicUsize,
    /// Those that are answered to the last byte, or given up.
    pub(super) ended: AtomicUsize,
    pieces: AtomicUsize,
    /// By number, since when each piece waits for the peer. Each has its own time, because who takes one answer again and
    /// again must not be able to leave all others where they are.
    untaken: Mutex<BTreeMap<usize, Instant>>,
}

impl Streams {
    /// Since when the peer has not taken what it is offered.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.untaken.lock().unwrap_or_else(PoisonError::into_inner).values().min().copied()
    }
}

/// A request that is not yet answered to the end.
pub(super) struct Open(Arc<Streams>);

impl Open {
    pub(super) fn begin(streams: &Arc<Streams>) -> Self {
        streams.begun.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(streams))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// An answer's body. Hyper asks it for a piece, and keeps that until the peer's window has room for any of it.
pub(super) struct Answer<B> {
    body: B,
    open: Arc<Open>,
}

impl<B> Answer<B> {
    pub(super) fn new(body: B, open: Open) -> Self {
        Self { body, open: Arc::new(open) }
    }
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = Piece<B::Data>;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        polled.map_ok(|frame| frame.map_data(|data| Piece::new(data, Arc::clone(&this.open))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A piece of an answer, from when it is offered until it is written or given up.
pub(super) struct Piece<D> {
    data: D,
    open: Arc<Open>,
    number: usize,
    /// Since the last step.
    taken: usize,
}

impl<D> Piece<D> {
    fn new(data: D, open: Arc<Open>) -> Self {
        let number = open.0.pieces.fetch_add(1, Ordering::Relaxed);
        let piece = Self { data, open, number, taken: 0 };
        piece.waits();
        piece
    }

    /// From now on.
    fn waits(&self) {
        let mut untaken = self.open.0.untaken.lock().unwrap_or_else(PoisonError::into_inner);
        untaken.insert(self.number, Instant::now());
    }
}

impl<D> Drop for Piece<D> {
    fn drop(&mut self) {
        self.open.0.untaken.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

impl<D: Buf> Buf for Piece<D> {
    fn remaining(&self) -> usize {
        self.data.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.data.chunk()
    }

    fn chunks_vectored<'a>(&'a self, into: &mut [std::io::IoSlice<'a>]) -> usize {
        self.data.chunks_vectored(into)
    }

    fn advance(&mut self, count: usize) {
        self.data.advance(count);
        self.taken = self.taken.saturating_add(count);
        if STEP <= self.taken {
            self.taken = 0;
            self.waits();
        }
    }
}
