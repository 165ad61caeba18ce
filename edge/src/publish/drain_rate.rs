//! How fast the broker acknowledges orders, and so how long one more would wait. Measured, never set.
//!
//! What is acknowledged in a second says what the broker *can* do only while orders wait for it; when few are posted it
//! says how many are posted. So the capacity is learnt from windows in which orders waited, is raised by any window in
//! which more came back, and is forgotten when nothing has confirmed it for a while: without evidence everything is
//! admitted that the queue holds, as if nothing were measured.
//!
//! A broker that is far away is not a broker that is slow: the shortest time that an order took lately is the way there
//! and back, and only what comes on top of it is waiting.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Long enough to hold some of the broker's answers, short against the times that are told with it.
const WINDOW: Duration = Duration::from_millis(100);
/// A change of the broker's speed shows to two thirds after this time. In seconds.
const SMOOTHING: f64 = 1.5;
/// Orders wait when they take this much longer than the way there and back. Well below what admission lets them wait,
/// so that a queue that is held short still confirms what is known. In seconds.
const WAITING: f64 = 0.15;
/// What nothing has confirmed for so long is not known any more.
const FORGOTTEN: Duration = Duration::from_secs(10);
/// The longest way there and back that is believed, in seconds. While orders wait all the time, the shortest time
/// contains waiting; without this bound the one would lengthen the other for ever.
const LONGEST_WAY: f64 = 0.5;
/// The way there and back may have become longer for good: how fast that is believed, in seconds, when orders wait (it
/// may be waiting) and when none does.
const WAY_WHILE_WAITING: f64 = 60.0;
const WAY_WHILE_CALM: f64 = 2.0;

/// The measure. Written in delivery reports, read when orders are admitted.
#[derive(Debug)]
pub(super) struct DrainRate(Mutex<State>);

#[derive(Debug)]
struct State {
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
    bytes: u64,
    /// Seconds that they took: all together, and the shortest.
    took: f64,
    shortest: f64,
    /// The fewest orders that were in the queue.
    fewest: usize,
}

/// What the broker can acknowledge in a second.
#[derive(Clone, Copy, Debug)]
struct Capacity {
    orders: f64,
    bytes: f64,
    confirmed: Instant,
}

/// What is known now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forecast {
    capacity: Option<Capacity>,
    acknowledged: f64,
    way: f64,
}

