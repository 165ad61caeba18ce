//! A TCP proxy that stands in one link and breaks it on demand: late, cut, half-open, slow, garbled; and, between a client
//! and Kafka, around the answer to a commit alone, or still at a named point of a transaction ([`Point`]).
//!
//! Knows of protocols no more than where a message begins ([`Protocol`]), and of Kafka's what a transactional producer asks
//! for. All tasks end with the [`Link`].

mod frame;
mod point;
mod way;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::rng::Rng;
use point::Watch;
use way::{End, Talk, Way};

pub use point::{Point, Stop};

/// Most connections at once; more are not served until one ends.
const CONNECTIONS: usize = 1_024;
/// After an accept that failed, as without a free descriptor.
const BREATH: Duration = Duration::from_millis(50);

/// What happens on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing.
    Through,
    /// All comes later by so much, each way.
    Delay(Duration),
    /// Connections are reset, those that are open and those that come.
    Cut,
    /// Bytes are taken and passed on to nobody, and sockets stay open. A connection that has lost some never passes on
    /// any again: its client has to find out by itself.
    HalfOpen,
    /// So many bytes a second pass, each way of each connection.
    Throttle(usize),
    /// Bytes come between messages that nobody has sent, and in records that are written, where a checksum covers them,
    /// others than were sent. What nothing covers is left alone: against that no client can do anything but speak TLS.
    /// Records that are read are left alone as well: librdkafka takes them as they come, and told to check them
    /// (`check.crcs`) it was seen to abort.
    Garbage,
    /// The answer to each commit comes later by so much, and with it all that is behind it.
    LateCommit(Duration),
    /// What is committed is committed, and instead of the answer comes the connection's end.
    LostCommit,
    /// At this point of a transaction, the first one that begins from now on, nothing passes any more on the connection
    /// that shows it; [`Link::stopped`] tells. It is reset when something else is to happen.
    StopAt(Point),
}

/// What is spoken; it says where something may come between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Frames with their length before them.
    Kafka,
    /// One side at a time.
    Turns,
}

/// An open proxy. Everything of it ends with this value.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    shared: Arc<Shared>,
    _serving: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    protocol: Protocol,
    target: OnceLock<String>,
    mode: watch::Sender<Mode>,
    hits: AtomicUsize,
    watch: Mutex<Watch>,
    /// What is garbled, and how.
    chance: Mutex<Rng>,
}

impl Link {
    /// Listens on a free port of loopback. Nobody is served before [`Link::lead_to`].
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn open(runtime: &Handle, protocol: Protocol) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let _inside = runtime.enter();
        let listener = TcpListener::from_std(listener)?;
        let (mode, _) = watch::channel(Mode::Through);
        let (hits, chance) = (AtomicUsize::new(0), Mutex::new(Rng::new(u64::from(address.port()))));
        let watch = Mutex::default();
        let shared = Arc::new(Shared { protocol, target: OnceLock::new(), mode, hits, watch, chance });
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, _serving: serving })
    }

    /// Where it listens, as `host:port`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The port of it.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Says whom to pass on to, as `host:port`; the first word counts.
    pub fn lead_to(&self, target: &str) {
        self.shared.target.get_or_init(|| target.to_owned());
    }

    /// From now on this happens, on open connections as well.
    pub fn set(&self, mode: Mode) {
        self.shared.hits.store(0, Ordering::SeqCst);
        *self.shared.watch() = Watch::default();
        self.shared.mode.send_replace(mode);
    }

    /// How often something has happened to somebody since [`Link::set`]: connections reset, or else messages delayed,
    /// swallowed, slowed down, garbled, held or lost.
    #[must_use]
    pub fn hits(&self) -> usize {
        self.shared.hits.load(Ordering::SeqCst)
    }

    /// Whose transaction has been stopped since [`Link::set`], if one has.
    #[must_use]
    pub fn stopped(&self) -> Option<Stop> {
        self.shared.watch().stop()
    }
}

impl Shared {
    fn mode(&self) -> Mode {
        *self.mode.borrow()
    }

    fn hit(&self) {
        self.hits.fetch_add(1, Ordering::SeqCst);
    }

    /// A transaction is where it was to be stopped.
    fn stop(&self) -> End {
        // Who is told that it is there finds it counted.
        self.hit();
        self.watch().reach();
        End::Still
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn chance<T>(&self, of: impl FnOnce(&mut Rng) -> T) -> T {
        of(&mut self.chance.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Until it is aborted, and all connections with it.
async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut open = JoinSet::new();
    loop {
        while let Some(_ended) = open.try_join_next() {}
        if open.len() >= CONNECTIONS {
            open.join_next().await;
        }
        match listener.accept().await {
            Ok((client, _)) => {
                open.spawn(carry(client, Arc::clone(&shared)));
            }
            Err(_) => tokio::time::sleep(BREATH).await,
        }
    }
}

/// One connection, until both ways have ended, one has failed, or the link is cut. One that is held still ends when
/// something else is to happen.
async fn carry(mut client: TcpStream, shared: Arc<Shared>) {
    let mut modes = shared.mode.subscribe();
    let target = shared.target.get().filter(|_| *modes.borrow() != Mode::Cut);
    let server = match target {
        Some(target) => TcpStream::connect(target).await.ok(),
        None => None,
    };
    let Some(mut server) = server else {
        shared.hit();
        reset(&client);
        return;
    };
    // Else each message waits for the acknowledgement of the one before.
    let _ = client.set_nodelay(true).and_then(|()| server.set_nodelay(true));
    let talk = Talk::default();
    let end = {
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        let there = Way::Requests.carry(from_client, to_server, &talk, &shared);
        let back = Way::Answers.carry(from_server, to_client, &talk, &shared);
        tokio::select! {
            end = async { tokio::try_join!(there, back) } => end.map(|_| ()),
            _ = modes.wait_for(|mode| *mode == Mode::Cut) => {
                shared.hit();
                Err(End::Lost)
            }
        }
    };
    if matches!(end, Err(End::Still)) {
        let _ = modes.wait_for(|mode| !matches!(mode, Mode::StopAt(_))).await;
    }
    if end.is_err() {
        reset(&client);
        reset(&server);
    }
}

/// Its end will be a reset, not a farewell.
fn reset(stream: &TcpStream) {
    // One that is gone already needs none.
    let _ = stream.set_zero_linger();
}

#[cfg(test)]
mod tests;
