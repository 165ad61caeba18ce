//! Whether one more order may wait for the broker, and if not, when its client may come back.
//!
//! The queue is small in time, not only in count: what is accepted must still be answered fast, so at overload the queue
//! holds what the broker takes in half a second and not what memory holds. Whoever was refused and comes back when it
//! was told to finds a second more, which newcomers cannot use: the times are told in whole seconds, so up to a second's
//! worth of promises comes back at once; and as much more as comes back while the broker pauses. And an order that would
//! not be answered within its client's deadline is refused while that is still the whole truth, instead of being accepted
//! into a 504.
//!
//! Orders of a client with a key: no one client may hold more of the queue than it leaves free (the dynamic threshold
//! of Choudhury and Hahne, 1998, with a factor of 1). One that floods gets half, two that flood a third each, and
//! whoever comes then finds room.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    DrainRate, Mark, Permit, Permits, Unavailable,
    pause::spread,
    permits::{Full, Share},
    promises::{LONGEST, Promises},
    settings,
};

/// Orders may wait for so long, beyond the way to the broker and back.
const WAIT: Duration = Duration::from_millis(500);
/// So much longer may those wait that were promised room, beside the broker's own pauses.
const PROMISED: Duration = Duration::from_secs(1);
/// With a broker so fast that the queue's count is reached in less, newcomers have half of the count.
const NEWCOMERS: usize = settings::MAX_ORDERS / 2;
/// So many orders are always let wait. Else a broker that is far away, or that stopped for a moment, would get so few
/// that nothing could show how fast it is.
const ALWAYS: usize = 256;
/// Of a queue of so many orders a client may hold one and still counts as holding little.
const LIGHT: usize = 16;
/// Of the deadline so much may be taken up by waiting, as far as it can be foreseen.
const OF_DEADLINE: f64 = 0.8;
/// The shortest time until a client whose share is taken should come back.
const LEAST: Duration = Duration::from_millis(200);

/// A place in the queue; given back when dropped.
#[derive(Debug)]
pub struct Place {
    permit: Permit,
    mark: Mark,
}

/// Lets orders wait.
#[derive(Debug)]
pub struct Admission {
    permits: Permits,
    rate: DrainRate,
    promises: Promises,
}

/// What decides beside the queue.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The order's key, by which its client is known when it comes back.
    pub order_id: &'a [u8],
    /// The order's size, in bytes.
    pub size: usize,
    /// How long its client waits for the answer.
    pub deadline: Duration,
    /// What its client holds of the queue, if clients are told apart.
    pub share: Option<&'a Arc<Share>>,
}

impl Admission {
    /// An empty queue.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            permits: Permits::new(settings::MAX_ORDERS, settings::MAX_BYTES),
            rate: DrainRate::new(now),
            promises: Promises::default(),
        }
    }

    /// A place in the queue.
    ///
    /// # Errors
    /// Why there is none now, and when to come back.
    pub fn admit(&self, now: Instant, terms: &Terms<'_>) -> Result<Place, Unavailable> {
        let taken = self.permits.taken();
        let forecast = self.rate.forecast(now, taken.0);
        // Longer than librdkafka keeps it no order waits, so this is below every deadline that counts.
        let wait = forecast.wait(taken).unwrap_or_default().min(settings::MESSAGE_TIMEOUT);
        let longest = terms.deadline.mul_f64(OF_DEADLINE);
        if longest < wait {
            let pause = self.promise(now, terms, wait - longest);
            return Err(Unavailable::Late { wait, deadline: terms.deadline, pause });
        }
        let load = forecast.load(taken);
        let newcomers = forecast.orders_in(forecast.way() + WAIT);
        let newcomers = newcomers.map_or(settings::MAX_ORDERS, |room| room.clamp(ALWAYS, NEWCOMERS));
        let promised = newcomers + forecast.orders_in(PROMISED + forecast.lull()).unwrap_or_default();
        let is_full = |room: usize| ALWAYS <= taken.0 && room <= load;
        let is_due = is_full(newcomers) && self.promises.is_due(now, terms.order_id);
        // Who holds little is not why the queue is long; it must not suffer when others filled it and it became slower.
        let is_light = terms.share.is_some_and(|share| share.orders() * LIGHT <= taken.0);
        let room = if is_due || is_light { promised.min(settings::MAX_ORDERS) } else { newcomers };
        if is_full(room) {
            return Err(self.full(now, terms));
        }
        let free = room.saturating_sub(taken.0);
        if let Some(share) = terms.share
            && 0 < share.orders()
            && !share.orders_fit_in(free)
        {
            return Err(self.share_taken(now, share));
        }
        let permit = self.permits.take_for(terms.share, terms.size).map_err(|full| match (full, terms.share) {
            (Full::Share, Some(share)) => self.share_taken(now, share),
            _ => self.full(now, terms),
        })?;
        if is_due {
            self.promises.keep(terms.order_id);
        }
        Ok(Place { permit, mark: self.rate.mark(now) })
    }

    /// The refusal of an order that finds the queue full: come back when it is half empty and those who were refused
    /// before have been served.
    #[must_use]
    pub fn full(&self, now: Instant, terms: &Terms<'_>) -> Unavailable {
        let taken = self.permits.taken();
        let forecast = self.rate.forecast(now, taken.0);
        let wait = forecast.wait(taken).map_or(settings::MESSAGE_TIMEOUT, |wait| wait.min(settings::MESSAGE_TIMEOUT));
        Unavailable::QueueFull { pause: self.promise(now, terms, wait.saturating_sub(WAIT / 2)) }
    }

    /// The order that had this place was acknowledged.
    pub fn acknowledged(&self, now: Instant, place: Place) {
        let Place { permit, mark } = place;
        self.rate.acknowledged(now, &mark, permit.bytes());
    }

    /// Orders a second that the broker acknowledges when there are enough of them.
    #[must_use]
    pub fn orders_per_second(&self) -> f64 {
        self.rate.forecast(Instant::now(), self.permits.taken().0).rate()
    }

    /// The budget of orders and bytes that wait.
    #[must_use]
    pub fn permits(&self) -> &Permits {
        &self.permits
    }

    fn promise(&self, now: Instant, terms: &Terms<'_>, earliest: Duration) -> Duration {
        // A second's worth of promises comes back at once, and must find room.
        let rate = self.rate(now).min((settings::MAX_ORDERS - NEWCOMERS) as f64);
        let pause = self.promises.promise(now, terms.order_id, earliest, rate);
        spread(pause, pause.mul_f64(0.1).min(Duration::from_millis(250))).min(LONGEST)
    }

    /// Nobody else is behind this client in its share: half of that is free when half of it has been acknowledged. Its
    /// requests do not move the times that others are promised.
    fn share_taken(&self, now: Instant, share: &Share) -> Unavailable {
        let half = Duration::from_secs_f64(share.orders() as f64 / 2.0 / self.rate(now)).clamp(LEAST, LONGEST / 2);
        Unavailable::ShareTaken { pause: spread(half, half) }
    }

    /// Orders a second by which clients are told when to come back. Whatever the broker does, in the time for which
    /// librdkafka keeps a message the whole queue goes.
    fn rate(&self, now: Instant) -> f64 {
        let taken = self.permits.taken().0;
        let forecast = self.rate.forecast(now, taken);
        forecast.rate().max(taken as f64 / settings::MESSAGE_TIMEOUT.as_secs_f64()).max(1.0)
    }
}

#[cfg(test)]
mod tests;
