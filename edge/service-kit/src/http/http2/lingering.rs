//! The end of a connection of HTTP/2, so that its peer reads the last answer. A socket that is closed answers whatever
//! still comes with a reset, and that destroys what lies on the line: of a peer on a slow one a window that it grows, or
//! the acknowledgement of a setting, is enough. So first only the writing ends; what comes then is read and forgotten
//! until the peer ends its side too, has had the time for a write, or sends more than what can have been under way: one
//! that floods is cut off.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// Read at once.
const PIECE: usize = 512;
/// Pieces that are read in one turn; what comes without a pause must not keep others waiting.
const TURN: usize = 64;

/// A stream that waits for its peer when it is shut down.
pub(super) struct Lingering<S> {
    stream: S,
    patience: Duration,
    /// Bytes that it may still send.
    left: usize,
    /// From when its own side is closed.
    end: Option<Pin<Box<Sleep>>>,
}

impl<S> Lingering<S> {
    /// Waits for at most so long, and for so many bytes.
    pub(super) fn new(stream: S, patience: Duration, bytes: usize) -> Self {
        Self { stream, patience, left: bytes, end: None }
    }
}

impl<S: AsyncRead + Unpin> Lingering<S> {
    /// Until the peer has nothing more to say.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..TURN {
            let mut piece = [0; PIECE];
            let mut piece = ReadBuf::new(&mut piece);
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut piece));
            let size = piece.filled().len();
            if read.is_err() || size == 0 || self.left < size {
                return Poll::Ready(());
            }
            self.left -= size;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.end.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            this.end = Some(Box::pin(sleep_until(Instant::now() + this.patience)));
        }
        let is_late = this.end.as_mut().is_some_and(|end| end.as_mut().poll(cx).is_ready());
        if is_late || this.poll_end(cx).is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}
