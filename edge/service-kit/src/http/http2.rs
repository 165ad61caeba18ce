//! One HTTP/2 connection. Hyper and h2 bound what one peer may ask for; this bounds for how long: a connection without a
//! request, one whose answers are not taken, and one that does not end when it is told to.

use std::{
    convert::Infallible,
    future::pending,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use ::http::{HeaderValue, Request, header};
use hyper::{body::Incoming, rt::Executor, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::{Instant, sleep};

use self::{
    lingering::Lingering,
    streams::{Answer, Open, Streams},
};
use super::{
    places::Seat,
    serve::{Answers, Limits, Port, Socket},
    timed::Timed,
};
use crate::Tasks;

mod lingering;
mod streams;

/// Requests that one peer may have open at once.
const STREAMS: u32 = 128;
/// What a peer may send ahead of what is read: of one request, and of all together. A batch flows over a long line at
/// several megabytes a second. It comes on top of what bodies may take together: they count only what was read.
const STREAM_WINDOW: u32 = 512 * 1024;
const WINDOW: u32 = 1024 * 1024;
/// What may still come when the connection has ended: what was under way, and as much again.
const LATE: usize = 2 * WINDOW as usize;
/// What one answer may have waiting for the peer.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams that the peer opened and reset before we looked at them, and those that we had to reset for its errors. More
/// end the connection: they are what a flood is made of.
const RESETS: usize = 20;
const ERROR_RESETS: usize = 128;
/// How often a connection is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long a peer may take over the end of a connection on which nothing is open. One that took an answer meanwhile, or
/// in as long a time before, has the time of a write: the rest of that answer may still be on a slow line, and the end
/// waits behind it.
const GOODBYE: Duration = Duration::from_secs(1);

/// Starts the work on each request as a task that a drain waits for.
#[derive(Clone, Debug)]
pub(super) struct OnTasks(pub(super) Tasks);

impl<F> Executor<F> for OnTasks
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, work: F) {
        self.0.spawn(work);
    }
}

/// What all connections of a port have in common.
pub(super) fn builder(limits: &Limits, tasks: Tasks) -> http2::Builder<OnTasks> {
    let mut builder = http2::Builder::new(OnTasks(tasks));
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(ERROR_RESETS)
        // While a peer owes the rest of a frame or of a head, it can answer no ping.
        .keep_alive_interval(limits.head_time * 2)
        .keep_alive_timeout(limits.head_time);
    builder
}

/// Answers requests until the peer, a limit or a stop ends the connection.
pub(super) async fn serve<I: Socket, S: Answers>(stream: I, opened: Instant, port: Arc<Port<S>>) {
    let _place = tokio::select! {
        biased;
        place = port.http2_places.take() => place,
        () = port.tasks.stopping() => return,
        () = sleep(port.limits.head_time) => return tracing::debug!("no place for another connection of HTTP/2"),
    };
    let streams = Arc::new(Streams::default());
    let stream = Timed::new(stream, opened, port.limits.head_time, port.limits.write_time);
    let stream = Lingering::new(stream, port.limits.write_time, LATE);
    let (service, counted) = (port.service.clone(), Arc::clone(&streams));
    let service = service_fn(move |request| {
        let (open, request) = (Open::begin(&counted), with_host(request));
        let answer = service.clone().call(request);
        async move {
            let Ok(answer) = answer.await;
            Ok::<_, Infallible>(answer.map(|body| Answer::new(body, open)))
        }
    });
    let mut open = Box::pin(port.http2.serve_connection(TokioIo::new(stream), service));
    let mut watch = Watch::new(port.limits, opened);
    let mut looks = tokio::time::interval(watch.every);
    let mut seat: Option<[Seat<'_>; 2]> = None;
    loop {
        let called = async {
            match &seat {
                Some([any, own]) => tokio::select! {
                    () = any.called() => {}
                    () = own.called() => {}
                },
                None => pending().await,
            }
        };
        let close = tokio::select! {
            biased;
            ended = open.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(error = %error, "connection ended");
                }
                return;
            }
            () = port.tasks.stopping(), if !watch.is_closing() => true,
            () = called => true,
            now = looks.tick() => match watch.look(&streams, now) {
                Look::Busy => {
                    seat = None;
                    false
                }
                Look::Quiet => {
                    seat.get_or_insert_with(|| [port.places.sit(), port.http2_places.sit()]);
                    false
                }
                Look::Close => true,
                Look::Cut(why) => {
                    tracing::debug!(why, "connection cut");
                    return;
                }
            },
        };
        if close && !watch.is_closing() {
            watch.close(&streams, Instant::now());
            seat = None;
            open.as_mut().graceful_shutdown();
        }
    }
}

