//! The accept loop over real sockets on loopback: bytes in, bytes out.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a helper that fails fails its test"
)]

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use service_kit::{
    Tasks,
    http::{self, Limits, Problem},
    tasks::Drained,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};

type Request = ::http::Request<Incoming>;
mod frames;
mod http2;
mod smuggling;
mod tls;

const LIMITS: Limits = Limits {
    head_time: Duration::from_millis(300),
    idle_time: Duration::from_millis(1500),
    write_time: Duration::from_millis(300),
    head_bytes: 16 * 1024,
    connections: 2,
};

/// Serves what `answer` says on a free port.
async fn start<F, R>(tasks: &Tasks, limits: Limits, answer: F) -> SocketAddr
where
    F: Fn(Request) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = http::Response> + Send + 'static,
{
    let listener = http::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = tower::service_fn(move |request| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    tasks.spawn(http::serve(listener, service, limits, tasks.clone()));
    address
}

async fn hello(_: Request) -> http::Response {
    ::http::Response::new(Full::new(Bytes::from_static(b"hello")))
}

/// Sends bytes, reads until the peer closes (at most 5 s) and returns what came.
async fn talk(address: SocketAddr, sent: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(sent.as_bytes()).await.unwrap();
    read_to_end(&mut stream).await
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut read)).await;
    ended.expect("the server closes in time").unwrap();
    String::from_utf8(read).unwrap()
}

const GET: &str = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_request_is_answered() {
    let tasks = Tasks::new();
    let address = start(&tasks, LIMITS, hello).await;
    assert!(talk(address, GET).await.ends_with("hello"));
    assert_eq!(tasks.drain(Duration::from_secs(2)).await, Drained::Clean);
    assert!(TcpStream::connect(address).await.is_err(), "after the drain nobody listens");
}

#[tokio::test]
async fn half_a_head_and_silence_are_ended_by_the_timer() {
    let tasks = Tasks::new();
    let address = start(&tasks, LIMITS, hello).await;
    for sent in ["GET / HTTP/1.1\r\nhost: local", ""] {
        let answer = talk(address, sent).await;
        assert!(!answer.contains("hello"), "{answer}");
    }
}

const KEEP: &str = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// Reads one answer and leaves the connection open.
async fn read_hello(stream: &mut TcpStream) {
    let mut read = Vec::new();
    while !read.ends_with(b"hello") {
        let more = tokio::time::timeout(Duration::from_secs(5), stream.read_buf(&mut read)).await;
        assert!(0 < more.expect("an answer in time").unwrap(), "closed: {read:?}");
    }
}

