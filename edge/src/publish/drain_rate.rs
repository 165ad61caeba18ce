//! How fast the broker acknowledges orders, and so how long one more would wait. Measured, never set.
//!
//! Each order remembers how many had been acknowledged when it was handed over. When it is acknowledged itself, those
//! that were before it in the queue and the time that they all took are one measurement (as TCP's BBR measures a
//! path): it does not matter in what clumps the answers come, nor how far away the broker is.
//!
//! It says what the broker *can* do only if orders wait; when few are posted it says how many are posted. So the
//! capacity is learnt from orders that waited, and forgotten when nothing has confirmed it for a while: without evidence
//! everything is admitted that the queue holds, as if nothing were measured. And it is believed only for queues of about
//! the length that was seen: a broker that takes a hundred orders in one request takes a thousand in another.
//!
//! A broker that is far away is not a broker that is slow: the shortest time that an order took lately is the way there
//! and back, and only what comes on top of it is waiting.
//!
//! A broker with a quota takes what has come and then nothing until that would have been due. Such lulls are learnt, too:
//! a broker that pauses as long as it did lately has not stopped, and who is promised room must find it in a lull as well.
//!
//! A broker that lets every order wait for longer than a way there and back can be (`LONGEST_WAY`) and a queue may last
//! looks overloaded, whatever it could do, and nothing that is measured here can tell: it gets the shortest queue that
//! admission ever allows, because a shorter queue is what helps the one that is overloaded.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// What is measured is taken in this often.
const WINDOW: Duration = Duration::from_millis(100);
/// A change of the broker's speed shows to two thirds after this time, in seconds; that it is slower only after that. A
/// broker whose answers take as long whatever the queue would else be measured slower because it is given less, and be
/// given less because it is slower: before that it has to show in the way there and back.
const SMOOTHING: f64 = 1.5;
const SMOOTHING_DOWN: f64 = 10.0;
/// Orders wait when they take this much longer than the way there and back. Well below what admission lets them wait,
/// so that a queue that is held short still confirms what is known. In seconds.
const WAITING: f64 = 0.15;
/// A queue that is so much longer than any that was seen is one of which nothing is known. In an overload of three times
/// the capacity it is three times as long as that which its first measurement is of.
const SEEN: f64 = 8.0;
/// What nothing has confirmed for so long is not known any more.
const FORGOTTEN: Duration = Duration::from_secs(10);
/// However slow the broker was: orders and bytes a second. A stopped one must not make a queue of any length endless.
const LEAST: (f64, f64) = (1.0, 1000.0);
/// Beyond the way there and back: a broker that acknowledges nothing for so long has stopped.
const STOPPED: Duration = Duration::from_millis(500);
/// The longest way there and back that is believed, in seconds. While orders wait all the time, the shortest time
/// contains waiting; without this bound the one would lengthen the other for ever.
const LONGEST_WAY: f64 = 0.75;
/// No longer lull is reckoned with, in seconds: a broker that was restarted is not one that pauses.
const LONGEST_LULL: f64 = 2.0;
/// How fast a lull is forgotten that does not come again, in seconds.
const LULL_FADES: f64 = 20.0;
/// The way there and back may have become longer for good: how fast that is believed, in seconds, when orders wait (it
/// may be waiting) and when none does.
const WAY_WHILE_WAITING: f64 = 20.0;
const WAY_WHILE_CALM: f64 = 2.0;

/// The measure. Written in delivery reports, read when orders are admitted.
#[derive(Debug)]
pub(super) struct DrainRate(Mutex<State>);

/// What an order remembers of the moment when it was handed over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    at: Instant,
    orders: u64,
    bytes: u64,
}

#[derive(Debug)]
struct State {
    /// Acknowledged since the beginning.
    orders: u64,
    bytes: u64,
    /// When the broker was last seen at work, or had none.
    last: Instant,
    /// The longest that a queue lately saw nothing acknowledged, in seconds.
    lull: f64,
    window: Window,
    /// Acknowledged a second, whether orders waited or not.
    acknowledged: f64,
    capacity: Option<Capacity>,
    /// The way to the broker and back, in seconds, once it is known.
    way: Option<f64>,
}

