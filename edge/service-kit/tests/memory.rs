//! What an idle connection costs. A binary of its own, because it counts every byte that the process holds.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    convert::Infallible,
    io::{Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::Full;
use service_kit::{
    Tasks,
    http::{self, Limits},
};

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator does the work, with the same arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const IDLE: usize = 200;
/// In bytes, without the system's share. Hyper alone would hold 17 KiB.
const EACH: usize = 3072;

/// The clients' ends are bare sockets, which hold nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_holds_little_memory_whether_it_has_asked_or_not() {
    let tasks = Tasks::new();
    let listener = http::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = tower::service_fn(async |_: ::http::Request<hyper::body::Incoming>| {
        Ok::<_, Infallible>(::http::Response::new(Full::new(Bytes::from_static(b"hello"))))
    });
    let limits = Limits { head_time: Duration::from_secs(60), ..Limits::default() };
    tasks.spawn(http::serve(listener, service, limits, tasks.clone()));
    let mut clients = Vec::with_capacity(2 * IDLE);
    for asks in [false, true] {
        let before = HELD.load(Ordering::Relaxed);
        for _ in 0..IDLE {
            let mut client = TcpStream::connect(address).unwrap();
            if asks {
                client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
                assert_ne!(client.read(&mut [0; 512]).unwrap(), 0);
            }
            clients.push(client);
        }
        let begun = Instant::now();
        let mut each = usize::MAX;
        while EACH < each && begun.elapsed() < Duration::from_secs(10) {
            tokio::time::sleep(Duration::from_millis(100)).await;
            each = HELD.load(Ordering::Relaxed).saturating_sub(before) / IDLE;
        }
        assert!(each <= EACH, "{each} bytes for each, asked: {asks}");
    }
}
