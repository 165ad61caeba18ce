//! One HTTP/1 connection. While requests come hyper has it; when none has come for a moment hyper's buffers are given
//! back and only the socket is kept, so that ten thousand idle connections cost next to nothing.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, sleep},
};

use super::{
    serve::{Answers, Port, Socket},
    timed::{HeadTimer, Timed},
};

/// How long a connection keeps its buffers while nothing is asked of it.
const WAKEFUL: Duration = Duration::from_millis(250);
/// How long a peer may take over the end of a connection that is given up.
const GOODBYE: Duration = Duration::from_secs(1);

/// Answers requests until the peer, the idle time or a stop ends the connection.
pub(super) async fn serve<I: Socket, S: Answers>(stream: I, opened: Instant, port: Arc<Port<S>>) {
    let mut stream = Timed::new(stream, opened, port.limits.head_time, port.limits.write_time);
    let mut since = opened;
    while let Some((idle, asked)) = answer(stream, &port).await {
        stream = idle;
        // What comes may be no request: over TLS a peer may send one byte of a record now and then.
        since = asked.unwrap_or(since);
        if !stream.has_more() && !waits(stream.stream(), since, &port).await {
            // With TLS the peer is told that nothing was cut off.
            let _ = tokio::time::timeout(GOODBYE, stream.shutdown()).await;
            return;
        }
    }
}

/// Waits for the next request's first byte; `false` when the connection is to end first.
async fn waits<I: Socket, S: Answers>(stream: &I, since: Instant, port: &Port<S>) -> bool {
    let seat = port.places.sit();
    tokio::select! {
        biased;
        readable = stream.readable() => readable.is_ok(),
        () = seat.called() => false,
        () = port.tasks.stopping() => false,
        () = tokio::time::sleep_until(since + port.limits.idle_time) => false,
    }
}

/// Answers requests until none has come for a moment; then the stream and, if any was answered, since when it idles. `None`
/// when it ended.
async fn answer<I: Socket, S: Answers>(stream: Timed<I>, port: &Port<S>) -> Option<(Timed<I>, Option<Instant>)> {
    let heads = Arc::clone(stream.heads());
    let service = TowerToHyperService::new(port.service.clone());
    // Boxed, because otherwise an idle connection would cost as much as a busy one.
    let mut open = Box::new(
        port.http1.clone().timer(HeadTimer(Arc::clone(&heads))).serve_connection(TokioIo::new(stream), service),
    );
    let wakeful = WAKEFUL.min(port.limits.idle_time / 4);
    let (mut stopping, mut pause) = (pin!(port.tasks.stopping()), pin!(sleep(wakeful)));
    let before = heads.turn();
    let (mut told, mut turn) = (false, before);
    let _awake = port.places.wake();
    let ended = poll_fn(|cx| {
        let mut polled = Pin::new(&mut *open).poll(cx);
        if polled.is_pending() && !told && stopping.as_mut().poll(cx).is_ready() {
            told = true;
            Pin::new(&mut *open).graceful_shutdown();
            polled = Pin::new(&mut *open).poll(cx);
        }
        if let Poll::Ready(ended) = polled {
            return Poll::Ready(Some(ended));
        }
        if !told && heads.is_idle() && port.places.are_many_awake() {
            return Poll::Ready(None);
        }
        while pause.as_mut().poll(cx).is_ready() {
            let before = std::mem::replace(&mut turn, heads.turn());
            if !told && before == turn && heads.is_idle() {
                return Poll::Ready(None);
            }
            pause.as_mut().reset(Instant::now() + wakeful);
        }
        Poll::Pending
    })
    .await;
    match ended {
        Some(ended) => {
            if let Err(error) = ended {
                // A peer that hangs up or is too slow is its own business; it is not worth more than this.
                tracing::debug!(error = %error, "connection ended");
            }
            None
        }
        None => {
            // The first turn is to wait for a head.
            let asked = (before + 1 < heads.turn()).then(Instant::now);
            let http1::Parts { io, read_buf, .. } = open.into_parts();
            let mut stream = io.into_inner();
            stream.read_again(read_buf);
            Some((stream, asked))
        }
    }
}