/// What has come back since the last reckoning.
#[derive(Debug)]
struct Window {
    begun: Instant,
    orders: u64,
    /// The shortest time that one took, in seconds.
    shortest: f64,
    /// Of all, and of those that waited.
    all: Measured,
    waited: Measured,
}

/// Orders a second and bytes a second, each measurement weighted by the orders that were before; and the most of those.
#[derive(Debug, Default)]
struct Measured {
    orders: f64,
    bytes: f64,
    weight: f64,
    longest: f64,
}

/// What the broker can acknowledge in a second.
#[derive(Clone, Copy, Debug)]
struct Capacity {
    orders: f64,
    bytes: f64,
    /// The longest queue of which a measurement is.
    seen: f64,
    confirmed: Instant,
}

/// What is known now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forecast {
    capacity: Option<Capacity>,
    acknowledged: f64,
    way: f64,
    lull: f64,
}

impl DrainRate {
    /// Nothing is known yet.
    #[must_use]
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(State {
            orders: 0,
            bytes: 0,
            last: now,
            lull: 0.0,
            window: Window::new(now),
            acknowledged: 0.0,
            capacity: None,
            way: None,
        }))
    }

    /// For an order that is handed over now.
    #[must_use]
    pub(super) fn mark(&self, now: Instant) -> Mark {
        let state = self.lock();
        Mark { at: now, orders: state.orders, bytes: state.bytes }
    }

    /// An order of this many bytes was acknowledged.
    pub(super) fn acknowledged(&self, now: Instant, mark: &Mark, bytes: usize) {
        let mut state = self.lock();
        state.reckon(now, true);
        state.orders += 1;
        state.bytes += bytes as u64;
        let silent = now.saturating_duration_since(state.last).as_secs_f64();
        state.lull = state.lull.max(silent.min(LONGEST_LULL));
        state.last = now;
        let took = now.saturating_duration_since(mark.at).as_secs_f64().max(0.001);
        let before = (state.orders.saturating_sub(mark.orders) as f64, state.bytes.saturating_sub(mark.bytes) as f64);
        let has_waited = state.way.is_some_and(|way| way + WAITING < took);
        let window = &mut state.window;
        window.orders += 1;
        window.shortest = window.shortest.min(took);
        window.all.take(before, took);
        if has_waited {
            window.waited.take(before, took);
        }
    }

    /// What is known now, with so many orders in the queue.
    #[must_use]
    pub(super) fn forecast(&self, now: Instant, queued: usize) -> Forecast {
        let mut state = self.lock();
        if queued == 0 {
            // A broker that has nothing to acknowledge has not stopped, however long that lasts.
            state.last = state.last.max(now);
        }
        state.reckon(now, 0 < queued);
        let State { acknowledged, capacity, way, lull, .. } = *state;
        // A little more than was seen may always be expected to go as fast.
        let capacity = capacity.filter(|known| queued as f64 <= known.seen * SEEN);
        Forecast { capacity, acknowledged, way: way.unwrap_or_default(), lull }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes the window in when it is over.
    fn reckon(&mut self, now: Instant, is_queue: bool) {
        let time = now.saturating_duration_since(self.window.begun);
        if time < WINDOW {
            return;
        }
        let window = std::mem::replace(&mut self.window, Window::new(now));
        let time = time.as_secs_f64();
        self.acknowledged += (window.orders as f64 / time - self.acknowledged) * weight(time, SMOOTHING);
        let waited = window.waited.mean();
        if 0 < window.orders {
            let way = self.way.unwrap_or(window.shortest);
            let believed = if waited.is_some() { WAY_WHILE_WAITING } else { WAY_WHILE_CALM };
            let longer = (window.shortest - way).max(0.0) * weight(time, believed);
            self.way = Some((way.min(window.shortest) + longer).min(LONGEST_WAY));
        }
        let silent = now.saturating_duration_since(self.last);
        let pause = Duration::from_secs_f64(self.lull).max(STOPPED);
        let has_stopped = is_queue && Duration::from_secs_f64(self.way.unwrap_or_default()) + pause < silent;
        self.lull *= 1.0 - weight(time, LULL_FADES);
        let known = self.capacity.filter(|known| now.saturating_duration_since(known.confirmed) < FORGOTTEN);
        self.capacity = match (known, waited) {
            (None, Some((orders, bytes))) => {
                Some(Capacity { orders, bytes, seen: window.waited.longest, confirmed: now })
            }
            (Some(known), Some(measured)) => {
                let smoothing = if measured.0 < known.orders { SMOOTHING_DOWN } else { SMOOTHING };
                let known = known.towards(measured, weight(time, smoothing));
                Some(Capacity { seen: known.seen.max(window.waited.longest), confirmed: now, ..known })
            }
            (Some(known), None) if has_stopped => {
                Some(Capacity { confirmed: now, ..known.towards((0.0, 0.0), weight(time, SMOOTHING)) })
            }
            // It can do at least what it does.
            (Some(known), None) => match window.all.mean() {
                Some(measured) if known.orders < measured.0 => Some(known.towards(measured, weight(time, SMOOTHING))),
                _ => Some(known),
            },
            (None, None) => None,
        };
    }
}

