//! The accept loop: limits connections, heads and the time a head may take; accept errors never end it; on a stop
//! it takes nothing new and lets open requests finish. How long that may last is `Tasks::drain`'s deadline.
//!
//! A connection begins as a bare socket that waits for its first bytes. These say what it is: a TLS handshake, HTTP/2 by
//! prior knowledge, or HTTP/1. Only then is anything of it built.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{
    body::{Body, Incoming},
    server::conn::{http1, http2},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, sleep_until, timeout_at},
};
use tokio_rustls::server::TlsStream;
use tower::Service;

use super::{
    Tls,
    http2::OnTasks,
    places::{Connections, Place, Places},
};
use crate::Tasks;

/// How long to wait after a failed accept; the usual cause is that all file handles are taken.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// One in so many connections may speak HTTP/2, which lets many requests share one; but so many may always.
const HTTP2_SHARE: usize = 8;
const HTTP2_LEAST: usize = 16;
/// How long to wait for more of first bytes that can still become both HTTP/1 and HTTP/2; then twice as long each time.
const OPENING_PAUSE: Duration = Duration::from_millis(10);

/// What one listener allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Time to send a whole request head, from its first byte; the first head of a connection from its beginning. A TLS
    /// handshake has as long, and its first head as long again. HTTP/2: time to the first request.
    pub head_time: Duration,
    /// How long a connection is kept between two requests. Longer than the 30 to 60 s for which balancers and pools
    /// keep theirs: whoever closes later is not the one that resets a request. When more than three quarters of the
    /// connections are taken, each new one ends the one that has idled the longest.
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

/// A service that can be served: a name for what hyper asks of it.
pub trait Answers:
    Service<
        ::http::Request<Incoming>,
        Response = ::http::Response<Self::Body>,
        Error = Infallible,
        Future: Send + 'static,
    > + Clone
    + Send
    + Sync
    + 'static
{
    /// The body of an answer.
    type Body: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + Unpin + 'static;
}

impl<S, B> Answers for S
where
    S: Service<::http::Request<Incoming>, Response = ::http::Response<B>, Error = Infallible, Future: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + Unpin + 'static,
{
    type Body = B;
}

/// What the connections of one listener have in common.
pub(super) struct Port<S> {
    pub(super) service: S,
    pub(super) limits: Limits,
    pub(super) tasks: Tasks,
    pub(super) places: Arc<Places>,
    /// A share of the places, because a connection of HTTP/2 may hold much more than one of HTTP/1, and needs fewer.
    pub(super) http2_places: Places,
    pub(super) http1: http1::Builder,
    pub(super) http2: http2::Builder<OnTasks>,
    tls: Option<Arc<Tls>>,
}

/// A connected socket, bare or with TLS around it.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Waits until the peer has sent something or is gone.
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send;
}

impl Socket for TcpStream {
    async fn readable(&self) -> io::Result<()> {
        self.readable().await
    }
}