impl DrainRate {
    /// Nothing is known yet.
    #[must_use]
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(State { window: Window::new(now, 0), acknowledged: 0.0, capacity: None, way: None }))
    }

    /// An order of this many bytes was acknowledged after this time; so many are left in the queue.
    pub(super) fn acknowledged(&self, now: Instant, took: Duration, bytes: usize, left: usize) {
        let mut state = self.lock();
        state.reckon(now, left);
        let (window, took) = (&mut state.window, took.as_secs_f64());
        window.orders += 1;
        window.bytes += bytes as u64;
        window.took += took;
        window.shortest = window.shortest.min(took);
        window.fewest = window.fewest.min(left);
    }

    /// What is known now, with so many orders in the queue.
    #[must_use]
    pub(super) fn forecast(&self, now: Instant, queued: usize) -> Forecast {
        let mut state = self.lock();
        state.reckon(now, queued);
        let State { acknowledged, capacity, way, .. } = *state;
        Forecast { capacity, acknowledged, way: way.unwrap_or_default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes the window in when it is over.
    fn reckon(&mut self, now: Instant, queued: usize) {
        let time = now.saturating_duration_since(self.window.begun);
        if time < WINDOW {
            return;
        }
        let window = std::mem::replace(&mut self.window, Window::new(now, queued));
        let time = time.as_secs_f64();
        let (orders, bytes) = (window.orders as f64 / time, window.bytes as f64 / time);
        let weight = weight(time, SMOOTHING);
        self.acknowledged += (orders - self.acknowledged) * weight;

        let shown = window.orders > 0;
        let way = self.way.unwrap_or(window.shortest);
        let waited = 0 < window.fewest && shown && way + WAITING < window.took / window.orders as f64;
        // Nothing came back, and something should have: a broker that stops is slow, too.
        let stalled = 0 < window.fewest && !shown && self.capacity.is_some();
        if shown {
            let believed = if waited { WAY_WHILE_WAITING } else { WAY_WHILE_CALM };
            let longer = (window.shortest - way).max(0.0) * self::weight(time, believed);
            self.way = Some((way.min(window.shortest) + longer).min(LONGEST_WAY));
        }
        self.capacity = match self.capacity {
            None if waited => Some(Capacity { orders, bytes, confirmed: now }),
            Some(known) if waited || stalled => Some(Capacity {
                orders: known.orders + (orders - known.orders) * weight,
                bytes: known.bytes + (bytes - known.bytes) * weight,
                confirmed: now,
            }),
            Some(known) if now.saturating_duration_since(known.confirmed) < FORGOTTEN => {
                Some(Capacity { orders: known.orders.max(orders), bytes: known.bytes.max(bytes), ..known })
            }
            _ => None,
        };
    }
}

impl Window {
    fn new(begun: Instant, queued: usize) -> Self {
        Self { begun, orders: 0, bytes: 0, took: 0.0, shortest: f64::INFINITY, fewest: queued }
    }
}

impl Forecast {
    /// How long it takes the broker to acknowledge this many orders and bytes, and with them the next one; `None` while
    /// nobody knows.
    #[must_use]
    pub(super) fn wait(&self, (orders, bytes): (usize, usize)) -> Option<Duration> {
        let capacity = self.capacity?;
        let (orders, bytes) = (orders as f64 / capacity.orders.max(1.0), bytes as f64 / capacity.bytes.max(1.0));
        // Bounded, so that no reckoning with it goes beyond what a clock holds.
        Some(Duration::from_secs_f64(orders.max(bytes).min(3600.0)))
    }

    /// The queue in orders of the size that was acknowledged lately.
    #[must_use]
    pub(super) fn load(&self, (orders, bytes): (usize, usize)) -> usize {
        let by_bytes = self.capacity.map_or(0.0, |known| bytes as f64 / known.bytes.max(1.0) * known.orders);
        orders.max(by_bytes as usize)
    }

    /// The part of the wait that is the way to the broker and back, which no queue makes shorter.
    #[must_use]
    pub(super) fn way(&self) -> Duration {
        Duration::from_secs_f64(self.way)
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
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(10);

    /// For some seconds: so many come back in each tick, each after this time, and so many are left.
    fn run(rate: &DrainRate, now: &mut Instant, seconds: u32, a_tick: usize, took: Duration, left: usize) {
        for _ in 0..seconds * 100 {
            *now += TICK;
            for _ in 0..a_tick {
                rate.acknowledged(*now, took, 1000, left);
            }
            let _ = rate.forecast(*now, left);
        }
    }

    #[test]
    fn what_few_clients_post_is_not_what_the_broker_can_do() {
        let mut now = Instant::now();
        let rate = DrainRate::new(now);
        run(&rate, &mut now, 5, 1, Duration::from_millis(5), 0);
        let forecast = rate.forecast(now, 5000);
        assert_eq!(forecast.wait((5000, 0)), None, "no order has waited");
        assert!((90.0..110.0).contains(&forecast.rate()), "{}", forecast.rate());
        run(&rate, &mut now, 5, 30, Duration::from_millis(250), 900);
        let wait = rate.forecast(now, 900).wait((900, 900_000)).unwrap();
        assert!((Duration::from_millis(280)..Duration::from_millis(320)).contains(&wait), "{wait:?}");
        assert_eq!(rate.forecast(now, 0).orders_in(Duration::from_secs(2)).map(|orders| orders / 100), Some(60));
        run(&rate, &mut now, 1, 50, Duration::from_millis(5), 0);
        assert!(4900.0 < rate.forecast(now, 0).rate(), "more is believed at once");
        run(&rate, &mut now, 8, 1, Duration::from_millis(5), 0);
        assert!(4900.0 < rate.forecast(now, 0).rate(), "and less only when orders wait");
        run(&rate, &mut now, 3, 1, Duration::from_millis(5), 0);
        assert_eq!(rate.forecast(now, 900).wait((900, 0)), None, "nothing has confirmed it for ten seconds");
    }

    #[test]
    fn a_broker_that_is_far_away_is_not_slow() {
        let mut now = Instant::now();
        let rate = DrainRate::new(now);
        let far = Duration::from_millis(300);
        run(&rate, &mut now, 5, 10, far, 300);
        let forecast = rate.forecast(now, 300);
        assert_eq!((forecast.wait((300, 0)), forecast.way()), (None, far));
        run(&rate, &mut now, 5, 10, far * 2, 600);
        assert!(rate.forecast(now, 600).wait((600, 0)).is_some(), "now they wait");
        assert!(rate.forecast(now, 600).way() < far + Duration::from_millis(50), "which is not the way");
    }

    #[test]
    fn a_broker_that_stops_is_slower_from_moment_to_moment() {
        let mut now = Instant::now();
        let rate = DrainRate::new(now);
        run(&rate, &mut now, 1, 10, Duration::from_millis(5), 0);
        run(&rate, &mut now, 3, 10, Duration::from_millis(500), 500);
        let before = rate.forecast(now, 500).wait((500, 0)).unwrap();
        run(&rate, &mut now, 3, 0, Duration::ZERO, 500);
        let after = rate.forecast(now, 500).wait((500, 0)).unwrap();
        assert!(before * 6 < after && after < before * 9, "{before:?} {after:?}");
        run(&rate, &mut now, 600, 0, Duration::ZERO, 500);
        assert!(rate.forecast(now, 500).wait((500, 0)).unwrap() <= Duration::from_secs(500), "and bounded");
    }

    #[test]
    fn large_orders_are_reckoned_by_their_bytes() {
        let mut now = Instant::now();
        let rate = DrainRate::new(now);
        run(&rate, &mut now, 1, 10, Duration::from_millis(5), 0);
        run(&rate, &mut now, 3, 10, Duration::from_millis(500), 500);
        let wait = rate.forecast(now, 100).wait((100, 5_000_000)).unwrap();
        assert!((Duration::from_millis(4500)..Duration::from_millis(5500)).contains(&wait), "{wait:?}");
        assert_eq!(rate.forecast(now, 100).load((100, 5_000_000)) / 100, 50, "orders of 1000 bytes");
    }
}
