//! HTTP/2 in clear: what is answered, and what ends a connection.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::Full;
use service_kit::{
    Tasks,
    http::{self, Limits},
    tasks::Drained,
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    sync::mpsc,
};

use super::{LIMITS, Request, frames::*, hello as answer_hello, start};

const MANY: Limits = Limits { connections: 64, ..LIMITS };

#[tokio::test]
async fn a_request_is_answered_and_has_its_host_where_services_look_for_it() {
    let tasks = Tasks::new();
    let address = start(&tasks, MANY, |request: Request| async move {
        let host = request.headers()["host"].as_bytes().to_vec();
        ::http::Response::new(Full::new(Bytes::from(host)))
    })
    .await;
    let mut stream = connect(address, &[]).await;
    for number in [1, 3] {
        stream.write_all(&get(number, "/")).await.unwrap();
        let data = until(&mut stream, DATA).await.unwrap();
        assert_eq!((data.stream, data.payload.as_slice()), (number, b"localhost".as_slice()));
    }
}

/// The first bytes may come one by one; what they begin is found out all the same.
#[tokio::test]
async fn a_preface_in_pieces_is_a_preface_and_a_post_in_pieces_is_none() {
    let tasks = Tasks::new();
    let address = start(&tasks, MANY, answer_hello).await;
    for sent in [[hello(&[]), get(1, "/")].concat(), b"PUT / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec()] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for byte in &sent[..4] {
            stream.write_all(&[*byte]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        stream.write_all(&sent[4..]).await.unwrap();
        if sent.starts_with(b"PUT") {
            super::read_hello(&mut stream).await;
        } else {
            assert_eq!(until(&mut stream, DATA).await.unwrap().payload, b"hello");
        }
    }
}

/// How long a connection stays open; the peer answers pings and reads all.
async fn lasts(mut stream: TcpStream) -> Duration {
    let begun = Instant::now();
    let ended = async { while until(&mut stream, GOAWAY).await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("an end in time");
    begun.elapsed()
}

#[tokio::test]
async fn who_asks_for_nothing_is_not_kept() {
    let tasks = Tasks::new();
    let address = start(&tasks, Limits { idle_time: Duration::from_secs(60), ..MANY }, answer_hello).await;
    let silent = connect(address, &[]).await;
    let mut half = TcpStream::connect(address).await.unwrap();
    half.write_all(&PREFACE[..10]).await.unwrap();
    let address = start(&tasks, MANY, answer_hello).await;
    let mut idle = connect(address, &[]).await;
    idle.write_all(&get(1, "/")).await.unwrap();
    until(&mut idle, DATA).await.unwrap();
    let (silent, half, idle) = tokio::join!(lasts(silent), lasts(half), lasts(idle));
    let bound = Duration::from_secs(4);
    assert!(silent < bound && half < bound, "{silent:?}, {half:?}");
    assert!((LIMITS.idle_time / 2..LIMITS.idle_time + bound).contains(&idle), "{idle:?}");
}

/// A head without its end, after a request that was good. The peer cannot answer a ping within it.
#[tokio::test]
async fn a_head_that_does_not_end_ends_the_connection() {
    let tasks = Tasks::new();
    let address = start(&tasks, Limits { idle_time: Duration::from_secs(60), ..MANY }, answer_hello).await;
    let mut stream = connect(address, &[]).await;
    stream.write_all(&get(1, "/")).await.unwrap();
    until(&mut stream, DATA).await.unwrap();
    let (mut reader, mut write) = stream.split();
    let begun = Instant::now();
    let trickle = async {
        let mut piece = frame(HEADERS, END_STREAM, 3, &head("GET", "/", &[]));
        while write.write_all(&piece).await.is_ok() {
            tokio::time::sleep(LIMITS.head_time / 2).await;
            piece = frame(CONTINUATION, 0, 3, &block(&[("a", "b")]));
        }
    };
    let reading = async { while read(&mut reader).await.is_some() {} };
    let both = async { tokio::join!(trickle, reading) };
    tokio::time::timeout(Duration::from_secs(20), both).await.expect("an end in time");
    assert!(begun.elapsed() < LIMITS.head_time * 3 + Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn who_does_not_take_its_answers_is_not_kept() {
    let tasks = Tasks::new();
    let address = start(&tasks, MANY, answer_hello).await;
    let window = 4;
    let mut stream = connect(address, &[(window, 0)]).await;
    stream.write_all(&[get(1, "/"), get(3, "/")].concat()).await.unwrap();
    let lasted = lasts(stream).await;
    assert!((LIMITS.write_time / 2..Duration::from_secs(5)).contains(&lasted), "{lasted:?}");
}

/// A window of the whole connection, or of one stream, grown by so much.
fn window(stream: u32, more: u32) -> Vec<u8> {
    frame(8, 0, stream, &more.to_be_bytes())
}

/// One answer that is taken now and then, or a byte of each, does not keep the others alive.
#[tokio::test]
async fn who_takes_one_answer_now_and_then_does_not_keep_the_others() {
    let tasks = Tasks::new();
    let address = start(&tasks, Limits { write_time: Duration::from_secs(1), ..MANY }, |_| async {
        ::http::Response::new(Full::new(Bytes::from(vec![7; 1000])))
    })
    .await;
    for by_bytes in [false, true] {
        let mut stream = connect(address, &[(4, 0)]).await;
        stream.write_all(&get(1, "/")).await.unwrap();
        let (mut reader, mut write) = stream.split();
        let begun = Instant::now();
        let trickle = async {
            for number in (3..).step_by(2) {
                let more = if by_bytes { window(1, 1) } else { [get(number, "/"), window(number, 1000)].concat() };
                if write.write_all(&more).await.is_err() || 8 < begun.elapsed().as_secs() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        };
        let reading = async { while read(&mut reader).await.is_some() {} };
        tokio::select! {
            () = trickle => {}
            () = reading => {}
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}

/// What hyper has handed on may still wait for the peer's window.
#[tokio::test]
async fn an_answer_that_is_taken_slowly_is_not_cut_by_a_stop() {
    const SIZE: usize = 60_000;
    let tasks = Tasks::new();
    let limits = Limits { head_time: Duration::from_secs(5), write_time: Duration::from_secs(5), ..MANY };
    let address =
        start(&tasks, limits, |_| async { ::http::Response::new(Full::new(Bytes::from(vec![7; SIZE]))) }).await;
    let mut stream = connect(address, &[(4, 10_000)]).await;
    stream.write_all(&get(1, "/")).await.unwrap();
    let mut count = until(&mut stream, DATA).await.unwrap().payload.len();
    let client = async {
        while count < SIZE {
            tokio::time::sleep(Duration::from_millis(500)).await;
            stream.write_all(&window(1, 10_000)).await.unwrap();
            count += until(&mut stream, DATA).await.expect("the rest of the answer").payload.len();
        }
        while until(&mut stream, GOAWAY).await.is_some() {}
    };
    let (drained, ()) = tokio::join!(tasks.drain(Duration::from_secs(10)), client);
    assert_eq!(drained, Drained::Clean);
}

/// A client on a slow line that reads little of its answer at a time, and grows its windows as it reads.
async fn slow_line(address: std::net::SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    stream.write_all(&[hello(&[(4, 1 << 20)]), window(0, 1 << 20), get(1, "/")].concat()).await.unwrap();
    stream
}

/// A socket that is closed answers such a window with a reset, which destroys what lies on the line.
#[tokio::test]
async fn an_answer_that_still_lies_on_a_slow_line_survives_what_its_reader_sends_after_the_end() {
    const SIZE: usize = 60_000;
    let tasks = Tasks::new();
    let limits = Limits { head_time: Duration::from_secs(5), write_time: Duration::from_secs(10), ..MANY };
    let (begun, mut has_begun) = mpsc::channel(1);
    let address = start(&tasks, limits, move |_| {
        let begun = begun.clone();
        async move {
            begun.send(()).await.unwrap();
            ::http::Response::new(Full::new(Bytes::from(vec![7; SIZE])))
        }
    })
    .await;
    let mut stream = slow_line(address).await;
    has_begun.recv().await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await; // all of it lies in the server's socket
    let client = async {
        // It has not read the question that this answers, but it will; and its answer ends the connection.
        tokio::time::sleep(Duration::from_millis(200)).await;
        stream.write_all(&frame(PING, ACK, 0, &[0x0b, 0x7b, 0xa2, 0xf0, 0x8b, 0x9b, 0xfe, 0x54])).await.unwrap();
        let mut count = 0;
        while count < SIZE {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let _ = stream.write_all(&window(0, 1000)).await;
            count += until(&mut stream, DATA).await.expect("the rest of the answer").payload.len();
        }
        let begun = Instant::now();
        while read(&mut stream).await.is_some() {}
        drop(stream);
        assert!(begun.elapsed() < Duration::from_secs(5), "it ends at once: {:?}", begun.elapsed());
    };
    let (drained, ()) = tokio::join!(tasks.drain(Duration::from_secs(20)), client);
    assert_eq!(drained, Drained::Clean);
}

/// Whoever leaves its own side open after the end has the time of a write, and no more.
#[tokio::test]
async fn who_never_ends_its_side_is_not_waited_for_for_long() {
    let tasks = Tasks::new();
    let address = start(&tasks, Limits { write_time: Duration::from_secs(2), ..MANY }, answer_hello).await;
    let mut stream = connect(address, &[]).await;
    stream.write_all(&get(1, "/")).await.unwrap();
    until(&mut stream, DATA).await.unwrap();
    // A frame that is none of a client's ends the connection.
    stream.write_all(&frame(DATA, 0, 0, b"x")).await.unwrap();
    while until(&mut stream, GOAWAY).await.is_some() {}
    let begun = Instant::now();
    while stream.write_all(&frame(PING, 0, 0, &[1; 8])).await.is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(10), "still taken");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(Duration::from_millis(500) < begun.elapsed(), "what it sends is taken for a while: {:?}", begun.elapsed());
    assert_eq!(tasks.drain(Duration::from_secs(5)).await, Drained::Clean);
}

/// CVE-2023-44487: streams that are opened and reset cost the peer nothing.
#[tokio::test]
async fn a_flood_of_resets_is_told_to_calm_down() {
    let tasks = Tasks::new();
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    let address = start(&tasks, MANY, move |request| {
        counted.fetch_add(1, Ordering::Relaxed);
        answer_hello(request)
    })
    .await;
    let mut stream = connect(address, &[]).await;
    let mut flood = Vec::new();
    for number in (1..20_000).step_by(2) {
        flood.extend(get(number, "/"));
        flood.extend(frame(RST_STREAM, 0, number, &8_u32.to_be_bytes()));
    }
    let (mut reader, mut write) = stream.split();
    let (_, goaway) = tokio::join!(write.write_all(&flood), async {
        loop {
            match read(&mut reader).await {
                Some(frame) if frame.kind == GOAWAY => break Some(frame.code()),
                Some(_) => {}
                None => break None,
            }
        }
    });
    assert!(goaway.is_none_or(|code| code == ENHANCE_YOUR_CALM), "{goaway:?}");
    assert!(seen.load(Ordering::Relaxed) < 2000, "{seen:?}");
}

/// CVE-2024-27316: a head in ever more pieces.
#[tokio::test]
async fn a_head_in_endless_pieces_ends_the_connection() {
    let tasks = Tasks::new();
    let long = Duration::from_secs(60);
    let limits = Limits { head_time: long, idle_time: long, ..MANY };
    let address = start(&tasks, limits, answer_hello).await;
    for piece in [Vec::new(), block(&[("a", "b")]), block(&[("a", &"b".repeat(126))]).repeat(100)] {
        let mut stream = connect(address, &[]).await;
        let mut flood = frame(HEADERS, END_STREAM, 1, &head("GET", "/", &[]));
        for _ in 0..10_000_000 / (piece.len() + 9) {
            flood.extend(frame(CONTINUATION, 0, 1, &piece));
        }
        let begun = Instant::now();
        let (mut reader, mut write) = stream.split();
        tokio::join!(
            async {
                let _ = write.write_all(&flood).await;
            },
            async { while read(&mut reader).await.is_some() {} }
        );
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_flood_of_pings_and_settings_that_is_not_read_ends_the_connection() {
    let tasks = Tasks::new();
    let address = start(&tasks, MANY, answer_hello).await;
    for piece in [frame(PING, 0, 0, &[7; 8]), frame(SETTINGS, 0, 0, &[])] {
        let mut stream = connect(address, &[]).await;
        let flood = piece.repeat(10_000);
        let write = async { while stream.write_all(&flood).await.is_ok() {} };
        tokio::time::timeout(Duration::from_secs(20), write).await.expect("an end");
    }
    let mut stream = connect(address, &[]).await;
    stream.write_all(&get(1, "/")).await.unwrap();
    assert_eq!(until(&mut stream, DATA).await.unwrap().payload, b"hello");
}

#[tokio::test]
async fn a_length_that_lies_resets_its_stream_and_no_other() {
    let tasks = Tasks::new();
    let address = start(&tasks, MANY, |request: Request| async {
        let body = http::read_body(&mut request.into_body(), 100, Duration::from_secs(5)).await;
        ::http::Response::new(Full::new(body.unwrap_or(Bytes::from_static(b"broken"))))
    })
    .await;
    let mut stream = connect(address, &[]).await;
    for (number, length) in [(1, "4"), (3, "6")] {
        stream.write_all(&post(number, "/", &[("content-length", length)], b"hello")).await.unwrap();
        let reset = until(&mut stream, RST_STREAM).await.unwrap();
        assert_eq!((reset.stream, reset.code()), (number, PROTOCOL_ERROR));
    }
    stream.write_all(&post(5, "/", &[("content-length", "5")], b"hello")).await.unwrap();
    let mut data = until(&mut stream, DATA).await.unwrap();
    while data.stream != 5 {
        data = until(&mut stream, DATA).await.unwrap();
    }
    assert_eq!(data.payload, b"hello");
}

#[tokio::test]
async fn a_stop_finishes_what_is_open_and_waits_for_nobody_else() {
    let tasks = Tasks::new();
    let (begun, mut has_begun) = mpsc::channel(1);
    let limits = Limits { head_time: Duration::from_secs(20), idle_time: Duration::from_secs(60), ..MANY };
    let address = start(&tasks, limits, move |request: Request| {
        let begun = begun.clone();
        async move {
            if request.uri().path() == "/slow" {
                begun.send(()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            answer_hello(request).await
        }
    })
    .await;
    let mut half = TcpStream::connect(address).await.unwrap();
    half.write_all(&PREFACE[..20]).await.unwrap();
    let silent = TcpStream::connect(address).await.unwrap();
    let mut idle = connect(address, &[]).await; // and never answers a ping
    idle.write_all(&get(1, "/")).await.unwrap();
    let mut stream = connect(address, &[]).await;
    stream.write_all(&get(1, "/slow")).await.unwrap();
    has_begun.recv().await.unwrap();
    let (drained, data) = tokio::join!(tasks.drain(Duration::from_secs(10)), until(&mut stream, DATA));
    assert_eq!(drained, Drained::Clean);
    assert_eq!(data.unwrap().payload, b"hello");
    drop((half, silent, idle));
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_at_the_deadline() {
    let tasks = Tasks::new();
    let (begun, mut has_begun) = mpsc::channel(1);
    let address = start(&tasks, MANY, move |_| {
        let begun = begun.clone();
        async move {
            begun.send(()).await.unwrap();
            std::future::pending().await
        }
    })
    .await;
    let mut stream = connect(address, &[]).await;
    stream.write_all(&get(1, "/")).await.unwrap();
    has_begun.recv().await.unwrap();
    assert_eq!(tasks.drain(Duration::from_millis(100)).await, Drained::Cut(2), "the connection, and the work");
    assert!(until(&mut stream, DATA).await.is_none());
}

/// A connection of HTTP/2 may hold much, so only a share of all may be one; idle ones make room among themselves.
#[tokio::test]
async fn idle_connections_make_room_for_others() {
    let tasks = Tasks::new();
    let long = Duration::from_secs(20);
    let limits = Limits { head_time: long, idle_time: long, ..MANY };
    let address = start(&tasks, limits, answer_hello).await;
    let mut open = Vec::new();
    for _ in 0..16 {
        let mut stream = connect(address, &[]).await;
        stream.write_all(&get(1, "/")).await.unwrap();
        until(&mut stream, DATA).await.unwrap();
        open.push(stream);
    }
    tokio::time::sleep(LIMITS.head_time).await; // until they are seen to be idle
    for _ in 0..4 {
        let mut stream = connect(address, &[]).await;
        stream.write_all(&get(1, "/")).await.unwrap();
        assert_eq!(until(&mut stream, DATA).await.unwrap().payload, b"hello");
        open.push(stream);
    }
    assert!(until(&mut open[0], GOAWAY).await.is_some(), "who idled the longest");
    let last = open.last_mut().unwrap();
    last.write_all(&get(3, "/")).await.unwrap();
    assert_eq!(until(last, DATA).await.unwrap().payload, b"hello");
}
