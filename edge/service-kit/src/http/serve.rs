//! The accept loop: limits connections, heads and the time a head may take; accept errors never end it; on a stop
//! it takes nothing new and lets open requests finish. How long that may last is `Tasks::drain`'s deadline.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use http_body_util::BodyExt;
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::Service as _,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tower::Service;

use super::timed::{Heads, Timed};
use crate::Tasks;

/// How long to wait after a failed accept; the usual cause is that all file handles are taken.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What one listener allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Time to send a whole request head, from its first byte; the first head of a connection from its beginning.
    pub head_time: Duration,
    /// How long a connection is kept between two requests. Longer than the 30 to 60 s for which balancers and pools
    /// keep theirs: whoever closes later is not the one that resets a request.
    pub idle_time: Duration,
    /// How long a peer may leave an answer unread before it loses its connection.
    pub write_time: Duration,
    /// Bytes of a request head; more is answered 431. Hyper's lowest value is 8 KiB.
    pub head_bytes: usize,
    /// Open connections; further ones wait in the kernel's backlog.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_time: Duration::from_secs(5),
            idle_time: Duration::from_secs(75),
            write_time: Duration::from_secs(10),
            head_bytes: 16 * 1024,
            connections: 4096,
        }
    }
}

/// Binds a listener; the error names the address, because "address in use" alone helps nobody.
///
/// # Errors
/// When the address cannot be bound.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
}

/// Serves until `tasks` is told to stop, then closes the listener. Open connections are tasks of `tasks`.
pub async fn serve<S, B>(listener: TcpListener, service: S, limits: Limits, tasks: Tasks)
where
    S: Service<::http::Request<Incoming>, Response = ::http::Response<B>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let places = Arc::new(Semaphore::new(limits.connections));
    while let Some((stream, place)) = tasks.until_stop(accept(&listener, &places)).await {
        tasks.spawn(connection(stream, place, service.clone(), limits, tasks.clone()));
    }
}

/// The next connection with its place. Errors are logged and waited out: none of them may end the service.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    let place = Arc::clone(places).acquire_owned().await.ok(); // never closed, so never an error
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            Err(error) => {
                tracing::warn!(error = %error, "cannot accept a connection, trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection<S, B>(
    stream: TcpStream,
    _place: Option<OwnedSemaphorePermit>,
    service: S,
    limits: Limits,
    tasks: Tasks,
) where
    S: Service<::http::Request<Incoming>, Response = ::http::Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    // Answers are small and complete: waiting to fill a packet would only delay them.
    let _ = stream.set_nodelay(true);
    let heads = Arc::new(Heads::default());
    let stream = Timed::new(stream, Arc::clone(&heads), limits.head_time, limits.write_time);
    let service = TowerToHyperService::new(service);
    let service = hyper::service::service_fn(move |request| {
        // Hyper keeps room for an answer on its way as long as the connection lives: kilobytes each, were it not boxed.
        let (open, answer) = (heads.begin(), Box::pin(service.call(request)));
        async move {
            // The request is answered when the answer's body is sent: until then what comes is the rest of its body
            // and no head.
            let Ok(answer) = answer.await;
            Ok::<_, Infallible>(answer.map(|body| {
                body.map_err(move |error| {
                    let _ = &open;
                    error
                })
            }))
        }
    });
    // Without a timer hyper's head timeout does nothing. It begins when the last request is answered, so it is the idle
    // time; the head's own is `Timed`'s.
    let open = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle_time)
        .max_buf_size(limits.head_bytes)
        .serve_connection(TokioIo::new(stream), service);
    let mut open = std::pin::pin!(open);
    let ended = tokio::select! {
        ended = open.as_mut() => ended,
        () = tasks.stopping() => {
            open.as_mut().graceful_shutdown();
            open.await
        }
    };
    if let Err(error) = ended {
        // A peer that hangs up or is too slow is its own business; it is not worth more than this.
        tracing::debug!(error = %error, "connection ended");
    }
}