#[tokio::test]
async fn a_connection_may_idle_for_longer_than_a_head_may_take() {
    let tasks = Tasks::new();
    let address = start(&tasks, LIMITS, hello).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    for _ in 0..2 {
        stream.write_all(KEEP.as_bytes()).await.unwrap();
        read_hello(&mut stream).await;
        tokio::time::sleep(LIMITS.head_time * 2).await;
    }
    let begun = std::time::Instant::now();
    assert_eq!(read_to_end(&mut stream).await, "", "but not for ever");
    assert!(begun.elapsed() < LIMITS.idle_time * 2, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn half_a_head_on_a_kept_connection_is_ended_by_the_timer_too() {
    let tasks = Tasks::new();
    let address = start(&tasks, Limits { idle_time: Duration::from_secs(60), ..LIMITS }, hello).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(KEEP.as_bytes()).await.unwrap();
    read_hello(&mut stream).await;
    stream.write_all(&KEEP.as_bytes()[..10]).await.unwrap();
    assert_eq!(read_to_end(&mut stream).await, "");
}

/// A slow body is the service's own matter, and so is a slow answer: neither is a slow head.
#[tokio::test]
async fn a_request_may_take_longer_than_its_head() {
    let tasks = Tasks::new();
    let address = start(&tasks, LIMITS, |request: Request| async {
        let body = http::read_body(&mut request.into_body(), 10, Duration::from_secs(5)).await.unwrap();
        tokio::time::sleep(LIMITS.head_time * 2).await;
        ::http::Response::new(Full::new(body))
    })
    .await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    for _ in 0..2 {
        stream.write_all(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\n").await.unwrap();
        for byte in b"hello" {
            tokio::time::sleep(LIMITS.head_time / 3).await;
            stream.write_all(&[*byte]).await.unwrap();
        }
        read_hello(&mut stream).await;
    }
}

#[tokio::test]
async fn a_client_that_never_reads_loses_its_place() {
    let tasks = Tasks::new();
    let address = start(&tasks, Limits { connections: 1, ..LIMITS }, |request: Request| async move {
        let size = if request.uri() == "/" { 5 } else { 8 << 20 };
        ::http::Response::new(Full::new(Bytes::from("hello".repeat(size / 5))))
    })
    .await;
    let mut deaf = TcpStream::connect(address).await.unwrap();
    deaf.write_all(KEEP.replace("GET /", "GET /large").repeat(20).as_bytes()).await.unwrap();
    assert!(talk(address, GET).await.ends_with("hello"));
}

#[tokio::test]
async fn a_head_over_the_limit_is_431() {
    let tasks = Tasks::new();
    let address = start(&tasks, LIMITS, hello).await;
    let long = format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "a".repeat(17 * 1024));
    assert!(talk(address, &long).await.starts_with("HTTP/1.1 431"));
    let many = "x: a\r\n".repeat(101);
    let answer = talk(address, &format!("GET / HTTP/1.1\r\nhost: localhost\r\n{many}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn connections_over_the_limit_wait_until_one_ends() {
    let tasks = Tasks::new();
    let limits = Limits { head_time: Duration::from_secs(30), ..LIMITS };
    let address = start(&tasks, limits, hello).await;
    let first = TcpStream::connect(address).await.unwrap();
    let _second = TcpStream::connect(address).await.unwrap();
    let mut third = TcpStream::connect(address).await.unwrap();
    third.write_all(GET.as_bytes()).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(200), third.readable()).await;
    assert!(early.is_err(), "the third must wait while two are open");
    drop(first);
    assert!(read_to_end(&mut third).await.ends_with("hello"));
}

#[tokio::test]
async fn a_stop_lets_an_open_request_finish_and_takes_no_new_one() {
    let tasks = Tasks::new();
    let (begun, mut has_begun) = mpsc::channel(1);
    let go = std::sync::Arc::new(tokio::sync::Notify::new());
    let wait = std::sync::Arc::clone(&go);
    let address = start(&tasks, LIMITS, move |request| {
        let (begun, wait) = (begun.clone(), std::sync::Arc::clone(&wait));
        async move {
            begun.send(()).await.unwrap();
            wait.notified().await;
            hello(request).await
        }
    })
    .await;
    let client = tasks.clone().spawn(async move { talk(address, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await });
    has_begun.recv().await.unwrap();
    let draining = {
        let tasks = tasks.clone();
        async move { tasks.drain(Duration::from_secs(5)).await }
    };
    let check = async {
        tasks.stopping().await;
        // The listener closes as soon as its task has seen the stop.
        tokio::time::timeout(Duration::from_secs(2), async {
            while TcpStream::connect(address).await.is_ok() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("the listener closes");
        go.notify_one();
    };
    let (drained, ()) = tokio::join!(draining, check);
    assert_eq!(drained, Drained::Clean);
    assert!(client.await.unwrap().unwrap().ends_with("hello"));
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_at_the_deadline() {
    let tasks = Tasks::new();
    let (begun, mut has_begun) = mpsc::channel(1);
    let address = start(&tasks, LIMITS, move |_| {
        let begun = begun.clone();
        async move {
            begun.send(()).await.unwrap();
            std::future::pending().await
        }
    })
    .await;
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(GET.as_bytes()).await.unwrap();
    has_begun.recv().await.unwrap();
    assert_eq!(tasks.drain(Duration::from_millis(100)).await, Drained::Cut(1));
    assert_eq!(read_to_end(&mut client).await, "");
}

#[tokio::test]
async fn a_refused_body_can_be_read_as_an_answer_by_the_client() {
    let tasks = Tasks::new();
    let address = start(&tasks, LIMITS, |request: Request| async {
        let mut body = request.into_body();
        let refused = http::read_body(&mut body, 1000, Duration::from_secs(1)).await.unwrap_err();
        http::discard(&mut body, 1 << 20, Duration::from_secs(1)).await;
        Problem::of_status(::http::StatusCode::PAYLOAD_TOO_LARGE).detail(refused.to_string()).into_response()
    })
    .await;
    let body = "a".repeat(600_000);
    let post =
        format!("POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 600000\r\n\r\n{body}");
    let answer = talk(address, &post).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("1000 bytes"), "{answer}");
}

/// An answer may begin before its request's body has come: what comes then is no head, and has no head's deadline.
#[tokio::test]
async fn the_rest_of_a_body_is_not_taken_for_a_head_while_it_is_answered() {
    let tasks = Tasks::new();
    let listener = http::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let echo =
        tower::service_fn(async |request: Request| Ok::<_, Infallible>(::http::Response::new(request.into_body())));
    tasks.spawn(http::serve(listener, echo, LIMITS, tasks.clone()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(KEEP.replace("\r\n\r\n", "\r\ncontent-length: 5\r\n\r\n").as_bytes()).await.unwrap();
    let mut read = String::new();
    for piece in ["h", "e", "l", "l", "o"] {
        tokio::time::sleep(LIMITS.head_time / 2).await;
        stream.write_all(piece.as_bytes()).await.unwrap();
        while !read.ends_with(piece) {
            let mut more = [0; 512];
            let count = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut more)).await;
            let count = count.expect("an echo in time").unwrap();
            assert!(0 < count, "closed after {read}");
            read.push_str(std::str::from_utf8(&more[..count]).unwrap());
        }
    }
    assert!(read.ends_with("hello"), "{read}");
}
