//! The places of one listener's connections: how many there are, which of them only wait, and who leaves first when they
//! become few. Knows no sockets and no HTTP.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// So many connections may keep their buffers while nothing is asked of them; beyond that they give them back at once.
/// Making them anew costs a microsecond, keeping them 18 KiB.
const AWAKE: usize = 256;
const HANDFUL: usize = 4;

/// The connections of one listener: how many are open, and how many may be. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Connections(pub(super) Arc<Places>);

impl Connections {
    /// At most so many.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Places::new(limit.min(Semaphore::MAX_PERMITS))))
    }

    /// How many are open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.0.open.load(Ordering::Relaxed)
    }

    /// How many may be open.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.0.all
    }
}

/// The places of one listener.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    all: usize,
    waiting: Mutex<Waiting>,
    open: AtomicUsize,
    /// Connections that need a place and have none.
    wanted: AtomicUsize,
    awake: AtomicUsize,
}

/// A connection's place, held while it is open.
pub(super) type Place = Option<OwnedSemaphorePermit>;

/// Those that wait for a request, in the order in which they began to.
#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    seats: BTreeMap<u64, Arc<Notify>>,
}

/// A connection that waits and may be told to make room, until this is dropped.
pub(super) struct Seat<'p> {
    places: &'p Places,
    number: u64,
    call: Arc<Notify>,
}

/// Counts an open connection.
pub(super) struct Open(Arc<Places>);

/// Counts one more while it lives.
pub(super) struct Counted<'p>(&'p AtomicUsize);

impl Places {
    pub(super) fn new(all: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(all)),
            all,
            waiting: Mutex::default(),
            open: AtomicUsize::new(0),
            wanted: AtomicUsize::new(0),
            awake: AtomicUsize::new(0),
        }
    }

    /// A connection is open from now on. Not the same as a place: the listener holds one for the next that comes.
    pub(super) fn open(self: &Arc<Self>) -> Open {
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(self))
    }

    /// A place, as soon as one is free. When more than three quarters are taken, each new connection ends the one that
    /// has waited the longest, so that idle ones never keep the others out.
    pub(super) async fn take(&self) -> Place {
        if self.free.available_permits() <= self.all / 4 {
            self.call_longest();
        }
        if let Ok(place) = Arc::clone(&self.free).try_acquire_owned() {
            return Some(place);
        }
        // First wanted, then called: who sits down in between calls for itself.
        let _wanted = Counted::new(&self.wanted);
        self.call_longest();
        Arc::clone(&self.free).acquire_owned().await.ok() // never closed, so never an error
    }

    /// This connection waits from now on.
    pub(super) fn sit(&self) -> Seat<'_> {
        let call = Arc::new(Notify::new());
        let mut waiting = self.waiting();
        let number = waiting.next;
        waiting.next += 1;
        waiting.seats.insert(number, Arc::clone(&call));
        drop(waiting);
        if 0 < self.wanted.load(Ordering::Relaxed) {
            self.call_longest();
        }
        Seat { places: self, number, call }
    }

    /// This connection has its buffers from now on.
    pub(super) fn wake(&self) -> Counted<'_> {
        Counted::new(&self.awake)
    }

    /// Whether connections should give their buffers back at once.
    pub(super) fn are_many_awake(&self) -> bool {
        AWAKE < self.awake.load(Ordering::Relaxed)
    }

    /// Where there are only a handful of places, everybody waits for their turn.
    fn call_longest(&self) {
        if HANDFUL < self.all
            && let Some((_, call)) = self.waiting().seats.pop_first()
        {
            call.notify_one();
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat<'_> {
    /// Waits until the place is needed by another.
    pub(super) async fn called(&self) {
        self.call.notified().await;
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.places.waiting().seats.remove(&self.number);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<'p> Counted<'p> {
    fn new(count: &'p AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn is_called(seat: &Seat<'_>) -> bool {
        tokio::time::timeout(Duration::from_millis(20), seat.called()).await.is_ok()
    }

    #[tokio::test]
    async fn who_waited_longest_makes_room_when_places_become_few() {
        let places = Places::new(8);
        let mut held = Vec::new();
        let seats = [places.sit(), places.sit(), places.sit()];
        for _ in 0..6 {
            held.push(places.take().await);
        }
        assert!(!is_called(&seats[0]).await, "a quarter is free");
        drop(seats.into_iter().next()); // all three leave
        let seats = [places.sit(), places.sit()];
        held.push(places.take().await);
        assert!(is_called(&seats[0]).await);
        assert!(!is_called(&seats[1]).await, "one for each");
        held.push(places.take().await);
        assert!(is_called(&seats[1]).await);
        let seat = places.sit();
        assert!(!is_called(&seat).await, "all are taken, and nobody wants one");
        drop(seat);
        let next = async {
            let mut next = std::pin::pin!(places.take());
            assert!(tokio::time::timeout(Duration::from_millis(20), next.as_mut()).await.is_err());
            let seat = places.sit();
            assert!(is_called(&seat).await, "all are taken, and somebody wants one");
        };
        next.await;
        assert!(!is_called(&places.sit()).await, "who wanted one has gone");
    }
}
