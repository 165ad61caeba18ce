//! Traffic that means harm, beside ordinary traffic. The edge is a process of its own here, so that its memory can be
//! read. All orders of ordinary clients are taken, in time, and the memory has a bound.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use service_kit::Tasks;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    command::{Edge, free_ports},
    frames::{self, CONTINUATION, DATA, HEADERS, PING, RST_STREAM, SETTINGS, block, frame, head},
    world::{PATIENCE, World, order, request, until},
};

/// Idle connections, unless the environment has another number in `EDGE_TEST_IDLE`. 10,000 are what the edge is made
/// for; the test's other end needs as many open files.
const IDLE: usize = 500;
/// Of each other kind.
const EACH: usize = 50;
/// What an unoptimized edge may grow by, in KiB, whatever comes.
const GROWTH: usize = 48 * 1024;
/// And by this for each idle connection more.
const IDLE_COSTS: usize = 4;
/// An order of an ordinary client may take twice as long as before there were others, but for one in a hundred; and so
/// much longer, because tests run beside each other. Whoever sets a number of idle connections has a machine for this
/// test alone.
const SLACK: Duration = Duration::from_secs(2);
const SLACK_WHEN_ALONE: Duration = Duration::from_millis(10);
/// As many orders tell what one takes when ordinary clients are alone.
const ALONE: usize = 200;

/// The number of idle connections, and how much longer an order may take.
fn asked() -> (usize, Duration) {
    match std::env::var("EDGE_TEST_IDLE") {
        Ok(number) => (number.parse().unwrap(), SLACK_WHEN_ALONE),
        Err(_) => (IDLE, SLACK),
    }
}

/// A world, an edge in a process of its own, and its ordinary clients.
async fn begin() -> (World, Edge, Ordinary) {
    let _ = service_kit::open_files::connections(usize::MAX);
    let world = World::ready().await;
    let (address, admin) = free_ports().await;
    let edge = Edge::start_with(&world, address, admin, &[]);
    edge.until_ready().await;
    let alone = Ordinary::begin(&edge, "alone");
    until("ordinary clients have shown how fast they are", async || ALONE <= alone.taken.load(Ordering::Relaxed)).await;
    let mut ordinary = Ordinary::begin(&edge, "ordinary");
    ordinary.alone = alone.p99().await;
    (world, edge, ordinary)
}

/// Clients that mean no harm: some keep their connection, some make a new one for each order.
struct Ordinary {
    tasks: Tasks,
    stop: Arc<AtomicBool>,
    /// Orders so far.
    taken: Arc<AtomicUsize>,
    clients: Vec<tokio::task::JoinHandle<Option<Vec<Duration>>>>,
    /// What 99 of 100 orders took before there were others.
    alone: Duration,
}

impl Ordinary {
    fn begin(edge: &Edge, name: &'static str) -> Self {
        let (tasks, stop, address) = (Tasks::new(), Arc::new(AtomicBool::new(false)), edge.address);
        let taken = Arc::new(AtomicUsize::new(0));
        let clients = (0..4).map(|client| {
            let (stop, taken) = (Arc::clone(&stop), Arc::clone(&taken));
            tasks.spawn(async move {
                let mut took = Vec::new();
                let mut kept: Option<TcpStream> = None;
                while !stop.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    let mut stream = match kept.take() {
                        Some(stream) => stream,
                        None => TcpStream::connect(address).await.unwrap(),
                    };
                    place(&mut stream, &format!("{name}-{client}-{}", took.len())).await;
                    took.push(begun.elapsed());
                    taken.fetch_add(1, Ordering::Relaxed);
                    kept = (client % 2 == 0).then_some(stream);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                took
            })
        });
        let clients = clients.collect();
        Self { tasks, stop, taken, clients, alone: Duration::ZERO }
    }

    async fn end(self) {
        let alone = self.alone;
        let (beside, (_, slack)) = (self.p99().await, asked());
        println!("99 of 100 orders took {alone:?} alone, {beside:?} beside the others");
        assert!(beside < alone * 2 + slack, "{beside:?} in place of {alone:?}");
    }

