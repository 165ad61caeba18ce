//! One way of a connection: takes messages, decides what becomes of each, and gives them on when they are due.

use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, sleep, sleep_until};

use super::frame::{self, Request};
use super::point::Act;
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
    /// What transactional producers wait for.
    asked: Mutex<Vec<Request>>,
}

/// Why a way ends before its sender has.
#[derive(Debug)]
pub(super) enum End {
    /// The connection is to end as a whole.
    Lost,
    /// Nothing passes on it any more, and it stays open.
    Still,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Lost
    }
}

/// A message and when it may go on.
struct Parcel {
    bytes: Vec<u8>,
    due: Instant,
    /// Behind it nothing passes.
    stops: bool,
}

impl Way {
    /// Until its sender has no more to say.
    ///
    /// # Errors
    /// If nothing is to pass any more on the whole connection.
    pub(super) async fn carry(
        self,
        from: ReadHalf<'_>,
        to: WriteHalf<'_>,
        talk: &Talk,
        shared: &Shared,
    ) -> Result<(), End> {
        let (queue, parcels) = channel(QUEUE);
        tokio::try_join!(self.take(from, queue, talk, shared), give(parcels, to, shared)).map(|_| ())
    }

    async fn take(
        self,
        mut from: ReadHalf<'_>,
        queue: Sender<Parcel>,
        talk: &Talk,
        shared: &Shared,
    ) -> Result<(), End> {
        let mut lost_some = false;
        while let Some(bytes) = message(&mut from, shared.protocol).await? {
            let mode = shared.mode();
            if mode == Mode::HalfOpen || lost_some {
                lost_some = true;
                shared.hit();
            } else if let Some(parcel) = self.parcel(bytes, mode, talk, shared)? {
                // Who gives on may have failed, and says so itself.
                let _ = queue.send(parcel).await;
            }
        }
        // Of an end nobody hears either, for as long as nothing passes.
        let _ = shared.mode.subscribe().wait_for(|mode| *mode != Mode::HalfOpen).await;
        if lost_some { Err(End::Lost) } else { Ok(()) }
    }

    /// What becomes of a message; none if it is lost alone.
    ///
    /// # Errors
    /// If it is lost or held, and the connection with it.
    fn parcel(self, mut bytes: Vec<u8>, mode: Mode, talk: &Talk, shared: &Shared) -> Result<Option<Parcel>, End> {
        let begins = talk.spoke_last.swap(self as u8, Ordering::SeqCst) != self as u8;
        let kafka = shared.protocol == Protocol::Kafka;
        let (request, committed) = if kafka { self.part_of(&bytes, talk) } else { (None, false) };
        let (mut due, mut stops) = (Instant::now(), false);
        let hit = match mode {
            Mode::Delay(time) => {
                due += time;
                true
            }
            Mode::LateCommit(time) if committed => {
                due += time;
                true
            }
            Mode::LostCommit if committed => {
                shared.hit();
                return Err(End::Lost);
            }
            Mode::StopAt(point) => {
                match request.map_or(Act::Pass, |request| shared.watch().see(point, self, &request, committed)) {
                    Act::Lose => return Ok(None),
                    Act::Stop => return Err(shared.stop()),
                    act => stops = act == Act::PassAndStop,
                }
                false
            }
            Mode::Garbage => {
                shared.chance(|rng| rng.percent(GARBLED) && self.garble(rng, &mut bytes, shared.protocol, begins))
            }
            _ => false,
        };
        if hit {
            shared.hit();
        }
        Ok(Some(Parcel { bytes, due, stops }))
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

    /// The request of a transactional producer that this is, or is the answer to; and whether it says that a transaction
    /// is committed.
    fn part_of(self, message: &[u8], talk: &Talk) -> (Option<Request>, bool) {
        let frame = message.get(4..).unwrap_or_default();
        let mut asked = talk.asked();
        match self {
            Self::Requests => {
                let request = Request::read(frame);
                asked.extend(request.clone());
                (request, false)
            }
            Self::Answers => {
                let at = asked.iter().position(|request| request.is_answered_by(frame));
                let request = at.map(|at| asked.swap_remove(at));
                let committed = request.as_ref().is_some_and(|request| request.is_committed_by(frame));
                (request, committed)
            }
        }
    }
}

impl Talk {
    fn asked(&self) -> MutexGuard<'_, Vec<Request>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
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

async fn give(mut parcels: Receiver<Parcel>, mut to: WriteHalf<'_>, shared: &Shared) -> Result<(), End> {
    while let Some(Parcel { bytes, due, stops }) = parcels.recv().await {
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
        if stops {
            return Err(shared.stop());
        }
    }
    Ok(to.shutdown().await?)
}
