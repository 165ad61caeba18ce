//! The way of the receipts from the task that works on a batch to its client: bytes that wait to be sent, and a body
//! that hyper reads them from. The two do not wait for each other, because a client may well write all of its batch
//! before it reads the first receipt. How much may wait is the writer's to see to.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use tokio::sync::Notify;

/// Bytes that hyper gets at once; it keeps what it has not written yet.
const FRAME: usize = 16 * 1024;

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Wakes the writer.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: BytesMut,
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

/// Both ends.
#[must_use]
pub(super) fn channel() -> (Writer, Receipts) {
    let shared = Arc::new(Shared::default());
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
        match state.end {
            Some(End::Finished) => Poll::Ready(None),
            Some(End::Broken) => Poll::Ready(Some(Err(io::Error::other("the receipts broke off")))),
            None => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
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

    #[tokio::test]
    async fn what_is_written_is_read_in_order_and_in_pieces_that_are_not_large() {
        let (writer, receipts) = channel();
        writer.write(&vec![b'a'; FRAME]);
        writer.write(b"b");
        assert_eq!(writer.waiting(), FRAME + 1);
        writer.finish();
        let mut receipts = receipts;
        let mut read = async || receipts.frame().await.map(|frame| frame.unwrap().into_data().unwrap());
        assert_eq!(read().await.unwrap().len(), FRAME);
        assert_eq!(read().await.unwrap(), "b");
        assert_eq!(read().await, None);
    }

    #[tokio::test]
    async fn receipts_without_an_end_are_an_error_and_not_an_end() {
        let (writer, mut receipts) = channel();
        writer.write(b"a");
        drop(writer);
        assert!(receipts.frame().await.unwrap().is_ok());
        assert!(receipts.frame().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn the_writer_learns_that_nobody_reads() {
        let (writer, receipts) = channel();
        drop(receipts);
        writer.changed().await;
        writer.write(b"a");
        assert_eq!((writer.is_gone(), writer.waiting()), (true, 0));
    }
}