impl Capacity {
    fn towards(self, (orders, bytes): (f64, f64), weight: f64) -> Self {
        Self {
            orders: self.orders + (orders - self.orders) * weight,
            bytes: self.bytes + (bytes - self.bytes) * weight,
            ..self
        }
    }
}

impl Window {
    fn new(begun: Instant) -> Self {
        let (all, waited) = Default::default();
        Self { begun, orders: 0, shortest: f64::INFINITY, all, waited }
    }
}

impl Measured {
    fn take(&mut self, (orders, bytes): (f64, f64), took: f64) {
        self.orders += orders / took * orders;
        self.bytes += bytes / took * orders;
        self.weight += orders;
        self.longest = self.longest.max(orders);
    }

    fn mean(&self) -> Option<(f64, f64)> {
        (0.0 < self.weight).then(|| (self.orders / self.weight, self.bytes / self.weight))
    }
}

impl Forecast {
    /// How long it takes the broker to acknowledge this many orders and bytes, and with them the next one; `None` while
    /// nobody knows.
    #[must_use]
    pub(super) fn wait(&self, (orders, bytes): (usize, usize)) -> Option<Duration> {
        let capacity = self.capacity?;
        let (orders, bytes) =
            (orders as f64 / capacity.orders.max(LEAST.0), bytes as f64 / capacity.bytes.max(LEAST.1));
        // Bounded, so that no reckoning with it goes beyond what a clock holds.
        Some(Duration::from_secs_f64(orders.max(bytes).min(3600.0)))
    }

    /// The queue in orders of the size that was acknowledged lately.
    #[must_use]
    pub(super) fn load(&self, (orders, bytes): (usize, usize)) -> usize {
        let by_bytes = self.capacity.map_or(0.0, |known| bytes as f64 / known.bytes.max(LEAST.1) * known.orders);
        orders.max(by_bytes as usize)
    }

    /// The part of the wait that is the way to the broker and back, which no queue makes shorter.
    #[must_use]
    pub(super) fn way(&self) -> Duration {
        Duration::from_secs_f64(self.way)
    }

    /// How long the broker may acknowledge nothing and still be at work.
    #[must_use]
    pub(super) fn lull(&self) -> Duration {
        Duration::from_secs_f64(self.lull)
    }

    /// How many orders come back in this time; `None` while nobody knows.
    #[must_use]
    pub(super) fn orders_in(&self, time: Duration) -> Option<usize> {
        self.capacity.map(|capacity| (capacity.orders * time.as_secs_f64()) as usize)
    }

    /// Orders a second: what the broker can do, or else what it did.
    #[must_use]
    pub(super) fn rate(&self) -> f64 {
        self.capacity.map_or(self.acknowledged, |capacity| capacity.orders)
    }
}

/// Of a new value that held for this long.
fn weight(time: f64, smoothing: f64) -> f64 {
    1.0 - (-time / smoothing).exp()
}

#[cfg(test)]
mod tests;
