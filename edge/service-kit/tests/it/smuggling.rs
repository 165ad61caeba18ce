//! Requests whose end two readers could see in two places, and connections that pause in the middle: nothing is ever
//! taken for a request that is none, and nothing is lost.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use service_kit::{
    Tasks,
    http::{self, Limits},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{KEEP, LIMITS, Request, hello, read_hello, read_to_end, start, talk};

const PATIENT: Limits =
    Limits { head_time: Duration::from_secs(10), idle_time: Duration::from_secs(10), connections: 64, ..LIMITS };
/// Longer than an idle connection keeps its buffers.
const PAUSE: Duration = Duration::from_millis(600);

type Seen = Arc<Mutex<Vec<String>>>;

/// Reads each request's body, and notes its path.
async fn noting(tasks: &Tasks) -> (std::net::SocketAddr, Seen) {
    let seen = Seen::default();
    let noted = Arc::clone(&seen);
    let address = start(tasks, PATIENT, move |request: Request| {
        noted.lock().unwrap().push(request.uri().path().to_owned());
        async {
            let _ = http::read_body(&mut request.into_body(), 1000, Duration::from_millis(500)).await;
            ::http::Response::new(Full::new(Bytes::from_static(b"hello")))
        }
    })
    .await;
    (address, seen)
}

const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nhost: localhost\r\n\r\n";

#[tokio::test]
async fn nothing_hides_behind_a_request_of_two_lengths() {
    let tasks = Tasks::new();
    let (address, seen) = noting(&tasks).await;
    let size = HIDDEN.len();
    for head in [
        format!("content-length: {size}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"),
        format!("transfer-encoding: chunked\r\ncontent-length: {size}\r\n\r\n0\r\n\r\n{HIDDEN}"),
        format!("content-length: 0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"),
        format!("content-length: 5\r\ncontent-length: 0\r\n\r\nhello{HIDDEN}"),
        format!("content-length: 5, 0\r\n\r\nhello{HIDDEN}"),
        format!("content-length: +5\r\n\r\nhello{HIDDEN}"),
        format!("content-length: -5\r\n\r\n{HIDDEN}"),
        format!("content-length: 0x5\r\n\r\nhello{HIDDEN}"),
        format!("content-length: 99999999999999999999\r\n\r\nhello{HIDDEN}"),
        format!("content-length : 0\r\n\r\n{HIDDEN}"),
        format!("transfer-encoding : chunked\r\n\r\n0\r\n\r\n{HIDDEN}"),
        format!("transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n{HIDDEN}"),
        format!("transfer-encoding: xchunked\r\n\r\n0\r\n\r\n{HIDDEN}"),
        format!("x: a\r\n transfer-encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"),
        format!("x: a\rtransfer-encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"),
        format!("x: a\0b\r\n\r\n{HIDDEN}"),
        format!("transfer-encoding: chunked\r\n\r\n-1\r\n\r\n{HIDDEN}"),
        format!("transfer-encoding: chunked\r\n\r\n0x0\r\n\r\n{HIDDEN}"),
        format!("transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n\r\n{HIDDEN}"),
        format!("transfer-encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n{HIDDEN}"),
        format!("transfer-encoding: chunked\r\n\r\n5;{}\r\nhello\r\n0\r\n\r\n{HIDDEN}", "x".repeat(20_000)),
        format!("transfer-encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n0\r\n\r\n{HIDDEN}"),
    ] {
        let answer = talk(address, &format!("POST / HTTP/1.1\r\nhost: localhost\r\n{head}")).await;
        let answers = answer.matches("HTTP/1.1 ").count();
        assert!(answers <= 1, "{head:.80}: {answer}");
        assert!(!seen.lock().unwrap().iter().any(|path| path == "/hidden"), "{head:.80}");
    }
    let old = "POST / HTTP/1.0\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    assert!(talk(address, old).await.starts_with("HTTP/1.1 400") || seen.lock().unwrap().is_empty());
}

/// What a refused request still sends is its body, however long it pauses, and even while its body is held.
#[tokio::test]
async fn the_rest_of_a_body_that_nobody_read_is_no_request() {
    for holds in [true, false] {
        let tasks = Tasks::new();
        let seen = Seen::default();
        let (noted, held) = (Arc::clone(&seen), Arc::new(Mutex::new(Vec::new())));
        let address = start(&tasks, PATIENT, move |request: Request| {
            noted.lock().unwrap().push(request.uri().path().to_owned());
            if holds {
                held.lock().unwrap().push(request.into_body());
            }
            async { ::http::Response::new(Full::new(Bytes::from_static(b"hello"))) }
        })
        .await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", HIDDEN.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        read_hello(&mut stream).await;
        tokio::time::sleep(PAUSE).await;
        let _ = stream.write_all(HIDDEN.as_bytes()).await;
        let more = tokio::time::timeout(PAUSE, stream.read(&mut [0; 99])).await;
        assert!(more.is_err() || more.is_ok_and(|read| read.is_err() || read.is_ok_and(|count| count == 0)));
        assert_eq!(*seen.lock().unwrap(), ["/"]);
    }
}

#[tokio::test]
async fn a_head_that_pauses_behind_another_request_is_not_lost() {
    let tasks = Tasks::new();
    let address = start(&tasks, PATIENT, hello).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (first, rest) = KEEP.split_at(10);
    for _ in 0..2 {
        stream.write_all([KEEP, first].concat().as_bytes()).await.unwrap();
        read_hello(&mut stream).await;
        tokio::time::sleep(PAUSE).await;
        stream.write_all(rest.as_bytes()).await.unwrap();
        read_hello(&mut stream).await;
        tokio::time::sleep(PAUSE).await;
    }
    // Nor has it for ever.
    let address = start(&tasks, LIMITS, hello).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all([KEEP, first].concat().as_bytes()).await.unwrap();
    read_hello(&mut stream).await;
    let begun = std::time::Instant::now();
    assert_eq!(read_to_end(&mut stream).await, "");
    assert!(begun.elapsed() < LIMITS.idle_time, "{:?}", begun.elapsed());
}

/// Twelve idle ones of sixteen places: each further connection ends the one that idled longest.
#[tokio::test]
async fn idle_connections_make_room() {
    let tasks = Tasks::new();
    let limits = Limits { connections: 16, idle_time: Duration::from_secs(60), ..PATIENT };
    let address = start(&tasks, limits, hello).await;
    let mut idle = Vec::new();
    for number in 0..40 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // Some have asked for something, some have not.
        if number % 4 != 0 {
            stream.write_all(KEEP.as_bytes()).await.unwrap();
            read_hello(&mut stream).await;
        }
        idle.push(stream);
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    tokio::time::sleep(PAUSE).await;
    let mut open = 0;
    for stream in &mut idle {
        let end = tokio::time::timeout(Duration::from_millis(1), stream.read(&mut [0; 9])).await;
        open += usize::from(end.is_err());
    }
    assert!((8..=14).contains(&open), "{open} are open");
    let mut last = idle.pop().unwrap();
    last.write_all(KEEP.as_bytes()).await.unwrap();
    read_hello(&mut last).await;
}