/// HTTP/2 has the host in a place of its own; services look for it where HTTP/1 has it.
fn with_host(mut request: Request<Incoming>) -> Request<Incoming> {
    if !request.headers().contains_key(header::HOST)
        && let Some(authority) = request.uri().authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(header::HOST, host);
    }
    request
}

/// What is to become of a connection.
#[derive(Debug, Eq, PartialEq)]
enum Look {
    Busy,
    /// Nothing is asked of it; it may have to make room.
    Quiet,
    /// It is told to end.
    Close,
    /// It is ended.
    Cut(&'static str),
}

/// Looks at a connection now and then.
struct Watch {
    limits: Limits,
    every: Duration,
    opened: Instant,
    quiet: Option<(usize, Instant)>,
    closing: Option<Closing>,
}

/// A connection that is told to end.
struct Closing {
    since: Instant,
    /// How many requests were answered then.
    ended: usize,
    /// One of them a moment before.
    is_fresh: bool,
}

impl Watch {
    fn new(limits: Limits, opened: Instant) -> Self {
        let least = limits.head_time.min(limits.idle_time).min(limits.write_time);
        Self { limits, every: LOOK.min(least / 4), opened, quiet: None, closing: None }
    }

    fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    fn close(&mut self, streams: &Streams, now: Instant) {
        let ended = streams.ended.load(Ordering::Relaxed);
        let since = self.quiet.filter(|(begun, _)| *begun == streams.begun.load(Ordering::Relaxed));
        let is_fresh = 0 < ended && since.is_none_or(|(_, since)| now.saturating_duration_since(since) < GOODBYE);
        self.closing = Some(Closing { since: now, ended, is_fresh });
    }

    fn look(&mut self, streams: &Streams, now: Instant) -> Look {
        let (begun, ended) = (streams.begun.load(Ordering::Relaxed), streams.ended.load(Ordering::Relaxed));
        let is_quiet = begun == ended;
        let quiet = since(&mut self.quiet, is_quiet, begun, now);
        let untaken = streams.oldest().map_or(Duration::ZERO, |oldest| now.saturating_duration_since(oldest));
        if self.limits.write_time <= untaken {
            return Look::Cut("peer did not take its answers");
        }
        if let Some(closing) = &self.closing {
            let is_idle = ended == closing.ended && !closing.is_fresh;
            let patience = if is_idle { GOODBYE } else { self.limits.write_time.max(GOODBYE) };
            let is_late = patience <= quiet.min(now.saturating_duration_since(closing.since));
            return if is_late { Look::Cut("peer did not end the connection") } else { Look::Busy };
        }
        let is_silent = begun == 0 && self.limits.head_time <= now.saturating_duration_since(self.opened);
        match is_quiet {
            true if is_silent || self.limits.idle_time <= quiet => Look::Close,
            true => Look::Quiet,
            false => Look::Busy,
        }
    }
}

/// For how long something has held without a change.
fn since(kept: &mut Option<(usize, Instant)>, holds: bool, changes: usize, now: Instant) -> Duration {
    match kept {
        Some((seen, since)) if holds && *seen == changes => now.saturating_duration_since(*since),
        _ => {
            *kept = holds.then_some((changes, now));
            Duration::ZERO
        }
    }
}
