//! How much may wait at once, by count and by bytes. Nobody waits for a permit: when there is none, the client is told.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A budget of orders and bytes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Permits {
    orders: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    limits: (usize, usize),
}

/// A share of the budget; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    _order: OwnedSemaphorePermit,
    bytes: OwnedSemaphorePermit,
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
        let order = Arc::clone(&self.orders).try_acquire_owned().ok()?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()?;
        Some(Permit { _order: order, bytes })
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
    /// Grows to this many bytes, if it is smaller and the rest fits now; else it stays as it is.
    #[must_use]
    pub fn cover(&mut self, bytes: usize) -> bool {
        let Some(more) = bytes.checked_sub(self.bytes.num_permits()).filter(|more| 0 < *more) else { return true };
        let Ok(more) = u32::try_from(more) else { return false };
        match Arc::clone(self.bytes.semaphore()).try_acquire_many_owned(more) {
            Ok(more) => {
                self.bytes.merge(more);
                true
            }
            Err(_) => false,
        }
    }
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
}
