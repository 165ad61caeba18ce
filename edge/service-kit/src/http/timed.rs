//! A connection's stream with the two limits for which hyper has no timer of its own: how long a head may take from its
//! first byte, while the connection may idle for much longer between two requests; and how long a write may wait for a
//! peer that does not read. Knows nothing of HTTP but whether a head is waited for.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, Bytes};
use hyper::rt;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// What a connection's stream and its HTTP/1 know of each other. All of it is read and written by one task.
#[derive(Debug, Default)]
pub(super) struct Heads {
    /// Odd while hyper waits for a head; then everything before it is read, and its answer is written.
    turn: AtomicUsize,
    /// Some of a head has come.
    begun: AtomicBool,
    /// A write waits for the peer.
    blocked: AtomicBool,
}

impl Heads {
    /// Grows with each head that is waited for and with each that is complete.
    pub(super) fn turn(&self) -> usize {
        self.turn.load(Ordering::Relaxed)
    }

    /// Whether nothing is asked of this connection and nothing of it is under way.
    pub(super) fn is_idle(&self) -> bool {
        is_awaited(self.turn()) && !self.begun.load(Ordering::Relaxed) && !self.blocked.load(Ordering::Relaxed)
    }
}

fn is_awaited(turn: usize) -> bool {
    turn % 2 == 1
}

/// Given to hyper as its timer. It asks for one exactly while it waits for a head; how long it may wait is decided
/// elsewhere, so all that is done here is to note it.
pub(super) struct HeadTimer(pub(super) Arc<Heads>);

/// A head is waited for while this lives.
struct Awaited(Arc<Heads>);

impl rt::Timer for HeadTimer {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn rt::Sleep>> {
        self.0.turn.fetch_add(1, Ordering::Relaxed);
        Box::pin(Awaited(Arc::clone(&self.0)))
    }

    fn sleep_until(&self, _: std::time::Instant) -> Pin<Box<dyn rt::Sleep>> {
        self.sleep(Duration::ZERO)
    }

    fn reset(&self, _: &mut Pin<Box<dyn rt::Sleep>>, _: std::time::Instant) {}
}

impl Future for Awaited {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl rt::Sleep for Awaited {}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.0.turn.fetch_add(1, Ordering::Relaxed);
    }
}

/// The stream of one connection.
pub(super) struct Timed<S> {
    stream: S,
    /// What was read already and is to be read again.
    before: Bytes,
    heads: Arc<Heads>,
    head_time: Duration,
    write_time: Duration,
    /// When the connection began, and with it its first head, until that is waited for.
    opened: Option<Instant>,
    /// When the head of this turn began.
    head: (usize, Option<Instant>),
    // Made only when something has to be waited for: an ordinary request comes and goes without a timer of ours.
    head_timer: Timer,
    write_timer: Timer,
}

type Timer = Option<Pin<Box<Sleep>>>;

impl<S> Timed<S> {
    pub(super) fn new(stream: S, opened: Instant, head_time: Duration, write_time: Duration) -> Self {
        Self {
            stream,
            before: Bytes::new(),
            heads: Arc::default(),
            head_time,
            write_time,
            opened: Some(opened),
            head: (0, None),
            head_timer: None,
            write_timer: None,
        }
    }

    pub(super) fn stream(&self) -> &S {
        &self.stream
    }

    pub(super) fn heads(&self) -> &Arc<Heads> {
        &self.heads
    }

    /// Puts back what was read too much. An empty piece may still hold a whole buffer.
    pub(super) fn read_again(&mut self, before: Bytes) {
        self.before = if before.is_empty() { Bytes::new() } else { before };
    }

    /// Whether something was put back.
    pub(super) fn has_more(&self) -> bool {
        !self.before.is_empty()
    }

    /// Whether the next bytes belong to a head and not to a body.
    fn expects_head(&mut self) -> bool {
        let turn = self.heads.turn();
        if turn != self.head.0 {
            self.head = (turn, None);
            self.head_timer = None;
            self.heads.begun.store(false, Ordering::Relaxed);
            if is_awaited(turn)
                && let Some(opened) = self.opened.take()
            {
                self.begin_head(opened);
            }
        }
        is_awaited(turn)
    }

    fn begin_head(&mut self, at: Instant) {
        self.head.1 = Some(at);
        self.heads.begun.store(true, Ordering::Relaxed);
    }

    fn poll_stream(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>>
    where
        S: AsyncRead + Unpin,
    {
        if self.before.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let count = self.before.len().min(buf.remaining());
        buf.put_slice(&self.before.split_to(count));
        if !self.before.has_remaining() {
            self.before = Bytes::new(); // gives its memory back
        }
        Poll::Ready(Ok(()))
    }

    fn written<T>(&mut self, polled: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        self.heads.blocked.store(polled.is_pending(), Ordering::Relaxed);
        if polled.is_ready() {
            self.write_timer = None;
            return polled;
        }
        let until = || Instant::now() + self.write_time;
        if is_over(&mut self.write_timer, until, cx) {
            return Poll::Ready(Err(late("peer did not read", self.write_time)));
        }
        Poll::Pending
    }
}

fn is_over(timer: &mut Timer, until: impl FnOnce() -> Instant, cx: &mut Context<'_>) -> bool {
    timer.get_or_insert_with(|| Box::pin(sleep_until(until()))).as_mut().poll(cx).is_ready()
}

fn late(what: &str, time: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("{what} within {time:?}"))
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let (expects_head, before) = (this.expects_head(), buf.filled().len());
        let polled = this.poll_stream(cx, buf);
        if !expects_head {
            return polled;
        }
        match (&polled, this.head.1) {
            (Poll::Ready(_), None) if before < buf.filled().len() => this.begin_head(Instant::now()),
            (Poll::Pending, Some(begun)) if is_over(&mut this.head_timer, || begun + this.head_time, cx) => {
                return Poll::Ready(Err(late("head did not arrive", this.head_time)));
            }
            _ => {}
        }
        polled
    }
}

// Over TLS a write is taken at once, and it is the flush that waits for the peer.
impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.written(polled, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.written(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_flush(cx);
        this.written(polled, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.written(polled, cx)
    }
}
