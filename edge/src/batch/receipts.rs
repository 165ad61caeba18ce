//! The way of the receipts from the task that works on a batch to its client: bytes that wait to be sent, and a body
//! that hyper reads them from. The two do not wait for each other, because a client may well write all of its batch
//! before it reads the first receipt. How much may wait is the writer's to see to; the share of the memory that they have
//! is kept here, because receipts may well wait longer than the task that wrote them runs.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use tokio::sync::Notify;

use crate::publish::Permit;

/// Bytes that hyper gets at once; it keeps what it has not written yet.
const FRAME: usize = 16 * 1024;

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Wakes the writer.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    waiting: BytesMut,
    /// Of the memory; held until both ends are gone or the last receipt was read.
    share: Option<Permit>,
    end: Option<End>,
    gone: bool,
    reader: Option<Waker>,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Finished,
    /// The writer went without an end: the client must not take what it has for all there is.
    Broken,
}

/// The end that receipts are written to.
#[derive(Debug)]
pub(super) struct Writer(Arc<Shared>);

/// The body of a batch's answer.
#[derive(Debug)]
pub struct Receipts(Arc<Shared>);

/// Both ends, with a share of the memory.
#[must_use]
pub(super) fn channel(share: Permit) -> (Writer, Receipts) {
    let state = State { waiting: BytesMut::new(), share: Some(share), end: None, gone: false, reader: None };
    let shared = Arc::new(Shared { state: Mutex::new(state), changed: Notify::new() });
    (Writer(Arc::clone(&shared)), Receipts(shared))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl Writer {
    /// Adds receipts to those that wait.
    pub(super) fn write(&self, receipts: &[u8]) {
        let mut state = self.0.lock();
        if !state.gone {
            state.waiting.extend_from_slice(receipts);
            state.wake();
        }
    }

    /// Bytes that wait.
    #[must_use]
    pub(super) fn waiting(&self) -> usize {
        self.0.lock().waiting.len()
    }

    /// Whether the share of the memory has this many bytes, or could grow to them.
    #[must_use]
    pub(super) fn cover(&self, bytes: usize) -> bool {
        self.0.lock().share.as_mut().is_some_and(|share| share.cover(bytes))
    }

    /// Whether nobody reads any more.
    #[must_use]
    pub(super) fn is_gone(&self) -> bool {
        self.0.lock().gone
    }

    /// Waits until some were read or nobody reads any more.
    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// There are no more.
    pub(super) fn finish(self) {
        self.0.lock().end = Some(End::Finished);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.end = state.end.or(Some(End::Broken));
        state.wake();
    }
}

impl Body for Receipts {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let mut state = self.0.lock();
        if !state.waiting.is_empty() {
            let size = FRAME.min(state.waiting.len());
            let piece = state.waiting.split_to(size).freeze();
            self.0.changed.notify_one();
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let Some(end) = state.end else {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        state.share = None;
        Poll::Ready(match end {
            End::Finished => None,
            End::Broken => Some(Err(io::Error::other("the receipts broke off"))),
        })
    }
}

impl Drop for Receipts {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.gone = true;
        state.waiting = BytesMut::new();
        drop(state);
        self.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::publish::Permits;

    /// Both ends, with the memory of all.
    fn ends() -> (Writer, Receipts, Permits) {
        let permits = Permits::new(1, 100_000);
        let (writer, receipts) = channel(permits.take(0).unwrap());
        (writer, receipts, permits)
    }

    #[tokio::test]
    async fn what_is_written_is_read_in_order_and_in_pieces_that_are_not_large() {
        let (writer, mut receipts, _) = ends();
        writer.write(&vec![b'a'; FRAME]);
        writer.write(b"b");
        assert_eq!(writer.waiting(), FRAME + 1);
        writer.finish();
        let mut read = async || receipts.frame().await.map(|frame| frame.unwrap().into_data().unwrap());
        assert_eq!(read().await.unwrap().len(), FRAME);
        assert_eq!(read().await.unwrap(), "b");
        assert_eq!(read().await, None);
    }

    #[tokio::test]
    async fn receipts_without_an_end_are_an_error_and_not_an_end() {
        let (writer, mut receipts, permits) = ends();
        writer.write(b"a");
        drop(writer);
        assert_eq!(permits.taken().0, 1, "what waits keeps its memory");
        assert!(receipts.frame().await.unwrap().is_ok());
        assert!(receipts.frame().await.unwrap().is_err());
        assert_eq!(permits.taken().0, 0);
    }

    #[tokio::test]
    async fn the_writer_learns_that_nobody_reads() {
        let (writer, receipts, permits) = ends();
        drop(receipts);
        writer.changed().await;
        writer.write(b"a");
        assert_eq!((writer.is_gone(), writer.waiting()), (true, 0));
        assert!(writer.cover(10), "for refusals that have no receipt yet");
        drop(writer);
        assert_eq!(permits.taken(), (0, 0));
    }

    /// Many clients that read nothing must not make finished batches pile up without a bound.
    #[tokio::test]
    async fn receipts_that_wait_keep_their_memory_when_the_batch_has_ended() {
        let (writer, mut receipts, permits) = ends();
        assert!(writer.cover(2 * FRAME) && !writer.cover(100_001));
        writer.write(&vec![b'a'; 2 * FRAME]);
        writer.finish();
        assert_eq!(permits.taken(), (1, 2 * FRAME));
        receipts.frame().await.unwrap().unwrap();
        assert_eq!(permits.taken(), (1, 2 * FRAME));
        receipts.frame().await.unwrap().unwrap();
        assert!(receipts.frame().await.is_none());
        assert_eq!(permits.taken(), (0, 0), "all was read");

        let (writer, receipts, permits) = ends();
        writer.write(b"a");
        writer.finish();
        assert_eq!(permits.taken().0, 1);
        drop(receipts);
        assert_eq!(permits.taken().0, 0, "nobody reads");
    }
}
