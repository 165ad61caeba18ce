//! How much may wait at once, by count and by bytes. Nobody waits for a permit: when there is none, the client is told.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A budget of orders and bytes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Permits {
    orders: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    limits: (usize, usize),
}

/// A part of the budget; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    _order: OwnedSemaphorePermit,
    bytes: OwnedSemaphorePermit,
    share: Option<Arc<Share>>,
}

/// What one client holds of a budget. It may hold as much as it leaves free to others, so that there is always room for
/// one who holds nothing. Looked at and then changed: who asks many times at once may get a few more.
#[derive(Debug, Default)]
pub struct Share {
    orders: AtomicUsize,
    bytes: AtomicUsize,
}

/// What there is no more of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Full {
    /// The budget.
    Budget,
    /// What this client may hold of it.
    Share,
}

impl Permits {
    /// A budget of this many orders and bytes.
    #[must_use]
    pub fn new(orders: usize, bytes: usize) -> Self {
        let limits = (orders.min(Semaphore::MAX_PERMITS), bytes.min(Semaphore::MAX_PERMITS));
        Self { orders: Arc::new(Semaphore::new(limits.0)), bytes: Arc::new(Semaphore::new(limits.1)), limits }
    }

    /// One order of this many bytes, if it fits now.
    #[must_use]
    pub fn take(&self, bytes: usize) -> Option<Permit> {
        self.take_for(None, bytes).ok()
    }

    /// The same for a client that holds no more than its share.
    ///
    /// # Errors
    /// What there is no more of.
    pub fn take_for(&self, share: Option<&Arc<Share>>, bytes: usize) -> Result<Permit, Full> {
        if let Some(share) = share {
            let free = (self.orders.available_permits(), self.bytes.available_permits());
            let fits = share.orders_fit_in(free.0) && fits(share.bytes(), bytes, free.1);
            // Whoever holds nothing is not over its share, whatever the budget.
            if 0 < share.orders() && !fits {
                return Err(Full::Share);
            }
        }
        let many = u32::try_from(bytes).map_err(|_| Full::Budget)?;
        let order = Arc::clone(&self.orders).try_acquire_owned().map_err(|_| Full::Budget)?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(many).map_err(|_| Full::Budget)?;
        if let Some(share) = share {
            share.orders.fetch_add(1, Ordering::Relaxed);
            share.bytes.fetch_add(bytes.num_permits(), Ordering::Relaxed);
        }
        Ok(Permit { _order: order, bytes, share: share.cloned() })
    }

    /// Orders and bytes that may be taken.
    #[must_use]
    pub fn limits(&self) -> (usize, usize) {
        self.limits
    }

    /// Orders and bytes that are taken now.
    #[must_use]
    pub fn taken(&self) -> (usize, usize) {
        let (orders, bytes) = self.limits;
        (orders - self.orders.available_permits(), bytes - self.bytes.available_permits())
    }
}

impl Permit {
    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.num_permits()
    }

    /// Grows to this many bytes, if it is smaller and the rest fits now; else it stays as it is.
    #[must_use]
    pub fn cover(&mut self, bytes: usize) -> bool {
        self.try_cover(bytes).is_ok()
    }

    /// The same.
    ///
    /// # Errors
    /// What there is no more of.
    pub fn try_cover(&mut self, bytes: usize) -> Result<(), Full> {
        let Some(more) = bytes.checked_sub(self.bytes()).filter(|more| 0 < *more) else { return Ok(()) };
        let semaphore = self.bytes.semaphore();
        if let Some(share) = &self.share
            && !fits(share.bytes(), more, semaphore.available_permits())
        {
            return Err(Full::Share);
        }
        let many = u32::try_from(more).map_err(|_| Full::Budget)?;
        let many = Arc::clone(semaphore).try_acquire_many_owned(many).map_err(|_| Full::Budget)?;
        self.bytes.merge(many);
        if let Some(share) = &self.share {
            share.bytes.fetch_add(more, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(share) = &self.share {
            share.orders.fetch_sub(1, Ordering::Relaxed);
            share.bytes.fetch_sub(self.bytes(), Ordering::Relaxed);
        }
    }
}

impl Share {
    /// Orders that are held.
    #[must_use]
    pub fn orders(&self) -> usize {
        self.orders.load(Ordering::Relaxed)
    }

    /// Whether one more order leaves as much free as is held then.
    #[must_use]
    pub fn orders_fit_in(&self, free: usize) -> bool {
        fits(self.orders(), 1, free)
    }

    /// Bytes that are held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

fn fits(held: usize, more: usize, free: usize) -> bool {
    held.saturating_add(more) <= free.saturating_sub(more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_runs_out_by_count_and_by_bytes_and_comes_back() {
        let permits = Permits::new(2, 100);
        let first = permits.take(60).unwrap();
        assert!(permits.take(41).is_none(), "too many bytes");
        assert_eq!(permits.taken(), (1, 60), "a refusal takes nothing");
        let second = permits.take(40).unwrap();
        assert!(permits.take(0).is_none(), "too many orders");
        drop((first, second));
        assert_eq!(permits.taken(), (0, 0));
        assert!(permits.take(101).is_none() && permits.take(usize::MAX).is_none());
    }

    #[test]
    fn a_share_grows_while_there_is_room_and_is_given_back_whole() {
        let permits = Permits::new(2, 100);
        let mut share = permits.take(10).unwrap();
        assert!(share.cover(5) && share.cover(10) && permits.taken() == (1, 10), "it never shrinks");
        assert!(share.cover(100) && permits.taken() == (1, 100));
        assert!(!share.cover(101) && !share.cover(usize::MAX) && permits.taken() == (1, 100));
        drop(share);
        assert_eq!(permits.taken(), (0, 0));
    }

    #[test]
    fn who_floods_gets_half_and_leaves_room_for_those_who_do_not() {
        let permits = Permits::new(100, 10_000);
        let shares: [Arc<Share>; 3] = Default::default();
        let take_all = |share: &Arc<Share>| {
            std::iter::from_fn(|| permits.take_for(Some(share), 10).ok()).take(1000).collect::<Vec<_>>()
        };
        let first = take_all(&shares[0]);
        assert_eq!(first.len(), 50);
        let second = take_all(&shares[1]);
        assert_eq!(second.len(), 25);
        assert!(permits.take_for(Some(&shares[2]), 10).is_ok(), "a third finds room");
        assert_eq!(permits.take_for(Some(&shares[0]), 10).unwrap_err(), Full::Share);
        assert!(permits.take(10).is_some(), "who has no share is bounded by the budget alone");
        drop(first);
        assert_eq!((shares[0].orders(), shares[0].bytes()), (0, 0));
        let mut large = permits.take_for(Some(&shares[0]), 1000).unwrap();
        assert_eq!(large.try_cover(4876), Err(Full::Share), "of 9750 free half and no more");
        assert_eq!(large.try_cover(4875), Ok(()));
        assert_eq!((shares[0].orders(), shares[0].bytes()), (1, 4875));
        drop((large, second));
        assert_eq!((permits.taken(), shares[0].bytes(), shares[1].orders()), ((0, 0), 0, 0));
        let mut all = permits.take_for(Some(&shares[0]), 9000).unwrap();
        assert_eq!(all.try_cover(9001), Err(Full::Share), "one who holds nothing gets what there is, then no more");
    }
}
