//! A connection's stream with the two limits for which hyper has no timer of its own: how long a head may take from its
//! first byte, while the connection may idle for much longer between two requests; and how long a write may wait for a
//! peer that does not read. Knows nothing of HTTP but when a head is complete and when its request is answered.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// The heads of one connection: how many were complete, and how many of these requests were answered.
#[derive(Debug, Default)]
pub(super) struct Heads {
    complete: AtomicUsize,
    answered: AtomicUsize,
}

/// A request that is being worked on; answered when dropped, whatever became of it.
pub(super) struct Open(Arc<Heads>);

impl Heads {
    /// A head is complete, and its request begins.
    pub(super) fn begin(self: &Arc<Self>) -> Open {
        self.complete.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(self))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// The stream of one connection.
pub(super) struct Timed<S> {
    stream: S,
    heads: Arc<Heads>,
    head_time: Duration,
    write_time: Duration,
    /// When the head after this many complete ones began; the first one begins with the connection.
    head: (usize, Option<Instant>),
    // Made only when something has to be waited for: an ordinary request comes and goes without a timer of ours.
    head_timer: Timer,
    write_timer: Timer,
}

type Timer = Option<Pin<Box<Sleep>>>;

impl<S> Timed<S> {
    pub(super) fn new(stream: S, heads: Arc<Heads>, head_time: Duration, write_time: Duration) -> Self {
        let head = (0, Some(Instant::now()));
        Self { stream, heads, head_time, write_time, head, head_timer: None, write_timer: None }
    }

    /// Whether the next bytes belong to a head and not to a body.
    fn expects_head(&mut self) -> bool {
        let complete = self.heads.complete.load(Ordering::Relaxed);
        if complete != self.head.0 {
            self.head = (complete, None);
            self.head_timer = None;
        }
        complete == self.heads.answered.load(Ordering::Relaxed)
    }

    fn written(&mut self, polled: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
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
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        if !expects_head {
            return polled;
        }
        match (&polled, this.head.1) {
            (Poll::Ready(_), None) if before < buf.filled().len() => this.head.1 = Some(Instant::now()),
            (Poll::Pending, Some(begun)) if is_over(&mut this.head_timer, || begun + this.head_time, cx) => {
                return Poll::Ready(Err(late("head did not arrive", this.head_time)));
            }
            _ => {}
        }
        polled
    }
}

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
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
