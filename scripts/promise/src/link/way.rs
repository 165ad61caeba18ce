//! One way of a connection: takes messages, decides what becomes of each, and gives them on when they are due.

use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, sleep, sleep_until};

use super::frame::{self, Commit};
use super::{Mode, Protocol, Shared};
use crate::rng::Rng;

/// Messages between taking and giving on.
const QUEUE: usize = 64;
/// The most that is taken at once where messages have no frames.
const CHUNK: usize = 16 << 10;
/// A longer frame is none.
const FRAME: usize = 64 << 20;
/// A slow way gives on so many times a second.
const STEPS: usize = 10;
/// Of a hundred messages so many are garbled.
const GARBLED: u64 = 5;

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// From the client to the server.
    Requests = 1,
    /// From the server to the client.
    Answers = 2,
}

/// What the two ways of a connection know of each other.
#[derive(Debug, Default)]
pub(super) struct Talk {
    spoke_last: AtomicU8,
    commits: Mutex<Vec<Commit>>,
}

/// A message and when it may go on.
struct Parcel {
    bytes: Vec<u8>,
    due: Instant,
}

impl Way {
    /// Until its sender has no more to say.
    ///
    /// # Errors
    /// If the connection is to end as a whole.
    pub(super) async fn carry(
        self,
        from: ReadHalf<'_>,
        to: WriteHalf<'_>,
        talk: &Talk,
        shared: &Shared,
    ) -> io::Result<()> {
        let (queue, parcels) = channel(QUEUE);
        tokio::try_join!(self.take(from, queue, talk, shared), give(parcels, to, shared)).map(|_| ())
    }

    async fn take(self, mut from: ReadHalf<'_>, queue: Sender<Parcel>, talk: &Talk, shared: &Shared) -> io::Result<()> {
        let mut lost_some = false;
        while let Some(bytes) = message(&mut from, shared.protocol).await? {
            let mode = shared.mode();
            if mode == Mode::HalfOpen || lost_some {
                lost_some = true;
                shared.hit();
            } else {
                // Who gives on may have failed, and says so itself.
                let _ = queue.send(self.parcel(bytes, mode, talk, shared)?).await;
            }
        }
        // Of an end nobody hears either, for as long as nothing passes.
        let _ = shared.mode.subscribe().wait_for(|mode| *mode != Mode::HalfOpen).await;
        if lost_some { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }

    /// What becomes of a message.
    ///
    /// # Errors
    /// If it is lost, and the connection with it.
    fn parcel(self, mut bytes: Vec<u8>, mode: Mode, talk: &Talk, shared: &Shared) -> io::Result<Parcel> {
        let begins = talk.spoke_last.swap(self as u8, Ordering::SeqCst) != self as u8;
        let commits = shared.protocol == Protocol::Kafka && self.ends_commit(&bytes, talk);
        let mut due = Instant::now();
        let hit = match mode {
            Mode::Delay(time) => {
                due += time;
                true
            }
            Mode::LateCommit(time) if commits => {
                due += time;
                true
            }
            Mode::LostCommit if commits => {
                shared.hit();
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            Mode::Garbage => {
                shared.chance(|rng| rng.percent(GARBLED) && self.garble(rng, &mut bytes, shared.protocol, begins))
            }
            _ => false,
        };
        if hit {
            shared.hit();
        }
        Ok(Parcel { bytes, due })
    }

    /// False where this message must stay as it is.
    pub(super) fn garble(self, rng: &mut Rng, bytes: &mut Vec<u8>, protocol: Protocol, begins: bool) -> bool {
        if protocol == Protocol::Kafka
            && let Some(covered) = frame::batch(bytes)
        {
            // librdkafka does not check what it reads: see `Mode::Garbage`.
            if self == Self::Answers {
                return false;
            }
            let at = usize::try_from(rng.below(covered.len() as u64)).unwrap_or_default();
            if let Some(byte) = bytes.get_mut(covered.start + at) {
                *byte ^= 1 << rng.below(8);
            }
            return true;
        }
        // In the midst of a message it could become a part of one that is read as good.
        if protocol == Protocol::Turns && !begins {
            return false;
        }
        let noise = std::iter::repeat_with(|| rng.bits().to_le_bytes()).take(2).flatten().collect::<Vec<u8>>();
        bytes.splice(0..0, noise);
        true
    }

    /// Whether this is the answer that says that a transaction is committed.
    fn ends_commit(self, message: &[u8], talk: &Talk) -> bool {
        let frame = message.get(4..).unwrap_or_default();
        let mut asked = talk.commits();
        match self {
            Self::Requests => asked.extend(Commit::asked_by(frame)),
            Self::Answers => {
                if let Some(at) = asked.iter().position(|commit| commit.is_answered_by(frame)) {
                    return asked.swap_remove(at).granted_by(frame);
                }
            }
        }
        false
    }
}

impl Talk {
    fn commits(&self) -> MutexGuard<'_, Vec<Commit>> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The next message, whole where it has a frame; none at the end.
async fn message(from: &mut ReadHalf<'_>, protocol: Protocol) -> io::Result<Option<Vec<u8>>> {
    if protocol == Protocol::Turns {
        let mut bytes = vec![0; CHUNK];
        let length = from.read(&mut bytes).await?;
        bytes.truncate(length);
        return Ok((0 < length).then_some(bytes));
    }
    let mut head = [0; 4];
    match from.read_exact(&mut head).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    };
    let length = usize::try_from(i32::from_be_bytes(head)).ok().filter(|length| *length <= FRAME);
    let length = length.ok_or(io::ErrorKind::InvalidData)?;
    let mut bytes = head.to_vec();
    from.take(length as u64).read_to_end(&mut bytes).await?;
    Ok((bytes.len() == head.len() + length).then_some(bytes))
}

async fn give(mut parcels: Receiver<Parcel>, mut to: WriteHalf<'_>, shared: &Shared) -> io::Result<()> {
    while let Some(Parcel { bytes, due }) = parcels.recv().await {
        sleep_until(due).await;
        let mut rest = bytes.as_slice();
        while let Mode::Throttle(a_second) = shared.mode() {
            let (now, later) = rest.split_at(rest.len().min((a_second / STEPS).max(1)));
            to.write_all(now).await?;
            shared.hit();
            rest = later;
            if rest.is_empty() {
                break;
            }
            sleep(Duration::from_secs(1) / STEPS as u32).await;
        }
        to.write_all(rest).await?;
    }
    to.shutdown().await
}