// What TLS has taken from its socket is read before anybody waits, so there is nothing but what is still to come.
impl Socket for TlsStream<TcpStream> {
    async fn readable(&self) -> io::Result<()> {
        self.get_ref().0.readable().await
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
pub async fn serve<S: Answers>(listener: TcpListener, service: S, limits: Limits, tasks: Tasks) {
    serve_with(listener, service, limits, None, Connections::new(limits.connections), tasks).await;
}

/// The same, over TLS if there is a certificate, for connections that somebody else looks at: their limit holds, not that
/// of `limits`.
pub async fn serve_with<S: Answers>(
    listener: TcpListener,
    service: S,
    limits: Limits,
    tls: Option<Arc<Tls>>,
    connections: Connections,
    tasks: Tasks,
) {
    let mut http1 = http1::Builder::new();
    // How long is no matter: see `HeadTimer`. Without a time hyper would not ask for it.
    http1.header_read_timeout(limits.idle_time).max_buf_size(limits.head_bytes);
    let http2 = super::http2::builder(&limits, tasks.clone());
    let http2_places = Places::new((connections.limit() / HTTP2_SHARE).max(HTTP2_LEAST));
    let places = connections.0;
    let port = Arc::new(Port { service, limits, tasks, places, http2_places, http1, http2, tls });
    while let Some((stream, place)) = port.tasks.until_stop(accept(&listener, &port.places)).await {
        // Boxed, because what wraps a task has room for it twice.
        port.tasks.spawn(Box::pin(connection(stream, place, Arc::clone(&port))));
    }
}

/// The next connection with its place. Errors are logged and waited out: none of them may end the service.
async fn accept(listener: &TcpListener, places: &Places) -> (TcpStream, Place) {
    let place = places.take().await;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            Err(error) => {
                tracing::warn!(error = %error, "cannot accept a connection, trying again");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// What a connection turns out to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Opening {
    Handshake,
    Http2,
    Http1,
}

async fn connection<S: Answers>(stream: TcpStream, _place: Place, port: Arc<Port<S>>) {
    // Answers are small and complete: waiting to fill a packet would only delay them.
    let _ = stream.set_nodelay(true);
    let _open = port.places.open();
    let opened = Instant::now();
    // Boxed is what is rare or large, so that an idle connection stays small.
    match (first_bytes(&stream, opened, &port).await, &port.tls) {
        (None, _) => {}
        (Some(Opening::Handshake), Some(tls)) => Box::pin(encrypted(stream, tls, opened, &port)).await,
        (Some(_), Some(_)) => Box::pin(refuse_plain(stream)).await,
        (Some(Opening::Http2), None) => Box::pin(super::http2::serve(stream, opened, port)).await,
        (Some(_), None) => super::http1::serve(stream, opened, port).await,
    }
}

/// Waits for what the connection is; `None` when it is to end before that is known.
async fn first_bytes<S: Answers>(stream: &TcpStream, opened: Instant, port: &Port<S>) -> Option<Opening> {
    let seat = port.places.sit();
    tokio::select! {
        biased;
        opening = opening(stream, port.tls.is_some()) => opening.ok().flatten(),
        () = seat.called() => None,
        () = port.tasks.stopping() => None,
        () = sleep_until(opened + port.limits.head_time) => None,
    }
}

async fn opening(stream: &TcpStream, wants_tls: bool) -> io::Result<Option<Opening>> {
    let mut pause = OPENING_PAUSE;
    loop {
        let mut bytes = [0; 3];
        let count = stream.peek(&mut bytes).await?;
        match bytes.get(..count).unwrap_or_default() {
            [] => return Ok(None),
            b"PRI" => return Ok(Some(Opening::Http2)),
            [0x16, ..] => return Ok(Some(Opening::Handshake)),
            // Bytes that are there make no noise when more come, so there is nothing but time to wait for.
            b"P" | b"PR" if !wants_tls => {
                sleep(pause).await;
                pause *= 2;
            }
            _ => return Ok(Some(Opening::Http1)),
        }
    }
}

async fn encrypted<S: Answers>(stream: TcpStream, tls: &Tls, opened: Instant, port: &Arc<Port<S>>) {
    let shaken = tokio::select! {
        biased;
        shaken = timeout_at(opened + port.limits.head_time, tls.acceptor().accept(stream)) => shaken,
        () = port.tasks.stopping() => return,
    };
    let stream = match shaken {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(error = %error, "TLS handshake failed"),
        Err(_) => return tracing::debug!("TLS handshake took too long"),
    };
    let (port, now) = (Arc::clone(port), Instant::now());
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => super::http2::serve(stream, now, port).await,
        _ => super::http1::serve(stream, now, port).await,
    }
}

/// Tells a client that forgot the "s" of https what is spoken here.
async fn refuse_plain(mut stream: TcpStream) {
    let text = "this port speaks TLS: call it with https://\n";
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{text}",
        text.len()
    );
    let tell = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        // What the client still writes is taken for a while, so that it reads the answer and not a reset.
        let mut taken = [0; 512];
        while 0 < stream.read(&mut taken).await? {}
        io::Result::Ok(())
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), tell).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A preface that stops after its first letters is looked for some seven times in a second, not a hundred times.
    #[tokio::test]
    async fn the_rest_of_a_preface_is_looked_for_ever_less_often() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        client.write_all(b"PR").await.unwrap();
        stream.readable().await.unwrap();
        let mut opening = std::pin::pin!(opening(&stream, false));
        let mut looks = 0;
        let looking = std::future::poll_fn(|cx| {
            looks += 1;
            opening.as_mut().poll(cx).map(drop)
        });
        let is_over = timeout_at(Instant::now() + Duration::from_secs(1), looking).await.is_ok();
        assert!(!is_over && (2..20).contains(&looks), "{looks} looks");
    }
}
