//! The way of the receipts from the task that works on a batch to its client: bytes that wait to be sent, and a body
//! that hyper reads them from. The two do not wait for each other, because a client may well write all of its batch
//! before it reads the first receipt. How much may wait is the writer's to see to; the share of the memory that they have
//! is kept here, because receipts may well wait longer than the task that wrote them runs.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Response, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::Either;
use tokio::{sync::Notify, time::Instant};

use crate::{orders::AnswerBody, publish::Permit};

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
pub(super) struct Writer {
    shared: Arc<Shared>,
    /// For how long in all it may be waited for the client to read, and for how long it was.
    patience: Duration,
    waited: Duration,
    waiting_since: Option<Instant>,
}

/// The body of a batch's answer.
#[derive(Debug)]
pub struct Receipts(Arc<Shared>);

/// Both ends, with a share of the memory, and for how long in all the client may keep us waiting until it reads.
#[must_use]
pub(super) fn channel(share: Permit, patience: Duration) -> (Writer, Receipts) {
    let state = State { waiting: BytesMut::new(), share: Some(share), end: None, gone: false, reader: None };
    let shared = Arc::new(Shared { state: Mutex::new(state), changed: Notify::new() });
    let writer = Writer { shared: Arc::clone(&shared), patience, waited: Duration::ZERO, waiting_since: None };
    (writer, Receipts(shared))
}

/// The answer to a batch.
#[must_use]
pub fn response(receipts: Receipts) -> Response<AnswerBody> {
    let mut response = Response::new(Either::Right(receipts));
    *response.status_mut() = StatusCode::MULTI_STATUS;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
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
        let mut state = self.shared.lock();
        if !state.gone {
            state.waiting.extend_from_slice(receipts);
            state.wake();
        }
    }

    /// Bytes that wait.
    #[must_use]
    pub(super) fn waiting(&self) -> usize {
        self.shared.lock().waiting.len()
    }

    /// Whether the share of the memory has this many bytes, or could grow to them.
    #[must_use]
    pub(super) fn cover(&self, bytes: usize) -> bool {
        self.shared.lock().share.as_mut().is_some_and(|share| share.cover(bytes))
    }

    /// Whether nobody reads any more.
    #[must_use]
    pub(super) fn is_gone(&self) -> bool {
        self.shared.lock().gone
    }

    /// Waits until some were read or nobody reads any more. A client that leaves no room for more is given up when it
    /// has kept us waiting for too long in all: each byte that it reads keeps its connection open, so that it could go
    /// on so for ever.
    ///
    /// The clock is looked at when this is called, whether or not anybody waits then.
    pub(super) fn changed(&mut self, has_room: bool) -> impl Future<Output = ()> {
        let now = Instant::now();
        match self.waiting_since {
            Some(since) if has_room => {
                self.waited += now - since;
                self.waiting_since = None;
            }
            None if !has_room => self.waiting_since = Some(now),
            _ => {}
        }
        let end = self.waiting_since.map(|since| since + self.patience.saturating_sub(self.waited));
        async move {
            tokio::select! {
                () = self.shared.changed.notified() => {}
                () = tokio::time::sleep_until(end.unwrap_or(now)), if end.is_some() => self.give_up(),
            }
        }
    }

    /// From here on nobody reads, as far as we are concerned, and nothing is kept for it.
    fn give_up(&self) {
        let mut state = self.shared.lock();
        (state.gone, state.end, state.share) = (true, Some(End::Broken), None);
        state.waiting = BytesMut::new();
        state.wake();
    }

    /// There are no more.
    pub(super) fn finish(&mut self) {
        let mut state = self.shared.lock();
        state.end = Some(End::Finished);
        state.wake();
        (self.waited, self.waiting_since) = (Duration::ZERO, None);
    }

    /// Waits until the last is read, for as long again as before.
    pub(super) async fn read(mut self) {
        while 0 < self.waiting() {
            self.changed(false).await;
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
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
mod tests;
