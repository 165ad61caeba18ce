//! Clients that post as fast as they are answered, each over a connection of its own, and each to one partition: so no
//! two requests to a partition are under way at once. A real broker would refuse the second when the first fails; the
//! mock would take it, and librdkafka rightly takes that as the first's acknowledgement.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

use super::verdict::{Post, Told};
use crate::world::{PATIENCE, order};

/// Within a fault a client sends its next order a moment later, so that the orders last as long as the fault.
const PAUSE: Duration = Duration::from_millis(20);

/// The name of no fault.
pub(crate) const CALM: &str = "none";

/// The clients of one fault.
pub(crate) struct Crowd {
    pub(crate) control: Arc<Control>,
    clients: JoinSet<Vec<Post>>,
}

/// What the clients and the one that injects faults tell each other.
pub(crate) struct Control {
    fault: &'static str,
    address: SocketAddr,
    deadline_ms: Option<u32>,
    paces: bool,
    clients: i32,
    left: AtomicUsize,
    stopped: AtomicBool,
    /// No post is begun while it is shut.
    shut: AtomicBool,
    /// How often it was shut: what was connected before leads nowhere.
    times_shut: AtomicUsize,
    open: AtomicUsize,
    numbers: Arc<AtomicU64>,
}

enum Heard {
    Answer(Told),
    /// It was sent, and then the connection ended.
    Nothing,
    /// Nobody took the connection.
    NotSent,
}

impl Control {
    /// Posts that were sent and are not answered.
    pub(crate) fn open(&self) -> usize {
        self.open.load(SeqCst)
    }

    /// Lets no further post begin; those that are open are counted.
    pub(crate) fn shut(&self) -> usize {
        self.times_shut.fetch_add(1, SeqCst);
        self.shut.store(true, SeqCst);
        self.open()
    }

    pub(crate) fn let_go_on(&self) {
        self.shut.store(false, SeqCst);
    }

    fn may_begin(&self) -> bool {
        self.open.fetch_add(1, SeqCst);
        if self.shut.load(SeqCst) {
            self.open.fetch_sub(1, SeqCst);
            return false;
        }
        true
    }
}

impl Crowd {
    /// Begins `posts` posts; fewer if it is stopped.
    pub(crate) fn start(
        fault: &'static str,
        address: SocketAddr,
        clients: i32,
        posts: usize,
        deadline_ms: Option<u32>,
        numbers: &Arc<AtomicU64>,
    ) -> Self {
        let control = Arc::new(Control {
            fault,
            address,
            deadline_ms,
            paces: fault != CALM,
            clients,
            left: AtomicUsize::new(posts),
            stopped: AtomicBool::new(false),
            shut: AtomicBool::new(false),
            times_shut: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            numbers: Arc::clone(numbers),
        });
        let mut crowd = JoinSet::new();
        for partition in 0..clients {
            crowd.spawn(client(Arc::clone(&control), partition));
        }
        Self { control, clients: crowd }
    }

    /// Waits until all posts are answered.
    pub(crate) async fn finish(self) -> Vec<Post> {
        self.clients.join_all().await.concat()
    }

    /// The same, without beginning further ones.
    pub(crate) async fn stop(self) -> Vec<Post> {
        self.control.stopped.store(true, SeqCst);
        self.finish().await
    }
}

async fn client(control: Arc<Control>, partition: i32) -> Vec<Post> {
    let mut posts = Vec::new();
    let (mut stream, mut times_shut) = (None, 0);
    while !control.stopped.load(SeqCst) && control.left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok()
    {
        if !control.may_begin() {
            control.left.fetch_add(1, SeqCst);
            tokio::time::sleep(Duration::from_millis(2)).await;
            continue;
        }
        let id = id(control.numbers.fetch_add(1, SeqCst), partition, control.clients);
        let seen = control.times_shut.load(SeqCst);
        if std::mem::replace(&mut times_shut, seen) != seen {
            stream = None;
        }
        let heard = post(&mut stream, &control, &id).await;
        control.open.fetch_sub(1, SeqCst);
        let told = match heard {
            Heard::Answer(told) => told,
            Heard::Nothing => Told::Nothing,
            Heard::NotSent => {
                control.left.fetch_add(1, SeqCst);
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        posts.push(Post { id, fault: control.fault, told });
        if control.paces {
            tokio::time::sleep(PAUSE).await;
        }
    }
    posts
}

async fn post(stream: &mut Option<TcpStream>, control: &Control, id: &str) -> Heard {
    let mut connection = match stream.take() {
        Some(connection) => connection,
        None => match TcpStream::connect(control.address).await {
            Ok(connection) => connection,
            Err(_) => return Heard::NotSent,
        },
    };
    let body = order(id);
    let deadline = control.deadline_ms.map(|millis| format!("x-deadline-ms: {millis}\r\n")).unwrap_or_default();
    let size = body.len();
    let request = format!(
        "POST /api/orders HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{deadline}content-length: {size}\r\n\r\n{body}"
    );
    if connection.write_all(request.as_bytes()).await.is_err() {
        return Heard::Nothing;
    }
    let Some((status, body)) = timeout(PATIENCE, answer(&mut connection)).await.expect("an answer or an end in time")
    else {
        return Heard::Nothing;
    };
    *stream = Some(connection);
    Heard::Answer(told(status, &body))
}

async fn answer(connection: &mut TcpStream) -> Option<(u16, Value)> {
    let mut read = Vec::new();
    loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = std::str::from_utf8(&read[..end]).unwrap();
            let size: usize =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
            let body = end + 4;
            if body + size <= read.len() {
                let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                return Some((status, serde_json::from_slice(&read[body..body + size]).unwrap()));
            }
        }
        if connection.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
}

fn told(status: u16, body: &Value) -> Told {
    match (status, body["persisted"].as_str()) {
        (202, Some("yes")) => Told::Yes {
            partition: i32::try_from(body["partition"].as_i64().unwrap()).unwrap(),
            offset: body["offset"].as_i64().unwrap(),
        },
        (413 | 503, Some("no")) => Told::No,
        (504, Some("possibly")) => Told::Possibly,
        _ => panic!("{status} does not go with {body}"),
    }
}

/// An order id of this partition, by the rule of Java's producers.
fn id(number: u64, partition: i32, partitions: i32) -> String {
    let ids = (0_u32..).map(|nth| format!("f{number}-{nth}"));
    ids.into_iter()
        .find(|id| (murmur2(id.as_bytes()) & 0x7fff_ffff) % partitions.unsigned_abs() == partition.unsigned_abs())
        .unwrap()
}

fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ u32::try_from(key.len()).unwrap();
    let mut words = key.chunks_exact(4);
    for word in &mut words {
        let mut mixed = u32::from_le_bytes(word.try_into().unwrap()).wrapping_mul(M);
        mixed = (mixed ^ (mixed >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ mixed;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0_u32, |tail, byte| (tail << 8) | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}