    /// Ends, and tells what 99 of 100 orders took.
    async fn p99(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        let mut took = Vec::new();
        for client in self.clients {
            took.extend(client.await.expect("each order is taken").unwrap());
        }
        took.sort();
        assert!(20 < took.len(), "{} orders", took.len());
        drop(self.tasks);
        took[took.len() * 99 / 100]
    }
}

/// Posts an order, which must be taken, and leaves the connection open.
async fn place(stream: &mut TcpStream, id: &str) {
    let sent = request(&order(id), &[]).replace("connection: close\r\n", "");
    stream.write_all(sent.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    while !read.ends_with(b"}") {
        let more = tokio::time::timeout(PATIENCE, stream.read_buf(&mut read)).await.expect("an answer in time");
        assert!(0 < more.unwrap(), "closed after {read:?}");
    }
    let answer = String::from_utf8(read).unwrap();
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
}

/// What one peer gets to read until it is cut off, and after how long; it writes a piece again and again.
async fn trickle(edge: &Edge, first: &str, piece: &str) -> (String, Duration) {
    let begun = Instant::now();
    let stream = TcpStream::connect(edge.address).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    write.write_all(first.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let writing = async {
        while write.write_all(piece.as_bytes()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ended = tokio::time::timeout(PATIENCE, read.read_to_end(&mut answer)) => drop(ended.expect("an end in time")),
        () = writing => {}
    }
    (String::from_utf8(answer).unwrap(), begun.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_slow_or_silent_or_idle_is_in_nobodys_way() {
    let (_world, edge, ordinary) = begin().await;
    let mut idle = Vec::new();
    let before = edge.memory();
    for number in 0..asked().0 {
        let mut stream = TcpStream::connect(edge.address).await.unwrap();
        place(&mut stream, &format!("idle-{number}")).await;
        idle.push(stream);
    }
    let chunked = request("", &[("transfer-encoding", "chunked")]).replace("content-length: 0\r\n", "");
    let (head, body) = (("POST /api/orders HTTP/1.1\r\nx: ", "a"), (chunked.as_str(), "1\r\n \r\n"));
    let long = request("", &[]).replace("content-length: 0", "content-length: 1000000");
    let (silent, announced) = (("", ""), (long.as_str(), " "));
    let kinds = [head, body, silent, announced].map(|(first, piece)| {
        let all: Vec<_> = (0..EACH).map(|_| trickle(&edge, first, piece)).collect();
        join(all)
    });
    let [heads, bodies, silent, announced] = kinds;
    let (heads, bodies, silent, announced) = tokio::join!(heads, bodies, silent, announced);
    for (answer, after) in heads.iter().chain(&silent) {
        assert!(answer.is_empty() && (4..10).contains(&after.as_secs()), "after {after:?}: {answer}");
    }
    for (answer, after) in bodies.iter().chain(&announced) {
        assert!(answer.contains("body-slow") && (4..15).contains(&after.as_secs()), "after {after:?}: {answer}");
    }
    let grown = edge.memory().saturating_sub(before);
    let of_idle = idle.len().saturating_sub(IDLE) * IDLE_COSTS;
    assert!(grown < GROWTH + of_idle, "grown by {grown} KiB");
    for stream in &mut idle {
        place(stream, "awake").await;
    }
    ordinary.end().await;
}

/// All of them at once.
async fn join<F: Future>(all: Vec<F>) -> Vec<F::Output> {
    let mut all: Vec<_> = all.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = all.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (one, done) in all.iter_mut().zip(&mut done).filter(|(_, done)| done.is_none()) {
            if let std::task::Poll::Ready(output) = one.as_mut().poll(cx) {
                *done = Some(output);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

/// Writes without an end and reads nothing, or reads all, for a while or until it is cut off. How many got an end.
async fn flood(edge: &Edge, ended: &AtomicUsize, pieces: impl Fn(u32) -> Vec<u8>, reads: bool) {
    let stream = frames::connect(edge.address, &[]).await;
    let (mut read, mut write) = stream.into_split();
    let writing = async {
        for round in 0.. {
            if write.write_all(&pieces(round)).await.is_err() {
                break;
            }
        }
        ended.fetch_add(1, Ordering::Relaxed);
    };
    let reading = async {
        while reads && frames::read(&mut read).await.is_some() {}
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = tokio::time::timeout(Duration::from_secs(3), writing) => {}
        () = reading => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_frames_stop_nobody() {
    let (_world, edge, ordinary) = begin().await;
    let before = edge.memory();
    let resets = |round: u32| {
        let streams = (0..100).map(|number| (round * 100 + number) * 2 + 1);
        let reset = |number| {
            let head = head("POST", "/api/orders", &[("content-type", "application/json")]);
            let reset = frame(RST_STREAM, 0, number, &8_u32.to_be_bytes());
            [frame(HEADERS, frames::END_HEADERS, number, &head), reset].concat()
        };
        streams.flat_map(reset).collect::<Vec<u8>>()
    };
    let continuations = |round| match round {
        0 => frame(HEADERS, 0, 1, &head("POST", "/api/orders", &[])),
        _ => frame(CONTINUATION, 0, 1, &block(&[("a", &"b".repeat(100))])).repeat(10),
    };
    let pings = |_| frame(PING, 0, 0, &[1; 8]).repeat(100);
    let settings = |_| frame(SETTINGS, 0, 0, &[]).repeat(100);
    let ended = AtomicUsize::new(0);
    for _ in 0..3 {
        let floods = (0..3).map(|_| async {
            tokio::join!(flood(&edge, &ended, resets, true), flood(&edge, &ended, continuations, true));
        });
        join(floods.collect()).await;
    }
    assert_eq!(ended.load(Ordering::Relaxed), 18, "each is cut off");
    tokio::join!(
        flood(&edge, &ended, pings, false),
        flood(&edge, &ended, settings, false),
        flood(&edge, &ended, pings, true)
    );
    let grown = edge.memory().saturating_sub(before);
    assert!(grown < GROWTH, "grown by {grown} KiB");
    ordinary.end().await;
}

/// Answers that nobody takes, and a peer that speaks HTTP/2 without TLS as it should.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_not_taken_stop_nobody() {
    let (world, edge, ordinary) = begin().await;
    let json = [("content-type", "application/json")];
    let before = edge.memory();
    let mut deaf = Vec::new();
    for number in 0..EACH {
        let window = 4;
        let mut stream = frames::connect(edge.address, &[(window, 0)]).await;
        for request in 0..20 {
            let order = order(&format!("deaf-{number}-{request}"));
            stream.write_all(&frames::post(request * 2 + 1, "/api/orders", &json, order.as_bytes())).await.unwrap();
        }
        deaf.push(stream);
    }
    let mut stream = frames::connect(edge.address, &[]).await;
    for number in 0..50 {
        let order = order(&format!("h2-{number}"));
        stream.write_all(&frames::post(number * 2 + 1, "/api/orders", &json, order.as_bytes())).await.unwrap();
        let data = frames::until(&mut stream, DATA).await.unwrap();
        let receipt: serde_json::Value = serde_json::from_slice(&data.payload).unwrap();
        assert_eq!(receipt["orderId"], format!("h2-{number}"), "{receipt}");
    }
    world.until_stored("h2-49").await;
    world.until_stored(&format!("deaf-{}-19", EACH - 1)).await;
    let begun = Instant::now();
    let cut = async {
        for mut stream in deaf {
            while frames::until(&mut stream, frames::GOAWAY).await.is_some() {}
        }
    };
    tokio::time::timeout(PATIENCE, cut).await.expect("each is cut off");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    let grown = edge.memory().saturating_sub(before);
    assert!(grown < GROWTH, "grown by {grown} KiB");
    ordinary.end().await;
}
