//! When requests are due. The clock of an open loop is a thread of its own: tokio's timers are exact to a millisecond
//! only, which is more than what is to be measured.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;

/// How requests follow each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Each connection sends when it has its answer.
    Closed,
    /// So many a second, whatever the server does.
    Open(f64),
}

/// Says when the next request is due.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    /// Requests a second; `None` when the loop is closed.
    rate: Option<f64>,
    /// Requests of an open loop, from the first to the last.
    planned: u64,
    /// The one to be sent next.
    next: AtomicU64,
    /// One permit for each that is due and not taken.
    due: Semaphore,
    end: Instant,
    stopped: AtomicBool,
}

impl Clock {
    /// Starts for so long.
    #[must_use]
    pub fn start(pace: Pace, time: Duration) -> Arc<Self> {
        let rate = match pace {
            Pace::Closed => None,
            Pace::Open(rate) => Some(rate.max(0.001)),
        };
        let start = Instant::now();
        let clock = Arc::new(Self {
            start,
            rate,
            planned: rate.map_or(0, |rate| (rate * time.as_secs_f64()).ceil() as u64),
            next: AtomicU64::new(0),
            due: Semaphore::new(0),
            end: start + time,
            stopped: AtomicBool::new(false),
        });
        if rate.is_some() {
            let ticking = Arc::clone(&clock);
            thread::spawn(move || ticking.tick());
        }
        clock
    }

    /// When the next request is or was due; `None` when there is none any more. Waits until it is due.
    pub async fn next(&self) -> Option<Instant> {
        if self.rate.is_none() {
            let now = Instant::now();
            return (now < self.end && !self.stopped.load(Ordering::Relaxed)).then_some(now);
        }
        self.due.acquire().await.ok()?.forget();
        let taken = self.next.fetch_add(1, Ordering::Relaxed);
        if taken + 1 == self.planned {
            self.due.close();
        }
        Some(self.due_at(taken))
    }

    /// Ends it. What was due and was not taken, by its times; those are never more than what was planned.
    pub fn close(&self) -> impl Iterator<Item = Instant> {
        self.stopped.store(true, Ordering::Relaxed);
        self.due.close();
        let now = Instant::now();
        let left = self.next.swap(self.planned, Ordering::Relaxed)..self.planned;
        left.map(|request| self.due_at(request)).take_while(move |due| *due <= now)
    }

    fn due_at(&self, request: u64) -> Instant {
        self.start + Duration::from_secs_f64(request as f64 / self.rate.unwrap_or(f64::INFINITY))
    }

    /// Gives a permit when a request is due, and all that are due at once when it woke late.
    fn tick(&self) {
        let mut given = 0;
        while given < self.planned && !self.stopped.load(Ordering::Relaxed) {
            thread::sleep(self.due_at(given).saturating_duration_since(Instant::now()));
            let now = Instant::now();
            let begin = given;
            while given < self.planned && self.due_at(given) <= now {
                given += 1;
            }
            self.due.add_permits((given - begin) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn intended_times_do_not_move_when_nobody_takes_them() {
        let clock = Clock::start(Pace::Open(1000.0), Duration::from_millis(20));
        let first = clock.next().await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let second = clock.next().await.unwrap();
        assert_eq!(second - first, Duration::from_millis(1), "as planned");
        assert!(Duration::from_millis(40) < second.elapsed(), "and so it is late");
        assert_eq!(clock.close().count(), 18, "what nobody took is known");
        assert_eq!((clock.next().await, clock.close().count()), (None, 0));
    }

    #[tokio::test]
    async fn an_open_clock_gives_what_was_planned_and_a_closed_one_ends_in_time() {
        let clock = Clock::start(Pace::Open(5000.0), Duration::from_millis(20));
        let mut given = 0;
        while let Some(due) = clock.next().await {
            assert!(due <= Instant::now(), "not before it is due");
            given += 1;
        }
        assert_eq!(given, 100);
        let clock = Clock::start(Pace::Closed, Duration::from_millis(20));
        assert!(clock.next().await.is_some());
        tokio::time::sleep(Duration::from_millis(25)).await;
        assert_eq!(clock.next().await, None);
    }
}
